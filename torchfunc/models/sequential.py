"""Sequential: a model whose graph is a chain, written as a list of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.config import checked, described, made, plain, reading, writes_once
from torchfunc.errors import ConfigError, GraphError, NameTakenError, explain, shorten
from torchfunc.graph import symbolic
from torchfunc.graph.drawing import MODULE_ATTRIBUTES, between, is_name
from torchfunc.graph.graph import Drawn, Names
from torchfunc.graph.interception import symbolic_call
from torchfunc.graph.symbolic import Input, SymbolicTensor
from torchfunc.layers.inputs.input_layer import InputLayer as GivenInput
from torchfunc.layers.layer import Common, Layer, Weak
from torchfunc.layers.preprocessing.adapting import is_text
from torchfunc.models.model import Model, keeping_trained
from torchfunc.models.operations import InputLayer
from torchfunc.saving import graph_json as saved


@registry.layers.register("Sequential")
class Sequential(Model):
    """A chain of layers. It becomes a graph as soon as the shape of its input is known.

    A layer of text, such as TextVectorization, may come first: it is called on the text, before the graph of the others.

    Args:
        layers: an Input (optional) and layers, or any nn.Modules.
        name: what the model is called.
        trainable: whether its weights are trained.
        dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: something in the list is no layer.
        NameTakenError: two layers were given one name.

    Example:
        >>> model = tf.Sequential([tf.Input((784,)), tf.layers.Dense(64, activation="relu"), nn.Linear(64, 10)])
        >>> model(torch.zeros(2, 784)).shape
        torch.Size([2, 10])
    """

    _takes_emitted_forward = True
    _shows_masks = False
    _without_graph = (
        "the shape of its input is not known yet",
        "begin with Input(shape), or call it on data",
    )

    def __init__(
        self,
        layers: Sequence[Any] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self._entry: tuple[tuple[int | None, ...], Any, str | None] | None = None
        self._chain: list[nn.Module] = []
        self._names: list[str] = []
        self._after_text = False  # whether what is known of the input is what a layer of text returns
        if layers is not None and not isinstance(layers, Iterable):
            raise GraphError(
                explain(
                    f"Sequential {self.name!r}",
                    got=f"one {type(layers).__name__}",
                    expected="a list of layers",
                    fix="Sequential([layer])",
                )
            )
        for layer in layers or ():
            self._append(layer)
        self._draw()

    def add(self, layer: Any) -> None:
        """Put a layer (or, first of all, an Input) at the end of the chain.

        Args:
            layer: a layer, an nn.Module, or an Input.

        Example:
            >>> model = tf.Sequential([tf.Input((3,))])
            >>> model.add(tf.layers.Dense(2))
            >>> model.output_shape
            (None, 2)
        """
        self._append(layer)
        self._draw()

    def pop(self) -> None:
        """Take the last layer away.

        Raises:
            GraphError: there is none.

        Example:
            >>> model = tf.Sequential([tf.Input((3,)), tf.layers.Dense(4), tf.layers.Dense(2)])
            >>> model.pop()
            >>> model.output_shape
            (None, 4)
        """
        if not self._chain:
            raise GraphError(f"Sequential {self.name!r} has no layers to pop.")
        self._chain.pop()
        self._draw()

    def _append(self, layer: Any) -> None:
        if isinstance(layer, (SymbolicTensor, InputLayer, GivenInput)):
            symbol = layer if isinstance(layer, SymbolicTensor) else layer.output
            if self._chain or self._entry is not None:
                raise GraphError(f"Sequential {self.name!r} has an Input already, which must come first.")
            self._entry = (
                symbol.spec.shape,
                symbol.dtype,
                symbol.name if symbol.node.kwargs.get("given") else None,
            )
            return
        if not isinstance(layer, nn.Module):
            raise GraphError(
                explain(
                    f"Sequential {self.name!r}",
                    got=f"{type(layer).__name__} in its list",
                    expected="layers",
                    fix="call its constructor: Dense(10)" if isinstance(layer, type) else "",
                )
            )
        names = {getattr(each, "given_name", None) for each in self._chain} - {None}
        if getattr(layer, "given_name", None) in names and layer not in self._chain:
            raise NameTakenError(
                f"The name {layer.given_name!r} was given twice in Sequential {self.name!r}. "
                "Fix: name one of them otherwise."
            )
        shape = getattr(layer, "input_shape_argument", None)
        if not self._chain and self._entry is None and shape is not None:
            self._entry = ((None, *shape), None, None)
        known = layer.inputs if isinstance(layer, Model) and layer.graph is not None else []
        if not self._chain and self._entry is None and len(known) == 1:
            # a model that knows its input is as good as an Input
            self._entry = (known[0].spec.shape, known[0].dtype, None)
        self._chain.append(layer)

    def _draw(self) -> None:
        """Draw the graph anew where the input's shape is known; else only hold the layers under their names."""
        self.__class__ = self.config_class
        self._live = None
        self._modules.clear()
        self.built = False
        if self._entry is not None and self._chain:
            shape, dtype, name = self._entry
            inputs = Input(batch_shape=shape, dtype=dtype, name=name)
            outputs: Any = inputs
            with _named(dict(zip(dict.fromkeys(self._chain), self._names, strict=False))):
                for layer in self._chain[self._after_text :]:
                    outputs = symbolic_call(layer, (outputs,), {})
                drawn = between(inputs, outputs, reserved=MODULE_ATTRIBUTES)
                if self._after_text:
                    self._modules[symbolic.name_of(self._chain[0])] = self._chain[0]
            self._assemble(drawn)
            return
        names = Names()
        for layer in dict.fromkeys(self._chain):
            self._modules[names.new(symbolic.name_of(layer))] = layer
            if isinstance(layer, Layer) and self not in layer._models:
                layer._know("_models", Weak(self))

    def build(self, input_shape: Any) -> None:
        """Draw the graph for inputs of this shape, with the batch.

        Args:
            input_shape: a tuple with the batch, whose size is not looked at.

        Raises:
            GraphError: no layers, or several shapes.

        Example:
            >>> model = tf.Sequential([tf.layers.Dense(2)])
            >>> model.build((None, 3))
            >>> model.count_params()
            8
        """
        if self.graph is not None:
            return
        if not self._chain:
            raise GraphError(f"Sequential {self.name!r} has no layers. Fix: model.add(Dense(10)).")
        if isinstance(input_shape, list):
            raise GraphError(
                f"Sequential {self.name!r} takes one input, got {len(input_shape)}. Fix: Model(inputs, outputs)."
            )
        # the batch that happens to come first says nothing about later ones
        self._entry = ((None, *tuple(input_shape)[1:]), None, None)
        self._draw()

    def forward(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Any:
        # reached only on the very call that built the model: its class has the emitted forward now
        """The layers one after the other; the call that draws the graph goes on in the forward that is emitted for it.

        Args:
            inputs: a tensor with the batch first.
            training: whether it is for training; None for the mode that the model is in.
            mask: which steps count, or None.

        Returns:
            What the last layer returns.

        Example:
            >>> tf.Sequential([tf.layers.Dense(2)])(torch.zeros(4, 3)).shape
            torch.Size([4, 2])
        """
        masks = {} if mask is None else {"mask": mask}
        return self.forward(inputs, training=training, **masks)

    @property
    def _reads_text(self) -> bool:
        """Whether the first layer takes text, and so stands before the graph."""
        takes_text = bool(self._chain) and getattr(self._chain[0], "takes_text", False)
        return takes_text and (self._entry is None or self._after_text)

    def _draw_after_text(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Draw the graph of what follows the layer of text, for texts of this shape, of which it makes this dtype."""
        # of a text by itself, for the longest of a batch says nothing of other batches
        found = self._chain[0].compute_output_shape((None, *shape[1:]))  # type: ignore[operator]
        self._entry, self._after_text = (tuple(found), dtype, None), True
        self._draw()

    def with_tensors(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """The arguments of a call as the forward takes them; a first layer of text makes numbers of texts here.

        Args:
            args: the arguments in order.
            kwargs: the arguments by name.

        Returns:
            Both.

        Example:
            >>> text = tf.layers.StringLookup(vocabulary=["a", "b"])
            >>> tf.Sequential([text, tf.layers.Embedding(3, 4)])(["a", "b"]).shape
            torch.Size([2, 4])
        """
        if self._reads_text and args and is_text(args[0]):
            numbers = self._chain[0](args[0])
            if self._entry is None:
                self._draw_after_text(np.shape(args[0]), numbers.dtype)
            args = (numbers, *args[1:])
        return super().with_tensors(args, kwargs)

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.graph is None and self._entry is None and args and hasattr(args[0], "dtype"):
            shape = args[0].spec.shape if isinstance(args[0], SymbolicTensor) else tuple(args[0].shape)
            self._entry = ((None, *shape[1:]), args[0].dtype, None)
            self._draw()
        super()._build_for(args, kwargs)

    @property
    def layers(self) -> list[Any]:
        """The layers, without the Input.

        Example:
            >>> [each.name for each in tf.Sequential([tf.Input((3,)), tf.layers.Dense(2)]).layers]
            ['dense']
        """
        first = self._chain[:1] if self._after_text else []
        return [*first, *(each for each in super().layers if not isinstance(each, InputLayer))]

    @writes_once
    def get_config(self) -> dict[str, Any]:
        """The layers as plain data, and the input where it is known.

        Returns:
            A dict that JSON can hold.

        Example:
            >>> config = tf.Sequential([tf.Input((3,)), tf.layers.Dense(2)]).get_config()
            >>> config["input"]["shape"], len(config["layers"])
            ([None, 3], 1)
        """
        config: dict[str, Any] = {"name": self.given_name, "trainable": self._trainable}
        if self._entry is not None:
            shape, dtype, name = self._entry
            config["input"] = {
                "shape": list(shape),
                "dtype": plain(symbolic.dtype_of(dtype)),
                "name": name,
            }
        if self._after_text:
            config["after_text"] = True
        names = {id(module): name for name, module in self._modules.items()}
        config["layers"] = [described(layer, names[id(layer)]) for layer in self._chain]
        chain = list(dict.fromkeys(self._chain))
        if any(
            isinstance(each, Layer) and each._argument("name") not in (None, names[id(each)])
            for each in chain
        ):
            # another model named the layer first, and its config says that name
            config["names"] = [names[id(each)] for each in chain]
        graph = self.graph
        if graph is not None and (saved.is_in_a_file() or saved.needs_specs(graph)):
            config["table"] = saved.table_config(graph, self._modules)
        return config

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A model of these layers, with new weights.

        Args:
            config: what `get_config` gave.
            custom_objects: your own classes and functions by the names in it.

        Returns:
            A model that is not compiled, and has a graph where the config knows its input.

        Raises:
            ConfigError: the config is of another form.
            UnknownNameError: a class or function that no registry has, nor `custom_objects`.

        Example:
            >>> config = tf.Sequential([tf.Input((3,)), tf.layers.Dense(2)]).get_config()
            >>> tf.Sequential.from_config(config).output_shape
            (None, 2)
        """
        with registry.custom_object_scope(custom_objects), reading(), saved.bounded_by(config):
            _check_config(config)
            entry = config.get("input")
            inputs = (
                []
                if entry is None
                else [Input(batch_shape=entry["shape"], dtype=entry["dtype"], name=entry["name"])]
            )
            chain = [made(each, f"$.layers[{index}]") for index, each in enumerate(config["layers"])]
            base = getattr(cls, "_base", cls)
            each_once = list(dict.fromkeys(chain))
            given = config.get("names", [])
            if given and len(given) != len(each_once):
                raise ConfigError(f"$.names: expected {len(each_once)} names, got {len(given)} of them.")
            names = dict(zip(each_once, given, strict=False))
            common = {"name": config.get("name"), "trainable": config.get("trainable", True)}
            with keeping_trained(chain), _named(names):
                model = base(**common)
                model._after_text = _is_after_text(config, chain)
                for each in (*inputs, *chain):
                    model._append(each)
                if "table" in config and inputs and chain:
                    model._take_table(config["table"])
                else:
                    model._draw()
            model._names = list(names.values())
            return model

    def _take_table(self, config: Any) -> None:
        """Have the graph of a chain that was drawn before it was written down."""
        if self._after_text:
            self._modules[symbolic.name_of(self._chain[0])] = self._chain[0]
        chain = list(dict.fromkeys(self._chain[self._after_text :]))
        names = list(dict.fromkeys(each["module"] for each in config["calls"] if "module" in each))
        if len(names) != len(chain):
            raise ConfigError(f"$.table: expected calls of {len(chain)} layers, got {len(names)} of them.")
        modules = dict(zip(names, chain, strict=True))
        self._assemble(Drawn(saved.read_table(config, modules, {}, "$.table"), modules, {}))


def _check_config(config: Mapping[str, Any]) -> None:
    """Refuse what no `get_config` of a Sequential gives.

    Raises:
        ConfigError: another key, or another kind of value.
    """
    saved.expect_object(
        config, "$", {"layers"}, {"name", "trainable", "input", "names", "table", "after_text"}
    )
    name, names, entry = config.get("name"), config.get("names", []), config.get("input")
    if name is not None and not (isinstance(name, str) and is_name(name)):
        raise ConfigError(explain("$.name", got=shorten(name), expected="a name, or null"))
    if not isinstance(config["layers"], list) or not isinstance(config.get("trainable", True), bool):
        raise ConfigError("$: expected a list of layers, and true or false for `trainable`.")
    if not isinstance(names, list) or not all(isinstance(each, str) and is_name(each) for each in names):
        raise ConfigError(explain("$.names", got=shorten(names), expected="a list of names"))
    if entry is not None:
        saved.expect_object(entry, "$.input", {"shape", "dtype", "name"})
    if "table" in config:
        saved.expect_object(config["table"], "$.table", {"calls", "inputs", "outputs"}, {"built"})
        calls = config["table"]["calls"]
        if not isinstance(calls, list) or not all(isinstance(each, dict) for each in calls):
            raise ConfigError(f"$.table.calls: expected a list of objects, got {shorten(calls)}.")
        if not all(isinstance(each.get("module", ""), str) for each in calls):
            raise ConfigError("$.table.calls: expected names of modules.")


def _is_after_text(config: Mapping[str, Any], chain: list[Any]) -> bool:
    """Whether the input in a config is what a layer of text returns.

    Raises:
        ConfigError: it says so, and there is no such layer or no input.
    """
    after_text = config.get("after_text", False)
    takes_text = bool(chain) and getattr(chain[0], "takes_text", False)
    if after_text not in (True, False) or (after_text and not (takes_text and config.get("input"))):
        got, expected = shorten(after_text), "true behind a layer of text alone"
        raise ConfigError(explain("$.after_text", got=got, expected=expected))
    return bool(after_text)


@contextmanager
def _named(names: Mapping[nn.Module, str]) -> Iterator[None]:
    """Within it, these modules are called so, whatever else they are called."""
    before = {module: vars(module).get("given_name") for module in names}
    for module, name in names.items():
        module.__dict__["given_name"] = name
    try:
        yield
    finally:
        for module, given in before.items():
            if isinstance(module, Layer):
                module.given_name = given
            else:
                del module.__dict__["given_name"]
