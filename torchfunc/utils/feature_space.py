"""FeatureSpace: the columns of a table, each with its preprocessing layer, as what a model takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from torchfunc import layers, registry
from torchfunc.config import checked, described, made, reading, writes_once
from torchfunc.errors import ConfigError, DataError, GraphError, explain, shorten
from torchfunc.graph.symbolic import Input, dtype_of
from torchfunc.layers.arguments import choice, count
from torchfunc.layers.layer import Common
from torchfunc.layers.preprocessing.adapting import Adapted, batches_of, numbers_of, texts_in
from torchfunc.models.model import Model
from torchfunc.saving.graph_json import expect_object

_FeatureMode = ("int", "one_hot", "float")
_CONFIG = (
    "output_mode",
    "crosses",
    "crossing_dim",
    "hashing_dim",
    "num_discretization_bins",
    "name",
    "trainable",
)


@dataclass(frozen=True)
class Cross:
    """Features that are one together, by their hash.

    Attributes:
        feature_names: which ones.
        crossing_dim: the number of bins.
        output_mode: "one_hot", or "int" for the number of the bin.
    """

    feature_names: tuple[str, ...]
    crossing_dim: int
    output_mode: str = "one_hot"

    def __post_init__(self) -> None:
        object.__setattr__(self, "feature_names", tuple(self.feature_names))
        choice("Cross", "output_mode", self.output_mode, ("int", "one_hot"))
        count("Cross", "crossing_dim", self.crossing_dim)

    @property
    def name(self) -> str:
        return "_X_".join(self.feature_names)


@dataclass(frozen=True)
class Feature:
    """A column: what it holds, the layer that it goes through, and the form in which it is given away.

    Attributes:
        dtype: "string", or the name of a dtype.
        preprocessor: the layer.
        output_mode: "int", "one_hot" or "float".
    """

    dtype: str
    preprocessor: nn.Module
    output_mode: str

    def __post_init__(self) -> None:
        choice("Feature", "output_mode", self.output_mode, _FeatureMode)
        if self.dtype != "string":
            dtype_of(self.dtype)


@registry.layers.register()
class FeatureSpace(Model):
    """A table, a dict of columns, as one tensor or a dict of them; each column goes through a layer of its own.

    Columns are (batch,) or (batch, 1), or single values for one row. `preprocessors` and `crossers` have the layers by
    name. It is saved and loaded as any model is.

    Args:
        features: the kind of each column, by its name: "float", "float_normalized", "float_rescaled",
            "float_discretized", "integer_categorical", "string_categorical", "integer_hashed", "string_hashed", or
            what the method of that name gives, which takes arguments; or `FeatureSpace.feature(...)`.
        output_mode: "concat" for all in one, the columns in the order of their names and then the crosses; "dict".
        crosses: names of columns that are one together, or `FeatureSpace.cross(...)`.
        crossing_dim: how many bins a cross has, where it does not say.
        hashing_dim: how many bins a hashed column has, where it does not say.
        num_discretization_bins: how many bins a discretized column has, where it does not say.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: no features, or of an unknown kind; a call before `adapt`.

    Example:
        >>> table = {"age": [31.0, 54.0, 38.0], "city": ["Oslo", "Rome", "Oslo"]}
        >>> space = utils.FeatureSpace({"age": "float_normalized", "city": "string_categorical"})
        >>> space.adapt(table)
        >>> space(table)  # the age, and a column for what is unknown, for Oslo and for Rome
        tensor([[-1.0388,  0.0000,  1.0000,  0.0000],
                [ 1.3505,  0.0000,  0.0000,  1.0000],
                [-0.3116,  0.0000,  1.0000,  0.0000]])
    """

    _without_graph = ("its forward is written by hand", "get_inputs() and get_encoded_features() give one")

    def __init__(
        self,
        features: Mapping[str, Any],
        output_mode: str = "concat",
        crosses: Sequence[Any] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        if not isinstance(features, Mapping) or not features:
            got, fix = f"features={shorten(features)}", "{'age': 'float_normalized'}"
            raise GraphError(explain("FeatureSpace", got=got, expected="a dict of columns", fix=fix))
        self.output_mode = choice("FeatureSpace", "output_mode", output_mode, ("concat", "dict"))
        self.crossing_dim = count("FeatureSpace", "crossing_dim", crossing_dim)
        self.hashing_dim = count("FeatureSpace", "hashing_dim", hashing_dim)
        self.num_discretization_bins = count(
            "FeatureSpace", "num_discretization_bins", num_discretization_bins
        )
        self.features = {name: self._feature(name, each) for name, each in features.items()}
        self.crosses = [self._cross(each) for each in crosses or ()]
        held = {_key(name): each.preprocessor for name, each in self.features.items()}
        if len(held) < len(self.features):
            raise GraphError(
                explain("FeatureSpace", got=f"columns {list(self.features)}", expected="names that differ")
            )
        self.columns = nn.ModuleDict(held)
        crossers = {
            _key(each.name): layers.HashedCrossing(each.crossing_dim, name=_key(each.name))
            for each in self.crosses
        }
        self.crossed = nn.ModuleDict(crossers)
        for layer in held.values():
            if isinstance(layer, layers.Normalization) and not layer.built:
                layer.build((None, 1))
        self._is_adapted = not self._adaptable()
        self._inputs: dict[str, Any] | None = None
        self._encoded: Any = None
        self.built = True
        self._watch_no_more()

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Columns that are one together."""
        return Cross(tuple(feature_names), crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: nn.Module, output_mode: str) -> Feature:
        """A column that goes through a layer of yours."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:  # type: ignore[override]
        """Numbers as they are."""
        return Feature("float32", layers.Identity(name=_named(name)), "float")

    @classmethod
    def float_rescaled(cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None) -> Feature:
        """Numbers times `scale`, plus `offset`."""
        return Feature("float32", layers.Rescaling(scale, offset, name=_named(name)), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers less their mean, over their standard deviation."""
        return Feature("float32", layers.Normalization(axis=-1, name=_named(name)), "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int | None,
        bin_boundaries: Any = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Numbers by the range that they lie in; of `bin_boundaries` where they are given, else of `num_bins`."""
        bins = num_bins if bin_boundaries is None else None
        return Feature("float32", layers.Discretization(bin_boundaries, bins, name=_named(name)), output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Whole numbers by their place in a vocabulary."""
        return Feature(
            "int64", layers.IntegerLookup(max_tokens, num_oov_indices, name=_named(name)), output_mode
        )

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Texts by their place in a vocabulary."""
        return Feature(
            "string", layers.StringLookup(max_tokens, num_oov_indices, name=_named(name)), output_mode
        )

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Texts by their hash."""
        return Feature("string", layers.Hashing(num_bins, name=_named(name)), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Whole numbers by their hash."""
        return Feature("int64", layers.Hashing(num_bins, name=_named(name)), output_mode)

    def _feature(self, name: str, kind: Any) -> Feature:
        if isinstance(kind, Feature):
            return kind
        makers: dict[str, Any] = {
            "float": self.float,
            "float_normalized": self.float_normalized,
            "float_rescaled": self.float_rescaled,
            "float_discretized": lambda name: self.float_discretized(self.num_discretization_bins, name=name),
            "integer_categorical": self.integer_categorical,
            "string_categorical": self.string_categorical,
            "integer_hashed": lambda name: self.integer_hashed(self.hashing_dim, name=name),
            "string_hashed": lambda name: self.string_hashed(self.hashing_dim, name=name),
        }
        made_so: Feature = makers[choice("FeatureSpace", f"features[{name!r}]", kind, tuple(makers))](
            name=_key(name)
        )
        return made_so

    def _cross(self, cross: Any) -> Cross:
        found = cross if isinstance(cross, Cross) else Cross(tuple(cross), self.crossing_dim)
        unknown = [name for name in found.feature_names if name not in self.features]
        if unknown:
            got = f"a cross of {unknown[0]!r}"
            raise GraphError(
                explain("FeatureSpace", got=got, expected=f"columns among {list(self.features)}")
            )
        return found

    @property
    def preprocessors(self) -> dict[str, nn.Module]:
        """The layer of each column."""
        return {name: self.columns[_key(name)] for name in self.features}

    @property
    def crossers(self) -> dict[str, nn.Module]:
        """The layer of each cross."""
        return {each.name: self.crossed[_key(each.name)] for each in self.crosses}

    def _adaptable(self) -> dict[str, Adapted]:
        """The layers that learn from data, and have not been told what they would learn."""
        found = {name: layer for name, layer in self.preprocessors.items() if isinstance(layer, Adapted)}
        return {name: layer for name, layer in found.items() if not _knows(layer)}

    def adapt(self, dataset: Any) -> None:
        """Have every layer learn from its column.

        Args:
            dataset: a dict of columns; or a DataLoader, a Dataset or a generator of such dicts, alone or in pairs.

        Raises:
            DataError: something else, or a column is missing.
        """
        learning = self._adaptable()
        for layer in learning.values():
            layer.reset_state()
        for table in [dataset] if isinstance(dataset, Mapping) else _tables(dataset):
            for name, layer in learning.items():
                layer.update_state(self._column(name, table)[0])
        for layer in learning.values():
            layer.finalize_state()
        self._is_adapted = True
        self._encoded = None

    def _column(self, name: str, table: Any) -> tuple[Any, bool]:
        """A column as (rows, 1), and whether it is one value alone."""
        if not isinstance(table, Mapping) or name not in table:
            got = f"the columns {list(table)}" if isinstance(table, Mapping) else shorten(table)
            raise DataError(explain("FeatureSpace", got=got, expected=f"a dict with the column {name!r}"))
        dtype, value = self.features[name].dtype, table[name]
        owner = f"FeatureSpace: column {name!r}"
        column: Any = (
            texts_in(owner, value) if dtype == "string" else numbers_of(owner, value).to(dtype_of(dtype))
        )
        alone = column.ndim == 0
        return column.reshape(-1, 1) if column.ndim < 2 else column, alone

    def call(self, data: Any) -> Any:
        """Each column through its layer, and all together.

        Raises:
            GraphError: before `adapt`.
            DataError: a column is missing.
        """
        self._check_adapted()
        columns = {name: self._column(name, data) for name in self.features}
        outputs = self._encode({name: column for name, (column, _) in columns.items()})
        if not any(alone for _, alone in columns.values()):
            return outputs
        return (
            outputs[0] if isinstance(outputs, Tensor) else {name: each[0] for name, each in outputs.items()}
        )

    def _encode(self, columns: Mapping[str, Any]) -> Any:
        found = {name: layer(columns[name]) for name, layer in self.preprocessors.items()}
        crossed = {
            each.name: self.crossers[each.name]([found[name] for name in each.feature_names])
            for each in self.crosses
        }
        outputs = {name: self._formed(name, found[name]) for name in sorted(found)}
        outputs |= {name: self._formed(name, crossed[name]) for name in sorted(crossed)}
        if self.output_mode == "dict":
            return outputs
        for name, each in outputs.items():
            if not each.dtype.is_floating_point:
                got = f"the column {name!r} as {str(each.dtype).removeprefix('torch.')}"
                fix = "its output_mode='one_hot', or FeatureSpace(output_mode='dict')"
                raise GraphError(explain("FeatureSpace", got=got, expected="floats to join", fix=fix))
        return torch.cat(list(outputs.values()), -1)

    def _formed(self, name: str, column: Any) -> Any:
        """A column in the form that it is given away in."""
        crosses = {each.name: each.output_mode for each in self.crosses}
        if (crosses.get(name) or self.features[name].output_mode) != "one_hot":
            return column
        return layers.CategoryEncoding(self._cardinality(name), "multi_hot")(column)

    def _cardinality(self, name: str) -> int:
        """How many values a column has behind its layer."""
        layer: Any = {**self.preprocessors, **self.crossers}[name]
        if isinstance(layer, layers.IndexLookup):
            return layer.vocabulary_size()
        if isinstance(layer, layers.Discretization):
            return layer.num_bins or len(layer.bin_boundaries or ()) + 1
        for attribute in ("num_bins", "num_tokens"):
            if isinstance(number := getattr(layer, attribute, None), int):
                return number
        got = f"output_mode='one_hot' for {name!r}, whose {type(layer).__name__} may give any number"
        raise GraphError(
            explain(
                "FeatureSpace",
                got=got,
                expected="a layer that says how many there are",
                fix="output_mode='int'",
            )
        )

    def _check_adapted(self) -> None:
        if not self._is_adapted:
            names = list(self._adaptable())
            fix = "feature_space.adapt(table)"
            raise GraphError(
                explain(f"FeatureSpace {self.name!r}", got=f"a call before {names} have learned", fix=fix)
            )

    def get_inputs(self) -> dict[str, Any]:
        """An Input for each column, (batch, 1), for a model that takes the table itself.

        Raises:
            DTypeError: a column of text, which no graph holds: call the FeatureSpace on the table before the model.
        """
        self._check_adapted()
        if self._inputs is None:
            self._inputs = {
                name: Input((1,), dtype=each.dtype, name=_key(name)) for name, each in self.features.items()
            }
        return self._inputs

    def get_encoded_features(self) -> Any:
        """What a model is made from: symbols computed from `get_inputs()`; where columns are text, Inputs themselves."""
        self._check_adapted()
        if self._encoded is None and any(each.dtype == "string" for each in self.features.values()):
            example = self.call({name: self._example(name) for name in self.features})
            one = isinstance(example, Tensor)
            self._encoded = (
                _input_like(example, self.name)
                if one
                else {name: _input_like(each, _key(name)) for name, each in example.items()}
            )
        elif self._encoded is None:
            self._encoded = self._encode(self.get_inputs())
        return self._encoded

    def _example(self, name: str) -> Any:
        """A value that a column may have."""
        layer: Any = self.preprocessors[name]
        known = layer.get_vocabulary(False) if isinstance(layer, layers.IndexLookup) else []
        return [known[0] if known else "" if self.features[name].dtype == "string" else 0]

    @writes_once
    def get_config(self) -> dict[str, Any]:
        """The columns and their layers as plain data."""
        features = {
            name: {
                "dtype": each.dtype,
                "preprocessor": described(self.preprocessors[name], name, f"FeatureSpace {self.name!r}"),
                "output_mode": each.output_mode,
            }
            for name, each in self.features.items()
        }
        crosses = [{**asdict(each), "feature_names": list(each.feature_names)} for each in self.crosses]
        config = {
            name: getattr(self, name) for name in _CONFIG if name not in ("crosses", "name", "trainable")
        }
        return {
            "features": features,
            "crosses": crosses,
            "adapted": self._is_adapted,
            "name": self.given_name,
            "trainable": self._trainable,
            **config,
        }

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The FeatureSpace that `get_config` described."""
        with registry.custom_object_scope(custom_objects), reading():
            expect_object(config, "$", {"features"}, {*_CONFIG, "adapted"})
            given = dict(config)
            adapted, features, crosses = (
                given.pop("adapted", False),
                given.pop("features"),
                given.pop("crosses", []),
            )
            space = cls(
                {name: _feature_from(each, f"$.features.{name}") for name, each in _items(features)},
                crosses=[_cross_from(each, f"$.crosses[{index}]") for index, each in enumerate(crosses)],
                **given,
            )
            space._is_adapted = adapted is True or space._is_adapted
            return space


def _knows(layer: Adapted) -> bool:
    """Whether a layer was told what it would learn."""
    if isinstance(layer, layers.Normalization):
        return layer.input_mean is not None
    return (
        layer.num_bins is None
        if isinstance(layer, layers.Discretization)
        else bool(getattr(layer, "_is_given", False))
    )


def _tables(dataset: Any) -> Iterator[Any]:
    for batch in batches_of(dataset, 1024):
        yield batch[0] if isinstance(batch, (list, tuple)) and batch else batch


def _key(name: str) -> str:
    """The name of a column as that of a module."""
    return name.replace(".", "_")


def _named(name: str | None) -> str | None:
    return None if name is None else f"{name}_preprocessor"


def _input_like(example: Tensor, name: str) -> Any:
    return Input(tuple(example.shape[1:]), dtype=example.dtype, name=name)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"$.features: expected an object, got {type(value).__name__}.")
    yield from value.items()


def _feature_from(config: Any, place: str) -> Feature:
    expect_object(config, place, {"dtype", "preprocessor", "output_mode"})
    return Feature(
        config["dtype"], made(config["preprocessor"], f"{place}.preprocessor"), config["output_mode"]
    )


def _cross_from(config: Any, place: str) -> Cross:
    expect_object(config, place, {"feature_names", "crossing_dim", "output_mode"})
    return Cross(tuple(config["feature_names"]), config["crossing_dim"], config["output_mode"])
