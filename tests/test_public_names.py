"""Nothing public is lost: every name of `tests/golden/public_names.txt` is still there, and takes what it took.

Arguments may be added behind, defaults be given to those that had none, and `**options` be written out. Names and
arguments that were there stay, in their order and with their defaults. `python -m tests.public_names` adds to the list
what is new.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchfunc as tf
from tests.public_names import listing, resolve, shown

LINES = (Path(__file__).parent / "golden" / "public_names.txt").read_text(encoding="utf-8").splitlines()

# What was given up on purpose, with what took its place.
REPLACED = {
    "memory_format": "nothing: weights lie in memory as torch.nn keeps them",
    "double_checkpoint": "True by default, so that the backup before serves where the last is damaged",
    "applications.preprocess_input": "that of the module of the family, for each takes images in a form of its own",
    "Sequential.draw_after_text": "nothing: a text that is given draws the graph",
    "Sequential.reads_text": "nothing",
    "Trainer.train_step": "Step.train, of which `Trainer(module, step=...)` takes another",
    "Trainer.test_step": "Step.measure",
    "Trainer.predict_step": "Step.predict",
    "input_specs": "Trainer(ports=...)",
    "output_shapes": "Trainer(ports=...)",
    "activated_by": "Trainer(ports=...)",
    "structure": "Trainer(ports=...)",
    "steps": "Trainer(step=...)",
}


def arguments(signature: str) -> ast.arguments:
    """A written signature as a syntax tree."""
    (function,) = ast.parse(f"def f{signature}: ...").body
    assert isinstance(function, ast.FunctionDef)
    return function.args


def defaults(args: ast.arguments) -> dict[str, str | None]:
    """Every named argument with the text of its default, None where it has none."""
    positional = [*args.posonlyargs, *args.args]
    values: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults))
    pairs = [*zip(positional, [*values, *args.defaults], strict=True)]
    pairs += [*zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    return {each.arg: None if value is None else ast.unparse(value) for each, value in pairs}


def losses(before: str, now: str) -> Iterator[str]:
    """What callers of the first signature could do and those of the second can not."""
    old, new = arguments(before), arguments(now)
    was, takes = defaults(old), defaults(new)
    order = [each.arg for each in (*new.posonlyargs, *new.args)]
    for place, each in enumerate([*old.posonlyargs, *old.args]):
        if order[place : place + 1] != [each.arg]:
            yield f"the argument {each.arg!r} does not stand at place {place}"
    for name, default in was.items():
        if name not in takes:
            yield f"the argument {name!r} is gone"
        elif default not in (None, "...", takes[name]):
            yield f"the argument {name!r} is {takes[name]} by default and was {default}"
    for name, default in takes.items():
        if name not in was and default is None:
            yield f"the argument {name!r} is asked for now"
    more = len(takes) > len(was)
    if old.vararg and not (new.vararg or more):
        yield f"*{old.vararg.arg} is gone"
    if old.kwarg and not (new.kwarg or more):
        yield f"**{old.kwarg.arg} is gone"


@pytest.mark.parametrize("line", LINES, ids=[line.split("(")[0] for line in LINES])
def test_a_public_name_is_still_there_and_takes_what_it_took(line: str) -> None:
    place, _, signature = line.partition("(")
    if place.removeprefix("torchfunc.") in REPLACED:
        return
    value = resolve(place)
    if signature:
        lost = list(losses(f"({signature}", shown(value)))
        lost = [each for each in lost if each.split("'")[1] not in REPLACED]
        assert not lost, f"{place} is now {shown(value)}"


def test_the_list_is_whole() -> None:
    """A public name that is not in the list may be lost unseen: write the list anew after adding one."""
    known = {line.split("(")[0] for line in LINES}
    missing = [line for line in listing() if line.split("(")[0] not in known]
    assert not missing, "python -m tests.public_names"


def test_the_list_holds_no_name_of_others() -> None:
    names = {line.split("(")[0].rsplit(".", 1)[-1] for line in LINES if line != "torchfunc.ops.nn"}
    assert not names & {
        "torch",
        "np",
        "nn",
        "Any",
        "Tensor",
        "Callable",
        "Mapping",
        "annotations",
        "F",
        "registry",
    }
    assert len(LINES) > 600


def test_compile_takes_its_arguments_by_name_and_in_order() -> None:
    """Keras's order; beside them it takes the keywords of torch.compile."""
    x = tf.Input((3,))
    model = tf.Model(x, tf.layers.Dense(2)(x))
    ignored: dict[str, Any] = {"run_eagerly": True, "steps_per_execution": 2, "auto_scale_loss": True}
    model.compile("adam", "mse", [2.0], ["mae"], ["mse"], jit_compile=False, device="cpu", **ignored)
    trainer = model.trainer
    assert (trainer.loss, trainer.loss_weights, trainer.metrics) == ("mse", [2.0], ["mae"])
    assert (trainer.weighted_metrics, trainer.optimizer.name) == (["mse"], "adam")
    model.compile(
        optimizer="sgd", loss="mae", loss_weights=None, metrics=None, weighted_metrics=None, jit_compile=False,
        device="cpu",
    )  # fmt: skip
    assert (model.trainer.loss, model.trainer.optimizer.name) == ("mae", "sgd")


def test_every_layer_takes_the_arguments_of_layer_and_fit_those_of_the_trainer() -> None:
    layer = tf.layers.Dense(2, name="d", trainable=False, dtype="float64", input_shape=(3,))
    assert (layer.name, layer.trainable) == ("d", False)
    x = tf.Input((3,))
    model = tf.Model(x, tf.layers.Dense(2)(x))
    model.compile("sgd", "mse")
    options = {
        "batch_size": 2,
        "epochs": 1,
        "verbose": 0,
        "callbacks": [],
        "shuffle": False,
        "initial_epoch": 0,
    }
    data = [[0.0, 1.0, 2.0]] * 4, [[1.0, 2.0]] * 4
    assert len(model.fit(*(np.asarray(each) for each in data), **options).history["loss"]) == 1


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ("(a, b=1)", "(a)", "'b' is gone"),
        ("(a, b=1)", "(b=1, a=None)", "'a' does not stand at place 0"),
        ("(a, b=1)", "(a, b=2)", "'b' is 2 by default and was 1"),
        ("(a, b=1)", "(a, b)", "'b' is None by default and was 1"),
        ("(a, b=1)", "(a, *, b=1)", "'b' does not stand at place 1"),
        ("(a)", "(a, b)", "'b' is asked for now"),
        ("(a, **options)", "(a)", r"\*\*options is gone"),
        ("(*args)", "()", r"\*args is gone"),
        ("(a=1)", "(**options)", "'a' is gone"),
    ],
)
def test_the_comparison_sees_what_is_lost(before: str, now: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        found = list(losses(before, now))
        assert not found, found


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("(a, **options)", "(a, *, batch_size=None)"),
        ("(a, b=1)", "(a, b=1, c=2, *, d=3)"),
        ("(a)", "(a=None)"),
        ("(*, a=...)", "(a=3)"),
        ("(*args, **kwargs)", "(optimizer='rmsprop', **kwargs)"),
    ],
)
def test_the_comparison_lets_arguments_be_added_and_written_out(before: str, now: str) -> None:
    assert not list(losses(before, now))
