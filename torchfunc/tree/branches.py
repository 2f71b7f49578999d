"""Nested arguments: lists, tuples, named tuples, dicts and slices, with anything at the leaves."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

Path = tuple[Any, ...]


def is_branch(value: Any) -> bool:
    """Whether a value is looked into, rather than being a leaf itself."""
    return isinstance(value, (list, tuple, dict, slice))


def leaves(tree: Any) -> Iterator[Any]:
    """Every leaf, left to right, in the order in which a dict was written."""
    if isinstance(tree, (list, tuple)):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from leaves(item)
    elif isinstance(tree, slice):
        yield from leaves((tree.start, tree.stop, tree.step))
    else:
        yield tree


def leaves_with_path(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every leaf with the keys and indices that lead to it."""
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
    """
    if isinstance(tree, dict):
        items = {key: map_leaves(function, item) for key, item in tree.items()}
        return items if type(tree) is dict else _like_dict(tree, items)
    if isinstance(tree, (list, tuple)):
        return like(tree, [map_leaves(function, item) for item in tree])
    if isinstance(tree, slice):
        return slice(*(map_leaves(function, item) for item in (tree.start, tree.stop, tree.step)))
    return function(tree)


def map_with_path(function: Callable[..., Any], tree: Any, *others: Any, path: Path = ()) -> Any:
    """As `map_leaves`, where `function(path, leaf, ...)` is told the way to each leaf.

    `others` are trees of the same structure, whose leaves are passed along.
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
    """`items` as a sequence of the kind that `sequence` is."""
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
    """The part of a tree to which `path` leads."""
    for key in path:
        kind: Any = type(tree)
        tree = getattr(tree, _field_names(kind)[key]) if _is_dataclass(tree) else tree[key]
    return tree


def as_named_tuple(value: Any) -> Any:
    """A dataclass as the named tuple of its fields, and of those of dataclasses in them; else the value itself."""
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
