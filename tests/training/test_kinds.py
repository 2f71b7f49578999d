"""Kinds of data: columns, frames and sparse matrices train, are measured and predicted from as plain arrays are."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pandas
import pytest
import scipy.sparse
import torch

import torchfunc as tf
from tests.training.modules import classification, same_weights
from torchfunc import layers
from torchfunc.errors import DataError


def model(name: str = "a") -> tf.Model:
    torch.manual_seed(3)
    inputs = tf.Input((8,), name=name)
    made = tf.Model(inputs, layers.Dense(3, activation="softmax", name="kind")(inputs))
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def of_columns(x: Any, y: Any) -> Any:
    words = [f"row {index}" for index in range(len(x))]
    return datasets.Dataset.from_dict({"a": x.tolist(), "text": words, "label": y.tolist()})


KINDS: dict[str, Any] = {
    "columns": lambda x, y: (of_columns(x, y),),
    "torch columns": lambda x, y: (of_columns(x, y).with_format("torch"),),
    "numpy columns": lambda x, y: (of_columns(x, y).with_format("numpy"),),
    "streamed columns": lambda x, y: (of_columns(x, y).to_iterable_dataset(),),
    "by column": lambda x, y: (of_columns(x, y)["a"], of_columns(x, y)["label"]),
    "by torch column": lambda x, y: (of_columns(x, y).with_format("torch")["a"], torch.from_numpy(y)),
    "frame": lambda x, y: (pandas.DataFrame(x), pandas.Series(y, index=range(7, 7 + len(y)))),
    "series by name": lambda x, y: ({"a": pandas.DataFrame(x), "labels": pandas.Series(y)},),
    "csr": lambda x, y: (scipy.sparse.csr_matrix(x), y),
    "csc array": lambda x, y: (scipy.sparse.csc_array(x), y),
    "sparse in a dict": lambda x, y: ({"a": scipy.sparse.coo_array(x)}, y),
    "sparse batches": lambda x, y: (
        [(scipy.sparse.csr_array(x[at : at + 10]), y[at : at + 10]) for at in range(0, 50, 10)],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_data_does_what_plain_arrays_do(kind: str) -> None:
    x, y = classification(50)
    one, twin = model(), model()
    given = KINDS[kind](x, y)
    options: Any = {"batch_size": 10, "verbose": 0}

    history = one.fit(*given, shuffle=False, epochs=2, **options).history
    expected = twin.fit(x, y, shuffle=False, epochs=2, **options).history
    assert history.keys() == expected.keys()
    for name, values in expected.items():  # what lies column by column is summed in another order
        assert history[name] == pytest.approx(values, abs=1e-6)
    for mine, other in zip(one.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)
    assert one.evaluate(*given, **options) == pytest.approx(twin.evaluate(x, y, **options), abs=1e-6)
    predicted = one.predict(given[0], **options)
    np.testing.assert_allclose(predicted, twin.predict(x, **options), atol=1e-6)


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
def test_columns_without_rows_are_refused(verb: str) -> None:
    empty = of_columns(*classification(4)).select([])
    with pytest.raises(DataError, match="the Dataset has 0 rows. Fix: check how the data were filtered"):
        getattr(model(), verb)(empty, verbose=0)


def test_columns_are_shuffled_by_the_seed_and_validated_on() -> None:
    x, y = classification(50)
    data = of_columns(x, y)

    def trained(seed: int) -> tuple[tf.Model, Any]:
        made = model()
        torch.manual_seed(seed)
        return made, made.fit(data, batch_size=10, epochs=2, verbose=0, validation_data=data).history

    (one, logs), (same, _), (other, _) = trained(1), trained(1), trained(2)
    assert same_weights(one, same) and not same_weights(one, other)
    assert logs.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}


class Either(torch.nn.Module):
    """Takes one input or two."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.linear = torch.nn.Linear(8, 3)

    def forward(self, a: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        outputs: torch.Tensor = self.linear(a if b is None else a + b)
        return outputs


@pytest.mark.parametrize("form", ["list", "dict", "left out", "batches"])
def test_an_optional_input_may_be_none_or_left_out(form: str) -> None:
    x, y = classification(50)
    given = {
        "list": ([x, None], y),
        "dict": ({"a": x, "b": None}, y),
        "left out": ({"a": x}, y),
        "batches": ([({"a": x[at : at + 10]}, y[at : at + 10]) for at in range(0, 50, 10)],),
    }[form]
    a, b = tf.Input((8,), name="a"), tf.Input((8,), name="b", optional=True)
    one, alone = tf.Model([a, b], Either()(a, b)), tf.Input((8,))
    twin, options = tf.Model(alone, Either()(alone)), {"batch_size": 10, "verbose": 0}
    for each in (one, twin):
        each.compile("sgd", {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}})

    one.fit(*given, shuffle=False, **options)
    twin.fit(x, y, shuffle=False, **options)

    assert same_weights(one, twin)
    assert one.evaluate(*given, **options) == twin.evaluate(x, y, **options)
    assert np.array_equal(one.predict(given[0], **options), twin.predict(x, **options))


