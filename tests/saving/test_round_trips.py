"""What `save` wrote, `load_model` loads: the same numbers to the bit, dtypes, what is trained, what is one, and text."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from tests.golden.make_files import document
from tests.layers.check import Case, drawn, symbolic
from tests.layers.test_layers import TABLE
from tests.vis import examples
from torchfunc import activations, initializers, layers, losses, metrics, regularizers
from torchfunc.errors import ConfigError
from torchfunc.tree import leaves, map_leaves


class Net(layers.Layer):
    """A layer with a model, a layer or a module for its argument."""

    def __init__(self, net: Any, **common: Any) -> None:
        super().__init__(**common)
        self.net = net

    def call(self, x: Any) -> Any:
        return self.net(x)


class GivenByConfig(Net):
    """Its own config holds the model itself."""

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "net": self.net}


class Nets(layers.Layer):
    """A layer with a list of layers for its argument, kept as ModuleList or as it is."""

    def __init__(self, nets: Any, plain: bool = False, **common: Any) -> None:
        super().__init__(**common)
        self.plain = plain
        self.nets = list(nets) if plain else nn.ModuleList(nets)

    def call(self, x: Any) -> Any:
        for net in self.nets:
            x = net(x)
        return x


class Two(layers.Layer):
    def __init__(self, first: Any, second: Any, **common: Any) -> None:
        super().__init__(**common)
        self.first, self.second = first, second

    def call(self, x: Any) -> Any:
        return self.first(x) + self.second(x)


class Parts(layers.Layer):
    """A layer whose arguments are objects and functions."""

    def __init__(self, initializer: Any, regularizer: Any, functions: Any, loss: Any, **common: Any) -> None:
        super().__init__(**common)
        self.initializer, self.regularizer = initializer, regularizer
        self.functions, self.loss = functions, loss

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight((shape[-1], shape[-1]), self.initializer)

    def call(self, x: Any) -> Any:
        x = x @ self.kernel + self.regularizer(self.kernel) + self.loss.name.count("e")
        for function in self.functions:
            x = function(x)
        return x


class Module(nn.Module):
    """A module of PyTorch with a config, in which a module stands."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x)

    def get_config(self) -> dict[str, Any]:
        return {"inner": self.inner}


class Own(tf.Model):
    """A subclassed model around anything."""

    def __init__(self, net: Any, **common: Any) -> None:
        super().__init__(**common)
        self.net = net
        self.head = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.head(self.net(x))


def shifted(x: Any) -> Any:
    return x + 1


CUSTOM = {
    each.__name__: each for each in (Net, GivenByConfig, Nets, Two, Parts, Module, Own, shifted)
}  # fmt: skip


def around(layer: Any, dtype: Any = None) -> Any:
    inputs = tf.Input((4,), dtype=dtype)
    return tf.Model(inputs, layer(inputs))


def mixed(dtype: Any = None) -> Any:
    """Layers and modules of PyTorch, with statistics."""
    x = inputs = tf.Input((4,), dtype=dtype)
    for layer in (
        layers.Dense(4),
        layers.BatchNormalization(),
        nn.Linear(4, 4),
        nn.BatchNorm1d(4),
        layers.Dense(2),
    ):
        x = layer(x)
    return tf.Model(inputs, x)


def chain(*others: Any, built: bool = True) -> Any:
    return tf.Sequential([*([tf.Input((4,))] if built else []), layers.Dense(4, activation="tanh"), *others])


def built(model: Any) -> Any:
    model(torch.ones(5, 4))
    return model


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def in_double(make: Callable[[], Any]) -> Any:
    with default(torch.float64):
        return make()


def frozen(*names: str) -> Any:
    model = mixed()
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    return model


def thawed_head() -> Any:
    model = mixed()
    model.trainable = False
    model.layers[-1].trainable = True
    return model


def thawed_within() -> Any:
    inner = mixed()
    model = around(inner)
    model.trainable = False
    inner.layers[-1].trainable = True
    return model


def frozen_by_its_layer() -> Any:
    model = around(Net(layers.Dense(4)))
    model.layers[-1].trainable = False
    return model


def shared_with_an_inner_model() -> Any:
    dense = layers.Dense(4)
    return around(tf.Sequential([around(tf.Sequential([layers.Dense(4), dense])), nn.ReLU(), dense]))


def tied() -> Any:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return around(nn.Sequential(first, second))


def twice(layer: Any, *between: Any) -> list[Any]:
    return [layer, *between, layer]


def parts() -> Any:
    functions = [activations.relu, torch.tanh, shifted]
    return Parts(initializers.Identity(2.0), regularizers.L2(0.5), functions, losses.MeanSquaredError())


