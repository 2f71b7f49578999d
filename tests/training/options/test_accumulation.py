"""Accumulation: several batches make the step that one batch of them all would."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import torchfunc as tf
from tests.training.modules import TwoHeads, classification, mlp, same_weights, two_heads_data
from torchfunc import callbacks, layers, losses, optimizers
from torchfunc.errors import CompileError, ConfigError
from torchfunc.training import Trainer
from torchfunc.training.options.accumulation import check_sums

X, Y = classification(70)
RNG = np.random.default_rng(3)
WEIGHTS = RNG.random(70).astype("float32")
OPTIMIZERS: dict[str, Any] = {
    "adam": lambda: optimizers.Adam(0.01),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "torch": lambda: partial(torch.optim.AdamW, lr=0.01),
    "torch, centered": lambda: partial(torch.optim.RMSprop, lr=0.01, centered=True),
}


def close(one: nn.Module, other: nn.Module) -> None:
    for name, each in one.state_dict().items():
        torch.testing.assert_close(each, other.state_dict()[name], atol=1e-6, rtol=1e-5, msg=name)


def trained(
    module: nn.Module, data: Any, size: int, steps: int | None, epochs: int = 2, **options: Any
) -> Any:
    compiled = {"optimizer": optimizers.SGD(0.1, momentum=0.9), "loss": nn.CrossEntropyLoss(), **options}
    trainer = Trainer(module, **compiled, gradient_accumulation_steps=steps)
    trainer.fit(*data, batch_size=size, epochs=epochs, shuffle=False, verbose=0)
    return trainer


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_three_batches_are_one_for_any_optimizer_and_what_is_left_is_stepped_too(optimizer: str) -> None:
    make = OPTIMIZERS[optimizer]
    several = trained(mlp(), (X, Y), 8, 3, optimizer=make())  # 8 batches of 8 and one of 6: 24, 24, 22
    joined = trained(mlp(), (X, Y), 24, None, optimizer=make())
    close(several.module, joined.module)
    assert several.step.count == 18 and several.step.learning.steps == 6


def uneven(size: int) -> list[Any]:
    """Batches of changing sizes, and the same samples joined three by three."""
    borders = [0, 3, 14, 20, 41, 42, 50, 70]
    batches = [(X[a:b], Y[a:b], WEIGHTS[a:b]) for a, b in pairwise(borders)]
    if size == 1:
        return batches
    return [
        tuple(np.concatenate(each) for each in zip(*batches[start : start + size], strict=True))
        for start in range(0, len(batches), size)
    ]


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_uneven_batches_with_sample_weights_are_the_joined_batch(reduction: Any) -> None:
    def loss() -> Any:
        return losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)

    rate = optimizers.SGD(0.001 if reduction == "sum" else 0.1)
    several = trained(mlp(), (uneven(1),), None, 3, loss=loss(), optimizer=rate)
    joined = trained(
        mlp(), (uneven(3),), None, None, loss=loss(), optimizer=optimizers.SGD(rate.learning_rate)
    )
    close(several.module, joined.module)


@pytest.mark.parametrize(
    "loss", [nn.CrossEntropyLoss(ignore_index=1), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.1]))]
)
def test_what_does_not_count_by_its_target_does_not_count_in_the_whole(loss: Any) -> None:
    data = [batch[:2] for batch in uneven(1)]
    whole = [batch[:2] for batch in uneven(3)]
    close(
        trained(mlp(), (data,), None, 3, loss=loss).module,
        trained(mlp(), (whole,), None, None, loss=loss).module,
    )


def masked() -> Any:
    torch.manual_seed(5)
    inputs = tf.Input((None,), dtype="int64")
    x = layers.Embedding(20, 6, mask_zero=True)(inputs)
    x = layers.LSTM(5, return_sequences=True)(x)
    tags = layers.Dense(4, name="tags")(x)
    whole = layers.Dense(1, name="whole", kernel_regularizer="l2", activity_regularizer="l2")(
        layers.GlobalAveragePooling1D()(x)
    )
    return tf.Model(inputs, {"tags": tags, "whole": whole})


def sequences(count: int, joined: int) -> list[Any]:
    """Batches of sequences whose masks differ in length."""
    rng = np.random.default_rng(6)
    x = rng.integers(1, 20, size=(count, 9))
    for row, length in enumerate(rng.integers(1, 10, size=count)):
        x[row, length:] = 0
    y = {"tags": rng.integers(0, 4, size=(count, 9)), "whole": rng.normal(size=(count, 1)).astype("float32")}
    borders = [0, 2, 9, 10, 16][:: 1 if joined == 1 else 2]
    return [(x[a:b], {k: v[a:b] for k, v in y.items()}) for a, b in pairwise(borders)]


def test_masks_several_outputs_and_regularizers_are_those_of_the_joined_batch() -> None:
    loss = {"tags": losses.SparseCategoricalCrossentropy(from_logits=True), "whole": "mse"}
    several, joined = (
        trained(masked(), (sequences(16, size),), None, 3 - size, loss=loss, loss_weights={"tags": 2.0})
        for size in (1, 2)
    )
    assert several.step.learning.steps == 4
    close(several.module, joined.module)


def test_two_heads_of_a_plain_module() -> None:
    x, y = two_heads_data(40)
    several, joined = (
        trained(
            TwoHeads(),
            (x, y),
            size,
            steps,
            loss=["mse", nn.CrossEntropyLoss()],
            output_names=["score", "kind"],
        )
        for size, steps in ((7, 3), (21, None))
    )
    close(several.module, joined.module)


def test_the_loss_of_a_model_of_ones_own_is_weighed_by_samples() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: Any) -> Any:
            return F.cross_entropy(y_pred, y)

    def run(size: int, steps: int | None) -> nn.Module:
        module = Own()
        step = type("Steps", (), {"compute_loss": staticmethod(module.compute_loss)})()
        return trained(module, (X, Y), size, steps, step=step).module

    close(run(8, 3), run(24, None))


@pytest.mark.parametrize("how", [{"clipnorm": 0.05}, {"clipvalue": 0.01}, {"global_clipnorm": 0.1}])
@pytest.mark.parametrize("precision", [None, "fp16"])
def test_clipping_serves_pytorchs_optimizers_as_it_does_ours(how: dict[str, float], precision: Any) -> None:
    def run(optimizer: Any, **options: Any) -> nn.Module:
        return trained(mlp(), (X, Y), 8, 2, optimizer=optimizer, precision=precision, **options).module

    torchs = run(partial(torch.optim.SGD, lr=0.1, momentum=0.9), **how)
    ours = run(optimizers.SGD(0.1, momentum=0.9, **how))
    close(torchs, ours)
    assert not same_weights(torchs, run(partial(torch.optim.SGD, lr=0.1, momentum=0.9)))


def test_averages_serve_pytorchs_optimizers_as_they_do_ours() -> None:
    ema: dict[str, Any] = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 4}
    torchs = trained(mlp(), (X, Y), 8, None, optimizer=partial(torch.optim.SGD, lr=0.1), **ema)
    ours = trained(mlp(), (X, Y), 8, None, optimizer=optimizers.SGD(0.1, **ema))
    close(torchs.module, ours.module)

    swap = callbacks.SwapEMAWeights()
    torchs.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[swap])


def test_batches_that_wait_are_saved_and_go_on_to_the_bit(tmp_path: Path) -> None:
    def made() -> Any:
        torch.manual_seed(3)
        inputs = tf.Input((8,))
        model = tf.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dense(8, "relu")(inputs)))
        model.compile(
            "adam", "sparse_categorical_crossentropy", gradient_accumulation_steps=4, global_clipnorm=0.5
        )
        return model

    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 5:
                self.model.save(tmp_path / "m.safetensors")
                raise KeyboardInterrupt

    options: dict[str, Any] = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    whole, stopped = made(), made()
    whole.fit(X, Y, **options)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(X, Y, callbacks=[Stop()], **options)
    again = tf.load_model(tmp_path / "m.safetensors")
    assert again.trainer.state_dict()["learning"]["sums"]["count"] == 2
    again.fit(X, Y, initial_epoch=again.trainer.epoch, **options)

    assert same_weights(whole, again)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"gradient_accumulation_steps": 0},
            r"gradient_accumulation_steps: expected None or a whole number from 1",
        ),
        ({"clipnorm": -1.0}, r"clipnorm: expected None or a number above 0, got -1.0"),
        (
            {"clipnorm": 1.0, "clipvalue": 1.0},
            r"compile: expected at most one of the three, got clipnorm=1.0, clipv",
        ),
        (
            {"ema_momentum": 0.5},
            r"ema_momentum: got 0.5. Without use_ema=True it would do nothing. Fix: use_ema",
        ),
        ({"use_ema": 1}, r"use_ema: expected True or False, got 1"),
        (
            {"optimizer": optimizers.SGD(0.1, clipnorm=1.0), "clipvalue": 1.0},
            r"compile: got clipvalue beside clipnorm of the optimizer. Fix: leave it out here, or in SGD",
        ),
        (
            {
                "optimizer": optimizers.SGD(0.1, gradient_accumulation_steps=2),
                "gradient_accumulation_steps": 2,
            },
            r"gradient_accumulation_steps of the optimizer",
        ),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(CompileError, match=words):
        Trainer(mlp(), **options)


def test_a_step_of_ones_own_that_learns_by_itself_is_refused() -> None:
    class Own(tf.Model):
        def train_step(self, data: Any) -> Any:
            return {"loss": 0.0}

    class Through(tf.Model):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    inputs = tf.Input((8,))
    outputs = layers.Dense(3)(inputs)
    model = Own(inputs, outputs)
    model.compile("sgd", "mse", gradient_accumulation_steps=2)
    words = r"gradient_accumulation_steps: got a train_step of one's own .* Fix: super\(\).train_step\(data\)"
    with pytest.raises(CompileError, match=words):
        model.fit(X, X[:, :3], verbose=0)
    through = Through(inputs, outputs)
    through.compile("sgd", "mse", gradient_accumulation_steps=2)
    through.fit(X, X[:, :3], verbose=0)
    assert through.optimizer.iterations == 2


@pytest.mark.parametrize(
    "state",
    [
        {"count": 1, "totals": {}},
        {"count": 0, "totals": {}, "sums": {}},
        {"count": 1, "totals": {"samples": 1.0}, "sums": {}},
        {"count": 1, "totals": {"samples": "1"}, "sums": {"samples": {}}},
        {"count": 1, "totals": {"samples": 1.0}, "sums": {"samples": {"0.weight": torch.zeros(3)}}},
        {"count": 1, "totals": {"samples": 1.0}, "sums": {"samples": {"1.weight": torch.zeros(16, 8)}}},
        {
            "count": 1,
            "totals": {"samples": 1.0},
            "sums": {"samples": {"0.weight": torch.zeros(16, 8).double()}},
        },
    ],
)
def test_sums_that_are_none_of_the_parameters_are_refused(state: Any) -> None:
    with pytest.raises(ConfigError, match=r"\$\.sums"):
        check_sums(state, "$.sums", dict(mlp().named_parameters()))


def test_batches_that_wait_are_not_of_the_next_training() -> None:
    one, two = (trained(mlp(), (X, Y), 8, 4, epochs=1) for _ in range(2))
    one.train_on_batch(X[:8] * 9, Y[:8])
    for each in (one, two):
        each.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    assert same_weights(one.module, two.module)
