"""Refusals: every reason why a step is not recorded, as it stands in the sources, is told where it is one."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from tests.training.recording.test_recorded_step import (
    Foreign,
    Step,
    data,
    fitted,
    hooked,
    hooked_weight,
    is_recorded,
    network,
    parametrized,
    patched,
    why_not,
)
from torchfunc import layers
from torchfunc.graph.symbolic import record
from torchfunc.training.recording import permitted, replaying
from torchfunc.training.recording.tape import Tape

HOME = Path(permitted.__file__).parent
OUTSIDE, SPARSE = torch.ones(()), torch.eye(3).to_sparse()
Situation = Callable[[pytest.MonkeyPatch], Sequence[str]]


class Odd(Tensor):
    """A tensor of somebody's own."""


class Strange:
    """An object of somebody's own."""


def halved(x: Tensor) -> Tensor:
    return x * 0.5


@torch.library.custom_op("recording::doubled", mutates_args=())
def doubled(x: Tensor) -> Tensor:
    return x * 2


def permitting(change: Callable[[tf.Model], Any] = lambda model: None, make: Any = network) -> Situation:
    """All that is said of a compiled model after a change."""

    def found(_: pytest.MonkeyPatch) -> list[str]:
        model = make()
        model.compile("sgd", "sparse_categorical_crossentropy")
        change(model)
        return list(permitted._reasons(model.trainer.step))

    return found


def of(make: Callable[[], Any]) -> Situation:
    """All that is said of a network with one more layer."""
    return permitting(make=lambda: network(make()))


def within(context: Callable[[], AbstractContextManager[Any]]) -> Situation:
    def found(patch: pytest.MonkeyPatch) -> Sequence[str]:
        with context():
            return permitting()(patch)

    return found


def taped(
    call: Callable[[], Any], context: Callable[[], AbstractContextManager[Any]] = torch.no_grad
) -> Situation:
    """What is said of a call of PyTorch."""

    def found(_: pytest.MonkeyPatch) -> list[str]:
        with context(), Tape() as tape:
            call()
        return [tape.refused]

    return found


def trained(forward: Callable[..., Any], **options: Any) -> Situation:
    """What is said at the end of a training in which `Dense` has another forward."""

    def found(patch: pytest.MonkeyPatch) -> list[str]:
        original = layers.Dense.forward
        patch.setattr(layers.Dense, "forward", lambda self, x: forward(self, original(self, x)))
        return [why_not(fitted(network(), recorded=True, **options)).strip()]

    return found


def as_it_is(layer: Any, y: Tensor) -> Tensor:
    return y


def counting(layer: Any, y: Tensor) -> Tensor:
    layer.calls = getattr(layer, "calls", 0) + 1
    return y


def growing(layer: Any, y: Tensor) -> Tensor:
    with torch.no_grad():
        layer.bias.add_(0.001)
    return y


def wrong(patch: pytest.MonkeyPatch) -> Sequence[str]:
    patch.setattr(replaying.Recorder, "_is_right", lambda *given: False)
    return trained(as_it_is)(patch)


@contextmanager
def a_group_of_one() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def hooked_modules(kind: str) -> Iterator[None]:
    hook = getattr(nn.modules.module, f"register_module_{kind}")(lambda *given: None)
    try:
        yield
    finally:
        hook.remove()


def bfloat() -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16)


def compiled(**options: Any) -> Callable[[tf.Model], Any]:
    return lambda model: model.compile("sgd", "sparse_categorical_crossentropy", **options)


def frozen(_: pytest.MonkeyPatch) -> Sequence[str]:
    model = network()
    model.trainable = False
    with pytest.warns(UserWarning, match="no trainable parameters"):
        return [why_not(fitted(model, recorded=True)).strip()]


def with_loss(loss: Any) -> Situation:
    return permitting(lambda model: model.compile("sgd", loss))


def keeping(value: Any) -> tf.losses.Loss:
    loss = tf.losses.SparseCategoricalCrossentropy()
    loss.kept = value
    return loss


def buffer(tensor: Tensor) -> Situation:
    return permitting(lambda model: model.first.register_buffer("kept", tensor))


def calling() -> tf.Model:
    inputs = tf.Input((6,))
    return tf.Model(inputs, layers.Dense(3)(record(halved, (inputs,), {})))


