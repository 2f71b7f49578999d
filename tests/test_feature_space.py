"""FeatureSpace: columns through layers of their own, equal to a table worked out by hand, adapted, saved and in models."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import ConfigError, DataError, DTypeError, GraphError
from torchfunc.utils import FeatureSpace

TABLE: dict[str, Any] = {
    "age": [0.0, 1.0, 2.0, 3.0],
    "city": ["Oslo", "Rome", "Rome", "Bern"],
    "rooms": [3, 1, 3, 2],
    "size": [10.0, 20.0, 30.0, 40.0],
}


class Rows(Dataset[Any]):
    """The table as samples with a target."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return {name: column[index] for name, column in TABLE.items()}, index


def space(**arguments: Any) -> FeatureSpace:
    features = {
        "size": FeatureSpace.float_discretized(3, bin_boundaries=[15.0, 35.0]),
        "age": "float_normalized",
        "city": "string_categorical",
        "rooms": FeatureSpace.integer_categorical(output_mode="int"),
    }
    arguments = {"crosses": [("city", "rooms")], "crossing_dim": 8, "output_mode": "dict", **arguments}
    return FeatureSpace(features, **arguments)


def one_hot(places: list[int], depth: int) -> torch.Tensor:
    return torch.eye(depth)[places]


def expected() -> dict[str, torch.Tensor]:
    """What comes of the table: Rome, then Oslo, then Bern, for the most frequent and then the last come first."""
    city, rooms = torch.tensor([2, 1, 1, 3]), torch.tensor([1, 3, 1, 2])
    crossed = layers.HashedCrossing(8)((city[:, None], rooms[:, None])).flatten().tolist()
    return {
        "age": torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]) / 1.25**0.5,
        "city": one_hot(city.tolist(), 4),
        "rooms": rooms[:, None],
        "size": one_hot([0, 1, 1, 2], 3),
        "city_X_rooms": one_hot(crossed, 8),
    }


@pytest.mark.parametrize(
    "data", [TABLE, Rows(), DataLoader(Rows(), batch_size=3)], ids=["dict", "Dataset", "DataLoader"]
)
def test_columns_are_what_is_worked_out_by_hand(data: Any) -> None:
    made = space()
    made.adapt(data)
    found, wanted = made(TABLE), expected()
    assert list(found) == list(wanted)
    for name, column in wanted.items():
        torch.testing.assert_close(found[name], column, msg=name)


def test_all_columns_in_one_stand_in_the_order_of_their_names() -> None:
    features = {"b": "float", "a": FeatureSpace.float_rescaled(2.0, 1.0)}
    made = FeatureSpace(features, crosses=[])
    assert made({"a": [1, 2], "b": np.array([5.0, 6.0])}).tolist() == [[3, 5], [5, 6]]
    assert made({"a": 1.0, "b": 5}).tolist() == [3, 5]


def test_hashed_columns_have_the_bins_of_hashing() -> None:
    made = FeatureSpace(
        {"word": "string_hashed", "number": FeatureSpace.integer_hashed(4, "int")}, "dict", hashing_dim=5
    )
    found = made({"word": ["x", "y"], "number": [7, 8]})
    assert found["word"].argmax(1).tolist() == layers.Hashing(5)(["x", "y"]).tolist()
    assert found["number"].flatten().tolist() == layers.Hashing(4)([7, 8]).tolist()


def test_a_layer_of_yours_takes_a_column() -> None:
    text = FeatureSpace.feature("string", layers.TextVectorization(output_mode="tf_idf"), "float")
    made = FeatureSpace({"text": text})
    data = ["1st string", "2nd string", "3rd string"]
    made.adapt({"text": data})
    twin = layers.TextVectorization(output_mode="tf_idf")
    twin.adapt(data)
    torch.testing.assert_close(made({"text": data}), twin(data))


def test_it_is_saved_with_what_its_layers_have_learned() -> None:
    made = space()
    made.adapt(TABLE)
    file = io.BytesIO()
    made.save(file)
    file.seek(0)
    for twin in (tf.models.load_model(file), FeatureSpace.from_config(made.get_config())):
        twin.set_weights(made.get_weights())
        for name, column in made(TABLE).items():
            torch.testing.assert_close(twin(TABLE)[name], column, rtol=0, atol=0)


def test_a_model_is_made_from_what_it_gives() -> None:
    features = {"age": "float_normalized", "city": "string_categorical"}
    made = FeatureSpace(features)
    made.adapt(TABLE)
    inputs = made.get_encoded_features()
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    model.fit(made(TABLE), np.zeros((4, 1)), verbose=0)
    assert inputs.shape == (None, 5)
    with pytest.raises(
        DTypeError, match="A graph holds tensors, and text is none. Fix: call TextVectorization"
    ):
        made.get_inputs()


def test_a_table_of_numbers_goes_into_the_model_itself() -> None:
    made = FeatureSpace(
        {"age": "float_normalized", "rooms": "integer_categorical"}, crosses=[("rooms", "rooms")]
    )
    made.adapt(TABLE)
    model = tf.Model(made.get_inputs(), made.get_encoded_features())
    table = {"age": torch.tensor(TABLE["age"])[:, None], "rooms": torch.tensor(TABLE["rooms"])[:, None]}
    torch.testing.assert_close(model(table), made(TABLE))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: FeatureSpace({}), GraphError, "a dict of columns, got features={}"),
        (lambda: FeatureSpace({"a": "floot"}), GraphError, "got features\\['a'\\]='floot'. Fix: .*'float'"),
        (lambda: FeatureSpace({"a": "float"}, output_mode="list"), GraphError, "got output_mode='list'"),
        (lambda: FeatureSpace({"a": "float"}, crosses=[("a", "b")]), GraphError, "expected columns among"),
        (lambda: FeatureSpace({"a.b": "float", "a_b": "float"}), GraphError, "expected names that differ"),
        (lambda: space()(TABLE), GraphError, "got a call before .* have learned. Fix: feature_space.adapt"),
        (lambda: FeatureSpace({"a": "float"})({"b": [1.0]}), DataError, "a dict with the column 'a', got the columns"),
        (lambda: FeatureSpace({"a": "float"})([1.0]), DataError, "a dict with the column 'a'"),
        (lambda: FeatureSpace({"a": FeatureSpace.integer_hashed(3, "int")})({"a": [1]}), GraphError, "floats to join"),
        (lambda: FeatureSpace({"a": FeatureSpace.feature("float32", layers.Identity(), "one_hot")})({"a": [1]}),
         GraphError, "a layer that says how many there are"),
        (lambda: FeatureSpace.cross(("a", "b"), 3, "float"), GraphError, "got output_mode='float'"),
        (lambda: FeatureSpace.from_config({"features": {"a": {"dtype": "x"}}}), ConfigError, "is missing"),
        (lambda: FeatureSpace.from_config({"features": 3}), ConfigError, "expected an object, got int"),
        (lambda: FeatureSpace.from_config({"features": {}, "x": 1}), ConfigError, "'x' is unknown"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
