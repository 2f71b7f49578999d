"""Nested arguments are mapped, listed and rebuilt as what they were."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest
import torch

from torchfunc.tree import at, is_branch, leaves, leaves_with_path, like, map_leaves, map_with_path


class Point(NamedTuple):
    x: Any
    y: Any


class Pairs(list[Any]):
    pass


class Strict(dict[str, Any]):
    """A dict that cannot be made from a plain one."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first=first, second=second)


TREES: list[Any] = [
    5,
    [1, [2, 3], ()],
    (1, (2,)),
    {"b": 1, "a": [2, {"c": 3}]},
    Point(1, [2, Point(3, 4)]),
    slice(1, None, 2),
    (slice(None, 5), ..., None),
    Pairs([1, 2]),
    OrderedDict(z=1, a=2),
    [],
    {},
]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_mapping_nothing_gives_the_same_tree_of_the_same_types(tree: Any) -> None:
    found = map_leaves(lambda leaf: leaf, tree)
    assert found == tree and type(found) is type(tree)


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_every_leaf_is_mapped_once_in_order(tree: Any) -> None:
    seen: list[Any] = []
    map_leaves(seen.append, tree)
    assert seen == list(leaves(tree))


def test_leaves_come_left_to_right_as_a_dict_was_written() -> None:
    assert list(leaves({"b": [1, (2, 3)], "a": {"c": slice(4, None)}})) == [1, 2, 3, 4, None, None]


def test_a_path_leads_to_its_leaf() -> None:
    tree = {"a": [1, Point(2, (3,))], "b": 4}
    paths = dict(leaves_with_path(tree))
    assert paths == {("a", 0): 1, ("a", 1, 0): 2, ("a", 1, 1, 0): 3, ("b",): 4}
    assert all(at(tree, path) == leaf for path, leaf in paths.items())
    assert at(tree, ()) is tree and list(leaves_with_path(7)) == [((), 7)]


def test_several_trees_are_mapped_together_with_their_paths() -> None:
    found = map_with_path(
        lambda path, *values: (path, sum(values)), {"a": [1, 2]}, {"a": [10, 20]}, {"a": (100, 200)}
    )
    assert found == {"a": [(("a", 0), 111), (("a", 1), 222)]}
    kept = map_with_path(lambda path, a: a, Point([1], OrderedDict(b=2)))
    assert type(kept) is Point and type(kept.y) is OrderedDict


def test_pytorchs_own_sequences_stay_what_they_are() -> None:
    found = torch.ones(2, 3).max(1)
    doubled = map_leaves(lambda leaf: leaf * 2, found)
    assert type(doubled) is type(found) and torch.equal(doubled.values, torch.tensor([2.0, 2.0]))
    assert map_leaves(lambda size: size + 1, torch.Size([1, 2])) == (2, 3)
    assert like(torch.Size([1]), [None]) == (None,)


def test_a_dict_that_cannot_be_remade_becomes_a_plain_one() -> None:
    found = map_leaves(lambda leaf: leaf + 1, Strict(1, 2))
    assert type(found) is dict and found == {"first": 2, "second": 3}
    counts: defaultdict[str, int] = defaultdict(int, a=1)
    assert map_leaves(lambda leaf: leaf, counts) == {"a": 1}


def test_strings_tensors_and_sets_are_leaves() -> None:
    for leaf in ("text", torch.ones(2), {1, 2}, None, range(3)):
        assert not is_branch(leaf)
        assert [each is leaf for each in leaves(leaf)] == [True]
    assert all(is_branch(each) for each in ([], (), {}, slice(1)))
