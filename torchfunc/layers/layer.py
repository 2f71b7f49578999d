"""Layer: a module that makes its weights on the first call, and knows how to be written down."""

from __future__ import annotations

import inspect
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, wraps
from typing import Any, ClassVar, Literal, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Never, Self

from torchfunc import registry, regularizers, signatures
from torchfunc.arrays_in import is_numbers, tensor_of
from torchfunc.config import (
    argument_names,
    bound_arguments,
    checked,
    described,
    made,
    parameters,
    reading,
    revived,
    writes_once,
)
from torchfunc.dtype_policies import DTypePolicy
from torchfunc.errors import (
    GraphError,
    SavingError,
    ShapeError,
    TorchfuncError,
    WeightMismatchError,
    explain,
    nearest,
)
from torchfunc.graph import blame, interception, symbolic
from torchfunc.graph.probing.building import building
from torchfunc.graph.spec import Spec
from torchfunc.graph.symbolic import SYMBOLS, SymbolicTensor, dtype_of, has_symbol
from torchfunc.layers import lost
from torchfunc.layers.tracking import follow, forget
from torchfunc.layers.weights import WeightInfo, Weights
from torchfunc.losses.loss import divide
from torchfunc.tree import leaves, map_leaves
from torchfunc.variables import in_words_of_keras

Shape = tuple[int | None, ...]
# the key of a hook: PyTorch counts its own up from 0
_BUILD_FIRST = -1
_NO_INFOS: Mapping[str, WeightInfo] = {}
_PLAIN = frozenset({bool, int, float, str, type(None)})


class CommonButActivity(TypedDict, total=False):
    """The arguments that every layer takes after its own; see `Layer`."""

    name: str | None
    trainable: bool
    dtype: torch.dtype | str | None
    input_shape: Sequence[int | None] | None


class Common(CommonButActivity, total=False):
    """Those, and the activity regularizer, which some layers have among their own."""

    activity_regularizer: Any


