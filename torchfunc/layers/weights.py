"""Weights: what a layer's numbers are called, in which layout they lie, and what they add to the loss."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, ClassVar, Literal, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from torchfunc import constraints, initializers, regularizers
from torchfunc.errors import DTypeError, GraphError, ShapeError, TorchfuncError, explain
from torchfunc.graph.symbolic import SYMBOLS, dtype_of
from torchfunc.initializers.initializer import is_shared
from torchfunc.variables import in_words_of_keras


@dataclass(frozen=True, slots=True, eq=False)
class WeightInfo:
    """What a layer knows of one of its weights besides its numbers.

    Attributes:
        layout: the permutation that turns PyTorch's layout into Keras's; None where they agree.
        regularizer: what it adds to the loss, or None.
        constraint: what it is put through after each step of the optimizer, or None.
        blocks: the order in which PyTorch keeps the equal blocks of Keras's last dimension (the gates of
            a GRU); None where they agree.
        initializer: what makes its first numbers, in Keras's layout.
    """

    layout: tuple[int, ...] | None = None
    regularizer: Any = None
    constraint: Any = None
    blocks: tuple[int, ...] | None = None
    initializer: Any = None


def _info(
    layout: tuple[int, ...] | None,
    regularizer: Any,
    constraint: Any,
    blocks: tuple[int, ...] | None,
    make: Any,
) -> WeightInfo:
    """What is known of a weight: one object for all of which the same is known, as a rule."""
    if regularizer is None and constraint is None and is_shared(make):
        return _plain_info(layout, blocks, make)
    return WeightInfo(layout, regularizer, constraint, blocks, make)


@cache
def _plain_info(layout: tuple[int, ...] | None, blocks: tuple[int, ...] | None, make: Any) -> WeightInfo:
    return WeightInfo(layout, None, None, blocks, make)


def _is_plain(info: WeightInfo) -> bool:
    return info.regularizer is None and info.constraint is None and is_shared(info.initializer)


@lru_cache(maxsize=1024)
def _together(infos: tuple[tuple[str, WeightInfo], ...]) -> Mapping[str, WeightInfo]:
    """What is known of all weights of a layer, by attribute."""
    return dict(infos)


def _in_blocks(weight: Tensor, order: tuple[int, ...]) -> Tensor:
    """The equal blocks of the last dimension in another order."""
    blocks = weight.chunk(len(order), -1)
    return torch.cat([blocks[index] for index in order], -1)


def _drawn(
    make: Any,
    sizes: tuple[int, ...],
    kind: torch.dtype,
    layout: tuple[int, ...] | None,
    blocks: tuple[int, ...] | None,
) -> Tensor:
    """The first numbers of a weight, as PyTorch keeps them."""
    value: Tensor = make(sizes, dtype=kind)  # without a gradient, as every Initializer gives it
    if blocks is not None:
        value = _in_blocks(value, _undoing(blocks))
    if layout is not None:
        value = value.permute(_undoing(layout)).contiguous()
    return value


@cache
def _undoing(order: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that takes another one back."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


_skip_initializers: ContextVar[bool] = ContextVar("skip_initializers", default=False)


@contextmanager
def without_initializing() -> Iterator[None]:
    """Within it, new weights have no values: for a model whose weights are about to be read from a file."""
    token = _skip_initializers.set(True)
    try:
        yield
    finally:
        _skip_initializers.reset(token)


class Layout(TypedDict, total=False):
    """How the numbers of a weight lie; see `Weights.add_weight`."""

    layout: tuple[int, ...] | None
    blocks: tuple[int, ...] | None


_MOST_BYTES = (
    2**44
)  # 16 TiB: beyond it the number is a mistake, and the allocator's own error says nothing of where


def under_keras_name(attribute: str) -> Any:
    """A property by which Keras's users read a weight: `layer.kernel`, in Keras's layout, a view with its gradient."""

    def read(self: Weights) -> Tensor | None:
        weight: Tensor | None = getattr(self, attribute)
        info = self._weight_infos.get(attribute)
        return (
            weight if weight is None or info is None or info.layout is None else weight.permute(info.layout)
        )

    found = _UnderKerasName(read)
    found.attribute = attribute
    return found


class _UnderKerasName(property):
    """A property that knows which attribute it reads."""

    attribute: str


@cache
def _keras_words(kind: Any) -> dict[str, str]:
    """What Keras calls the weights of a class, by their attributes, where it has another word."""
    held = {key: value for base in reversed(kind.__mro__) for key, value in vars(base).items()}
    return {value.attribute: key for key, value in held.items() if isinstance(value, _UnderKerasName)}


class _WhenAsked:
    """A dict of hooks that most modules never have: made when it is first asked for, and then the instance's own.

    PyTorch gives each module one at once, and the collector has to look at every one of a thousand layers.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, module: nn.Module | None, kind: Any = None) -> Any:
        return self if module is None else vars(module).setdefault(self._name, OrderedDict())


