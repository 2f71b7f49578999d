"""What each of two processes does and shows by itself: each check returns what a test looks at."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, TensorDataset, get_worker_info

import torchfunc as tf
from tests.distributed.equal_to_one import classes, mlp, numbers
from torchfunc import callbacks
from torchfunc.distributed.launch import ranks_for
from torchfunc.distributed.ranks import PLACES
from torchfunc.training import state


def rank() -> int:
    return int(os.environ["RANK"])


def compiled(**options: Any) -> Any:
    model = mlp()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


X, Y = numbers((40, 4)), classes(40, 3)


def what_is_shown() -> Any:
    compiled().fit(X, Y, 8, epochs=2)


def dropout_and_order(seeded: bool) -> Any:
    ranks_for(torch.nn.Linear(1, 1), None).told = False  # type: ignore[union-attr]
    torch.manual_seed(100 + rank())
    if not seeded:
        state._UNCHOSEN.add(torch.initial_seed())
    inputs = tf.Input((4,))
    hidden = tf.layers.Dropout(0.5)(tf.layers.Dense(8)(inputs))
    model = tf.Model(inputs, tf.layers.Dense(3, activation="softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, 8, verbose=2)
    return model.get_weights(), torch.rand(3).tolist()


def seeds_of_their_own() -> Any:
    return dropout_and_order(seeded=True)


def nobody_has_seeded() -> Any:
    return dropout_and_order(seeded=False)


def the_clock_of_one_rank() -> Any:
    """The time of the second rank is over at its first batch."""
    model = compiled()
    model.fit(X, Y, 4, epochs=3, verbose=0, max_time=1e-9 if rank() == 1 else None)
    return int(model.trainer.epoch), model.trainer.step.done, model.optimizer.iterations


def callbacks_of_one_rank_alone() -> Any:
    """A callback of the first rank reads logs at each batch; the second rank stops the training."""
    seen = []

    class Stops(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((batch, logs["loss"]) if rank() == 0 else batch)
            if batch == 1 and rank() == 1:
                self.model.stop_training = True

    class Reads(callbacks.Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(logs["loss"])

    given = [Stops(), *([Reads()] if rank() == 0 else [])]
    model = compiled()
    history = model.fit(X, Y, 4, epochs=3, verbose=0, validation_data=(X, Y), callbacks=given)
    return len(history.epoch), model.optimizer.iterations, len(seen), bool(model.stop_training)


def early_stopping_and_files() -> Any:
    model = compiled()
    given = [
        callbacks.EarlyStopping("loss", patience=1, min_delta=10.0),
        callbacks.ModelCheckpoint("kept/{epoch}.safetensors"),
        callbacks.CSVLogger("log.csv"),
        callbacks.BackupAndRestore("backup", delete_checkpoint=False),
    ]
    saved = []
    write = model.save
    model.save = lambda *args, **options: (saved.append(args[0]), write(*args, **options))
    history = model.fit(X, Y, 8, epochs=9, verbose=0, callbacks=given)
    return (
        len(history.epoch),
        len(saved),
        sorted(each.name for each in Path("kept").iterdir()),
        Path("log.csv").read_text().count("\n"),
    )


def what_is_written_and_posted() -> Any:
    """What of this process reaches files, a server and the screen, and how often a callback of the user's is told."""
    told, posts = [], []

    class Post:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: Any) -> None:
            pass

    class Service(callbacks.loggers.trackers.Tracker):
        def _package(self) -> Any:
            return None

        def _open(self) -> bool:
            return bool(posts.append("open")) or True

        def _tell(self, figures: dict[str, float]) -> None:
            posts.append("figures")

        def _close(self) -> None:
            posts.append("close")

    given = [
        callbacks.TensorBoard("events", update_freq=2, histogram_freq=1),
        callbacks.CSVLogger(f"log-{rank()}.csv"),
        callbacks.RemoteMonitor(),
        Service(every=2),
        callbacks.EarlyStopping("loss", patience=0, min_delta=9.0, verbose=1),
        callbacks.LearningRateScheduler(lambda epoch: 0.1, verbose=1),
        callbacks.ModelCheckpoint(f"once-{rank()}/m.safetensors", verbose=1),
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: told.append(epoch)),
    ]
    with patch("urllib.request.urlopen", lambda *given, **options: (posts.append("remote"), Post())[1]):
        history = compiled().fit(X, Y, 8, epochs=3, verbose=0, callbacks=given)
    files = sorted(str(each) for each in Path().glob(f"*-{rank()}*") if each.name != "kept")
    events = sorted(
        {int(each.name.split(".")[-2]) == os.getpid() for each in Path("events").rglob("*tfevents*")}
    )
    return posts, told, files, events, history.history


