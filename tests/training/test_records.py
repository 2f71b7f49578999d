"""Records: a batch that names what it holds is told apart by the names of inputs, outputs and labels."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import torchfunc as tf
from tests.training.modules import TwoHeads, classification, same_weights, two_heads_data
from torchfunc import layers
from torchfunc.errors import CompileError, DataError
from torchfunc.interop import torchvision
from torchfunc.training import Trainer

LOSS = "sparse_categorical_crossentropy"


class OwnLoss(nn.Module):
    """A module that returns its own loss when it is given labels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.linear = nn.Linear(8, 3)

    def forward(self, a: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        outputs = self.linear(a)
        return {"logits": outputs} | ({} if labels is None else {"loss": F.cross_entropy(outputs, labels)})


class ByName(NamedTuple):
    a: Any
    labels: Any


class ByPlace(NamedTuple):
    first: Any
    second: Any


@dataclass
class Sample:
    a: Any
    labels: Any = None
    unused: Any = None


def graph_model() -> tf.Model:
    torch.manual_seed(3)
    a = tf.Input((8,), name="a")
    model = tf.Model(a, layers.Dense(3, activation="softmax", name="kind")(a))
    model.compile("sgd", LOSS, metrics=["accuracy"])
    return model


def loaded(x: Any, y: Any, key: str) -> DataLoader[Any]:
    rows: Any = [{"a": each, key: label} for each, label in zip(x, y, strict=True)]
    return DataLoader(rows, 10)


@pytest.mark.parametrize(
    "data",
    [
        lambda x, y: loaded(x, y, "labels"),
        lambda x, y: loaded(x, y, "label"),
        lambda x, y: loaded(x, y, "y"),
        lambda x, y: loaded(x, y, "kind"),
        lambda x, y: {"a": x, "labels": y},
        lambda x, y: UserDict({"a": x, "target": y}),
        lambda x, y: Sample(x, y),
        lambda x, y: ByName(x, y),
        lambda x, y: [Sample(x[at : at + 10], y[at : at + 10]) for at in range(0, 50, 10)],
        lambda x, y: [ByName(x[at : at + 10], y[at : at + 10]) for at in range(0, 50, 10)],
        lambda x, y: [ByPlace(x[at : at + 10], y[at : at + 10]) for at in range(0, 50, 10)],
        lambda x, y: {"x": x, "y": y},
        lambda x, y: {"inputs": x, "targets": y},
    ],
    ids="labels label y output dict user_dict dataclass named dataclasses nameds places x_y inputs".split(),
)
def test_a_record_trains_measures_and_predicts_as_x_and_y_do(data: Any) -> None:
    x, y = classification(50)
    model, twin = graph_model(), graph_model()
    given = data(x, y)

    history = model.fit(given, batch_size=10, shuffle=False, epochs=2, verbose=0, validation_data=given)
    expected = twin.fit(x, y, batch_size=10, shuffle=False, epochs=2, verbose=0, validation_data=(x, y))

    assert history.history == expected.history
    assert same_weights(model, twin)
    assert model.evaluate(given, batch_size=10, verbose=0) == twin.evaluate(x, y, 10, verbose=0)
    assert np.array_equal(model.predict(given, verbose=0), twin.predict(x, verbose=0))


def test_sample_weights_are_found_by_their_name() -> None:
    x, y = classification(50)
    weight = np.linspace(0, 2, 50)

    named = graph_model().evaluate({"a": x, "labels": y, "sample_weight": weight}, verbose=0)

    assert named == graph_model().evaluate(x, y, sample_weight=weight, verbose=0)
    assert named != graph_model().evaluate(x, y, verbose=0)


def test_targets_of_several_outputs_are_found_by_their_names() -> None:
    def trained(*data: Any) -> nn.Module:
        module, names = TwoHeads(), ["score", "kind"]
        loss = {"score": "mse", "kind": {"class_name": LOSS, "config": {"from_logits": True}}}
        trainer = Trainer(
            module, optimizer="sgd", loss=loss, input_names=["left", "right"], output_names=names
        )
        trainer.fit(*data, shuffle=False, verbose=0)
        return module

    x, y = two_heads_data()

    assert same_weights(trained({**x, **y}), trained(x, y))


def test_what_is_neither_input_nor_label_is_told() -> None:
    x, y = classification(20)
    with pytest.raises(DataError, match=r"x has the key 'colour', which is no input. Inputs: 'a'"):
        graph_model().fit({"a": x, "colour": x, "labels": y}, verbose=0)


def by_hand(module: nn.Module, batches: Any, epochs: int = 2) -> None:
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module.train()
    for _ in range(epochs):
        for batch in batches:
            optimizer.zero_grad()
            loss: Any = module(**batch)["loss"]
            loss.backward()
            optimizer.step()


@pytest.mark.parametrize("key", ["labels", "label"])
def test_a_module_that_returns_its_own_loss_is_trained_by_it(key: str) -> None:
    x, y = classification(50)
    module, twin = OwnLoss(), OwnLoss()

    trainer = Trainer(module, optimizer=torch.optim.SGD(module.parameters(), 0.1), metrics=["accuracy"])
    logs = trainer.fit(loaded(x, y, key), epochs=2, verbose=0).history
    by_hand(twin, loaded(x, y, "labels"))

    assert same_weights(module, twin)
    measured = trainer.evaluate(loaded(x, y, key), return_dict=True, verbose=0)
    with torch.no_grad():
        outputs = twin(torch.from_numpy(x), torch.from_numpy(y))
    right = (outputs["logits"].argmax(1).numpy() == y).mean()
    assert measured == pytest.approx({"loss": outputs["loss"].item(), "accuracy": right}, abs=1e-6)
    assert logs.keys() == {"loss", "accuracy"} and logs["loss"][1] < logs["loss"][0]
    predicted = trainer.predict(loaded(x, y, key), verbose=0)
    assert predicted.keys() == {"logits"}
    assert np.allclose(predicted["logits"], outputs["logits"].numpy(), atol=1e-6)


def test_a_loss_that_is_compiled_goes_before_the_module_s_own() -> None:
    x, y = classification(50)
    module, twin = OwnLoss(), OwnLoss()
    loss = {"class_name": LOSS, "config": {"from_logits": True}}

    Trainer(module, optimizer="sgd", loss=loss).fit(loaded(x, y, "labels"), verbose=0)
    Trainer(twin, optimizer="sgd").fit(loaded(x, y, "labels"), verbose=0)

    for one, other in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_a_module_without_labels_has_no_loss() -> None:
    with pytest.raises(CompileError, match="There is no loss to train towards"):
        Trainer(OwnLoss()).fit({"a": classification(20)[0]}, verbose=0)


def bert() -> nn.Module:
    torchvision.load()  # which transformers imports
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3,
    )  # fmt: skip
    return BertForSequenceClassification(config)


def test_a_model_of_transformers_is_trained_as_a_hand_written_loop_trains_it() -> None:
    rng = np.random.default_rng(0)
    words = torch.from_numpy(rng.integers(0, 30, (24, 6)))
    batch = {"input_ids": words, "attention_mask": (words > 3).long(), "labels": words[:, 0] % 3}
    batches = [{name: each[at : at + 8] for name, each in batch.items()} for at in (0, 8, 16)]
    module, twin = bert(), bert()

    trainer = Trainer(module, optimizer=torch.optim.SGD(module.parameters(), 0.1), metrics=["accuracy"])
    history = trainer.fit(batch, batch_size=8, shuffle=False, epochs=2, verbose=0, validation_data=batches)
    by_hand(twin, batches)

    assert same_weights(module, twin)
    assert history.history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    twin.eval()
    with torch.no_grad():
        expected = twin(**batch)
    assert history.history["val_loss"][-1] == pytest.approx(expected.loss.item(), abs=1e-6)
    assert np.allclose(trainer.predict(batch, verbose=0)["logits"], expected.logits.numpy(), atol=1e-6)
