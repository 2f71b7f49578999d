"""Blame: a call that failed while the graph was being built, dressed once with where and on what."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from torchfunc.errors import DTypeError, GraphError, ShapeError, explain
from torchfunc.graph.probing.infer import failure
from torchfunc.graph.spec import WORLDS, Number, Spec
from torchfunc.graph.targets import Attribute, Method
from torchfunc.tree import map_leaves

_PACKAGE = str(Path(__file__).parent.parent)
_TORCH = str(Path(torch.__file__).parent)


def dressed(node: Any, error: Exception) -> GraphError:
    """The error that a user sees: what was called, on which names and shapes, why it failed, what to do."""
    reason = _reason(node, error)
    kind, fix = _diagnosis(node, reason)
    return kind(_message(node, reason, fix))


def without_one_form(node: Any, error: Exception) -> GraphError:
    """The error for a call whose result has no one form."""
    return GraphError(
        _message(node, str(error), "write this part inside a Layer that returns one form of tensors")
    )


def computed_once(node: Any, tensor: torch.Tensor) -> GraphError:
    """The error for a real tensor among the arguments that would not follow the weights it came from."""
    return GraphError(
        explain(
            f"{described(node.target)} {node.name!r}{called_at()}",
            got=f"a tensor of shape {tuple(tensor.shape)} that was computed from weights",
            expected="symbolic tensors, parameters and constants",
            why="it was computed once, outside of the graph, and would not follow its weights in training",
            fix="hand over the parameter itself, as in F.linear(x, layer.weight), or `.detach()` the tensor",
        )
    )


def _message(node: Any, reason: str, fix: str) -> str:
    where = f"{described(node.target)} {node.name!r}{called_at()}"
    return explain(where, got=received(node) or "no tensor", why=reason, fix=fix)


def described(target: Any) -> str:
    """What was called, in a word: the class of a module, a function by name."""
    if isinstance(target, nn.Module):
        return type(target).__name__
    return f"`{getattr(target, '__name__', None) or getattr(target, 'name', target)}`"


def received(node: Any) -> str:
    """The names, shapes and dtypes of the symbols that a call received."""
    each = [f"{_spec(symbol)} from {symbol.name!r}" for symbol in node.inputs()]
    return ", ".join(each[:6]) + (", ..." if len(each) > 6 else "")


def _spec(symbol: Any) -> str:
    spec = symbol.spec
    if isinstance(spec, Number):
        return "a dimension"
    return f"shape {spec.shape}" + ("" if spec.dtype is torch.float32 else f" of {str(spec.dtype)[6:]}")


def called_at() -> str:
    """`(file.py, line 12)`: the user's line that made the call, if there is one."""
    frame, _ = _users_frame(sys._getframe(1))
    return f" ({Path(frame.f_code.co_filename).name}, line {frame.f_lineno})" if frame else ""


def level() -> int:
    """The `stacklevel` by which a warning of the caller's points to the user's own line."""
    return _users_frame(sys._getframe(1))[1]


def _users_frame(frame: FrameType | None) -> tuple[FrameType | None, int]:
    """The first frame that is of neither PyTorch nor torchfunc, and how far up it is, counted from 1."""
    count = 1
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_PACKAGE, _TORCH, "<")) or file.startswith("<ipython"):
            return frame, count
        frame, count = frame.f_back, count + 1
    return None, 2


_NUMBERS = re.compile(r"\d+")


def _reason(node: Any, error: Exception) -> str:
    """Why PyTorch refused, in one line, where an unknown size is called None."""
    text = _plain(error)
    specs = [symbol.spec for symbol in node.inputs()]
    if all(len(spec.worlds) == 1 for spec in specs):
        return text
    again = failure(node.target, *_second_world((node.args, node.kwargs)))
    other = "" if again is None else _plain(again)
    if _NUMBERS.split(text) == _NUMBERS.split(other):
        pairs = zip(_NUMBERS.findall(text), _NUMBERS.findall(other), strict=True)
        sizes = iter([first if first == second else "None" for first, second in pairs])
        return _NUMBERS.sub(lambda match: next(sizes), text)
    known = {size for spec in specs if isinstance(spec, Spec) for size in spec.shape}
    return re.sub(rf"\b({'|'.join(str(size) for size in WORLDS[:2] if size not in known)})\b", "None", text)


def _second_world(tree: Any) -> Any:
    """Arguments that are known, and as large as in the second world."""

    def fixed(leaf: Any) -> Any:
        spec = getattr(leaf, "spec", None)
        if isinstance(spec, (Spec, Number)) and len(spec.worlds) > 1:
            world = (spec.worlds[1],)
            return Spec(spec.dtype, world) if isinstance(spec, Spec) else Number(world)
        return spec if isinstance(spec, (Spec, Number)) else leaf

    return map_leaves(fixed, tree)


def _plain(error: Exception) -> str:
    """The reason in one line, without the traces that PyTorch may add."""
    text = str(error) or type(error).__name__
    text = text.split("\nException raised from")[0].split("C++ CapturedTraceback")[0]
    return re.sub(r"\s+", " ", text).strip().rstrip(".")[:400]