def histograms_of_shards() -> Any:
    try:
        model = compiled(distribute="fsdp")
        model.fit(X, Y, 8, verbose=0, callbacks=[callbacks.TensorBoard("shards", histogram_freq=1)])
        return "no error"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def a_sampler_of_the_user() -> Any:
    """41 samples by a DistributedSampler, which repeats one of them to have 42."""
    data = TensorDataset(torch.as_tensor(numbers((41, 4))), torch.as_tensor(classes(41, 3)))
    sampler = DistributedSampler(data, shuffle=True)
    epochs: list[int] = []
    sampler.set_epoch = lambda epoch: epochs.append(epoch)  # type: ignore[method-assign]
    in_order = DataLoader(data, 8, sampler=DistributedSampler(data, shuffle=False))
    model = compiled()
    model.fit(DataLoader(data, 8, sampler=sampler), epochs=3, verbose=0)
    weights = model.get_weights()
    measured, predicted = model.evaluate(in_order, verbose=0), model.predict(in_order, verbose=0)
    alone = compiled(distribute=False)
    alone.set_weights(weights)
    x, y = data.tensors
    return epochs, measured, predicted, alone.evaluate(x, y, verbose=0), alone.predict(x, verbose=0)


def streams_of_different_lengths() -> Any:
    def batches() -> Iterator[Any]:
        for index in range(2 + 2 * rank()):
            yield X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]

    model = compiled()
    model.fit(batches, epochs=2, verbose=0)
    return model.optimizer.iterations, model.get_weights()


class Rows(IterableDataset[Any]):
    """The first so many groups of four rows; each of the workers yields every other one."""

    def __init__(self, groups: int) -> None:
        self.groups = groups

    def __iter__(self) -> Iterator[Any]:
        worker: Any = get_worker_info()
        for index in range(worker.id, self.groups, worker.num_workers):
            yield from zip(X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4], strict=True)


def streams_with_workers() -> Any:
    model = compiled()
    model.fit(DataLoader(Rows(2 + 2 * rank()), 4, num_workers=2), epochs=2, verbose=0)
    return model.optimizer.iterations, model.get_weights()


def sums_of_gradients(**options: Any) -> Any:
    """How often gradients are summed over the ranks, in how many steps of how many batches: what ranks tell beside them is
    of one length."""
    model = compiled(**options)
    model.fit(X[:8], Y[:8], 4, verbose=0)
    with torch.profiler.profile(record_shapes=True, acc_events=True) as seen:
        model.fit(X, Y, 4, epochs=2, verbose=0)
    shapes = [
        each.input_shapes for each in seen.events() if each.name in ("gloo:all_reduce", "gloo:reduce_scatter")
    ]
    summed = [each for each in shapes if [PLACES] not in each]
    return len(summed), model.optimizer.iterations


def sums_of_accumulated_gradients() -> Any:
    return sums_of_gradients(gradient_accumulation_steps=4), sums_of_gradients()


def sums_of_accumulated_gradients_in_shards() -> Any:
    return sums_of_gradients(gradient_accumulation_steps=4, distribute="fsdp"), sums_of_gradients(
        distribute="fsdp"
    )


