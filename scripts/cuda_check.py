"""Checks the captured step on a GPU, and measures it: compile(cuda_graph=True) beside the step as it is and loops by hand.

python scripts/cuda_check.py                 all of it, in about three minutes
python scripts/cuda_check.py right           what is learned alone
python scripts/cuda_check.py fast --seconds 120 --rounds 3

Each line is printed when it is known. What no time is left for is told at the end, and the exit status is the number of
trainings that learned something else than without a graph.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "contenders"), str(HERE.parent)]  # on a machine where nothing is installed
os.environ.setdefault("KERAS_IS", "torchfunc")

import with_keras  # noqa: E402
from by_hand import MLP, Chain, ResNetOfImages, Tickets, glorot  # noqa: E402
from workloads import DEPARTMENTS, TAGS, TRAININGS, WORDS  # noqa: E402

import torchfunc as tf  # noqa: E402
from torchfunc import callbacks, layers, optimizers, schedules  # noqa: E402

NEAR = 1e-3  # of the largest weight, after a training: sums are taken in another order, which trainings make more of
EPSILON = 1e-7**0.5  # Keras adds its 1e-7 below the root
Columns = list[Any]  # arrays or tensors


class Training(NamedTuple):
    """A training in torchfunc's words and in PyTorch's.

    Attributes:
        model: makes it, compiled.
        inputs: in the order of the model's.
        targets: in the order of its outputs.
        by_hand: makes the module, if one is raced.
        loss: of that module and a batch.
        callbacks: made anew for each training.
    """

    model: Callable[[], tf.Model]
    inputs: Columns
    targets: Columns
    by_hand: Callable[[], nn.Module] | None = None
    loss: Callable[[nn.Module, list[Tensor]], Tensor] | None = None
    callbacks: Callable[[], list[Any]] = list


def of_classes(module: nn.Module, batch: list[Tensor]) -> Tensor:
    return F.cross_entropy(module(batch[0]), batch[1])


def of_tickets(module: nn.Module, batch: list[Tensor]) -> Tensor:
    priority, department = module(*batch[:3])
    loss = F.binary_cross_entropy_with_logits(priority, batch[3])
    return loss + 0.2 * F.cross_entropy(department, batch[4])


def of_squares(module: nn.Module, batch: list[Tensor]) -> Tensor:
    return F.mse_loss(module(batch[0]), batch[1])


def chain() -> tf.Model:
    x = inputs = tf.Input((64,))
    for _ in range(100):
        x = layers.Dense(64, activation="relu")(x)
    model = tf.Model(inputs, x)
    model.compile(optimizers.RMSprop(1e-3), "mse")
    return model


def drawing() -> tf.Model:
    """Random numbers of PyTorch's generator and of one's own, statistics, a schedule, a norm of the weights."""
    inputs = tf.Input((64,))
    x = layers.Dense(64, activation="relu", kernel_regularizer="l2")(inputs)
    x = layers.Dropout(0.3, name="drop")(layers.BatchNormalization()(x))
    x = layers.Dropout(0.2, seed=3)(layers.Dense(64, activation="gelu", name="second")(x))
    model = tf.Model(inputs, layers.Dense(64)(x))
    model.compile(optimizers.Adam(schedules.ExponentialDecay(1e-3, 10, 0.9)), "mse", metrics=["mae"])
    return model


class Changing(callbacks.Callback):
    """Changes something after each epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self.model.get_layer("drop").rate = 0.6
        if epoch == 1:
            self.model.get_layer("second").trainable = False


