"""Measures torchfunc against hand-written PyTorch, or against another checkout of itself: medians and ratios.

python scripts/bench.py                 everything
python scripts/bench.py forward fit     some of it
python scripts/bench.py --rounds 3 --threads 2 --device cpu
python scripts/bench.py forward save --against ../other
python scripts/bench.py race             with others; keeps the numbers and writes the page of them, see `race.py`

Rounds are interleaved, and a ratio is of times of one round. Twins written by hand run in this process;
another checkout has a fresh process each round, as this one has then, and both run the workloads of this
file. So it keeps to public names, which older commits have too.
"""

from __future__ import annotations

import argparse
import atexit
import copy
import inspect
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import benchmarks_page
import race
import safetensors.torch
import torch
import torch.nn.functional as F
from contenders.by_hand import MLP, Chain, ResNet
from torch import nn

import torchfunc as tf
from torchfunc import layers

HERE = Path(__file__).resolve().parent.parent

SOFTMAX = partial(F.softmax, dim=-1)

Entry = dict[str, Callable[[], float]]  # contenders by name; the first is torchfunc
Times = dict[str, list[float]]  # contenders by name, a time for each round


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    if options.child:
        print(json.dumps(first_of_each(options)))
        return
    if options.racing:
        race.race(options.what, options.others, options.rounds, options.threads, options.python, options.json)
        if options.json == race.KEPT:
            benchmarks_page.bring_up()
        return
    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads, {options.rounds} rounds")
    for name in options.what or MEASURES:
        if options.against:
            print(f"\n{name}: torchfunc of {HERE} and of {options.against}")
            for title, times in beside(name, options).items():
                report(title, times)
        else:
            print(f"\n{name}: {inspect.cleandoc(MEASURES[name].__doc__ or '')}")
            for title, entry in MEASURES[name](options.device).items():
                report(title, in_turn(entry, options.rounds))


def in_turn(entry: Entry, rounds: int) -> Times:
    """Run each contender once to warm up, and once a round."""
    for run in entry.values():
        run()
    times: Times = {name: [] for name in entry}
    for order in orders(list(entry), rounds):
        for name in order:
            times[name].append(entry[name]())
    return times


def orders(names: list[str], rounds: int) -> list[list[str]]:
    """Who runs when: the other way round every other round, so that nobody is always the first."""
    return [names if index % 2 == 0 else names[::-1] for index in range(rounds)]


def report(title: str, times: Times) -> None:
    """Print medians, and the ratios of the first contender to the others, round by round: median and range."""
    print(f"  {title}")
    for name, values in times.items():
        line = f"    {name:28} {statistics.median(values) * 1e6:14,.3f} us"
        for other in list(times)[1:] if name == next(iter(times)) else []:
            ratios = [a / b for a, b in zip(values, times[other], strict=True)]
            line += f"   {statistics.median(ratios):.3f}x of {other} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(line, flush=True)


def beside(name: str, options: argparse.Namespace) -> dict[str, Times]:
    """The times of one measure in this checkout and in the other, each round in a fresh process."""
    roots = {"here": HERE, "there": options.against}
    found: dict[str, Times] = {}
    for order in orders(list(roots), options.rounds):
        for each in order:
            for title, time_taken in child(name, roots[each], options).items():
                found.setdefault(title, {root: [] for root in roots})[each].append(time_taken)
    return found


def child(name: str, root: Path, options: argparse.Namespace) -> dict[str, float]:
    """The times of one measure by the package of a checkout, and by the workloads of this file."""
    command = [sys.executable, __file__, name, "--child", str(root)]
    command += ["--threads", str(options.threads), "--device", options.device]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench.py: the measure {name!r} failed with the package of {root}.")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def first_of_each(options: argparse.Namespace) -> dict[str, float]:
    """What a child does: the first contender of each entry, warm."""
    package = Path(tf.__file__).resolve().parent
    if package.parent != options.child:
        raise SystemExit(f"bench.py: torchfunc was imported from {package}, and not from {options.child}.")
    found: dict[str, float] = {}
    for measure in options.what:
        for title, entry in MEASURES[measure](options.device).items():
            name, run = next(iter(entry.items()))
            found[title if name == "torchfunc" else f"{title}, {name}"] = best(run)
    return found


