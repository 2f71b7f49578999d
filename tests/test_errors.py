"""Errors form a tree, and say where, what came, what was expected, why, and the way out."""

from __future__ import annotations

import inspect
import re
import tracemalloc

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
    nearest,
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


def test_a_value_of_megabytes_is_cut_before_it_is_written_out() -> None:
    long = "x" * (10 << 20)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    values = (long, [long] * 10, {long: long}, list(range(10**6)), deep, 1 << 10**7, {"a": [[], {}, ()]})
    tracemalloc.start()
    try:
        texts = [shorten(value) for value in values]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [len(text) for text in texts[:5]] == [120] * 5
    assert texts[5] == "a number of 10,000,001 bits"
    assert texts[6] == "{'a': [[], {}, ()]}"
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": [1.5, None, (True,)], "c": {3}},
        (),
        (1,),
        [(1, 2), frozenset()],
        b"x",
        2**70,
        ["it's", 'a "b"'],
    ],
    ids=repr,
)
def test_a_short_value_is_shown_as_python_shows_it(value: object) -> None:
    assert shorten(value) == repr(value)


@pytest.mark.parametrize("kind", [each for each in vars(errors).values() if inspect.isclass(each)])
def test_no_error_is_longer_than_4000_characters_or_moves_a_cursor(kind: type[Exception]) -> None:
    hostile = "\0\u202e\x1b[2J\ud800" + "x" * (5 << 20) + "\r the end"
    if kind is UnknownNameError:
        made = [
            UnknownNameError("layer", hostile, ["Dense"], hostile),
            UnknownNameError(hostile, "x", [hostile]),
        ]
    elif kind is MissingExtraError:
        made = []  # it names packages alone
    elif kind is WriteError:
        made = []  # and this one a path of the user's: see test_atomic
    else:
        made = [kind(hostile), kind(f"The layers:\n{hostile}")]
    for error in made:
        assert len(str(error)) <= 4000
        assert str(error).replace("\n", "").isprintable()
    if kind is errors.ConfigError:
        assert str(made[0]).startswith(r"\x00\u202e\x1b[2J\ud800xx")
        assert str(made[0]).endswith(r"\r the end")
        assert str(made[1]).startswith("The layers:\n")


def test_an_explanation_is_bounded_as_a_whole() -> None:
    text = explain("Dense 'd'", got="x" * 10**6, expected="y" * 10**6, fix="z" * 10**6)
    assert len(text) <= 4000 and text.startswith("Dense 'd': expected yyy") and text.endswith("zzz.")


def test_no_near_name_is_looked_for_where_the_name_is_long() -> None:
    assert nearest("Dens", ["Dense", "Conv2D"]) == "Dense"
    assert nearest("zzz", ["Dense"]) is None
    assert nearest("Dense" * (2 << 20), ["Dense" * 50]) is None


def test_a_missing_extra_says_how_to_install_it() -> None:
    error = MissingExtraError("pydot", "plot", "plot_model")
    assert str(error) == (
        "plot_model needs the package 'pydot', which is not installed. Install it with: pip install 'torchfunc[plot]'"
    )


def test_a_name_that_lacks_a_word_means_the_one_that_has_it() -> None:
    known = ["binary_crossentropy", "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy"]
    assert nearest("sparse_crossentropy", known) == "sparse_categorical_crossentropy"
    assert nearest("binary_entropy", known) == "binary_crossentropy"
