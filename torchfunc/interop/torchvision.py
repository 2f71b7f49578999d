"""torchvision, imported in one place, also where its compiled part cannot load."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import torch

from torchfunc.errors import MissingExtraError

_MISSING_OPERATORS = ("nms", "qnms")


@cache
def load() -> ModuleType:
    """The module `torchvision`.

    Its wheel is compiled for one build of PyTorch. Over another one (a CPU build, as a rule) its
    compiled part does not load, and its Python part then fails on "operator torchvision::nms does not
    exist". Models, datasets and transforms need none of it, so the schemas of the missing operators are
    declared, without an implementation, and the import is made again.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return _import()
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        _declare_operators()
        return _import()


def _import() -> ModuleType:
    try:
        import torchvision
    except ModuleNotFoundError as error:
        package = (error.name or "torchvision").partition(".")[0]
        raise MissingExtraError(package, "vision", "What comes from torchvision") from error
    module: ModuleType = torchvision
    return module


@cache  # PyTorch forgets the schemas of a Library that nobody holds.
def _declare_operators() -> Any:
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _MISSING_OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
