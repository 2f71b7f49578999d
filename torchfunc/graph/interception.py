"""Interception: a module called on a symbolic tensor is recorded, with nothing asked of the user.

PyTorch has no hook for "this module is being called" that may take the call over. So the first `Input`
gives `nn.Module._wrapped_call_impl` a body of ours: its own two lines, behind a look at the types of
the arguments. Only the code object is swapped: the function stays the same object, which is what
`torch._dynamo` and `torch.fx` know it by. Whatever holds no symbol takes PyTorch's own way. Should a
PyTorch come whose body is another one, `nn.Module.__call__` is wrapped instead. `Function.apply` of
custom autograd functions, which has no hook either, is wrapped as it is.
"""

from __future__ import annotations

import sys
import types
from collections import OrderedDict
from typing import Any

import numpy as np
from torch import nn
from torch.autograd import Function
from torch.fx import Proxy
from torch.nn.modules import module as home
from torch.nn.utils import stateless

from torchfunc.errors import GraphError, explain
from torchfunc.graph.symbolic import SymbolicTensor, before_input, has_symbol, record
from torchfunc.graph.targets import applied
from torchfunc.tree import leaves

_original: types.CodeType = nn.Module._wrapped_call_impl.__code__
_original_call: Any = nn.Module.__call__


def _known_body(self, *args, **kwargs):  # type: ignore[no-untyped-def]
    """PyTorch's own body as of 2.0 to 2.13, to compare with."""
    if self._compiled_call_impl is not None:
        return self._compiled_call_impl(*args, **kwargs)
    else:  # noqa: RET505
        return self._call_impl(*args, **kwargs)


def _body(self, *args, **kwargs):  # type: ignore[no-untyped-def]
    # this body runs in the globals of torch.nn.modules.module, where `install` puts the two names it uses
    if kwargs:
        return _torchfunc_call(self, args, kwargs)  # type: ignore[name-defined]  # noqa: F821
    for arg in args:
        if type(arg) in _torchfunc_kinds:  # type: ignore[name-defined]  # noqa: F821
            return _torchfunc_call(self, args, kwargs)  # type: ignore[name-defined]  # noqa: F821
    if self._compiled_call_impl is not None:
        return self._compiled_call_impl(*args, **kwargs)
    return self._call_impl(*args, **kwargs)


def _in_the_place_of(original: types.CodeType, code: types.CodeType) -> types.CodeType:
    """Our body with PyTorch's file and name, by which dynamo knows a frame that it need not compile alone.

    The last lines fall together, so that a traceback quotes `return self._call_impl(*args, **kwargs)`.
    """
    last, wanted = (max(line or 0 for _, _, line in each.co_lines()) for each in (code, original))
    return code.replace(
        co_filename=original.co_filename,
        co_name=original.co_name,
        co_firstlineno=code.co_firstlineno + wanted - last,
    )


_code: types.CodeType = _in_the_place_of(_original, _body.__code__)


