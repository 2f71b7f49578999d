"""The recorded step: it does what the step does, and nothing is recorded that is not known to be right."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import callbacks, layers, optimizers
from torchfunc.training.recording import replaying
from torchfunc.training.recording.flat_memory import FlatOptimizer
from torchfunc.training.recording.passes import tidying
from torchfunc.training.recording.tape import Tape
from torchfunc.training.step import Step as TrainingStep

ROOT = Path(__file__).parents[3]
Change = Callable[[tf.Model], Any]
ROWS = 8 * 12 + 5  # the last batch is uneven


@pytest.fixture(autouse=True)
def sums_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the passes that move sums, which have laws of their own: here all is equal to the bit."""
    monkeypatch.setattr(tidying, "MOVING", ())


def data(rows: int = ROWS) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 6)).astype("float32"), rng.integers(0, 3, rows)


def network(*extra: Any, activation: Any = "relu", make: Any = None) -> tf.Model:
    torch.manual_seed(0)
    extra = tuple(make()) if make else extra
    x = inputs = tf.Input((6,))
    x = layers.Dense(8, activation=activation, name="first")(x)
    for each in extra:
        x = each(x)
    return tf.Model(inputs, layers.Dense(3, activation="softmax", name="last")(x))


def fitted(model: tf.Model, optimizer: Any = "adam", *, recorded: bool, **options: Any) -> tf.Model:
    """The model after two epochs, in the random state that is always the same."""
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.run_eagerly = not recorded
    torch.manual_seed(1)
    x, y = options.pop("data", data())
    options = {"epochs": 2, "verbose": 0} | options
    model.fit(x, y, batch_size=None if callable(x) else 8, **options)
    return model


def is_recorded(model: tf.Model) -> bool:
    assert model.trainer is not None
    return "def forward(" in model.trainer.step_code


def why_not(model: tf.Model) -> str:
    assert model.trainer is not None
    return model.trainer.step_code


def assert_equal(one: tf.Model, other: tf.Model) -> None:
    """To the bit: weights, statistics, what the optimizer remembers, figures."""
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert one.trainer is not None and other.trainer is not None
    mine, theirs = (each.trainer.state_dict()["optimizer"]["slots"] for each in (one, other))
    for name, slots in theirs.items():
        for key, value in slots.items():
            assert torch.equal(torch.as_tensor(mine[name][key]), torch.as_tensor(value)), (name, key)
    for name, values in other.trainer.history.history.items():
        np.testing.assert_allclose(one.trainer.history.history[name], values, rtol=1e-6)


