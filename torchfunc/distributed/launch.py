"""Launch: whether this process is one of several, and the group that they talk in."""

from __future__ import annotations

import atexit
import os
import warnings
from typing import Any

import torch
from torch import distributed, nn

from torchfunc.distributed.fully_sharded import is_ours, is_sharded
from torchfunc.distributed.ranks import Ranks
from torchfunc.errors import CompileError, explain

MODES = ("ddp", "fsdp")
_ASKED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_known: list[Ranks] = []


def ranks_for(module: nn.Module, distribute: Any) -> Ranks | None:
    """The processes that train a module together: those of torchrun, or of the process group that runs; None if alone.

    Args:
        module: what is trained.
        distribute: "ddp" or "fsdp"; None for "ddp" where several processes run; False for each by itself.
    """
    if distribute is False or not distributed.is_available():
        return None
    if not distributed.is_initialized():
        if not all(os.environ.get(name) for name in _ASKED) or int(os.environ["WORLD_SIZE"]) < 2:
            return None
        _begin()
    if distributed.get_world_size() < 2:
        return None
    group = distributed.group.WORLD
    if not _known or _known[0].group is not group:
        _known[:] = [Ranks(group)]
    return _known[0]


def checked_mode(distribute: Any) -> Any:
    """`distribute` as it was given, if it is one that we know.

    Raises:
        CompileError: another one.
    """
    if distribute not in (None, False, *MODES):
        expected = "'ddp', 'fsdp', None (what torchrun asks for) or False (each process by itself)"
        raise CompileError(explain("distribute", got=repr(distribute), expected=expected))
    return distribute


def is_first() -> bool:
    """Whether this process is the one that draws and writes: the first of several, or the only one."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() == 0
    return True


def counts_now() -> bool:
    """Whether the batch that is under way counts: one that only makes up the step of a rank without samples does not."""
    return not _known or _known[0].share > 0


def is_wrapped(module: nn.Module) -> bool:
    """Whether somebody else has a module trained by several processes already: by DDP or FSDP, or in shards."""
    if is_ours(module):
        return False
    wrapped = any(isinstance(each, nn.parallel.DistributedDataParallel) for each in module.modules())
    return wrapped or is_sharded(module)


def _begin() -> None:
    """Make the process group that torchrun has asked for, and end it where the process ends."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    atexit.register(_end, distributed.group.WORLD)


def _end(group: Any) -> None:
    """End the group that we made, unless somebody has."""
    if distributed.is_initialized() and distributed.group.WORLD is group:
        _known.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            distributed.destroy_process_group()
