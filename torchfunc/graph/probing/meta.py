"""Calls without data: a mode in which every tensor that PyTorch meets or makes is on the meta device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from torchfunc.graph.probing import bounds, shortcuts
from torchfunc.graph.spec import WORLDS
from torchfunc.tree import leaves, map_leaves

_paused: ContextVar[bool] = ContextVar("meta_paused", default=False)
_stated: ContextVar[bool] = ContextVar("meta_stated", default=True)

_DEVICE = Tensor.device.__get__
_REAL = torch.device("cpu")
_MOVES = frozenset({"to", "cpu", "cuda"})
_ONE_DTYPE = frozenset(
    getattr(home, name)
    for home in (torch, Tensor, torch.nn.functional)
    for name in (
        "mm bmm mv matmul __matmul__ __rmatmul__ addmm addmv addbmm baddbmm linear conv1d conv2d conv3d "
        "conv_transpose1d conv_transpose2d conv_transpose3d".split()
    )
    if hasattr(home, name)
)
_COUNTING = frozenset(
    getattr(home, name)
    for home in (torch, Tensor)
    for name in ("nonzero", "argwhere", "masked_select")
    if hasattr(home, name)
) | {torch.where, Tensor.__getitem__}
_BRANCHES = (tuple, list, dict, slice)
_NUMBERS = frozenset({int, float, bool})
_RECURRENCES = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_FACTORIES = frozenset(
    "arange as_tensor asarray bartlett_window blackman_window empty empty_permuted empty_strided eye full "
    "hamming_window hann_window kaiser_window linspace logspace ones rand randint randn randperm range "
    "scalar_tensor sparse_coo_tensor tensor tril_indices triu_indices zeros".split()
)


def may_state(tensor: Tensor) -> bool:
    """Whether what a long call on a tensor returns may be stated: it has no data, and nobody counts what the call does."""
    return tensor.is_meta and _stated.get()


class OnMeta(TorchFunctionMode):
    """Within it, every tensor that a torch function meets or makes is on the meta device.

    A stand-in for a real tensor is made once, so that what is written to a buffer is read back. Under
    it modules run as they are, layers that are still unbuilt among them, and no real tensor changes.

    Args:
        world: what stands for an unknown dimension; a number of results that hangs on values is so large.

    Attributes:
        counts_values: whether there was such a number.
        states_results: whether what a call returns may be stated instead of making it, which is faster.
    """

    states_results = True

    def __init__(self, world: int = WORLDS[0]) -> None:
        super().__init__()
        self._world = world
        self.counts_values = False
        self._bounds = bounds.current()
        self._stand_ins: dict[int, tuple[Tensor, Tensor]] = {}

    def __enter__(self) -> Any:
        self._tokens = _paused.set(False), _stated.set(self.states_results)
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *exception: Any) -> None:
        _paused.reset(self._tokens[0])
        _stated.reset(self._tokens[1])
        super().__exit__(*exception)  # type: ignore[no-untyped-call]

    @staticmethod
    @contextmanager
    def paused() -> Iterator[None]:
        """Within it real tensors are real again: for the weights of a layer that is being built."""
        token = _paused.set(True)
        try:
            yield
        finally:
            _paused.reset(token)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if _paused.get():
            return func(*args, **kwargs)
        if func == _DEVICE:
            return _REAL  # what it is used for knows no meta device: torch.autocast(x.device.type)
        args = tuple(self._moved(args))
        if kwargs:
            kwargs = dict(zip(kwargs, self._moved(kwargs.values()), strict=True))
        if func in _ONE_DTYPE:
            _require_one_dtype(args)
        if self._bounds is not None:
            self._bounds.spend(func, args, kwargs)
        if func in _COUNTING and _counts_values(func, args, kwargs):
            self.counts_values = True
            return _counted(func, args, kwargs, self._world)
        if self.states_results and func in shortcuts.SHORTCUTS:
            stated = shortcuts.shortcut(func, args, kwargs)
            if stated is not None:
                return stated
        name = getattr(func, "__name__", "")
        if name in _FACTORIES and getattr(torch, name, None) is func:
            kwargs["device"] = "meta"
        elif name in _RECURRENCES and getattr(torch, name, None) is func:
            return _recurrence(name, args)
        elif name in _MOVES and getattr(Tensor, name, None) is func:
            args = tuple(arg for arg in args if not _is_device(arg))
            kwargs.pop("device", None)
            if len(args) == 1 and not kwargs.keys() - {"non_blocking"}:
                return args[0]
        elif isinstance(kwargs.get("device"), (str, torch.device)):
            kwargs["device"] = "meta"
        return func(*args, **kwargs)

    def _moved(self, values: Iterable[Any]) -> list[Any]:
        """Arguments with stand-ins for real tensors; numbers, and tuples of them, need no closer look."""
        moved = [*values]
        for index, value in enumerate(moved):
            if isinstance(value, Tensor):
                if not value.is_meta:
                    moved[index] = self._stand_in(value)
            elif type(value) is tuple and _NUMBERS.issuperset(map(type, value)):
                continue
            elif isinstance(value, _BRANCHES):
                moved[index] = map_leaves(self._on_meta, value)
        return moved

    def _on_meta(self, leaf: Any) -> Any:
        return self._stand_in(leaf) if isinstance(leaf, Tensor) and not leaf.is_meta else leaf

    def _stand_in(self, real: Tensor) -> Tensor:
        if id(real) not in self._stand_ins:
            with torch._C.DisableTorchFunction():
                stand_in = torch.empty_like(real, device="meta")
            # the real one is kept too, so that its id stays its own
            self._stand_ins[id(real)] = (stand_in, real)
        return self._stand_ins[id(real)][0]


def _require_one_dtype(args: tuple[Any, ...]) -> None:
    """Raise what the CPU would: without data PyTorch multiplies tensors of any two dtypes."""
    kinds = dict.fromkeys([arg.dtype for arg in args if isinstance(arg, Tensor)])
    if len(kinds) > 1:
        names = " and ".join(str(kind).removeprefix("torch.") for kind in kinds)
        raise RuntimeError(f"tensors of one dtype are multiplied, and these are {names}")


def _counts_values(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the size of the result hangs on values; PyTorch would say 0 without data."""
    if func is Tensor.__getitem__:
        return any(isinstance(leaf, Tensor) and leaf.dtype is torch.bool for leaf in leaves(args[1:]))
    return func is not torch.where or len(args) + len(kwargs) == 1


