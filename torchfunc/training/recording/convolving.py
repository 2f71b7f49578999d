"""Convolving: passes over the lines of a step by which images take less time and less memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from torchfunc.training.recording.lines import Line, Lines, Value

LARGE = 2**14  # numbers that it is worth more than one call to make
_aten = torch.ops.aten
_POOL = "max_pool2d_with_indices"


def biases_by_sums(lines: Lines) -> Lines:
    """The gradient of a convolution's bias is a plain sum, which takes a tenth of what oneDNN takes for it."""
    made: list[Line] = []
    for line in lines.lines:
        if line.name == "convolution_backward" and line.args[-1][2] and isinstance(line.results[2], Value):
            *rest, (of_input, of_weight, _) = line.args
            gradient, bias = line.args[0], line.results[2]
            axes = [axis for axis in range(len(gradient.shape)) if axis != 1]
            if of_input or of_weight:
                results = (*line.results[:2], None)
                made.append(replace(line, args=(*rest, [of_input, of_weight, False]), results=results))
            made.append(Line(_aten.sum.dim_IntList, (gradient, axes), {}, bias))
        else:
            made.append(line)
    return replace(lines, lines=made)


def one_channel_by_products(lines: Lines) -> Lines:
    """A transposed convolution to one channel is a product, whose rows are added up where they belong.

    oneDNN computes eight channels or more even where one is wanted: this takes a third of its time.
    """
    made: list[Line] = []
    for line in lines.lines:
        made.extend(_by_product(line) if line.name == "convolution" and _makes_one_channel(line) else [line])
    return replace(lines, lines=made)


def _makes_one_channel(line: Line) -> bool:
    """Whether it is a transposed convolution to one channel, of images that are large and lie with their channels last."""
    x, weight, *_, transposed, _, groups = line.args
    if not transposed or groups != 1 or len(weight.shape) != 4 or weight.shape[1] != 1:
        return False
    _, channels, height, width = x.shape
    return bool(
        math.prod(line.results.shape) >= LARGE
        and weight.offset == 0
        and x.strides == (channels * height * width, 1, channels * width, channels)
        and weight.strides[0] == math.prod(weight.shape[2:])
        and weight.strides[2:] == (weight.shape[3], 1)
    )


def _by_product(line: Line) -> Iterator[Line]:
    x, weight, bias, strides, padding, dilation, *_ = line.args
    (count, channels, height, width), size = x.shape, weight.shape[2:]
    taps, pixels, result = math.prod(size), height * width, line.results

    def view(of: Value, *place: Any) -> Line:
        seen = Value(
            "made", f"{result.name}_{of.kind}", of.memory, (of.place[0], *map(tuple, place), of.offset)
        )
        return Line(_aten.as_strided.default, (of, *place), {}, seen)

    yield (kernels := view(weight, [count, taps, channels], [0, 1, taps]))
    yield (images := view(x, [count, channels, pixels], [channels * pixels, 1, channels]))
    shape = count, taps, pixels
    place = result.place[0], shape, (taps * pixels, pixels, 1), 0
    products = Value("made", f"{result.name}_products", -result.memory - 1, place)
    yield Line(_aten.bmm.default, (kernels.results, images.results), {}, products)
    geometry = list(result.shape[2:]), list(size), dilation, padding, strides
    yield Line(_aten.col2im.default, (products, *geometry), {}, result)
    if bias is not None:
        yield Line(_aten.add_.Tensor, (result, bias), {}, result)


def relu_after_pooling(lines: Lines) -> Lines:
    """The gradient of relu is taken of what was pooled to the largest, of which there is less than went into it.

    It is let through to a number where that is above 0, and the number that it goes to is the one that was pooled.
    """
    pools = {line.results[1]: at for at, line in enumerate(lines.lines) if line.name == _POOL}
    readers, made = _readers(lines), list(lines.lines)
    for at, line in enumerate(lines.lines):
        if line.name != f"{_POOL}_backward" or line.args[-1] not in pools or len(readers[line.results]) != 1:
            continue
        start, end = pools[line.args[-1]], readers[line.results][0]
        relu, gradient, before, largest = lines.lines[end], *line.args[:2], lines.lines[start].results[0]
        if (
            relu.name == "threshold_backward"
            and (relu.args[0], relu.args[1]) == (line.results, before)
            and relu.results.place == line.results.place
            and gradient.place == largest.place
            and not {each.memory for between in lines.lines[start:end] for each in between.changes()}
            & {before.memory, largest.memory}
        ):
            few = Value("made", f"{gradient.name}_few", -relu.results.memory, gradient.place)
            made[at] = replace(relu, args=(gradient, largest, relu.args[2]), results=few)
            made[end] = replace(line, args=(few, *line.args[1:]), results=relu.results)
    return replace(lines, lines=made)


def _readers(lines: Lines) -> Mapping[Value, list[int]]:
    """Which lines read a value; one that is told in the end, two more do."""
    found: dict[Value, list[int]] = {value: [-1, -1] for value in lines.told()}
    for at, line in enumerate(lines.lines):
        for value in (*line.takes(), *line.makes()):
            found.setdefault(value, [])
        for value in set(line.takes()):
            found[value].append(at)
    return found
