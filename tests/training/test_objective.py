"""Objective: losses and metrics find their outputs by name, and the logs keep the order of the arguments."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.training.modules import Activated, TwoHeads, mlp, two_heads_data
from torchfunc import activations, losses
from torchfunc.errors import CompileError, UnknownNameError
from torchfunc.training import Trainer
from torchfunc.training.figures import RunningMean
from torchfunc.training.ports import Port, Ports

KIND = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}
NAMES: dict[str, Any] = {"input_names": ["left", "right"], "output_names": ["score", "kind"]}


def measured(**options: Any) -> dict[str, float]:
    x, y = two_heads_data()
    trainer = Trainer(TwoHeads(), **{**NAMES, **options})
    return trainer.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)  # type: ignore[no-any-return]


def expected() -> tuple[float, float]:
    """The two losses, in one batch."""
    x, y = two_heads_data()
    with torch.no_grad():
        score, kind = TwoHeads()(*map(torch.from_numpy, x.values()))
    return (
        F.mse_loss(score, torch.from_numpy(y["score"]).float()).item(),
        F.cross_entropy(kind, torch.from_numpy(y["kind"])).item(),
    )


@pytest.mark.parametrize(
    "loss",
    [
        ["mse", KIND],
        {"kind": KIND, "score": "mse"},
        ("mse", KIND),
        {"score": nn.MSELoss(), "kind": nn.CrossEntropyLoss()},
    ],
    ids=["list", "dict", "tuple", "torch"],
)
def test_losses_as_list_and_as_dict_are_one(loss: Any) -> None:
    score, kind = expected()

    logs = measured(loss=loss)

    assert list(logs) == ["loss", "score_loss", "kind_loss"]
    assert list(logs.values()) == pytest.approx([score + kind, score, kind], rel=1e-5)


@pytest.mark.parametrize("weights", [[1.0, 0.2], {"kind": 0.2}, {"score": 1, "kind": 0.2}])
def test_loss_weights_change_the_sum_and_not_the_losses_that_are_shown(weights: Any) -> None:
    score, kind = expected()

    logs = measured(loss={"score": "mse", "kind": KIND}, loss_weights=weights)

    assert list(logs.values()) == pytest.approx([score + 0.2 * kind, score, kind], rel=1e-5)


@pytest.mark.parametrize("loss", [["mse", None], {"score": "mse"}, {"score": "mse", "kind": None}])
def test_an_output_may_go_without_a_loss_and_without_a_target(loss: Any) -> None:
    x, y = two_heads_data()
    trainer = Trainer(TwoHeads(), loss=loss, **NAMES)

    assert trainer.evaluate(x, {"score": y["score"]}, verbose=0) == pytest.approx(expected()[0], rel=1e-5)
    assert list(measured(loss=loss)) == ["loss"]


def test_one_loss_is_that_of_every_output() -> None:
    x, y = two_heads_data()
    targets = [y["score"], np.eye(3)[y["kind"]]]

    logs = Trainer(TwoHeads(), loss="mse", **NAMES).evaluate(x, targets, verbose=0, return_dict=True)

    assert logs["loss"] == pytest.approx(logs["score_loss"] + logs["kind_loss"])


def test_metrics_follow_the_losses_under_the_names_of_their_outputs() -> None:
    logs = measured(
        loss=["mse", KIND],
        metrics={"kind": ["acc", "crossentropy"], "score": "mae"},
        weighted_metrics=[None, ["acc"]],
    )

    assert list(logs) == [
        "loss", "score_loss", "kind_loss", "score_mae", "kind_acc", "kind_crossentropy", "kind_weighted_acc",
    ]  # fmt: skip
    assert logs["kind_crossentropy"] == pytest.approx(logs["kind_loss"], rel=1e-5)
    assert logs["kind_weighted_acc"] == logs["kind_acc"]


def test_metrics_of_a_single_output_keep_the_names_that_were_typed() -> None:
    x = np.ones((4, 8), dtype="float32")

    def one_minus(y_true: Tensor, y_pred: Tensor) -> Tensor:
        return 1 - y_true.float()

    trainer = Trainer(
        mlp(), loss=KIND, metrics=["acc", "accuracy", one_minus, "acc"], output_names=["output"]
    )
    logs = trainer.evaluate(x, np.array([0, 1, 1, 0]), verbose=0, return_dict=True)

    assert list(logs) == ["loss", "acc", "accuracy", "one_minus", "acc_1"] == trainer.metrics_names
    assert logs["one_minus"] == 0.5


def test_accuracy_is_the_kind_that_the_shapes_ask_for() -> None:
    x = torch.eye(3)
    module = nn.Identity()
    labels = np.array([0, 1, 0])

    sparse = Trainer(module, metrics=["accuracy"]).evaluate(x, labels, verbose=0)
    one_hot = Trainer(module, metrics=["accuracy"]).evaluate(x, np.eye(3)[labels], verbose=0)
    binary = Trainer(module, metrics=["accuracy"]).evaluate(x[:, :1], np.array([1, 0, 1]), verbose=0)

    assert [sparse, one_hot, binary] == pytest.approx([2 / 3] * 3)


def test_crossentropy_as_a_loss_is_the_kind_that_the_shapes_ask_for() -> None:
    x = torch.tensor([[0.2, 0.8], [0.6, 0.4]])
    wanted = -np.log([0.2, 0.4]).mean()

    assert Trainer(nn.Identity(), loss="crossentropy").evaluate(x, [0, 1], verbose=0) == pytest.approx(wanted)
    assert Trainer(nn.Identity(), loss="ce").evaluate(x, np.eye(2), verbose=0) == pytest.approx(wanted)


def test_two_outputs_are_trained_as_keras_trains_them() -> None:
    x, y = two_heads_data()
    module = TwoHeads()
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    a, b = keras.layers.Dense(5), keras.layers.Dense(5)
    shared = keras.ops.tanh(a(left) + b(right))
    score, kind = keras.layers.Dense(1, name="score"), keras.layers.Dense(3, name="kind")
    twin = keras.Model([left, right], [score(shared), kind(shared)])
    for layer, ours in ((a, module.a), (b, module.b), (score, module.score), (kind, module.kind)):
        layer.set_weights([ours.weight.detach().numpy().T, ours.bias.detach().numpy()])
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(
        "sgd",
        ["mse", sparse],
        loss_weights=[1.0, 0.2],
        metrics=[[], ["accuracy"]],
    )
    weights = {"score": np.linspace(0, 2, 40), "kind": np.linspace(2, 0, 40)}
    options: dict[str, Any] = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}

    theirs = twin.fit(
        list(x.values()), list(y.values()), sample_weight=list(weights.values()), **options
    ).history
    ours = Trainer(
        module,
        optimizer="sgd",
        loss=["mse", KIND],
        loss_weights=[1.0, 0.2],
        metrics={"kind": ["accuracy"]},
        **NAMES,
    ).fit(x, y, sample_weight=weights, **options)

    for name, values in ours.history.items():
        assert values == pytest.approx([float(each) for each in theirs[name]], abs=1e-5), name


def test_a_dict_of_outputs_is_named_by_its_keys_or_by_the_structure() -> None:
    class Named(TwoHeads):
        def forward(self, left: Tensor, right: Tensor) -> Any:
            score, kind = super().forward(left, right)
            return {"s": score, "k": kind}

    x, y = two_heads_data()
    by_key = Trainer(Named(), loss={"k": KIND, "s": "mse"})
    by_name = Trainer(
        Named(),
        loss={"kind": KIND, "s": "mse"},
        ports=Ports(
            inputs=[Port("left"), Port("right")],
            outputs=[Port("score"), Port("kind")],
            nesting={"s": "score", "k": "kind"},
        ),
    )

    unnamed = by_key.evaluate(
        list(x.values()), {"s": y["score"], "k": y["kind"]}, verbose=0, return_dict=True
    )
    named = by_name.evaluate(x, {"s": y["score"], "kind": y["kind"]}, verbose=0, return_dict=True)

    assert Trainer(Named(), loss="mse").metrics_names == []
    assert list(unnamed) == ["loss", "s_loss", "k_loss"] == by_key.metrics_names
    assert list(named) == ["loss", "score_loss", "kind_loss"]
    assert list(unnamed.values()) == list(named.values())


def test_the_running_mean_is_exact_over_many_batches_of_uneven_sizes() -> None:
    mean = RunningMean()
    sizes = [3] * 700 + [5, 1] + [3] * 20
    values = torch.rand(len(sizes), dtype=torch.float64)

    for value, size in zip(values.float(), sizes, strict=True):
        mean.add(value, size)

    exact = np.average(values.float().double(), weights=sizes)
    assert mean.result().item() == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"loss": ["mse"]},
            "loss: expected one for each output: 'score', 'kind', got 1 item. Fix: use a dict",
        ),
        (
            {"loss": {"kimd": "mse"}},
            "loss has the key 'kimd', which is no output. Outputs: 'score', 'kind'. Did you mean 'kind'?",
        ),
        (
            {"loss": "mse", "metrics": {"a": "mae"}},
            "metrics has the key 'a', which is no output. Outputs: 'score', 'kind'.",
        ),
        (
            {"loss": "mse", "metrics": ["mae", "mae", "mae"]},
            "metrics: expected a list with one item for each output",
        ),
        ({"loss": "mse", "metrics": "mae"}, r"metrics: expected .*\['score', 'kind'\], got 'mae'"),
        ({"loss": "mse", "loss_weights": {"p": 1}}, "loss_weights has the key 'p', which is no output"),
        ({"loss": "mse", "loss_weights": [1.0]}, "loss_weights: expected one for each output"),
        (
            {"loss": "mse", "loss_weights": ["1", 2]},
            "loss_weights of the output 'score': expected a number, got '1'",
        ),
    ],
)
def test_arguments_that_do_not_fit_the_outputs_are_refused_when_they_are_given(
    options: Any, words: str
) -> None:
    with pytest.raises(CompileError, match=words):
        Trainer(TwoHeads(), **NAMES, **options)


@pytest.mark.parametrize("names", [NAMES, {}])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"loss": "binary_crossentopy"},
            "Unknown loss 'binary_crossentopy'. Did you mean 'binary_crossentropy'?",
        ),
        ({"loss": ["mse", "msee"]}, "Unknown loss 'msee'. Did you mean 'mse'?"),
        (
            {"loss": "mse", "metrics": ["acuracy", "mae"]},
            "Unknown metric 'acuracy'. Did you mean '.*accuracy'?",
        ),
        ({"optimizer": "adaam"}, "Unknown optimizer 'adaam'. Did you mean 'adam'?"),
    ],
)
def test_a_misspelled_name_is_told_at_once_with_the_right_one(names: Any, options: Any, words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        Trainer(TwoHeads(), **names, **options)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), True])
def test_a_loss_weight_is_a_finite_number(weight: Any) -> None:
    with pytest.raises(CompileError, match="loss_weights of the output 'kind': expected a number, got"):
        Trainer(TwoHeads(), **NAMES, loss="mse", loss_weights={"kind": weight})


@pytest.mark.parametrize(
    ("loss", "classes", "y", "words"),
    [
        ("sparse_categorical_crossentropy", 3, np.zeros(8), "'softmax' .*SparseCategoricalCrossentropy"),
        ("categorical_crossentropy", 3, np.eye(3)[[0] * 8], "'softmax' .*CategoricalCrossentropy"),
        ("binary_crossentropy", 1, np.zeros(8), "'sigmoid' .*BinaryCrossentropy"),
    ],
)
def test_an_output_of_logits_that_is_taken_for_probabilities_is_warned_of_once(
    loss: str, classes: int, y: Any, words: str
) -> None:
    x = np.random.default_rng(0).normal(size=(8, 8)).astype("float32")
    module = mlp(classes=classes)

    trainer = Trainer(module, loss=loss)
    with pytest.warns(
        UserWarning, match=rf"output 'output': expected probabilities, .* got numbers from -.*{words}"
    ):
        trainer.fit(x, y, verbose=0)
    assert np.isfinite(trainer.evaluate(x, y, verbose=0))
    logits = {"class_name": type(losses.get(loss)).__name__, "config": {"from_logits": True}}
    assert np.isfinite(Trainer(module, loss=logits).evaluate(x, y, verbose=0))


def test_a_softmax_that_would_be_applied_twice_is_warned_of_when_compiling() -> None:
    module = Activated(8, 3, activations.softmax)

    with pytest.warns(UserWarning, match="The output 'kind' is a softmax already, .*applied twice"):
        Trainer(module, loss=KIND, ports=Ports(outputs=[Port("kind", logits="activation")]))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 3.5])
def test_a_device_that_is_not_here_is_told_when_compiling(device: Any) -> None:
    with pytest.raises(
        CompileError, match="device: expected a device that PyTorch finds here, got .*device='cpu'"
    ):
        Trainer(mlp(), loss="mse", device=device)


def test_a_module_that_returns_another_number_of_outputs_is_told() -> None:
    x, y = two_heads_data()
    trainer = Trainer(TwoHeads(), loss="mse", output_names=["a", "b", "c"])

    with pytest.raises(
        CompileError, match="what the module returned: expected one for each output: 'a', 'b', 'c', got 2"
    ):
        trainer.evaluate(list(x.values()), [y["score"]] * 3, verbose=0)
