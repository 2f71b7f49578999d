"""What trains equally in one process and in two: each check returns figures and weights by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.utils.data import DataLoader, TensorDataset

import torchfunc as tf
from torchfunc import layers


def parts() -> int:
    """Into how many parts a joined batch is divided."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def size(joined: int) -> int:
    """The batch size of a process."""
    import os

    return joined // int(os.environ.get("WORLD_SIZE", 1))


def numbers(shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def classes(count: int, number: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, number, count)


def results(model: Any, history: Any, *more: Any) -> dict[str, Any]:
    weights = {name: each.detach().numpy().copy() for name, each in model.state_dict().items()}
    return {"history": history.history, "weights": weights, "more": more}


def mlp() -> Any:
    inputs = tf.Input((4,))
    return tf.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dense(8, activation="relu")(inputs)))


def dense_on_arrays(**options: Any) -> Any:
    model, x, y = mlp(), numbers((103, 4)), classes(103, 3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    history = model.fit(x, y, batch_size=size(16), epochs=3, verbose=0, validation_split=0.2)
    return results(
        model, history, model.evaluate(x, y, size(8), verbose=0), model.predict(x, size(8), verbose=0)
    )


def class_and_sample_weights(**options: Any) -> Any:
    model, x, y = mlp(), numbers((50, 4)), classes(50, 3)
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"], **options)
    weights = np.random.default_rng(2).uniform(size=50).astype("float32")
    history = model.fit(
        x,
        y,
        batch_size=size(16),
        epochs=2,
        verbose=0,
        sample_weight=weights,
        class_weight={0: 1.0, 1: 3.0, 2: 0.5},
    )
    return results(model, history, model.evaluate(x, y, verbose=0, sample_weight=weights))


def several_outputs(**options: Any) -> Any:
    inputs = tf.Input((4,), name="x")
    hidden = layers.Dense(6, activation="tanh", kernel_regularizer="l2", activity_regularizer="l1")(inputs)
    outputs = {
        "kind": layers.Dense(3, activation="softmax", name="kind")(hidden),
        "size": layers.Dense(1, name="size")(hidden),
        "unused": layers.Dense(2, name="unused")(hidden),
    }
    model = tf.Model(inputs, outputs)
    model.compile(
        "adam",
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"kind": 0.3, "size": 2.0},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
        **options,
    )
    x, y = numbers((45, 4)), {"kind": classes(45, 3), "size": numbers((45, 1), 3)}
    history = model.fit(x, y, batch_size=size(8), epochs=2, verbose=0)
    predicted = model.predict(x, size(8), verbose=0)
    return results(model, history, model.evaluate(x, y, verbose=0, return_dict=True), predicted)


def lstm_with_masks(**options: Any) -> Any:
    inputs = tf.Input((None,), dtype="int64")
    x = layers.Embedding(11, 5, mask_zero=True)(inputs)
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(layers.LSTM(6, return_sequences=True)(x)))
    model.compile("rmsprop", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"], **options)
    rng = np.random.default_rng(0)
    words = rng.integers(1, 11, (37, 7)) * (np.arange(7) < rng.integers(1, 8, (37, 1)))
    history = model.fit(words, classes(37 * 7, 3).reshape(37, 7), batch_size=size(8), epochs=2, verbose=0)
    return results(model, history, model.predict(words, verbose=0))


def ignored_targets(**options: Any) -> Any:
    torch.manual_seed(0)
    model, y = nn.Linear(4, 3), torch.as_tensor(classes(41, 3))
    y[::3] = -100
    trainer = tf.Trainer(
        model, optimizer="sgd", loss=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5])), **options
    )
    history = trainer.fit(torch.as_tensor(numbers((41, 4))), y, batch_size=size(8), epochs=2, verbose=0)
    return results(model, history)


def sum_of_losses(**options: Any) -> Any:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    trainer = tf.Trainer(
        model,
        optimizer=torch.optim.SGD(model.parameters(), 0.01),
        loss=nn.MSELoss(reduction="sum"),
        **options,
    )
    history = trainer.fit(numbers((21, 4)), numbers((21, 3), 4), batch_size=size(4), epochs=2, verbose=0)
    return results(model, history)