OPTIMIZERS: list[Callable[[], Any]] = [
    lambda: "sgd",
    lambda: optimizers.SGD(0.1, momentum=0.9),
    lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    lambda: "adam",
    lambda: optimizers.Adam(0.01, amsgrad=True),
    lambda: "adamw",
    lambda: "adamax",
    lambda: "nadam",
    lambda: "rmsprop",
    lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    lambda: "adagrad",
    lambda: "adadelta",
    lambda: "lion",
    lambda: "ftrl",
    lambda: "lamb",
    lambda: "adafactor",
    lambda: "muon",
    lambda: optimizers.Adam(0.01, clipnorm=0.5),
    lambda: optimizers.Adam(0.01, global_clipnorm=0.5),
    lambda: optimizers.Adam(0.01, use_ema=True),
    lambda: optimizers.SGD(0.1, gradient_accumulation_steps=3),
    lambda: optimizers.SGD(tf.schedules.ExponentialDecay(0.1, 5, 0.5)),
    lambda: torch.optim.AdamW,
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns_what_it_learns_from_the_step_as_it_is(optimizer: Callable[[], Any]) -> None:
    recorded = fitted(network(), optimizer(), recorded=True)
    assert is_recorded(recorded)
    assert_equal(recorded, fitted(network(), optimizer(), recorded=False))


def wide() -> list[Any]:
    """Layers of which some parameters lie in one piece of memory while they are trained."""
    return [layers.Dense(64, activation="relu"), layers.Dense(64), layers.Dense(8)]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_steps_on_pieces_of_memory_as_on_parameters(
    optimizer: Callable[[], Any], threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found, expected = (
            fitted(network(make=wide), optimizer(), recorded=recorded, epochs=3) for recorded in (True, False)
        )
    finally:
        torch.set_num_threads(before)
    assert is_recorded(found)
    assert_equal(found, expected)


LAYERS: list[Callable[[], list[Any]]] = [
    lambda: [layers.Dropout(0.5)],
    lambda: [layers.Dropout(0.5, seed=3)],
    lambda: [layers.GaussianNoise(0.1), layers.AlphaDropout(0.2)],
    lambda: [layers.BatchNormalization()],
    lambda: [nn.BatchNorm1d(8), nn.Dropout(0.3), nn.GELU()],
    lambda: [
        layers.LayerNormalization(),
        layers.Dense(8, kernel_regularizer="l2", kernel_constraint="non_neg"),
    ],
    lambda: [layers.Dense(4, activity_regularizer="l1"), layers.PReLU()],
    lambda: [layers.Reshape((4, 2)), layers.LSTM(5)],
    lambda: [layers.Reshape((4, 2)), layers.Conv1D(5, 2), layers.MaxPooling1D(2), layers.Flatten()],
    lambda: [
        layers.Reshape((4, 2)),
        layers.SimpleRNN(3, return_sequences=True),
        layers.GlobalAveragePooling1D(),
    ],
    lambda: [nn.Linear(8, 8), nn.ReLU(inplace=True)],
]


@pytest.mark.parametrize("make", LAYERS)
def test_layers_draw_the_same_numbers_and_keep_the_same_statistics(make: Callable[[], list[Any]]) -> None:
    recorded = fitted(network(make=make), recorded=True)
    after = torch.get_rng_state()
    assert is_recorded(recorded)
    assert_equal(recorded, fitted(network(make=make), recorded=False))
    assert torch.equal(after, torch.get_rng_state())


def test_the_step_is_plain_python() -> None:
    torch.manual_seed(0)
    inputs = tf.Input((6,))
    model = tf.Model(
        inputs, layers.Dense(3, name="last")(layers.Dense(8, activation="relu", name="first")(inputs))
    )
    model.compile("sgd", "mse")
    x, y = data(96)
    model.fit(x, np.eye(3, dtype="float32")[y], batch_size=8, verbose=0)
    assert model.trainer is not None
    assert model.trainer.step_code == GOLDEN


GOLDEN = """v1 = torch.t(first_weight)
v4 = torch.t(last_weight)
v7 = torch.ones([], dtype=torch.float32, device="cpu")
v20 = torch.t(kept3)
def forward(batch_0, batch_1):
    torch._addmm_activation(first_bias, batch_0, v1, out=kept1)
    torch.addmm(last_bias, kept1, v4, out=kept2)
    v6 = aten_mse_loss(kept2, batch_1)
    v9 = aten_mse_loss_backward(v7, kept2, batch_1, 1)
    torch.mm(v9, last_weight, out=kept3)
    v12 = torch.t(v9)
    torch.mm(v12, kept1, out=last_weight_grad)
    del v12
    torch.sum(v9, [0], True, out=last_bias_grad_made)
    del v9
    aten_threshold_backward(kept3, kept1, 0, grad_input=kept3)
    torch.mm(v20, batch_0, out=first_weight_grad)
    torch.sum(kept3, [0], True, out=first_bias_grad_made)
    return (v6, (), [], (), [])"""


def test_outputs_weights_and_masks_are_told() -> None:
    def made(recorded: bool) -> tf.Model:
        torch.manual_seed(0)
        inputs = tf.Input((5,), dtype="int64", name="words")
        x = layers.Embedding(9, 4, mask_zero=True)(inputs)
        steps = layers.LSTM(4, return_sequences=True, name="steps")(x)
        outputs = {
            "all": layers.Dense(2, name="all")(steps),
            "one": layers.Dense(1, name="one")(layers.LSTM(3)(x)),
        }
        model = tf.Model(inputs, outputs)
        model.compile(
            "rmsprop",
            "mse",
            loss_weights={"all": 0.5},
            metrics={"one": "mae"},
            weighted_metrics={"one": "mse"},
        )
        model.run_eagerly = not recorded
        rng = np.random.default_rng(0)
        torch.manual_seed(1)
        y = {"all": rng.normal(size=(80, 5, 2)), "one": rng.normal(size=(80, 1))}
        weight = {"all": rng.uniform(size=80), "one": rng.uniform(size=80)}
        model.fit(rng.integers(0, 9, (80, 5)), y, sample_weight=weight, batch_size=8, epochs=2, verbose=0)
        return model

    recorded = made(True)
    assert is_recorded(recorded)
    assert_equal(recorded, made(False))


class Foreign(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Step(tf.Model):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class Noisy(layers.Dense):
    pass


def parametrized() -> nn.Module:
    return nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))


def hooked(kind: str) -> nn.Module:
    module = nn.Linear(8, 8)
    getattr(module, f"register_{kind}")(lambda *given: None)
    return module


def hooked_weight() -> nn.Module:
    module = nn.Linear(8, 8)
    module.weight.register_hook(lambda gradient: gradient)
    return module


def patched() -> nn.Module:
    module = nn.Linear(8, 8)
    module.forward = lambda x: x  # type: ignore[method-assign]
    return module


REFUSALS: list[tuple[Callable[[], Any], str]] = [
    (Foreign, "is a Foreign, whose forward it does not know"),
    (lambda: Noisy(8), "is a Noisy, whose forward it does not know"),
    (lambda: layers.Lambda(lambda x: x * 2), "Lambda|lambda"),
    (lambda: layers.Dense(8, activation=lambda x: x.relu()), "calls '<lambda>'"),
    (parametrized, "whose forward it does not know|parametrizations"),
    (lambda: hooked("forward_hook"), "has a hook"),
    (lambda: hooked("forward_pre_hook"), "has a hook"),
    (lambda: hooked("full_backward_hook"), "has a hook"),
    (hooked_weight, "weight' has a hook"),
    (patched, "has a forward of its own"),
    (lambda: layers.SpectralNormalization(layers.Dense(8)), "a forward writes into a parameter"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSALS)
def test_what_is_not_known_to_be_right_is_not_recorded(make: Callable[[], Any], reason: str) -> None:
    model = fitted(network(make()), recorded=True)
    assert not is_recorded(model)
    assert re.search(reason, why_not(model)), why_not(model)


def test_a_step_of_ones_own_is_not_recorded() -> None:
    model = network()
    own = fitted(Step(model.inputs, model.outputs), recorded=True)
    assert "it is a step of your own" in why_not(own)


def test_a_loss_of_ones_own_is_not_recorded() -> None:
    model = network()
    model.compile("sgd", lambda y_true, y_pred: (y_pred - y_true.unsqueeze(-1)).square().mean(-1))
    model.fit(*data(), batch_size=8, verbose=0)
    assert "the loss of 'last' calls '<lambda>'" in why_not(model)


def test_a_mode_and_a_hook_on_everything_are_seen() -> None:
    with torch.autograd.set_detect_anomaly(True):
        assert "anomaly mode is on" in why_not(fitted(network(), recorded=True))
    with torch.autocast("cpu", torch.bfloat16):
        assert "autocast is on" in why_not(fitted(network(), recorded=True))
    with Tape():
        assert "a mode of torch_dispatch" in why_not(fitted(network(), recorded=True))
    hook = nn.modules.module.register_module_forward_hook(lambda *given: None)
    try:
        assert "a hook on all modules" in why_not(fitted(network(), recorded=True))
    finally:
        hook.remove()


def test_a_short_epoch_and_run_eagerly_are_heeded() -> None:
    assert "run_eagerly=True asks for that" in why_not(fitted(network(), recorded=False))
    model = fitted(network(), recorded=True, data=data(40))
    assert "an epoch has 5 batches, and it takes 8 to gain by it" in why_not(model)


def test_a_stateful_layer_is_not_recorded() -> None:
    inputs = tf.Input((4, 2), batch_size=8)
    model = tf.Model(inputs, layers.LSTM(3, stateful=True, name="keeps")(inputs))
    model.compile("sgd", "mse")
    model.fit(np.zeros((80, 4, 2), "float32"), np.zeros((80, 3), "float32"), batch_size=8, verbose=0)
    assert "'keeps' is stateful" in why_not(model)


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda x: x.sum().item(), "_local_scalar_dense"),
        (lambda x: x[x > 0], "numbers in a tensor"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: torch.equal(x, x), "equal"),
        (lambda x: x.to_sparse() * 2, "sparse|numbers in a tensor"),
        (lambda x: x.to("meta"), "computes on meta"),
    ],
)
def test_what_goes_by_numbers_or_is_elsewhere_cannot_be_repeated(
    read: Callable[[Tensor], Any], reason: str
) -> None:
    with Tape() as tape:
        torch.ones(3).add_(1)
        assert not tape.refused
        read(torch.ones(3))
    assert re.search(reason, tape.refused), tape.refused


