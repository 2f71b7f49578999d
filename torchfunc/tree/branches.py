"""Nested arguments: lists, tuples, named tuples, dicts and slices, with anything at the leaves."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

Path = tuple[Any, ...]
_BRANCHES = (list, tuple, dict, slice)


def is_branch(value: Any) -> bool:
    """Whether a value is looked into, rather than being a leaf itself.

    Args:
        value: anything.

    Returns:
        True for lists, tuples, dicts and slices.

    Example:
        >>> tree.is_branch([1]), tree.is_branch(slice(3)), tree.is_branch("abc")
        (True, True, False)
    """
    return isinstance(value, _BRANCHES)


def leaves(tree: Any) -> Iterator[Any]:
    """Every leaf, left to right, in the order in which a dict was written.

    Args:
        tree: nested lists, tuples, dicts and slices, or a leaf.

    Returns:
        An iterator.

    Example:
        >>> list(tree.leaves({"b": [1, 2], "a": slice(0, None)}))
        [1, 2, 0, None, None]
    """
    found: list[Any] = []  # gathered, for generators in each other hand every leaf through all of them
    _gather((tree,), found)
    return iter(found)


def _gather(items: Iterable[Any], found: list[Any]) -> None:
    for item in items:
        kind = type(item)
        if kind is tuple or kind is list:
            _gather(item, found)
        elif not isinstance(item, _BRANCHES):
            found.append(item)
        elif isinstance(item, dict):
            _gather(item.values(), found)
        else:
            _gather((item.start, item.stop, item.step) if isinstance(item, slice) else item, found)


def leaves_with_path(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every leaf with the keys and indices that lead to it.

    Args:
        tree: nested lists, tuples, dicts and slices, or a leaf.
        path: what stands before each path.

    Returns:
        An iterator of pairs of a path and a leaf.

    Example:
        >>> list(tree.leaves_with_path({"b": [1, 2], "a": 0}))
        [(('b', 0), 1), (('b', 1), 2), (('a',), 0)]
    """
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield from leaves_with_path(item, (*path, key))
    elif isinstance(tree, (list, tuple)):
        for index, item in enumerate(tree):
            yield from leaves_with_path(item, (*path, index))
    else:
        yield path, tree


def map_leaves(function: Callable[..., Any], tree: Any) -> Any:
    """The same structure with `function` applied at the leaves.

    A named tuple stays what it is, and so do PyTorch's own (`torch.return_types`).

    Args:
        function: called with each leaf.
        tree: nested lists, tuples, dicts and slices, or a leaf.

    Returns:
        A structure of the same kinds.

    Example:
        >>> tree.map_leaves(lambda leaf: leaf * 10, {"b": [1, 2], "a": (3,)})
        {'b': [10, 20], 'a': (30,)}
    """
    if not isinstance(tree, _BRANCHES):
        return function(tree)
    if isinstance(tree, dict):
        items = {key: map_leaves(function, item) for key, item in tree.items()}
        return items if type(tree) is dict else _like_dict(tree, items)
    if isinstance(tree, (list, tuple)):
        return like(tree, [map_leaves(function, item) for item in tree])
    return slice(*(map_leaves(function, item) for item in (tree.start, tree.stop, tree.step)))


def map_with_path(function: Callable[..., Any], tree: Any, *others: Any, path: Path = ()) -> Any:
    """As `map_leaves`, where `function(path, leaf, ...)` is told the way to each leaf.

    `others` are trees of the same structure, whose leaves are passed along.

    Args:
        function: called with the path, a tuple, and with the leaf of each tree.
        tree: nested lists, tuples, dicts and slices, or a leaf.
        path: what stands before each path.
        *others: trees of the same structure.

    Returns:
        A structure of the same kinds.

    Example:
        >>> tree.map_with_path(lambda path, leaf: (path, leaf), {"b": [1, 2]})
        {'b': [(('b', 0), 1), (('b', 1), 2)]}
    """
    if isinstance(tree, dict):
        items = {
            key: map_with_path(function, item, *(o[key] for o in others), path=(*path, key))
            for key, item in tree.items()
        }
        return items if type(tree) is dict else _like_dict(tree, items)
    if isinstance(tree, (list, tuple)):
        return like(
            tree,
            [
                map_with_path(function, item, *(o[index] for o in others), path=(*path, index))
                for index, item in enumerate(tree)
            ],
        )
    return function(path, tree, *others)


def like(sequence: Any, items: list[Any]) -> Any:
    """`items` as a sequence of the kind that `sequence` is.

    Args:
        sequence: a list, a tuple, a named tuple or another sequence.
        items: what the new one holds.

    Returns:
        A new sequence; a `torch.Size` becomes a tuple, as its items may be no numbers.

    Example:
        >>> from collections import namedtuple
        >>> Point = namedtuple("Point", "x y")
        >>> tree.like(Point(1, 2), [3, 4]), tree.like((1, 2), [3, 4])
        (Point(x=3, y=4), (3, 4))
    """
    kind = type(sequence)
    if kind is list:
        return items
    if kind is tuple or (kind.__module__ == "torch" and kind.__name__ == "Size"):
        return tuple(items)
    if hasattr(kind, "_fields"):
        return kind(*items)
    return kind(items)


def _like_dict(original: dict[Any, Any], items: dict[Any, Any]) -> Any:
    """`items` as the kind of dict that `original` is, if that can be made from a plain one."""
    try:
        return type(original)(items)
    except TypeError:
        return items


def at(tree: Any, path: Path) -> Any:
    """The part of a tree to which `path` leads.

    Args:
        tree: nested lists, tuples, dicts and slices, or a leaf.
        path: keys and indices; of a dataclass the number of its field.

    Returns:
        What lies there: a leaf or a branch.

    Example:
        >>> tree.at({"a": [1, {"b": 2}]}, ("a", 1, "b"))
        2
    """
    for key in path:
        kind: Any = type(tree)
        tree = getattr(tree, _field_names(kind)[key]) if _is_dataclass(tree) else tree[key]
    return tree


def as_named_tuple(value: Any) -> Any:
    """A dataclass as the named tuple of its fields, and of those of dataclasses in them; else the value itself.

    Args:
        value: anything.

    Returns:
        A named tuple with the name and the fields of the dataclass, but those that begin with an underscore.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Found:
        ...     boxes: list
        ...     score: float
        >>> tree.as_named_tuple(Found([1, 2], 0.5))
        Found(boxes=[1, 2], score=0.5)
    """
    if not _is_dataclass(value):
        return value
    kind: Any = type(value)
    items = (getattr(value, name) for name in _field_names(kind))
    return _named_tuple(kind)(*(map_leaves(as_named_tuple, each) for each in items))


def _is_dataclass(value: Any) -> bool:
    return hasattr(type(value), "__dataclass_fields__") and not is_branch(value)


@cache
def _field_names(kind: Any) -> list[str]:
    return [each.name for each in dataclasses.fields(kind) if not each.name.startswith("_")]


@cache
def _named_tuple(kind: Any) -> Any:
    made = namedtuple(kind.__name__, _field_names(kind))  # type: ignore[misc]
    made.stands_for = kind  # type: ignore[attr-defined]
    return made
