"""Structures by Keras's names: nested lists, tuples and dicts, where the items of a plain dict go by sorted key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torchfunc.tree.branches import Path, like

Function = Callable[..., Any]


class MAP_TO_NONE:
    """What a function returns to `traverse` for a None in the place of a part.

    Example:
        >>> tree.traverse(lambda part: tree.MAP_TO_NONE if part == 0 else None, [0, 1])
        [None, 1]
    """


def is_nested(structure: Any) -> bool:
    """Whether it is a list, a tuple or a dict, and no leaf.

    Args:
        structure: nested lists, tuples and dicts, or a leaf.

    Returns:
        True for lists, tuples and dicts, empty ones too.

    Example:
        >>> tree.is_nested([]), tree.is_nested({"a": 1}), tree.is_nested(1)
        (True, True, False)
    """
    return isinstance(structure, (list, tuple, dict))


def _items(structure: Any) -> list[tuple[Any, Any]]:
    """The parts with the key of each, in Keras's order."""
    if isinstance(structure, OrderedDict):
        return [*structure.items()]
    return sorted(structure.items()) if isinstance(structure, dict) else [*enumerate(structure)]


def _made(structure: Any, parts: Sequence[Any]) -> Any:
    """These parts, in Keras's order, as the kind of structure that this one is."""
    if not isinstance(structure, dict):
        return like(structure, [*parts])
    found = dict(zip((key for key, _ in _items(structure)), parts, strict=True))
    made = structure.copy()
    made.update(found)
    return made


def flatten_with_path(structure: Any) -> list[tuple[Path, Any]]:
    """Every leaf with the keys and indices that lead to it.

    Args:
        structure: nested lists, tuples and dicts, or a leaf.

    Returns:
        Pairs of a path and a leaf, the items of a plain dict in the order of their sorted keys.

    Example:
        >>> tree.flatten_with_path({"b": [1, 2], "a": 0})
        [(('a',), 0), (('b', 0), 1), (('b', 1), 2)]
    """
    return [*_leaves(structure, ())]


