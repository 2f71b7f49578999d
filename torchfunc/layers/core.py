"""The core layers: Dense, Embedding, and those that only pass values on or call a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import activations, registry
from torchfunc.errors import GraphError, explain
from torchfunc.graph.symbolic import dtype_of
from torchfunc.layers.arguments import count, keeps_shape, known, one_shape, same_width
from torchfunc.layers.layer import Common, CommonButActivity, Layer
from torchfunc.layers.weights import under_keras_name

_linear = activations.linear
_in_place = activations.in_place


@registry.layers.register()
class Dense(Layer):
    """`activation(x @ kernel + bias)` over the last dimension; what `nn.Linear` computes.

    Shapes: (batch, ..., features) to (batch, ..., units).

    Args:
        units: the number of features of the output.
        activation: a name or a function; None leaves the sum as it is.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: how the weights begin.
        kernel_regularizer, bias_regularizer: what the weights add to the loss.
        kernel_constraint, bias_constraint: what the weights are put through after each step.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: `units` is no positive integer.

    Example:
        >>> layer = layers.Dense(2, activation="relu", kernel_initializer="ones")
        >>> layer([[1.0, 2.0]]).detach()
        tensor([[3., 3.]])
        >>> layer.kernel.shape  # (features, units), as Keras has it
        torch.Size([2, 2])
    """

    supports_masking: bool = True
    activates_output: ClassVar[bool] = True
    _autocast = False
    _integers = "cast"
    kernel: ClassVar[Any] = under_keras_name("weight")
    units: int
    use_bias: bool
    _is_flat: bool

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **common: Unpack[CommonButActivity],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **common)
        self._set_plainly(units=count("Dense", "units", units), use_bias=use_bias)
        self._set_activation(activations.get(activation))
        self._describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        features = known(self, input_shape, -1, "features")
        self._set_plainly(_is_flat=len(input_shape) == 2)
        self.weight = self._make_weight("kernel", (features, self.units), layout=(1, 0))
        self.bias = self._make_weight("bias", (self.units,)) if self.use_bias else None

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0], 2, "(batch, ..., features)")
        same_width(self, shape, -1, self.weight.shape[1] if self.built else None, "features")

    @property
    def output_shape_for(self) -> Any:
        return self._stated_shape if keeps_shape(self.activation) else None

    def _stated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-1], self.units)

    def forward(self, inputs: Tensor) -> Tensor:
        # the dict first: nn.Module's own look-up of each takes longer than the look at both dtypes
        parameters = self._parameters
        weight: Tensor | None = parameters.get("weight")
        if weight is None:
            weight = self.weight
        if inputs.dtype is not weight.dtype:
            inputs = self._cast_to(weight.dtype, inputs)
        bias = parameters.get("bias")
        outputs = F.linear(inputs, weight, self.bias if bias is None else bias)
        activation = self.activation
        if activation is _linear:
            return outputs
        if self.before_activation is not None:
            return self.activated(outputs)
        # a result of more than two dimensions is a view, on which in-place work costs more than it saves
        return (_in_place(activation) if self._is_flat else activation)(outputs)

    def native_form(self, into: Any, inputs: Any) -> Any:
        units, features = self.weight.shape
        state = {"weight": self.weight, "bias": self.bias}
        linear = into.module(self, nn.Linear, features, units, bias=self.bias is not None, state=state)
        return into.activated(self.activation, linear(inputs))


@registry.layers.register()
class Activation(Layer):
    """An activation function as a layer.

    Args:
        activation: a name or a function of one tensor.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Activation("relu")([-1.0, 2.0])
        tensor([0., 2.])
    """

    supports_masking: bool = True
    activates_output: ClassVar[bool] = True
    _integers = "tried"

    def __init__(self, activation: Any, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.activation = activations.get(activation)

    @property
    def output_shape_for(self) -> Any:
        return tuple if keeps_shape(self.activation) else None

    def forward(self, inputs: Tensor) -> Tensor:
        return self.activated(inputs)

    def native_form(self, into: Any, inputs: Any) -> Any:
        return into.activated(self.activation, inputs)


_INDEX_TYPES = (torch.int64, torch.int32)


class WithTable(Common, total=False):
    """What an Embedding takes after its own arguments; no config holds a table."""

    weights: Any


@registry.layers.register()
class Embedding(Layer):
    """A row of a table for each whole number; what `nn.Embedding` computes.

    Shapes: (batch, ...) of whole numbers from 0 to `input_dim - 1` to (batch, ..., output_dim). Numbers
    of a floating dtype are cut to whole ones.

    Args:
        input_dim: the number of rows: the largest number that may come, plus one.
        output_dim: the length of a row.
        embeddings_initializer: how the table begins.
        embeddings_regularizer: what it adds to the loss.
        embeddings_constraint: what it is put through after each step.
        mask_zero: whether 0 means "nothing here": layers that follow are told to pass over it.
        weights: a table to begin with, (input_dim, output_dim), or a list of that one. A config does not hold it:
            tables are saved as weights.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Embedding(100, 4)([[1, 5, 99]]).shape
        torch.Size([1, 3, 4])
        >>> layers.Embedding(2, 2, weights=np.eye(2))([1, 0]).detach()
        tensor([[0., 1.],
                [1., 0.]])
    """

    _autocast = False  # indices would lose their last digits
    embeddings: ClassVar[Any] = under_keras_name("weight")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        **common: Unpack[WithTable],
    ) -> None:
        weights = common.pop("weights", None)
        super().__init__(**common)
        self.input_dim = count("Embedding", "input_dim", input_dim)
        self.output_dim = count("Embedding", "output_dim", output_dim)
        self._describe_weight(
            "embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint
        )
        self.mask_zero = self.supports_masking = mask_zero
        self._table = weights if weights is None or isinstance(weights, list) else [weights]

    def build(self, input_shape: Any = None) -> None:
        self.weight = self._make_weight("embeddings", (self.input_dim, self.output_dim))
        if self._table is not None:
            self.set_weights(self._table)
            self._table = None

    def check_input(self, *shapes: Any) -> None:
        one_shape(self, shapes[0])

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape, self.output_dim)

    def output_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return self.weight.dtype

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return inputs != 0 if self.mask_zero else None

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.dtype not in _INDEX_TYPES:
            inputs = inputs.long()
        return F.embedding(inputs, self.weight)

    def native_form(self, into: Any, inputs: Any) -> Any:
        table = into.module(
            self, nn.Embedding, self.input_dim, self.output_dim, state={"weight": self.weight}
        )
        return table(inputs if inputs.dtype in _INDEX_TYPES else inputs.long())


@registry.layers.register()
class ReversibleEmbedding(Embedding):
    """An Embedding that also projects back: `layer(x, reverse=True)` gives a logit for each row (Press and Wolf 2016).

    Shapes: as Embedding; in reverse (batch, ..., output_dim) to (batch, ..., input_dim).

    Args:
        input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero,
        weights: as for Embedding.
        tie_weights: whether the way back goes by the table itself; by weights of its own if not.
        reverse_dtype: the dtype of the way back; that of the table if None.
        logit_soft_cap: with c, the logits are `c * tanh(logits / c)`.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layer = layers.ReversibleEmbedding(100, 4)
        >>> x = layer([[1, 5, 99]])
        >>> x.shape, layer(x, reverse=True).shape
        (torch.Size([1, 3, 4]), torch.Size([1, 3, 100]))
    """

    output_shape_for: ClassVar[Any] = None

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: torch.dtype | str | None = None,
        logit_soft_cap: float | None = None,
        **common: Unpack[WithTable],
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **common,
        )
        self.tie_weights, self.logit_soft_cap = tie_weights, logit_soft_cap
        self.reverse_dtype = None if reverse_dtype is None else dtype_of(reverse_dtype)

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            shape = (self.output_dim, self.input_dim)
            self.reverse_weight = self.add_weight(shape, self.embeddings_initializer, layout=(1, 0))

    native_form = Layer.native_form

    def _hand_on_mask(self, outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not (args[1] if len(args) > 1 else kwargs.get("reverse")):
            super()._hand_on_mask(outputs, args, kwargs)

    def forward(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            return super().forward(inputs)
        weight = self.weight if self.tie_weights else self.reverse_weight
        weight = weight if self.reverse_dtype is None else weight.to(self.reverse_dtype)
        logits = F.linear(self._cast(inputs, weight), weight)
        cap = self.logit_soft_cap
        return logits if cap is None else torch.tanh(logits / cap) * cap


@registry.layers.register()
class Identity(Layer):
    """Gives back what it is called on.

    Args:
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Identity()([1.0, 2.0])
        tensor([1., 2.])
    """

    supports_masking: bool = True

    def forward(self, inputs: Any) -> Any:
        return inputs


@registry.layers.register()
class Masking(Layer):
    """Marks the steps at which every feature equals `mask_value`, for layers that follow to pass over.

    Such a step is set to zero. Shapes: (batch, steps, features) stays.

    Args:
        mask_value: the value that means "nothing here".
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> x = tf.Input((3, 2))
        >>> layers.Masking()(x).mask.shape  # (batch, steps), which an LSTM that follows passes over
        (None, 3)
    """

    def __init__(self, mask_value: float = 0.0, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.mask_value = mask_value

    def check_input(self, *shapes: Any) -> None:
        one_shape(self, shapes[0], 2, "(batch, ..., features)")

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return (inputs != self.mask_value).any(-1)

    def forward(self, inputs: Tensor) -> Tensor:
        # not a product with the mask: what is masked may be nan or infinite
        return inputs.masked_fill((inputs == self.mask_value).all(-1, keepdim=True), 0)


@registry.layers.register()
class Lambda(Layer):
    """A function as a layer.

    Whatever works on tensors may be called in a graph without this layer; it gives the call a name.

    Args:
        function: a function of a tensor, or its registered name. It is also given `mask` and `training`
            where it has arguments of these names.
        output_shape: the shape of one sample of the result; found by trying `function` if None or a function.
        mask: a function (inputs, mask) -> mask, or None.
        arguments: further keyword arguments for the function.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a `function` that cannot be called.
        UnknownNameError: a name that no function is registered by.

    Example:
        >>> layers.Lambda(lambda x: x**2)([1.0, -3.0])
        tensor([1., 9.])
    """

    def __init__(
        self,
        function: Callable[..., Any] | str,
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.function = registry.activations.lookup(function) if isinstance(function, str) else function
        if not callable(self.function):
            raise GraphError(explain("Lambda", got=f"function={function!r}", expected="a function"))
        if isinstance(output_shape, str):
            output_shape = registry.activations.lookup(output_shape)
        plain = output_shape is None or callable(output_shape)
        self.output_shape = output_shape if plain else tuple(output_shape)
        self.mask = registry.activations.lookup(mask) if isinstance(mask, str) else mask
        self.supports_masking = mask is not None
        self.arguments = dict(arguments or {})
        self._wants = {name: _takes(self.function, name) for name in ("mask", "training")}

    @property
    def output_shape_for(self) -> Any:
        stated = self.output_shape
        return self._stated_shape if isinstance(stated, tuple) and None not in stated else None

    def _stated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *(self.output_shape or ()))

    def _takes_mask(self, argument: str = "mask") -> bool:
        return argument == "mask" and self._wants["mask"]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def forward(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        keywords = dict(self.arguments)
        if self._wants["mask"]:
            keywords["mask"] = mask
        if self._wants["training"]:
            keywords["training"] = self.training if training is None else training
        return self.function(inputs, **keywords)


def _takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of that name; a built-in one that does not say has none."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
