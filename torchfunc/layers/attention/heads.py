"""Attention of several heads: projections, a softmax of how much each query looks at each key, a projection back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from typing_extensions import Unpack

from torchfunc import activations, registry, regularizers
from torchfunc.config import described, writes_once
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import count, fraction, one_shape
from torchfunc.layers.attention.einsum import EinsumDense
from torchfunc.layers.attention.unprojected import dropped, recorded_with_scores
from torchfunc.layers.layer import CommonButActivity, Layer
from torchfunc.layers.regularization import Dropout

_NOT_FLASH = [SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class _Heads(Layer):
    """What both layers share; a subclass says how many heads there are, and how large they are."""

    supports_masking: bool = True
    _autocast = False
    _integers = "cast"
    # heads of queries and of keys and values, sizes of keys and values, and of the result where it is given
    _sizes: tuple[int, int, int, int, tuple[int, ...] | None]
    attention_axes: tuple[int, ...] | None = None
    dropout: float
    use_bias: bool
    use_gate: bool
    sliding_window: int | None
    flash_attention: bool | None
    seed: int | None
    # whether scores are made, so that a module can drop some of them
    _writes_scores: bool = False

    def _keep(
        self,
        weights: dict[str, Any],
        *,
        dropout: float,
        use_bias: bool,
        use_gate: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        seed: int | None,
        activity_regularizer: Any,
    ) -> None:
        """Keep the arguments that both layers have."""
        owner = type(self).__name__
        self.dropout = fraction(owner, "dropout", dropout)
        self.use_bias, self.use_gate, self.seed = use_bias, use_gate, seed
        self.sliding_window = sliding_window
        if sliding_window is not None:
            self.sliding_window = count(owner, "sliding_window", sliding_window)
        self.flash_attention = flash_attention
        if flash_attention and dropout:
            raise self._no_flash(f"dropout={dropout}")
        for word in ("kernel", "bias"):
            each = (weights[f"{word}_{part}"] for part in ("initializer", "regularizer", "constraint"))
            self._describe_weight(word, *each)
        # the projections have it, as in Keras, so that the layer itself must not add it once more
        self._activity = regularizers.get(activity_regularizer)
        if dropout:
            self._dropout_layer = Dropout(dropout, seed=seed)

    def _no_flash(self, got: str) -> GraphError:
        return GraphError(
            explain(
                type(self).__name__,
                got=f"{got} with flash_attention=True",
                expected="neither dropout nor scores, which that kernel does not give",
                fix="flash_attention=None",
            )
        )

    @writes_once
    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self._activity is not None:
            config["activity_regularizer"] = described(self._activity, "activity_regularizer", self.name)
        return config

    def check_input(self, *shapes: Any) -> None:
        given = [each for each in shapes[:3] if each is not None]
        for shape in given:
            one_shape(self, shape, 3, "(batch, steps, features)")
        ranks = {len(each) for each in given}
        if len(ranks) > 1:
            raise self.wrong(given, "query, value and key of one rank")
        if len(given) == 3 and not _may_be(given[1][1:-1], given[2][1:-1]):
            raise self.wrong(given[2], f"a key of as many steps as the value, {given[1]}")
        if self.built:
            for shape, name in zip(shapes, ("query", "value", "key"), strict=False):
                if shape is not None:
                    getattr(self, f"{name}_dense").check_input(shape)

    def build(  # type: ignore[override]
        self, query_shape: Any, value_shape: Any, key_shape: Any = None
    ) -> None:
        if value_shape is None:
            raise GraphError(
                explain(
                    f"{type(self).__name__} {self.name!r}",
                    got="a query alone",
                    expected="a query and a value",
                    fix="layer(x, x) attends to itself",
                )
            )
        heads, pairs, key_size, value_size, output = self._sizes
        rank = len(query_shape)
        given = range(1, rank - 1) if self.attention_axes is None else self.attention_axes
        self._axes = tuple(axis % rank for axis in given)
        batch = [axis for axis in range(rank - 1) if axis not in self._axes]
        self._batch = len(batch)
        self._inward = (*batch, rank - 1, *self._axes, rank)
        self._outward = tuple(self._inward.index(axis) for axis in range(rank + 1))
        key_shape = value_shape if key_shape is None else key_shape
        self.query_dense = self._projection("query", query_shape, "...a,abc->...bc", (heads, key_size))
        self.key_dense = self._projection("key", key_shape, "...a,abc->...bc", (pairs, key_size))
        if self.use_gate:
            self.gate_dense = self._projection(
                "gate", query_shape, "...a,abc->...bc", (heads, value_size), activation="sigmoid"
            )
        self.value_dense = self._projection("value", value_shape, "...a,abc->...bc", (pairs, value_size))
        output = query_shape[-1:] if output is None else output
        letters = "cdefghijkl"[: len(output)]
        inner = (*query_shape[:-1], heads, value_size)
        self.output_dense = self._projection(
            "attention_output", inner, f"...ab,ab{letters}->...{letters}", output
        )

    def _projection(
        self, name: str, shape: Any, equation: str, sizes: tuple[int, ...], activation: Any = None
    ) -> EinsumDense:
        words = [
            f"{each}_{part}"
            for each in ("kernel", "bias")
            for part in ("initializer", "regularizer", "constraint")
        ]
        options = {word: getattr(self, word) for word in words}
        letters = equation.partition("->...")[2]
        layer = EinsumDense(
            equation,
            sizes,
            activation,
            letters if self.use_bias else None,
            **options,
            activity_regularizer=self._activity,
            name=name,
            dtype=self.dtype,
            trainable=self._trainable,
        )
        layer._watch_no_more()
        layer.build(shape)
        return layer

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        if return_attention_scores and self.flash_attention:
            raise self._no_flash("return_attention_scores=True")
        gate = self.gate_dense(query) if self.use_gate else None
        heads = (
            self.query_dense(query),
            self.key_dense(value if key is None else key),
            self.value_dense(value),
        )
        lengths = [[each.shape[axis] for axis in self._axes] for each in heads[:2]]
        q, k, v = (self._heads_first(each) for each in heads)
        mask = _both(attention_mask, None if query_mask is None else query_mask.unsqueeze(-1))
        for each in (value_mask, key_mask):
            mask = _both(mask, None if each is None else each.unsqueeze(-2))
        mask = None if mask is None else self._spread(mask, *lengths)
        drops = bool(self.dropout) and (self.training if training is None else training)
        if return_attention_scores or self._writes_scores or (drops and self.seed is not None):
            outputs, scores = self._by_scores(q, k, v, mask, use_causal_mask, drops)
        else:
            outputs, scores = self._in_one_call(q, k, v, mask, use_causal_mask, drops), None
        outputs = self._heads_back(outputs, lengths[0])
        result = self.output_dense(outputs if gate is None else outputs * gate)
        if scores is None or not return_attention_scores:
            return result
        for at, sizes in ((-1, lengths[1]), (-1 - len(lengths[1]), lengths[0])):
            scores = scores if len(sizes) == 1 else scores.unflatten(at, sizes)  # type: ignore[no-untyped-call]
        return result, scores

    def _heads_first(self, x: Tensor) -> Tensor:
        """(..., heads, steps, size), with all axes that are attended over as one."""
        x = x.permute(self._inward)
        return x if len(self._axes) == 1 else x.flatten(self._batch + 1, -2)

    def _heads_back(self, x: Tensor, lengths: list[int]) -> Tensor:
        x = x if len(lengths) == 1 else x.unflatten(-2, lengths)  # type: ignore[no-untyped-call]
        return x.permute(self._outward)

    def _spread(self, mask: Tensor, queries: list[int], keys: list[int]) -> Tensor:
        """A mask that lacks the heads, and maybe the batch, as one that broadcasts to the scores."""
        number = len(self._axes)
        while mask.ndim < self._batch + 1 + 2 * number:
            mask = mask.unsqueeze(-2 * number - 1)
        if number == 1:
            return mask
        mask = mask.expand(*mask.shape[: -2 * number], *queries, *keys)
        return mask.flatten(-number).flatten(-number - 1, -2)

    def _in_one_call(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, drops: bool
    ) -> Tensor:
        """By the fused kernel, which makes no scores."""
        if mask is not None or self.sliding_window is not None:
            mask = _both(mask, self._by_place(query, key, causal))
            causal = False
        if mask is not None and not self.dropout:
            # as in Keras, a query that may look nowhere looks everywhere alike; with dropout it sees zeros
            mask = query.new_zeros(()).masked_fill(~mask, 0.7 * torch.finfo(query.dtype).min)
        with self._kernels():
            return F.scaled_dot_product_attention(
                query,
                key,
                value,
                mask,
                self.dropout if drops else 0.0,
                causal,
                scale=self._sizes[2] ** -0.5,
                enable_gqa=query.shape[-3] != key.shape[-3],
            )

    def _kernels(self) -> AbstractContextManager[Any]:
        if self.flash_attention is None:
            return nullcontext()
        return sdpa_kernel(SDPBackend.FLASH_ATTENTION if self.flash_attention else _NOT_FLASH)

    def _by_scores(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, drops: bool
    ) -> tuple[Tensor, Tensor]:
        """Written out; the scores that are returned are those before dropout."""
        groups = query.shape[-3] // key.shape[-3]
        if groups > 1:
            key, value = (each.repeat_interleave(groups, -3) for each in (key, value))
        scores = (query * self._sizes[2] ** -0.5) @ key.transpose(-2, -1)
        mask = _both(mask, self._by_place(query, key, causal))
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min / 2)
        scores = activations.softmax(scores)
        if mask is not None:
            scores = scores.masked_fill(~mask, 0.0)
        return dropped(self, scores, drops) @ value, scores

    def native_form(self, into: Any, *args: Any, **kwargs: Any) -> Any:
        return recorded_with_scores(self, into, args, kwargs)

    def _by_place(self, query: Tensor, key: Tensor, causal: bool) -> Tensor | None:
        """The mask that follows from where a query and a key stand: (queries, keys)."""
        if not causal and self.sliding_window is None:
            return None
        mask = query.new_ones((query.shape[-2], key.shape[-2]), dtype=torch.bool)
        if self.sliding_window is not None:
            mask = mask.triu(1 - self.sliding_window)
        return mask.tril(0 if causal else self.sliding_window - 1)  # type: ignore[operator]


def _both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """What two masks keep, as bools; None where there is none."""
    one, other = (each if each is None or each.dtype is torch.bool else each.bool() for each in (one, other))
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _may_be(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


@registry.layers.register()
class MultiHeadAttention(_Heads):
    """Attention of several heads (Vaswani et al. 2017).

    Each head has a query of its own for each step of `query`, and a key and a value for each step of `value`.
    Its result is the mean of the values, weighted by `softmax(query @ key / sqrt(key_dim))`. It is computed by
    `torch.nn.functional.scaled_dot_product_attention`, unless the scores are asked for.

    Called on `query` (batch, steps, features), `value` (batch, others, features) and, if it is another one,
    `key`; any dimensions may stand in place of one of steps. Masks: `query_mask`, `value_mask` and `key_mask`,
    (batch, steps) each, come with masked inputs by themselves; `attention_mask` is (batch, steps, others), or with
    the heads in second place; `use_causal_mask=True` hides what comes later. True is what may be looked at.

    Args:
        num_heads: the number of heads.
        key_dim: the size of a query and of a key.
        value_dim: the size of a value; `key_dim` if None.
        dropout: the share of scores that is dropped in training.
        use_bias: whether the projections have a bias.
        output_shape: the size or sizes of the result's features; those of the query if None.
        attention_axes: the axes that are attended over; all but the batch and the features if None.
        sliding_window: with n, a query sees keys that are less than n steps away.
        flash_attention: True for that kernel or an error, False for any other, None for the best.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
        kernel_constraint, bias_constraint: as for Dense, for each projection.
        use_gate: whether the result is multiplied by a sigmoid of a projection of the query.
        seed: with one, every run of the same program drops the same scores.
        name, trainable, dtype, input_shape: as for every Layer.

    Raises:
        GraphError: a number that is no positive integer; dropout or scores with `flash_attention=True`.
        ShapeError: inputs of different ranks, or of fewer than 3 dimensions.

    Example:
        >>> attend = layers.MultiHeadAttention(num_heads=4, key_dim=16)
        >>> x, memory = torch.ones(2, 5, 8), torch.ones(2, 7, 8)
        >>> attend(x, x, use_causal_mask=True).shape
        torch.Size([2, 5, 8])
        >>> y, scores = attend(x, memory, return_attention_scores=True)
        >>> scores.shape  # (batch, heads, steps, steps of memory)
        torch.Size([2, 4, 5, 7])
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **common: Unpack[CommonButActivity],
    ) -> None:
        weights = {key: value for key, value in locals().items() if key.startswith(("kernel_", "bias_"))}
        super().__init__(**common)
        self.num_heads = count("MultiHeadAttention", "num_heads", num_heads)
        self.key_dim = count("MultiHeadAttention", "key_dim", key_dim)
        self.value_dim = (
            self.key_dim if value_dim is None else count("MultiHeadAttention", "value_dim", value_dim)
        )
        self.output_shape = _as_tuple(output_shape)
        self.attention_axes = _as_tuple(attention_axes)
        self._sizes = (num_heads, num_heads, self.key_dim, self.value_dim, self.output_shape)
        self._keep(
            weights,
            dropout=dropout,
            use_bias=use_bias,
            use_gate=use_gate,
            sliding_window=sliding_window,
            flash_attention=flash_attention,
            seed=seed,
            activity_regularizer=activity_regularizer,
        )


