"""Convolving: passes over the lines of a step by which images take less time and less memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from torchfunc.training.recording.lines import Line, Lines, Value

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