class Weights(nn.Module):
    """A module that makes its weights by `add_weight`, and reads and writes them in Keras's order and layouts."""

    name: Any
    dtype: torch.dtype | None
    built: bool
    _trainable: bool
    _weight_infos: Mapping[str, WeightInfo]
    _new_weights: Sequence[tuple[Tensor, str | None, WeightInfo]]
    _losses: Sequence[Tensor]
    _inside: int
    _told: Sequence[Weights]
    activity_regularizer: Any
    # whether a call adds losses of its own; a class of yours shows it when its `add_loss` is first called
    _adds_losses: ClassVar[bool] = False
    # whether floats of another dtype are cast before `forward` sees them; False where it casts them itself
    _autocast: bool = True
    # what becomes of integers and bools: "tried" is what the function that is called makes of them
    _integers: Literal["kept", "tried", "cast", "refused"] = "kept"

    def __init__(self) -> None:
        super().__init__()
        for name in _HOOKS_WHEN_ASKED:
            del self.__dict__[name]

    def add_weight(
        self,
        shape: Sequence[int | None] = (),
        initializer: Any = None,
        dtype: torch.dtype | str | None = None,
        trainable: bool = True,
        *,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
        layout: tuple[int, ...] | None = None,
        blocks: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Make a weight, to be kept as an attribute: `self.w = self.add_weight((4, 8))`.

        Args:
            shape: in Keras's layout.
            initializer: glorot_uniform by default for floating dtypes, else zeros.
            dtype: the layer's own by default.
            trainable: a Parameter if True, else a buffer.
            regularizer: what the weight adds to the loss.
            constraint: what it is put through after each step of the optimizer.
            name: its name if it is not kept as an attribute.
            layout: the permutation from PyTorch's layout, in which the weight is returned, to Keras's.
            blocks: the order in which PyTorch keeps the equal blocks of the last dimension.

        Returns:
            A Parameter, or a buffer, in PyTorch's layout.

        Raises:
            ShapeError: a dimension is unknown.

        Example:
            >>> layer = tf.Layer()
            >>> layer.w = layer.add_weight((2,), "ones")
            >>> layer.w.detach(), layer.count_params()
            (tensor([1., 1.]), 2)
        """
        kind = self._kind() if dtype is None else dtype_of(dtype)
        chosen = (
            initializer
            if initializer is not None
            else "glorot_uniform"
            if kind.is_floating_point
            else "zeros"
        )
        sizes = tuple([self._known_size(each, shape) for each in shape])
        needed = math.prod(sizes) * kind.itemsize
        if needed > _MOST_BYTES:
            raise ShapeError(
                explain(
                    f"{type(self).__name__} {self.name!r}",
                    got=f"the weight shape {sizes}, which is {needed / 2**40:,.0f} TiB",
                    expected="a weight that a memory can hold",
                    fix="fewer units, or a smaller input",
                )
            )
        make: Any = initializers.get(chosen)
        info = _info(layout, regularizers.get(regularizer), constraints.get(constraint), blocks, make)
        if _skip_initializers.get():
            placed = (
                sizes if layout is None else tuple(sizes[layout.index(axis)] for axis in range(len(sizes)))
            )
            value = torch.empty(placed, dtype=kind)
        else:
            value = _drawn(make, sizes, kind, layout, blocks)
        weight = nn.Parameter(value, requires_grad=self._trainable) if trainable else nn.Buffer(value)
        self.__dict__["_new_weights"] = (*self._new_weights, (weight, name, info))
        return weight

    def _known_size(self, size: Any, shape: Any) -> int:
        if size is None:
            raise ShapeError(
                explain(
                    f"{type(self).__name__} {self.name!r}",
                    got=f"the weight shape {tuple(shape)}",
                    expected="known sizes",
                    why="a weight cannot have an unknown dimension: the last dimension of an Input is None",
                    fix="give Input that dimension",
                )
            )
        return int(size)

    def _kind(self) -> torch.dtype:
        """The dtype of weights that are made now."""
        return self.dtype or torch.get_default_dtype()

    def _computes_in(self) -> torch.dtype | None:
        """The one floating dtype that its weights have now; None where they have none, or several."""
        found: torch.dtype | None = None
        for each in self._floats():
            if found is not None and each.dtype is not found:
                return None
            found = each.dtype
        return found

    def _floats(self) -> Iterator[Tensor]:
        """The weights and buffers of a floating dtype, here and inside."""
        for module in self.modules() if self._modules else (self,):
            for held in (module._parameters, module._buffers):
                for each in held.values():
                    if each is not None and each.is_floating_point():
                        yield each

    def _cast(self, x: Tensor, like: Tensor | None) -> Tensor:
        """What `forward` was given, in the dtype of a weight."""
        return x if like is None or x.dtype is like.dtype else self._cast_to(like.dtype, x)

    def _as_floats(self, x: Tensor) -> Tensor:
        """Integers and bools in the dtype of a layer that may have no weights; floats as they are."""
        return x if x.is_floating_point() else self._cast_to(self._computes_in() or self._kind(), x)

    def _cast_to(self, dtype: torch.dtype, x: Tensor) -> Tensor:
        """What `forward` was given in another dtype, as Keras's autocast hands it on.

        Under `torch.autocast` floats stay as they are, for PyTorch casts them where a kernel wants it.
        """
        floating = x.is_floating_point()
        if not dtype.is_floating_point or (floating and not x.is_meta and _is_autocasting(x)):
            return x
        if not floating:
            self._check_dtype(x.dtype)
        return x.to(dtype)

    def _check_dtype(self, dtype: torch.dtype) -> None:
        """Refuse what weights cannot be multiplied with.

        Raises:
            DTypeError: complex numbers; integers or bools where Keras fails on them too.
        """
        refuses = self._integers == "refused" or (self._integers == "cast" and dtype.is_complex)
        if refuses and not dtype.is_floating_point:
            name = str(self._computes_in() or self._kind()).removeprefix("torch.")
            raise DTypeError(
                explain(
                    f"{type(self).__name__} {self.name!r}",
                    got=str(dtype),
                    expected="a floating dtype",
                    fix=f"x.to(torch.{name}), or Input(dtype='{name}')",
                )
            )

    def _describe_weight(self, word: str, initializer: Any, regularizer: Any, constraint: Any) -> None:
        """Keep how a weight begins, what it adds to the loss and what constrains it: `kernel_initializer`, ..."""
        # straight into __dict__, as in Layer.__init__: none of them is a module
        self.__dict__[f"{word}_initializer"] = initializers.get(initializer)
        self.__dict__[f"{word}_regularizer"] = regularizers.get(regularizer)
        self.__dict__[f"{word}_constraint"] = constraints.get(constraint)

    def _set_plainly(self, **attributes: Any) -> None:
        """Set attributes that are neither weights nor modules, for which nn.Module's own __setattr__ looks each time."""
        self.__dict__.update(attributes)

    def _make_weight(self, word: str, shape: Sequence[int | None], **layout: Unpack[Layout]) -> Tensor:
        """`add_weight` for a weight that `_describe_weight` described."""
        return self.add_weight(
            shape,
            getattr(self, f"{word}_initializer"),
            regularizer=getattr(self, f"{word}_regularizer"),
            constraint=getattr(self, f"{word}_constraint"),
            **layout,
        )

    def _name_new_weights(self) -> None:
        """Register the weights of `add_weight` that are no attributes, and remember each by its attribute."""
        if not self._new_weights:
            return
        infos = dict(self._weight_infos)
        for weight, name, info in self._new_weights:
            attribute = _called(weight, self._parameters) or _called(weight, self._buffers)
            if attribute is None:
                held = {**self._parameters, **self._buffers}
                attribute = next(
                    (k for k, v in held.items() if _is_moved(weight, v) and k not in infos), None
                )
            if attribute is None:
                attribute = name if name and name not in held else f"{name or 'weight'}_{len(held)}"
                setattr(self, attribute, weight)
            infos[attribute] = info
        is_plain = all(map(_is_plain, infos.values()))
        self.__dict__["_weight_infos"] = _together(tuple(infos.items())) if is_plain else infos
        self.__dict__["_new_weights"] = ()

    @property
    def trainable(self) -> bool:
        """Whether its weights are trained. To set it sets it for all layers inside, too; where it is False,
        parameters need no gradient.

        Example:
            >>> model.get_layer("block3").trainable = False
            >>> len(model.trainable_variables), len(model.non_trainable_variables)
            (4, 2)
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for module in self.modules():
            if isinstance(module, Weights):
                module._trainable = bool(value)
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(bool(value))

    @property
    def weights(self) -> list[Tensor]:
        """Every weight, in Keras's order: the layer's own, trained before not trained, then its sublayers'.

        They are the parameters themselves, which have Keras's words too: `value`, `assign`, `name`, `path`.

        Example:
            >>> [tuple(each.shape) for each in model.get_layer("head").variables]
            [(2, 8), (2,)]
        """
        homes = {module: name for name, module in self.named_modules()}
        return [_in_words(homes.get(each[0]) or self.name, *each) for each in self._ordered_weights()]

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The parameters that need a gradient, in Keras's order.

        Example:
            >>> [each.name for each in model.get_layer("head").trainable_variables]
            ['kernel', 'bias']
        """
        return [each for each in self.weights if isinstance(each, nn.Parameter) and each.requires_grad]

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The weights that are not trained: buffers, such as moving averages, and parameters that need no gradient.

        Example:
            >>> layer = tf.layers.BatchNormalization()
            >>> layer.build((None, 3))
            >>> [each.name for each in layer.non_trainable_variables]
            ['moving_mean', 'moving_variance']
        """
        return [each for each in self.weights if not (isinstance(each, nn.Parameter) and each.requires_grad)]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def _ordered_weights(self) -> Iterator[tuple[nn.Module, str, Tensor]]:
        """(module, attribute, tensor) for every weight once, in Keras's order."""
        seen: set[int] = set()
        for module in _owners(self):
            if isinstance(module, Weights):
                module._name_new_weights()
            for owner, name, tensor in own_weights(module):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield owner, name, tensor

    def _own_weights(self) -> list[tuple[nn.Module, str, Tensor]]:
        """What Keras lists as the weights of this layer itself, each with the module that has it here."""
        return _held(self)

    def _children_in_order(self) -> list[nn.Module]:
        """The modules right inside, in the order in which Keras lists their weights."""
        return list(self.children())

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The weights as NumPy arrays, in Keras's order and layouts; bfloat16, which NumPy lacks, as float32.

        Returns:
            A list of arrays, as `set_weights` takes them.

        Example:
            >>> [each.shape for each in model.get_weights()]
            [(3, 3, 3, 4), (4,), (144, 8), (8,), (8, 2), (2,)]
        """
        return [
            _as_array(in_keras_layout(module, name, tensor))
            for module, name, tensor in self._ordered_weights()
        ]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take weights in Keras's order and layouts: one array for each of `get_weights()`.

        Args:
            weights: arrays, tensors or lists of numbers.

        Raises:
            TorchfuncError: another number of arrays, another shape, or no numbers; nothing is changed then.

        Example:
            >>> head = model.get_layer("head")
            >>> head.set_weights([np.ones((8, 2)), np.zeros(2)])
            >>> head(torch.ones(1, 8)).detach()
            tensor([[8., 8.]])
        """
        places = list(self._ordered_weights())
        if len(places) != len(weights):
            raise TorchfuncError(
                explain(
                    f"{self.name!r}.set_weights",
                    got=f"{len(weights)} arrays",
                    expected=f"{len(places)} arrays",
                    why="" if self.built else "the layer has no weights until it is called or built",
                )
            )
        values = [_as_tensor(f"{self.name!r}.set_weights", each) for each in weights]
        for (module, name, tensor), value in zip(places, values, strict=True):
            expected = tuple(in_keras_layout(module, name, tensor).shape)
            if expected != tuple(value.shape):
                raise TorchfuncError(
                    explain(
                        f"{self.name!r}.set_weights",
                        got=f"shape {tuple(value.shape)} for {name!r}",
                        expected=f"shape {expected}",
                    )
                )
        with torch.no_grad():
            for (module, name, tensor), value in zip(places, values, strict=True):
                write_in_keras_layout(module, name, tensor, value)

    def keras_view(self, name: str, tensor: Tensor) -> Tensor:
        """A view of the weight `name` in Keras's layout: what is written to it is written to the weight.

        Args:
            name: the name of a weight of this layer's own.
            tensor: that weight, or another one of its shape, such as its gradient.

        Returns:
            A view that shares its memory.

        Example:
            >>> conv = model.get_layer("block3")
            >>> conv.weight.shape, conv.keras_view("weight", conv.weight).shape
            (torch.Size([4, 3, 3, 3]), torch.Size([3, 3, 3, 4]))
        """
        info = self._weight_infos.get(name)
        return tensor if info is None or info.layout is None else tensor.detach().permute(info.layout)

    def _blocks(self, name: str) -> tuple[int, ...] | None:
        info = self._weight_infos.get(name)
        return None if info is None else info.blocks

    def count_params(self) -> int:
        """The number of numbers in its weights, each tensor once.

        Returns:
            A number; of a layer that is not built 0.

        Example:
            >>> model.count_params(), tf.layers.Dense(2).count_params()
            (1290, 0)
        """
        return sum(each.numel() for *_, each in self._ordered_weights())

    def reset_parameters(self) -> None:
        """Draw the layer's own weights anew from their initializers, as the modules of torch.nn do.

        Raises:
            TorchfuncError: a weight whose initializer is unknown, as after a copy of a lambda.

        Example:
            >>> head = model.get_layer("head")
            >>> before = head.weight.clone()
            >>> head.reset_parameters()
            >>> torch.equal(head.weight, before)
            False
        """
        for name, info in self._weight_infos.items():
            weight = getattr(self, name)
            if info.initializer is None:
                raise TorchfuncError(
                    explain(
                        f"{self.name!r}.reset_parameters",
                        got=f"no initializer of the weight {name!r}",
                        expected="the one that it was made by",
                        fix="give add_weight an initializer by name, or write reset_parameters",
                    )
                )
            with torch.no_grad():
                shape = self.keras_view(name, weight).shape
                write_in_keras_layout(
                    self, name, weight, info.initializer(tuple(shape), dtype=weight.dtype).to(weight.device)
                )

    def add_loss(self, loss: Tensor) -> None:
        """Add a tensor to the loss of this step; to be called from `call` or `forward`, at every call anew.

        Args:
            loss: a scalar; of a tensor of more numbers training takes the sum.

        Raises:
            GraphError: a symbolic tensor, which has no number to add.

        Example:
            >>> class Sparse(tf.Layer):
            ...     def call(self, x):
            ...         self.add_loss(0.1 * x.abs().sum())
            ...         return x
            >>> layer = Sparse()
            >>> _ = layer(torch.tensor([1.0, -3.0]))
            >>> layer.losses
            [tensor(0.4000)]
        """
        if isinstance(loss, SYMBOLS):
            raise GraphError(
                explain(
                    f"{self.name!r}.add_loss",
                    got=f"the symbolic tensor {loss.name!r}",
                    expected="a tensor that is computed at every call",
                    fix="call add_loss in the `call` of a layer of yours, and call that layer on the symbol",
                )
            )
        if not type(self)._adds_losses:
            type(self)._adds_losses = True
        self._keep_loss(loss)

    def _keep_loss(self, loss: Tensor) -> None:
        if not self._inside:
            _tell_callers()
        self._losses = [*self._losses, loss]

    def _forget_losses(self) -> None:
        """Have every call from outside begin without the losses of the one before."""
        if "_forgets_losses" not in self.__dict__:
            self.__dict__["_forgets_losses"] = True
            self.register_forward_pre_hook(_begin_call)
            self.register_forward_hook(_end_call, always_call=True)

    def _has_losses(self) -> bool:
        """Whether a call of this module may add to its losses."""
        return any(
            isinstance(each, Weights) and (each._adds_losses or each.activity_regularizer is not None)
            for each in self.modules()
        )

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: all but what hangs on the last call, or is code without a name."""
        infos = {
            name: info if _has_a_name(info.initializer) else replace(info, initializer=None)
            for name, info in self._weight_infos.items()
        }
        return {**self.__dict__, "_losses": (), "_inside": 0, "_told": (), "_weight_infos": infos}

    @property
    def losses(self) -> list[Tensor]:
        """What this layer and those inside it add to the loss: `add_loss` in the last call, and regularizers of
        the weights that are trained.

        Example:
            >>> layer = tf.layers.Dense(1, kernel_initializer="ones", kernel_regularizer=tf.regularizers.L2(0.1))
            >>> _ = layer(torch.ones(1, 3))
            >>> layer.losses[0].detach()  # 0.1 * (1 + 1 + 1)
            tensor(0.3000)
        """
        inside = [each for each in self.modules() if isinstance(each, Weights)]
        added = [loss for each in inside for loss in each._losses]
        return added + [loss for each in inside for loss in each._penalties()]

    def _penalties(self) -> Iterator[Tensor]:
        """What the regularizers of the layer's own weights add to the loss."""
        for name, info in self._weight_infos.items():
            if info.regularizer is not None and self._is_trained(name):
                weight = getattr(self, name)
                yield info.regularizer(weight if info.layout is None else weight.permute(info.layout))

    def _is_trained(self, name: str) -> bool:
        """Whether a weight is trained; one that a parametrization computes is what it is computed from."""
        parameter = self._parameters.get(name)
        return name not in self._buffers if parameter is None else parameter.requires_grad


def _is_moved(weight: Tensor, held: Tensor | None) -> bool:
    """Whether a tool that replaces `register_parameter` put a weight on the meta device as it was registered."""
    if held is None or not held.is_meta or weight.is_meta:
        return False
    return held.shape == weight.shape and isinstance(held, nn.Parameter) is isinstance(weight, nn.Parameter)


# those that a call, or the registration of another hook, does not go by
_HOOKS_WHEN_ASKED = (
    "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip
for _name in _HOOKS_WHEN_ASKED:
    setattr(Weights, _name, _WhenAsked(_name))


def _called(weight: Tensor, held: Mapping[str, Tensor | None]) -> str | None:
    """The name under which a dict has a weight."""
    for name, each in held.items():
        if each is weight:
            return name
    return None


def _in_words(home: str, module: nn.Module, name: str, tensor: Tensor) -> Tensor:
    """A weight of a module that is called `home`, with what Keras's variables have; a buffer of others as it is."""
    if isinstance(tensor, nn.Parameter) or name in getattr(module, "_weight_infos", ()):
        kind: Any = type(module)
        word = _keras_words(kind).get(name, name)
        in_words_of_keras(tensor, word, "/".join((*home.split("."), word)))
    return tensor


def _is_autocasting(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


def _begin_call(module: Weights, args: Any) -> None:
    """The hook before a call: one from outside forgets the losses of the call before, one from inside adds to them."""
    inside = [each for each in module.modules() if isinstance(each, Weights)]
    for each in inside:
        if not module._inside:
            each._losses = ()
    for each in inside:
        each._inside += 1
    module._told = inside


def _end_call(module: Weights, *_: Any) -> None:
    """The hook after a call, whether it failed or not; dynamo need not look at what has no name here."""
    for each in module._told:
        each._inside -= 1
    module._told = ()


def _tell_callers() -> None:
    """Have the layers whose calls are under way forget their losses at their next call."""
    if torch.compiler.is_compiling():
        return
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_locals.get("self") if frame.f_code is nn.Module._call_impl.__code__ else None
        if isinstance(module, Weights):
            module._forget_losses()
        frame = frame.f_back  # type: ignore[assignment]


def _has_a_name(function: Any) -> bool:
    """Whether an initializer can be pickled: not a lambda, nor a function within another."""
    return "<" not in getattr(getattr(function, "function", None), "__qualname__", "")


def _owners(module: nn.Module) -> Iterator[nn.Module]:
    """A module and all inside it, each before those inside itself."""
    yield module
    for child in module._children_in_order() if isinstance(module, Weights) else module.children():
        yield from _owners(child)


def own_weights(module: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """What Keras lists as a module's own: parameters before buffers, each with the module that has it here."""
    return module._own_weights() if isinstance(module, Weights) else _held(module)


def _held(module: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    parameters = [(name, each) for name, each in module._parameters.items() if each is not None]
    return [(module, name, each) for name, each in (*parameters, *weight_buffers(module))]


def weight_buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    """The buffers of a module that count as weights: those that its state_dict holds and Keras has too."""
    skipped = {*module._non_persistent_buffers_set, "num_batches_tracked"}
    return [
        (name, each) for name, each in module._buffers.items() if each is not None and name not in skipped
    ]


def _as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A copy of the numbers; those of a dtype that NumPy has no word for as float32, which holds them exactly."""
    number = tensor.detach().cpu()
    known = number.dtype != torch.bfloat16 and "float8" not in str(number.dtype)
    return (number if known else number.float()).numpy().copy()


def _as_tensor(owner: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TorchfuncError(explain(owner, got=f"an array of {array.dtype}", expected="arrays of numbers"))
    return torch.as_tensor(array)


def in_keras_layout(module: nn.Module, name: str, tensor: Tensor) -> Tensor:
    """A weight in Keras's layout: a view of it, except where blocks change places."""
    if not isinstance(module, Weights):
        return tensor
    view, blocks = module.keras_view(name, tensor), module._blocks(name)
    return view if blocks is None else _in_blocks(view, blocks)


def write_in_keras_layout(module: nn.Module, name: str, tensor: Tensor, value: Tensor) -> None:
    """Set a weight to what Keras has as `value`."""
    blocks = module._blocks(name) if isinstance(module, Weights) else None
    view = module.keras_view(name, tensor) if isinstance(module, Weights) else tensor
    view.copy_(value if blocks is None else _in_blocks(value, tuple(np.argsort(blocks))))
