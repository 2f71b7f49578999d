"""Model: a graph of calls as a real nn.Module, that trains, saves and draws itself."""

from __future__ import annotations

import copyreg
import json
import os
import sys
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path, PurePath
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.config import checked, described, in_either_order, reading, writes_once
from torchfunc.distributed.fully_sharded import write_whole
from torchfunc.errors import (
    DataError,
    GraphError,
    SavingError,
    TorchfuncError,
    UnknownNameError,
    explain,
)
from torchfunc.graph import symbolic
from torchfunc.graph.drawing import MODULE_ATTRIBUTES, between
from torchfunc.graph.emit import Code, emit
from torchfunc.graph.graph import Call, Drawn, Graph, mask_rows
from torchfunc.graph.probing.bounds import importing_if_need_be
from torchfunc.graph.probing.building import building
from torchfunc.graph.refusals import NoAttributeError
from torchfunc.graph.run import inputs_like, picked, recorded, results
from torchfunc.graph.symbolic import SYMBOLS, Node, SymbolicTensor
from torchfunc.layers.layer import Common, Layer, Weak, in_mode, map_shapes
from torchfunc.layers.tracking import children_of
from torchfunc.models import loading
from torchfunc.models.hub import OnHub
from torchfunc.models.keras_order import modules_in_keras_order
from torchfunc.models.live import Live
from torchfunc.models.masks import MaskedCalls, takers, taking_masks
from torchfunc.models.operations import InputLayer, Operation
from torchfunc.models.verbs import Training
from torchfunc.saving import formats
from torchfunc.saving import graph_json as saved
from torchfunc.saving.archive import Place
from torchfunc.saving.shards import bytes_of
from torchfunc.training.checks import fitted_input
from torchfunc.tree import leaves, leaves_with_path, map_leaves
from torchfunc.vis import notebook, summary
from torchfunc.vis.facts import modules_of
from torchfunc.vis.summary import Summary, printed_by_rich
from torchfunc.vis.view import page


