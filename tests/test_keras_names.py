"""Every public name of Keras is here, is left out with words on what serves instead, or waits in a list that shrinks."""

from __future__ import annotations

import functools
import traceback

import pytest

import torchfunc
from tests.keras_names import MISSING, NAMES, PAGE, left_out, missing, ours, page, resolves
from torchfunc.absent import TABLE

LISTED = MISSING.read_text(encoding="utf-8").split()
MOST_MISSING = 0


def test_the_list_holds_what_keras_has() -> None:
    keras = pytest.importorskip("keras")
    assert keras.__version__ == "3.15.1"
    assert len(NAMES) == len(set(NAMES)) == 1437
    assert [name for name in NAMES if not _has(keras, name.split(".")[1:])] == []


def _has(module: object, parts: list[str]) -> bool:
    return (
        functools.reduce(lambda value, part: value and getattr(value, part, None), parts, module) is not None
    )


def test_every_name_of_keras_resolves_or_is_left_out_or_waits_in_the_list() -> None:
    assert set(missing()) <= set(LISTED)


def test_the_list_of_what_is_missing_only_shrinks() -> None:
    assert set(LISTED) <= set(NAMES) and len(LISTED) <= MOST_MISSING


def test_at_most_110_names_are_left_out() -> None:
    assert len(left_out()) <= 110


def test_a_name_that_is_left_out_is_not_here() -> None:
    assert [name for name in left_out() if resolves(name)] == []


@pytest.mark.parametrize(
    ("place", "name", "instead"), [(place, *row) for place, rows in TABLE.items() for row in rows.items()]
)
def test_asking_for_a_name_that_is_left_out_says_what_to_use(place: str, name: str, instead: str) -> None:
    *path, _ = [*place.split(".")[1:], name]
    namespace = functools.reduce(getattr, path, torchfunc)
    with pytest.raises(AttributeError) as caught:
        getattr(namespace, name)
    assert str(caught.value) == f"{place} has no {name!r}, which Keras has: {instead}."


def test_every_row_of_the_table_is_a_name_of_keras() -> None:
    spoken_of = {f"{place}.{name}" for place, rows in TABLE.items() for name in rows}
    assert {
        each for each in spoken_of if not any(f"{ours(name)}.".startswith(f"{each}.") for name in NAMES)
    } == set()


def test_a_misspelt_name_is_an_attribute_error_as_everywhere() -> None:
    with pytest.raises(AttributeError, match=r"^module 'torchfunc.layers' has no attribute 'Dens'$"):
        getattr(torchfunc.layers, "Dens")  # noqa: B009  a type checker sees the mistake too


@pytest.mark.parametrize(
    ("place", "name", "fix"),
    [
        ("torchfunc", "Dense", "torchfunc.layers.Dense"),
        ("torchfunc", "EarlyStopping", "torchfunc.callbacks.EarlyStopping"),
        ("torchfunc.layers", "Adam", "torchfunc.optimizers.Adam"),
        ("torchfunc", "keras", "torchfunc takes its place: tf.Model, tf.layers.Dense"),
    ],
)
def test_a_name_that_is_asked_of_the_wrong_namespace_is_found(place: str, name: str, fix: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(torchfunc if place == "torchfunc" else torchfunc.layers, name)
    assert str(caught.value) == f"module {place!r} has no attribute {name!r}. Fix: {fix}."
    shown = traceback.format_exception_only(caught.value)
    assert "Did you mean" not in shown[-1]  # a guess of Python's beside it
    assert not hasattr(torchfunc, name)


def test_the_page_shows_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
