"""Structures by Keras's names: nested lists, tuples and dicts, where the items of a plain dict go by sorted key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torchfunc.tree.branches import Path, like

Function = Callable[..., Any]


class MAP_TO_NONE:
    """What a function returns to `traverse` for a None in the place of a part."""


def is_nested(structure: Any) -> bool:
    """Whether it is a list, a tuple or a dict, and no leaf."""
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
    """Every leaf with the keys and indices that lead to it."""
    return [*_leaves(structure, ())]


def _leaves(structure: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if not is_nested(structure):
        yield path, structure
        return
    for key, part in _items(structure):
        yield from _leaves(part, (*path, key))


def flatten(structure: Any) -> list[Any]:
    """Every leaf; the one value itself where it is not nested.

    Example:
        >>> tree.flatten({"b": [1, 2], "a": 0})
        [0, 1, 2]
    """
    return [leaf for _, leaf in flatten_with_path(structure)]


def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """What `flatten` undoes: the leaves in a structure like this one.

    Raises:
        ValueError: more or fewer leaves than the structure has.
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

    Raises:
        TypeError: nothing to map, or nothing to call.
        ValueError: structures that differ.
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

    Raises:
        ValueError: a structure that ends sooner.
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

    Raises:
        ValueError: they are not.
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

    Raises:
        ValueError: they do not.
    """
    if {path for path, _ in flatten_with_path(a)} != {path for path, _ in flatten_with_path(b)}:
        raise _different(a, b)


def traverse(func: Function, structure: Any, top_down: bool = True) -> Any:
    """The structure with each part replaced by what `func(part)` returns, unless that is None.

    Args:
        top_down: whether a part comes before its own parts, which are then left out where it is replaced.
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
    """The structure with tuples in the place of lists."""
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False)


def map_shape_structure(func: Function, structure: Any) -> Any:
    """As `map_structure`, where a list or tuple of integers and None is a leaf."""
    if isinstance(structure, (list, tuple)) and all(
        each is None or isinstance(each, int) for each in structure
    ):
        return func(tuple(structure))
    if not is_nested(structure):
        raise ValueError(f"expected shapes, got {structure!r}. Fix: tuples of integers and None.")
    return _made(structure, [map_shape_structure(func, part) for _, part in _items(structure)])
