"""Shards: the tensors of one archive in several files of a folder, as model hubs lay out what is large.

`model.safetensors.index.json` says which file has which tensor, and each file is an archive by itself: its header and
checksums are read as those of any other. What files there are is said by their number, so no index leads out of its folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from torchfunc.errors import CorruptFileError, LimitError, SavingError, explain, shorten
from torchfunc.saving.header import Limits, parse_json
from torchfunc.saving.source import AGAIN, Source, Specs, named, open_regular

INDEX_FILE = "model.safetensors.index.json"

_NAME = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def in_bytes(size: int | str) -> int:
    """A size as model hubs write it: `"5GB"`, or a number of bytes.

    Raises:
        SavingError: something else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]B)", size.upper()) if isinstance(size, str) else None
    found = int(float(match[1]) * _UNITS[match[2]]) if match else size
    if type(found) is not int or found < 1:
        fix = '"5GB", "200MB", or a number of bytes'
        raise SavingError(explain("max_shard_size", got=shorten(size), expected="a size", fix=fix))
    return found


def grouped(tensors: Mapping[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    """The tensors in their order, in as few files as hold no more bytes than that, or one tensor alone."""
    groups: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        if groups[-1] and filled + tensor.nbytes > size:
            groups.append({})
            filled = 0
        groups[-1][name] = tensor
        filled += tensor.nbytes
    return groups


def file_names(count: int) -> list[str]:
    return [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]


def index(names: list[str], groups: list[dict[str, Tensor]], aliases: Mapping[str, str]) -> bytes:
    """What the index says of these files."""
    homes = {tensor: name for name, group in zip(names, groups, strict=True) for tensor in group}
    homes |= {name: homes[stored] for name, stored in aliases.items()}
    total = sum(tensor.nbytes for group in groups for tensor in group.values())
    return json.dumps({"metadata": {"total_size": total}, "weight_map": homes}, indent=2).encode()


def remove_others(folder: Path, names: Collection[str] = ()) -> None:
    """Remove the shards of an older save, which no index names any more."""
    for each in folder.iterdir():
        if _NAME.fullmatch(each.name) and each.name not in names:
            each.unlink(missing_ok=True)


class Shards:
    """The open files of a folder, which are read as one."""

    def __init__(self, where: str, sources: Mapping[str, Source]) -> None:
        self.where, self.sources = where, sources
        self._first = next(iter(sources.values()))
        self.is_archive = all(source.is_archive for source in sources.values())
        self.table = {name: entry for source in sources.values() for name, entry in source.table.items()}
        self.end = sum(source.end for source in sources.values())

    @property
    def document(self) -> dict[str, Any]:
        """That of the first shard, which has the config, with the second names of all."""
        aliases = {
            name: stored
            for each in self.sources.values()
            for name, stored in each.document["aliases"].items()
        }
        return {**self._first.document, "aliases": aliases}

    def specs(self) -> Specs:
        """Shape and dtype of every tensor by name."""
        return {name: spec for source in self.sources.values() for name, spec in source.specs().items()}

    def tensors(self, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """The tensors of these names, or of all, in fresh memory."""
        wanted = None if names is None else set(names)
        found: dict[str, Tensor] = {}
        for source in self.sources.values():
            found |= source.tensors(
                None if wanted is None else [name for name in source.specs() if name in wanted]
            )
        return found

    def agrees_with(self, copy: Path) -> bool:
        """Whether a readable copy of the document says the same."""
        return not self.is_archive or self._first.agrees_with(copy)


@contextmanager
def opened(folder: Path, limits: Limits) -> Iterator[Shards]:
    """The shards of a folder, each header checked, and all together compared with the index.

    Raises:
        CorruptFileError: the index is malformed, or a file holds other tensors than it says.
        LimitError: there are more tensors than the limits allow.
        OSError: a file is missing.
    """
    homes = _read_index(folder / INDEX_FILE, limits)
    with ExitStack() as stack:
        sources = {
            name: stack.enter_context(Source(folder / name, limits)) for name in sorted(set(homes.values()))
        }
        for name, source in sources.items():
            expected = {tensor for tensor, home in homes.items() if home == name}
            if differing := sorted(expected ^ source.specs().keys()):
                raise CorruptFileError(
                    f"{source.where} does not hold the tensors that '{INDEX_FILE}' says: {shorten(differing[0])}. {AGAIN}"
                )
        yield Shards(named(folder), sources)


def _read_index(path: Path, limits: Limits) -> dict[str, str]:
    """Which file has which tensor."""
    where = named(path)
    with open_regular(path) as file:
        raw = file.read(limits.header_bytes + 1) or b""
    if len(raw) > limits.header_bytes:
        raise LimitError(f"{where} is over the limit header_bytes={limits.header_bytes:,}.")
    found = parse_json(raw, where, limits, CorruptFileError)
    homes = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(homes, dict) or not homes:
        raise CorruptFileError(f"{where} has no 'weight_map' from names of tensors to files. {AGAIN}")
    if len(homes) > limits.tensors:
        raise LimitError(f"{where} has {len(homes):,} tensors, over the limit tensors={limits.tensors:,}.")
    files = set(map(str, homes.values()))
    expected = file_names(len(files))
    if others := sorted(files - set(expected)):
        raise CorruptFileError(
            f"{where} names the file {shorten(others[0])}, expected '{expected[0]}' and so on, {len(files)} of them. {AGAIN}"
        )
    return homes