@registry.layers.register("Model")
class Model(MaskedCalls, OnHub, Training):
    """A graph of layer calls, compiled to a module whose forward a person could have written.

    `model.code` is that forward as text; its submodules are the layers under the names seen there.
    A subclass without `inputs` and `outputs` defines `call` or `forward` itself.

    Args:
        inputs: symbolic tensors, alone or nested in lists and dicts.
        outputs: symbolic tensors made from them, likewise.
        name: what the model is called.
        trainable: whether its weights are trained.
        dtype, activity_regularizer, input_shape: as for every Layer, where the forward is one's own.

    Raises:
        DisconnectedError: an output needs an Input that is not among `inputs`.
        NameTakenError: two layers or inputs were given one name.
        GraphError: something among them is no symbolic tensor.

    Example:
        >>> inputs = tf.Input((784,))
        >>> x = tf.layers.Dense(64, activation="relu")(inputs)
        >>> model = tf.Model(inputs, tf.layers.Dense(10)(x))
        >>> model(torch.zeros(2, 784)).shape, model.count_params()
        (torch.Size([2, 10]), 50890)
        >>> print(model.code)
        def forward(self, input):
            x = self.dense(input)
            x = self.dense_1(x)
            return x
    """

    is_leaf_in_fx = False
    _autocast = False
    _base: type[Model]
    _live: Live | None = None
    _without_graph: ClassVar[tuple[str, str]] = ("its forward is written by hand", "Model(inputs, outputs)")
    # torch.jit reads every attribute of a module that it traces, and some of these have none to give
    __jit_ignored_attributes__: ClassVar[list[str]]

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        if inputs is None and outputs is None:
            self._watch_first_call()
            return
        if inputs is None or outputs is None:
            raise GraphError("Model needs both `inputs` and `outputs`. Fix: Model(inputs, outputs).")
        self._assemble(between(inputs, outputs, reserved=MODULE_ATTRIBUTES))

    def _state_by_name(self) -> dict[str, Tensor]:
        """Every parameter and buffer by its dotted name, those of submodules too."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def _assemble(self, drawn: Drawn) -> None:
        """Take the modules and tensors of a graph as one's own, and its emitted forward."""
        # not add_module, which refuses the names of properties such as `output`
        self._modules.update(drawn.modules)
        self._adopt()
        for each in takers(drawn.graph, drawn.modules):
            each._take_masks()
        self._live = Live(drawn.graph, drawn.modules, drawn.rows, tensors=drawn.state)
        for name, tensor in drawn.state.items():
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)
        self.built = True
        self._watch_no_more()
        if self._has_losses():
            self._forget_losses()
        if not self._trainable:
            self.trainable = False
        self._take_forward()

    def _take_forward(self) -> None:
        """Take the forward that the graph emits."""
        assert self._live is not None
        self.__class__ = functional_class(type(self), self._live.graph, takes_masks=self._takes_masks)

    def _adopt(self) -> None:
        """Name the layers that have no name yet, and have each ask this model for its calls."""
        own = Weak(self)
        for name, module in self._modules.items():
            if isinstance(module, Layer):
                if not module.graph_name:
                    module.__dict__["graph_name"] = name
                if self not in module._models:
                    module._know("_models", own)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, nn.Module) and self._live is not None and "_looks" not in self.__dict__:
            self.__dict__["_looks"] = self.register_forward_pre_hook(_look_at_replaced, with_kwargs=True).id

    def _check_replaced(self, call: Callable[[], Any]) -> None:
        """Say which call a replaced module does not fit, where calling on real tensors fails too.

        Raises:
            GraphError: of that call.
        """
        assert self._live is not None
        graph = self._live.graph
        try:
            results(graph, inputs_like(graph), self._modules, self._own_state(), recorded)
        except TorchfuncError as error:
            try:
                with torch.no_grad():
                    in_mode(self, False, call)
            except Exception as failed:
                raise error from failed

    @property
    def graph(self) -> Graph | None:  # type: ignore[override]
        """The table of the calls, with the shapes that the modules give; None where the forward is one's own.

        Example:
            >>> [call.name for call in model.graph.calls]
            ['input', 'block3', 'flatten', 'hidden', 'dropout', 'head']
        """
        if _is_in_older_onnx_exporter():
            raise AttributeError("graph")  # by it that exporter knows a ScriptModule, and asks it for names
        return None if self._live is None else self._current().graph

    def _current(self) -> Live:
        """The graph for the modules of now: worked out again where one was replaced, as by `model.head = ...`."""
        assert self._live is not None
        if not self._live.is_of(self._modules):
            self._adopt()
            self._live = self._live.renewed(self._modules, self._own_state())
        return self._live

    def _calls_of(self, module: nn.Module) -> list[Node]:
        """The calls of a module in the graph, in their order."""
        return [] if self._live is None else self._current().calls(module, self._own_state())

    def _rows(self) -> list[Any]:
        """What each row of the graph returns, as symbols."""
        return self._current().rows(self._own_state())

    def _children_in_order(self) -> list[nn.Module]:
        if self._live is None:
            return super()._children_in_order()
        names = dict.fromkeys((*modules_in_keras_order(self._live.graph), *self._modules))
        return [module for name in names if (module := self._modules.get(name)) is not None]

    @property
    def code(self) -> str:
        """The emitted forward, as a person would have written it.

        Raises:
            GraphError: a subclassed model, whose forward is its own.

        Example:
            >>> print(model.code)
            def forward(self, input):
                x = self.block3(input)
                x = self.flatten(x)
                x = self.hidden(x)
                x = self.dropout(x)
                x = self.head(x)
                return x
        """
        return self._drawn_graph().source

    def _drawn_graph(self) -> Code:
        graph = self.graph
        if graph is None:
            why, fix = self._without_graph
            raise NoAttributeError(f"The model {self.name!r} has no graph: {why}. Fix: {fix}.")
        return emit(graph)

    def _require_graph(self, what: str) -> Graph:
        graph = self.graph
        if graph is None:
            why, fix = self._without_graph
            raise NoAttributeError(
                f"{type(self).__name__} {self.name!r} has no graph, so it has no {what}: {why}. Fix: {fix}."
            )
        return graph

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in _OF_GRAPHS:  # Python asks here for what a property refused, and forgets why
                self._require_graph(name.replace("_", " "))
            raise

    def with_tensors(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        # a graph knows the dtypes of its inputs, and `_arguments` gives arrays those
        """The arguments of a call as the forward takes them; where there is a graph, its inputs say the dtypes.

        Args:
            args: the arguments in order.
            kwargs: the arguments by name.

        Returns:
            Both.

        Example:
            >>> model(np.zeros((1, 8, 8, 3))).dtype  # float64, as the Input has float32
            torch.float32
        """
        return (args, kwargs) if self._live is not None else super().with_tensors(args, kwargs)

    def _arguments(self, *values: Any) -> Sequence[Any]:
        """The inputs one by one, from a list, a dict, arrays, or one by one already."""
        assert self._live is not None
        graph = self._live.graph  # as it is: names and nesting stay whatever is replaced
        names = graph.input_names
        first, *others = values
        nested = _in_form_of(graph.inputs, first) if all(other is None for other in others) else None
        if nested is not None:
            values = nested
        elif isinstance(first, dict):
            values = tuple(self._by_name(first, names))
        elif (
            isinstance(first, (list, tuple))
            and all(other is None for other in others)
            and len(first) == len(names)
        ):
            values = tuple(leaves(first))
        elif isinstance(first, (list, tuple)) and all(other is None for other in others):
            arrays = [leaf for leaf in leaves(first) if isinstance(leaf, (Tensor, np.ndarray)) and leaf.ndim]
            if arrays:
                raise self._wrong_number(len(arrays))
        missing = [
            name
            for row, (name, value) in enumerate(zip(names, values, strict=False))
            if value is None and not graph.calls[row].specs.optional
        ]
        if missing or len(values) != len(names):
            raise self._wrong_number(len(values) - len(missing))
        return self._fitted(
            *(
                self._as_tensor(value, graph.calls[row].specs.dtype) if type(value) is not Tensor else value
                for row, value in enumerate(values)
            )
        )

    def _wrong_number(self, count: int) -> DataError:
        assert self._live is not None
        names = self._live.graph.input_names
        fix = "a list in this order, or a dict by these names" if len(names) > 1 else "give it alone"
        return DataError(
            explain(f"{self.name!r}", got=f"{count} of them", expected=f"the inputs {names}", fix=fix)
        )

    def _refuse_as_mode(self, training: Any) -> None:
        """Refuse one input too many, which stands where `training` does."""
        assert self._live is not None
        if isinstance(training, (Tensor, np.ndarray, list, tuple, dict)):
            raise self._wrong_number(len(self._live.graph.input_names) + 1)

    def _fitted(self, *values: Any) -> Sequence[Any]:
        """The inputs in the shapes that the graph was drawn for, by the rule of `fit`.

        Raises:
            DataError: another rank, or another size where that is known.
        """
        assert self._live is not None
        calls = self._live.graph.calls
        return [
            fitted_input(value, calls[row].specs.shape, calls[row].name)
            if isinstance(value, Tensor) and all(type(size) is int for size in value.shape)
            else value
            for row, value in enumerate(values)
        ]

    def _by_name(self, given: Mapping[str, Any], names: list[str]) -> list[Any]:
        missing, unknown = [n for n in names if n not in given], [k for k in given if k not in names]
        if missing or unknown:
            problem = f"{missing[0]!r} is missing" if missing else f"{unknown[0]!r} is no input"
            raise DataError(f"{self.name!r}: expected the inputs {names}, got {list(given)}: {problem}.")
        return [given[name] for name in names]

    def _as_tensor(self, value: Any, dtype: torch.dtype) -> Any:
        """An array, number or list of numbers as a tensor on the model's device; anything else as it is."""
        if not isinstance(value, (np.ndarray, np.generic, int, float, list, tuple)):
            return value
        try:
            return torch.as_tensor(np.asarray(value), device=self.device).to(dtype)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{self.name!r}: an input of type {type(value).__name__} is no array of numbers."
            ) from error

    @property
    def device(self) -> torch.device:
        """The device of the first weight; the CPU where there is none.

        Example:
            >>> model.device
            device(type='cpu')
        """
        first = next((each for each in (*self.parameters(), *self.buffers())), None)
        return torch.device("cpu") if first is None else first.device

    def _in_mode(self, training: bool, *inputs: Any, **masks: Any) -> Any:
        """One call in training or inference mode, whatever the mode of the model is."""
        return in_mode(self, training, lambda: self.forward(*inputs, **masks))

    def build(self, input_shape: Any) -> None:
        """Make the weights of a model whose forward is written by hand: it is tried on inputs of this shape.

        Args:
            input_shape: a tuple with the batch, None where unknown; a list or dict of them for several inputs.

        Example:
            >>> class Twins(tf.Model):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.dense = tf.layers.Dense(2)
            ...     def call(self, x):
            ...         return self.dense(x) - self.dense(-x)
            >>> twins = Twins()
            >>> twins.build((None, 3))
            >>> twins.count_params()
            8
        """
        if self.graph is None:
            symbolic.record(self, (map_shapes(lambda shape: symbolic.Input(batch_shape=shape), input_shape),))

    def _build_on(self, *shapes: Any) -> None:
        if type(self).build is not Model.build:
            super()._build_on(*shapes)
            return
        with building(self):  # the call that is under way makes the weights
            self._settle()

    @classmethod
    def _has_build(cls) -> bool:
        return cls.build not in (Layer.build, Model.build)

    def check_input(self, *shapes: Any) -> None:
        """Raise a ShapeError for shapes that do not fit the inputs of the graph.

        Args:
            shapes: for each input its shape with the batch, None where unknown.

        Raises:
            ShapeError: another rank, or another size than an Input says.

        Example:
            >>> model.check_input((None, 8, 8, 3))
        """
        graph = self.graph
        if graph is None or len(shapes) != len(graph.input_names) or isinstance(shapes[0], dict):
            return
        for name, ref, shape in zip(graph.input_names, leaves(graph.inputs), shapes, strict=True):
            expected = graph.spec(ref).shape
            if isinstance(shape, tuple) and not _fits(shape, expected):
                raise self.wrong(shape, f"shape {expected} for its input {name!r}")

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        graph = self.graph
        if graph is not None and not kwargs.keys() - {"training"}:
            symbols = [leaf for leaf in leaves(args) if isinstance(leaf, SYMBOLS)]
            if [symbol.spec for symbol in symbols] == [graph.spec(ref) for ref in leaves(graph.inputs)]:
                # the inputs are what the graph was drawn for, so the outputs are too
                node = Node(self, args, kwargs)
                outputs = node.returns(map_leaves(graph.spec, graph.outputs))
                self._know("_nodes", Weak(node))
                return outputs
        return super()._record(args, kwargs)

    @property
    def layers(self) -> list[Any]:
        """Every layer once, in the order of the first calls; what is no Layer comes as an Operation.

        Calls that only make masks for layers are left out, as in Keras.

        Each has `name`, `output` and `input`. A native module is `operation.module`, and an attribute
        of the model under its name.

        Example:
            >>> [each.name for each in model.layers]
            ['input', 'block3', 'flatten', 'hidden', 'dropout', 'head']
        """
        graph = self.graph
        if graph is None:
            return [module for module in children_of(self) if isinstance(module, Layer)]
        found: dict[str, Any] = {}
        hidden = mask_rows(graph, self._modules)
        for row, call in enumerate(graph.calls):
            key = call.target if call.kind == "module" else call.name
            if call.kind != "size" and row not in hidden and key not in found:
                found[key] = self._layer_at(row, call)
        return list(found.values())

    def _layer_at(self, row: int, call: Call) -> Any:
        def symbols() -> Any:
            return self._rows()[row]

        if call.kind == "input":
            return InputLayer(call.name, call.specs, symbols)
        target = self._modules.get(call.target) if call.kind == "module" else call.target
        return target if isinstance(target, Layer) else Operation(call.name, call.kind, target, symbols)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer with this name, or at this place in `layers`.

        Args:
            name: the layer's name.
            index: the place instead, from 0, or from -1 backwards.

        Returns:
            The layer, or an Operation for what is no Layer.

        Raises:
            UnknownNameError: no layer has that name.
            GraphError: neither name nor index, or an index past the end.

        Example:
            >>> model.get_layer("head").units, model.get_layer(index=-1).name
            (2, 'head')
        """
        found = self.layers
        if name is not None:
            for layer in found:
                if layer.name == name or self._modules.get(name) is layer:
                    return layer
            raise UnknownNameError("layer", name, [layer.name for layer in found])
        if index is None or not -len(found) <= index < len(found):
            raise GraphError(
                f"get_layer: expected a name, or an index below {len(found)}, got index={index}."
            )
        return found[index]

    def get_submodule(self, target: str) -> nn.Module:
        # a layer may be called like a property of ours, such as `output`
        """The submodule under a dotted name, also where a layer is called like a property of models, such as `output`.

        Args:
            target: names of submodules with dots between; "" is the model itself.

        Returns:
            A module.

        Example:
            >>> model.get_submodule("head").units
            2
        """
        head, _, rest = target.partition(".")
        module = self._modules.get(head)
        if module is None:
            return super().get_submodule(target)
        return module.get_submodule(rest) if rest else module

    @property
    def input(self) -> Any:
        """The symbolic inputs, nested as they were given; for a model used as a layer see `inputs` too.

        Example:
            >>> model.input.shape
            (None, 8, 8, 3)
        """
        return picked(self._require_graph("input").inputs, self._rows())

    @property
    def output(self) -> Any:
        """The symbolic outputs, nested as they were given.

        Example:
            >>> model.output.shape
            (None, 2)
        """
        return picked(self._require_graph("output").outputs, self._rows())

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs in one list.

        Example:
            >>> [each.shape for each in model.inputs]
            [(None, 8, 8, 3)]
        """
        return list(leaves(self.input))

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs in one list.

        Example:
            >>> [each.shape for each in model.outputs]
            [(None, 2)]
        """
        return list(leaves(self.output))

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in the order of `inputs`: keys of the dict that `fit` may be given.

        Example:
            >>> tf.Model(x := tf.Input((3,), name="age"), x + 1).input_names
            ['age']
        """
        return self._require_graph("input names").input_names

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, each that of the call that makes it: keys of dicts of losses, targets and metrics.

        Example:
            >>> model.output_names
            ['head']
        """
        return self._require_graph("output names").output_names

    @property
    def input_shape(self) -> Any:
        """The shape of the input with its batch, None where unknown; nested as the inputs are.

        Example:
            >>> model.input_shape
            (None, 8, 8, 3)
        """
        graph = self._require_graph("input shape")
        return map_leaves(lambda ref: graph.spec(ref).shape, graph.inputs)

    @property
    def output_shape(self) -> Any:
        """The shape of the output with its batch, None where unknown; nested as the outputs are.

        Example:
            >>> model.output_shape
            (None, 2)
        """
        graph = self._require_graph("output shape")
        return map_leaves(lambda ref: graph.spec(ref).shape, graph.outputs)

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
        *,
        show_flops: bool = False,
        input_size: Any = None,
        style: Literal["plain", "rich"] = "plain",
    ) -> None:
        """Print the layers with their output shapes and numbers of parameters.

        Args:
            line_length: the width in characters; as wide as needed by default.
            positions: where each column ends, as fractions of the width.
            print_fn: what takes the text; `print` by default.
            expand_nested: whether the layers of nested models are shown too.
            show_trainable: whether a column says what is trained.
            layer_range: names of the first and last layer to show.
            show_flops: whether columns say how many multiplications and additions each layer needs in matrix products,
                convolutions and attention, and how many bytes what it returns takes.
            input_size: the shape of the input with its batch, for which that is counted; a list or dict for several.
                By default that of the Inputs, with a batch of one.
            style: "rich" draws the table with the package rich where it is installed; it is for the terminal, so
                `print_fn` and the widths have no say in it.

        Raises:
            ShapeError: `input_size` does not fit, or a size that is not the batch is unknown.
            GraphError: FLOPs of a model without a graph.
            UnknownNameError: another style.

        Example:
            >>> model.summary(line_length=75)
            Model: "functional"
            ___________________________________________________________________________
            Layer (type)                     Output Shape                  Param #
            ===========================================================================
            input (InputLayer)               [(None, 8, 8, 3)]             0
            ___________________________________________________________________________
            block3 (Conv2D)                  (None, 6, 6, 4)               112
            ___________________________________________________________________________
            flatten (Flatten)                (None, 144)                   0
            ___________________________________________________________________________
            hidden (Dense)                   (None, 8)                     1160
            ___________________________________________________________________________
            dropout (Dropout)                (None, 8)                     0
            ___________________________________________________________________________
            head (Dense)                     (None, 2)                     18
            ===========================================================================
            Total params: 1,290
            Trainable params: 1,290
            Non-trainable params: 0
            ___________________________________________________________________________
        """
        options = {
            "name": self.name, "line_length": line_length, "positions": positions, "expand_nested": expand_nested,
            "show_trainable": show_trainable, "layer_range": layer_range,
        }  # fmt: skip
        if show_flops:
            self._require_graph("FLOPs")
            options |= {"show_flops": True, "input_size": input_size}
        table = self._summary(**options)
        if style not in ("plain", "rich"):
            raise UnknownNameError("style of a summary", style, ["plain", "rich"])
        if style == "rich" and printed_by_rich(table):
            return
        (print_fn or print)(str(table))

    def _summary(self, **options: Any) -> Summary:
        graph = self.graph
        if graph is None:
            return summary.summarize_module(self, self.name)
        return summary.summarize(graph, {**dict(self.named_children()), "": self}, **options)

    def view(self, filepath: str | PathLike[str] = "model.html", *, input_size: Any = None) -> None:
        """Write a page for the browser: the graph to move in, each layer's config and weights, costs, and the code.

        It is one file that loads nothing, so it can be sent.

        Args:
            filepath: where to write it.
            input_size: the shape of the input with its batch, for which FLOPs are counted; a list or dict for several.
                By default that of the Inputs, with a batch of one, if they leave nothing else unknown.

        Raises:
            GraphError: a model without a graph.
            ShapeError: `input_size` does not fit.

        Example:
            >>> model.view("model.html")
            >>> open("model.html").read(15)
            '<!doctype html>'
        """
        graph = self._require_graph("picture to move in")
        text = page.view(graph, modules_of(self), name=self.name, input_size=input_size)
        Path(filepath).write_text(text, encoding="utf-8")

    def _repr_html_(self) -> str | None:
        """What a notebook shows: the graph and a folded summary; None, for which it shows the text, if that fails."""
        try:
            return notebook.page(self.graph, modules_of(self), self._summary(name=self.name))
        except Exception:  # a picture is no reason to end a cell with a traceback
            return None

    @writes_once
    def get_config(self) -> dict[str, Any]:
        """The whole architecture as plain data: layers, calls, inputs and outputs.

        Returns:
            A dict that JSON can hold, for `from_config`.

        Raises:
            SavingError: a layer, function or argument that cannot be written as data.

        Example:
            >>> [call["name"] for call in model.get_config()["calls"]]
            ['input', 'block3', 'flatten', 'hidden', 'dropout', 'head']
        """
        graph = self.graph
        if graph is None:
            return super().get_config()
        return saved.to_json(
            graph, self._modules, self._own_state(), name=self.name, trainable=self._trainable
        )

    def _own_state(self) -> dict[str, Tensor]:
        own = (*self._parameters.items(), *self._buffers.items())
        return {name: tensor for name, tensor in own if tensor is not None}

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """A model with this architecture and new weights.

        Args:
            config: what `get_config` gave.
            custom_objects: your own classes and functions by the names in it.

        Returns:
            A model that is not compiled.

        Raises:
            ConfigError: the config is of another form.
            UnknownNameError: a class or function that no registry has, nor `custom_objects`.

        Example:
            >>> tf.Model.from_config(model.get_config()).output_shape
            (None, 2)
        """
        if "calls" not in config:
            with registry.custom_object_scope(custom_objects):
                return super().from_config(config)
        with registry.custom_object_scope(custom_objects), reading(), saved.bounded_by(config):
            restored = importing_if_need_be(lambda: in_either_order(lambda: saved.from_json(config)))
        return cls._from_parts(restored.drawn, restored.name, restored.trainable)

    @classmethod
    def _from_parts(cls, drawn: Drawn, name: str | None, trainable: bool) -> Any:
        base = getattr(cls, "_base", cls)
        model = base.__new__(base)
        Model.__init__(model, name=name, trainable=trainable)
        with keeping_trained(drawn.modules.values()):
            model._assemble(drawn)
        return model

    @property
    def config_class(self) -> type:
        """The class that a file names: the one whose constructor made the model.

        Example:
            >>> model.config_class is tf.Model
            True
        """
        return getattr(type(self), "_base", type(self))

    def to_json(
        self,
        *,
        indent: int | str | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
        ensure_ascii: bool = True,
    ) -> str:
        """`get_config` as JSON text, in which the arguments have the meaning that they have for `json.dumps`.

        Args:
            indent: how many blanks a level is set in, or with what text; None for one line.
            separators: what stands between items and after keys.
            sort_keys: whether keys are sorted.
            ensure_ascii: whether letters beyond ASCII are written as escapes.

        Returns:
            The text, which `models.model_from_json` reads.

        Example:
            >>> model.to_json()[:23]
            '{"class_name": "Model",'
        """
        return json.dumps(
            described(self, self.name),
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
            ensure_ascii=ensure_ascii,
        )

    def save(
        self,
        filepath: Place,
        overwrite: bool = True,
        zipped: bool | None = None,
        *,
        include_optimizer: bool = True,
        save_format: str | None = None,
    ) -> None:
        """Write the model to one `.safetensors` file, or to a directory with `config.json` and weights.

        The file holds the architecture, the weights, the compile configuration and the state of the
        optimizer, all as data. The write is atomic: a file that stood there stays whole until the new
        one does. An open binary file, such as `io.BytesIO`, is written to where it stands, as by torch.save.

        Args:
            filepath: its suffix says how it is written.
            overwrite: whether a file that stands there may be replaced.
            zipped: True for one file, False for a folder; the path says the same.
            include_optimizer: whether the file says how the model was compiled and where its training stood.
            save_format: Keras's older word for the suffix, which has to agree.

        Raises:
            SavingError: something cannot be written as data, the path is of another format, or it says another
                thing than `zipped` or `save_format`.
            WriteError: the file could not be written.

        Example:
            >>> model.save("model.safetensors")
            >>> tf.load_model("model.safetensors").output_shape
            (None, 2)
        """
        _check_suffix(filepath, zipped, save_format)
        trainer = self.__dict__.get("trainer")
        try:
            if not include_optimizer:
                self.__dict__["trainer"] = None
            write_whole(self, lambda: loading.save_model(self, filepath, overwrite=overwrite))
        finally:
            self.__dict__["trainer"] = trainer

    def export(
        self,
        filepath: str | os.PathLike[str],
        format: Literal["torch", "onnx", "aoti"] | None = None,
        verbose: bool | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """Write the model as a program for inference without Python; every unknown dimension stays open.

        Args:
            filepath: an `.onnx` or a `.pt2` file.
            format: "onnx", "torch" for a program of `torch.export`, "aoti" for machine code; by the ending if None.
            verbose: whether what was written is told.
            input_signature: a tensor or an InputSpec for each input, in place of the shapes that the model says.
            options: those of `interop.export`.

        Example:
            >>> model.export("digits.onnx", opset_version=18)
        """
        formats.exporter()(self, filepath, format=format, input_signature=input_signature, **options)
        if verbose:
            print(f"Wrote {os.fspath(filepath)}.")

    def save_weights(
        self, filepath: Place, overwrite: bool = True, max_shard_size: float | str | None = None
    ) -> None:
        """Write the weights alone, under the names of `state_dict`, to where `save` writes a model.

        Args:
            filepath: its suffix says how they are written, as in `save`.
            overwrite: whether a file that stands there may be replaced.
            max_shard_size: how much one file of a folder holds: such as "500MB", or as in Keras a number of GB; all if None.

        Raises:
            SavingError: the path is of another format, there are weights without values, or `max_shard_size` with one file.
            WriteError: the file could not be written.

        Example:
            >>> model.save_weights("weights.safetensors")
            >>> model.load_weights("weights.safetensors")
            >>> model.save_weights("weights", max_shard_size="1KB")
            >>> model.load_weights("weights")
        """
        most = None if max_shard_size is None else bytes_of(max_shard_size, unit=2**30)
        in_folder = isinstance(filepath, (str, PathLike)) and (
            Path(filepath).is_dir() or not Path(filepath).suffix
        )
        if most is not None and not in_folder:
            got, fix = f"max_shard_size with {str(filepath)!r}", "a folder: a path without a suffix"
            raise SavingError(explain("save_weights", got=got, fix=fix))
        write_whole(self, lambda: loading.save_weights(self, filepath, overwrite=overwrite, shard_bytes=most))

    def load_weights(
        self,
        filepath: Place,
        skip_mismatch: bool = False,
        *,
        objects_to_skip: Collection[nn.Module] | None = None,
    ) -> None:
        """Read weights from any `.safetensors` file with the names and shapes of `state_dict`.

        Args:
            filepath: a file that `save_weights`, `save` or another tool wrote, also an open binary one, which is
                read from where it stands.
            skip_mismatch: whether layers whose weights differ in name or shape stay as they are, with a warning.
            objects_to_skip: layers that stay as they are, whatever the file has for them.

        Raises:
            WeightMismatchError: names or shapes differ; nothing is changed then.

        Example:
            >>> model.save_weights("model.weights.safetensors")
            >>> model.load_weights("model.weights.safetensors")
        """
        loading.load_weights(self, filepath, skip_mismatch=skip_mismatch, skipped=objects_to_skip or ())

    def __reduce__(self) -> Any:
        graph, state = self.graph, self.__dict__.copy()
        state.pop("_compiled_call_impl", None)  # as PyTorch does it: what is compiled cannot be written
        if graph is None:
            return copyreg.__newobj__, (type(self),), state  # type: ignore[attr-defined]
        return _revived, (self.config_class, graph, self._takes_masks), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if self._live is not None:
            self._adopt()
            self._live = Live(self._live.graph, self._modules, variants=self._live.variants)

    def __dir__(self) -> list[str]:
        names = {*object.__dir__(self), *self._modules, *self._parameters, *self._buffers}
        return sorted(names if self._live is not None else names - OF_A_GRAPH)


# what a model without a graph has not, and so does not list
OF_A_GRAPH = set("code input output inputs outputs input_names output_names input_shape output_shape".split())
Model.__jit_ignored_attributes__ = [name for name in dir(Model) if isinstance(getattr(Model, name), property)]


_SUFFIXES = {"keras": (".keras",), "h5": (".h5", ".hdf5"), "tf": ("",)}


def _check_suffix(filepath: Place, zipped: bool | None, save_format: str | None) -> None:
    """Refuse words for a format that the path does not have."""
    suffix = PurePath(filepath).suffix if isinstance(filepath, (str, PurePath)) else ".safetensors"
    if zipped is not None and zipped != bool(suffix):
        fix = "a path with a suffix, or zipped=False" if zipped else "a path without a suffix"
        raise SavingError(explain("save", got=f"zipped={zipped} and the path {str(filepath)!r}", fix=fix))
    if save_format is not None and suffix not in _SUFFIXES.get(save_format, ()):
        fix = "leave save_format out: the suffix of the path says how it is written"
        raise SavingError(
            explain("save", got=f"save_format={save_format!r} and the suffix {suffix!r}", fix=fix)
        )


def _is_in_older_onnx_exporter() -> bool:
    """Whether `torch.onnx.export(dynamo=False)` is under way; torch's own question for it imports much."""
    module = sys.modules.get("torch.onnx._internal.torchscript_exporter._globals")
    return module is not None and bool(module.GLOBALS.in_onnx_export)