def best(run: Callable[[], float]) -> float:
    """The best of ten runs, or of those that a second has time for, after one to warm up."""
    run()
    times, end = [run()], time.perf_counter() + 1
    while len(times) < 10 and time.perf_counter() < end:
        times.append(run())
    return min(times)


def seconds(call: Callable[[], object], number: int, device: str) -> Callable[[], float]:
    """The time of one call: the best of three runs of `number` calls."""

    def run() -> float:
        def many() -> None:
            for _ in range(number):
                call()
            if device.startswith("cuda"):
                torch.cuda.synchronize()

        return min(timeit.repeat(many, number=1, repeat=3)) / number

    return run


def mlp() -> tf.Model:
    inputs = tf.Input((784,), name="img")
    x = layers.Dense(64, activation="relu")(inputs)
    x = layers.Dense(64, activation="relu")(x)
    return tf.Model(inputs, layers.Dense(10, activation="softmax")(x), name="mnist_model")


def chain() -> tf.Model:
    inputs = tf.Input((64,), name="x")
    x = inputs
    for _ in range(100):
        x = layers.Dense(64, activation="relu")(x)
    return tf.Model(inputs, x)


def resnet() -> tf.Model:
    inputs = tf.Input((32, 32, 3), name="img")
    x = layers.Conv2D(32, 3, activation="relu")(inputs)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    first = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(first)
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    second = layers.add([x, first])
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(second)
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    x = layers.Conv2D(64, 3, activation="relu")(layers.add([x, second]))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.5)(layers.Dense(256, activation="relu")(x))
    return tf.Model(inputs, layers.Dense(10, activation="softmax")(x))


def forward(device: str) -> dict[str, Entry]:
    """A call of the emitted forward against the hand-written nn.Module, without gradients."""
    image = torch.rand(32, 32, 32, 3, device=device)
    shapes = {
        "MLP, batch 64": (mlp(), MLP(SOFTMAX), torch.rand(64, 784, device=device), None, 300),
        "chain of 100 Dense(64), batch 32": (
            chain(),
            Chain(),
            torch.rand(32, 64, device=device),
            None,
            40,
        ),
        "toy ResNet, batch 32": (resnet(), ResNet(SOFTMAX), image, image.permute(0, 3, 1, 2).contiguous(), 2),
    }
    found: dict[str, Entry] = {}
    for title, (ours, hand, x, other, number) in shapes.items():
        ours, hand = ours.to(device).eval(), hand.to(device).eval()
        y = x if other is None else other
        found[title] = {
            "torchfunc": seconds(no_grad(ours, x), number, device),
            "hand-written": seconds(no_grad(hand, y), number, device),
        }
        if y.ndim == 4:
            last = copy.deepcopy(hand).to(memory_format=torch.channels_last)
            found[title]["hand-written, channels_last"] = seconds(no_grad(last, strided(y)), number, device)
    return found