def _counted(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], count: int) -> Any:
    """What a function returns that picks `count` items by their values.

    Raises:
        NotImplementedError: a way of picking that is not the plain one.
    """
    tensor = args[0] if args and isinstance(args[0], Tensor) else None
    name = func.__name__
    if tensor is not None and not kwargs:
        if name in ("nonzero", "argwhere") and len(args) == 1:
            return torch.empty((count, tensor.ndim), dtype=torch.int64, device="meta")
        if name == "where":
            return (torch.empty(count, dtype=torch.int64, device="meta"),) * tensor.ndim
        mask = args[1]
        fits = isinstance(mask, Tensor) and shortcuts.broadcast(tensor.shape, mask.shape) is not None
        if name == "masked_select" and fits:
            return torch.empty(count, dtype=tensor.dtype, device="meta")
        if name == "__getitem__" and isinstance(mask, Tensor) and mask.shape == tensor.shape[: mask.ndim]:
            return torch.empty((count, *tensor.shape[mask.ndim :]), dtype=tensor.dtype, device="meta")
    raise NotImplementedError("the size of the result is data-dependent")


def _recurrence(name: str, args: tuple[Any, ...]) -> Any:
    """What `torch.lstm` and its like return: stated, because PyTorch would try them step by step."""
    is_packed = isinstance(args[1 if name == "lstm" else 2], Tensor)
    first, state, bidirectional = args[0], args[2 if is_packed else 1], args[8 if is_packed else 7]
    states = state if name == "lstm" else (state,)
    width = states[0].shape[-1] * (2 if bidirectional else 1)
    return first.new_empty((*first.shape[:-1], width)), *(each.clone() for each in states)


def _is_device(value: Any) -> bool:
    if isinstance(value, str):
        return value.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "meta")
    return isinstance(value, torch.device)
