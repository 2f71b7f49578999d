"""Guards: whatever a recorded step goes by, a change of it in the middle of training counts from the next batch on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import torchfunc as tf
from tests.training.recording.test_recorded_step import (
    At,
    Between,
    assert_equal,
    data,
    fitted,
    is_recorded,
    network,
)
from torchfunc import layers
from torchfunc.errors import CompileError
from torchfunc.training.recording.fingerprint import Fingerprint

Change = Callable[[tf.Model], Any]


class Negative(layers.Dense):
    def forward(self, inputs: Tensor) -> Tensor:
        return -super().forward(inputs)


def head(model: tf.Model) -> Any:
    assert model.trainer is not None
    return model.trainer.step.objective.losing[0]


def drawn(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7)) - 0.5


def other_class(model: tf.Model) -> None:
    model.first.__class__ = Negative


def other_layer(model: tf.Model) -> None:
    torch.manual_seed(5)
    model.drop = nn.Tanh()


def other_buffer(model: tf.Model) -> None:
    model.norm.running_mean = drawn(8)


def other_place(model: tf.Model) -> None:
    model.first.weight.data = drawn(6, 8).t()


def without_bias(model: tf.Model) -> None:
    model.last.bias = None


def other_loss(model: tf.Model) -> None:
    head(model).logits, head(model).loss = None, tf.losses.CategoricalGeneralizedCrossEntropy()


def gradient_hook(module: nn.Module, given: Any, made: Any) -> Any:
    return tuple(None if each is None else each * 0.5 for each in given)


def halving_gradients(weight: Tensor) -> None:
    assert weight.grad is not None
    weight.grad.mul_(0.5)


def halving(module: nn.Module, args: Any, output: Any = None) -> Any:
    """A hook before or after a forward of the first layer alone."""
    if isinstance(module, layers.Dense):
        return output * 0.5 if output is not None else (args[0] * 0.5,)
    return None


HOOKS: list[Any] = []  # on all modules, to be taken away


def on_all(kind: str, hook: Callable[..., Any]) -> Change:
    def change(_: tf.Model) -> None:
        HOOKS.append(getattr(nn.modules.module, f"register_module_{kind}")(hook))

    return change


def entered(context: Callable[[], Any]) -> Change:
    """A context that stays on until the test ends."""

    def change(_: tf.Model) -> None:
        HOOKS.append(context())
        HOOKS[-1].__enter__()

    return change


class Passing(TorchDispatchMode):
    """A mode that hears of each call and does nothing to it."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


CHANGES: dict[str, Change] = {
    "the class of a layer": other_class,
    "a layer": other_layer,
    "a mode": lambda model: model.norm.eval(),
    "a parameter": lambda model: setattr(model.last, "weight", nn.Parameter(drawn(3, 8))),
    "a parameter less": without_bias,
    "the memory of a parameter": lambda model: setattr(model.last.weight, "data", drawn(3, 8)),
    "how a parameter lies": other_place,
    "a parameter that is frozen": lambda model: model.first.weight.requires_grad_(False),
    "a layer that is frozen": lambda model: setattr(model.norm, "trainable", False),
    "a hook of a parameter": lambda model: model.first.weight.register_hook(lambda gradient: gradient * 0.5),
    "a hook on a gradient that is there": lambda model: (
        model.first.weight.register_post_accumulate_grad_hook(halving_gradients)
    ),
    "a buffer": other_buffer,
    "a number of a layer": lambda model: setattr(model.norm, "momentum", 0.5),
    "a rate": lambda model: setattr(model.drop, "rate", 0.9),
    "an activation": lambda model: setattr(model.first, "activation", tf.activations.tanh),
    "a hook": lambda model: model.first.register_forward_hook(halving),
    "a hook before": lambda model: model.first.register_forward_pre_hook(halving),
    "a hook behind": lambda model: model.last.register_full_backward_hook(gradient_hook),
    "a hook on all": on_all("forward_hook", halving),
    "a hook before all": on_all("forward_pre_hook", halving),
    "a hook behind all": on_all("full_backward_hook", lambda module, given, made: None),
    "a hook before behind all": on_all("full_backward_pre_hook", lambda module, made: None),
    "a loss": other_loss,
    "whether a loss is of logits": lambda model: setattr(head(model), "logits", None),
    "a number of a loss": lambda model: setattr(head(model).logits.loss, "reduction", "sum"),
    "a weight of a loss": lambda model: setattr(head(model), "weight", 0.5),
    "the learning rate": lambda model: setattr(model.trainer, "learning_rate", 0.5),
    "the epsilon": lambda model: tf.backend.set_epsilon(1e-2),
    "the float type": lambda model: tf.backend.set_floatx("float64"),
    "the default dtype": lambda model: torch.set_default_dtype(torch.float64),
    "determinism": lambda model: torch.use_deterministic_algorithms(True),
    "oneDNN": lambda model: setattr(torch.backends.mkldnn, "enabled", False),
    "autocast": entered(lambda: torch.autocast("cpu", torch.bfloat16)),
    "anomaly mode": entered(lambda: torch.autograd.set_detect_anomaly(True, check_nan=False)),
    "a function mode": entered(lambda: torch.device("cpu")),
    "a dispatch mode": entered(Passing),
}  # fmt: skip