def test_why_is_said_once_where_an_epoch_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    model = network(Foreign())
    model.compile("sgd", "sparse_categorical_crossentropy")
    for _ in range(2):
        model.fit(*data(), batch_size=8, epochs=2, verbose=2)
    words = "The training step runs as it is, not recorded, because 'foreign' is a Foreign, whose forward it does not know."
    assert capsys.readouterr().out.count(words) == 1


class At(callbacks.Callback):
    """Does something after the fourth batch, and undoes nothing."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change, self.seen = change, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen += 1
        if self.seen == 4:
            self.change(self.model)


class Between(callbacks.Callback):
    """Does something after the first epoch, and undoes nothing."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self.change(self.model)


def set_rate(model: tf.Model) -> None:
    model.get_layer("drop").rate = 0.9


def replace(model: tf.Model) -> None:
    torch.manual_seed(5)
    model.last.weight = nn.Parameter(torch.rand(3, 8) - 0.5)


def set_data(model: tf.Model) -> None:
    model.last.weight.data = torch.full((3, 8), 0.1)


def set_learning_rate(model: tf.Model) -> None:
    assert model.trainer is not None
    model.trainer.learning_rate = 0.3


def add_hook(model: tf.Model) -> None:
    model.first.register_forward_hook(lambda module, args, output: output * 0.5)