def strided(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def no_grad(module: nn.Module, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    def call() -> torch.Tensor:
        with torch.no_grad():
            return module(x)

    return call


def augmentation(device: str) -> dict[str, Entry]:
    """Images resized, flipped, changed in contrast and rescaled, as in training, against functions of torch."""
    found: dict[str, Entry] = {}
    for title, shape, number in (("32 images", (32, 96, 96, 3), 5), ("2 small images", (2, 16, 16, 3), 100)):
        images = torch.rand(shape, device=device) * 255
        inputs = tf.Input(shape[1:])
        x = layers.RandomFlip("horizontal")(layers.Resizing(64, 64)(inputs))
        ours = tf.Model(inputs, layers.Rescaling(1 / 255)(layers.RandomContrast(0.2)(x))).to(device)
        found[title] = {
            "torchfunc": seconds(no_grad(ours, images), number, device),
            "hand-written": seconds(no_grad(HandAugmentation(), images), number, device),
        }
    return found


class HandAugmentation(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(images.permute(0, 3, 1, 2), (64, 64), mode="bilinear").permute(0, 2, 3, 1)
        each = (len(x), 1, 1, 1)
        x = torch.where(torch.rand(each, device=x.device) <= 0.5, x.flip(2), x)
        mean, contrast = x.mean((1, 2), keepdim=True), 0.8 + 0.4 * torch.rand(each, device=x.device)
        return torch.lerp(mean, x, contrast).clamp(0, 255) * (1 / 255)


def step(device: str) -> dict[str, Entry]:
    """Forward and backward of the emitted model against the hand-written nn.Module."""
    image = torch.rand(32, 32, 32, 3, device=device)
    found: dict[str, Entry] = {}
    for title, ours, hand, x, y, number in (
        ("MLP, batch 64", mlp(), MLP(SOFTMAX), *[torch.rand(64, 784, device=device)] * 2, 100),
        (
            "chain of 100 Dense(64), batch 32",
            chain(),
            Chain(),
            *[torch.rand(32, 64, device=device)] * 2,
            10,
        ),
        ("toy ResNet, batch 32", resnet(), ResNet(SOFTMAX), image, image.permute(0, 3, 1, 2).contiguous(), 1),
    ):
        found[title] = {
            "torchfunc": seconds(backward(ours.to(device), x), number, device),
            "hand-written": seconds(backward(hand.to(device), y), number, device),
        }
        if y.ndim == 4:
            last = copy.deepcopy(hand).to(memory_format=torch.channels_last)
            found[title]["hand-written, channels_last"] = seconds(backward(last, strided(y)), number, device)
    return found


def backward(module: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    def call() -> None:
        module.zero_grad(set_to_none=True)
        module(x).sum().backward()

    return call


def fit(device: str) -> dict[str, Entry]:
    """One epoch of `fit` on the guide's MLP, 60,000 x 784, batch 64, against loops by hand over the same data.

    All compute the loss and the accuracy of the epoch, with RMSprop; the time is that of an epoch. Arrays are to take
    no longer than a loop over an index of them, a DataLoader 1.03 times and a generator 1.1 times as long.
    """
    torch.manual_seed(0)
    x, y = torch.rand(60_000, 784), torch.randint(10, (60_000,))
    x[torch.arange(60_000), y * 70] += 2.0  # something to learn
    arrays, x_device, y_device = (x.numpy(), y.numpy()), x.to(device), y.to(device)

    def ours(data: Callable[[], Any], **options: Any) -> Callable[[], float]:
        model = mlp()
        model.compile(
            optimizer=tf.optimizers.RMSprop(1e-3),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            device=device,
        )
        return timed(lambda: model.fit(*data(), epochs=1, verbose=0, **options), device)

    def by_hand(data: Callable[[], Any]) -> Callable[[], float]:
        module = MLP().to(device)
        optimizer = torch.optim.RMSprop(module.parameters(), 1e-3, foreach=True)
        return timed(lambda: loop(module, optimizer, data(), device), device)

    def indexed() -> Any:
        order = torch.randperm(60_000, device=device)
        batches = (order[start : start + 64] for start in range(0, 60_000, 64))
        return ((x_device[each], y_device[each]) for each in batches)

    def loader() -> Any:
        data = torch.utils.data.TensorDataset(x, y)
        return torch.utils.data.DataLoader(data, batch_size=64, shuffle=True)

    def generator() -> Any:
        for start in range(0, 60_000, 64):
            yield x[start : start + 64], y[start : start + 64]

    return {
        "an epoch": {
            "torchfunc": ours(lambda: arrays, batch_size=64),
            "loop, indexed tensors": by_hand(indexed),
            "loop, DataLoader": by_hand(loader),
        },
        "an epoch of a DataLoader": {
            "torchfunc": ours(lambda: (loader(),)),
            "loop": by_hand(loader),
        },
        "an epoch of a generator": {
            "torchfunc": ours(lambda: (generator(),)),
            "loop": by_hand(generator),
        },
    }


def timed(run: Callable[[], object], device: str) -> Callable[[], float]:
    def call() -> float:
        start = time.perf_counter()
        run()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return call


def loop(
    module: nn.Module, optimizer: torch.optim.Optimizer, batches: object, device: str
) -> tuple[float, float]:
    """A training loop as people write it, at its leanest: sums stay on the device until the epoch ends."""
    module.train()
    total, right, count = torch.zeros((), device=device), torch.zeros((), device=device), 0
    for x, y in batches:  # type: ignore[attr-defined]
        x, y = x.to(device), y.to(device)
        logits = module(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(y)
        right += (logits.argmax(-1) == y).sum()
        count += len(y)
    return total.item() / count, right.item() / count


def build(device: str) -> dict[str, Entry]:
    """Building a graph of Dense(64) layers, per graph, against making the nn.Linear modules alone."""

    def graph(count: int) -> Callable[[], None]:
        def make() -> None:
            inputs = tf.Input((64,))
            x = inputs
            for _ in range(count):
                x = layers.Dense(64)(x)
            tf.Model(inputs, x)

        return make

    def modules(count: int) -> Callable[[], None]:
        return lambda: [nn.Linear(64, 64) for _ in range(count)] and None

    return {
        f"{count} layers": {
            "torchfunc": timed(graph(count), "cpu"),
            "nn.Linear alone": timed(modules(count), "cpu"),
        }
        for count in (10, 100, 1000)
    }


def save(device: str) -> dict[str, Entry]:
    """Saving a model to one file, against writing the state of its hand-written twin."""
    return {
        title: {"torchfunc": timed(ours, "cpu"), "safetensors alone": timed(hand, "cpu")}
        for title, (ours, hand, _, _) in files().items()
    }


def load(device: str) -> dict[str, Entry]:
    """Loading a model from one file, against reading a state into a hand-written twin that is there."""
    return {
        title: {"torchfunc": timed(ours, "cpu"), "safetensors alone": timed(hand, "cpu")}
        for title, (_, _, ours, hand) in files().items()
    }


def files() -> dict[str, tuple[Callable[[], None], ...]]:
    """How each model and its twin are saved, and how they are loaded; both are saved once, to be loaded."""
    folder = scratch()
    found: dict[str, tuple[Callable[[], None], ...]] = {}
    for title, ours, hand in (
        ("MLP", mlp(), MLP(SOFTMAX)),
        ("chain of 100 Dense(64)", chain(), Chain()),
        ("toy ResNet", resnet(), ResNet(SOFTMAX)),
    ):
        found[title] = both_ways(ours, hand, folder / f"{title}.safetensors")
        for save_one in found[title][:2]:
            save_one()
    return found


def both_ways(ours: tf.Model, hand: nn.Module, path: Path) -> tuple[Callable[[], None], ...]:
    state = path.with_suffix(".state.safetensors")

    def load_ours() -> None:
        tf.load_model(path)

    def load_hand() -> None:
        hand.load_state_dict(safetensors.torch.load_file(state))

    def save_hand() -> None:
        safetensors.torch.save_file(hand.state_dict(), state)

    return lambda: ours.save(path), save_hand, load_ours, load_hand


def large(device: str) -> dict[str, Entry]:
    """105 MB, as many tensors and as one: with digests, without, and written through to the disk on both sides."""
    found: dict[str, Entry] = {}
    for title, width, depth in (("25 layers", 1024, 25), ("one layer", 5120, 1)):
        x = inputs = tf.Input((width,))
        for _ in range(depth):
            x = layers.Dense(width)(x)
        ours, hand = tf.Model(inputs, x), nn.Sequential(*(nn.Linear(width, width) for _ in range(depth)))
        folder = scratch()
        save_ours, save_hand, load_ours, load_hand = both_ways(ours, hand, folder / "large.safetensors")
        save_ours()
        save_hand()
        state, weights = folder / "large.state.safetensors", folder / "weights.safetensors"
        safetensors.torch.save_file(ours.state_dict(), weights)
        runs = {
            "load": (load_ours, load_hand),
            "load weights without digests": (partial(ours.load_weights, weights), load_hand),
            "save": (save_ours, flushed(save_hand, state, folder)),
        }
        for name, (run, alone) in runs.items():
            found[f"{name}, {title}"] = {
                "torchfunc": timed(run, "cpu"),
                "safetensors alone": timed(alone, "cpu"),
            }
    return found


def flushed(save_one: Callable[[], None], *paths: Path) -> Callable[[], None]:
    """Save, and wait until the file and its name are on the disk."""

    def run() -> None:
        save_one()
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    return run


def scratch() -> Path:
    """A folder that is gone when this process is."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    return Path(folder)


def importing(device: str) -> dict[str, Entry]:
    """Importing torchfunc in a fresh interpreter, torch and all, and a first model, against importing torch alone.

    What nobody has asked for is not imported: so the first model pays for what it is made of.
    """
    first = "torch, torchfunc as tf; x = tf.Input((4,)); tf.Model(x, tf.layers.Dense(2)(x))"

    def run(package: str) -> Callable[[], float]:
        code = (
            f"import time; start = time.perf_counter(); import {package}; print(time.perf_counter() - start)"
        )
        command = [sys.executable, "-c", code]
        # with its bytecode kept, as a package has it that is installed
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return lambda: float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

    torch_alone = run("torch")
    return {
        "an import": {"torchfunc": run("torch, torchfunc"), "torch alone": torch_alone},
        "and a first model": {"torchfunc": run(first), "torch alone": torch_alone},
    }


class HandSeparable(nn.Module):
    """A depthwise and a pointwise convolution on (N, H, W, C), as a person would write them."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding="same", groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, filters, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise(self.depthwise(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)


class HandAttention(nn.Module):
    """`nn.MultiheadAttention` on one sequence, without the weights of attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.attention(x, x, x, need_weights=False)[0]
        return found


class HandEinsum(nn.Module):
    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, heads, size) * 0.1)
        self.bias = nn.Parameter(torch.zeros(heads, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("abc,cde->abde", x, self.weight) + self.bias


def layer(device: str) -> dict[str, Entry]:
    """Forward and backward of one layer beside its twin of PyTorch, and beside Keras on torch where that is installed."""
    sequence = torch.rand(16, 64, 128, device=device)
    image = torch.rand(8, 32, 32, 32, device=device)
    rows: dict[str, tuple[Callable[[Any], Any], nn.Module, torch.Tensor]] = {
        "MultiHeadAttention, (16, 64, 128), 8 heads": (
            lambda kit: (lambda made: lambda x: made(x, x))(kit.MultiHeadAttention(8, 16)),
            HandAttention(128, 8),
            sequence,
        ),
        "EinsumDense, (16, 64, 128) to (8, 16)": (
            lambda kit: kit.EinsumDense("abc,cde->abde", output_shape=(None, 8, 16), bias_axes="de"),
            HandEinsum(128, 8, 16),
            sequence,
        ),
        "SeparableConv2D, (8, 32, 32, 32), 64 filters": (
            lambda kit: kit.SeparableConv2D(64, 3, padding="same"),
            HandSeparable(32, 64),
            image,
        ),
    }
    found: dict[str, Entry] = {}
    for title, (make, hand, x) in rows.items():
        hand = hand.to(device)
        found[title] = {
            "torchfunc": seconds(gradient(make(layers), x), 5, device),
            "hand-written": seconds(gradient(hand, x), 5, device),
        }
        kit = keras_layers()
        if kit is not None:
            found[title]["Keras on torch"] = seconds(gradient(make(kit), x), 5, device)
    return found


def keras_layers() -> Any:
    """Keras's layers on the torch backend, or None where it is not installed."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError:
        return None
    return keras.layers


def gradient(call: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> Callable[[], None]:
    """A call and its backward; gradients are added up, by everyone alike."""
    call(x)
    return lambda: call(x).sum().backward()


def interception(device: str) -> dict[str, Entry]:
    """A call of nn.Identity on a tensor, after an Input: with the recording of module calls on and off."""
    tf.Input((1,))
    module, x = nn.Identity(), torch.ones(1)

    def call(enabled: bool) -> Callable[[], float]:
        def run() -> float:
            tf.interception(enabled)
            try:
                return min(timeit.repeat(lambda: module(x), number=20_000, repeat=5)) / 20_000
            finally:
                tf.interception(True)

        return run

    return {"a module call": {"on": call(True), "off": call(False)}}


def scale(device: str) -> dict[str, Entry]:
    """What is done with a chain of Dense(8) layers, at 100, 1,000 and 10,000 calls."""
    folder = scratch()

    def chained(count: int) -> tf.Model:
        inputs = tf.Input((8,))
        x = inputs
        for _ in range(count):
            x = layers.Dense(8)(x)
        return tf.Model(inputs, x)

    made = {count: chained(count) for count in (100, 1_000, 10_000)}
    for count, model in made.items():
        model.save(folder / f"{count}.safetensors")
    works: dict[str, Callable[[int], object]] = {
        "build": chained,
        "emit": lambda count: made[count].code,
        "copy": lambda count: copy.deepcopy(made[count]),
        "pickle": lambda count: pickle.loads(pickle.dumps(made[count])),
        "save": lambda count: made[count].save(folder / f"{count}.safetensors"),
        "load": lambda count: tf.load_model(folder / f"{count}.safetensors"),
    }

    def run(work: str, count: int) -> Callable[[], float]:
        return timed(lambda: works[work](count) and None, "cpu")

    return {work: {f"{count:,} calls": run(work, count) for count in (10_000, 1_000, 100)} for work in works}


MEASURES: dict[str, Callable[[str], dict[str, Entry]]] = {
    "forward": forward,
    "augmentation": augmentation,
    "step": step,
    "fit": fit,
    "build": build,
    "save": save,
    "load": load,
    "large": large,
    "layer": layer,
    "import": importing,
    "interception": interception,
    "scale": scale,
}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", nargs="*", help="what to measure, or a race and in what; everything by default"
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        help=f"another checkout, to be measured beside this, or any of {', '.join(list(race.ENTRANTS)[1:])}",
    )
    parser.add_argument(
        "--python",
        nargs="+",
        default=[],
        help="interpreters of contenders, as keras-jax=~/jax/bin/python",
    )
    parser.add_argument(
        "--json", type=Path, help="where to keep the numbers of a race; docs/benchmarks.json by default"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help="5, and 3 of a race")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    options.python = {
        name: str(Path(path).expanduser()) for name, path in (each.split("=", 1) for each in options.python)
    }
    options.others = options.against if set(options.against) <= race.ENTRANTS.keys() else []
    options.against = None if options.others or not options.against else Path(options.against[0]).resolve()
    options.racing = bool(options.others) or options.what[:1] == ["race"]
    if options.what[:1] == ["race"]:
        options.what, options.json = options.what[1:], options.json or race.KEPT
    options.rounds = options.rounds or (3 if options.racing else 5)
    known = race.WORKLOADS if options.racing else MEASURES
    if unknown := [name for name in options.what if name not in known]:
        parser.error(f"there is no {unknown[0]!r}. Fix: any of {', '.join(known)}.")
    if options.against and not (options.against / "torchfunc").is_dir():
        parser.error(
            f"{options.against} has no folder 'torchfunc'. Fix: name a checkout, or any of "
            f"{', '.join(list(race.ENTRANTS)[1:])}."
        )
    return options


if __name__ == "__main__":
    main()