def own() -> tf.Model:
    model = network()
    return Step(model.inputs, model.outputs)


def stateful() -> tf.Model:
    inputs = tf.Input((4, 2), batch_size=8)
    return tf.Model(inputs, layers.LSTM(3, stateful=True)(inputs))


# Each reason, with {} for what is told in it, and the situations in which it is told.
class OwnMetric(tf.metrics.MeanSquaredError):
    """A metric of somebody's own."""


def foreign_metric() -> Any:
    metric = tf.metrics.MeanSquaredError()
    vars(metric)["extra"] = halved
    return metric


def with_metric(metric: Any) -> Situation:
    """What is said of a metric, which is given outputs then; the step itself is recorded."""

    def found(_: pytest.MonkeyPatch) -> list[str]:
        model, twin = network(), network()
        for each, recorded in ((model, True), (twin, False)):
            each.compile("adam", "mse", metrics=[metric])
            each.run_eagerly = not recorded
            x, y = data(160)
            each.fit(x, np.eye(3, dtype="float32")[y], batch_size=8, verbose=0, shuffle=False)
        assert is_recorded(model)
        assert model.trainer is not None and twin.trainer is not None
        assert model.trainer.history.history == twin.trainer.history.history  # type: ignore[union-attr]
        return list(permitted.of_metrics(model.trainer.step.objective))

    return found