def trainings(rows: int) -> dict[str, Training]:
    """All of them, on so many rows."""
    found = {}
    kinds: dict[str, Any] = {
        "mlp": (MLP, of_classes),
        "resnet": (ResNetOfImages, of_classes),
        "tickets": (lambda: Tickets(WORDS, TAGS, DEPARTMENTS), of_tickets),
    }
    for name, (by_hand, loss) in kinds.items():
        work = TRAININGS[name]()
        inputs, targets = (
            [np.resize(each, (rows, *each.shape[1:])) for each in part.values()]
            for part in (work.inputs, work.targets)
        )
        found[name] = Training(with_keras.MODELS[name], inputs, targets, by_hand, loss)
    rng = np.random.default_rng(0)
    x, y = (rng.random((rows, 64), dtype=np.float32) for _ in range(2))
    found["chain"] = Training(chain, [x], [y], Chain, of_squares)
    found["drawing"] = Training(drawing, [x], [y])
    found["changing"] = Training(drawing, [x], [y], callbacks=lambda: [Changing()])
    return found


def compiled(training: Training, device: str, **options: Any) -> tf.Model:
    """Its model, compiled once more with options."""
    tf.utils.set_random_seed(0)
    model = training.model()
    asked: Any = model.trainer
    model.compile(asked.optimizer, asked.loss, asked.loss_weights, asked.metrics, device=device, **options)
    return model


def fitted(model: tf.Model, training: Training, *, epochs: int, batch: int, device: str) -> tf.Model:
    tf.utils.set_random_seed(1)
    x, y = (each[0] if len(each) == 1 else each for each in (training.inputs, training.targets))
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, callbacks=training.callbacks())
    if device != "cpu":
        torch.cuda.synchronize()
    return model


def apart(one: tf.Model, other: tf.Model) -> float:
    """The largest difference of two models' numbers, of the largest number in each tensor or of 1."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(
        float((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=1.0)) for a, b in pairs
    )


def right(name: str, training: Training, device: str, **options: Any) -> tuple[bool, str]:
    """Whether a training learns with a graph what it does without, and the line that says so, or that there was none."""
    asked = f"{name:10} {', '.join(f'{key}={value}' for key, value in options.items()):20}"

    def learned(*, captured: bool) -> tf.Model:
        model = compiled(training, device, cuda_graph=captured, run_eagerly=not captured, **options)
        return fitted(model, training, epochs=3, batch=32, device=device)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found, again, expected = (learned(captured=each) for each in (True, True, False))
        except Exception as error:
            return False, f"FAILED {asked} {type(error).__name__}: {first_line(error)}"
    reasons = [str(each.message) for each in told if "cuda_graph" in str(each.message)]
    distance, noise = apart(found, expected), apart(found, again)
    bound = 0.0 if options.get("deterministic") else NEAR
    fine = distance <= bound and not reasons
    verdict = "right" if fine else "WRONG" if distance > bound else "eager"
    line = f"{verdict}  {asked} apart {distance:.1e}, from run to run {noise:.1e}"
    return fine, " ".join([line, *reasons])


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def ours(training: Training, device: str, batch: int, **options: Any) -> Callable[[], float]:
    """What takes an epoch with `fit` of data that are on the device: seconds a step."""
    here = [
        [torch.from_numpy(each).to(device) for each in part] for part in (training.inputs, training.targets)
    ]
    training = training._replace(inputs=here[0], targets=here[1])
    model = compiled(training, device, **options)
    steps = len(training.inputs[0]) // batch
    fitted(model, training, epochs=1, batch=batch, device=device)

    def epoch() -> float:
        start = time.perf_counter()
        fitted(model, training, epochs=3, batch=batch, device=device)
        return (time.perf_counter() - start) / steps / 3

    return epoch


def hand(
    training: Training, device: str, batch: int, *, how: str, precision: str | None = None
) -> Callable[[], float]:
    """What takes an epoch of a loop by hand: "eager", "compiled" by torch.compile, or "graph" for a CUDA graph."""
    assert training.by_hand is not None and training.loss is not None
    torch.manual_seed(0)
    module, loss_of = glorot(training.by_hand()).to(device), training.loss
    columns = [torch.from_numpy(each).to(device) for each in (*training.inputs, *training.targets)]
    optimizer = torch.optim.RMSprop(
        module.parameters(), 1e-3, alpha=0.9, eps=EPSILON, foreach=True, capturable=how == "graph"
    )
    static = [each[:batch].clone() for each in columns]
    call = torch.compile(module, mode="reduce-overhead") if how == "compiled" else module
    total = torch.zeros((), device=device)

    def step(given: list[Tensor]) -> None:
        optimizer.zero_grad()
        # without its cache of casts, as the notes on CUDA graphs want
        with torch.autocast(
            device, torch.bfloat16, enabled=precision == "bf16", cache_enabled=how != "graph"
        ):
            loss = loss_of(call, given)
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())

    replay = captured(lambda: step(static)) if how == "graph" else None
    count = len(columns[0])

    def epoch() -> float:
        start, steps = time.perf_counter(), 0
        for rows in torch.randperm(count, device=device).split(batch):
            if len(rows) == batch:
                steps += 1
                if replay is None:
                    step([each[rows] for each in columns])
                else:
                    for own, each in zip(static, columns, strict=True):
                        torch.index_select(each, 0, rows, out=own)
                    replay()
        total.item()
        return (time.perf_counter() - start) / steps

    epoch()
    return epoch


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """A step as a CUDA graph, as PyTorch's notes on CUDA write one."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