class Share(tf.metrics.Metric):
    """A metric of a user, which sums up."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.add("samples", len(y_true))
        self.add("right", (torch.as_tensor(y_true).flatten() == y_pred.argmax(-1)).sum())

    def result(self) -> Any:
        return torch.as_tensor(self.total("right") / max(self.total("samples"), 1))


class Counting:
    """A metric of others, which knows nothing of ranks and keeps its sums where nobody sees them."""

    def __init__(self) -> None:
        self.reset()

    def update(self, preds: Any, target: Any) -> None:
        self.count += len(target)

    def compute(self) -> Any:
        return torch.tensor(float(self.count))

    def reset(self) -> None:
        self.count = 0


def metrics_of_others() -> Any:
    model = mlp()
    y = np.eye(3)[Y]
    model.compile(
        "sgd", "categorical_crossentropy", metrics=[tf.metrics.AUC(), tf.metrics.F1Score(), "accuracy"]
    )
    keras = model.evaluate(X[:37], y[:37], 4, verbose=0, return_dict=True)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[Share(), Counting()])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        others = model.evaluate(X[:37], Y[:37], 4, verbose=0, return_dict=True)
    return keras, others["share"], others["counting"], [str(each.message) for each in told]


def step_of_the_users_own() -> Any:
    class Own(tf.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            loss = self.compute_loss(x, y, self(x, training=True))
            self.zero_grad()
            loss.backward()
            self.optimizer.apply([each.grad for each in self.trainable_weights], self.trainable_weights)
            return {"loss": loss}

    inputs = tf.Input((4,))
    model = Own(inputs, tf.layers.Dense(3, activation="softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(X[:37], Y[:37], 8 if "RANK" in os.environ else 16, epochs=2, verbose=0)
    return model.get_weights(), len(history.epoch)


def a_module_that_the_user_wrapped() -> Any:
    data = TensorDataset(torch.as_tensor(X), torch.as_tensor(Y))
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3))
    wrapped = DistributedDataParallel(module)
    trainer = tf.Trainer(
        wrapped, optimizer=torch.optim.SGD(module.parameters(), 0.1), loss=nn.CrossEntropyLoss()
    )
    history = trainer.fit(
        DataLoader(data, 10, sampler=DistributedSampler(data, shuffle=False)), epochs=2, verbose=0
    )
    return (
        history.history,
        [each.detach().numpy() for each in module.parameters()],
        trainer.predict(X, verbose=0),
    )


def accumulation_of_a_module_that_the_user_wrapped() -> Any:
    wrapped = DistributedDataParallel(nn.Linear(4, 3))
    trainer = tf.Trainer(wrapped, loss=nn.CrossEntropyLoss(), gradient_accumulation_steps=2)
    try:
        trainer.fit(X, Y, verbose=0)
        return "no error"
    except tf.errors.CompileError as error:
        return str(error)


def as_guest_of_accelerate() -> Any:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader = DataLoader(TensorDataset(torch.as_tensor(X), torch.as_tensor(Y)), 10)
    prepared, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for x, y in loader:
        optimizer.zero_grad()
        accelerator.backward(tf.losses.SparseCategoricalCrossentropy()(y, prepared(x)))
        optimizer.step()
    return [each.detach().numpy() for each in model.parameters()]


def each_by_itself() -> Any:
    model = compiled(distribute=False)
    model.fit(X[: 8 + 8 * rank()], Y[: 8 + 8 * rank()], 8, verbose=0)
    return model.optimizer.iterations


def batches_by_hand() -> Any:
    model = compiled()
    part = slice(rank() * 6, 6 + rank() * 4)
    loss = model.train_on_batch(X[part], Y[part])
    return loss, model.get_weights(), model.predict_on_batch(X[part]).shape


def a_loss_that_is_no_number() -> Any:
    model = compiled()
    x = torch.as_tensor(X).clone()

    def batches() -> Iterator[Any]:
        for index in range(4):
            batch = x[index * 4 : index * 4 + 4].clone()
            if index == 2 and rank() == 1:
                batch[0, 0] = float("nan")
            yield batch, Y[index * 4 : index * 4 + 4]

    model.fit(batches, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    return model.optimizer.iterations, bool(model.stop_training)


def a_write_that_fails() -> Any:
    model = compiled()

    class Full(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if rank() == 0:
                raise OSError("no space left on device")

    try:
        model.fit(X, Y, 8, verbose=0, callbacks=[Full()])
        return "no error"
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    return told, model.evaluate(X, Y, verbose=0)


def data_that_fail_on_one_rank() -> Any:
    def batches() -> Iterator[Any]:
        yield X[:4], Y[:4]
        if rank() == 1:
            raise ValueError("the file is damaged")
        yield X[4:8], Y[4:8]

    try:
        compiled().fit(batches, verbose=0)
        return "no error"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def a_forward_that_fails_on_one_rank() -> Any:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls, self.dense = 0, nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += self.training
            if self.calls == 3 and rank() == 1:
                raise ArithmeticError("a layer broke")
            return self.dense(x)

    try:
        tf.Trainer(Breaks(), loss=nn.CrossEntropyLoss()).fit(X, Y, 4, verbose=0)
        return "no error"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


ALL = [
    what_is_shown, seeds_of_their_own, nobody_has_seeded,
    callbacks_of_one_rank_alone, the_clock_of_one_rank, early_stopping_and_files, a_sampler_of_the_user,
    streams_of_different_lengths, streams_with_workers, metrics_of_others, step_of_the_users_own,
    a_module_that_the_user_wrapped, as_guest_of_accelerate, each_by_itself, batches_by_hand,
    a_loss_that_is_no_number, a_write_that_fails,
    data_that_fail_on_one_rank, a_forward_that_fails_on_one_rank, sums_of_accumulated_gradients,
    what_is_written_and_posted, histograms_of_shards,
    sums_of_accumulated_gradients_in_shards, accumulation_of_a_module_that_the_user_wrapped,
]  # fmt: skip
