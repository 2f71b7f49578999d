"""Serving: a prediction like the last one is the module's own call, and nothing that changed is missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import DataError, TorchfuncError
from torchfunc.training import trainer as trainers

ROWS = np.random.default_rng(0).random((5, 6), dtype=np.float32)


def made() -> tf.Model:
    tf.utils.set_random_seed(0)
    inputs = tf.Input((6,))
    x = layers.BatchNormalization()(layers.Dense(8, activation="relu")(inputs))
    return tf.Model(inputs, layers.Dense(3)(layers.Dropout(0.5)(x)))


def compiled() -> tf.Model:
    model = made()
    model.compile("sgd", "mse")
    return model


def loader(rows: np.ndarray) -> Any:
    """The same rows by the long way, which nothing is remembered of."""
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.from_numpy(rows)), batch_size=32)


def expected(module: Any, rows: np.ndarray = ROWS) -> np.ndarray:
    found: np.ndarray = module.predict(loader(rows), verbose=0)
    return found


def trained_module() -> tf.Trainer:
    torch.manual_seed(0)
    return tf.Trainer(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), loss="mse")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, nothing may be looked at again."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the data were looked at")

    return lambda: monkeypatch.setattr(trainers, "Feed", refuse)


@pytest.mark.parametrize("make", [made, compiled, trained_module])
@pytest.mark.parametrize("verb", ["predict", "predict_on_batch"])
def test_the_second_prediction_is_the_call_of_the_module(
    make: Callable[[], Any], verb: str, at_once: Callable[[], None]
) -> None:
    model = make()
    options = {"verbose": 0} if verb == "predict" else {}
    wanted = expected(model), expected(model, ROWS[:1])
    first = getattr(model, verb)(ROWS, **options)
    at_once()
    again, one = getattr(model, verb)(ROWS, **options), getattr(model, verb)(ROWS[:1], **options)
    np.testing.assert_array_equal(first, wanted[0])
    np.testing.assert_array_equal(again, wanted[0])
    np.testing.assert_allclose(one, wanted[1], rtol=0, atol=1e-6)


def test_modes_are_as_before_and_predictions_are_without_dropout() -> None:
    model = compiled().train()
    frozen = model.layers[2].eval()
    found = [model.predict(ROWS, verbose=0) for _ in range(3)]
    np.testing.assert_array_equal(found[0], found[2])
    assert model.training and not frozen.training
    assert all(each.training for each in model.modules() if each is not frozen)


class StaysInTraining(nn.Linear):
    """Dropout that is asked for at inference too."""

    def train(self, mode: bool = True) -> StaysInTraining:
        return super().train(True)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) + float(self.training)


def test_a_module_with_ways_of_its_own_keeps_them() -> None:
    module = StaysInTraining(6, 2)
    trainer = tf.Trainer(module)
    wanted = (torch.from_numpy(ROWS) @ module.weight.T + module.bias + 1).detach().numpy()
    for _ in range(3):
        np.testing.assert_allclose(trainer.predict(ROWS, verbose=0), wanted, atol=1e-6)


def test_hooks_are_called_and_the_result_is_the_callers_own() -> None:
    model, called = compiled(), []
    model.predict(ROWS, verbose=0)
    model.layers[1].register_forward_hook(lambda *_: called.append(1))
    model.predict(ROWS, verbose=0)[:] = 7.0
    assert called == [1]
    assert not (model.predict(ROWS, verbose=0) == 7.0).any()
    same = tf.Trainer(nn.Sequential(nn.Linear(6, 6), nn.Identity()))
    with torch.no_grad():
        same.module[0].weight.copy_(torch.eye(6))
        same.module[0].bias.zero_()
    for _ in range(3):
        same.predict(ROWS, verbose=0)[:] = 7.0
    assert not (ROWS == 7.0).any()


def doubled(model: tf.Model) -> None:
    model.double()


def replaced(model: tf.Model) -> None:
    state = {name: value.clone() * 2 for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)


def trained(model: tf.Model) -> None:
    model.fit(ROWS, np.ones((5, 3), np.float32), epochs=2, verbose=0)


def in_halves(model: tf.Model) -> None:
    model.compile("sgd", "mse", precision="bf16")


@pytest.mark.parametrize("change", [doubled, replaced, trained, in_halves])
@pytest.mark.parametrize("verb", ["predict", "predict_on_batch"])
def test_what_changed_between_two_predictions_counts(change: Callable[[tf.Model], None], verb: str) -> None:
    model = compiled()
    options = {"verbose": 0} if verb == "predict" else {}
    before = getattr(model, verb)(ROWS, **options)
    change(model)
    after = getattr(model, verb)(ROWS, **options)
    np.testing.assert_array_equal(after, expected(model))
    assert (after != before).any() or after.dtype != before.dtype


def test_a_class_with_a_step_of_its_own_is_asked_each_time() -> None:
    class Twice(tf.Model):
        def predict_step(self, data: Any) -> Any:
            return 2 * super().predict_step(data)

    inputs = tf.Input((6,))
    model = Twice(inputs, layers.Dense(2)(inputs))
    with torch.no_grad():
        wanted = 2 * model(torch.from_numpy(ROWS)).numpy()
    for _ in range(3):
        np.testing.assert_allclose(model.predict(ROWS, verbose=0), wanted, atol=1e-6)


def test_data_that_do_not_fit_are_told_as_ever() -> None:
    model = compiled()
    model.predict(ROWS, verbose=0)
    with pytest.raises(DataError, match="features|shape"):
        model.predict(ROWS[:, :5].copy(), verbose=0)
    with pytest.raises(TypeError, match="rows"):
        model.predict(ROWS, verbose=0, rows=3)
    with pytest.raises(TorchfuncError, match="batch_size"):
        model.predict(ROWS, verbose=0, batch_size=0)


@pytest.mark.parametrize(
    "rows",
    [
        ROWS.astype(np.float64),
        ROWS[::-1],
        np.asfortranarray(ROWS),
        (ROWS > 0.5).astype(np.int64),
        np.tile(ROWS, (9, 1)),
        ROWS.tolist(),
        torch.from_numpy(ROWS),
    ],
    ids=["float64", "backwards", "columns", "integers", "two batches", "lists", "a tensor"],
)
def test_other_data_of_the_same_numbers_give_the_same(rows: Any) -> None:
    model = compiled()
    model.predict(ROWS, verbose=0)
    found = model.predict(rows, verbose=0)
    wanted = expected(model, np.ascontiguousarray(np.asarray(rows, dtype=np.float32)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_callbacks_hear_of_a_prediction() -> None:
    heard: list[Any] = []

    class Heard(tf.callbacks.Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            heard.append(batch)

    model = compiled()
    for _ in range(2):
        model.predict(ROWS, verbose=0)
        model.predict(ROWS, verbose=0, callbacks=[Heard()])
    assert heard == [0, 0]


def test_nothing_keeps_a_model_alive_and_copies_are_asked_themselves() -> None:
    import copy
    import gc
    import weakref

    model = compiled()
    model.predict(ROWS, verbose=0)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.layers[1].weight.zero_()
    assert (other.predict(ROWS, verbose=0) != model.predict(ROWS, verbose=0)).any()
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


class Sums(nn.Linear):
    """One number for the whole batch, made of inputs that it changes in place."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.mul_(2)).sum()


def test_arrays_stay_as_they_are_and_a_single_number_has_the_shape_of_the_first() -> None:
    rows, trainer = ROWS.copy(), tf.Trainer(Sums(6, 2), loss="mse")
    first, again = (trainer.predict(rows, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(rows, ROWS)
    assert first.shape == again.shape == (1,) and first == again
