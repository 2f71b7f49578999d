"""Data: every kind that there is reaches the module as the same batches, or is refused with a way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from tests.training.modules import TwoHeads, classification, mlp, same_weights, two_heads_data
from torchfunc import optimizers
from torchfunc.errors import DataError
from torchfunc.training import Trainer
from torchfunc.training import batches as feeding
from torchfunc.training.batches import Arrays, Batch
from torchfunc.training.ports import Port, Ports

LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}


class Frame:
    """What a data frame looks like from here."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def to_numpy(self) -> Any:
        return self.values


class Pairs(Dataset[Any]):
    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        return self.x[index], self.y[index]


class PairStream(IterableDataset[Any]):
    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __iter__(self) -> Iterator[Any]:
        return zip(self.x, self.y, strict=True)


class Sequence:
    """Keras's way: `len` and an index."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x) // 10

    def __getitem__(self, index: int) -> Any:
        part = slice(10 * index, 10 * index + 10)
        return self.x[part], self.y[part]


def fitted(*data: Any, **options: Any) -> nn.Module:
    module = mlp()
    Trainer(module, optimizer="sgd", loss=LOGITS).fit(*data, shuffle=False, verbose=0, epochs=2, **options)
    return module


def batches(x: Any, y: Any) -> Iterator[Any]:
    for start in range(0, len(x), 10):
        yield x[start : start + 10], y[start : start + 10]


@pytest.mark.parametrize(
    "arrays",
    [
        lambda x, y: (torch.from_numpy(x), torch.from_numpy(y)),
        lambda x, y: (x.astype("float64"), y.astype("int32")),
        lambda x, y: (x.tolist(), y.tolist()),
        lambda x, y: (list(x), y.astype("uint8")),
        lambda x, y: ([x], [y]),
        lambda x, y: (Frame(x.astype(object)), Frame(y)),
        lambda x, y: (np.asfortranarray(x), y[:, None].astype("float32")),
        lambda x, y: (x[::-1][::-1], y[::-1][::-1]),
        lambda x, y: (x.astype(">f4"), y.astype("uint64")),
        lambda x, y: (TensorDataset(torch.from_numpy(x), torch.from_numpy(y)),),
    ],
    ids="tensors float64 lists rows in_lists frames columns reversed big_endian tensor_dataset".split(),
)
def test_arrays_of_every_kind_train_alike(arrays: Any) -> None:
    x, y = classification(50)

    assert same_weights(fitted(*arrays(x, y), batch_size=10), fitted(x, y, batch_size=10))


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda x, y: DataLoader(Pairs(x, y), batch_size=10), {}),
        (lambda x, y: Pairs(x, y), {"batch_size": 10}),
        (lambda x, y: PairStream(x, y), {"batch_size": 10}),
        (lambda x, y: list(batches(x, y)), {}),
        (lambda x, y: lambda: batches(x, y), {}),
        (lambda x, y: Sequence(x, y), {}),
        (lambda x, y: (each for _ in range(2) for each in batches(x, y)), {"steps_per_epoch": 5}),
        (lambda x, y: [(each.tolist(), label.tolist()) for each, label in batches(x, y)], {}),
    ],
    ids="loader dataset iterable_dataset list factory sequence generator lists".split(),
)
def test_whatever_yields_batches_trains_like_arrays(make: Any, options: Any) -> None:
    x, y = classification(50)

    assert same_weights(fitted(make(x, y), **options), fitted(x, y, batch_size=10))


def test_a_read_only_array_is_taken_without_a_copy_or_a_warning() -> None:
    x, y = classification(20)
    x.setflags(write=False)

    assert np.isfinite(Trainer(mlp(), loss=LOGITS).evaluate(x, y, verbose=0))


def test_a_dataset_is_shuffled_anew_each_epoch_by_the_seed() -> None:
    x, y = classification(50)

    def trained(seed: int) -> nn.Module:
        module = mlp()
        torch.manual_seed(seed)
        Trainer(module, optimizer="sgd", loss=LOGITS).fit(Pairs(x, y), batch_size=10, epochs=2, verbose=0)
        return module

    assert same_weights(trained(1), trained(1))
    assert not same_weights(trained(1), trained(2))


def named_trainer(module: nn.Module) -> Trainer:
    return Trainer(
        module,
        optimizer="sgd",
        loss={"score": "mse", "kind": LOGITS},
        input_names=["left", "right"],
        output_names=["score", "kind"],
    )


def test_inputs_and_targets_by_name_by_place_and_from_a_loader_train_alike() -> None:
    x, y = two_heads_data()
    listed = ([x["left"], x["right"]], [y["score"], y["kind"]])
    forms: list[Any] = [
        (x, y),
        (dict(reversed(x.items())), dict(reversed(y.items()))),
        listed,
        (tuple(listed[0]), listed[1]),
        ([(x, y)],),
        ([listed],),
    ]
    modules = []

    for form in forms:
        modules.append(TwoHeads())
        named_trainer(modules[-1]).fit(
            *form, epochs=2, verbose=0, shuffle=False, **({"batch_size": 40} if len(form) > 1 else {})
        )

    assert all(same_weights(modules[0], each) for each in modules[1:])


def test_without_names_a_module_is_called_as_the_data_say() -> None:
    class OneDict(nn.Linear):
        def forward(self, features: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
            return super().forward(features["a"] + features["b"])

    class OneList(nn.Linear):
        def forward(self, inputs: list[Tensor], training: Any = None) -> Tensor:  # type: ignore[override]
            return super().forward(inputs[0] + inputs[1])

    class Two(nn.Linear):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(a + b)

    a, b = np.ones((4, 2)), np.full((4, 2), 2.0)
    expected = None

    for kind, x in ((OneDict, {"a": a, "b": b}), (OneList, [a, b]), (Two, [a, b]), (Two, {"b": b, "a": a})):
        torch.manual_seed(0)
        predicted = Trainer(kind(2, 1)).predict(x, verbose=0)
        expected = predicted if expected is None else expected
        assert np.array_equal(predicted, expected)


def test_the_validation_split_is_the_last_fraction_before_shuffling() -> None:
    x, y = classification(50)
    module = mlp()
    trainer = Trainer(module, optimizer="sgd", loss=LOGITS)

    logs = trainer.fit(x, y, validation_split=0.2, verbose=0).history

    assert logs["val_loss"][0] == pytest.approx(trainer.evaluate(x[40:], y[40:], verbose=0))


def test_validation_data_may_be_arrays_weighted_arrays_or_batches() -> None:
    x, y = classification(50)
    options: dict[str, Any] = {"verbose": 0, "shuffle": False}

    def validated(data: Any) -> float:
        logs = Trainer(mlp(), optimizer="sgd", loss=LOGITS).fit(x, y, validation_data=data, **options).history
        return float(logs["val_loss"][0])

    assert validated((x, y)) == pytest.approx(validated(list(batches(x, y))))
    assert validated((x, y, np.full(50, 2.0))) == pytest.approx(2 * validated((x, y)))
    assert validated(DataLoader(Pairs(x, y), 10)) == pytest.approx(validated((x, y)))


def test_validation_comes_only_after_the_epochs_that_ask_for_it() -> None:
    x, y = classification(20)
    options: dict[str, Any] = {"validation_split": 0.5, "epochs": 4, "verbose": 0}

    every_second = Trainer(mlp(), loss=LOGITS).fit(x, y, validation_freq=2, **options).history
    first_and_last = Trainer(mlp(), loss=LOGITS).fit(x, y, validation_freq=[1, 4], **options).history

    assert (len(every_second["loss"]), len(every_second["val_loss"])) == (4, 2)
    assert len(first_and_last["val_loss"]) == 2


def test_steps_limit_an_epoch_of_arrays_and_of_batches() -> None:
    x, y = classification(50)
    trainer = Trainer(mlp(), optimizer="sgd", loss=LOGITS)

    trainer.fit(x, y, batch_size=10, steps_per_epoch=2, validation_data=(x, y), validation_steps=1, verbose=0)
    assert trainer.step.count == 2
    trainer.fit(list(batches(x, y)), steps_per_epoch=7, verbose=0)
    assert trainer.step.count == 9
    assert len(trainer.predict(x, batch_size=10, steps=2, verbose=0)) == 20


def test_a_list_of_batches_goes_on_where_the_epoch_before_it_ended() -> None:
    seen: list[float] = []

    class Spy(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            seen.append(float(input[0, 0]))
            return super().forward(input)

    data = [(np.full((2, 1), float(i)), np.zeros((2, 1))) for i in range(3)]
    Trainer(Spy(1, 1), loss="mse", output_names=["output"]).fit(data, steps_per_epoch=2, epochs=3, verbose=0)

    assert seen == [0, 1, 2, 0, 1, 2]


def test_prediction_keeps_the_structure_and_the_order() -> None:
    class Nested(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Any]:
            return {"twice": 2 * x, "parts": [x[:, :1], (x.sum(1), x.bfloat16())]}

    x = np.arange(30, dtype="float32").reshape(10, 3)

    predicted = Trainer(Nested()).predict(x, batch_size=4, verbose=0)

    assert np.array_equal(predicted["twice"], 2 * x)
    assert np.array_equal(predicted["parts"][0], x[:, :1])
    assert np.array_equal(predicted["parts"][1][0], x.sum(1))
    assert predicted["parts"][1][1].dtype == np.float32


def test_prediction_takes_the_inputs_of_what_yields_targets_too() -> None:
    x, y = classification(20)
    trainer = Trainer(mlp())

    expected = trainer.predict(x, verbose=0)

    assert np.array_equal(trainer.predict(DataLoader(Pairs(x, y), 7), verbose=0), expected)
    assert np.array_equal(
        trainer.predict(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), verbose=0), expected
    )
    assert np.allclose(trainer.predict_on_batch(x), expected)


def test_a_module_that_works_in_place_leaves_the_users_arrays_alone() -> None:
    x = np.linspace(-1, 1, 40, dtype="float32").reshape(20, 2)
    before = x.copy()
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 1))
    trainer = Trainer(module, loss="mse")

    trainer.predict(x, batch_size=4, verbose=0)
    trainer.evaluate(x, np.zeros((20, 1)), batch_size=4, verbose=0)
    trainer.fit(x, np.zeros((20, 1)), batch_size=4, shuffle=False, verbose=0)
    predicted = Trainer(nn.Identity()).predict(x, verbose=0)
    predicted += 1

    assert np.array_equal(x, before)


class AddsInPlace(nn.Module):
    """Changes its inputs by a weight, which autograd keeps in mind."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.add_(self.weight)


