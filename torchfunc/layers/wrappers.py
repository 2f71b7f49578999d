"""Layers around a layer: both directions in time, every step alike, and any module of PyTorch."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.config import made
from torchfunc.errors import GraphError, explain
from torchfunc.graph.probing.meta import may_state
from torchfunc.initializers import TruncatedNormal
from torchfunc.layers.arguments import choice, count
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.recurrent.rnn import RNN, CellLayer, native_module
from torchfunc.layers.recurrent.scan import run_kernel
from torchfunc.tree import leaves

_COMMON = ("stateful", "return_sequences", "return_state")


@registry.layers.register()
class Torch(Layer):
    """Any module of PyTorch as a layer: `Torch(nn.Linear(4, 2))(x)`.

    In a graph a module may be called as it is; this does the same without the interception that makes
    it possible, and gives the module a name. Its parameters are `module.*` in the state_dict.

    Args:
        module: the module; it is called with whatever the layer is called with.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: no module.

    Example:
        >>> layers.Torch(nn.Linear(4, 2))(tf.Input((4,))).shape
        (None, 2)
    """

    _autocast = False  # a module of PyTorch says itself what it takes

    def __init__(self, module: nn.Module, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.module = _module_from(module, "Torch", "a torch.nn.Module", "Torch(nn.Linear(4, 2))")
        if not self.trainable:
            self.trainable = False  # the module's parameters were made before

    @property
    def kind(self) -> str:
        """What it is called after where it is given no name: the module's class."""
        return type(self.module).__name__

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def native_form(self, into: Any, *args: Any, **kwargs: Any) -> Any:
        return into.called(self.module, *args, **kwargs)


