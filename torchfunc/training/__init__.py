"""Training: the loop that fits a module to data. It knows `nn.Module`, and no graph."""

import typing as _typing

from torchfunc.training.trainer import Trainer as Trainer

if not _typing.TYPE_CHECKING:
    from torchfunc.rooms import asking as _asking

    __getattr__ = _asking(__name__)