REASONS: dict[str, list[Situation]] = {
    "it is a step of your own": [
        permitting(make=own),
    ],
    "run_eagerly=True asks for that": [permitting(lambda model: setattr(model, "run_eagerly", True))],
    "it was compiled with options that it does not know": [
        permitting(compiled(precision="bf16")),
        permitting(compiled(clipnorm=1.0)),
        permitting(compiled(use_ema=True)),
    ],
    "nothing in it is trained": [frozen],
    "it is on {}": [permitting(lambda model: setattr(model.trainer.step, "device", torch.device("meta")))],
    "reading its device has to wait": [
        permitting(lambda model: setattr(model.trainer.step.watch, "reads", False))
    ],
    "{} is a {}, whose update it does not know": [with_metric(OwnMetric())],
    "the metric {} calls {}": [with_metric(foreign_metric())],
    "the loss of {} calls {}": [
        with_loss(lambda y_true, y_pred: y_pred.mean(-1)),
        with_loss(keeping(halved)),
        with_loss(keeping([{"each": Odd}])),
        with_loss(keeping(Strange())),
    ],
    "the loss holds {}": [of(lambda: layers.Dense(8, kernel_regularizer=lambda weight: weight.sum()))],
    "anomaly mode is on": [within(lambda: torch.autograd.set_detect_anomaly(True))],
    "autocast is on": [within(bfloat)],
    "a mode of torch_dispatch or torch_function is on": [
        within(Tape),
        within(lambda: torch.device("cpu")),
    ],
    "other processes learn from it": [within(a_group_of_one)],
    "there is a hook on all modules": [
        within(lambda: hooked_modules("forward_pre_hook")),
        within(lambda: hooked_modules("forward_hook")),
        within(lambda: hooked_modules("full_backward_pre_hook")),
        within(lambda: hooked_modules("full_backward_hook")),
    ],
    "{} is a {}, whose forward it does not know": [
        of(Foreign),
        of(lambda: layers.Normalization(mean=0.0, variance=1.0)),
    ],
    "{} has parametrizations": [of(parametrized)],
    "{} is compiled by torch.compile": [
        permitting(lambda model: setattr(model.first, "_compiled_call_impl", model.first._call_impl))
    ],
    "{} has a forward of its own": [of(patched)],
    "{} is stateful": [permitting(make=stateful)],
    "{} has a hook": [
        of(lambda: hooked("forward_hook")),
        of(lambda: hooked("forward_pre_hook")),
        of(lambda: hooked("full_backward_hook")),
        of(lambda: hooked("full_backward_pre_hook")),
        of(hooked_weight),
        permitting(lambda model: model.first.weight.register_post_accumulate_grad_hook(lambda weight: None)),
    ],
    "{}.{} calls {}": [of(lambda: layers.Dense(8, activation=halved)), of(lambda: layers.Lambda(halved))],
    "{} is a {}": [buffer(torch.ones(3).as_subclass(Odd))],
    "{} is sparse or complex": [buffer(torch.eye(3).to_sparse()), buffer(torch.ones(3, dtype=torch.complex64))],
    "{} is on {}": [buffer(torch.ones(3, device="meta"))],
    "{} calls {}, which it does not know": [permitting(make=calling)],
    "an epoch has {} batches, and it takes {} to gain by it": [trained(as_it_is, data=data(40))],
    "it did another thing when it was repeated": [wrong],
    "a forward changes what the next one goes by": [trained(counting)],
    "a forward writes into a parameter": [trained(growing)],
    "a tensor of shape {} comes from outside of the step": [trained(lambda layer, y: y * OUTSIDE)],
    "it calls {}, which is no kernel of PyTorch's own": [taped(lambda: doubled(torch.ones(3)))],
    "it runs under autocast": [taped(lambda: nn.Linear(3, 2)(torch.ones(1, 3)), bfloat)],
    "what it does depends on the numbers in a tensor, which {} reads": [
        taped(lambda: torch.ones(3).sum().item()),
        taped(lambda: torch.ones(3)[torch.ones(3) > 0]),
        taped(lambda: torch.ones(3).nonzero()),
        taped(lambda: torch.equal(torch.ones(3), torch.ones(3))),
        taped(lambda: torch.ones(3).unique()),
        taped(lambda: torch.ones(3).masked_select(torch.ones(3) > 0)),
        taped(lambda: nn.utils.rnn.pack_padded_sequence(torch.ones(2, 3, 1), torch.tensor([3, 2]), True)),
        taped(lambda: nn.CTCLoss()(torch.zeros(4, 1, 3), torch.ones(1, 2).long(), [4], [2])),
    ],
    "{} returns something else than tensors": [taped(lambda: torch.ones(3).is_pinned())],
    "it computes on {}": [taped(lambda: torch.ones(3, device="meta"))],
    "it computes with a {}": [taped(lambda: torch.ones(3).as_subclass(Odd) + 1)],
    "it computes with a tensor that is sparse, conjugated or laid out in another way": [
        taped(lambda: SPARSE + SPARSE),
        taped(lambda: torch.ones(3, dtype=torch.complex64).conj()),
        taped(lambda: torch.ones(3, dtype=torch.complex64).conj().imag),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "situation"),
    [(reason, each) for reason, situations in REASONS.items() for each in situations],
    ids=[f"{reason} {at}" for reason, situations in REASONS.items() for at in range(len(situations))],
)
def test_a_reason_is_told_where_it_is_one(
    reason: str, situation: Situation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = ".+".join(map(re.escape, reason.split("{}")))
    told = situation(monkeypatch)
    assert any(re.fullmatch(rf"(# Not recorded, because )?{pattern}\.?", each) for each in told), told


def test_nothing_is_said_against_what_is_recorded() -> None:
    model = fitted(network(), recorded=True)
    assert is_recorded(model)
    assert model.trainer is not None and list(permitted._reasons(model.trainer.step)) == []


def test_every_reason_in_the_sources_has_a_situation() -> None:
    found = {
        text for path in HOME.glob("*.py") for text in reasons(ast.parse(path.read_text("utf-8")), path.stem)
    }
    assert sorted(found - REASONS.keys()) == []
    assert sorted(REASONS.keys() - found) == []


def reasons(tree: ast.AST, file: str) -> Iterator[str]:
    """The texts by which a file refuses: yielded by permitted.py, returned by a `_reason`, or given to `refuse`."""
    for function in ast.walk(tree):
        if (
            not isinstance(function, ast.FunctionDef) or function.name == "foreign"
        ):  # its words are a part of others
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Yield) and file == "permitted":
                yield from texts(node.value)
            if isinstance(node, ast.Return) and function.name == "_reason":
                yield from texts(node.value)
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
                "refuse",
                "_failed",
                "Unknown",
            ):
                yield from texts(node.args[0])
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "changes":
                yield from texts(node.value)


def texts(node: ast.AST | None) -> Iterator[str]:
    """What a text may be, with {} for what is told in it."""
    if isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))
    elif isinstance(node, ast.Constant) and node.value:
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(each.value if isinstance(each, ast.Constant) else "{}" for each in node.values)
