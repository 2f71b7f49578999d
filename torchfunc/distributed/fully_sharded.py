"""Fully sharded: each rank holds a part of every weight, by PyTorch's `fully_shard`, layer by layer."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from torchfunc.distributed.ranks import Ranks, buffers_of, take_gradients
from torchfunc.errors import CompileError, explain

_ours: WeakSet[nn.Module] = WeakSet()


class Shards:
    """A module in shards, with what a step asks of `Replicas`.

    Args:
        module: of which each rank has all weights, until they are sharded.
        ranks: the processes.
        accumulates: whether several batches make a step: whole gradients stay on each rank then, until they are one.
    """

    own = False

    def __init__(self, module: nn.Module, ranks: Ranks, *, accumulates: bool = False) -> None:
        self.module, self.ranks, self.accumulates = module, ranks, accumulates

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return type(None), ()

    def ready(self) -> None:
        """Have the module in shards."""
        if not is_ours(self.module):
            self.ranks.align([*self.module.parameters(), *buffers_of(self.module)])
            shard(self.module)
            _ours.add(self.module)
        sharded: Any = self.module
        sharded.set_requires_gradient_sync(not self.accumulates)
        sharded.set_reshard_after_backward(not self.accumulates)  # so that `taken` finds whole weights

    def leave(self) -> None:
        """Between two trainings the weights stay in shards."""

    def run(self, step: Callable[[], Tensor]) -> Tensor:
        """The loss that `step` returns; its backward averages the gradients."""
        return step()

    def after_backward(self) -> None:
        """The gradients are averaged."""

    def taken(self, parameters: Mapping[str, Tensor]) -> list[Tensor | None]:
        """The gradients that a backward has left on this rank, whole or in shards; there are none afterwards."""
        held = dict(self.module.named_parameters())
        whole = take_gradients([held.get(name, each) for name, each in parameters.items()])
        parts = take_gradients(parameters.values())
        each = zip(whole, parts, parameters.values(), strict=True)
        return [
            placed_as(part, like) if one is None and part is not None else one for one, part, like in each
        ]

    def after_step(self) -> None:
        """Nothing is left to do."""


def is_ours(module: nn.Module) -> bool:
    """Whether we have sharded a module, and share the data out."""
    return module in _ours


def is_sharded(module: nn.Module) -> bool:
    """Whether ranks hold parts of the weights of a module: by `fully_shard`, or because they are divided among them."""
    return any(map(_holds_shards, module.modules())) or any(map(is_in_shards, module.parameters()))


def _holds_shards(module: nn.Module) -> bool:
    return hasattr(module, "unshard") and hasattr(module, "reshard")


def shard(module: nn.Module) -> None:
    """Shard the layers of a module, then what is left of it.

    Raises:
        CompileError: it has none of the weights that can be sharded.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    first = next(module.parameters(), None)
    if first is None:
        got = f"a {type(module).__name__} without weights"
        raise CompileError(explain("distribute='fsdp'", got=got, fix="distribute='ddp'"))
    _pass_over_views(module)
    mesh = init_device_mesh(first.device.type, (torch.distributed.get_world_size(),))
    for parameter in module.parameters():
        if not parameter.is_contiguous():  # as of convolutions in channels_last, which fully_shard refuses
            parameter.data = parameter.data.contiguous()
    for each in layers_of(module):
        fully_shard(each, mesh=mesh, reshard_after_forward=True)
    fully_shard(module, mesh=mesh, reshard_after_forward=True)


def _pass_over_views(module: nn.Module) -> None:
    """Have PyTorch not warn of layers of ours that return their channels last: nothing of ours writes into a view."""
    kinds = {type(each) for each in module.modules() if type(each).__module__.startswith("torchfunc.")}
    names = "|".join(sorted(re.escape(each.__name__) for each in kinds))
    if names:
        warnings.filterwarnings("ignore", rf"FSDP2-wrapped module \(FSDP({names})\) returned a view tensor")


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """What is gathered as one in a forward: the children of a module that have weights, and those of mere containers."""
    for child in module.children():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield from layers_of(child)
        elif next(child.parameters(), None) is not None:
            yield child