def freeze(model: tf.Model) -> None:
    model.last.eval()


def load(model: tf.Model) -> None:
    model.load_state_dict({name: each * 0.5 for name, each in model.state_dict().items()})


CHANGES: list[Change] = [
    replace,
    set_data,
    set_learning_rate,
    add_hook,
    freeze,
    load,
    lambda model: setattr(model.first, "activation", tf.activations.tanh),
    lambda model: model.first.weight.register_hook(lambda gradient: gradient * 0.5) and None,
    lambda model: model.first.weight.requires_grad_(False),
    lambda model: model.zero_grad(),
    lambda model: setattr(model.trainer.step.objective.losing[0], "weight", 0.5),
    lambda model: tf.backend.set_epsilon(1e-5),
]


@pytest.mark.parametrize("when", [At, Between])
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_callback_changes_is_heard_at_once(change: Change, when: Callable[[Change], Any]) -> None:
    models = []
    for recorded in (True, False):
        models.append(fitted(network(), "sgd", recorded=recorded, callbacks=[when(change)], epochs=3))
        tf.backend.set_epsilon(1e-7)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_rate_that_data_or_a_callback_between_epochs_change_is_heard() -> None:
    def batches(model: tf.Model) -> Callable[[], Iterator[Any]]:
        x, y = data()

        def one_by_one() -> Iterator[Any]:
            for start in range(0, 96, 8):
                if start == 40:
                    set_rate(model)
                yield x[start : start + 8], y[start : start + 8]

        return one_by_one

    def trained_on_them(recorded: bool) -> tf.Model:
        model = network(layers.Dropout(0.1, name="drop"))
        return fitted(model, recorded=recorded, data=(batches(model), None))

    def trained_between(recorded: bool) -> tf.Model:
        model = network(layers.Dropout(0.1, name="drop"))
        change = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: set_rate(model))
        return fitted(model, recorded=recorded, callbacks=[change])

    for trained_so in (trained_on_them, trained_between):
        found = trained_so(True)
        assert is_recorded(found)
        assert_equal(found, trained_so(False))


def stepped_in(monkeypatch: pytest.MonkeyPatch, at: int = 0) -> list[list[int]]:
    """Where parameters lie at each step in pieces of memory; at one of them the user interrupts."""
    places: list[list[int]] = []
    original = FlatOptimizer.step

    def step(self: FlatOptimizer) -> None:
        original(self)
        places.append([each.data_ptr() for each, _ in self.gradients.of])
        if len(places) == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(FlatOptimizer, "step", step)
    return places


def places_of(model: tf.Model) -> list[int]:
    return [each.data_ptr() for each in model.parameters()]


def test_parameters_stay_where_they_are_for_who_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    model, places = network(make=wide), stepped_in(monkeypatch)
    before = places_of(model)
    fitted(model, recorded=True, epochs=3)
    assert len(places) == 3 * 12 - 1 and all(
        each != before for each in places
    )  # they were elsewhere meanwhile
    assert len(set(map(tuple, places))) == 1 and places_of(model) == before


def test_a_parameter_that_somebody_sees_before_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model, places = network(make=wide), stepped_in(monkeypatch)
    held = model.layers[2].weight.detach()
    assert is_recorded(fitted(model, recorded=True)) and not places
    assert torch.equal(held, model.layers[2].weight)