# which may leave the numbers as they are
WITHOUT_EFFECT = {
    *(
        "the epsilon",
        "the float type",
        "the default dtype",
        "determinism",
        "oneDNN",
        "anomaly mode",
        "a function mode",
        "a dispatch mode",
        "a hook behind all",
        "a hook before behind all",
    ),
    "a mode",  # `fit` sets it at the next epoch
}


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    yield
    undo()


def undo() -> None:
    """Everything around as it was."""
    tf.backend.set_epsilon(1e-7)
    tf.backend.set_floatx("float32")
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)
    torch.backends.mkldnn.enabled = True
    while HOOKS:
        last = HOOKS.pop()
        last.remove() if hasattr(last, "remove") else last.__exit__(None, None, None)


def several_layers() -> tf.Model:
    return network(layers.BatchNormalization(name="norm"), layers.Dropout(0.3, name="drop"))


def seen(change: Change) -> Change:
    """The change, which has to be seen, whether by a quick look or by another whole one."""

    def changing(model: tf.Model) -> None:
        assert model.trainer is not None
        before = Fingerprint(model.trainer.step)
        assert before.still_holds() and Fingerprint(model.trainer.step) == before
        change(model)
        if change is not CHANGES["the learning rate"]:  # which the optimizer takes anew at each step
            assert not before.still_holds() and Fingerprint(model.trainer.step) != before

    return changing


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("when", [At, Between])
@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_in_the_middle_of_training_counts_at_once(
    what: str, when: Callable[[Change], Any]
) -> None:
    models = []
    for recorded in (True, False):
        codes: list[str] = []

        def change(model: tf.Model, codes: list[str] = codes) -> None:
            codes.append(model.trainer.step_code)
            seen(CHANGES[what])(model)

        models.append(fitted(several_layers(), "sgd", recorded=recorded, callbacks=[when(change)], epochs=3))
        assert ["def forward(" in each for each in codes] == [recorded]
        undo()
    one, other = models
    for (name, found), expected in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(found, expected), name
    unchanged = fitted(several_layers(), "sgd", recorded=False, epochs=3).state_dict()
    if what not in WITHOUT_EFFECT:
        assert not all(torch.equal(unchanged[name], each) for name, each in one.state_dict().items())


@pytest.mark.parametrize("when", [At, Between])
@pytest.mark.parametrize("recorded", [True, False])
def test_inference_mode_in_the_middle_of_training_is_refused_at_once(recorded: bool, when: Any) -> None:
    models: list[tf.Model] = []

    def change(model: tf.Model) -> None:
        models.append(model)
        assert ("def forward(" in model.trainer.step_code) == recorded
        seen(entered(torch.inference_mode))(model)

    with pytest.raises(CompileError, match="The loss does not depend on any parameter in training"):
        fitted(several_layers(), "sgd", recorded=recorded, callbacks=[when(change)], epochs=3)
    undo()
    (model,), left = models, [each.clone() for each in models[0].parameters()]
    assert model.trainer.step.count == (4 if when is At else 13)
    model.train_on_batch(*data(8))
    assert not any(map(torch.equal, left, model.parameters()))


def odd_rows(x: Any, y: Any, at: int) -> Any:
    """A batch that differs from the others in its form, now in one way, now in another."""
    ways = (
        lambda: (x.astype("float64"), y),
        lambda: (x, y, np.linspace(0.1, 1.0, len(x), dtype="float32")),
        lambda: (np.asfortranarray(x), y),
        lambda: (x, y.astype("int32")),
        lambda: (x[:5], y[:5]),
        lambda: (torch.from_numpy(x).requires_grad_(), y),
        lambda: (torch.from_numpy(np.repeat(x, 2, axis=1))[:, ::2], y),
    )
    return ways[at % len(ways)]()


def test_batches_of_other_forms_between_are_learned_from_as_they_are() -> None:
    x, y = data(8 * 30)

    def batches() -> Iterator[Any]:
        for at in range(30):
            rows = slice(at * 8, at * 8 + 8)
            yield odd_rows(x[rows], y[rows], at // 3) if at % 3 == 2 else (x[rows], y[rows])

    found, expected = (
        fitted(several_layers(), recorded=recorded, data=(batches, None), epochs=3)
        for recorded in (True, False)
    )
    assert is_recorded(found)
    assert_equal(found, expected)