def test_an_input_that_is_not_optional_may_not_be_left_out() -> None:
    a, b = tf.Input((8,), name="a"), tf.Input((8,), name="b", optional=True)
    made = tf.Model([a, b], Either()(a, b))
    with pytest.raises(tf.errors.DataError, match="got no 'a' among its keys"):
        made.predict({"b": np.ones((4, 8))}, verbose=0)


class Nested(torch.nn.Module):
    """Takes a pair and a dict, by place, by name or as one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.linear = torch.nn.Linear(8, 3)

    def forward(self, p: Any, q: Any) -> torch.Tensor:
        outputs: torch.Tensor = self.linear(p[0] + p[1] + q["k"])
        return outputs


class Whole(Nested):
    """Takes them as one dict."""

    def forward(self, data: Any) -> torch.Tensor:  # type: ignore[override]
        return super().forward(data["p"], data["q"])


NESTED: dict[str, Any] = {
    "by name": lambda x: {"p": (x, x), "q": {"k": x}},
    "by place": lambda x: [(x, x), {"k": x}],
    "lists within": lambda x: {"q": {"k": x}, "p": [x, x]},
}


@pytest.mark.parametrize("module", [Nested, Whole])
@pytest.mark.parametrize("way", ["arrays", "batches"])
@pytest.mark.parametrize("form", NESTED)
def test_any_module_takes_inputs_that_are_nested(form: str, way: str, module: Any) -> None:
    if module is Whole and form == "by place":
        form = "by name"
    x, y = classification(50)
    nest = NESTED[form]
    given = (
        (nest(x), y)
        if way == "arrays"
        else ([(nest(x[at : at + 10]), y[at : at + 10]) for at in range(0, 50, 10)],)
    )
    loss = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}
    one, options = module(), {"batch_size": 10, "verbose": 0}
    trainer = tf.training.Trainer(one, optimizer=torch.optim.SGD(one.parameters(), 0.1), loss=loss)
    trainer.fit(*given, shuffle=False, **options)

    twin = Nested()
    optimizer = torch.optim.SGD(twin.parameters(), 0.1)
    for at in range(0, 50, 10):
        part = torch.from_numpy(x[at : at + 10])
        optimizer.zero_grad()
        outputs = twin((part, part), {"k": part})
        torch.nn.functional.cross_entropy(outputs, torch.from_numpy(y[at : at + 10])).backward()
        optimizer.step()

    for mine, other in zip(one.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)
    predicted = trainer.predict(given[0], **options)
    whole = torch.from_numpy(x)
    np.testing.assert_allclose(predicted, twin((whole, whole), {"k": whole}).detach(), atol=1e-5)
