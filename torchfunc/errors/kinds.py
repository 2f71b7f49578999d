"""Exceptions: a class for each thing that can be wrong, so that each can be caught by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torchfunc.errors.words import bounded, nearest, shorten


class TorchfuncError(ValueError):
    """Base of every error that torchfunc raises about a value the user gave."""

    def __init__(self, *args: object, **named: Any) -> None:
        super().__init__(*(bounded(each) if isinstance(each, str) else each for each in args), **named)


class GraphError(TorchfuncError):
    """A mistake made while a graph was being built."""


class ShapeError(GraphError):
    """A shape that a layer, module or function cannot take."""


class DTypeError(GraphError):
    """A dtype that a layer, module or function cannot take."""


class DisconnectedError(GraphError):
    """An output depends on an Input that the Model was not given."""


class NameTakenError(GraphError):
    """Two layers or inputs of one model were given the same name."""


class CompileError(TorchfuncError):
    """Arguments of `compile` that do not fit the model."""


class DataError(TorchfuncError):
    """Data given to `fit`, `evaluate` or `predict` that do not fit the model."""


class SavingError(TorchfuncError):
    """Something that cannot be written to a file as data, or a file that cannot be read."""


class NotATorchfuncFileError(SavingError):
    """The file is of another kind."""


class UnsupportedVersionError(SavingError):
    """The file was written by a newer torchfunc."""


class CorruptFileError(SavingError):
    """The file is damaged or incomplete."""


class ConfigError(SavingError):
    """A config that does not say a valid model; the message starts with the place in it."""


class WeightMismatchError(SavingError):
    """The tensors in the file are not the ones that the model needs."""


class LimitError(SavingError):
    """A file asks for more than the limit allows."""


class UnknownNameError(TorchfuncError):
    """A name that no registry holds, with the nearest ones that it does."""

    def __init__(self, kind: str, name: object, known: Iterable[str], fix: str = "") -> None:
        names = sorted(known)
        close = nearest(name, names)
        if close is not None:
            hint = f"Did you mean {close!r}?"
        else:
            shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            hint = f"Known: {shown}."
        super().__init__(" ".join(filter(None, [f"Unknown {kind} {shorten(name)}.", hint, fix])))
        self.kind, self.name = kind, name


class MissingExtraError(ImportError):
    """An optional package is not installed; the message says how to install it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'torchfunc[{extra}]'"
        )


class WriteError(OSError):
    """A file could not be written; what stood under its name before is intact."""