ARGUMENTS: dict[str, Callable[[], Any]] = {
    "a Sequential": chain,
    "a Sequential not built": lambda: chain(built=False),
    "a model": mixed,
    "a layer": lambda: layers.Dense(4),
    "a module": lambda: nn.Linear(4, 4),
    "a module in modules": lambda: nn.Sequential(nn.Linear(4, 4), nn.Tanh()),
    "a layer in modules": lambda: nn.Sequential(layers.Dense(4), nn.Tanh()),
    "a layer around a layer": lambda: layers.Torch(layers.Dense(4)),
}
KINDS: dict[str, Callable[[], Any]] = {
    **{f"Net of {what}": lambda make=make: around(Net(make())) for what, make in ARGUMENTS.items()},
    **{f"Own of {what}": lambda make=make: built(Own(make())) for what, make in ARGUMENTS.items()},
    **{
        f"a config with {what}": lambda make=make: around(GivenByConfig(make()))
        for what, make in ARGUMENTS.items()
    },
    **{f"a module of {what}": lambda make=make: around(Module(make())) for what, make in ARGUMENTS.items()},
    "a ModuleList of layers": lambda: around(Nets([layers.Dense(4), layers.Dense(3)])),
    "a ModuleList of modules": lambda: around(Nets([nn.Linear(4, 4), nn.Linear(4, 3)])),
    "a list of both": lambda: around(Nets([nn.Linear(4, 4), layers.Dense(3)], plain=True)),
    "objects and functions": lambda: around(parts()),
    "an activation by its name": lambda: around(layers.Dense(3, activation="gelu")),
    "double": lambda: mixed().double(),
    "bfloat16": lambda: mixed().bfloat16(),
    "float16": lambda: mixed().to(torch.float16),
    "double Input": lambda: around(nn.Linear(4, 4, dtype=torch.float64), torch.float64),
    "double layers": lambda: around(layers.Dense(4, dtype="float64"), torch.float64),
    "the default of double": lambda: in_double(lambda: mixed(torch.float64)),
    "a Sequential in double": lambda: in_double(lambda: chain(nn.Linear(4, 4), built=False)),
    "a part in double": lambda: around(Net(nn.Linear(4, 4)).double(), torch.float64),
    "a Sequential turned to double": lambda: chain(layers.BatchNormalization()).double(),
    "a subclassed model turned to double": lambda: built(Own(layers.Dense(4))).double(),
    "a frozen module": lambda: frozen("linear.weight", "linear.bias"),
    "a frozen part": lambda: frozen("linear.bias", "dense.weight", "batch_norm1d.weight"),
    "a thawed head": thawed_head,
    "a thawed head within": thawed_within,
    "frozen by its layer": frozen_by_its_layer,
    "a layer twice": lambda: chain(*twice(layers.Dense(4))),
    "a named layer twice": lambda: chain(*twice(layers.Dense(4, name="same"), nn.ReLU())),
    "a module twice": lambda: around(nn.Sequential(*twice(nn.Linear(4, 4), nn.ReLU()))),
    "an activation module twice": lambda: around(
        nn.Sequential(nn.Linear(4, 4), *twice(nn.ReLU(), nn.Linear(4, 4)))
    ),
    "shared with a model within": shared_with_an_inner_model,
    "one layer as two arguments": lambda: around(Two(*twice(layers.Dense(4)))),
    "one layer as two in double": lambda: around(Two(*twice(nn.Linear(4, 4)))).double(),
    "a layer that two models name": lambda: chain(around(shared := layers.Dense(4)), shared),
    "two layers that others call alike": lambda: chain(
        *(around(layers.Dense(4)).layers[-1] for _ in range(2))
    ),
    "two such, not built": lambda: chain(
        *(around(layers.Dense(4)).layers[-1] for _ in range(2)), built=False
    ),
    "tied": tied,
    "tied in double": lambda: tied().double(),
}


def names_of_one(model: nn.Module) -> list[list[str]]:
    """The names that parameters and modules have where they have several."""
    found: dict[int, list[str]] = {}
    for name, each in (
        *model.named_parameters(remove_duplicate=False),
        *model.named_modules(remove_duplicate=False),
    ):
        found.setdefault(id(each), []).append(name)
    return sorted(names for names in found.values() if len(names) > 1)


def facts(model: Any) -> Any:
    """All that a model says of its tensors and layers."""
    trained = {name: each.requires_grad for name, each in model.named_parameters(remove_duplicate=False)}
    flags = {name: each.trainable for name, each in model.named_modules() if isinstance(each, layers.Layer)}
    dtypes = {name: each.dtype for name, each in model.state_dict().items()}
    names = [(each.name, type(each).__name__) for each in model.layers]
    return trained, flags, dtypes, names, names_of_one(model)


def assert_same(model: Any, other: Any, inputs: Any) -> None:
    assert facts(other) == facts(model)
    for (name, mine), yours in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, yours), name
    for training in (False, True):
        outputs = []
        for each in (copy.deepcopy(model), copy.deepcopy(other)):
            torch.manual_seed(0)
            outputs.append(each.train(training)(inputs))
        for left, right in zip(*map(leaves, outputs), strict=True):
            assert left.dtype == right.dtype and torch.equal(left, right)