def dataset_and_loader() -> Any:
    model, data = mlp(), TensorDataset(torch.as_tensor(numbers((45, 4))), torch.as_tensor(classes(45, 3)))
    held = torch.utils.data.Subset(data, range(45))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(held, batch_size=size(8), epochs=2, verbose=0)
    torch.manual_seed(7)
    loader = DataLoader(data, size(8), shuffle=True)
    more = model.fit(loader, epochs=2, verbose=0, validation_data=DataLoader(data, size(4)))
    predicted = model.predict(DataLoader(data, size(8)), verbose=0)
    return results(model, history, more.history, predicted)


def list_of_batches() -> Any:
    model, x, y = mlp(), numbers((36, 4)), classes(36, 3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    step = size(12)
    batches = [(x[at : at + step], y[at : at + step]) for at in range(0, 36, step)]
    history = model.fit(batches, epochs=2, verbose=0)
    return results(model, history)


def batch_normalization(**options: Any) -> Any:
    inputs = tf.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    x = nn.BatchNorm1d(36)(x)
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile(
        "sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], sync_batchnorm=True, **options
    )
    x, y = numbers((43, 8, 8, 2)), classes(43, 3)
    history = model.fit(x, y, batch_size=size(8), epochs=2, verbose=0, validation_data=(x, y))
    return results(model, history, model.evaluate(x, y, verbose=0), model.predict(x, verbose=0))


def step_that_calls_ours(**options: Any) -> Any:
    class Own(tf.Model):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    inputs = tf.Input((4,))
    model = Own(inputs, layers.Dense(3, activation="softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    return results(model, model.fit(numbers((37, 4)), classes(37, 3), size(16), epochs=2, verbose=0))


def loss_of_the_users_own(**options: Any) -> Any:
    class Own(tf.Model):
        def compute_loss(
            self,
            x: Any = None,
            y: Any = None,
            y_pred: Any = None,
            sample_weight: Any = None,
            training: Any = True,
        ) -> Any:
            return (y_pred - y).square().mean() + self.get_layer("dense").weight.square().sum()

    inputs = tf.Input((4,))
    model = Own(inputs, layers.Dense(1, name="dense")(inputs))
    model.compile("sgd", **options)
    return results(model, model.fit(numbers((37, 4)), numbers((37, 1)), size(16), epochs=2, verbose=0))


def dense_with_clipping_averages_and_a_schedule(**options: Any) -> Any:
    model, x, y = mlp(), numbers((50, 4)), classes(50, 3)
    model.compile(
        torch.optim.SGD(model.parameters(), 0.5, momentum=0.9),
        "sparse_categorical_crossentropy",
        global_clipnorm=0.1,
        use_ema=True,
        ema_momentum=0.9,
        lr_scheduler={
            "scheduler": lambda each: torch.optim.lr_scheduler.StepLR(each, 2, 0.5),
            "interval": "step",
        },
        **options,
    )
    return results(model, model.fit(x, y, size(8), epochs=3, verbose=0))


def layers_that_few_samples_use(**options: Any) -> Any:
    """Of each full batch only the second process, if any, has samples for the second layer; nobody for the third."""

    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            some = x[:, 0] > 0
            outputs = self.first(x)
            return outputs.index_add(0, some.nonzero()[:, 0], self.second(x[some])) if some.any() else outputs

    torch.manual_seed(0)
    model = Parts()
    trainer = tf.Trainer(model, optimizer="adamw", loss=nn.CrossEntropyLoss(), **options)
    x = numbers((37, 4))
    x[:, 0] = np.where(np.arange(37) % 8 < 4, -1, 1)
    history = trainer.fit(x, classes(37, 3), size(8), epochs=2, verbose=0, shuffle=False)
    return results(model, history)


class Accumulated:
    """A check of which a step is made of three batches."""

    def __init__(self, check: Any) -> None:
        self.check, self.__name__ = check, f"{check.__name__}_accumulated"

    def __call__(self) -> Any:
        return self.check(gradient_accumulation_steps=3)


ALL = [
    dense_on_arrays, batch_normalization, lstm_with_masks, several_outputs, class_and_sample_weights,
    ignored_targets, sum_of_losses, dataset_and_loader, list_of_batches, step_that_calls_ours, loss_of_the_users_own,
    layers_that_few_samples_use, dense_with_clipping_averages_and_a_schedule,
    *map(Accumulated, [
        dense_on_arrays, batch_normalization, lstm_with_masks, several_outputs, class_and_sample_weights,
        ignored_targets, sum_of_losses, step_that_calls_ours, loss_of_the_users_own,
        layers_that_few_samples_use, dense_with_clipping_averages_and_a_schedule,
    ]),
]  # fmt: skip