# workload, batch, precision
RACES = [
    ("mlp", 64, None), ("chain", 32, None), ("resnet", 64, None), ("resnet", 1024, None), ("mlp", 64, "bf16"),
    ("resnet", 64, "bf16"), ("resnet", 1024, "bf16"), ("tickets", 32, None),
]  # fmt: skip


def race(training: Training, device: str, batch: int, precision: str | None, rounds: int) -> Iterator[str]:
    """A line for each contender: its time for a step, and ours of it, round by round."""
    made = {
        "torchfunc, captured": lambda: ours(training, device, batch, precision=precision, cuda_graph=True),
        "torchfunc, as it is": lambda: ours(training, device, batch, precision=precision),
        "by hand": lambda: hand(training, device, batch, how="eager", precision=precision),
        "torch.compile": lambda: hand(training, device, batch, how="compiled", precision=precision),
        "a graph by hand": lambda: hand(training, device, batch, how="graph", precision=precision),
    }
    if device == "cpu":
        made = {name: made[name] for name in list(made)[1:3]}
    running: dict[str, Callable[[], float]] = {}
    for name, make in made.items():
        try:
            running[name] = make()
        except Exception as error:
            yield f"  {name:20} failed: {type(error).__name__}: {first_line(error)}"
    times: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, run in running.items():
            times[name].append(run())
    first = next(iter(times.values()), [])
    for name, taken in times.items():
        ratios = [a / b for a, b in zip(first, taken, strict=True)]
        yield f"  {name:20} {statistics.median(taken) * 1e6:10,.1f} us   {statistics.median(ratios):.3f}x of it"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="right|fast", help="both, if neither is named")
    parser.add_argument("--seconds", type=float, default=180.0, help="after which nothing more is begun")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=2080, help="of each training that is checked")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args(arguments)
    start, wrong, left = time.perf_counter(), 0, []
    what = options.what or ["right", "fast"]
    name = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    print(f"torch {torch.__version__}, {name}", flush=True)

    def is_late(what: str) -> bool:
        late = time.perf_counter() - start > options.seconds
        left.extend([what] * late)
        return late

    if "right" in what:
        for name, training in trainings(options.rows).items():
            for asked in ({"deterministic": True}, {}, {"precision": "bf16"}):
                if not is_late(f"right {name} {asked}"):
                    fine, line = right(name, training, options.device, **asked)
                    wrong += not fine
                    print(line, flush=True)
    if "fast" in what:
        known = trainings(8 * 1024)
        for name, batch, precision in RACES:
            if not is_late(f"fast {name} {batch} {precision}"):
                print(f"{name}, batches of {batch}, {precision or 'fp32'}", flush=True)
                for line in race(known[name], options.device, batch, precision, options.rounds):
                    print(line, flush=True)
    print(f"{time.perf_counter() - start:.0f} s; not done: {', '.join(left) or 'nothing'}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