@registry.layers.register()
class TorchModuleWrapper(Torch):
    """`Torch` under Keras's name for it.

    Args:
        module: the module.
        name: what the layer is called.
        output_shape: Keras's hint; the shape is found by trying the module.
        common: those of every Layer.

    Example:
        >>> layers.TorchModuleWrapper(nn.Linear(4, 2), name="linear")(tf.Input((4,))).shape
        (None, 2)
    """

    def __init__(
        self,
        module: nn.Module,
        name: str | None = None,
        output_shape: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(module, name=name, **common)
        self.output_shape = output_shape


class Wrapper(Layer):
    """The base of layers around a layer: it keeps and builds `self.layer`, and a subclass says what is called.

    Args:
        layer: the layer inside.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: no layer.

    Example:
        >>> class Twice(layers.Wrapper):
        ...     def call(self, inputs):
        ...         return self.layer(self.layer(inputs))
        >>> Twice(layers.Dense(3))(tf.Input((3,))).shape
        (None, 3)
    """

    def __init__(self, layer: Any, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.layer: Any = _module_from(
            layer, type(self).__name__, "a layer", f"{type(self).__name__}(Dense(8))"
        )
        if not self.trainable:
            self.trainable = False

    def build(self, input_shape: Any = None) -> None:
        if isinstance(self.layer, Layer):
            self.layer._watch_no_more()
            self.layer.build(input_shape)


@registry.layers.register()
class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value at each call in training (Miyato et al. 2018).

    The value is approached by power iteration from a vector that is kept from call to call. As in Keras, what is
    divided is the weight itself, before the call.

    Args:
        layer: a layer with a kernel or an embedding: Dense, Conv2D, Embedding, ...
        power_iterations: how many steps are taken at each call.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a layer without such a weight, a number of steps that is not positive.

    Example:
        >>> layer = layers.SpectralNormalization(layers.Dense(3), power_iterations=20)
        >>> _ = layer(torch.ones(1, 4), training=True)
        >>> torch.linalg.matrix_norm(layer.layer.kernel.detach(), 2)
        tensor(1.0000)
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **common: Unpack[Common]) -> None:
        super().__init__(layer, **common)
        self.power_iterations = count("SpectralNormalization", "power_iterations", power_iterations)

    def check_input(self, *shapes: Any) -> None:
        if isinstance(self.layer, Layer):
            self.layer.check_input(*shapes)

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        view = self._kernel()
        self.vector_u = self.add_weight((1, view.shape[-1]), TruncatedNormal(stddev=0.02), trainable=False)

    def _kernel(self) -> Tensor:
        """The weight in Keras's layout: a view of it."""
        weight = getattr(self.layer, "weight", None)
        if not isinstance(self.layer, Layer) or not isinstance(weight, Tensor):
            raise GraphError(
                explain(
                    "SpectralNormalization",
                    got=f"{type(self.layer).__name__}, which has no kernel",
                    expected="a layer with a kernel or embeddings",
                    fix="SpectralNormalization(Dense(8)); torch.nn.utils.parametrizations for native modules",
                )
            )
        return self.layer.keras_view("weight", weight)

    def _own_weights(self) -> list[tuple[nn.Module, str, Tensor]]:
        """The kernel of the layer, which is of both, before the vector, as Keras lists them."""
        weight = getattr(self.layer, "weight", None)
        shared = [(self.layer, "weight", weight)] if isinstance(weight, Tensor) else []
        return [*shared, *super()._own_weights()]

    def forward(self, inputs: Tensor, training: bool | None = None) -> Any:
        if self.training if training is None else training:
            self._normalize()
        return self.layer(inputs)

    @torch.no_grad()
    def _normalize(self) -> None:
        view = self._kernel()
        matrix, u = view.reshape(-1, view.shape[-1]), self.vector_u
        for _ in range(self.power_iterations):
            v = F.normalize(u @ matrix.T, dim=-1, eps=1e-7)
            u = F.normalize(v @ matrix, dim=-1, eps=1e-7)
        is_zero = (matrix == 0).all()
        sigma = torch.where(is_zero, 1.0, (v @ matrix @ u.T).squeeze())
        self.vector_u.copy_(torch.where(is_zero, self.vector_u, u))
        view.copy_(view / sigma)


@registry.layers.register()
class TimeDistributed(Layer):
    """A layer applied to every step of a sequence: (batch, time, ...) to (batch, time, ...).

    Time is folded into the batch, so that the layer is called once. Only what may mix the samples of a
    batch is called step by step: batch normalization that is being trained, and classes of other people.

    Args:
        layer: a layer, or a module of PyTorch.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: no layer.

    Example:
        >>> layers.TimeDistributed(layers.Conv2D(8, 3))(torch.ones(2, 5, 8, 8, 3)).shape
        torch.Size([2, 5, 6, 6, 8])
    """

    supports_masking: bool = True

    def __init__(self, layer: Any, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.layer: Any = _module_from(layer, "TimeDistributed", "a layer", "TimeDistributed(Dense(8))")
        arguments = inspect.signature(type(self.layer).forward).parameters
        self._takes = [name for name in ("training", "mask") if name in arguments]
        self._autocast = getattr(self.layer, "_autocast", False)
        self._integers = getattr(self.layer, "_integers", "kept")
        if not self.trainable:
            self.trainable = False

    def build(self, input_shape: Any) -> None:
        if isinstance(self.layer, Layer):
            self.layer._build_for((_without_time(input_shape),), {})

    def check_input(self, *shapes: Any) -> None:
        if not isinstance(shapes[0], tuple) or len(shapes[0]) < 3:
            expected = "at least 3 dimensions (batch, time, ...)"
            raise self.wrong(shapes[0], expected, fix="add the time with Reshape")
        if isinstance(self.layer, Layer):
            self.layer.check_input(_without_time(shapes[0]))

    @property
    def output_shape_for(self) -> Any:
        return self._stated_shape if getattr(self.layer, "output_shape_for", None) is not None else None

    def _stated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        inner = self.layer.output_shape_for(_without_time(shape))
        return (inner[0], shape[1], *inner[1:])

    @property
    def _wants_mask(self) -> bool:
        return "mask" in self._takes

    def forward(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Any:
        if mask is not None and (mask.ndim < 2 or mask.shape[:2] != inputs.shape[:2]):
            expected = f"a mask that begins with (batch, time) = {tuple(inputs.shape[:2])}"
            raise self.wrong(tuple(mask.shape), expected)
        keywords: dict[str, Any] = {"training": training} if "training" in self._takes else {}
        mask = mask if "mask" in self._takes else None
        if _mixes_samples(self.layer, self.training if training is None else training):
            return self._step_by_step(inputs, mask, keywords)
        if mask is not None:
            keywords["mask"] = mask.flatten(0, 1)
        outputs = self.layer(inputs.flatten(0, 1), **keywords)
        return outputs.unflatten(0, inputs.shape[:2])

    def _step_by_step(self, inputs: Tensor, mask: Tensor | None, keywords: dict[str, Any]) -> Tensor:
        outputs = []
        for time, x in enumerate((inputs[:, :1] if may_state(inputs) else inputs).unbind(1)):
            masks = {} if mask is None else {"mask": mask[:, time]}
            outputs.append(self.layer(x, **keywords, **masks))
        return torch.stack(outputs * (inputs.shape[1] // len(outputs)), 1)


def _without_time(shape: Any) -> tuple[Any, ...]:
    return (shape[0], *shape[2:])


def _mixes_samples(layer: nn.Module, training: bool) -> bool:
    """Whether what a layer makes of a sample may depend on the others in its batch."""
    for module in layer.modules():
        kind = type(module)
        if kind.__module__.partition(".")[0] not in ("torch", "torchfunc", "torchvision"):
            return True
        if training and isinstance(module, nn.modules.batchnorm._BatchNorm):
            return True
    return False


@registry.layers.register()
class Bidirectional(Layer):
    """A recurrent layer read in both directions: `Bidirectional(LSTM(32))`.

    Both layers are made anew from the arguments of the one that is given, as in Keras; a `backward_layer`
    is used as it is. Where both are plain, one call of PyTorch's bidirectional kernel computes them.

    Args:
        layer: a recurrent layer, such as LSTM, GRU, SimpleRNN or RNN.
        merge_mode: how the outputs are put together: "concat", "sum", "mul", "ave", or None for a tuple.
        backward_layer: the layer for the other direction, with another `go_backwards`.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a layer that is not recurrent, two layers that do not fit, or an unknown `merge_mode`.

    Example:
        >>> layers.Bidirectional(layers.LSTM(4))(torch.ones(2, 5, 3)).shape
        torch.Size([2, 8])
        >>> layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode="sum")(torch.ones(2, 5, 3)).shape
        torch.Size([2, 5, 4])
    """

    supports_masking: bool = True
    _makes_mask = False
    _autocast = False
    _integers = "cast"
    stateful: bool
    return_sequences: bool
    return_state: bool

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        *,
        backward_layer: Any = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        given = _recurrent(layer)
        if merge_mode is not None:
            choice("Bidirectional", "merge_mode", merge_mode, ("concat", "sum", "mul", "ave"))
        self.merge_mode = merge_mode
        self.forward_layer = _twin(given, "forward", given.go_backwards)
        backward = _twin(given, "backward", True) if backward_layer is None else _recurrent(backward_layer)
        self.backward_layer = backward
        self._check_pair()
        for name in _COMMON:
            setattr(self, name, getattr(given, name))
        for each in (self.forward_layer, self.backward_layer):
            each.zero_output_for_mask = each.return_sequences
        if not self.trainable:
            self.trainable = False

    def _check_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            got = f"go_backwards={forward.go_backwards} in both layers"
            raise GraphError(explain("Bidirectional", got=got, expected="one layer for either direction"))
        for name in _COMMON:
            pair = getattr(forward, name), getattr(backward, name)
            if pair[0] != pair[1]:
                got = f"{name}={pair[0]} forward and {pair[1]} backward"
                expected = f"the same {name} in both layers"
                raise GraphError(explain("Bidirectional", got=got, expected=expected))

    def build(self, input_shape: Any) -> None:
        self.forward_layer._build_for((input_shape,), {})
        self.backward_layer._build_for((input_shape,), {})

    def check_input(self, *shapes: Any) -> None:
        self.forward_layer.check_input(*shapes)
        self.backward_layer.check_input(*shapes)

    @property
    def output_shape_for(self) -> Any:
        one = self.merge_mode is not None and not self.return_state
        pair = (self.forward_layer.output_shape_for, self.backward_layer.output_shape_for)
        return self._stated_shape if one and None not in pair else None

    def _stated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        forward, backward = (
            each.output_shape_for(shape) for each in (self.forward_layer, self.backward_layer)
        )
        return (*forward[:-1], forward[-1] + backward[-1]) if self.merge_mode == "concat" else tuple(forward)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = next(leaves(mask), None) if self.return_sequences else None
        return mask if self.merge_mode is not None else (mask, mask)

    def forward(
        self,
        sequences: Tensor,
        initial_state: Any = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Any:
        training = self.training if training is None else training
        if isinstance(self.forward_layer, RNN):
            sequences = self.forward_layer._at_door(sequences)
        first: Any = (None, None)
        if initial_state is not None:
            half = len(initial_state) // 2
            first = initial_state[:half], initial_state[half:]
        kernel = None if mask is not None else self._shared_kernel(training)
        if kernel is not None:
            output, other, states = self._in_one_call(kernel, sequences, first)
        else:
            output, other, states = self._in_two_calls(sequences, first, mask, training)
        merged = self._merged(output, other)
        if not self.return_state:
            return merged
        return (*merged, *states) if isinstance(merged, tuple) else (merged, *states)

    def native_form(self, into: Any, sequences: Any, initial_state: Any = None, mask: Any = None) -> Any:
        pair = self.forward_layer, self.backward_layer
        cells = [getattr(each, "cell", None) for each in pair]
        drops = any(getattr(each, "dropout", 0) for each in cells)
        kernel = (
            None if mask is not None or drops or initial_state is not None else self._shared_kernel(False)
        )
        if kernel is not None and not self.return_state:
            state = {**cells[0]._native_state(), **cells[1]._native_state("l0_reverse")}  # type: ignore[union-attr]
            outputs, last = native_module(self, into, kernel, state, bidirectional=True)(sequences)
            if self.return_sequences:
                return self._merged(*outputs.chunk(2, -1)) if self.merge_mode != "concat" else outputs
            last = last[0] if isinstance(last, tuple) else last
            return self._merged(last[0], last[1])
        half = 0 if initial_state is None else len(initial_state) // 2
        first = (None, None) if not half else (initial_state[:half], initial_state[half:])
        found, states = [], []
        for layer, state in zip(pair, first, strict=True):
            output = into.layer(layer, layer.name, sequences, initial_state=state, mask=mask)
            if self.return_state:
                output, *last = output
                states += last
            found.append(output)
        other = found[1].flip(1) if self.return_sequences else found[1]
        merged = self._merged(found[0], other)
        if not self.return_state:
            return merged
        return (*merged, *states) if isinstance(merged, tuple) else (merged, *states)

    def _shared_kernel(self, training: bool) -> str | None:
        """The kernel that computes both directions in one call, or None."""
        forward, backward = self.forward_layer, self.backward_layer
        if not (isinstance(forward, CellLayer) and isinstance(backward, CellLayer)) or self.stateful:
            return None
        cell, other = forward.cell, backward.cell
        same = type(cell) is type(other) and (cell.units, cell.use_bias) == (other.units, other.use_bias)
        drops = training and (cell.dropout or other.dropout)
        hooked = any(_is_hooked(each) for each in (forward, backward, cell, other))
        if not same or drops or hooked or forward.go_backwards:
            return None
        name: str | None = cell.kernel(training)
        return name if name == other.kernel(training) else None

    def _in_one_call(self, kernel: str, sequences: Tensor, first: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
        layers = (self.forward_layer, self.backward_layer)
        pairs = [each._first_states(sequences, state) for each, state in zip(layers, first, strict=True)]
        begin = [torch.stack(states) for states in zip(*pairs, strict=True)]
        weights = [weight for each in layers for weight in each.cell.kernel_weights()]
        outputs, last = run_kernel(kernel, sequences, begin, weights, 2)
        states = [*(each[0] for each in last), *(each[1] for each in last)]
        forward, backward = outputs.chunk(2, -1) if self.return_sequences else last[0].unbind(0)
        return forward, backward, states

    def _in_two_calls(
        self, sequences: Tensor, first: Any, mask: Tensor | None, training: bool
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        found, states = [], []
        for layer, state in zip((self.forward_layer, self.backward_layer), first, strict=True):
            output = layer(sequences, initial_state=state, mask=mask, training=training)
            if self.return_state:
                output, *last = output
                states += last
            found.append(output)
        return found[0], found[1].flip(1) if self.return_sequences else found[1], states

    def _merged(self, forward: Tensor, backward: Tensor) -> Any:
        if self.merge_mode == "concat":
            return torch.cat([forward, backward], -1)
        if self.merge_mode == "mul":
            return forward * backward
        if self.merge_mode is None:
            return forward, backward
        both = forward + backward
        return both if self.merge_mode == "sum" else both / 2

    @property
    def states(self) -> Any:
        """The states that a stateful layer keeps, forward then backward; None before it is built."""
        pair = self.forward_layer.states, self.backward_layer.states
        return None if pair[0] is None else [*pair[0], *pair[1]]

    def reset_state(self) -> None:
        """Set the kept states of both directions to zero."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state


def _recurrent(layer: Any) -> Any:
    return _module_from(
        layer, "Bidirectional", "a recurrent layer", "Bidirectional(LSTM(32))", "go_backwards"
    )


def _twin(layer: Any, direction: str, go_backwards: bool) -> Any:
    """A new layer with the same arguments, for one direction."""
    twin = type(layer)(**copy.deepcopy(layer._config_arguments))
    twin.go_backwards = go_backwards
    twin.given_name = f"{direction}_{layer.name.removeprefix(direction + '_')}"
    return twin


def _is_hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _module_from(value: Any, owner: str, expected: str, fix: str, attribute: str = "forward") -> Any:
    """A module given as such or as the config of a layer.

    Raises:
        GraphError: anything else.
    """
    found: Any = made(value, f"{owner}.layer") if isinstance(value, dict) else value
    if not isinstance(found, nn.Module) or not hasattr(found, attribute):
        what = f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise GraphError(explain(owner, got=what, expected=expected, fix=fix))
    return found
