"""Formats of others: who reads and writes a file that is named as another library names its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from torchfunc import rooms


class Format(Protocol):
    """What reads and writes the files of another library by their paths; the arguments are those of `Model`."""

    def load_model(
        self, path: Any, custom_objects: Mapping[str, Any] | None, compile: bool, device: Any
    ) -> Any: ...
    def save_model(self, model: Any, path: Any, overwrite: bool) -> None: ...
    def load_weights(self, model: Any, path: Any, skip_mismatch: bool) -> None: ...
    def save_weights(self, model: Any, path: Any, overwrite: bool) -> None: ...


KERAS = (".keras", ".h5", ".hdf5")
_known: dict[str, Format] = {}


def register(format: Format, *suffixes: str) -> None:
    """Have a format read and write the files with these suffixes."""
    _known.update(dict.fromkeys(suffixes, format))


def format_of(place: Any) -> Format | None:
    """The format of another library that a path is named for; None for ours, for folders and for open files."""
    if not isinstance(place, (str, os.PathLike)):
        return None
    suffix = Path(place).suffix.lower()
    if suffix in KERAS:
        rooms.everything()
    return _known.get(suffix)


_exporters: list[Callable[..., Any]] = []


def register_exporter(export: Callable[..., Any]) -> None:
    """Have a function write models as programs, with the arguments of `Model.export` after the model."""
    _exporters.append(export)


def exporter() -> Callable[..., Any]:
    """What writes models as programs."""
    rooms.everything()
    return _exporters[-1]