def call_module(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record the call where a symbol is among the arguments; else call as PyTorch does.

    A module that has `with_tensors` says what it makes of the arguments first: a Layer takes arrays.
    """
    for arg in (*args, *kwargs.values()):
        if type(arg) is SymbolicTensor or (type(arg) in _CONTAINERS and has_symbol(arg)):
            return symbolic_call(self, args, kwargs)
    if "mask" in kwargs and hasattr(self, "_take_masks"):
        self._take_masks()
    kind = type(self)
    if getattr(kind, "is_leaf_in_fx", False):
        proxy = next((leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Proxy)), None)
        if proxy is not None:
            return _leaf_of(proxy.tracer, self, args, kwargs)
    if getattr(kind, "with_tensors", None) is not None:
        args, kwargs = self.with_tensors(args, kwargs)
    if self._compiled_call_impl is not None:
        return self._compiled_call_impl(*args, **kwargs)
    return self._call_impl(*args, **kwargs)


def _leaf_of(tracer: Any, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call as one node of an fx graph: fx itself takes only modules of torch.nn for leaves."""
    return tracer.create_proxy("call_module", tracer.path_of_module(module), args, kwargs)


def _wrapped(self, *args, **kwargs):  # type: ignore[no-untyped-def]
    """`nn.Module.__call__` for a PyTorch whose body is not the known one."""
    for arg in (*args, *kwargs.values()):
        if type(arg) is SymbolicTensor or (type(arg) in _CONTAINERS and has_symbol(arg)):
            return symbolic_call(self, args, kwargs)
    return _original_call(self, *args, **kwargs)


def symbolic_call(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a call of `module`, which may have a way of its own for that (`symbolic_call`).

    Raises:
        GraphError: `functional_call` makes it, whose weights the module holds for this moment only; or the
            class has a `__call__` of its own, which would run around the recorded call and in it again.
    """
    own_call = type(module).__call__
    if own_call is not nn.Module.__call__ and not own_call.__module__.startswith("torch."):
        raise GraphError(
            explain(
                f"{type(module).__name__} with a `__call__` of its own",
                got="a symbolic tensor",
                expected="a module that computes in `forward`",
                why="the model would call it once more around what was recorded of it",
                fix="rename its `__call__` to `forward` (in a Layer also `call`), and use super().forward there",
            )
        )
    if _makes(sys._getframe(2)) or _makes(sys._getframe(2).f_back):
        raise GraphError(
            explain(
                f"{type(module).__name__} in `functional_call`",
                got="a symbolic tensor",
                expected="tensors with values",
                why="a graph keeps the module with its own weights, and those given for this call would be lost",
                fix="write the call of functional_call inside the forward of a Layer",
            )
        )
    own = getattr(type(module), "symbolic_call", None)
    return own(module, *args, **kwargs) if own is not None else record(module, args, kwargs)


_original_apply: Any = vars(Function)["apply"]


@classmethod  # type: ignore[misc]
def _apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """`Function.apply`, which records the whole function where a symbol is among the arguments.

    PyTorch would run its forward on the symbol, call by call, and its own backward would be lost.
    """
    for arg in (*args, *kwargs.values()):
        if type(arg) in _KINDS and has_symbol(args, kwargs):
            return record(applied(cls), args, kwargs)
        if isinstance(arg, Proxy) and getattr(arg.tracer, "keeps_functions_whole", False):
            return arg.tracer.create_proxy("call_function", applied(cls), args, kwargs)
    return _original_apply.__get__(None, cls)(*args, **kwargs)


_FUNCTIONAL_CALL: types.CodeType = stateless._functional_call.__code__


def _makes(frame: types.FrameType | None) -> bool:
    """Whether a frame is that of PyTorch's `functional_call`."""
    return frame is not None and frame.f_code is _FUNCTIONAL_CALL


_CONTAINERS = frozenset({list, tuple, dict, OrderedDict})
_KINDS = frozenset({SymbolicTensor, Proxy, np.ndarray, *_CONTAINERS})


def has_known_body(code: types.CodeType = _original) -> bool:
    """Whether the body of PyTorch's own call is the one that ours repeats."""
    known = _known_body.__code__
    return code.co_code == known.co_code and code.co_names == known.co_names


def install() -> None:
    """Make module calls on symbolic tensors record. `Input` does it; doing it again changes nothing."""
    if _switched_off or is_installed():
        return
    Function.apply = _apply  # type: ignore[method-assign]
    if has_known_body(_original):
        home._torchfunc_call = call_module  # type: ignore[attr-defined]
        home._torchfunc_kinds = _KINDS  # type: ignore[attr-defined]
        nn.Module._wrapped_call_impl.__code__ = _code
    elif nn.Module.__call__ is _original_call:
        nn.Module.__call__ = _wrapped  # type: ignore[method-assign]


def is_installed() -> bool:
    """Whether module calls on symbolic tensors record."""
    return nn.Module._wrapped_call_impl.__code__ is _code or nn.Module.__call__ is _wrapped


_switched_off = False


def interception(enabled: bool) -> None:
    """Turn the recording of module calls on or off for this process.

    Off, `nn.Module` is exactly as PyTorch made it, and a native module is put into a graph by
    `layers.Torch(module)(x)`; torchfunc's own layers need no interception.

    Args:
        enabled: whether a call of an `nn.Module` on symbolic tensors is recorded.

    Example:
        >>> x = Input((4,))
        >>> interception(False)
        >>> layers.Torch(nn.Linear(4, 2))(x).shape
        (None, 2)
        >>> interception(True)
        >>> nn.Linear(4, 2)(x).shape
        (None, 2)
    """
    global _switched_off
    _switched_off = not enabled
    if enabled:
        install()
        return
    Function.apply = _original_apply  # type: ignore[method-assign]
    if nn.Module._wrapped_call_impl.__code__ is _code:
        # the two names stay: another thread may be in the middle of our body
        nn.Module._wrapped_call_impl.__code__ = _original
    if nn.Module.__call__ is _wrapped:
        nn.Module.__call__ = _original_call  # type: ignore[method-assign]


before_input.append(install)