def round_trip(model: Any, inputs: Any, path: Path) -> Any:
    """A model saved, loaded, and saved again."""
    model.save(path / "first.safetensors")
    other = tf.load_model(path / "first.safetensors", custom_objects=CUSTOM)
    assert_same(model, other, inputs)
    with tf.custom_object_scope(CUSTOM):
        other.save(path / "second.safetensors")
    first, second = (document(path / f"{name}.safetensors") for name in ("first", "second"))
    assert second == first
    return other


def numbers_for(model: Any) -> Tensor:
    first = next(iter(model.parameters()))
    torch.manual_seed(1)
    return torch.randn(5, 4).to(first.dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    with tf.custom_object_scope({"shifted": shifted}):
        model = KINDS[kind]()
        if not model.built:
            model(torch.ones(5, 4, dtype=torch.float64 if "double" in kind else torch.float32))
        round_trip(model, numbers_for(model), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_is_cloned(kind: str) -> None:
    with tf.custom_object_scope({"shifted": shifted}):
        model = KINDS[kind]()
        if not model.built:
            model(torch.ones(5, 4, dtype=torch.float64 if "double" in kind else torch.float32))
        clone = tf.clone_model(model, custom_objects=CUSTOM)
        inputs = numbers_for(model)
        if not clone.built:
            built(clone).to(inputs.dtype)
        if "tied" not in kind:
            clone.load_state_dict(model.state_dict())
            assert_same(model, clone, inputs)


def test_what_is_one_stays_one(tmp_path: Path) -> None:
    model = shared_with_an_inner_model()
    other = round_trip(model, torch.ones(2, 4), tmp_path)
    outer = other.layers[-1]
    assert outer.layers[-1] is outer.layers[0].layers[-1].layers[-1]
    other = round_trip(tied(), torch.ones(2, 4), tmp_path)
    assert other.sequential[0].weight is other.sequential[1].weight


EXAMPLES = [
    examples.mlp,
    examples.encoder,
    examples.nested_autoencoder,
    examples.toy_resnet,
    examples.tickets,
]


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("make", EXAMPLES)
def test_the_examples_come_back_as_they_were(make: Any, double: bool, tmp_path: Path) -> None:
    model = make()
    model = model.double() if double else model

    def numbers(symbol: Any) -> Tensor:
        sizes = [each or 3 for each in symbol.spec.shape[1:]]
        is_float = symbol.dtype.is_floating_point
        return torch.ones(2, *sizes).to(torch.float64 if double and is_float else symbol.dtype)

    round_trip(model, map_leaves(numbers, model.input), tmp_path)


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_the_layers_of_the_table_come_back_as_they_were(case: Case, tmp_path: Path) -> None:
    inputs = drawn(case, torch.Generator().manual_seed(0))
    symbols = symbolic(case, inputs)
    model = tf.Model(symbols, case.layer()(symbols))
    round_trip(model, inputs, tmp_path)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a name", r"\$.frozen: expected names of parameters, got 'dense.weight'"),
        ("nobody", r"\$.frozen: expected names of parameters, got \['nobody'\]"),
        ("a dict", r"\$.frozen: expected names of parameters, got \[{}\]"),
        (
            "a label",
            r"\$.model.config.layers.linear|layers.linear: no module before this one was written as 'x'",
        ),
        ("a dtype", "dtype: expected a dtype, got 'load'"),
    ],
)
def test_what_a_file_says_wrongly_of_these_is_an_error_of_the_config(
    what: str, words: str, tmp_path: Path
) -> None:
    from torchfunc.saving import archive

    frozen("linear.bias").save(tmp_path / "m.safetensors")
    found = archive.read(tmp_path / "m.safetensors")
    kept = {"a name": "dense.weight", "nobody": ["nobody"], "a dict": [{}]}
    found.config["frozen"] = kept.get(what, [])
    modules = found.config["model"]["config"]["layers"]
    modules["linear"] = {"a label": {"shared": "x"}, "a dtype": {**modules["linear"], "dtype": "load"}}.get(
        what, modules["linear"]
    )
    archive.write(tmp_path / "m.safetensors", found.config, found.tensors)
    with pytest.raises(ConfigError, match=words):
        tf.load_model(tmp_path / "m.safetensors")


def test_functions_and_losses_of_ours_are_saved_as_metrics_and_losses(tmp_path: Path) -> None:
    for function in (metrics.binary_accuracy, losses.mean_squared_error, metrics.MeanSquaredError()):
        model = mixed()
        model.compile("sgd", losses.mean_squared_error, metrics=[function])
        model.save(tmp_path / "m.safetensors")
        other = tf.load_model(tmp_path / "m.safetensors")
        data = torch.ones(4, 4), torch.ones(4, 2)
        assert other.evaluate(*data, verbose=0) == model.evaluate(*data, verbose=0)


def test_a_model_from_a_config_is_a_new_one_whose_weights_follow_the_seed() -> None:
    x = tf.Input((4,))
    config = tf.Model(x, torch.nn.Linear(3, 2)(layers.Dense(3)(x))).get_config()

    def weights(seed: int) -> torch.Tensor:
        tf.utils.set_random_seed(seed)
        return torch.cat([each.detach().flatten() for each in tf.Model.from_config(config).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