def _as_tuple(value: int | Sequence[int] | None) -> tuple[int, ...] | None:
    return None if value is None else (value,) if isinstance(value, int) else tuple(value)


@registry.layers.register("GroupQueryAttention", "GroupedQueryAttention")
class GroupQueryAttention(_Heads):
    """Attention in which several heads of queries share one head of keys and values (Ainslie et al. 2023).

    It is called as MultiHeadAttention is, on sequences (batch, steps, features).

    Args:
        head_dim: the size of a query, a key and a value.
        num_query_heads: the number of heads of queries.
        num_key_value_heads: the number of heads of keys and values, which divides the other.
        dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer,
        kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, use_gate,
        seed: as for MultiHeadAttention.
        name, trainable, dtype, input_shape: as for every Layer.

    Raises:
        GraphError: as MultiHeadAttention; numbers of heads that do not divide each other.

    Example:
        >>> x = torch.randn(2, 5, 8)
        >>> layers.GroupQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
        torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **common: Unpack[CommonButActivity],
    ) -> None:
        weights = {key: value for key, value in locals().items() if key.startswith(("kernel_", "bias_"))}
        super().__init__(**common)
        owner = "GroupQueryAttention"
        self.head_dim = count(owner, "head_dim", head_dim)
        self.num_query_heads = count(owner, "num_query_heads", num_query_heads)
        self.num_key_value_heads = count(owner, "num_key_value_heads", num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            raise GraphError(
                explain(
                    owner,
                    got=f"num_query_heads={num_query_heads} and num_key_value_heads={num_key_value_heads}",
                    expected="a number of query heads that the other divides",
                )
            )
        self._sizes = (num_query_heads, num_key_value_heads, head_dim, head_dim, None)
        self._keep(
            weights,
            dropout=dropout,
            use_bias=use_bias,
            use_gate=use_gate,
            sliding_window=sliding_window,
            flash_attention=flash_attention,
            seed=seed,
            activity_regularizer=activity_regularizer,
        )

    def check_input(self, *shapes: Any) -> None:
        super().check_input(*shapes)
        if len(shapes[0]) != 3:
            raise self.wrong(shapes[0], "3 dimensions (batch, steps, features)")