def _look_at_replaced(model: Model, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The hook before the first call after a module was replaced."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        return
    model._check_replaced(lambda: model.forward(*args, **kwargs))
    key = model.__dict__.pop("_looks", None)
    model._forward_pre_hooks.pop(key, None)
    model._forward_pre_hooks_with_kwargs.pop(key, None)


@contextmanager
def keeping_trained(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Within it, a model may freeze all that it holds: layers are trained after it, or not, as their configs say."""
    said = [
        (each, each._trainable) for module in modules for each in module.modules() if isinstance(each, Layer)
    ]
    yield
    for each, trained in said:  # what holds others sets theirs, and comes before them
        if each._trainable is not trained:
            each.trainable = trained


def _in_form_of(inputs: Any, given: Any) -> tuple[Any, ...] | None:
    """The values in the order of the inputs, if they are nested as the inputs are; else None."""
    if not isinstance(inputs, (list, tuple, dict)) or not isinstance(given, (list, tuple, dict)):
        return None
    values = dict(leaves_with_path(given))
    places = [path for path, _ in leaves_with_path(inputs)]
    return tuple(values[place] for place in places) if values.keys() == set(places) else None


def _fits(shape: Sequence[int | None], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
    )


def _revived(base: type[Model], graph: Graph, takes_masks: bool) -> Model:
    """An empty model of the class that a graph's emitted forward belongs to."""
    model: Model = base.__new__(functional_class(base, graph, takes_masks=takes_masks))
    return model


_OF_GRAPHS = frozenset(
    "input output inputs outputs input_names output_names input_shape output_shape code".split()
)
_classes: weakref.WeakValueDictionary[Any, type] = weakref.WeakValueDictionary()


def functional_class(base: type, graph: Graph, *, takes_masks: bool = False) -> type:
    """The subclass of `base` with the graph's emitted forward: one for all models with equal code.

    So equal models share one code object, and `torch.compile` compiles it once.
    """
    base = getattr(base, "_base", base)
    if _writes_forward(base):
        return base
    code = emit(graph)
    key = (base, takes_masks, code.running, tuple((name, id(value)) for name, value in code.globals.items()))
    found = _classes.get(key)
    if found is None:
        name = "Functional" if base is Model else base.__name__
        forward = code.compile(base.__name__)
        members = {
            "forward": taking_masks(forward) if takes_masks else forward,
            "_base": base,
            # nothing is refused where there is a graph, and the layers are found without a detour
            **(
                {"__getattr__": nn.Module.__getattr__}
                if getattr(base, "__getattr__", None) is Model.__getattr__
                else {}
            ),
            "__module__": base.__module__,
            "__doc__": base.__doc__,
        }
        found = type(base)(name, (base,), members)
        _classes[key] = found
    return found


def _writes_forward(base: type) -> bool:
    """Whether a subclass of Model has a forward of its own beside the graph."""
    return base.forward is not Model.forward and not getattr(base, "_takes_emitted_forward", False)  # type: ignore[attr-defined]
