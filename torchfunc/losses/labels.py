"""Losses whose targets are labels: of embeddings, of sequences, and of classes that may be labelled wrongly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc import registry
from torchfunc.errors import CompileError, DataError, explain
from torchfunc.losses.loss import Loss, Reduction, as_tensor, floating


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """Near for embeddings of one label, far for those of others: `softplus` of the two log-sums of weighted distances.

    Source: Sun et al. 2020.

    Args:
        y_true: Labels (n,) or (n, 1).
        y_pred: Embeddings (n, d) of length 1.
        ref_labels: Labels (m,) of the embeddings that they are compared with; `y_true` if None.
        ref_embeddings: Those embeddings (m, d); `y_pred` if None.
        remove_diagonal: Whether no embedding is compared with itself.
        gamma: A scale.
        margin: How much slack the distances have.

    Returns:
        One value (n,) for each embedding.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> losses.circle([0, 0, 1], embeddings, gamma=1.0)  # the third has no other of its label
        tensor([1.1989, 1.0899, 0.0000])
    """
    y_pred = floating(y_pred)
    references = y_pred if ref_embeddings is None else floating(ref_embeddings)
    labels = as_tensor(y_true).reshape(-1)
    others = labels if ref_labels is None else as_tensor(ref_labels).reshape(-1)
    same = labels.unsqueeze(1) == others.unsqueeze(0)
    near, far = same, ~same
    if remove_diagonal:
        near = near & ~torch.eye(*same.shape, dtype=torch.bool, device=same.device)
    distance = (1 - y_pred @ references.T).clamp(min=0.0)
    pull = -gamma * (margin + distance).clamp(min=0.0) * (margin - distance)
    push = gamma * (1 + margin - distance).clamp(min=0.0) * (1 - margin - distance)
    return F.softplus(_log_sum(pull, near) + _log_sum(push, far))


def _log_sum(values: Tensor, counted: Tensor) -> Tensor:
    """The logarithm of the sum of exponentials of those that count; minus infinity where none does."""
    none = ~counted.any(1)
    # a row without any would have no gradient but NaN
    filled = values.masked_fill(~counted & ~none.unsqueeze(1), -torch.inf)
    return torch.logsumexp(filled, 1).masked_fill(none, -torch.inf)


def ctc(y_true: Any, y_pred: Any) -> Tensor:
    """How unlikely a sequence of labels is under logits for every step, however it is spread over the steps.

    Source: Graves et al. 2006.

    Args:
        y_true: Labels (n, length) from 1; 0 fills up what is shorter, and stands for the blank.
        y_pred: Logits (n, steps, classes).

    Returns:
        One value (n,) for each sequence.

    Raises:
        DataError: targets that are no matrix, or outputs without three axes.

    Example:
        >>> logits = torch.zeros(1, 3, 3)  # three steps, of a blank and two labels, all equally likely
        >>> losses.ctc([[1, 2]], logits)  # five of the 27 ways say 1, 2: log(27 / 5)
        tensor([1.6864])
    """
    labels, y_pred = as_tensor(y_true), floating(y_pred)
    if labels.ndim != 2 or y_pred.ndim != 3:
        got = f"targets of shape {tuple(labels.shape)} for outputs of shape {tuple(y_pred.shape)}"
        expected = "targets (batch, length) and outputs (batch, steps, classes)"
        raise DataError(explain("Loss 'ctc'", got=got, expected=expected))
    steps = torch.full((len(y_pred),), y_pred.shape[1], dtype=torch.int64)
    lengths = (labels != 0).sum(-1)
    log_probabilities = y_pred.transpose(0, 1).log_softmax(-1)
    return F.ctc_loss(log_probabilities, labels.long(), steps, lengths, reduction="none")


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Tensor:
    """`(1 - p^q) / q`, p the probability of the right class: crossentropy for q near 0, absolute error for q near 1.

    Source: Zhang and Sabuncu 2018.

    Args:
        y_true: Class indices (n,) or (n, 1).
        y_pred: Probabilities (n, classes).
        q: Above 0 and below 1; the larger, the less a wrong label pulls.

    Returns:
        One value (n,) for each sample, from 0, where the right class is sure, to `1 / q`.

    Raises:
        DataError: targets that are no class indices of the predictions' shape.

    Example:
        >>> losses.categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5)  # (1 - 0.25^0.5) / 0.5
        tensor([1.])
    """
    y_pred, labels = floating(y_pred), as_tensor(y_true).long()
    if labels.ndim == y_pred.ndim and labels.shape[-1] == 1:
        labels = labels.squeeze(-1)
    if labels.shape != y_pred.shape[:-1]:
        got = f"targets of shape {tuple(labels.shape)} for outputs of shape {tuple(y_pred.shape)}"
        expected = f"class indices of shape {tuple(y_pred.shape[:-1])}"
        raise DataError(explain("Loss 'categorical_generalized_cross_entropy'", got=got, expected=expected))
    right = y_pred.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return torch.div(1 - right.pow(q), q)


@registry.losses.register("Circle", "circle")
class Circle(Loss):
    """Near for embeddings of one label, far for those of others; see `circle`.

    Args:
        gamma: A scale.
        margin: How much slack the distances have.
        remove_diagonal: Whether no embedding is compared with itself.
        reduction: See `Loss`.
        name: Its name in messages.
        dtype: See `Loss`.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> losses.Circle(gamma=1.0)(torch.tensor([0, 0, 1]), embeddings)  # the mean over those that have a pair
        tensor(1.1444)
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.gamma, self.margin, self.remove_diagonal = gamma, margin, remove_diagonal

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return circle(
            y_true, y_pred, remove_diagonal=self.remove_diagonal, gamma=self.gamma, margin=self.margin
        )

    def _figure(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any, mask: Tensor | None) -> Tensor:
        values = self.per_sample(y_true, y_pred)
        return self._reduce(values, sample_weight, values > 0, mask)  # a mean is over those that have a pair


@registry.losses.register("CTC", "ctc")
class CTC(Loss):
    """How unlikely a sequence of labels is, however it is spread over the steps; see `ctc`.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.CTC()(torch.tensor([[1, 2], [1, 0]]), torch.zeros(2, 3, 3))
        tensor(1.5952)
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "ctc",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ctc(y_true, y_pred)


@registry.losses.register("CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy")
class CategoricalGeneralizedCrossEntropy(Loss):
    """A crossentropy that a wrong label pulls less; see `categorical_generalized_cross_entropy`.

    Args:
        q: above 0 and below 1; the larger, the less a wrong label pulls.
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Raises:
        CompileError: a `q` that does not lie between 0 and 1.

    Example:
        >>> losses.CategoricalGeneralizedCrossEntropy()([1, 0], [[0.75, 0.25], [1.0, 0.0]])
        tensor(0.5000)
    """

    _of_probabilities = True

    def __init__(
        self,
        q: float = 0.5,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        if not 0 < q < 1:
            raise CompileError(
                explain(type(self).__name__, got=f"q={q!r}", expected="a number between 0 and 1")
            )
        self.q = q

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return categorical_generalized_cross_entropy(y_true, y_pred, self.q)
