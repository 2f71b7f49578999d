"""The docstrings of public names: their examples run, and they leave nothing out."""

from __future__ import annotations

import doctest
import inspect
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

import torchfunc as tf
from tests import docstrings, public_names

THINGS = docstrings.things()
ROOMS = sorted({place.split(".")[1] for place in THINGS})
NAMES = {
    **{name: getattr(tf, name) for name in public_names.names_of(tf)},
    "torch": torch,
    "np": np,
    "tf": tf,
    "nn": torch.nn,
    "F": torch.nn.functional,
}


def a_model() -> tf.Model:
    """The `model` of examples, with a layer of each name that they speak of."""
    inputs = tf.Input((8, 8, 3))
    x = tf.layers.Flatten(name="flatten")(tf.layers.Conv2D(4, 3, name="block3")(inputs))
    x = tf.layers.Dropout(0.5, name="dropout")(tf.layers.Dense(8, name="hidden")(x))
    return tf.Model(inputs, tf.layers.Dense(2, name="head")(x))


def write_files(folder: Path) -> None:
    """What examples read: a photo, and folders of photos, reviews and words, a class in each folder in them."""
    photo = np.zeros((8, 8, 3), np.uint8)
    tf.utils.save_img(folder / "photo.jpg", photo)
    for number in range(5):
        for kind in "ab":
            (folder / "photos" / kind).mkdir(parents=True, exist_ok=True)
            tf.utils.save_img(folder / "photos" / kind / f"{number}.png", photo)
    for kind, text in (("bad", "A bad one."), ("good", "A good film.")):
        (folder / "reviews" / kind).mkdir(parents=True)
        (folder / "reviews" / kind / "1.txt").write_text(text)
    for number in range(4):
        (folder / "words" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        with wave.open(str(folder / "words" / "ab"[number % 2] / f"{number}.wav"), "wb") as sound:
            sound.setparams((1, 2, 16000, 16000, "NONE", ""))
            sound.writeframes(bytes(32000))


def examples(room: str) -> list[tuple[str, str]]:
    """The examples of the things that have their first name in a namespace."""
    texts = {
        place: inspect.getdoc(value) or "" for place, value in THINGS.items() if place.split(".")[1] == room
    }
    return [(place, text) for place, text in texts.items() if ">>>" in text]


# what PyTorch's exporters and transforms say of their own future
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("room", ROOMS)
def test_the_examples_run_and_give_what_they_show(
    room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    told: list[str] = []
    for place, text in examples(room):
        tf.utils.set_random_seed(0)
        runner = doctest.DocTestRunner(
            verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        )
        runner.run(
            doctest.DocTestParser().get_doctest(
                text, {**NAMES, "model": a_model(), place.rsplit(".", 1)[1]: THINGS[place]}, place, place, 0
            ),
            out=told.append,
        )
    assert "".join(told) == ""


def test_an_example_is_short() -> None:
    for place, value in THINGS.items():
        assert (inspect.getdoc(value) or "").count(">>> ") <= 8, place


def test_docstrings_leave_nothing_out() -> None:
    assert docstrings.listing() == {}, "write these sections"


def test_what_is_left_out_is_seen() -> None:
    def bare(x: int, y: int) -> int:
        """The sum, as Python makes it.

        Args:
            x: one.
        """
        if x is None:
            raise ValueError("no x")
        return x + y

    def whole(x: int) -> int:
        """One more.

        Args:
            x: one.

        Returns:
            One more.

        Example:
            >>> 1 + 1
            2
        """
        return x + 1

    assert list(docstrings.lacking(bare)) == ["Args", "Returns", "Raises", "Example"]
    assert list(docstrings.lacking(whole)) == []
