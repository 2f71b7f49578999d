"""timm, imported in one place and only where its networks are asked for."""

from __future__ import annotations

from types import ModuleType

from torchfunc.errors import MissingExtraError
from torchfunc.interop import torchvision


def load() -> ModuleType:
    """The module `timm`.

    Raises:
        MissingExtraError: it is not installed, or torchvision, which it needs, is not.
    """
    torchvision.load()  # also where its compiled part cannot load, which timm would fail on
    try:
        import timm
    except ModuleNotFoundError as error:
        package = (error.name or "timm").partition(".")[0]
        raise MissingExtraError(package, "timm", "What comes from timm") from error
    module: ModuleType = timm
    return module
