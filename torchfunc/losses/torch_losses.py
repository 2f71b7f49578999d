"""Losses of PyTorch, as a table: what each takes for an output, and what for a target."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from torchfunc.errors import DataError, explain

Takes = Literal["logits", "log_probabilities", "probabilities"]


class Signature(NamedTuple):
    """What a loss takes.

    Attributes:
        module: its class; its name is that of the function in the table.
        outputs: what the output has to be; None for any numbers.
        targets: "numbers" of the output's dtype, "classes" (indices, or probabilities shaped like the
            output), or "indices" alone.
        activation: what makes probabilities of such outputs.
    """

    module: type[nn.Module]
    outputs: Takes | None
    targets: Literal["numbers", "classes", "indices"]
    activation: Literal["softmax", "sigmoid"] | None = None


SIGNATURES = {
    "cross_entropy": Signature(nn.CrossEntropyLoss, "logits", "classes", "softmax"),
    "nll_loss": Signature(nn.NLLLoss, "log_probabilities", "indices", "softmax"),
    "multi_margin_loss": Signature(nn.MultiMarginLoss, None, "indices"),
    "multilabel_margin_loss": Signature(nn.MultiLabelMarginLoss, None, "indices"),
    "binary_cross_entropy_with_logits": Signature(nn.BCEWithLogitsLoss, "logits", "numbers", "sigmoid"),
    "multilabel_soft_margin_loss": Signature(nn.MultiLabelSoftMarginLoss, "logits", "numbers", "sigmoid"),
    "soft_margin_loss": Signature(nn.SoftMarginLoss, "logits", "numbers", "sigmoid"),
    "binary_cross_entropy": Signature(nn.BCELoss, "probabilities", "numbers", "sigmoid"),
    "kl_div": Signature(nn.KLDivLoss, "log_probabilities", "numbers", "softmax"),
    "mse_loss": Signature(nn.MSELoss, None, "numbers"),
    "l1_loss": Signature(nn.L1Loss, None, "numbers"),
    "huber_loss": Signature(nn.HuberLoss, None, "numbers"),
    "smooth_l1_loss": Signature(nn.SmoothL1Loss, None, "numbers"),
    "poisson_nll_loss": Signature(nn.PoissonNLLLoss, None, "numbers"),
    "gaussian_nll_loss": Signature(nn.GaussianNLLLoss, None, "numbers"),
    "hinge_embedding_loss": Signature(nn.HingeEmbeddingLoss, None, "numbers"),
}


def signature(function: Any) -> Signature | None:
    """What a module or function of PyTorch takes; None where the table does not have it."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, nn.Module):
        return next((each for each in SIGNATURES.values() if isinstance(function, each.module)), None)
    return SIGNATURES.get(getattr(function, "__name__", ""))


def setting(function: Callable[..., Any], name: str, default: Any = None) -> Any:
    """An argument of a loss as it was given: `reduction`, `weight`, `ignore_index`."""
    keywords: Any = function.keywords if isinstance(function, partial) else {}
    return getattr(function, name, keywords.get(name, default))


def fitted(name: str, known: Signature | None, y_true: Tensor, y_pred: Tensor) -> Tensor:
    """A target as the loss wants it, where there is no doubt about it.

    Raises:
        DataError: a crossentropy over a single class, which is 0 whatever the target.
    """
    if known is None:
        return y_true
    if known.targets == "numbers":
        return y_true if y_true.is_floating_point() else y_true.to(_dtype(y_pred))
    if known.activation is not None and y_pred.ndim > 1 and y_pred.shape[1] == 1:
        raise DataError(
            explain(
                f"Loss {name!r}",
                got=f"outputs of shape {tuple(y_pred.shape)}",
                expected="at least 2 classes",
                why="the probability of a single class is always 1, so nothing would be learned",
                fix="loss=nn.BCEWithLogitsLoss()",
            )
        )
    if known.targets == "classes" and y_true.shape == y_pred.shape:
        return y_true if y_true.is_floating_point() else y_true.to(_dtype(y_pred))
    if y_true.ndim == y_pred.ndim > 1 and y_true.shape[1] == 1:
        y_true = y_true.squeeze(1)
    return y_true.long()


def _dtype(y_pred: Tensor) -> torch.dtype:
    """The output's; under autocast, which computes losses in float32, at least that."""
    if torch.is_autocast_enabled(y_pred.device.type):
        return torch.promote_types(y_pred.dtype, torch.float32)
    return y_pred.dtype


def counted(known: Signature | None, function: Any, y_true: Tensor) -> Tensor | None:
    """How much each of the class indices counts in the mean of a loss; None if all count as one."""
    if known is None or known.activation is None or y_true.is_floating_point():
        return None
    ignored, weight = setting(function, "ignore_index", -100), setting(function, "weight")
    counts: Tensor = y_true != ignored
    return counts if weight is None else counts * weight[torch.where(counts, y_true, 0)]


def misfit(loss: Any, activation: str, output: str) -> str | None:
    """What to say of a loss whose output was made by this activation; None where the two go together.

    Args:
        loss: a Loss; what it takes is its `takes`.
        activation: "softmax", "sigmoid", "log_softmax" or "log_sigmoid"; None is said of others.
        output: the output's name.
    """
    gives = _GIVES.get(activation)
    # a softmax of log-probabilities gives back the probabilities
    if gives is None or loss.takes in (None, gives) or (activation, loss.takes) == ("log_softmax", "logits"):
        return None
    if loss.takes == "logits":
        fault, fix = "takes logits: what makes probabilities is applied twice", "activation=None in its layer"
    elif loss.takes == "log_probabilities":
        fault, fix = "takes it for log-probabilities", "activation='log_softmax' in its layer"
    else:
        fault, fix = (
            "takes it for probabilities",
            f"activation={activation.removeprefix('log_')!r} in its layer",
        )
    other = "binary_crossentropy" if "sigmoid" in activation else "sparse_categorical_crossentropy"
    also = "" if gives == "log_probabilities" else f", or loss={other!r}"
    return f"The output {output!r} is a {activation} already, and its loss {loss.name!r} {fault}. Fix: {fix}{also}."


_GIVES: dict[str, Takes] = {
    "softmax": "probabilities",
    "sigmoid": "probabilities",
    "log_softmax": "log_probabilities",
    "log_sigmoid": "log_probabilities",
}