def _leaves(structure: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if not is_nested(structure):
        yield path, structure
        return
    for key, part in _items(structure):
        yield from _leaves(part, (*path, key))


def flatten(structure: Any) -> list[Any]:
    """Every leaf; the one value itself where it is not nested.

    Args:
        structure: nested lists, tuples and dicts, or a leaf.

    Returns:
        A list, the items of a plain dict in the order of their sorted keys.

    Example:
        >>> tree.flatten({"b": [1, 2], "a": 0})
        [0, 1, 2]
    """
    return [leaf for _, leaf in flatten_with_path(structure)]


def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """What `flatten` undoes: the leaves in a structure like this one.

    Args:
        structure: nested lists, tuples and dicts, or a leaf.
        flat_sequence: the leaves, in the order of `flatten`.

    Returns:
        A new structure of the same kinds.

    Raises:
        ValueError: more or fewer leaves than the structure has.

    Example:
        >>> tree.pack_sequence_as({"b": [None, None], "a": None}, [0, 1, 2])
        {'b': [1, 2], 'a': 0}
    """
    expected, got = len(flatten(structure)), len(flat_sequence)
    if expected != got:
        raise ValueError(f"The structure has {expected} leaves, and {got} are given. Fix: give one for each.")
    rest = iter(flat_sequence)
    return _mapped(lambda _: next(rest), structure)


def _mapped(function: Function, structure: Any) -> Any:
    if not is_nested(structure):
        return function(structure)
    return _made(structure, [_mapped(function, part) for _, part in _items(structure)])


def map_structure(func: Function, *structures: Any, none_is_leaf: bool = True) -> Any:
    """The structure of what a function returns for the leaves at each place.

    Args:
        func: called with a leaf of each structure.
        none_is_leaf: whether None is a leaf, with which the function is called; else it stays None.
        *structures: one or several that are nested alike.

    Returns:
        A structure like the first.

    Raises:
        TypeError: nothing to map, or nothing to call.
        ValueError: structures that differ.

    Example:
        >>> tree.map_structure(lambda one, other: one + other, {"a": 1, "b": (2,)}, {"a": 10, "b": (20,)})
        {'a': 11, 'b': (22,)}
    """
    first = _first(func, structures)
    for other in structures[1:]:
        assert_same_structure(first, other)
    rows = zip(*map(flatten, structures), strict=True)
    found = [None if not none_is_leaf and all(one is None for one in row) else func(*row) for row in rows]
    return pack_sequence_as(first, found)


def _first(func: Any, structures: Sequence[Any]) -> Any:
    if not callable(func):
        raise TypeError(f"func: expected a function, got {func!r}. Fix: give the function first.")
    if not structures:
        raise TypeError("There is no structure to go through. Fix: give one or more after the function.")
    return structures[0]


def map_structure_up_to(shallow_structure: Any, func: Function, *structures: Any) -> Any:
    """As `map_structure`, down to where `shallow_structure` ends; what lies deeper is given whole.

    Args:
        shallow_structure: how deep to go.
        func: called with the parts at each of its leaves.
        *structures: one or several that go at least as deep.

    Returns:
        A structure like `shallow_structure`.

    Raises:
        ValueError: a structure that ends sooner.

    Example:
        >>> tree.map_structure_up_to({"a": 0, "b": 0}, len, {"a": [1, 2], "b": (3,)})
        {'a': 2, 'b': 1}
    """
    _first(func, structures)
    if not is_nested(shallow_structure):
        return func(*structures)
    keys = [key for key, _ in _items(shallow_structure)]
    for each in structures:
        if not is_nested(each) or [key for key, _ in _items(each)] != keys:
            raise _different(shallow_structure, each)
    rows = zip(_items(shallow_structure), *map(_items, structures), strict=True)
    parts = [map_structure_up_to(row[0][1], func, *(part for _, part in row[1:])) for row in rows]
    return _made(shallow_structure, parts)


def _different(a: Any, b: Any) -> ValueError:
    return ValueError(
        f"The two structures are not nested alike: {a!r} and {b!r}. Fix: give structures of one form."
    )


def _kind(structure: Any) -> Any:
    if isinstance(structure, dict):
        return dict
    return type(structure) if is_nested(structure) else None


def assert_same_structure(a: Any, b: Any) -> None:
    """Raise unless both are nested alike: the same kinds of part, of the same lengths and keys.

    Args:
        a: a structure.
        b: another.

    Raises:
        ValueError: they are not.

    Example:
        >>> tree.assert_same_structure([1, {"a": 2}], [3, {"a": 4}])
        >>> try:
        ...     tree.assert_same_structure([1, 2], (1, 2))
        ... except ValueError as error:
        ...     print(error)
        The two structures are not nested alike: [1, 2] and (1, 2). Fix: give structures of one form.
    """
    if _kind(a) is not _kind(b):
        raise _different(a, b)
    if is_nested(a):
        assert_same_keys = [key for key, _ in _items(a)] == [key for key, _ in _items(b)]
        if isinstance(a, dict):
            assert_same_keys = a.keys() == b.keys()
        if not assert_same_keys:
            raise _different(a, b)
        for key, part in _items(a):
            assert_same_structure(part, b[key])


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise unless the same keys and indices lead to the leaves of both, whatever kind of sequence they are.

    Args:
        a: a structure.
        b: another.

    Raises:
        ValueError: they do not.

    Example:
        >>> tree.assert_same_paths([1, {"a": 2}], (3, {"a": 4}))
        >>> try:
        ...     tree.assert_same_paths([1, 2], [1])
        ... except ValueError as error:
        ...     print(error)
        The two structures are not nested alike: [1, 2] and [1]. Fix: give structures of one form.
    """
    if {path for path, _ in flatten_with_path(a)} != {path for path, _ in flatten_with_path(b)}:
        raise _different(a, b)


def traverse(func: Function, structure: Any, top_down: bool = True) -> Any:
    """The structure with each part replaced by what `func(part)` returns, unless that is None.

    Args:
        func: called with each part, leaves and branches; `MAP_TO_NONE` stands for a None that is meant.
        structure: nested lists, tuples and dicts, or a leaf.
        top_down: whether a part comes before its own parts, which are then left out where it is replaced.

    Returns:
        A new structure.

    Example:
        >>> tree.traverse(lambda part: "pair" if isinstance(part, tuple) else None, [(1, 2), {"a": (3, 4)}, 5])
        ['pair', {'a': 'pair'}, 5]
        >>> tree.traverse(lambda part: sum(part) if isinstance(part, list) else None, [1, [2, 3]], top_down=False)
        6
    """
    _first(func, (structure,))
    if top_down:
        found = func(structure)
        if found is not None:
            return None if found is MAP_TO_NONE else found
    if is_nested(structure):
        structure = _made(structure, [traverse(func, part, top_down) for _, part in _items(structure)])
    if top_down:
        return structure
    found = func(structure)
    return structure if found is None else None if found is MAP_TO_NONE else found


def lists_to_tuples(structure: Any) -> Any:
    """The structure with tuples in the place of lists.

    Args:
        structure: nested lists, tuples and dicts, or a leaf.

    Returns:
        The same leaves.

    Example:
        >>> tree.lists_to_tuples([1, {"a": [2, 3]}])
        (1, {'a': (2, 3)})
    """
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False)


def map_shape_structure(func: Function, structure: Any) -> Any:
    """As `map_structure`, where a list or tuple of integers and None is a leaf.

    Args:
        func: called with each shape, a tuple.
        structure: nested lists, tuples and dicts, or a leaf.

    Returns:
        The structure of what it returns.

    Raises:
        ValueError: a leaf that is no shape.

    Example:
        >>> tree.map_shape_structure(len, {"image": (None, 8, 8, 3), "label": [None]})
        {'image': 4, 'label': 1}
    """
    if isinstance(structure, (list, tuple)) and all(
        each is None or isinstance(each, int) for each in structure
    ):
        return func(tuple(structure))
    if not is_nested(structure):
        raise ValueError(f"expected shapes, got {structure!r}. Fix: tuples of integers and None.")
    return _made(structure, [map_shape_structure(func, part) for _, part in _items(structure)])
