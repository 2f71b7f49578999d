"""Precision: fit in halves is a hand-written loop with autocast, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import torchfunc as tf
from tests.training.modules import classification, mlp, same_weights
from torchfunc import layers, mixed_precision
from torchfunc.errors import CompileError, ConfigError, DataError
from torchfunc.training import Trainer
from torchfunc.training.options.learning import Learning, check_learning
from torchfunc.training.options.precision import computing_in, modes

X, Y = classification(70)
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def convolutional() -> Any:
    """A graph with a convolution, BatchNorm and a softmax, trained from its logits."""
    torch.manual_seed(4)
    x = inputs = tf.Input((8,))
    for layer in (
        layers.Reshape((4, 2)),
        layers.Conv1D(8, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(3),
    ):
        x = layer(x)
    return tf.Model(inputs, x)


def by_hand(module: nn.Module, precision: str, epochs: int = 2, **scaling: Any) -> nn.Module:
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", enabled=precision == "fp16", **scaling)
    module.train()
    for _ in range(epochs):
        for start in range(0, len(X), 16):
            x, y = torch.from_numpy(X[start : start + 16]), torch.from_numpy(Y[start : start + 16])
            optimizer.zero_grad()
            with torch.autocast("cpu", HALVES[precision]):
                loss = F.cross_entropy(module(x).float(), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return module


def trained(module: nn.Module, precision: Any, epochs: int = 2) -> Trainer:
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    trainer = Trainer(module, optimizer=optimizer, loss=nn.CrossEntropyLoss(), precision=precision)
    trainer.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)
    return trainer


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("make", [mlp, convolutional])
def test_halves_train_as_a_loop_with_autocast_does_to_the_bit(make: Any, precision: str) -> None:
    ours = trained(make(), precision).module

    assert same_weights(ours, by_hand(make(), precision))
    assert not same_weights(ours, trained(make(), None).module)
    assert all(each.dtype is torch.float32 for each in ours.parameters())


@pytest.mark.parametrize("precision", HALVES)
def test_figures_and_predictions_of_halves_are_in_float32(precision: Any) -> None:
    torch.manual_seed(0)
    inputs = tf.Input((8,))
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dense(16, "relu")(inputs)))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], precision=precision)

    predicted = model.predict(X, verbose=0)
    with torch.autocast("cpu", HALVES[precision]):
        expected = model(torch.from_numpy(X))
    loss, accuracy = model.evaluate(X, Y, verbose=0)

    assert predicted.dtype == np.float32
    np.testing.assert_array_equal(predicted, expected.detach().float().numpy())
    assert accuracy == pytest.approx((predicted.argmax(1) == Y).mean())
    # from the logits, which are halves, in float32
    assert loss == pytest.approx(-np.log(predicted[np.arange(70), Y].astype("float64")).mean(), rel=4e-3)
    assert model.fit(X, Y, verbose=0, epochs=20).history["loss"][-1] < loss


@pytest.fixture
def policy() -> Iterator[None]:
    yield
    tf.config.set_dtype_policy("float32")


@pytest.mark.parametrize(("name", "precision"), [("mixed_bfloat16", "bf16"), ("mixed_float16", "fp16")])
def test_a_mixed_policy_of_keras_is_that_precision(policy: None, name: str, precision: str) -> None:
    mixed_precision.set_global_policy(name)
    assert trained(mlp(), None).step.options.precision == precision
    ours = trained(mlp(), None).module
    tf.config.set_dtype_policy("float32")

    assert same_weights(ours, trained(mlp(), precision).module)


def test_the_scale_of_float16_is_saved_and_goes_on(tmp_path: Path) -> None:
    def made() -> Any:
        model = convolutional()
        loss = tf.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, precision="fp16", deterministic=True)
        return model

    whole, half = made(), made()
    for model, epochs in ((whole, 4), (half, 2)):
        model.fit(X, Y, epochs=epochs, shuffle=False, verbose=0)
    half.trainer.step.learning.scaler.update(128.0)
    half.save(tmp_path / "m.safetensors")
    again = tf.load_model(tmp_path / "m.safetensors")
    again.fit(X, Y, initial_epoch=2, epochs=4, shuffle=False, verbose=0)

    assert again.get_compile_config()["precision"] == "fp16" and again.get_compile_config()["deterministic"]
    assert again.trainer.state_dict()["learning"] == {"steps": 12, "scale": [128.0, 12]}
    whole_state = whole.trainer.state_dict()["learning"]
    assert whole_state == {"steps": 12, "scale": [65536.0, 12]}


def test_a_step_whose_gradients_float16_cannot_hold_is_passed_over_at_a_smaller_scale() -> None:
    module = mlp()
    before = {name: each.clone() for name, each in module.state_dict().items()}
    trainer = Trainer(module, optimizer="sgd", loss=lambda y, p: 1e3 * (p - 1).square(), precision="fp16")
    trainer.fit(X[:16], X[:16, :3], verbose=0)
    assert all(torch.equal(before[name], each) for name, each in module.state_dict().items())
    assert trainer.state_dict()["learning"]["scale"][0] == 2.0**15
    trainer.fit(X[:16], X[:16, :3], epochs=10, verbose=0)
    assert not all(torch.equal(before[name], each) for name, each in module.state_dict().items())


def test_gradients_that_no_scale_helps_are_an_error() -> None:
    learning = Learning(Trainer(mlp(), precision="fp16").step.options, mlp())
    learning.begin(torch.device("cpu"))
    weight = nn.Parameter(torch.ones(1))
    weight.grad = torch.full((1,), torch.inf)
    optimizer = torch.optim.SGD([weight], 0.1)
    learning.scaler.scale(torch.ones(()))

    with pytest.raises(DataError, match=r"float16 cannot hold, 100 steps in a row. Fix: precision='bf16'"):
        for _ in range(100):
            assert not learning.step(optimizer)


def test_tf32_is_a_mode_while_it_trains_and_is_refused_where_it_would_change_nothing() -> None:
    matmul, cuda = torch.backends.cuda.matmul, torch.device("cuda")
    assert computing_in("tf32", cuda) is None
    before = matmul.fp32_precision
    with modes("tf32", False, cuda):
        assert matmul.fp32_precision == "tf32" == torch.backends.cudnn.conv.fp32_precision
    assert matmul.fp32_precision == before
    with pytest.raises(
        CompileError, match=r"precision: got 'tf32' on the device cpu\. .* Fix: precision='bf16'"
    ):
        trained(mlp(), "tf32")


def test_deterministic_algorithms_are_asked_for_while_it_trains_and_not_after() -> None:
    asked = []

    class Asking(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            asked.append(torch.are_deterministic_algorithms_enabled())
            return super().forward(input)

    Trainer(Asking(8, 3), loss=nn.CrossEntropyLoss(), deterministic=True).fit(X, Y, verbose=0)

    assert all(asked[-3:]) and not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "half"}, r"precision: expected one of 'bf16', 'fp16', 'tf32' or None, got 'half'"),
        ({"precision": ["bf16"]}, r"precision: expected one of"),
        ({"deterministic": "yes"}, r"deterministic: expected True or False, got 'yes'"),
    ],
)
def test_an_option_of_another_kind_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(CompileError, match=words):
        Trainer(mlp(), **options)
    model = convolutional()
    with pytest.raises(CompileError, match=words):
        model.compile("sgd", "mse", **options)
    with pytest.raises(ConfigError, match=r"\$\.compile: " + words):
        model.compile_from_config({"optimizer": "sgd", **options})


_SCALES: list[Any] = [1.0, [1.0], ["a", 1], [-1.0, 0], [1.0, -1]]


@pytest.mark.parametrize(
    "state", [[], {"a": 1}, {"steps": -1}, *({"steps": 1, "scale": each} for each in _SCALES)]
)
def test_a_state_that_is_none_of_a_scaler_is_refused(state: Any) -> None:
    with pytest.raises(ConfigError, match=r"\$\.training\.learning"):
        check_learning(state, "$.training.learning", mlp())


def test_steps_of_ones_own_are_computed_in_halves_too() -> None:
    seen: list[torch.dtype] = []

    class Own(tf.Model):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

        def test_step(self, data: Any) -> Any:
            seen.append(self(data[0]).dtype)
            return super().test_step(data)

        def predict_step(self, data: Any) -> Any:
            return self(data)

    def made(kind: Any) -> Any:
        torch.manual_seed(0)
        inputs = tf.Input((8,))
        model = kind(inputs, layers.Dense(3)(inputs))
        model.compile("sgd", nn.CrossEntropyLoss(), precision="bf16")
        model.fit(X, Y, verbose=0, shuffle=False, validation_data=(X, Y))
        return model

    own = made(Own)
    assert same_weights(own, made(tf.Model)) and set(seen) == {torch.bfloat16}
    np.testing.assert_array_equal(own.predict(X, verbose=0), made(tf.Model).predict(X, verbose=0))
