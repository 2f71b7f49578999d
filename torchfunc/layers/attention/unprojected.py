"""Attention without projections: by the product of query and key, or by a function of their sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import ShapeError, explain
from torchfunc.layers.arguments import choice, fraction, known
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.regularization import Dropout


class _Scored(Layer):
    """A layer on [query, value] or [query, value, key] that says how much a query looks at a key."""

    supports_masking: bool = True
    _makes_mask = False
    dropout: float
    use_scale: bool
    scale: Tensor | None
    # whether scores are made, so that a module can drop some of them
    _writes_scores: bool = False

    def _keep(self, dropout: float, seed: int | None) -> None:
        self.dropout = fraction(type(self).__name__, "dropout", dropout)
        self.seed = seed
        if dropout:
            self._dropout_layer = Dropout(dropout, seed=seed)

    def check_input(self, *shapes: Any) -> None:
        given = shapes[0]
        if not isinstance(given, (list, tuple)) or not all(isinstance(each, tuple) for each in given):
            number = "one tensor"
        elif len(given) in (2, 3):
            return
        else:
            number = f"a list of {len(given)} tensors"
        raise ShapeError(
            explain(
                f"{type(self).__name__} {self.name!r}",
                got=number,
                expected="[query, value] or [query, value, key]",
                fix="layer([x, x]) attends to itself",
            )
        )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else mask[0]

    def scores_of(self, query: Tensor, key: Tensor) -> Tensor:
        """How much each query looks at each key: (..., queries, keys)."""
        raise NotImplementedError(f"{type(self).__name__} must say how much a query looks at a key.")

    def forward(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (None, None) if mask is None else mask[:2]
        kept = None if value_mask is None else value_mask.bool().unsqueeze(-2)
        if use_causal_mask:
            causal = query.new_ones((query.shape[-2], key.shape[-2]), dtype=torch.bool).tril()
            kept = causal if kept is None else kept & causal
        bias = (
            None
            if kept is None
            else query.new_zeros(()).masked_fill(~kept, -65504.0 if query.dtype is torch.float16 else -1e9)
        )
        drops = bool(self.dropout) and (self.training if training is None else training)
        outputs, scores = self._attended(query, key, value, bias, drops, return_attention_scores)
        if query_mask is not None:
            outputs = outputs.masked_fill(~query_mask.bool().unsqueeze(-1), 0)
        return (outputs, scores) if return_attention_scores else outputs

    def _attended(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, drops: bool, with_scores: bool
    ) -> tuple[Tensor, Tensor | None]:
        scores = self.scores_of(query, key)
        scores = torch.softmax(scores if bias is None else scores + bias, -1)
        return dropped(self, scores, drops) @ value, scores

    def native_form(self, into: Any, *args: Any, **kwargs: Any) -> Any:
        return recorded_with_scores(self, into, args, kwargs)


def dropped(layer: Any, scores: Tensor, drops: bool) -> Tensor:
    """The scores of an attention, some of which are dropped in training."""
    if layer.dropout and layer._writes_scores:
        return layer._dropout_layer(scores)  # type: ignore[no-any-return]
    return layer._dropout_layer(scores, training=True) if drops else scores


def recorded_with_scores(layer: Any, into: Any, args: Any, kwargs: Any) -> Any:
    """What an attention calls; where it drops scores, it makes them, so that a module of torch.nn can drop them."""
    layer._writes_scores = bool(layer.dropout)
    try:
        return into.recorded(layer, *args, **kwargs)
    finally:
        del layer._writes_scores


@registry.layers.register()
class Attention(_Scored):
    """Values averaged by `softmax(query @ key)` (Luong et al. 2015), for sequences that are projected already.

    Called on [query, value] or [query, value, key]: (batch, queries, features), (batch, keys, size) and (batch,
    keys, features) to (batch, queries, size); with `return_attention_scores=True` also the scores, (batch, queries,
    keys). `mask=[query_mask, value_mask]` comes with masked inputs by itself; `use_causal_mask=True` hides what
    comes later.

    Args:
        use_scale: whether the scores are multiplied by a number that is trained.
        score_mode: "dot" for the product; "concat" for a trained multiple of the sum of `tanh(query + key)`.
        dropout: the share of scores that is dropped in training.
        seed: with one, every run of the same program drops the same scores.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: another score_mode, a dropout that is not from 0 to 1.
        ShapeError: not two or three inputs.

    Example:
        >>> query, value = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 5.0], [3.0, 7.0]]])
        >>> layers.Attention()([query, value])  # all scores are equal
        tensor([[[2., 6.]]])
        >>> layers.Attention()([query, value], return_attention_scores=True)[1]
        tensor([[[0.5000, 0.5000]]])
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.use_scale = use_scale
        self.score_mode = choice("Attention", "score_mode", score_mode, ("dot", "concat"))
        self._keep(dropout, seed)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((), "ones") if self.use_scale else None
        self.concat_score_weight = self.add_weight((), "ones") if self.score_mode == "concat" else None

    def scores_of(self, query: Tensor, key: Tensor) -> Tensor:
        if self.concat_score_weight is None:
            scores = query @ key.transpose(-2, -1)
            return scores if self.scale is None else scores * self.scale
        both = query.unsqueeze(-2) + key.unsqueeze(-3)
        both = both if self.scale is None else both * self.scale
        return self.concat_score_weight * torch.tanh(both).sum(-1)

    def _attended(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, drops: bool, with_scores: bool
    ) -> tuple[Tensor, Tensor | None]:
        seeded = drops and self.seed is not None
        if with_scores or self._writes_scores or self.concat_score_weight is not None or seeded:
            return super()._attended(query, key, value, bias, drops, with_scores)
        query = query if self.scale is None else query * self.scale
        # one head, for the fused kernels take four dimensions
        query, key, value = (each.unsqueeze(-3) for each in (query, key, value))
        bias = bias if bias is None or bias.ndim == 2 else bias.unsqueeze(-3)
        rate = self.dropout if drops else 0.0
        return F.scaled_dot_product_attention(query, key, value, bias, rate, scale=1.0).squeeze(-3), None


@registry.layers.register()
class AdditiveAttention(_Scored):
    """Values averaged by `softmax(sum(scale * tanh(query + key)))` (Bahdanau et al. 2015).

    It is called as Attention is; query and key have the same number of features.

    Args:
        use_scale: whether there is a trained factor for each feature.
        dropout: the share of scores that is dropped in training.
        seed: with one, every run of the same program drops the same scores.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> query, value = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
        >>> layers.AdditiveAttention()([query, value]).shape
        torch.Size([2, 3, 8])
    """

    def __init__(
        self,
        use_scale: bool = True,
        dropout: float = 0.0,
        seed: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.use_scale = use_scale
        self._keep(dropout, seed)

    def build(self, input_shape: Any) -> None:
        features = known(self, input_shape[0], -1, "features")
        self.scale = self.add_weight((features,), "glorot_uniform") if self.use_scale else None

    def scores_of(self, query: Tensor, key: Tensor) -> Tensor:
        both = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))
        return (both if self.scale is None else both * self.scale).sum(-1)
