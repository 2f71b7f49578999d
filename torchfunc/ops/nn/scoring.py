"""Scoring: labels as vectors, and how far a prediction is from its target."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc import settings
from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.ops.conversion import Array, DType, kind_of, result_type, tensors, to_dtype, to_tensor
from torchfunc.ops.op import op


def _dense(sparse: bool | None) -> None:
    if sparse:
        raise GraphError("sparse=True: there are no sparse tensors here. Fix: leave it out.")


@op
def one_hot(x: Array, num_classes: int, axis: int = -1, dtype: DType = None, sparse: bool = False) -> Tensor:
    """A one at the place of each label along a new axis; nothing for a label that is not in 0 .. num_classes - 1.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        num_classes: how many classes there are.
        axis: the axis, counted from the end where negative.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.
        sparse: must be False: there are no sparse tensors.

    Returns:
        A tensor with one axis more, of `num_classes`.

    Example:
        >>> ops.one_hot([0, 2], 3)
        tensor([[1., 0., 0.],
                [0., 0., 1.]])
    """
    _dense(sparse)
    labels = to_tensor(x).long()
    return _one_hot(labels, num_classes, axis).to(to_dtype(dtype))


def _one_hot(labels: Tensor, num_classes: int, axis: int) -> Tensor:
    hot = labels.unsqueeze(-1) == torch.arange(num_classes, device=labels.device)
    return hot.movedim(-1, axis)


@op
def multi_hot(
    inputs: Array, num_classes: int, axis: int = -1, dtype: DType = None, sparse: bool = False
) -> Tensor:
    """A one at the place of each label of a row: (batch, labels) to (batch, num_classes).

    Args:
        inputs: the classes (..., n).
        num_classes: how many classes there are.
        axis: the axis, counted from the end where negative.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.
        sparse: must be False: there are no sparse tensors.

    Returns:
        A tensor whose last axis is replaced by one of `num_classes`.

    Example:
        >>> ops.multi_hot([0, 2], 3)
        tensor([1., 0., 1.])
    """
    _dense(sparse)
    labels = to_tensor(inputs).long()
    return _one_hot(labels, num_classes, axis).to(to_dtype(dtype)).amax(1 if labels.ndim > 1 else 0)


def _alike(name: str, target: Tensor, output: Tensor) -> None:
    if target.shape != output.shape:
        shapes = f"{tuple(target.shape)} and {tuple(output.shape)}"
        fix = "target.reshape(output.shape)"
        raise ShapeError(explain(name, got=shapes, expected="target and output of one shape", fix=fix))


def _clipped(output: Tensor) -> Tensor:
    return output.clamp(settings.epsilon(), 1.0 - settings.epsilon())


@op
def binary_crossentropy(target: Array, output: Array, from_logits: bool = False) -> Tensor:
    """`-(t log p + (1 - t) log(1 - p))` of each number, p clipped to 1e-7 .. 1 - 1e-7.

    Args:
        target: the truth.
        output: the prediction.
        from_logits: whether the prediction has not yet gone through a softmax or sigmoid.

    Returns:
        A loss for each value.

    Raises:
        ShapeError: target and output differ in shape.

    Example:
        >>> ops.binary_crossentropy([0.0, 1.0], [0.5, 0.5])
        tensor([0.6931, 0.6931])
    """
    target, output = tensors(target, output)
    _alike("binary_crossentropy", target, output)
    if from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    return F.binary_cross_entropy(_clipped(output), target, reduction="none")


def _log_probabilities(output: Tensor, axis: int, *, from_logits: bool) -> Tensor:
    if from_logits:
        return output.log_softmax(axis)
    return _clipped(output / output.sum(axis, keepdim=True)).log()


@op
def categorical_crossentropy(
    target: Array, output: Array, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """`-sum(t log p)` along an axis, for targets that are probabilities.

    Args:
        target: the truth.
        output: the prediction.
        from_logits: whether the prediction has not yet gone through a softmax or sigmoid.
        axis: the axis, counted from the end where negative.

    Returns:
        A loss for each sample, without `axis`.

    Raises:
        ShapeError: target and output differ in shape.

    Example:
        >>> ops.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([0.6931])
    """
    target, output = tensors(target, output)
    _alike("categorical_crossentropy", target, output)
    return -(target * _log_probabilities(output, axis, from_logits=from_logits)).sum(axis)


@op
def sparse_categorical_crossentropy(
    target: Array, output: Array, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """`-log p` of the class that each target names.

    Args:
        target: the truth.
        output: the prediction.
        from_logits: whether the prediction has not yet gone through a softmax or sigmoid.
        axis: the axis, counted from the end where negative.

    Returns:
        A loss for each sample, without `axis`.

    Raises:
        ShapeError: the target is not the output without its axis of classes.

    Example:
        >>> ops.sparse_categorical_crossentropy([1], [[0.5, 0.5]])
        tensor([0.6931])
    """
    target, output = tensors(target, output)
    target = target.long()
    if target.ndim == output.ndim and target.shape[axis] == 1:
        target = target.squeeze(axis)
    logs = _log_probabilities(output, axis, from_logits=from_logits).movedim(axis, -1)
    _alike("sparse_categorical_crossentropy, without the axis of classes", target, logs[..., 0])
    return -logs.gather(-1, target.unsqueeze(-1)).squeeze(-1)


@op
def psnr(x1: Array, x2: Array, max_val: float) -> Tensor:
    """The peak signal-to-noise ratio in decibels: `20 log10(max_val) - 10 log10(mean((x1 - x2)^2))`.

    Args:
        x1: the values on the left.
        x2: the values on the right.
        max_val: the largest value that there can be.

    Returns:
        A tensor of one value, in decibels.

    Example:
        >>> ops.psnr([0.0, 1.0], [0.0, 0.9], max_val=1.0)
        tensor(23.0103)
    """
    x1, x2 = tensors(x1, x2)
    _alike("psnr", x1, x2)
    return 20 * math.log10(max_val) - 10 * torch.log10(torch.mean((x1 - x2) ** 2))


@op
def ctc_loss(
    target: Array, output: Array, target_length: Array, output_length: Array, mask_index: int = 0
) -> Tensor:
    """`-log` of the probability of a transcript, over all its alignments (Graves et al. 2006).

    Args:
        target: (batch, labels) integers.
        output: (batch, steps, classes) logits.
        target_length: (batch,) how many labels of each row count.
        output_length: (batch,) how many steps of each row count.
        mask_index: the class that stands for no label.

    Returns:
        A loss for each sequence.

    Raises:
        ShapeError: a label that is no class, or a length beyond what there is.

    Example:
        >>> ops.ctc_loss([[1]], ops.zeros((1, 2, 3)), [1], [2])
        tensor([1.0986])
    """
    target, output, target_length, output_length = tensors(target, output, target_length, output_length)
    logs = output.to(result_type(kind_of(output), torch.float32)).log_softmax(-1)
    if logs.is_meta:  # PyTorch asks for the lengths' values
        return logs.sum((1, 2))
    within = (("a target", target, logs.shape[-1] - 1), ("a target_length", target_length, target.shape[1]))
    for what, values, most in (*within, ("an output_length", output_length, logs.shape[1])):
        if bool(((values < 0) | (values > most)).any()):  # PyTorch would read memory there
            raise ShapeError(
                f"ctc_loss: {what} is not in 0 .. {most}. Fix: look at the labels and their lengths."
            )
    lengths = (output_length.long(), target_length.long())
    return F.ctc_loss(logs.transpose(0, 1), target.long(), *lengths, blank=mask_index, reduction="none")


@op
def ctc_decode(
    inputs: Array,
    sequence_lengths: Array,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Tensor, Tensor]:
    """The most probable transcripts of (batch, steps, classes).

    Args:
        inputs: the scores (batch, steps, classes).
        sequence_lengths: how long each sequence is.
        strategy: "greedy" or "beam_search".
        beam_width: how many paths are kept.
        top_paths: how many paths are given.
        merge_repeated: whether a label that repeats counts once.
        mask_index: the label that stands for nothing.

    Returns:
        The labels, (paths, batch, steps) int32 with -1 after the last; and a score for each: of "greedy" minus
        the sum of the largest inputs, (batch, 1), of "beam_search" the log of the probability, (batch, paths).

    Raises:
        GraphError: an unknown strategy.

    Example:
        >>> labels, scores = ops.ctc_decode([[[0.1, 0.9], [0.9, 0.1]]], [2])
        >>> labels
        tensor([[[ 1, -1]]], dtype=torch.int32)
    """
    x, lengths = tensors(inputs, sequence_lengths)
    x = x.to(result_type(kind_of(x), torch.float32))
    if strategy == "greedy":
        return _greedy(x, lengths, mask_index, merge_repeated=merge_repeated)
    if strategy != "beam_search":
        raise GraphError(
            explain("strategy", got=repr(strategy), expected="'greedy' or 'beam_search'", fix="'greedy'")
        )
    batch, steps, _ = x.shape
    paths = torch.full((top_paths, batch, steps), -1, dtype=torch.int32, device=x.device)
    scores = x.new_full((batch, top_paths), float("-inf"))
    if x.is_meta:
        return paths, scores
    for row, (logs, length) in enumerate(zip(x.log_softmax(-1).tolist(), lengths.tolist(), strict=True)):
        for place, (labels, score) in enumerate(
            _beams(logs[: int(length)], beam_width, mask_index)[:top_paths]
        ):
            paths[place, row, : len(labels)] = torch.tensor(labels, dtype=torch.int32)
            scores[row, place] = score
    return paths, scores


def _greedy(x: Tensor, lengths: Tensor, blank: int, *, merge_repeated: bool) -> tuple[Tensor, Tensor]:
    best, labels = x.max(-1)
    over = torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)
    labels = labels.masked_fill(over, blank)
    silent = labels == blank
    if merge_repeated:
        silent = silent | F.pad(labels[:, 1:] == labels[:, :-1], (1, 0))
    order = silent.to(torch.uint8).argsort(dim=-1, stable=True)
    packed = labels.masked_fill(silent, -1).gather(-1, order).to(torch.int32)
    return packed.unsqueeze(0), -best.masked_fill(over, 0.0).sum(1, keepdim=True)


def _beams(logs: list[list[float]], width: int, blank: int) -> list[tuple[tuple[int, ...], float]]:
    """The transcripts with their log probabilities, best first (Graves 2012, section 7.5).

    Of each it keeps two numbers: of the alignments that end with no label, and of those that end with one.
    """
    none = float("-inf")
    beams: dict[tuple[int, ...], list[float]] = {(): [0.0, none]}
    for row in logs:
        longer: dict[tuple[int, ...], list[float]] = {}

        def add(
            labels: tuple[int, ...], place: int, score: float, into: dict[tuple[int, ...], list[float]]
        ) -> None:
            both = into.setdefault(labels, [none, none])
            both[place] = _log_sum(both[place], score)

        for labels, (silent, spoken) in beams.items():
            total = _log_sum(silent, spoken)
            for label, log in enumerate(row):
                if label == blank:
                    add(labels, 0, total + log, longer)
                elif labels and labels[-1] == label:
                    add(labels, 1, spoken + log, longer)
                    add((*labels, label), 1, silent + log, longer)
                else:
                    add((*labels, label), 1, total + log, longer)
        beams = dict(sorted(longer.items(), key=lambda item: -_log_sum(*item[1]))[:width])
    return sorted(((labels, _log_sum(*both)) for labels, both in beams.items()), key=lambda item: -item[1])


def _log_sum(one: float, other: float) -> float:
    high, low = max(one, other), min(one, other)
    return high if low == float("-inf") else high + math.log1p(math.exp(low - high))
