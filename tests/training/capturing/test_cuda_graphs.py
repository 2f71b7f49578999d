"""CUDA graphs: the calls of PyTorch are those of its notes on CUDA, in their order; and on a GPU they do what they say."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import torchfunc as tf
from torchfunc import layers
from torchfunc.training.capturing import cuda_graphs
from torchfunc.training.capturing.captured import Captured, NotCaptured

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU of NVIDIA's here")
CUDA = torch.device("cuda", 0)


class Fake:
    """What is asked of `torch.cuda`, written down; `reserved` is how much memory there is at each look."""

    def __init__(self, *, fails: bool = False) -> None:
        self.calls: list[str] = []
        self.fails, self.stuck = fails, fails
        self.reserved, self.streams, self.mode = iter((100, 164)), iter(("side",)), 0
        self.stream_now = "main"

    def note(self, name: str) -> Callable[..., None]:
        return lambda *given, **named: self.calls.append(f"{name}{given or ''}{named or ''}")

    @contextmanager
    def entered(self, name: str) -> Iterator[None]:
        self.calls.append(f"enter {name}")
        yield
        self.calls.append(f"leave {name}")

    def stream(self, name: str) -> Any:
        note, cuda = self.note, self

        class Stream:
            def wait_stream(self, other: Any) -> None:
                note(f"{name}.wait")(str(other))

            def __str__(self) -> str:
                return name

            def enter(self) -> Any:
                return cuda.entered(name)

        return Stream()

    def set_mode(self, mode: Any) -> None:
        if not any(each.startswith("waits") for each in self.calls):  # as PyTorch does, once
            warnings.warn("a prototype", stacklevel=2)
        self.calls.append(f"waits: {mode}")
        self.mode = mode

    @contextmanager
    def graph(self, graph: Any, **named: Any) -> Iterator[None]:
        self.calls.append(f"capture {named}")
        try:
            yield
        finally:
            if self.fails:
                raise RuntimeError("operation failed due to a previous error during capture")
        self.calls.append("captured")


class Generator:
    """One that may be left in a capture."""

    def __init__(self, cuda: Fake) -> None:
        self.cuda = cuda

    def clone_state(self) -> str:
        return "its own numbers"

    def graphsafe_set_state(self, state: str) -> None:
        self.cuda.calls.append(f"released with {state}")


@contextmanager
def faked(cuda: Fake) -> Iterator[None]:
    class CUDAGraph:
        register_generator_state = staticmethod(cuda.note("register"))
        replay = staticmethod(cuda.note("replay"))
        reset = staticmethod(cuda.note("reset"))

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "device": lambda device: cuda.entered(str(device)),
            "Stream": lambda: cuda.stream("side"),
            "current_stream": lambda: cuda.stream("main"),
            "stream": lambda stream: stream.enter(),
            "set_stream": lambda stream: cuda.note("set_stream")(str(stream)),
            "get_sync_debug_mode": lambda: cuda.mode,
            "set_sync_debug_mode": cuda.set_mode,
            "memory_reserved": lambda: next(cuda.reserved),
            "CUDAGraph": CUDAGraph,
            "graph": cuda.graph,
        }.items():
            patch.setattr(torch.cuda, name, value)
        yield


WARMED = [
    "enter cuda:0",
    "side.wait('main',)",
    "enter side",
    "run",
    "run",
    "waits: error",
    "run",
    "waits: 0",
    "leave side",
    "main.wait('side',)",
    "register('own',)",
    "capture {'capture_error_mode': 'thread_local'}",
    "run",
]


def test_a_graph_is_captured_as_the_notes_of_pytorch_say() -> None:
    cuda = Fake()

    def run() -> int:
        cuda.calls.append("run")
        return len(cuda.calls)

    with faked(cuda):
        graph = cuda_graphs.Graph(run, CUDA, ["own"])  # type: ignore[list-item]
        assert graph.nbytes == 64 and graph.returned == len(WARMED)
        graph.replay()
    assert cuda.calls == [*WARMED, "captured", "leave cuda:0", "replay"]


@pytest.mark.parametrize("stuck", [True, False])
def test_after_a_capture_that_failed_the_stream_and_the_generators_are_as_before(
    stuck: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = Fake(fails=True)
    theirs, own = Generator(cuda), Generator(cuda)
    monkeypatch.setattr(cuda_graphs, "generators", lambda device: [theirs])

    class Drawn:
        def uniform_(self, generator: Any) -> None:
            if stuck and generator is own:
                raise RuntimeError("Offset increment outside graph capture encountered unexpectedly.")

    monkeypatch.setattr(torch, "empty", lambda *given, **named: Drawn())
    with faked(cuda), pytest.raises(RuntimeError, match="a previous error during capture"):
        cuda_graphs.Graph(lambda: cuda.calls.append("run"), CUDA, [own])  # type: ignore[list-item]
    released = ["released with its own numbers"] * stuck
    assert cuda.calls[len(WARMED) :] == ["set_stream('main',)", "reset", *released]


def test_what_waits_for_the_device_ends_a_capture_before_it_begins() -> None:
    cuda = Fake()

    def run() -> None:
        if cuda.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")

    with faked(cuda), pytest.raises(NotCaptured, match="could not be captured: RuntimeError: called a sync"):
        Captured(run, [], CUDA)
    assert cuda.mode == 0 and not any(each.startswith("capture") for each in cuda.calls)


def test_the_first_error_of_a_capture_is_told_and_not_what_follows_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = Fake(fails=True)
    monkeypatch.setattr(cuda_graphs, "generators", lambda device: [])

    def run() -> None:
        if "capture {'capture_error_mode': 'thread_local'}" in cuda.calls:
            raise ValueError("not while capturing.\nmore")

    with (
        faked(cuda),
        pytest.raises(NotCaptured, match="^it could not be captured: ValueError: not while capturing$"),
    ):
        Captured(run, [], CUDA)


def test_every_name_of_pytorch_that_a_capture_needs_is_there() -> None:
    assert all(hasattr(torch.cuda, name) for name in ("graph", "CUDAGraph", "default_generators", "init"))
    assert hasattr(torch._C, "_CUDAGraph") and hasattr(torch.Generator, "graphsafe_set_state")
    assert cuda_graphs.takes(CUDA) and not cuda_graphs.takes(torch.device("cpu"))
    assert cuda_graphs.generators(torch.device("cpu")) == []
    assert list(cuda_graphs.settings()) == list(cuda_graphs.settings())


def network() -> tf.Model:
    tf.utils.set_random_seed(0)
    inputs = tf.Input((16,))
    x = layers.Dense(64, activation="relu")(inputs)
    x = layers.Dropout(0.3)(layers.BatchNormalization()(x))
    return tf.Model(inputs, layers.Dense(3, activation="softmax")(x))


def trained(*, captured: bool, deterministic: bool) -> tf.Model:
    model, rng = network(), np.random.default_rng(0)
    x, y = rng.normal(size=(520, 16)).astype("float32"), rng.integers(0, 3, 520)
    model.compile(
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        cuda_graph=captured,
        deterministic=deterministic,
        device="cuda",
    )
    torch.manual_seed(1)
    model.fit(x, y, batch_size=32, epochs=3, verbose=0)
    return model


@on_a_gpu
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_captured_step_does_what_the_step_does_on_a_gpu(deterministic: bool) -> None:
    found, expected = (trained(captured=each, deterministic=deterministic) for each in (True, False))
    assert found.trainer is not None and "def forward(" in found.trainer.step_code
    for one, other in zip(found.state_dict().values(), expected.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@on_a_gpu
def test_a_capture_that_fails_on_a_gpu_leaves_it_usable() -> None:
    def reading(x: Tensor) -> Tensor:
        x = torch.nn.functional.dropout(x, 0.5)
        return x * float(x.sum())

    x = torch.ones(8, device="cuda")
    stream = torch.cuda.current_stream()
    with pytest.raises(NotCaptured, match="could not be captured"):
        Captured(reading, [x], CUDA)
    assert torch.cuda.current_stream() == stream
    assert torch.nn.functional.dropout(x, 0.5).shape == (8,)


@on_a_gpu
def test_replays_draw_the_numbers_that_come_next_on_a_gpu() -> None:
    x = torch.ones(1000, device="cuda")
    captured = Captured(lambda x: (torch.nn.functional.dropout(x, 0.5),), [x], CUDA)
    torch.cuda.manual_seed(3)
    found = [captured(x)[0] for _ in range(3)]
    torch.cuda.manual_seed(3)
    for each in found:
        assert torch.equal(each, torch.nn.functional.dropout(x, 0.5))