class Layer(Weights):
    """A module whose weights are made on the first call, from the shape that it is called on.

    A subclass has `build(input_shape)`, which makes weights by `add_weight`, and either `call`
    (Keras's word) or `forward` (PyTorch's), which computes. `get_config` is derived from the
    constructor's arguments where they are plain data.

    Args:
        name: what the layer is called in its model; by default a name made from its class.
        trainable: whether its weights are trained; a BatchNormalization that is not stays in inference mode.
        dtype: the dtype of its weights, float32 by default, to which floats of another dtype are cast.
        activity_regularizer: what its output adds to the loss.
        input_shape: the shape of one sample, for the first layer of a Sequential.

    Raises:
        GraphError: an argument that does not exist, or a name that is no text.

    Example:
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight((input_shape[-1],), initializer="ones", name="factor")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> scale = Scale()
        >>> scale(Input((3,))).shape, scale.factor.shape
        ((None, 3), torch.Size([3]))
    """

    given_name: str | None
    graph_name: str | None
    dtype: torch.dtype | None
    activation: Any
    built: bool
    built_for: Any
    _built_on: Sequence[Any]
    _trainable: bool
    _weight_infos: Mapping[str, WeightInfo]
    _new_weights: Sequence[tuple[Tensor, str | None, WeightInfo]]
    _losses: Sequence[Tensor]
    _hook_key: int | None
    _is_building: bool
    _waiting_state: dict[str, Tensor]
    # whether `compute_mask` is asked for a mask of the output; Keras asks a class that defines it, too
    supports_masking: bool = False
    # whether it may give a mask where its input has none
    _makes_mask: ClassVar[bool] = False
    # whether the output is what `self.activation` returns
    activates_output: ClassVar[bool] = False
    # while a training asks for it, an object whose `pair` becomes what `activation` was given and what it made
    # of that, so that a crossentropy can be taken of the former
    before_activation: Any = None
    # whether the class is one of yours, which may keep layers in lists and dicts
    _keeps_lists: ClassVar[bool] = False
    # `torch.fx.symbolic_trace` shows a layer as one node, as it does a module of torch.nn
    is_leaf_in_fx: ClassVar[bool] = True
    # what a constructor hands on with `**`, so that a config has it after the constructor's own arguments
    _common_arguments: ClassVar[tuple[str, ...]] = ("name", "trainable", "dtype", "activity_regularizer")
    _config_arguments: dict[str, Any]
    __signature__ = signatures.WrittenOut()

    # with Self, not Any, for which an editor would not look at __init__
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        make = super().__new__  # of a class beside this one, which may want to know what it was called with
        self = make(cls) if make is object.__new__ else make(cls, *args, **kwargs)
        given = bound_arguments(cls, args, kwargs)
        # symbols would keep their whole graph alive, and are no constructor argument that a config can hold
        kept = {key: value for key, value in given.items() if type(value) in _PLAIN or not has_symbol(value)}
        object.__setattr__(self, "_config_arguments", kept)
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "compute_mask" in cls.__dict__:
            for flag in ("supports_masking", "_makes_mask"):
                if flag not in cls.__dict__:
                    setattr(cls, flag, True)
            cls.compute_mask = _of_arrays_too(cls.__dict__["compute_mask"])  # type: ignore[method-assign]
        if "call" in cls.__dict__ and "forward" not in cls.__dict__:
            cls.forward = _forward_from(cls.__dict__["call"])
        if not cls._keeps_lists and not cls.__module__.startswith("torchfunc."):
            cls._keeps_lists = True
            cls.__setattr__ = _following(cls.__setattr__)  # type: ignore[method-assign]
            cls.__delattr__ = _forgetting(cls.__delattr__)  # type: ignore[method-assign]
            cls.__getattr__ = _telling_weights(cls.__getattr__)  # type: ignore[method-assign]
        if cls._keeps_lists and "output_shape_for" not in cls.__dict__:
            setattr(cls, "output_shape_for", None)  # noqa: B010  a class of yours may make another shape
        if "build" in cls.__dict__:
            cls.build = _once(cls.__dict__["build"])  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: torch.dtype | str | None = None,
        activity_regularizer: Any = None,
        input_shape: Sequence[int | None] | None = None,
        **unknown: Never,
    ) -> None:
        super().__init__()
        if "input_dim" in unknown:  # Keras's older word
            input_shape = (unknown.pop("input_dim"),)
        interception.install()  # which has arrays become tensors, and symbols be recorded
        if unknown:
            raise _unknown_argument(type(self), next(iter(unknown)))
        if name is not None and (not isinstance(name, str) or not name):
            raise GraphError(
                explain(type(self).__name__, got=f"name={name!r}", expected="a non-empty string")
            )
        # straight into __dict__: nn.Module's own __setattr__ looks for parameters and modules each time
        self.__dict__.update(
            given_name=name,
            graph_name=None,
            dtype=_dtype_to_keep(dtype),
            activity_regularizer=regularizers.get(activity_regularizer),
            input_shape_argument=None if input_shape is None else tuple(input_shape),
            built=False,
            built_for=None,
            _built_on=(),
            _trainable=trainable,
            _weight_infos=_NO_INFOS,
            _new_weights=(),
            _losses=(),
            _inside=0,
            _told=(),
            _hook_key=None,
            _is_building=False,
            _waiting_state={},
            _nodes=None,
            _models=None,
        )
        if self._has_build() or self.activity_regularizer is not None:
            self._watch_first_call()
        if dtype is not None and self._autocast:
            self._cast_from_now_on()

    def _set_activation(self, activation: Any) -> None:
        if isinstance(activation, nn.Module):
            self.activation = activation
        else:
            self.__dict__["activation"] = activation

    @property
    def activity_regularizer(self) -> Any:
        """What the output adds to the loss, or None; another one counts from the next call on.

        Example:
            >>> layer = tf.layers.Dense(1, kernel_initializer="ones")
            >>> _ = layer(torch.ones(1, 3))
            >>> layer.activity_regularizer = "l1"
            >>> _ = layer(torch.ones(1, 3))
            >>> layer.losses[0].detach()  # 0.01 * 3
            tensor(0.0300)
        """
        return self.__dict__["activity_regularizer"]

    @activity_regularizer.setter
    def activity_regularizer(self, regularizer: Any) -> None:
        own = self.__dict__
        own["activity_regularizer"] = regularizers.get(regularizer)
        if "built" in own and (own["built"] or not self._has_build()):
            self._heed_activity()

    def _heed_activity(self) -> None:
        """Have a call add to the loss what its output does, if it does."""
        wanted = self.activity_regularizer is not None
        if wanted and _regularize_activity not in self._forward_hooks.values():
            self.register_forward_hook(_regularize_activity)

    def _watch_first_call(self) -> None:
        """Have the first call on real tensors build the layer."""
        if self._hook_key is None:
            # as register_forward_pre_hook does, without a handle that nobody keeps
            self._forward_pre_hooks[_BUILD_FIRST] = _build_first
            self._forward_pre_hooks_with_kwargs[_BUILD_FIRST] = True
            self.__dict__["_hook_key"] = _BUILD_FIRST

    def _watch_no_more(self) -> None:
        if self._hook_key is not None:
            self._forward_pre_hooks.pop(self._hook_key, None)
            self._forward_pre_hooks_with_kwargs.pop(self._hook_key, None)
            if not self._forward_pre_hooks_with_kwargs:
                del self.__dict__["_forward_pre_hooks_with_kwargs"]
            self.__dict__["_hook_key"] = None

    def with_tensors(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """The arguments of a call as `forward` takes them: arrays as tensors, and no `training` that it does not know.

        As in Keras, what has a fraction gets the layer's dtype. A list of numbers is taken for an array only where
        it comes first.

        Args:
            args: the arguments in order.
            kwargs: the arguments by name.

        Returns:
            Both, with tensors for arrays.

        Example:
            >>> layers.Dense(2).with_tensors(([[1, 2]],), {})
            ((tensor([[1, 2]]),), {})
        """
        if "training" in kwargs and not torch.compiler.is_compiling() and not self._knows("training"):
            kwargs = _without(kwargs, "training")
        first = args[0] if args else next(iter(kwargs.values()), None)
        is_list = type(first) is list and is_numbers(first)
        if not is_list and not any(type(leaf) is np.ndarray for leaf in leaves((args, kwargs))):
            return args, kwargs
        held = next((each for each in (*self.parameters(), *self.buffers())), None)
        floats, device = self._computes_in() or self._kind(), None if held is None else held.device

        def convert(leaf: Any) -> Any:
            return tensor_of(leaf, floats, device) if type(leaf) is np.ndarray else leaf

        if is_list and args:
            args = (tensor_of(first, floats, device), *args[1:])
        elif is_list:
            kwargs = {**kwargs, next(iter(kwargs)): tensor_of(first, floats, device)}
        return map_leaves(convert, args), map_leaves(convert, kwargs)

    def _knows(self, argument: str) -> bool:
        """Whether `forward` takes an argument by that name, or any."""
        parameters = _signature(type(self).forward).parameters.values()
        return any(each.name == argument or each.kind is each.VAR_KEYWORD for each in parameters)

    @property
    def name(self) -> str:
        """The given name; else the name in the first model that holds the layer; else one made from the class.

        Example:
            >>> model.get_layer("head").name, tf.layers.Dense(2).name
            ('head', 'dense')
        """
        kept = self.given_name or self.graph_name or self._name_in_waiting()
        return kept or symbolic.snake_case(type(self).__name__)

    def _name_in_waiting(self) -> str | None:
        """The name in a model that holds the layer and has drawn no graph yet."""
        if self.__dict__["_models"] is None:
            return None
        held = (item for model in self._models for item in model._modules.items())
        return next((name for name, module in held if module is self), None)

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape: a tuple, None where unknown; a list of them for several.

        It builds once, whoever asks first: the first call, the `build` of a layer around this one, or you.
        What stands in the weights by then stays.

        Args:
            input_shape: the whole shape, with the batch.

        Example:
            >>> layer = layers.Dense(2)
            >>> layer.build((None, 3))
            >>> layer.count_params()
            8
        """

    def _prepare_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Be as after a symbolic call on these arguments, of which is known what it returns: checked and built."""
        args, kwargs = self._bound(args, kwargs)
        self.check_input(*map_leaves(_shape_of, args))
        self._build_for(args, kwargs)
        self._check_dtypes(args, kwargs)

    def _build_as(self, shapes: Sequence[Any], casts: bool) -> None:
        """Be as another such layer was after it was built: on these arguments of `build`, and casting floats or not."""
        self._watch_no_more()
        if not self.built:
            self._build_on(*shapes)
        if casts:
            self._cast_from_now_on()

    @property
    def _casts(self) -> bool:
        """Whether floats are cast before `forward` sees them, at every call."""
        return _cast_inputs in self._forward_pre_hooks.values()

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Build once, for the shapes of these arguments."""
        self._watch_no_more()
        if not self.built:
            first: Any = args[0] if len(args) == 1 else args
            is_one = type(first) is SymbolicTensor
            self.__dict__["built_for"] = first.spec if is_one else map_leaves(_spec_of, first)
            self._build_on(*_shapes_for(type(self), args, kwargs))

    def _build_on(self, *shapes: Any) -> None:
        """What a first call does to build the layer."""
        self.build(*shapes)

    @classmethod
    def _has_build(cls) -> bool:
        """Whether the class says how its weights are made."""
        return cls.build is not Layer.build

    def _settle(self) -> None:
        """What follows when `build` has made the weights."""
        self._name_new_weights()
        self.__dict__["built"] = True
        self._watch_no_more()
        self._heed_activity()
        self._take_waiting_state()
        if self._modules and self._has_losses():
            self._forget_losses()

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        """All modules inside with dotted names, as in `nn.Module`; of your own class also those in lists.

        Args:
            memo: modules that are left out; those that come are added.
            prefix: what names begin with.
            remove_duplicate: whether a module with two names comes once.

        Returns:
            An iterator of (name, module), the layer itself first.

        Example:
            >>> [name for name, module in model.named_modules()]
            ['', 'block3', 'flatten', 'hidden', 'dropout', 'head']
        """
        if self._keeps_lists:
            follow(self)
        found: Iterator[tuple[str, nn.Module]] = super().named_modules(memo, prefix, remove_duplicate)
        return found

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """The layers and modules that are attributes, as in `nn.Module`; of your own class also those in lists.

        Returns:
            An iterator of (name, module).

        Example:
            >>> [name for name, module in model.named_children()]
            ['block3', 'flatten', 'hidden', 'dropout', 'head']
        """
        if self._keeps_lists:
            follow(self)
        return super().named_children()

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        metadata: Any,
        strict: bool,
        missing: Any,
        unexpected: Any,
        errors: Any,
    ) -> None:
        """As PyTorch does it; what an unbuilt layer has no place for waits until the layer is built."""
        if self._keeps_lists:
            follow(self)
        if self.built or not self._has_build():
            super()._load_from_state_dict(state_dict, prefix, metadata, strict, missing, unexpected, errors)
            return
        own = {
            name.removeprefix(prefix): each for name, each in state_dict.items() if name.startswith(prefix)
        }
        waiting = {name: each for name, each in own.items() if name.partition(".")[0] not in self._modules}
        self._waiting_state.update({name: each.detach().clone() for name, each in waiting.items()})

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if self._keeps_lists:
            follow(self)
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination.update({prefix + name: each for name, each in self._waiting_state.items()})

    def _take_waiting_state(self) -> None:
        """Fill the weights that were just made with what was loaded before there were any.

        Raises:
            WeightMismatchError: other names or shapes than the layer has.
        """
        if not self._waiting_state:
            return
        waiting, self._waiting_state = self._waiting_state, {}
        try:
            self.load_state_dict(waiting)
        except RuntimeError as error:
            raise WeightMismatchError(
                explain(
                    f"{type(self).__name__} {self.name!r}",
                    got=f"the loaded weights {sorted(waiting)}",
                    expected="those of its `build`",
                    why=" ".join(str(error).split()),
                    fix="call it on inputs of the shape that the weights were made for",
                )
            ) from None

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """What `layer(x)` does where `x` is symbolic: check, build, hand on the masks, record.

        Args:
            args: what the layer is called on; symbolic tensors among it.
            kwargs: likewise, by name.

        Returns:
            A symbolic tensor, or several, as `forward` returns tensors.

        Raises:
            ShapeError: a shape that the layer cannot take.
            GraphError: arguments that it does not take.

        Example:
            >>> layers.Dense(2).symbolic_call(tf.Input((3,))).shape
            (None, 2)
        """
        args, kwargs = self._bound(args, kwargs)
        if kwargs or any(type(arg) is not SymbolicTensor for arg in args):
            self._check_call(args, kwargs)
        try:
            self.check_input(
                *[
                    _shape_of(arg) if type(arg) is SymbolicTensor else map_leaves(_shape_of, arg)
                    for arg in args
                ]
            )
            self._build_for(args, kwargs)
            self._check_dtypes(args, kwargs)
        except TorchfuncError as error:
            raise self._with_place(error, args) from error.__cause__
        kwargs = self._with_masks(args, kwargs)
        outputs = self._record(args, kwargs)
        self._hand_on_mask(outputs, args, kwargs)
        return outputs

    def native_form(self, into: Any, *args: Any, **kwargs: Any) -> Any:
        """The same call in modules of `torch.nn` and functions of `torch`, for `interop.to_torch`.

        By default what `forward` calls, where that does not depend on values or on the mode.

        Args:
            into: makes the modules, under the name of the layer: `into.module(self, nn.Linear, 4, 2)(x)`.
            args: the symbols, as `forward` takes them.
            kwargs: likewise, by name.

        Returns:
            Symbols, as `forward` returns tensors.

        Example:
            >>> class Double(tf.Layer):
            ...     def call(self, x):
            ...         return 2 * x
            ...     def native_form(self, into, x):
            ...         return torch.add(x, x)
            >>> "torch.add" in tf.interop.to_torch(tf.Model(x := tf.Input((3,)), Double()(x))).code
            True
        """
        return into.recorded(self, *args, **kwargs)

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as `forward` takes them: the first one by place, and `training` where it is known.

        Keras hands `training` to every layer, and those that do not know it do without.

        Raises:
            GraphError: `forward` does not take them; a stated shape would let that pass until the model runs.
        """
        if not args:
            first = next(iter(_parameters(type(self).forward)[1:]), None)
            if first in kwargs:
                args, kwargs = (kwargs[first],), _without(kwargs, first)
        if len(args) == 1 and not kwargs and _takes_one(type(self).forward):
            return args, kwargs
        if self.output_shape_for is None:
            return args, kwargs
        if "training" in kwargs and not _accepts(type(self), "training"):
            kwargs = _without(kwargs, "training")
        try:
            _signature(type(self).forward).bind(self, *args, **kwargs)
        except TypeError as error:
            raise GraphError(
                explain(
                    f"{type(self).__name__} {self.name!r}{blame.called_at()}",
                    got=f"arguments that it does not take: {error}",
                    expected=", ".join(_parameters(type(self).forward)[1:]),
                )
            ) from None
        return args, kwargs

    def _check_dtypes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse the dtypes that the layer cannot take, and have it cast those that it has to."""
        if args and isinstance(args[0], SymbolicTensor):
            self._check_dtype(args[0].dtype)
        if self._autocast:
            symbols = (leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, SymbolicTensor))
            floats = {each.dtype for each in symbols if each.dtype.is_floating_point}
            kinds = {each.dtype for each in self._floats()} or {self._kind()}
            if floats and len(kinds) == 1 and kinds != floats:
                self._cast_from_now_on()

    def _cast_from_now_on(self) -> None:
        """Have floats cast before `forward` sees them, at every call: what a layer that needs no cast is spared.

        A layer without weights gets an empty tensor, which has its dtype and follows `.double()` as a weight does.
        """
        if self._casts:
            return
        if next(self._floats(), None) is None:
            self.__dict__["dtype"] = self.dtype or self._computes_in() or self._kind()  # for the config
            self._like = nn.Buffer(torch.empty(0, dtype=self.dtype), persistent=False)
        self.register_forward_pre_hook(_cast_inputs, with_kwargs=True)

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # a mask is tried, so that one of a wrong shape is told at once
        shape_of = self.output_shape_for if self._states_output(args) and kwargs.get("mask") is None else None
        if shape_of is None:
            outputs = symbolic.record(self, args, kwargs)
        else:
            first = args[0] if type(args[0]) is SymbolicTensor else next(leaves(args))
            dtype = self.output_dtype(first.dtype)
            outputs = symbolic.record_stated(self, args, kwargs, shape_of, dtype)
        symbol = outputs
        if type(symbol) is not SymbolicTensor:
            symbol = next((leaf for leaf in leaves(outputs) if isinstance(leaf, SYMBOLS)), None)
        if symbol is None:
            raise GraphError(
                explain(
                    f"{type(self).__name__} {self.name!r}{blame.called_at()}",
                    got=f"{outputs!r} from its forward",
                    expected="a tensor or a structure of tensors",
                    fix="return the result at the end of `call` or `forward`",
                )
            )
        self._know("_nodes", Weak(symbol.node))
        return outputs

    def _states_output(self, args: tuple[Any, ...]) -> bool:
        """Whether shape and dtype of the output need not be tried where `output_shape_for` states the shape."""
        if len(args) != 1 or not isinstance(args[0], SymbolicTensor):
            return False
        return args[0].dtype.is_floating_point or self._integers != "tried"

    def activated(self, logits: Tensor) -> Tensor:
        """What `activation` makes of `logits`, told to whoever asks for what came before it.

        Args:
            logits: what comes before the activation.

        Returns:
            A tensor of the same shape, as a rule.

        Example:
            >>> tf.layers.Dense(2, activation="relu").activated(torch.tensor([-1.0, 2.0]))
            tensor([0., 2.])
        """
        outputs: Tensor = self.activation(logits)
        if self.before_activation is not None:
            self.before_activation.pair = (logits, outputs)
        return outputs

    # a layer that can say its output's shape without being tried has this as a method (shape) -> shape
    output_shape_for: ClassVar[Any] = None

    def output_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The dtype of the output for an input of `dtype`, where `output_shape_for` states the shape.

        Args:
            dtype: that of the first input.

        Returns:
            A `torch.dtype`.

        Example:
            >>> tf.layers.Dense(2, dtype="float64").output_dtype(torch.float32)
            torch.float32
        """
        if dtype.is_floating_point:
            return self._computes_in() or dtype
        return self._computes_in() or self._kind() if self._integers == "cast" else dtype

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output for an input of this shape (or these), None where unknown.

        Args:
            input_shape: a tuple with the batch, None where unknown; a list or dict of them for several inputs.

        Returns:
            A tuple, or several, nested as the output.

        Example:
            >>> model.compute_output_shape((5, 8, 8, 3))
            (5, 2)
        """
        with torch.no_grad():
            given = map_shapes(lambda shape: symbolic.Input(batch_shape=shape), input_shape)
            outputs = self.symbolic_call(given)
        return map_leaves(lambda leaf: leaf.spec.shape if isinstance(leaf, SymbolicTensor) else leaf, outputs)

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The policy that the dtype of the layer means.

        Example:
            >>> tf.layers.Dense(2, dtype="float64").dtype_policy.name
            'float64'
        """
        return DTypePolicy(None if self.dtype is None else str(self.dtype).removeprefix("torch."))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The output for symbolic inputs, as symbols of its shape and dtype that no model holds.

        Args:
            args: what the layer is called on: symbolic tensors, of which the shape and dtype are taken.
            kwargs: further arguments of the call.

        Returns:
            A symbolic tensor, or several, nested as the output.

        Example:
            >>> model.compute_output_spec(tf.Input((8, 8, 3))).shape
            (None, 2)
        """
        given = map_leaves(
            lambda leaf: (
                symbolic.Input(batch_shape=leaf.shape, dtype=leaf.dtype)
                if isinstance(leaf, SymbolicTensor)
                else leaf
            ),
            args,
        )
        with torch.no_grad():
            return self.symbolic_call(*given, **kwargs)

    # an InputSpec, or a list of one for each input, that a class of yours may set
    input_spec: Any = None

    def check_input(self, *shapes: Any) -> None:
        """Raise a ShapeError for a shape that the layer cannot take; `self.wrong(...)` makes one.

        Args:
            shapes: for each input its shape with the batch, None where unknown, nested as the input.

        Raises:
            ShapeError: a shape that `input_spec` does not allow.

        Example:
            >>> class Pairs(tf.Layer):
            ...     def check_input(self, shape):
            ...         if shape[-1] != 2:
            ...             raise self.wrong(shape, "2 features")
            ...     def call(self, x):
            ...         return x
            >>> Pairs()(tf.Input((2,))).shape
            (None, 2)
        """
        if self.input_spec is None:
            return
        several = isinstance(self.input_spec, (list, tuple))
        specs = self.input_spec if several else [self.input_spec]
        for spec, shape in zip(specs, shapes[0] if several and len(shapes) == 1 else shapes, strict=False):
            expected = None if spec is None else spec.missed_by(shape)
            if expected is not None:
                raise self.wrong(shape, expected, why="its input_spec says so")

    def wrong(self, shape: Any, expected: str, *, why: str = "", fix: str = "") -> ShapeError:
        """The error for an input shape that the layer cannot take.

        Args:
            shape: what came.
            expected: what would fit.
            why: what speaks against it.
            fix: a way out.

        Returns:
            A ShapeError, to be raised.

        Example:
            >>> print(tf.layers.Dense(2, name="head").wrong((None,), "2 dimensions", fix="Reshape before it"))
            Dense 'head': expected 2 dimensions, got shape (None,). Fix: Reshape before it.
        """
        return ShapeError(
            explain(
                f"{type(self).__name__} {self.name!r}",
                got=f"shape {shape}",
                expected=expected,
                why=why,
                fix=fix,
            )
        )

    def _with_place(self, error: TorchfuncError, args: Any) -> TorchfuncError:
        """The error with the user's line, and the names of what the layer was called on."""
        names = [repr(leaf.name) for leaf in leaves(args) if isinstance(leaf, SYMBOLS)]
        head, text = f"{type(self).__name__} {self.name!r}", str(error)
        if text.startswith(head) and names:
            text = f"{head}{blame.called_at()} on {', '.join(names)}{text.removeprefix(head)}"
        return type(error)(text) if type(error).__init__ is TorchfuncError.__init__ else error

    def _check_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for leaf in leaves((args, kwargs)):
            if isinstance(leaf, nn.Module):
                raise GraphError(
                    explain(
                        f"{type(self).__name__} {self.name!r}{blame.called_at()}",
                        got=f"the layer {symbolic.name_of(leaf)!r} itself",
                        expected="a tensor",
                        why="a layer was passed instead of its output",
                        fix="call that layer first: layer(x)",
                    )
                )

    def _with_masks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keywords with the masks of the inputs, where `forward` takes them and the caller gave none.

        By Keras's rule: `mask` where the layer is called on one tensor or one list of them; where on several,
        `query_mask` for the argument `query`.
        """
        if not _names_a_mask(type(self).forward):
            return kwargs
        names = _parameters(type(self).forward)[1:]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        tensors = {name: value for name, value in given.items() if _is_of_tensors(value)}
        places = {"mask" if len(tensors) == 1 else f"{name}_mask": each for name, each in tensors.items()}
        found = {
            place: masks_of(value)
            for place, value in places.items()
            if given.get(place) is None and self._takes_mask(place)
        }
        kwargs = {**kwargs, **{place: mask for place, mask in found.items() if _any_mask(mask)}}
        if self._wants_mask and {**given, **kwargs}.get("mask") is None:
            lost.tell(self, next(iter(given.values()), None))
        return kwargs

    def _takes_mask(self, argument: str = "mask") -> bool:
        """Whether the forward of the layer takes a mask by that name, and does something with it."""
        return _accepts(type(self), argument)

    @property
    def _wants_mask(self) -> bool:
        """Whether the layer does something else without a mask than with one, so that a lost one is told."""
        return self._takes_mask()

    @property
    def _uses_up_mask(self) -> bool:
        """Whether an output without a mask is in order: the layer was given one, and decided."""
        return self.supports_masking and self._takes_mask()

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the output, or a list of one for each; that of the input by default.

        It is asked where the layer `supports_masking`, while the graph is built.

        Args:
            inputs: what the layer was called on: a symbolic tensor, or several in a list or dict.
            mask: the mask that came with it, nested like it; or the one that the layer was given as `mask=`.

        Returns:
            A symbolic mask, None, or a list of these.

        Example:
            >>> tf.layers.Embedding(10, 4, mask_zero=True).compute_mask(torch.tensor([[3, 5, 0]]))
            tensor([[ True,  True, False]])
            >>> tf.layers.Dropout(0.5).compute_mask(torch.ones(1, 3, 4), torch.tensor([[True, True, False]]))
            tensor([[ True,  True, False]])
        """
        return mask

    def _hand_on_mask(self, outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Give the outputs the masks that `compute_mask` finds, in order."""
        if not self.supports_masking:
            return
        first = args[0] if args else next(iter(kwargs.values()), None)
        given = kwargs.get("mask")
        plain = isinstance(first, SymbolicTensor) and first.mask is None and given is None
        if plain and type(self).compute_mask is Layer.compute_mask:
            return
        made = self.compute_mask(first, masks_of(first) if given is None else given)
        for leaf, mask in zip(leaves(outputs), leaves(made), strict=False):
            if isinstance(leaf, SymbolicTensor) and mask is not None:
                leaf.mask = mask

    @property
    def output(self) -> Any:
        """What the layer returns in its graph, to make further models from.

        Raises:
            GraphError: the layer was called more than once, or never; `get_output_at` gives each.

        Example:
            >>> model.get_layer("hidden").output.shape
            (None, 8)
            >>> tf.Model(model.input, model.get_layer("hidden").output).output_shape
            (None, 8)
        """
        nodes = self._calls()
        if len(nodes) != 1:
            way = "use `layer.get_output_at(index)`" if nodes else "call it on an Input"
            raise GraphError(
                f"{type(self).__name__} {self.name!r} was called {len(nodes)} times, so it has no one output. Fix: {way}."
            )
        return nodes[0].outputs

    @property
    def input(self) -> Any:
        """What the layer was called on in its graph.

        Example:
            >>> dense = layers.Dense(2)
            >>> _ = dense(tf.Input((3,)))
            >>> dense.input.shape
            (None, 3)
        """
        nodes = self._calls()
        if len(nodes) != 1:
            way = "use `layer.get_input_at(index)`" if nodes else "call it on an Input"
            raise GraphError(
                f"{type(self).__name__} {self.name!r} was called {len(nodes)} times, so it has no one input. Fix: {way}."
            )
        return _input_of(nodes[0])

    def get_output_at(self, index: int) -> Any:
        """What the call number `index` of a shared layer returned, in the order of the calls.

        Args:
            index: the number of the call, from 0, or from -1 backwards.

        Returns:
            The symbolic tensor or tensors of that call.

        Example:
            >>> shared = layers.Dense(2)
            >>> first, second = shared(tf.Input((3,))), shared(tf.Input((5, 3)))
            >>> shared.get_output_at(1).shape
            (None, 5, 2)
        """
        return self._call_at(index).outputs

    def get_input_at(self, index: int) -> Any:
        """What the call number `index` of a shared layer was made on, in the order of the calls.

        Args:
            index: the number of the call, from 0, or from -1 backwards.

        Returns:
            The symbolic tensor or tensors that it was made on.

        Example:
            >>> shared = tf.layers.Dense(2)
            >>> first, second = shared(tf.Input((3,))), shared(tf.Input((5, 3)))
            >>> shared.get_input_at(1).shape
            (None, 5, 3)
        """
        return _input_of(self._call_at(index))

    def _calls(self) -> list[Any]:
        """Its calls in the first living model that has any; without one, those that are part of some graph."""
        for model in self._models:
            if calls := model._calls_of(self):
                found: list[Any] = calls
                return found
        return self._nodes

    @property
    def _nodes(self) -> list[Any]:
        """Its calls that somebody keeps, in their order."""
        return _living(self.__dict__["_nodes"])

    @property
    def _models(self) -> list[Any]:
        """The models that have it and that somebody keeps, in the order in which they were made."""
        return _living(self.__dict__["_models"])

    def _know(self, where: Literal["_nodes", "_models"], thing: Weak) -> None:
        """Know a call or a model as long as somebody else keeps it."""
        self.__dict__[where] = _with(thing, self.__dict__[where])

    def _call_at(self, index: int) -> Any:
        nodes = self._calls()
        if not -len(nodes) <= index < len(nodes):
            raise GraphError(
                f"{type(self).__name__} {self.name!r} has {len(nodes)} calls, so there is no call {index}."
            )
        return nodes[index]

    @writes_once
    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data.

        Returns:
            A dict that JSON can hold.

        Raises:
            SavingError: an argument is no plain data, and the class has no `get_config` of its own.

        Example:
            >>> layers.Dropout(0.5, name="drop").get_config()
            {'rate': 0.5, 'noise_shape': None, 'seed': None, 'name': 'drop', 'trainable': True, 'dtype': None}
        """
        owner = f"{type(self).__name__} {self.name!r}"
        names = argument_names(type(self))
        # what the constructor handed on with `**` to a parent that kept it
        names += [name for name in self._config_arguments if name not in names and name in self.__dict__]
        values = {name: self._argument(name) for name in names}
        if values.get("activity_regularizer", self) is None:
            del values["activity_regularizer"]
        if not self._keeps_lists:
            return {name: described(value, name, owner) for name, value in values.items()}
        return {name: self._described_for_you(name, value, owner) for name, value in values.items()}

    def _described_for_you(self, name: str, value: Any, owner: str) -> Any:
        """An argument of a class of yours: a function under its mark, where it was not given by its name."""
        known = (
            registry.activations.name_of(value) or registry.custom_name_of(value) if callable(value) else None
        )
        by_name = known is not None and self._config_arguments.get(name) == known
        return known if by_name else described(value, name, owner, marked=True)

    def _argument(self, name: str) -> Any:
        """The value of a constructor argument: the attribute of that name, else what was passed, else the default."""
        if name == "name":
            return self.given_name or self.graph_name
        of_class = getattr(type(self), name, None)
        if name in self.__dict__ or name in self._modules or isinstance(of_class, property):
            return getattr(self, name)
        if name in self._config_arguments:
            return self._config_arguments[name]
        default = parameters(type(self))[name].default
        if default is inspect.Parameter.empty:
            raise SavingError(
                explain(
                    f"{type(self).__name__} {self.name!r}",
                    got=f"no record of its argument {name!r}",
                    expected="constructor arguments kept as attributes of the same name",
                    fix=f"set self.{name} = {name}, or write get_config",
                )
            )
        return default

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer with these constructor arguments.

        Args:
            config: the arguments by name, as `get_config` gives them.

        Returns:
            A layer of this class with new weights.

        Example:
            >>> layers.Dense.from_config({"units": 3}).units
            3
        """
        if not cls._keeps_lists:
            return cls(**config)
        with reading():
            return cls(**{name: revived(value, f"$.{name}") for name, value in config.items()})

    def extra_repr(self) -> str:
        """The constructor arguments that were given, and differ from their defaults.

        Returns:
            The text between the brackets of `repr`.

        Example:
            >>> tf.layers.Dense(2, activation="relu").extra_repr()
            "units=2, activation='relu'"
        """
        parts = []
        for name, parameter in parameters(type(self)).items():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or name in self._modules:
                continue
            original = self._config_arguments.get(name, parameter.default)
            if original is not parameter.default or parameter.default is inspect.Parameter.empty:
                parts.append(f"{name}={_brief(getattr(self, name, original))}")
        return ", ".join(parts)

    @property
    def qconfig(self) -> Any:
        """What `torch.ao.quantization` puts on every module that it looks at; it changes those of torch.nn alone.

        Raises:
            AttributeError: it has put nothing there.

        Example:
            >>> hasattr(model, "qconfig")
            False
        """
        if "qconfig" not in self.__dict__:
            raise AttributeError("qconfig")
        return self.__dict__["qconfig"]

    @qconfig.setter
    def qconfig(self, value: Any) -> None:
        if self._weight_infos and not self.__dict__.get("qconfig"):
            told = explain(
                f"torch.ao.quantization: {type(self).__name__} {self.name!r}",
                got="no module of torch.nn, so it stays as it is",
                fix="quantize interop.to_torch(model)",
            )
            warnings.warn(told, stacklevel=blame.level())
        self.__dict__["qconfig"] = value

    @qconfig.deleter
    def qconfig(self) -> None:
        del self.__dict__["qconfig"]

    def __dir__(self) -> list[str]:
        # torch.jit and inspect.getmembers read every name that is listed, and stumble where one raises
        names = set(super().__dir__())  # type: ignore[no-untyped-call]
        return sorted(names if len(self._calls()) == 1 else names - {"input", "output"})


def _dtype_to_keep(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """The dtype of a layer that was given this one: one of PyTorch's defaults that is not the usual one stays."""
    if dtype is not None:
        return dtype_of(dtype)
    usual = torch.get_default_dtype()
    return None if usual is torch.float32 else usual


def _input_of(node: Any) -> Any:
    """The one argument of a call, or all of them."""
    return node.args[0] if len(node.args) == 1 else node.args


class Weak(weakref.ref[Any]):
    """A reference to what somebody else keeps, of which a copy or a pickle takes nothing over."""

    __slots__ = ()

    def __deepcopy__(self, memo: Any) -> None:
        return None

    def __reduce__(self) -> Any:
        return type(None), ()


# none, one, or a list: most layers are called once, for one model, and the collector goes through all that there is
_Weakly = Weak | list[Weak] | None


def _with(new: Weak, kept: _Weakly) -> _Weakly:
    """What is kept of things that somebody else keeps, with a new one."""
    if kept is None:
        return new
    known = kept if isinstance(kept, list) else [kept]
    if len(known) & (len(known) - 1) == 0:  # now and then, so that many cost no more each
        known = [each for each in known if each is not None and each() is not None]
    known.append(new)
    return known


def _living(kept: _Weakly) -> list[Any]:
    """Those of the things that are still there, in the order in which they came."""
    known = kept if isinstance(kept, list) else [kept]
    return [thing for each in known if each is not None and (thing := each()) is not None]


def _build_first(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The hook that builds a layer before its first call on real tensors."""
    layer._check_call(args, kwargs)
    given = args or tuple(kwargs.values())[:1]
    if not given:
        raise GraphError(
            explain(
                f"{type(layer).__name__} {layer.name!r}", got="no input", expected="a tensor to call it on"
            )
        )
    try:
        layer.check_input(*map_leaves(_shape_of, given))
    except TorchfuncError as error:
        raise layer._with_place(error, args) from None
    layer._build_for(args, kwargs)


def _cast_inputs(layer: Layer, args: Any, kwargs: Any) -> Any:
    """The hook that casts floats of another dtype to the layer's."""
    dtype = next(layer._floats()).dtype

    def cast(leaf: Any) -> Any:
        wanted = isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dtype is not dtype
        return layer._cast_to(dtype, leaf) if wanted else leaf

    return map_leaves(cast, args), map_leaves(cast, kwargs)


def _regularize_activity(layer: Layer, args: Any, output: Any) -> None:
    if layer.activity_regularizer is not None:
        for leaf in leaves(output):
            if isinstance(leaf, Tensor) and leaf.device.type != "meta":
                samples = leaf.shape[0] if leaf.ndim else 1
                layer._keep_loss(divide(layer.activity_regularizer(leaf), samples))


def _of_arrays_too(compute_mask: Callable[..., Any]) -> Callable[..., Any]:
    """`compute_mask` that takes arrays, too."""

    @wraps(compute_mask)
    def taking(self: Layer, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = map_leaves(_tensor_if_array, args), map_leaves(_tensor_if_array, kwargs)
        return compute_mask(self, *args, **kwargs)

    return taking


def _tensor_if_array(leaf: Any) -> Any:
    return tensor_of(leaf) if isinstance(leaf, np.ndarray) else leaf


def _following(set_attribute: Callable[..., None]) -> Callable[..., None]:
    """`__setattr__` of a class that may keep layers in lists."""

    @wraps(set_attribute)
    def __setattr__(self: Layer, name: str, value: Any) -> None:
        forget(self, name)
        if isinstance(value, nn.Module):
            follow(self)  # so that what stands in a list by now comes first
        set_attribute(self, name, value)

    return __setattr__


def _forgetting(delete_attribute: Callable[..., None]) -> Callable[..., None]:
    """`__delattr__` of such a class."""

    @wraps(delete_attribute)
    def __delattr__(self: Layer, name: str) -> None:
        forget(self, name)
        delete_attribute(self, name)

    return __delattr__


def _telling_weights(get_attribute: Callable[..., Any]) -> Callable[..., Any]:
    """`__getattr__` of a class whose own weights have Keras's words: `self.total.assign_add(...)` in its `call`."""

    @wraps(get_attribute)
    def __getattr__(self: Layer, name: str) -> Any:
        found = get_attribute(self, name)
        if type(found) not in (Tensor, nn.Parameter) or torch.compiler.is_compiling():
            return found
        own, new = vars(self).get("_weight_infos", ()), vars(self).get("_new_weights", ())
        made = name in own or any(each is found for each, _, _ in new)
        return in_words_of_keras(found) if made else found

    return __getattr__


def _once(build: Callable[..., None]) -> Callable[..., None]:
    """`build` that makes nothing a second time, and after which the layer is built."""

    @wraps(build)
    def once(self: Layer, *shapes: Any, **named: Any) -> None:
        if self._is_building:  # `super().build(shape)` in the build of a subclass
            build(self, *shapes, **named)
        elif not self.built:
            # all in here, so that it stays when the layer is built while one around it is only tried
            with building(self):
                own = self.__dict__
                own["_is_building"], own["_built_on"] = True, (*shapes, *named.values())
                try:
                    build(self, *shapes, **named)
                    self._settle()
                finally:
                    own["_is_building"] = False

    return once


Layer.build = _once(Layer.build)  # type: ignore[method-assign]


def in_mode(module: nn.Module, training: bool, call: Callable[[], Any]) -> Any:
    """One call with the module in training or inference mode, whatever its mode is."""
    modes = [(each, each.training) for each in module.modules()]
    module.train(training)
    try:
        return call()
    finally:
        for each, mode in modes:
            each.training = mode


def _forward_from(call: Callable[..., Any]) -> Callable[..., Any]:
    """`forward` for a layer that has `call`; `training` is the module's own mode where it is not given."""
    parameters = list(inspect.signature(call).parameters)
    if "training" not in parameters:
        return call
    position = parameters.index("training") - 1

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        training = args[position] if len(args) > position else kwargs.get("training")
        if training is None:
            if len(args) <= position:
                kwargs["training"] = self.training
        elif self._modules and training is not self.training:
            # it reaches what `call` calls
            return in_mode(self, bool(training), lambda: call(self, *args, **kwargs))
        return call(self, *args, **kwargs)

    forward.__signature__ = inspect.signature(call)  # type: ignore[attr-defined]
    return forward


def masks_of(tree: Any) -> Any:
    """The mask of each symbol in a structure of them, None where it has none."""
    return map_leaves(lambda leaf: leaf.mask if isinstance(leaf, SymbolicTensor) else None, tree)


def _any_mask(masks: Any) -> bool:
    return any(leaf is not None for leaf in leaves(masks))


def _is_of_tensors(value: Any) -> bool:
    found = list(leaves(value))
    return bool(found) and all(isinstance(leaf, (SymbolicTensor, Tensor)) for leaf in found)


def serialize(layer: nn.Module) -> dict[str, Any]:
    """A layer as `{"class_name": ..., "config": {...}}`, without its weights.

    Args:
        layer: a layer or a model.

    Returns:
        A dict that JSON can hold.

    Raises:
        SavingError: a class or an argument that no file can name.

    Example:
        >>> layers.serialize(layers.Flatten(name="flat"))["class_name"]
        'Flatten'
    """
    written: dict[str, Any] = described(layer, getattr(layer, "name", type(layer).__name__))
    return written


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The layer that `serialize` wrote, with new weights.

    Args:
        config: what `serialize` gave.
        custom_objects: classes and functions of yours by the names in it.

    Returns:
        A layer that is not built.

    Raises:
        ConfigError: a config that makes no layer.
        UnknownNameError: a class or function that nobody knows.

    Example:
        >>> layers.deserialize({"class_name": "Dense", "config": {"units": 3}}).units
        3
    """
    with registry.custom_object_scope(custom_objects):
        return made(config, "layers.deserialize")


def _unknown_argument(kind: type[Layer], name: str) -> GraphError:
    """The error for a constructor argument that a layer does not have."""
    known = argument_names(kind)
    close = nearest(name, known)
    hint = f"Did you mean {close!r}?" if close else f"It takes: {', '.join(known)}."
    return GraphError(f"{kind.__name__} has no argument {name!r}. {hint}")


def _brief(value: Any) -> str:
    """An argument as a repr shows it: a function by its name."""
    name = getattr(value, "__name__", None) if callable(value) else None
    return repr(name or registry.activations.name_of(value) or value)


def _without(kwargs: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if key != name}


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


@cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(_signature(function).parameters)


@cache
def _names_a_mask(function: Callable[..., Any]) -> bool:
    """Whether a method has an argument for a mask."""
    return any(name.endswith("mask") for name in _parameters(function))


@cache
def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether a method can be called with one argument."""
    try:
        _signature(function).bind(None, None)
    except TypeError:
        return False
    return True


def _accepts(kind: type[Layer], argument: str) -> bool:
    """Whether the forward of a layer class takes an argument by that name."""
    return argument in _parameters(kind.forward)


def _shapes_for(kind: type[Layer], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """The arguments of `build`: the shape of the first input, or one for each that `build` names."""
    names = _parameters(kind.build)[1:]
    if len(names) <= 1:
        first = args[0] if args else next(iter(kwargs.values()), None)
        shape = first.spec.shape if type(first) is SymbolicTensor else map_leaves(_shape_of, first)
        return [shape] * len(names)
    given = {**dict(zip(_parameters(kind.forward), (None, *args), strict=False)), **kwargs}
    return [map_leaves(_shape_of, given.get(name.removesuffix("_shape"))) for name in names]


def _shape_of(value: Any) -> Any:
    if isinstance(value, SymbolicTensor):
        return value.spec.shape
    return tuple(value.shape) if isinstance(value, (Tensor, np.ndarray)) else value


def _spec_of(value: Any) -> Any:
    if isinstance(value, SymbolicTensor):
        return value.spec
    return Spec.of(tuple(value.shape), value.dtype) if isinstance(value, Tensor) else None


def map_shapes(function: Callable[[Any], Any], shapes: Any) -> Any:
    """`function` applied to a shape, or to each of a list or dict of shapes."""
    if isinstance(shapes, dict):
        return {key: map_shapes(function, each) for key, each in shapes.items()}
    if isinstance(shapes, (list, tuple)) and shapes and isinstance(shapes[0], (list, tuple, dict)):
        return [map_shapes(function, each) for each in shapes]
    return function(shapes)