def gather_for(loss: Tensor, modules: Iterable[Any]) -> None:
    """Have the backward of a loss begin with gathering the weights of modules that it may not reach by what they return.

    A crossentropy is taken of what the softmax of a layer was given, and not of its output, where PyTorch waits.
    """
    for each in modules:
        if _holds_shards(each):
            each._get_fsdp_state()._register_pre_backward_hook(loss)


def reshard(module: nn.Module) -> None:
    """Have in the place of weights that a forward has gathered their shards again."""
    for each in module.modules():
        if _holds_shards(each):
            each.reshard()  # type: ignore[operator]


def is_in_shards(tensor: Any) -> bool:
    """Whether a tensor is one of which each rank holds a part."""
    return hasattr(tensor, "full_tensor")


def whole_of(tensor: Any) -> Any:
    """All of a tensor that lies in shards, gathered by all ranks; anything else as it is."""
    return tensor.full_tensor() if is_in_shards(tensor) else tensor


def local_of(tensor: Tensor) -> Tensor:
    """What this rank has of a tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def parts_of(tensors: Sequence[Tensor]) -> list[Tensor]:
    """What this rank has of each tensor: for what is done number by number, and PyTorch 2.11 does not do in shards."""
    return [local_of(each) for each in tensors]


def norms(tensors: list[Tensor]) -> list[Tensor]:
    """The norm of each tensor, the whole of it where it lies in shards."""
    return [whole_of(each) for each in torch._foreach_norm(tensors)]


def copy_each(onto: Sequence[Tensor], tensors: Sequence[Tensor]) -> None:
    """Copy tensors onto others, which lie in shards as they do or not at all."""
    torch._foreach_copy_(list(map(local_of, onto)), list(map(local_of, tensors)))


def placed_as(tensor: Tensor, like: Tensor, source: int | None = 0) -> Tensor:
    """A whole tensor, or one in shards, in shards as another one lies in, which all ranks call with.

    Args:
        source: the rank whose numbers count; None where all ranks have the same.
    """
    if not hasattr(like, "device_mesh") or tensor.shape != like.shape:
        return tensor
    kept: Any = like
    if hasattr(tensor, "redistribute"):
        placed: Tensor = tensor.redistribute(kept.device_mesh, kept.placements)
        return placed
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device), kept.device_mesh, kept.placements, src_data_rank=source)


def write_whole(module: nn.Module, write: Callable[[], None]) -> None:
    """Write a module; of one in shards all ranks gather the whole, and the first writes it."""
    if not is_sharded(module):
        write()
        return
    trainer = vars(module).get("trainer")
    ranks: Ranks | None = None if trainer is None else trainer.ranks()
    with (
        nullcontext() if ranks is None else ranks.together(),
        whole(module) if trainer is None else trainer.whole(),
    ):
        if torch.distributed.get_rank() == 0:
            write()
        torch.distributed.barrier() if ranks is None else ranks.any(False)  # which hears of one that failed


def load_whole(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Have a module, in shards or not, have weights and statistics that are whole; all ranks call it."""
    reshard(module)
    own = module.state_dict()
    module.load_state_dict(
        {name: placed_as(each, own.get(name, each), source=None) for name, each in state.items()}
    )


@contextmanager
def whole(module: nn.Module) -> Iterator[None]:
    """Within it a sharded module is the one that it was, with whole weights, which all ranks gather; for who writes it."""
    reshard(module)
    kinds = [(each, type(each)) for each in module.modules() if _holds_shards(each)]
    held: list[tuple[nn.Module, str, nn.Parameter]] = [
        (each, name, parameter)
        for each in module.modules()
        for name, parameter in each._parameters.items()
        if parameter is not None
    ]
    gathered: Mapping[int, Any] = {
        id(parameter): nn.Parameter(whole_of(parameter.detach()), parameter.requires_grad)
        for parameter in {id(each): each for *_, each in held}.values()
    }
    try:
        for each, kind in kinds:
            each.__class__ = kind.__mro__[2]
        for each, name, parameter in held:
            each._parameters[name] = gathered[id(parameter)]
        yield
    finally:
        for each, kind in kinds:
            each.__class__ = kind
        for each, name, parameter in held:
            each._parameters[name] = parameter
