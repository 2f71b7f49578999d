"""Shards: the tensors of a folder in several files, beside an index, as model hubs lay out what is large.

Each file is an archive by itself; the first holds the document with the config. The index says where each tensor is,
and which checksums each file has, so that files of two saves are never taken for one. Files are called by what is in
them, so that a new save stands beside the old one until its index takes the place of the other.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from torch import Tensor

from torchfunc.errors import CorruptFileError, LimitError, SavingError, shorten
from torchfunc.saving.header import Entry, Limits, parse_json
from torchfunc.saving.source import AGAIN, Source, Specs, named, open_regular

INDEX = "model.safetensors.index.json"
_NAME = re.compile(r"model-[0-9a-f]{8}-\d{5}-of-\d{5}\.safetensors")
_MOST = 256  # files, which are open at once
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def bytes_of(size: float | str, unit: int = 1) -> int:
    """A size as a number of bytes: 5_000_000 or "5GB".

    Args:
        size: a text with its unit, or a number.
        unit: how many bytes a number counts.

    Raises:
        SavingError: no such size.
    """
    found = (
        re.fullmatch(r"(\d+) ?(KB|MB|GB|TB)", size.strip(), re.IGNORECASE) if isinstance(size, str) else None
    )
    if found:
        return int(found[1]) * _UNITS[found[2].upper()] or _no_size(size)
    whole = int if unit == 1 else (int, float)
    if isinstance(size, bool) or not isinstance(size, whole) or not 0 < size * unit < 2**63:
        return _no_size(size)
    return math.ceil(size * unit)


def _no_size(size: Any) -> NoReturn:
    raise SavingError(
        f"max_shard_size: expected a number or a size such as '5GB' or '1500MB', got {shorten(size)}."
    )


def groups_of(tensors: Mapping[str, Tensor], most: int) -> list[dict[str, Tensor]]:
    """Tensors in their order, in groups that take no more bytes than `most`; a larger one is a group alone."""
    groups: list[dict[str, Tensor]] = [{}]
    taken = 0
    for name, tensor in tensors.items():
        if groups[-1] and taken + tensor.nbytes > most:
            groups.append({})
            taken = 0
        groups[-1][name] = tensor
        taken += tensor.nbytes
    if len(groups) > _MOST:
        raise SavingError(
            f"max_shard_size: {len(groups):,} files, expected at most {_MOST}. Fix: larger ones."
        )
    return groups


def file_name(header: bytes, place: int, count: int) -> str:
    """What a file is called: by its header, which has the checksums of all that follows."""
    return f"model-{zlib.crc32(header):08x}-{place + 1:05}-of-{count:05}.safetensors"


def index_of(files: Mapping[str, Mapping[str, Tensor]]) -> bytes:
    """The index of files and what is in each, as hubs know it."""
    where = {name: file for file, tensors in files.items() for name in tensors}
    size = sum(tensor.nbytes for tensors in files.values() for tensor in tensors.values())
    told = {"metadata": {"total_size": size, "files": list(files)}, "weight_map": dict(sorted(where.items()))}
    return json.dumps(told, indent=2).encode()


def forget_others(folder: Path, *, kept: Iterable[str] = ()) -> None:
    """Remove the files of an earlier save, which no index speaks of any more."""
    stay = set(kept)
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and path.name not in stay:
            with contextlib.suppress(OSError):
                path.unlink()


@contextmanager
def opened_together(folder: Path, limits: Limits, tries: int) -> Iterator[Together]:
    """The files of a folder that its index names.

    Raises:
        CorruptFileError: one is missing, or is not the one that was saved with the index.
    """
    for left in reversed(range(tries)):
        raw = _read(folder / INDEX, limits)
        with ExitStack() as stack:
            try:
                sources = [
                    stack.enter_context(Source(folder / name, limits)) for name in _files(raw, folder, limits)
                ]
            except FileNotFoundError as error:
                if left and _read(folder / INDEX, limits) != raw:
                    continue  # it was saved anew meanwhile
                missing = shorten(Path(str(error.filename)).name)
                raise CorruptFileError(
                    f"{named(folder)} lacks the file {missing} that its index names. {AGAIN}"
                ) from None
            together = Together(folder, sources)
            together.check(parse_json(raw, f"The index in {named(folder)}", limits)["weight_map"])
            yield together
            return


def _read(path: Path, limits: Limits) -> bytes:
    with open_regular(path) as file:
        raw = file.read(4 * limits.header_bytes + 1) or b""
    if len(raw) > 4 * limits.header_bytes:
        raise LimitError(f"{named(path)} is longer than four times the limit header_bytes.")
    return raw


def _files(raw: bytes, folder: Path, limits: Limits) -> list[str]:
    """The names of the files that an index says, each of which stands beside it and nowhere else."""
    what = f"The index in {named(folder)}"
    index = parse_json(raw, what, limits, CorruptFileError)
    metadata = index.get("metadata") if isinstance(index, dict) else None
    files = metadata.get("files") if isinstance(metadata, dict) else None
    if not isinstance(files, list) or not files or not isinstance(index.get("weight_map"), dict):
        raise CorruptFileError(
            f"{what} does not say 'files' and 'weight_map' as torchfunc writes them. {AGAIN}"
        )
    if len(files) > _MOST:
        raise LimitError(f"{what} names {len(files):,} files, expected at most {_MOST}.")
    for name in files:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or files.count(name) > 1:
            raise CorruptFileError(f"{what} names {shorten(name)}, which is no file of this folder. {AGAIN}")
    return files


class Together:
    """Several open files, read as one; see `Source`."""

    def __init__(self, folder: Path, sources: list[Source]) -> None:
        self.folder, self.sources = folder, sources
        self.where = named(folder)
        self.table: dict[str, Entry] = {}
        for source in sources:
            for name, entry in source.table.items():
                if name in self.table:
                    raise CorruptFileError(
                        f"{self.where}: tensor {shorten(name)} stands in two files. {AGAIN}"
                    )
                self.table[name] = entry
        self.end = sum(source.end for source in sources)

    def check(self, where: Mapping[str, Any]) -> None:
        """Compare the files with the index that they were opened by.

        Raises:
            CorruptFileError: they are not those of the same save.
        """
        held = {name: source.file for source in self.sources for name in source.table}
        if held != where or any(f"-{each.header_sum:08x}-" not in each.file for each in self.sources):
            raise CorruptFileError(
                f"{self.where}: its index tells of other tensors than its files hold. {AGAIN}"
            )

    @property
    def is_archive(self) -> bool:
        return self.sources[0].is_archive

    @property
    def document(self) -> dict[str, Any]:
        """What the first file says, with the second names of tensors of all."""
        aliases = {name: each for source in self.sources for name, each in source.document["aliases"].items()}
        return {**self.sources[0].document, "aliases": aliases}

    def specs(self) -> Specs:
        return {name: spec for source in self.sources for name, spec in source.specs().items()}

    def tensors(self, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        wanted = None if names is None else set(names)
        found: dict[str, Tensor] = {}
        for source in self.sources:
            found |= source.tensors(
                None if wanted is None else [each for each in source.specs() if each in wanted]
            )
        return found

    def agrees_with(self, copy: Path) -> bool:
        """Whether a readable copy of the document says the same; see `Source`."""
        return self.sources[0].agrees_with(copy)

    def stands_at(self, path: Path) -> bool:
        """Whether the index still names the files that are open here."""
        try:
            return _files(_read(path, self.sources[0].limits), path.parent, self.sources[0].limits) == [
                each.file for each in self.sources
            ]
        except (OSError, SavingError):
            return False
