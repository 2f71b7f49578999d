"""Fit: the loop does what a hand-written one does, and costs the device no more."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.training.modules import (
    Activated,
    classification,
    hand_written,
    in_order,
    mlp,
    same_weights,
)
from torchfunc import activations, losses, metrics, optimizers
from torchfunc.callbacks import LambdaCallback
from torchfunc.errors import CompileError, SavingError
from torchfunc.training import Trainer, finite
from torchfunc.training.batches import Batch
from torchfunc.training.ports import Port, Ports

ACTIVATED = Ports(outputs=[Port("output", logits="activation")])
LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}


@pytest.mark.parametrize(
    "make",
    [
        partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        partial(torch.optim.RMSprop, lr=0.01),
        partial(torch.optim.Adam, lr=0.01),
        partial(torch.optim.AdamW, lr=0.01),
    ],
)
def test_fit_ends_with_the_weights_of_a_hand_written_loop_to_the_bit(make: Any) -> None:
    x, y = classification(100)
    ours, theirs = mlp(), mlp()

    history = Trainer(ours, optimizer=make, loss=LOGITS).fit(
        x, y, batch_size=16, epochs=3, shuffle=False, verbose=0
    )
    means = hand_written(
        theirs, make(theirs.parameters()), F.cross_entropy, x, y, batch_size=16, orders=in_order(100, 3)
    )

    assert same_weights(ours, theirs)
    assert history.history["loss"] == pytest.approx(means, rel=1e-6)


def test_the_order_of_the_samples_depends_on_manual_seed_alone() -> None:
    x, y = classification(50)

    def fitted(seed: int) -> nn.Module:
        module = mlp()
        torch.manual_seed(seed)
        Trainer(module, optimizer="sgd", loss=LOGITS).fit(x, y, epochs=2, batch_size=8, verbose=0)
        return module

    assert same_weights(fitted(5), fitted(5))
    assert not same_weights(fitted(5), fitted(6))


def test_every_epoch_sees_each_sample_once_in_another_order() -> None:
    seen: list[int] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                seen.extend(x[:, 0].int().tolist())
            return x * self.weight

    x = np.arange(10.0, dtype="float32")[:, None]
    Trainer(Spy(), optimizer="sgd", loss="mse").fit(x, x, epochs=2, batch_size=3, verbose=0)

    first, second = seen[:10], seen[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_an_epoch_equals_that_of_keras() -> None:
    x, y = classification(50)
    twin = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(3)])
    twin.build((None, 8))
    module = mlp()
    twin.set_weights(
        [each.detach().numpy().T if each.ndim == 2 else each.detach().numpy() for each in module.parameters()]
    )
    twin.compile(
        "rmsprop", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    options: dict[str, Any] = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}

    theirs = twin.fit(x, y, validation_split=0.2, **options).history
    ours = Trainer(module, optimizer="rmsprop", loss=LOGITS, metrics=["accuracy"]).fit(
        x, y, validation_split=0.2, **options
    )

    assert list(ours.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    for name, values in ours.history.items():
        assert values == pytest.approx([float(each) for each in theirs[name]], abs=1e-5), name


def test_values_of_an_epoch_are_exact_over_uneven_batches() -> None:
    x, y = classification(50)
    module = mlp()
    with torch.no_grad():
        outputs = module(torch.from_numpy(x))
    loss = F.cross_entropy(outputs, torch.from_numpy(y)).item()
    accuracy = (outputs.argmax(1).numpy() == y).mean()

    measured = Trainer(module, loss=LOGITS, metrics=["acc"]).evaluate(x, y, batch_size=17, verbose=0)

    assert measured == pytest.approx([loss, accuracy], rel=1e-6)


def test_a_training_that_goes_on_equals_one_that_did_not_stop() -> None:
    x, y = classification(50)

    def fresh() -> tuple[nn.Module, Trainer]:
        module = nn.Sequential(mlp(), nn.Dropout(0.2))
        return module, Trainer(module, optimizer="adam", loss=LOGITS)

    whole, one = fresh()
    torch.manual_seed(3)
    one.fit(x, y, epochs=4, batch_size=16, verbose=0)

    first, two = fresh()
    torch.manual_seed(3)
    two.fit(x, y, epochs=2, batch_size=16, verbose=0)
    state = two.state_dict()
    second, three = fresh()  # which seeds PyTorch anew
    second.load_state_dict(first.state_dict())
    three.load_state_dict(state)
    three.fit(x, y, epochs=4, initial_epoch=2, batch_size=16, verbose=0)

    assert same_weights(whole, second)
    assert three.step.count == one.step.count == 16
    assert three.epoch == 4


def test_a_state_is_plain_data_and_tensors_by_the_names_of_the_parameters() -> None:
    x, y = classification(20)
    module = mlp()
    trainer = Trainer(module, optimizer="adam", loss=LOGITS)
    assert trainer.state_dict()["optimizer"] is None
    trainer.fit(x, y, verbose=0)

    state = trainer.state_dict()

    assert (state["epoch"], state["step"]) == (1, 1)
    assert list(state["optimizer"]["slots"]) == [name for name, _ in module.named_parameters()]
    assert state["optimizer"]["groups"][0]["lr"] == pytest.approx(0.001)
    for slot in state["optimizer"]["slots"].values():
        assert all(isinstance(value, (Tensor, int, float)) for value in slot.values())


def test_unfreezing_between_two_calls_of_fit_keeps_what_the_optimizer_remembers() -> None:
    x, y = classification(40)
    module = mlp()
    module[0].requires_grad_(False)
    trainer = Trainer(module, optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9), loss=LOGITS)
    before = copy.deepcopy(module[0].state_dict())
    trainer.fit(x, y, verbose=0)
    assert all(torch.equal(before[name], each) for name, each in module[0].state_dict().items())
    momentum = trainer.optimizer.torch_optimizer.state[module[2].weight]["momentum_buffer"].clone()

    module[0].requires_grad_()
    trainer.step.optimization.ready()

    kept = trainer.optimizer.torch_optimizer.state[module[2].weight]["momentum_buffer"]
    assert torch.equal(kept, momentum)
    trainer.fit(x, y, verbose=0)
    assert not torch.equal(before["weight"], module[0].weight)


def test_the_mode_of_every_submodule_is_restored_even_after_an_error() -> None:
    x, y = classification(20)
    module = nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    module.train()
    module[1].eval()
    trainer = Trainer(module, loss=LOGITS)
    trainer.fit(x, y, validation_split=0.5, verbose=0)
    assert [each.training for each in module.modules()] == [True, True, False, True]

    def fail(epoch: int, logs: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        trainer.fit(x, y, verbose=0, callbacks=LambdaCallback(on_epoch_end=fail))
    assert [each.training for each in module.modules()] == [True, True, False, True]


def test_evaluation_changes_no_weight_and_no_statistic() -> None:
    x, y = classification(20)
    module = nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    before = copy.deepcopy(module.state_dict())
    trainer = Trainer(module, loss=LOGITS)

    first = trainer.evaluate(x, y, verbose=0)

    assert trainer.evaluate(x, y, verbose=0) == first
    assert all(torch.equal(before[name], each) for name, each in module.state_dict().items())


def test_nothing_reads_the_device_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = classification(320)
    module = mlp()
    monkeypatch.setattr(finite, "reads_freely", lambda device: False)  # as on any device but the CPU
    trainer = Trainer(module, optimizer="rmsprop", loss=LOGITS, metrics=["accuracy", "crossentropy"])
    trainer.fit(x, y, batch_size=4, verbose=0)
    reads, results = [], []
    for name in ("item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__"):
        original = getattr(Tensor, name)

        def counted(self: Tensor, *args: Any, original: Any = original, name: str = name) -> Any:
            reads.append(name)
            return original(self, *args)

        monkeypatch.setattr(Tensor, name, counted)
    original_result = metrics.SparseCategoricalAccuracy.result

    def counted_result(self: Any) -> Any:
        results.append(1)
        return original_result(self)

    monkeypatch.setattr(metrics.SparseCategoricalAccuracy, "result", counted_result)

    def reads_of(epochs: int) -> tuple[int, int]:
        reads.clear()
        results.clear()
        trainer.fit(x, y, batch_size=4, epochs=epochs, verbose=0)
        return len(reads), len(results)

    one, three = reads_of(1), reads_of(3)
    assert three[0] - one[0] == 4  # two for each epoch of 80 batches: the figures, and whether all was finite
    assert (one[1], three[1]) == (1, 3)


def test_a_crossentropy_of_a_softmax_has_the_exact_gradient_of_its_logits() -> None:
    x = np.full((4, 2), 100.0, dtype="float32")
    y = np.array([0, 1, 2, 0])
    module = Activated(2, 3, activations.softmax)
    with torch.no_grad():
        module.linear.weight.copy_(torch.tensor([[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]]))
    twin = copy.deepcopy(module.linear)
    options: dict[str, Any] = {"optimizer": partial(torch.optim.SGD, lr=0.1), "metrics": ["accuracy"]}
    trainer = Trainer(
        module,
        loss="sparse_categorical_crossentropy",
        ports=ACTIVATED,
        **options,
    )
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, args, output: seen.append(output.detach()))

    expected = F.cross_entropy(twin(torch.from_numpy(x)), torch.from_numpy(y))
    expected.backward()
    loss = trainer.fit(x, y, shuffle=False, verbose=0).history["loss"][0]
    handle.remove()

    assert loss == pytest.approx(expected.item()) and loss > 100
    assert twin.weight.grad is not None
    assert torch.allclose(module.linear.weight, twin.weight - 0.1 * twin.weight.grad)
    assert all(torch.allclose(each.sum(-1), torch.ones(len(each))) for each in seen)
    assert is_as_before(module)


def test_a_binary_crossentropy_of_a_sigmoid_is_taken_of_its_logits_in_evaluation_too() -> None:
    x = np.array([[50.0], [-50.0]], dtype="float32")
    y = np.array([[0.0], [1.0]], dtype="float32")
    module = Activated(1, 1, activations.sigmoid)
    with torch.no_grad():
        module.linear.weight.fill_(2.0)
        module.linear.bias.zero_()

    tapped = Trainer(module, loss="bce", ports=ACTIVATED)
    clipped = Trainer(module, loss="bce")

    assert tapped.evaluate(x, y, verbose=0) == pytest.approx(100.0)
    assert clipped.evaluate(x, y, verbose=0) == pytest.approx(16.118, abs=0.5)


def is_as_before(module: nn.Module) -> bool:
    return "before_activation" not in vars(module.get_submodule("activation"))


def test_a_callback_may_evaluate_and_predict_while_the_module_is_trained() -> None:
    x, y = classification(40)
    options: dict[str, Any] = {"batch_size": 10, "epochs": 3, "shuffle": False, "verbose": 0}

    def fitted(callback: Any) -> tuple[nn.Module, Any]:
        module = Activated(8, 3, activations.softmax)
        trainers.append(
            Trainer(
                module,
                loss="sparse_categorical_crossentropy",
                ports=ACTIVATED,
            )
        )
        return module, trainers[-1].fit(x, y, callbacks=callback, **options).history

    def measure(epoch: int, logs: Any) -> None:
        trainers[-1].evaluate(x[:3], y[:3], verbose=0)
        trainers[-1].predict(x[:3], verbose=0)
        assert not is_as_before(trainers[-1].module)

    trainers: list[Trainer] = []
    alone, history = fitted(None)
    watched, other = fitted(LambdaCallback(on_epoch_end=measure))

    assert same_weights(alone, watched) and history == other
    assert is_as_before(watched)


def test_a_trainer_can_be_copied_and_pickled_with_its_module() -> None:
    x, y = classification(40)
    module = mlp()
    trainer = Trainer(module, optimizer="rmsprop", loss=LOGITS, metrics=["accuracy"])
    trainer.fit(x, y, verbose=0)

    for twin in (copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))):
        again = copy.deepcopy(trainer)
        twin.fit(x, y, shuffle=False, verbose=0)
        again.fit(x, y, shuffle=False, verbose=0)
        assert twin.module is not module and same_weights(twin.module, again.module)


def test_a_hook_that_changes_the_output_is_honoured_by_the_loss() -> None:
    x, y = classification(20)
    module = Activated(8, 3, activations.softmax)
    module.register_forward_hook(lambda _, args, output: torch.full_like(output, 1 / 3))

    trainer = Trainer(
        module,
        loss="sparse_categorical_crossentropy",
        ports=ACTIVATED,
    )

    assert trainer.evaluate(x, y, verbose=0) == pytest.approx(np.log(3))


def test_class_weights_are_sample_weights_by_class() -> None:
    x, y = classification(60)
    one, other = mlp(), mlp()
    options: dict[str, Any] = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}

    first = Trainer(one, optimizer="sgd", loss=LOGITS, weighted_metrics=["accuracy"]).fit(
        x, y, class_weight={0: 1.0, 1: 2.0, 2: 0.5}, **options
    )
    second = Trainer(other, optimizer="sgd", loss=LOGITS, weighted_metrics=["accuracy"]).fit(
        x, y, sample_weight=np.array([1.0, 2.0, 0.5])[y], **options
    )

    assert same_weights(one, other)
    assert first.history == second.history


def test_class_weights_and_sample_weights_are_multiplied() -> None:
    x, y = classification(20)
    one, other = mlp(), mlp()
    weight = np.linspace(0.5, 2.0, 20)

    Trainer(one, optimizer="sgd", loss=LOGITS).fit(
        x, y, sample_weight=weight, class_weight={0: 1.0, 1: 3.0, 2: 1.0}, shuffle=False, verbose=0
    )
    Trainer(other, optimizer="sgd", loss=LOGITS).fit(
        x, y, sample_weight=weight * np.array([1.0, 3.0, 1.0])[y], shuffle=False, verbose=0
    )

    assert all(torch.allclose(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_class_weights_of_one_hot_targets_go_by_the_class() -> None:
    x, y = classification(20)
    one_hot = np.eye(3, dtype="float32")[y]
    loss = {"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}}
    weights = {0: 1.0, 1: 2.0, 2: 0.5}
    one, other = mlp(), mlp()

    first = Trainer(one, optimizer="sgd", loss=LOGITS).fit(
        x, y, class_weight=weights, shuffle=False, verbose=0
    )
    second = Trainer(other, optimizer="sgd", loss=loss).fit(
        x, one_hot, class_weight=weights, shuffle=False, verbose=0
    )

    assert first.history["loss"] == pytest.approx(second.history["loss"])


def test_losses_of_the_module_itself_are_added() -> None:
    x, y = classification(20)

    class Regularized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

        @property
        def losses(self) -> list[Tensor]:
            return [self.net[0].weight.square().sum() * 0.1]

    plain, regularized = mlp(), Regularized()
    penalty = (plain[0].weight.square().sum() * 0.1).item()

    without = Trainer(plain, loss=LOGITS).evaluate(x, y, verbose=0)
    trainer = Trainer(regularized, optimizer="sgd", loss=LOGITS)

    assert trainer.evaluate(x, y, verbose=0) == pytest.approx(without + penalty, rel=1e-6)
    before = regularized.net[0].weight.square().sum()
    trainer.fit(x, y, verbose=0, epochs=5)
    assert regularized.net[0].weight.square().sum() < before


def test_a_module_trains_by_its_own_losses_alone() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))
            self.losses: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            self.losses = [self.weight.square().sum()]
            return x * self.weight

    module = Own()
    history = Trainer(module, optimizer=partial(torch.optim.SGD, lr=0.1)).fit(np.ones((4, 3)), verbose=0)

    assert history.history == {"loss": [3.0]}
    assert torch.allclose(module.weight, torch.full((3,), 0.8))


def test_a_step_of_ones_own_takes_the_place_of_ours() -> None:
    x, y = classification(20)
    module = mlp()

    class Own:
        def train(self, batch: Batch) -> dict[str, Any]:
            loss = F.cross_entropy(module(*batch.inputs), batch.targets[0])
            module.zero_grad()
            loss.backward()
            trainer.optimizer.torch_optimizer.step()
            return {"loss": loss, "mine": torch.tensor(7.0)}

    trainer = Trainer(module, optimizer="sgd", step=Own())
    history = trainer.fit(x, y, epochs=2, verbose=0)

    assert history.history["mine"] == [7.0, 7.0]
    assert history.history["loss"][1] < history.history["loss"][0]


def test_what_an_own_step_leaves_out_is_ours() -> None:
    x, y = classification(20)

    class Own:
        def measure(self, batch: Batch) -> dict[str, Any]:
            return {"size": batch.size}

        def predict(self, batch: Batch) -> Any:
            return -trainer.step.predict(batch)

    trainer = Trainer(mlp(), optimizer="sgd", loss=LOGITS, step=Own())
    history = trainer.fit(x, y, validation_data=(x, y), verbose=0)

    assert history.history["val_size"] == [20] and history.history["loss"][0] > 0
    assert np.array_equal(trainer.predict(x, verbose=0), -Trainer(trainer.module).predict(x, verbose=0))
    assert trainer.step.count == 1


def test_an_objective_is_settled_when_ports_and_loss_say_everything() -> None:
    def settled(shape: Any, **options: Any) -> bool:
        return Trainer(mlp(), ports=Ports(outputs=[Port("kind", shape)]), **options).step.objective.settled

    assert settled((None, 3), loss=LOGITS, metrics=["accuracy", "mae"])
    assert settled(None, loss="mse", metrics=["mae"])
    assert not settled((None, 3), loss="crossentropy")
    assert not settled((None, 3), loss="mse", metrics=["accuracy"])
    assert not settled(None, loss=LOGITS, metrics=["accuracy"])


def test_what_only_the_first_batch_tells_is_found_without_a_change_of_anything() -> None:
    class Noisy(nn.Sequential):
        calls = 0

        def forward(self, input: Tensor) -> Tensor:
            Noisy.calls += 1
            return super().forward(input + torch.rand(()))

    x, y = classification(20)
    probable = nn.Softmax(-1)
    drawn = []

    for loss, own in (("sparse_categorical_crossentropy", 1), (LOGITS, 0)):
        Noisy.calls = 0
        module = Noisy(mlp(), nn.BatchNorm1d(3), probable)
        trainer = Trainer(module, optimizer="sgd", loss=loss, output_names=["kind"])
        torch.manual_seed(0)
        trainer.fit([(x, y)], epochs=3, verbose=0)
        drawn.append(torch.get_rng_state())
        assert Noisy.calls == 3 + own and int(module[1].num_batches_tracked) == 3

    assert torch.equal(*drawn)


def test_train_on_batch_is_one_step_and_test_on_batch_none() -> None:
    x, y = classification(20)
    module, twin = mlp(), mlp()
    trainer = Trainer(module, optimizer=partial(torch.optim.SGD, lr=0.1), loss=LOGITS, metrics=["accuracy"])

    before = trainer.test_on_batch(x, y)
    trained = trainer.train_on_batch(x, y)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    hand_written(twin, optimizer, F.cross_entropy, x, y, batch_size=20, orders=in_order(20, 1))

    assert trained == pytest.approx(before)
    assert same_weights(module, twin)
    assert trainer.train_on_batch(x, y, return_dict=True)["loss"] < trained[0]


def test_lazy_modules_are_built_by_the_first_data() -> None:
    x, y = classification(20)
    module = nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(3))

    history = Trainer(module, optimizer="adam", loss=LOGITS).fit(x, y, epochs=3, verbose=0)

    assert history.history["loss"][-1] < history.history["loss"][0]


def test_weights_in_float64_are_trained_in_float64() -> None:
    x, y = classification(20)
    module = mlp().double()

    Trainer(module, optimizer="sgd", loss=LOGITS).fit(x, y, verbose=0)

    assert Trainer(module).predict(x, verbose=0).dtype == np.float64


def test_an_optimizer_that_exists_is_taken_as_it_is() -> None:
    x, y = classification(20)
    module = mlp()
    optimizer = torch.optim.SGD(
        [{"params": module[0].parameters(), "lr": 0.0}, {"params": module[2].parameters()}], lr=0.1
    )
    before = module[0].weight.detach().clone()

    trainer = Trainer(module, optimizer=optimizer, loss=LOGITS)
    trainer.fit(x, y, verbose=0)

    assert torch.equal(module[0].weight, before)
    assert trainer.optimizer.torch_optimizer is optimizer


def test_the_learning_rate_can_be_read_and_set() -> None:
    trainer = Trainer(mlp(), optimizer=optimizers.RMSprop(0.01), loss="mse")

    trainer.learning_rate = 0.002

    assert trainer.learning_rate == pytest.approx(0.002)
    assert trainer.get_config()["optimizer"]["config"]["learning_rate"] == pytest.approx(0.002)


def test_the_config_of_compile_gives_the_same_trainer_again() -> None:
    trainer = Trainer(
        mlp(), optimizer="adam", loss=LOGITS, metrics=["accuracy", metrics.TopKCategoricalAccuracy(2)]
    )
    config = trainer.get_config()

    again = Trainer(mlp(), **config)

    assert config["loss"] == LOGITS
    assert config["metrics"][0] == "accuracy"
    assert again.get_config() == config


@pytest.mark.parametrize("argument", ["loss", "metrics"])
def test_a_function_under_a_name_of_ours_is_not_saved_as_ours(argument: str) -> None:
    def mse(y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (y_true - y_pred).abs().mean(-1)

    trainer = Trainer(mlp(), **{"loss": "mae", argument: mse})

    with pytest.raises(SavingError, match="got the name 'mse'. In a file it stands for .* Fix: rename"):
        trainer.get_config()
    assert Trainer(mlp(), loss=losses.mean_squared_error).get_config()["loss"]


@pytest.mark.parametrize("frozen", [True, False])
def test_where_nothing_can_be_trained_that_is_told_once_and_the_rest_is_measured(frozen: bool) -> None:
    module = mlp().requires_grad_(False) if frozen else nn.Flatten()
    trainer = Trainer(module, loss="mse")
    x, y = np.ones((4, 8)), np.ones((4, 3 if frozen else 8))

    with pytest.warns(UserWarning, match="no trainable parameters .* Nothing is learned"):
        history = trainer.fit(x, y, verbose=0).history
    assert trainer.fit(x, y, verbose=0).history == history
    assert history["loss"] == [pytest.approx(trainer.evaluate(x, y, verbose=0))]


def test_a_loss_that_depends_on_no_parameter_is_an_error() -> None:
    class Detached(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input).detach()

    with pytest.raises(CompileError, match="does not depend on any parameter.*detach"):
        Trainer(Detached(2, 1), loss="mse").fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)


def test_no_loss_is_an_error_with_a_way_out() -> None:
    with pytest.raises(CompileError, match="no loss to train towards. Fix: compile with a loss"):
        Trainer(mlp()).fit(np.ones((4, 8)), np.ones((4, 3)), verbose=0)


def test_an_optimizer_over_other_parameters_is_an_error() -> None:
    optimizer = torch.optim.SGD(mlp().parameters(), lr=0.1)

    with pytest.raises(CompileError, match="holds none of the module's parameters"):
        Trainer(mlp(), optimizer=optimizer, loss=LOGITS).fit(*classification(20), verbose=0)


def test_an_optimizer_that_needs_a_closure_is_an_error() -> None:
    with pytest.raises(CompileError, match="LBFGS.*several times a step"):
        Trainer(mlp(), optimizer=torch.optim.LBFGS, loss=LOGITS)
