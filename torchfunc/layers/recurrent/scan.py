"""A cell along a sequence: by PyTorch's own kernel where there is one, else step by step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from torchfunc.graph.probing.meta import may_state
from torchfunc.layers.recurrent.cell import RecurrentCell, StackedRNNCells, output_size, takes_training
from torchfunc.tree import leaves, map_leaves

Step = Callable[[Tensor, Any], Any]

# sigmoid of it is 1, and of its negative 0, in every dtype; and half precision can hold it
_SATURATED = 1e4


def run(
    cell: Any,
    inputs: Tensor,
    states: Any,
    mask: Tensor | None,
    *,
    training: bool,
    sequences: bool,
    zero_output: bool = False,
    keep_states: bool = False,
) -> tuple[Tensor, Any]:
    """Repeat a cell over the steps of a sequence.

    Args:
        cell: of any kind.
        inputs: (batch, time, ...).
        states: those before the first step, in the cell's own structure.
        mask: (batch, time), False where a step is to be passed over; or None.
        training: whether dropout is at work.
        sequences: whether every output is wanted, or the last alone.
        zero_output: whether the output of a masked step is zero; else it is the output before it.
        keep_states: whether the states after the last step are wanted.

    Returns:
        The output, (batch, time, ...) or (batch, ...), and the last states; of the states that are not
        wanted only the first has a meaning.
    """
    if isinstance(cell, StackedRNNCells):
        return _run_stack(cell, inputs, states, mask, training, sequences, zero_output, keep_states)
    if not isinstance(cell, RecurrentCell):
        keywords = {"training": training} if takes_training(type(cell)) else {}
        return _loop(partial(cell, **keywords), inputs, states, mask, sequences, zero_output)
    name = cell.kernel(training)
    if name is None:
        step = partial(cell.step, drops=cell.state_drops(states[0], training))
        return _loop(step, cell.project(inputs, training), states, mask, sequences, zero_output)
    inputs = cell.dropped(inputs, training)
    if mask is not None:
        return _run_masked(name, cell, inputs, states, mask, sequences, zero_output, keep_states)
    outputs, last = run_kernel(name, inputs, [each[None] for each in states], cell.kernel_weights())
    return outputs if sequences else last[0][0], [each[0] for each in last]


def _run_stack(
    stack: StackedRNNCells,
    inputs: Tensor,
    states: Any,
    mask: Tensor | None,
    training: bool,
    sequences: bool,
    zero_output: bool,
    keep_states: bool,
) -> tuple[Tensor, list[Any]]:
    """Cell after cell instead of step after step, which is the same and leaves each its kernel.

    What a lower cell returns at a masked step does not matter: the upper one passes over it too.
    """
    last: list[Any] = []
    for index, (cell, state) in enumerate(zip(stack.cells, states, strict=True)):
        top = index == len(stack.cells) - 1
        wanted = {"sequences": sequences or not top, "zero_output": zero_output and top}
        alone = not isinstance(state, (list, tuple))
        state = [state] if alone else list(state)
        inputs, state = run(cell, inputs, state, mask, training=training, keep_states=keep_states, **wanted)
        last.append(state[0] if alone else state)
    return inputs, last


def run_kernel(
    name: str, inputs: Tensor, states: list[Tensor], weights: list[Tensor], directions: int = 1
) -> tuple[Tensor, list[Tensor]]:
    """One call of PyTorch's function for a whole sequence.

    Args:
        name: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        inputs: (batch, time, features).
        states: each (directions, batch, units).
        weights: two for each direction, four with biases.
        directions: 2 for a kernel that also reads the sequence from its end.

    Returns:
        (batch, time, directions * units), and the last states like `states`.
    """
    if may_state(inputs):
        # without a kernel for it PyTorch would go step by step here, which takes longer than a real call
        shape = (*inputs.shape[:2], directions * states[0].shape[-1])
        return inputs.new_empty(shape), [torch.empty_like(each) for each in states]
    if inputs.is_cpu and torch.is_autocast_enabled("cpu"):
        # autocast would choose bfloat16, for which many CPUs have no kernel: the call would fail there
        kind = weights[0].dtype
        with torch.autocast("cpu", enabled=False):
            return run_kernel(name, inputs.to(kind), [each.to(kind) for each in states], weights, directions)
    if inputs.is_cuda:
        weights = _in_one_piece(weights)
    state = tuple(states) if len(states) == 2 else states[0]
    # cuDNN keeps what the backward pass needs only in what it calls training; a trace serves both
    keeps = torch.is_grad_enabled() or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
    settings = (len(weights) > 2 * directions, 1, 0.0, keeps, directions == 2, True)
    outputs, *last = getattr(torch._VF, name)(inputs, state, weights, *settings)
    # under torch.compile PyTorch 2.11 gives the states of an LSTM one dimension too many
    return outputs, [each.view_as(before) for each, before in zip(last, states, strict=True)]


def _in_one_piece(weights: list[Tensor]) -> list[Tensor]:
    """The same weights as parts of one tensor: matrices first, then biases, as cuDNN wants them.

    `nn.LSTM` moves its parameters into such a piece instead, and loses it again in a deep copy, under
    `functional_call`, a parametrization or sharding; then each call warns and copies them anyway.
    """
    order = sorted(range(len(weights)), key=lambda index: weights[index].ndim == 1)
    sizes = [weights[index].numel() for index in order]
    parts = torch.split(torch.cat([weights[index].flatten() for index in order]), sizes)
    found = list(weights)
    for index, part in zip(order, parts, strict=True):
        found[index] = part.view(weights[index].shape)
    return found


def _run_masked(
    name: str,
    cell: RecurrentCell,
    inputs: Tensor,
    states: list[Tensor],
    mask: Tensor,
    sequences: bool,
    zero_output: bool,
    keep_states: bool,
) -> tuple[Tensor, list[Tensor]]:
    """One call of the kernel for sequences with masked steps, wherever those are.

    The valid steps of each sample are moved to the front, the kernel runs over them as if nothing had
    been in between, and each step is then given the output of the last valid step up to it. This is what
    packed sequences do, but nothing has to be read back from the device, shapes do not depend on values
    (`torch.compile(fullgraph=True)` and `torch.export` follow it), and the kernel is the one without a
    mask, whose backward pass takes half the time of the packed one on CPUs.
    """
    batch, time = mask.shape
    valid = mask.cumsum(1)  # how many valid steps there were so far
    lengths = valid[:, -1:]
    starts = torch.arange(batch, device=mask.device)[:, None] * time
    order = _valid_first(mask, valid)
    padding = (torch.arange(time, device=mask.device) >= lengths)[..., None]
    # zeros there: nan times a gradient of zero would be nan
    packed = _rows(inputs, starts + order).masked_fill(padding, 0)
    weights = cell.kernel_weights()
    if keep_states and len(states) == 2:
        packed, weights = _holding_carry(packed, weights, padding)
    outputs, last = run_kernel(name, packed, [each[None] for each in states], weights)
    final = _rows(outputs, starts + (lengths - 1).clamp(min=0))[:, 0]
    last = [torch.where(lengths > 0, final, states[0]), *(each[0] for each in last[1:])]
    nothing = ~mask if zero_output else valid == 0
    if not sequences:
        return final.masked_fill(nothing[:, -1:], 0), last
    return _rows(outputs, starts + (valid - 1).clamp(min=0)).masked_fill(nothing[..., None], 0), last


def valid_in_front(x: Tensor, mask: Tensor) -> Tensor:
    """The steps of each sample where `mask` is True in front, and zeros behind."""
    valid = mask.cumsum(1)
    steps = torch.arange(mask.shape[1], device=mask.device).expand_as(valid)
    places = torch.where(mask.bool(), valid - 1, valid[:, -1:] + steps - valid)
    order = torch.zeros_like(places).scatter(1, places, steps)
    packed = x.gather(1, order[..., None].expand(-1, -1, x.shape[2]))
    return packed.masked_fill((steps >= valid[:, -1:])[..., None], 0)


def spread_again(outputs: Tensor, mask: Tensor, zeros: bool = False) -> Tensor:
    """What was computed in front, where its steps were; elsewhere the one before."""
    valid = mask.cumsum(1)
    index = (valid - 1).clamp(min=0)[..., None].expand(-1, -1, outputs.shape[2])
    nothing = ~mask.bool() if zeros else valid == 0
    return outputs.gather(1, index).masked_fill(nothing[..., None], 0)


def _valid_first(mask: Tensor, valid: Tensor) -> Tensor:
    """The steps of each sample in their order, the valid ones first: a stable sort, which ONNX has not."""
    steps = torch.arange(mask.shape[1], device=mask.device).expand_as(valid)
    places = torch.where(mask, valid - 1, valid[:, -1:] + steps - valid)
    return torch.zeros_like(places).scatter(1, places, steps)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Rows of (batch * time, features) by their numbers (batch, n): (batch, n, features)."""
    return values.flatten(0, 1).index_select(0, index.flatten()).view(*index.shape, -1)