def test_who_comes_to_see_a_parameter_meanwhile_sees_it_change(monkeypatch: pytest.MonkeyPatch) -> None:
    model, places, seen = network(make=wide), stepped_in(monkeypatch), []

    def see(batch: int, logs: Any) -> None:
        if not seen and batch == 5:
            seen.append(model.layers[2].weight.detach())

    seeing = callbacks.LambdaCallback(on_train_batch_end=see)
    assert is_recorded(fitted(model, recorded=True, callbacks=[seeing])) and places
    assert torch.equal(seen[0], model.layers[2].weight)
    assert_equal(model, fitted(network(make=wide), recorded=False))


def test_an_interruption_in_pieces_of_memory_leaves_all_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    model, places = network(make=wide), stepped_in(monkeypatch, at=4)
    before = places_of(model)
    with pytest.raises(KeyboardInterrupt):
        fitted(model, recorded=True)
    assert len(places) == 4 and places_of(model) == before


def test_an_interruption_leaves_parameters_and_optimizer_in_their_places() -> None:
    def interrupt(model: tf.Model) -> None:
        raise KeyboardInterrupt

    models = []
    for recorded in (True, False):
        model = network()
        before = [each.data_ptr() for each in model.parameters()]
        with pytest.raises(KeyboardInterrupt):
            fitted(model, recorded=recorded, callbacks=[At(interrupt)])
        assert [each.data_ptr() for each in model.parameters()] == before
        models.append(model)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-6)
        state = [
            m.trainer.optimizer.torch_optimizer.state[p] for m, p in zip(models, (one, other), strict=True)
        ]
        torch.testing.assert_close(state[0]["velocity"], state[1]["velocity"], rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_batch_that_is_no_number_is_skipped_as_it_is_without_recording(where: str) -> None:
    def trained_on_nan(recorded: bool) -> tf.Model:
        x, y = data(96)
        x[43] = np.nan if where == "loss" else 3e38

        def one_by_one() -> Iterator[Any]:
            for start in range(0, 96, 8):
                yield x[start : start + 8], y[start : start + 8]

        with pytest.warns(UserWarning, match="batch 6|skipped"):
            return fitted(network(layers.BatchNormalization()), recorded=recorded, data=(one_by_one, None))

    found = trained_on_nan(True)
    assert is_recorded(found)
    assert_equal(found, trained_on_nan(False))


def test_a_program_that_does_another_thing_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    right = replaying.spelled

    def wrong(lines: Any) -> Any:
        code = right(lines)
        changed = code.source.replace("torch._addmm_activation(", "torch.addmm(")
        assert changed != code.source
        return type(code)(changed, changed, code.globals)

    monkeypatch.setattr(replaying, "spelled", wrong)
    model = fitted(network(layers.Dropout(0.5)), recorded=True)
    assert "it did another thing when it was repeated" in why_not(model)
    assert_equal(model, fitted(network(layers.Dropout(0.5)), recorded=False))


ALONE = """
import sys, numpy as np, torchfunc as tf
inputs = tf.Input((6,))
model = tf.Model(inputs, tf.layers.Dense(3)(inputs))
model.compile("adam", "mse")
model.fit(np.zeros((80, 6)), np.zeros((80, 3)), batch_size=8, verbose=0)
print("def forward(" in model.trainer.step_code, [name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def test_recording_does_not_load_the_compiler_of_pytorch() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split(maxsplit=1) == ["True", "[]\n"]


def test_gradients_that_a_callback_keeps_stay_as_they_are() -> None:
    kept: list[tuple[Tensor, Tensor]] = []

    class Keeps(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            gradient = self.model.first.weight.grad
            kept.append((gradient, gradient.clone()))

    model = fitted(network(), recorded=True, callbacks=[Keeps()], epochs=3)
    assert is_recorded(model) and len(kept) == 3
    assert all(torch.equal(gradient, before) for gradient, before in kept)


def test_no_batch_of_a_training_but_two_goes_through_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = network(), []
    original = TrainingStep.outputs_of

    def counted(self: Any, batch: Any) -> Any:
        calls.append(batch.size)
        return original(self, batch)

    monkeypatch.setattr("torchfunc.training.step.Step.outputs_of", counted)
    fitted(model, recorded=True, data=data(160), epochs=3)
    assert len(calls) == 2  # one is recorded, one checked
    model.fit(*data(160), batch_size=8, epochs=2, verbose=0)
    assert len(calls) == 2  # what was recorded outlives a fit
