"""Convolving: passes over the lines of a step by which images take less time and less memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from torchfunc.training.recording.lines import Line, Lines, Value
from torchfunc.tree import map_leaves

LARGE = 2**14  # numbers that it is worth more than one call to make
_aten = torch.ops.aten
_SHAPING = frozenset("_unsafe_view clone expand permute squeeze sum transpose unsqueeze view".split())
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


def gradients_below_upsampling(lines: Lines) -> Lines:
    """The gradient of a convolution of what was repeated is taken of what was there before: by a third of the work.

    To repeat each number and to move a kernel over that step by step is to move a larger kernel over the numbers,
    transposed, by as many steps as each is repeated. It has the sums of the weights under each window of this size.
    """
    readers = _readers(lines)
    makers = {line.results: line for line in lines.lines if _only_shapes(line)}
    made: list[list[Line]] = [[line] for line in lines.lines]
    for at, line in enumerate(lines.lines):
        if line.name != "convolution_backward" or not _moves_by_one_step(line):
            continue
        up = _repeating(line.args[1], makers)
        down = up and _summing(line.results[0], next(up[0].takes()), lines, readers)
        if not up or not down:
            continue
        source, start = next(up[0].takes()), lines.lines.index(up[0])
        if any(value.memory == source.memory for each in lines.lines[start:at] for value in each.changes()):
            continue
        made[at] = list(_below(line, source, lines.lines[down[-1]].results))
        for each in down:
            made[each] = []
    return replace(lines, lines=[line for each in made for line in each])


def _only_shapes(line: Line) -> bool:
    """Whether what a line makes has the numbers of one tensor in another shape, or sums of them."""
    single = isinstance(line.results, Value) and len(list(line.takes())) == 1
    return single and line.name in _SHAPING and line.out is None


def _moves_by_one_step(line: Line) -> bool:
    x, weight, _, steps, padding, dilation, transposed, more, groups, wanted = line.args[1:]
    return (
        len(weight.shape) == 4
        and list(steps) == list(dilation) == [1, 1]
        and groups == 1
        and not any(more)
        and wanted[:2] == [True, True]
        and (transposed or all(each < size for each, size in zip(padding, weight.shape[2:], strict=True)))
        and math.prod(x.shape) >= LARGE
    )


def _repeating(repeated: Value, makers: Mapping[Value, Line]) -> list[Line]:
    """The lines that repeat each number of an image, whose channels lie last, in height and width; none if it was not."""
    chain: list[Line] = []
    value = repeated
    while value in makers:
        chain.insert(0, makers[value])
        value = next(chain[0].takes())
        if _is_smaller(value, repeated):
            times = _times(value, repeated)
            numbers = torch.arange(math.prod(value.shape), dtype=torch.int32)
            numbers = numbers.as_strided(value.shape, value.strides)
            expected = numbers.repeat_interleave(times[0], 2).repeat_interleave(times[1], 3)
            return chain if torch.equal(_done(chain, value, numbers), expected) else []
    return []


def _summing(large: Value, small: Value, lines: Lines, readers: Mapping[Value, list[int]]) -> list[int]:
    """Which lines add up what goes back to each number that was repeated; none if it is not that."""
    chain: list[int] = []
    value = large
    while len(readers[value]) == 1 and _only_shapes(lines.lines[readers[value][0]]):
        chain.append(readers[value][0])
        value = lines.lines[chain[-1]].results
        if value.place == small.place:
            height, width = _times(small, large)
            numbers = torch.arange(math.prod(large.shape), dtype=torch.int32)
            numbers = numbers.as_strided(large.shape, large.strides)
            split = numbers.reshape(*small.shape[:3], height, -1, width)
            found = _done([lines.lines[each] for each in chain], large, numbers)
            return chain if torch.equal(found, split.sum((3, 5))) else []
    return []


def _is_smaller(value: Value, repeated: Value) -> bool:
    """Whether one may be the other before it was repeated: an image of the same channels, which lie last."""
    if len(value.shape) != 4 or value.shape[:2] != repeated.shape[:2] or value.shape == repeated.shape:
        return False
    _, channels, height, width = value.shape
    fits = all(whole % part == 0 for whole, part in zip(repeated.shape, value.shape, strict=True))
    last = value.strides == (channels * height * width, 1, channels * width, channels)
    return fits and last and value.offset == 0


def _times(small: Value, large: Value) -> list[int]:
    return [whole // part for whole, part in zip(large.shape[2:], small.shape[2:], strict=True)]


def _done(chain: Iterable[Line], value: Value, numbers: torch.Tensor) -> torch.Tensor:
    """What a chain of lines makes of other numbers."""

    def known(leaf: Any) -> Any:
        return numbers if isinstance(leaf, Value) else leaf

    for line in chain:
        numbers = line.function(*map_leaves(known, line.args), **line.kwargs)
    return numbers


def _below(line: Line, source: Value, result: Value) -> Iterator[Line]:
    gradient, repeated, weight, sizes, _, padding, dilation, transposed, more, groups, wanted = line.args
    steps, of_weight = _times(source, repeated), line.results[1]
    pooling = steps, [1, 1], [0, 0], False, True, 1  # not divided: sums
    count = 1

    def made(name: str, *shape: int) -> Value:
        nonlocal count
        count += 1
        strides = torch.empty(shape, device="meta").stride()
        return Value(
            "made", f"{weight.name}_{name}", -of_weight.memory - count, (weight.place[0], shape, strides, 0)
        )

    kernel = weight
    if not transposed:
        flipped = made("flipped", *weight.shape)
        yield Line(_aten.flip.default, (weight, [2, 3]), {}, flipped)
        kernel = made("turned", weight.shape[1], weight.shape[0], *weight.shape[2:])
        yield Line(_aten.transpose.int, (flipped, 0, 1), {}, kernel)
        padding = [size - 1 - each for size, each in zip(weight.shape[2:], padding, strict=True)]
    more_of_it = [size + step - 1 for size, step in zip(kernel.shape[2:], steps, strict=True)]
    edges = [steps[1] - 1, steps[1] - 1, steps[0] - 1, steps[0] - 1]
    wide = made(
        "wide", *kernel.shape[:2], *(size + step - 1 for size, step in zip(more_of_it, steps, strict=True))
    )
    yield Line(_aten.constant_pad_nd.default, (kernel, edges), {}, wide)
    summed = made("summed", *kernel.shape[:2], *more_of_it)
    yield Line(_aten.avg_pool2d.default, (wide, *pooling), {}, summed)
    of_summed = made("summed_grad", *summed.shape)
    args = gradient, source, summed, sizes, steps, padding, dilation, True, more, groups, wanted
    yield Line(line.function, args, {}, (result, of_summed, line.results[2]))
    if transposed:
        yield Line(_aten.avg_pool2d.default, (of_summed, *pooling), {}, of_weight)
    else:
        turned = made("turned_grad", *kernel.shape)
        yield Line(_aten.avg_pool2d.default, (of_summed, *pooling), {}, turned)
        flipped = made("flipped_grad", *weight.shape)
        yield Line(_aten.transpose.int, (turned, 0, 1), {}, flipped)
        yield Line(_aten.flip.default, (flipped, [2, 3]), {}, of_weight)


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