def test_batches_that_were_fetched_together_know_nothing_of_each_other() -> None:
    x, y = np.zeros((40, 2), dtype="float32"), np.arange(40.0, dtype="float32")
    trainer = Trainer(
        AddsInPlace(), optimizer=optimizers.SGD(0.001), loss=lambda wanted, made: (made.sum(-1) - wanted) ** 2
    )
    history = trainer.fit(x, y, batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all() and not x.any()


def in_fours(*columns: Any, weights: Any = None) -> Arrays:
    inputs, targets = list(columns[:1]), list(columns[1:])
    return Arrays(Batch(inputs, targets, weights, len(columns[0])), 4, seed=3)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("skip", [0, 2])
def test_small_batches_are_fetched_several_at_a_time_in_the_order_of_the_seed(
    weighted: bool, skip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, w = torch.rand(27, 3), torch.arange(27), torch.rand(27)
    data = in_fours(x, y, None, weights=[w, None] if weighted else None)
    monkeypatch.setattr(feeding, "FETCHED", 2 * (4 * (3 * 4 + 8 + 4 * weighted)))  # two batches
    taken: list[int] = []
    fetch = feeding.rows_at

    def counted(tensor: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        taken.append(len(index))
        return fetch(tensor, index)

    monkeypatch.setattr(feeding, "rows_at", counted)
    found = list(data.epoch(0, skip))
    order = torch.randperm(27, generator=torch.Generator().manual_seed(3)).split(4)[skip:]
    assert [each.size for each in found] == [len(rows) for rows in order]
    assert max(taken) == 8 and len(taken) == (2 + weighted) * -(-len(order) // 2)
    for batch, rows in zip(found, order, strict=True):
        assert torch.equal(batch.inputs[0], x[rows]) and batch.targets[1] is None
        assert torch.equal(batch.targets[0], y[rows])  # type: ignore[arg-type]
        assert (batch.weights is None) is not weighted
        if batch.weights is not None:
            assert torch.equal(batch.weights[0], w[rows]) and batch.weights[1] is None  # type: ignore[arg-type]


def test_large_batches_are_fetched_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    data = in_fours(torch.rand(27, 3), torch.arange(27))
    monkeypatch.setattr(feeding, "SMALL", 4 * (3 * 4 + 8) - 1)
    memory = {each.inputs[0].untyped_storage().data_ptr() for each in [*data.epoch(0)]}
    assert len(memory) == 7
    assert all(each.inputs[0].untyped_storage().nbytes() <= 4 * 3 * 4 for each in data.epoch(1))


def test_inputs_are_cast_to_what_the_model_says_and_fitted_by_one_axis() -> None:
    module = nn.Sequential(nn.Linear(1, 2))
    seen: list[Tensor] = []
    module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    trainer = Trainer(module, ports=Ports(inputs=[Port("age", (None, 1), torch.float32)]))

    trainer.predict(np.arange(5), verbose=0)

    assert seen[0].shape == (5, 1) and seen[0].dtype == torch.float32


X, Y = classification(20)
ONE_HOT = np.eye(3, dtype="float32")[Y]
IMAGES = np.zeros((4, 28, 28))


def spec_trainer(shape: tuple[int | None, ...], dtype: torch.dtype = torch.float32) -> Trainer:
    return Trainer(nn.Flatten(), ports=Ports(inputs=[Port("img", shape, dtype)]))


@pytest.mark.parametrize(
    ("shape", "x", "words"),
    [
        (
            (None, 784),
            IMAGES,
            r"input 'img': expected shape \(None, 784\), got shape \(4, 28, 28\). Fix: x.reshape\(-1, 784\)",
        ),
        ((None, 28, 28), IMAGES[0], r"expected shape \(None, 28, 28\), got shape \(28, 28\). Fix: x\[None\]"),
        ((None, 8), X[:, :5], r"input 'img': expected shape \(None, 8\), got shape \(20, 5\)"),
        ((8, 4), np.zeros((8, 4)), "input 'img': expected batches of 8, got batch_size=4. Fix: batch_size=8"),
    ],
)
def test_a_wrong_shape_is_told_with_the_input_and_the_way_out(shape: Any, x: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        spec_trainer(shape).predict(x, batch_size=4, verbose=0)


def test_a_message_about_shapes_shows_no_values() -> None:
    with pytest.raises(DataError) as caught:
        spec_trainer((None, 8)).predict(np.full((4, 5), 0.123456), verbose=0)

    assert "0.123" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y[:15], "y has 15 samples, but x has 20"),
        (X[:0], Y[:0], "x has 0 samples"),
        (X, Y + 1, r"output 'output': expected classes 0..2 \(3 units\), got label 3 at index \d+"),
        (X, np.r_[0, 1, -1, Y[3:]], "got label -1 at index 2"),
        (
            X,
            np.r_[Y[:-1], 2.5],
            "the target of the output 'output': expected whole numbers, got 2.5 at index 19",
        ),
        (X, ONE_HOT, "look one-hot. Fix: loss='categorical_crossentropy', or y.argmax"),
        (X, None, "y: expected one for the output 'output', got no target"),
        (np.array([["a"] * 8] * 20), Y, "input 'x': expected numbers, got the dtype <U1"),
        (np.array([[1.0, None] + [0.0] * 6] * 20, dtype=object), Y, r"with a NoneType at index \(0, 1\)"),
        ([[1.0, 2.0], [3.0]], [0, 1], r"uneven shapes: \(1,\) at index 1, \(2,\) before"),
        (np.float32(3), Y, "x: expected an array of samples, got a single number"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_the_first_step(x: Any, y: Any, words: str) -> None:
    module = mlp()
    trainer = Trainer(module, loss=LOGITS)

    with pytest.raises(DataError, match=words):
        trainer.fit(x, y, verbose=0)

    assert trainer.step.count == 0 and same_weights(module, mlp())


def test_class_indices_in_a_batch_that_are_out_of_range_are_told_too() -> None:
    trainer = Trainer(mlp(), loss=LOGITS, ports=Ports(outputs=[Port("kind", (None, 3))]))

    with pytest.raises(
        DataError, match=r"output 'kind': expected classes 0..2 \(3 units\), got label 5 at index 0"
    ):
        trainer.fit([(X, np.full(20, 5))], verbose=0)


def test_an_ignored_class_may_be_out_of_range() -> None:
    loss = {
        "class_name": "SparseCategoricalCrossentropy",
        "config": {"from_logits": True, "ignore_class": -1},
    }

    assert np.isfinite(Trainer(mlp(), loss=loss).evaluate(X, np.r_[-1, Y[1:]], verbose=0))


@pytest.mark.parametrize(
    ("loss", "y", "words"),
    [
        ("categorical_crossentropy", Y, "are class indices. Fix: loss='sparse_categorical_crossentropy'"),
        ("mse", np.zeros((20, 1)), r"expected shape \(None, 3\), that of the output, got shape \(20, 1\)"),
        ("mse", np.full((20, 3), np.nan), r"expected finite numbers, got nan at index \(0, 0\)"),
        ("categorical_crossentropy", ONE_HOT * 2, "numbers from 0 to 1, .*, got 2 at .*utils.to_categorical"),
        (nn.MSELoss(), np.zeros((20, 1)), r"expected shape \(None, 3\), .* got shape \(20, 1\)"),
        (nn.functional.l1_loss, np.zeros(20), r"expected shape \(None, 3\), .* got shape \(20,\)"),
        ("mae", np.zeros((20, 4)), r"the target of the output 'output': expected shape \(None, 3\)"),
    ],
)
def test_targets_that_the_loss_cannot_take_name_the_output(loss: Any, y: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Trainer(mlp(), loss=loss).fit(X, y, verbose=0)


@pytest.mark.parametrize("label", [2.0, -1.0])
def test_labels_of_two_classes_that_are_neither_0_nor_1_are_refused(label: float) -> None:
    trainer = Trainer(nn.Sequential(mlp(classes=1), nn.Sigmoid()), loss="binary_crossentropy")

    with pytest.raises(
        DataError,
        match=f"output 'output': expected numbers from 0 to 1, .*, got {label:g} at index 3. Fix: code",
    ):
        trainer.fit(X, np.r_[0, 1, 0, label, np.zeros(16)], verbose=0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_named_before_it_spoils_the_weights(wrong: float) -> None:
    x = X.copy()
    x[7, 2] = wrong
    module = mlp()
    trainer = Trainer(module, loss=LOGITS, input_names=["img"])

    with pytest.raises(
        DataError,
        match=rf"input 'img': expected finite numbers, got {wrong:g} at index \(7, 2\). .*nan_to_num",
    ):
        trainer.fit(x, Y, verbose=0)

    assert same_weights(module, mlp()) and module.training
    with pytest.raises(DataError, match="expected finite numbers"):
        trainer.fit(X, Y, validation_data=(x, Y), verbose=0)
    assert np.isnan(trainer.predict(x, verbose=0)[7]).all()  # here it is seen in the result


def test_a_module_that_knows_what_to_do_with_what_is_no_number_is_given_it() -> None:
    class Filled(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input.nan_to_num())

    x = X.copy()
    x[7, 2] = np.nan

    assert np.isfinite(Trainer(Filled(mlp()), loss=LOGITS).evaluate(x, Y, verbose=0))


def test_a_loss_of_the_user_may_take_targets_that_are_no_numbers() -> None:
    def known_only(y_true: Tensor, y_pred: Tensor) -> Tensor:
        return torch.where(y_true.isnan(), 0.0, y_true - y_pred) ** 2

    y = np.where(ONE_HOT == 1, np.nan, ONE_HOT)

    assert np.isfinite(Trainer(mlp(), loss=known_only).evaluate(X, y, verbose=0))


def test_a_target_of_one_number_may_come_with_or_without_its_axis() -> None:
    y = np.linspace(0, 1, 20)
    losses = [Trainer(mlp(classes=1), loss="mse").evaluate(X, each, verbose=0) for each in (y, y[:, None])]

    assert losses[0] == pytest.approx(losses[1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size: expected a whole number of at least 1, got 0"),
        ({"batch_size": -1}, "batch_size: .* got -1"),
        ({"batch_size": 2.5}, "batch_size: .* got 2.5"),
        ({"epochs": -1}, "epochs: expected a whole number of at least 0, got -1"),
        ({"epochs": 2.5}, "epochs: .* got 2.5"),
        ({"initial_epoch": None}, "initial_epoch: .* got None"),
        (
            {"validation_split": 0.5, "validation_batch_size": 0},
            "validation_batch_size: .* at least 1, got 0",
        ),
        ({"validation_split": 0.5, "validation_freq": 0}, "validation_freq: .* at least 1, got 0"),
        ({"validation_split": 0.5, "validation_freq": "all"}, "validation_freq: .* got 'all'"),
        ({"validation_split": 0.5, "validation_freq": [1, 0]}, "validation_freq: .* got 0"),
        ({"validation_split": 0.5, "validation_steps": 0}, "validation_steps: .* at least 1, got 0"),
        ({"validation_split": 0.5, "validation_steps": 2}, "validation_steps: expected at most 1, .* got 2"),
        ({"steps_per_epoch": 0}, "steps: expected a whole number of at least 1, got 0"),
        ({"verbose": 3}, "verbose: expected 'auto', 0, 1 or 2, got 3"),
        ({"verbose": None}, "verbose: .* got None"),
        (
            {"class_weight": [1, 2, 3]},
            "class_weight: expected a dict with a number for each class, got a list",
        ),
        (
            {"class_weight": {7: 2.0}},
            "class_weight: expected the classes 0 to 2, got 7, and no weight for the class 0",
        ),
        ({"class_weight": {"cat": 2.0}}, "class_weight: .* got 'cat', and no weight for the class 0"),
        ({"class_weight": {0: 1, 1: 1, 2: 1, 3: 1}}, "class_weight: expected the classes 0 to 2, got 3"),
        ({"class_weight": {0: 1, 1: 1, 2: "a"}}, "class_weight: .* got 'a' for the class 2"),
        ({"validation_split": "a"}, "validation_split: expected a fraction between 0 and 1, got 'a'"),
        ({"validation_split": 1.5}, "validation_split: expected a fraction between 0 and 1, got 1.5"),
        ({"sample_weight": np.ones(7)}, "sample_weight has 7 samples, but x has 20"),
        ({"steps_per_epoch": 9}, "steps: expected at most 1, .* got 9 steps"),
        (
            {"validation_data": (X,)},
            r"validation_data: expected \(x, y\) or \(x, y, sample_weight\), got a tuple of 1",
        ),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Trainer(mlp(), loss=LOGITS).fit(X, Y, **{"verbose": 0, **options})


def test_numbers_of_numpy_are_numbers() -> None:
    history = Trainer(mlp(), loss=LOGITS).fit(
        X, Y, batch_size=np.int64(7), epochs=np.int32(2), validation_split=np.float32(0.5), verbose=0
    )

    assert len(history.history["val_loss"]) == 2


def test_a_validation_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="validation_split=0.5: got 1 samples. Nothing is left to train on"):
        Trainer(mlp(), loss=LOGITS).fit(X[:1], Y[:1], validation_split=0.5, verbose=0)


def test_the_array_with_another_number_of_samples_is_named_among_several() -> None:
    x, y = two_heads_data()

    with pytest.raises(DataError, match="input 'right' has 39 samples, but input 'left' has 40"):
        named_trainer(TwoHeads()).fit({**x, "right": x["right"][1:]}, y, verbose=0)
    with pytest.raises(DataError, match="the target of 'kind' has 38 samples, but input 'left' has 40"):
        named_trainer(TwoHeads()).fit(x, {**y, "kind": y["kind"][2:]}, verbose=0)


def test_missing_and_unknown_names_of_inputs_and_targets_are_told() -> None:
    x, y = two_heads_data()
    trainer = named_trainer(TwoHeads())

    with pytest.raises(
        DataError, match=r"x: expected one for each input: \['left', 'right'\], got no 'right' among"
    ):
        trainer.fit({"left": x["left"]}, y, verbose=0)
    with pytest.raises(DataError, match="x has the key 'rigth', which is no input. .* Did you mean 'right'?"):
        trainer.fit({**x, "rigth": x["right"]}, y, verbose=0)
    with pytest.raises(
        DataError, match="y has the key 'kinds', which is no output. Outputs: 'score', 'kind'. Did you"
    ):
        trainer.fit(x, {"score": y["score"], "kinds": y["kind"]}, verbose=0)
    with pytest.raises(DataError, match="y: expected one for each output: 'score', 'kind', got 1 item"):
        trainer.fit(x, [y["score"]], verbose=0)
    with pytest.raises(DataError, match="expected one for the output 'kind', got no target. It has a loss"):
        trainer.fit(x, {"score": y["score"]}, verbose=0)


def generator(count: int) -> Iterator[Any]:
    for _ in range(count):
        yield X, Y


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        (
            generator(3),
            {"steps_per_epoch": 10},
            "epoch 1 ended after 3 of 10 batches: the generator has no more",
        ),
        (generator(3), {"steps_per_epoch": 2, "epochs": 2}, "epoch 2 ended after 1 of 2 batches"),
        (
            generator(3),
            {"epochs": 2},
            "epoch 2 has no batches: a generator can be used once only. Fix: pass a list",
        ),
        (generator(0), {}, "the generator yielded no batches"),
        (generator(1), {"validation_split": 0.5}, "Only arrays can be divided. Fix: give validation_data"),
        (
            iter([(X, Y, Y, Y)]),
            {},
            "a batch: expected .*, got a tuple of 4 .*Fix: put several inputs into one list",
        ),
        (iter([X]), {}, "expected one for the output 'output', got no target"),
        (7, {}, "x: expected arrays, a Dataset, .*, got a int"),
    ],
)
def test_sources_that_cannot_be_used_say_why(x: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Trainer(mlp(), loss=LOGITS).fit(x, verbose=0, **options)


def test_targets_beside_what_yields_them_are_refused() -> None:
    with pytest.raises(DataError, match="y: got values beside a generator. It yields them with x"):
        Trainer(mlp(), loss=LOGITS).fit(generator(1), Y, verbose=0)


def test_an_error_of_a_generator_stays_what_it_is() -> None:
    def failing() -> Iterator[Any]:
        yield X, Y
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        Trainer(mlp(), loss=LOGITS).fit(failing(), verbose=0)


def test_fractions_for_an_integer_input_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"input 'img': expected whole numbers, got 1.7 at index \(1, 0\). The dtype is int32"
    ):
        spec_trainer((None, 2), torch.int32).predict(np.array([[1.0, 2.0], [1.7, 0.0]]), verbose=0)