def _diagnosis(node: Any, reason: str) -> tuple[type[GraphError], str]:
    """The kind of mistake, and the way out of it, as far as PyTorch's words and the shapes tell."""
    shapes = [symbol.spec.shape for symbol in node.inputs() if isinstance(symbol.spec, Spec)]
    if _wants_value(reason):
        return (
            GraphError,
            "keep tensors symbolic (torch.where for a branch), or write this part inside a Layer",
        )
    if 'missing the required "forward"' in reason:
        return GraphError, "call the modules that it holds, one by one, or put them into an nn.Sequential"
    if re.search(r"unexpected keyword|positional argument|takes no arguments", reason):
        return GraphError, f"call it as its signature says: {_signature(node.target)}"
    fix = _channels_fix(node.target, shapes) or _features_fix(node.target, shapes)
    if fix:
        return ShapeError, fix
    if re.search(r"dtype|expected scalar type|Expected tensor for argument|not implemented for '", reason):
        kinds = _kinds(node.target)
        return DTypeError, f"cast the input, as in x.float() or x.long(), or give Input a dtype{kinds}"
    if re.search(r"\bsizes?\b|shapes?\b|dimension|dim\b|dims\b|channels|broadcast", reason, re.IGNORECASE):
        return ShapeError, "make the shapes above agree, or reshape the input"
    return (
        GraphError,
        f"call {_word(node.target)} on real tensors of these shapes, which shows where in it this comes from; "
        "what only real tensors can do belongs inside a Layer",
    )


def _signature(target: Any) -> str:
    """How something is called, as far as it says so itself."""
    called = target.forward if isinstance(target, nn.Module) else target
    called = getattr(torch.Tensor, target.name, None) if isinstance(target, (Method, Attribute)) else called
    try:
        shown = inspect.signature(called)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return f"help(torch.{'Tensor.' if isinstance(target, Method) else ''}{_word(target)}) shows it"
    return f"{_word(target)}{shown.replace(return_annotation=shown.empty)}"[:200]


def _word(target: Any) -> str:
    return str(getattr(target, "__name__", None) or getattr(target, "name", None) or type(target).__name__)


def _channels_fix(target: Any, shapes: list[Any]) -> str:
    """The way out where a convolution got too few dimensions, or its channels last."""
    channels = getattr(target, "in_channels", None)
    if not isinstance(channels, int) or not shapes:
        return ""
    shape, rank = shapes[0], len(getattr(target, "kernel_size", ())) + 2
    names = ("batch", "channels", *("depth", "height", "width")[5 - rank :])
    if len(shape) < rank - 1:
        return f"it takes {rank} dimensions ({', '.join(names)}): x.reshape(-1, ...) or an Input with them"
    if len(shape) == rank and shape[-1] == channels != shape[1]:
        order = (0, rank - 1, *range(1, rank - 1))
        wanted = f"{type(target).__name__} wants them first"
        return f"the last dimension, {channels}, looks like the channels, and {wanted}: x.permute{order}"
    if len(shape) == rank and shape[1] is not None and shape[1] != channels:
        return f"make it with in_channels={shape[1]}"
    return _kernel_fix(target, shape[2 - rank :])


def _kernel_fix(target: Any, sizes: Any) -> str:
    """The way out where the kernel of a convolution does not fit into the image, padding and all."""
    padding = getattr(target, "padding", ())
    if getattr(target, "transposed", True) or not isinstance(padding, tuple):
        return ""
    kernel, dilation = target.kernel_size, target.dilation
    each = zip(sizes, padding, kernel, dilation, strict=True)
    if all(size is None or size + 2 * pad > step * (width - 1) for size, pad, width, step in each):
        return ""
    return f"the kernel of {kernel} is larger than the input: padding='same', or a smaller kernel_size"


def _features_fix(target: Any, shapes: list[Any]) -> str:
    """The way out where a Linear or a BatchNorm was made for another number of features."""
    channels = getattr(target, "num_features", None)
    if isinstance(channels, int) and shapes and len(shapes[0]) > 1 and shapes[0][1] not in (channels, None):
        return (
            f"it takes {channels} channels in dimension 1: make it with {shapes[0][1]}, or permute the input"
        )
    features = getattr(target, "in_features", None)
    if not isinstance(features, int) or not shapes or (shapes[0] and shapes[0][-1] == features):
        return ""
    if not shapes[0]:
        return f"give the Input a dimension of {features} features"
    if shapes[0][-1] is None:
        return (
            f"the last dimension is unknown and {type(target).__name__} needs it: give Input that dimension"
        )
    return f"make it with {shapes[0][-1]} input features, or flatten or project the input to {features}"


def _kinds(target: Any) -> str:
    """What the parameters of a module are, where they are not all alike."""
    if not isinstance(target, nn.Module):
        return ""
    kinds = [f"{name} {str(each.dtype)[6:]} on {each.device}" for name, each in target.named_parameters()]
    differ = len({kind.partition(" ")[2] for kind in kinds}) > 1
    return f"; its parameters differ: {', '.join(kinds[:6])}" if differ else ""


def _wants_value(reason: str) -> bool:
    return bool(re.search(r"meta tensor|data-dependent|no value|'Meta' backend|Meta tensors", reason))
