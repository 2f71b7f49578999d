"""Recorded predictions: they are those of the module to the bit, and nothing that changed is missed."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.training.measuring import programs
from torchfunc.training.measuring.forwards import Forwards
from torchfunc.training.recording import glance

ROWS = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
Change = Callable[[tf.Model], Any]


def made(*extra: Any, activation: Any = "relu") -> tf.Model:
    tf.utils.set_random_seed(0)
    x = inputs = tf.Input((6,))
    x = layers.Dense(8, activation=activation, name="first")(x)
    for each in extra:
        x = each(x)
    model = tf.Model(inputs, layers.Dense(3, activation="softmax", name="last")(x))
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def predicted(model: tf.Model, rows: Any = ROWS, times: int = 1) -> np.ndarray:
    for _ in range(times):
        found: np.ndarray = model.predict(rows, verbose=0)
    return found


def by_calls(model: tf.Model, rows: np.ndarray = ROWS) -> np.ndarray:
    """What the module itself returns."""
    modes = [(each, each.training) for each in model.modules()]
    model.eval()
    with torch.no_grad():
        found: np.ndarray = model(torch.tensor(rows)).numpy()
    for each, mode in modes:
        each.training = mode
    return found


def forwards(model: tf.Model) -> Forwards:
    assert model.trainer is not None
    found: Forwards = model.trainer.step.notes.forwards
    return found


def predictions(model: tf.Model) -> Forwards:
    """The same of the batches of `predict`."""
    assert model.trainer is not None
    found: Forwards = model.trainer.step.notes.predictions
    return found


def text(model: tf.Model) -> str:
    """The recorded forward that is repeated."""
    (found,) = forwards(model).found.values()
    assert isinstance(found, programs.Program) and found.checked
    return found.text


def repeats(model: tf.Model) -> bool:
    """Whether the next prediction is a repetition."""
    before = forwards(model).repetitions
    predicted(model)
    return forwards(model).repetitions == before + 1


CHAIN = """v1 = torch.t(dense_weight)
v3 = torch.t(dense_1_weight)
v5 = torch.t(dense_2_weight)
v7 = torch.t(dense_3_weight)
def forward(batch_0):
    torch._addmm_activation(dense_bias, batch_0, v1, out=kept1)
    torch._addmm_activation(dense_1_bias, kept1, v3, out=kept2)
    torch._addmm_activation(dense_2_bias, kept2, v5, out=kept1)
    v8 = torch._addmm_activation(dense_3_bias, kept1, v7)
    return v8"""


def test_a_chain_is_one_call_a_layer_in_two_pieces_of_memory() -> None:
    tf.utils.set_random_seed(0)
    x = inputs = tf.Input((6,))
    for index in range(4):
        x = layers.Dense(6, activation="relu", name=f"dense_{index}" if index else "dense")(x)
    model = tf.Model(inputs, x)
    model.compile("sgd", "mse")
    predicted(model, times=6)
    assert text(model) == CHAIN
    np.testing.assert_array_equal(predicted(model), by_calls(model))


def test_the_result_is_the_callers_own_and_the_data_are_left_as_they_are() -> None:
    model, rows = made(nn.ReLU(inplace=True)), ROWS.copy()
    first = predicted(model, rows, times=6)
    assert repeats(model)
    kept = first.copy()
    predicted(model, rows)[:] = 7.0
    predicted(model, -rows)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(predicted(model, rows), by_calls(model))
    np.testing.assert_array_equal(rows, ROWS)


def test_each_shape_has_a_text_of_its_own_and_few_are_kept() -> None:
    model = made()
    for _ in range(6):
        for count in range(1, 8):
            rows = np.random.default_rng(count).normal(size=(count, 6)).astype("float32")
            np.testing.assert_array_equal(predicted(model, rows), by_calls(model, rows))
    assert len(forwards(model).found) == programs.SHAPES == forwards(model).repetitions


def swapped(model: tf.Model) -> None:
    model.layers[1].activation = torch.tanh


def swapped_unseen(model: tf.Model) -> None:
    vars(model.layers[1])["activation"] = torch.tanh


def another_weight(model: tf.Model) -> None:
    model.layers[1].weight = nn.Parameter(torch.ones(8, 6))


def another_weight_unseen(model: tf.Model) -> None:
    model.layers[1]._parameters["weight"] = nn.Parameter(torch.ones(8, 6))


def other_numbers(model: tf.Model) -> None:
    with torch.no_grad():
        model.layers[1].weight.mul_(2)


def other_memory(model: tf.Model) -> None:
    model.layers[1].weight.data = torch.ones(8, 6)


def other_memory_of_a_bias(model: tf.Model) -> None:
    model.layers[1].bias.data = torch.ones(8)


def another_shape_of_a_bias(model: tf.Model) -> None:
    model.layers[1].bias.data = torch.ones(1)


def turned(model: tf.Model) -> None:
    weight = model.get_layer("square").weight
    weight.data = weight.data.t()


def doubled(model: tf.Model) -> None:
    model.double()


def loaded(model: tf.Model) -> None:
    model.load_state_dict({name: each * 2 for name, each in model.state_dict().items()}, assign=True)


def other_buffer(model: tf.Model) -> None:
    model.get_layer("norm").running_mean.data = torch.ones(8)


def other_epsilon(model: tf.Model) -> None:
    model.get_layer("norm").epsilon = 0.5


def hooked(model: tf.Model) -> None:
    model.layers[1].register_forward_hook(lambda module, given, found: found + 1)


def hooked_before(model: tf.Model) -> None:
    model.layers[1].register_forward_pre_hook(lambda module, given: (given[0] + 1,))


def replaced_layer(model: tf.Model) -> None:
    model.get_layer("square")._modules.update(inner=None)
    name = next(name for name, each in model._modules.items() if each is model.get_layer("square"))
    model._modules[name] = layers.Dense(8, name="square", activation="tanh")
    model._modules[name].build((None, 8))


def trained(model: tf.Model) -> None:
    model.fit(np.tile(ROWS, (20, 1)), np.ones((100, 3), np.float32), batch_size=8, epochs=2, verbose=0)


def trained_by_batch(model: tf.Model) -> None:
    for _ in range(12):
        model.train_on_batch(ROWS, np.ones((5, 3), np.float32))


CHANGES: list[Change] = [
    swapped, swapped_unseen, another_weight, another_weight_unseen, other_numbers, other_memory,
    other_memory_of_a_bias, another_shape_of_a_bias, turned, doubled, loaded, other_buffer,
    other_epsilon, hooked, hooked_before, replaced_layer, trained, trained_by_batch,
]  # fmt: skip


@pytest.mark.parametrize("without_counts", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_two_predictions_counts(
    change: Change, without_counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without_counts:  # as where PyTorch or CPython do not tell them
        monkeypatch.setattr(glance, "_version", None)
        monkeypatch.setattr(glance, "_tensor_guards", None)
    model = made(layers.Dense(8, name="square"), layers.BatchNormalization(name="norm"))
    before = predicted(model, times=6)
    assert repeats(model)
    change(model)
    for _ in range(8):
        after = predicted(model)
        np.testing.assert_array_equal(after, by_calls(model))
    assert (after != before).any()


def test_what_changes_a_module_and_not_its_forward_is_seen_by_a_longer_look() -> None:
    model = made()
    predicted(model, times=6)
    for change in (model.eval, model.train):
        predicted(model, times=5)
        change()
        predicted(model, times=5)
        assert repeats(model)
    seen = forwards(model).glance
    model.layers[1].unrelated = 1
    del model.layers[1].unrelated
    assert repeats(model) and forwards(model).glance is seen


def test_a_module_that_changes_with_each_call_is_left_alone() -> None:
    model = made()
    for scale in range(60):
        model.layers[1].activation = lambda x, scale=scale: torch.relu(x) * scale
        np.testing.assert_array_equal(predicted(model), by_calls(model))
    other = made()
    for scale in range(60):
        if scale % 6 == 0:
            other.layers[1].weight.data = torch.full((8, 6), float(scale))
        np.testing.assert_array_equal(predicted(other), by_calls(other))
    assert "it changes from one call to the next" in forwards(other).why_not


class Foreign(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class AlwaysNoisy(layers.Layer):
    def call(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


def hook(module: nn.Module) -> nn.Module:
    module.register_forward_hook(lambda *_: None)
    return module


REFUSALS: dict[str, Callable[[], Any]] = {
    "is a Foreign": Foreign,
    "is a AlwaysNoisy": AlwaysNoisy,
    "has a hook": lambda: hook(nn.Linear(8, 8)),
    "is a ParametrizedLinear": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)),
    "keep what they add to a loss": lambda: layers.Dense(8, activity_regularizer="l2"),
    "calls": lambda: layers.Lambda(lambda x: x * 2, output_shape=(8,)),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_is_not_known_is_called_and_the_reason_is_kept(reason: str) -> None:
    model = made(REFUSALS[reason]())
    for _ in range(6):
        model.predict(ROWS, batch_size=1, verbose=0)
    predicted(model, times=6)
    assert reason in predictions(model).why_not and not predictions(model).found
    assert "keep what" in reason or (reason in forwards(model).why_not and not forwards(model).found)


def test_run_eagerly_is_heeded() -> None:
    model = made()
    predicted(model, times=6)
    model.run_eagerly = True
    predicted(model, times=6)
    assert "run_eagerly=True asks for that" in forwards(model).why_not


def test_what_returns_its_input_or_a_weight_is_called() -> None:
    for module in (
        nn.Sequential(nn.Identity()),
        nn.Sequential(nn.Linear(6, 6), nn.Flatten(0), nn.Unflatten(0, (5, 6))),
    ):
        trainer = tf.Trainer(module, loss="mse")
        found = [trainer.predict(ROWS, verbose=0) for _ in range(8)]
        found[-2][:] = 7.0
        np.testing.assert_array_equal(found[-1], found[0])
        np.testing.assert_array_equal(trainer.predict(ROWS, verbose=0), found[0])


def test_a_text_that_does_another_thing_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    right = programs.in_place
    monkeypatch.setattr(
        programs, "in_place", lambda lines: replace(right(lines), returned=lines.lines[0].results)
    )
    model = made(layers.Dense(3))
    for _ in range(8):
        np.testing.assert_array_equal(predicted(model), by_calls(model))
    assert "it returned something else when it was repeated" in forwards(model).why_not


def test_predictions_keep_no_parameter_from_being_stepped_in_pieces_of_memory() -> None:
    model = made(layers.Dense(8))
    predicted(model, times=8)
    for _ in range(2):
        trained(model)
        assert model.trainer is not None and model.trainer.step.notes.kept.flat is not None
        predicted(model, times=8)
        np.testing.assert_array_equal(predicted(model), by_calls(model))
    trained_by_batch(model)
    for _ in range(12):
        model.train_on_batch(ROWS, np.ones((5, 3), np.float32))
        np.testing.assert_array_equal(predicted(model), by_calls(model))


def test_a_copy_predicts_by_itself_and_nothing_keeps_a_model_alive() -> None:
    model = made()
    predicted(model, times=6)
    other = copy.deepcopy(model)
    other_numbers(other)
    predicted(other, times=6)
    np.testing.assert_array_equal(predicted(other), by_calls(other))
    np.testing.assert_array_equal(predicted(model), by_calls(model))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_many_batches_are_predicted_as_one_is_and_callbacks_may_change_the_module_between() -> None:
    rows = np.random.default_rng(1).normal(size=(70, 6)).astype("float32")
    model, twin = made(), made()
    twin.run_eagerly = True
    for _ in range(3):
        found = model.predict(rows, batch_size=8, verbose=0)
        np.testing.assert_array_equal(found, twin.predict(rows, batch_size=8, verbose=0))
    assert predictions(model).repetitions > 10
    predicted(model, times=6)
    for _ in range(3):
        model.predict(rows, batch_size=8, verbose=0)
        assert repeats(model)
    assert not predictions(model).changes and not forwards(model).changes

    def predicted_with(each: tf.Model) -> np.ndarray:
        hook = tf.callbacks.LambdaCallback()
        hook.on_predict_batch_end = lambda batch, logs=None: swapped(each) if batch == 3 else None
        outcome: np.ndarray = each.predict(rows, batch_size=8, verbose=0, callbacks=[hook])
        return outcome

    changed = predicted_with(model)
    np.testing.assert_array_equal(changed, predicted_with(twin))
    assert (changed != found).any()


def test_arrays_that_lie_otherwise_are_predicted_too() -> None:
    model, twin = made(), made()
    twin.run_eagerly = True
    wide = np.random.default_rng(1).normal(size=(6, 40)).astype("float32")
    for rows in (wide.T, np.ascontiguousarray(wide.T), wide.T[::2], wide.T.astype("float64"), wide.T):
        for _ in range(6):
            found = model.predict(rows, batch_size=8, verbose=0)
            np.testing.assert_array_equal(found, twin.predict(rows, batch_size=8, verbose=0))


TOO_FEW = "# Not recorded, because it takes 4 batches of one shape to gain by it.\n"


def codes(model: tf.Model) -> tuple[str, str]:
    return model.trainer.evaluate_code, model.trainer.predict_code


def test_what_is_repeated_can_be_looked_at() -> None:
    model = made()
    x, y = np.zeros((160, 6), "float32"), np.zeros((160, 3), "float32")
    assert codes(model) == (TOO_FEW, TOO_FEW)
    predicted(model, times=5)
    assert "def forward(batch_0):\n    torch._addmm_activation(first_bias, batch_0" in codes(model)[1]
    assert codes(model)[0] == TOO_FEW
    model.evaluate(x, y, verbose=0)
    assert "def forward(batch_0, batch_1):" in codes(model)[0] and "mse_loss" in codes(model)[0]


def test_a_view_of_batches_that_predict_repeats_is_one_too() -> None:
    model = made()
    model.predict(np.zeros((160, 6), "float32"), verbose=0)
    assert "def forward(batch_0):" in codes(model)[1]


def test_where_nothing_is_repeated_the_view_says_why() -> None:
    x, y = np.zeros((160, 6), "float32"), np.zeros((160, 3), "float32")

    def said(model: Any, x: Any) -> set[str]:
        model.evaluate(x, y, verbose=0)
        model.predict(x, verbose=0)
        return {each.removeprefix("# Not recorded, because ").rstrip() for each in codes(model)}

    eager, halves = made(), made()
    eager.compile("sgd", "mse", run_eagerly=True)
    assert said(eager, x) == {"run_eagerly=True asks for that."}
    halves.compile("sgd", "mse", precision="bf16")
    assert said(halves, x) == {"it was compiled with options that it does not know."}

    class Mine(tf.Model):
        def test_step(self, data: Any) -> dict[str, Any]:
            return {"loss": torch.zeros(())}

        def predict_step(self, data: Any) -> Any:
            return torch.zeros(len(data), 3)

    inputs = tf.Input((6,))
    mine = Mine(inputs, layers.Dense(3)(inputs))
    mine.compile("sgd", "mse")
    assert said(mine, x) == {"it is a step of your own."}
    one, other = tf.Input((6,)), tf.Input((6,))
    two = tf.Model([one, other], layers.Dense(3)(one + other))
    two.compile("sgd", "mse")
    two.predict([x, x], verbose=0)
    assert codes(two)[1] == "# Not recorded, because it does not take one input.\n"