def _holding_carry(inputs: Tensor, weights: list[Tensor], padding: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The same LSTM with one feature more, which makes it hold its carry through the padding.

    The kernel returns the carry after the last step alone, and for most samples that is padding. The
    feature is 1 there; its weights shut the input gate and open the forget gate all the way: c = 1 * c + 0.
    """
    matrix, *others = weights
    column = matrix.new_zeros(4, matrix.shape[0] // 4)
    column[0] = -_SATURATED
    column[1] = _SATURATED
    wider = torch.cat([matrix, column.view(-1, 1)], 1)
    return torch.cat([inputs, padding.to(inputs.dtype)], 2), [wider, *others]


def _loop(
    step: Step, inputs: Tensor, states: Any, mask: Tensor | None, sequences: bool, zero_output: bool
) -> tuple[Tensor, Any]:
    """Step after step: where PyTorch has no kernel for the cell."""
    # without data every step looks the same, so that one will do
    steps = inputs[:, :1] if may_state(inputs) else inputs
    outputs: list[Tensor] = []
    for time, x in enumerate(steps.unbind(1)):
        output, new = step(x, states)
        if mask is None:
            states = _like(states, new)
        else:
            valid = mask[:, time]
            before = torch.zeros_like(output) if zero_output or not outputs else outputs[-1]
            output = _where(valid, output, before)
            pairs = zip(leaves(new), leaves(states), strict=True)
            states = _like(states, [_where(valid, *pair) for pair in pairs])
        outputs.append(output)
    if not sequences:
        return outputs[-1], states
    return torch.stack(outputs * (inputs.shape[1] // len(outputs)), 1), states


def _where(valid: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(valid.view(-1, *(1,) * (new.ndim - 1)), new, old)


def _like(structure: Any, values: Any) -> Any:
    """The leaves of `values` in another structure: a cell may return a state alone or in a list."""
    found = leaves(values)
    return map_leaves(lambda _: next(found), structure)


def initial_states(cell: Any, shape: tuple[int, ...], like: Tensor) -> list[Any]:
    """The states before the first step, on the device and in the dtype of `like`.

    Args:
        cell: of any kind.
        shape: of the sequences: (batch, time, ...).
        like: any tensor.
    """
    if isinstance(cell, StackedRNNCells):
        found = []
        for each in cell.cells:
            found.append(initial_states(each, shape, like))
            shape = (*shape[:2], output_size(each))
        return found
    if isinstance(cell, RecurrentCell):
        return [like.new_zeros(each) for each in cell.state_shapes(shape)]
    if hasattr(cell, "get_initial_state"):
        given = cell.get_initial_state(batch_size=shape[0])
        moved = map_leaves(lambda each: each.to(like), given)
        return list(moved) if isinstance(moved, (list, tuple)) else [moved]
    sizes = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
    return [like.new_zeros((shape[0], *leaves(each))) for each in sizes]
