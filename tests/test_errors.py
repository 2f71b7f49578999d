"""Errors form a tree, and say where, what came, what was expected, why, and the way out."""

from __future__ import annotations

import inspect
import re

import pytest

from torchfunc import errors
from torchfunc.errors import (
    GraphError,
    MissingExtraError,
    SavingError,
    ShapeError,
    TorchfuncError,
    UnknownNameError,
    WriteError,
    explain,
    shorten,
)


def test_the_tree_at_the_top_of_the_file_is_the_tree_of_the_classes() -> None:
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    assert set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__ or "")) == {
        *kinds,
        "ValueError",
        "ImportError",
        "OSError",
    }
    for name, kind in kinds.items():
        base = ImportError if kind is MissingExtraError else OSError if kind is WriteError else ValueError
        assert issubclass(kind, base), name
        assert kind.__doc__
    assert issubclass(ShapeError, GraphError) and issubclass(GraphError, TorchfuncError)
    assert issubclass(errors.WeightMismatchError, SavingError)


def test_the_five_parts_make_one_text() -> None:
    assert explain("Conv2D 'c1'", got="shape (None, 8)") == "Conv2D 'c1': got shape (None, 8)."
    assert explain("c1", got="8", expected="4", why="it is so", fix="use 4") == (
        "c1: expected 4, got 8. It is so. Fix: use 4."
    )
    assert explain("c1", got="8", why="3 < 4") == "c1: got 8. 3 < 4."


def test_an_unknown_name_lists_what_is_known_where_nothing_is_near() -> None:
    assert str(UnknownNameError("loss", "zzz", ["mse", "mae"])) == "Unknown loss 'zzz'. Known: mae, mse."
    many = [f"name{index:02}" for index in range(30)]
    text = str(UnknownNameError("loss", "zzz", many))
    assert text.endswith("name19, ....") and "name20" not in text
    assert str(UnknownNameError("loss", 5, ["mse"])) == "Unknown loss 5. Known: mse."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        ("a\x1b[31m", r"'a\x1b[31m'"),
        ("größe", "'größe'"),
        ([1], "[1]"),
        ("\u202eabc", r"'\u202eabc'"),
    ],
)
def test_a_value_in_a_message_is_escaped(value: object, text: str) -> None:
    assert shorten(value) == text


def test_a_value_in_a_message_is_cut() -> None:
    assert len(shorten("x" * 5_000)) == 120 and shorten("x" * 5_000).endswith("...")
    assert shorten([1] * 100, limit=10) == "[1, 1, ..."


def test_a_missing_extra_says_how_to_install_it() -> None:
    error = MissingExtraError("pydot", "plot", "plot_model")
    assert str(error) == (
        "plot_model needs the package 'pydot', which is not installed. Install it with: pip install 'torchfunc[plot]'"
    )
