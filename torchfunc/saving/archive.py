"""The archive: plain JSON and tensors in one safetensors file, or in a folder as model hubs lay it out.

The file is a safetensors file that any such tool reads. Its metadata holds, under "torchfunc", the
document `{"format", "version", "config", "aliases"}`, and, under "torchfunc_crc32", a checksum of that
document and of every tensor. A folder holds the same file as `model.safetensors`, whole in itself, and
the document again as `config.json`, for people and hubs to read. A binary file object holds the file from where
it stands, and is left right behind it, as with torch.save and torch.load.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from torchfunc.errors import ConfigError, LimitError, NotATorchfuncFileError, SavingError, shorten
from torchfunc.saving.atomic import Pieces, made_folder, replace_files
from torchfunc.saving.checksums import as_bytes, checksums
from torchfunc.saving.header import DTYPES, MAX_RANK, Limits, Room, is_name, memory_of_json, parse_header
from torchfunc.saving.shards import (
    INDEX,
    Together,
    file_name,
    forget_others,
    groups_of,
    index_of,
    opened_together,
)
from torchfunc.saving.source import CHECKSUMS, DOCUMENT, FORMAT, VERSION, Source, Specs, named

SUFFIX = ".safetensors"
WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"

_MAX_DEPTH = 500  # Python itself bears about 1,000; `Limits` decides what may be written.
_TRIES = 100  # A folder may be saved anew between opening one of its files and the other.
_CODES = {dtype: code for code, dtype in DTYPES.items()}
_ORDER = {dtype: place for place, dtype in enumerate(reversed(DTYPES.values()))}
_FOREIGN = {
    ".h5": "HDF5, as Keras wrote it before version 3",
    ".hdf5": "HDF5, as Keras wrote it before version 3",
    ".keras": "Keras's own format",
    ".pt": "a pickle of PyTorch",
    ".pth": "a pickle of PyTorch",
    ".ckpt": "a pickle of Lightning or a checkpoint of TensorFlow",
    ".bin": "a pickle of PyTorch",
    ".pkl": "a pickle",
    ".onnx": "ONNX",
    ".gguf": "GGUF",
}

StrPath = str | os.PathLike[str]
Place = StrPath | BinaryIO
Check = Callable[[dict[str, Any], Specs], Iterable[str] | None]


@dataclass
class Archive:
    """What a file holds: a config of plain JSON, and tensors by name."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]


def write(
    place: Place,
    config: dict[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    overwrite: bool = True,
    limits: Limits | None = None,
    shard_bytes: int | None = None,
) -> None:
    """Write a config and tensors, atomically: after a kill or a full disk the old archive stands there whole.

    Args:
        place: a `.safetensors` file, a folder (an existing one, or a path without a suffix), or an open
            binary file, to which it is written at once, where it stands.
        config: plain JSON; tuples come back as lists.
        tensors: of any device. Names that mean the very same memory are stored once, and come back
            as one tensor.
        overwrite: whether an archive that stands there may be replaced.
        limits: those under which it shall be readable.
        shard_bytes: how many bytes of tensors one file of a folder holds; all of them if None.

    Raises:
        SavingError: the path has another format's suffix, something is no plain data, or the archive
            exists and `overwrite` is False.
        LimitError: it would be over the limits.
        WriteError: the file system refused.
    """
    path = Path(place) if isinstance(place, (str, os.PathLike)) else None
    in_folder = path is not None and _is_folder_to_write(path)
    if path is not None:
        for each in (path / WEIGHTS_FILE, path / INDEX) if in_folder else (path,):
            _check_overwrite(each, overwrite)
    if not isinstance(config, dict):
        raise SavingError(f"The config: expected a dict, got {type(config).__name__}.")
    _check_plain(config, "$")
    stored, aliases = _unshared(tensors)
    # weights alone are as they were in the first version, and older ones of torchfunc read them
    version = VERSION if config else 1
    document = {"format": FORMAT, "version": version, "config": config, "aliases": aliases}
    if path is not None and in_folder and shard_bytes is not None and _size(stored) > shard_bytes:
        _write_shards(path, document, stored, limits or Limits(), shard_bytes)
        return
    data = _to_bytes(document, stored, limits or Limits())
    if path is None:
        _write_to_stream(place, data)
    elif in_folder:
        with made_folder(path):
            # Without config.json the folder is whole; with that of another save it would be a mixture.
            replace_files(
                {path / WEIGHTS_FILE: data, path / CONFIG_FILE: _readable(document)},
                withdraw=path / CONFIG_FILE,
            )
            (path / INDEX).unlink(missing_ok=True)
            forget_others(path)
    else:
        replace_files({path: data})


def _write_shards(
    folder: Path, document: dict[str, Any], tensors: dict[str, Tensor], limits: Limits, most: int
) -> None:
    """The tensors in several files: the earlier save counts until its index, or its one file, gives way to the new index."""
    groups = groups_of(tensors, most)
    contents: dict[Path, Pieces] = {}
    files: dict[str, Mapping[str, Tensor]] = {}
    for place, group in enumerate(groups):
        aliases = {name: each for name, each in document["aliases"].items() if each in group}
        first = document if place == 0 else {**document, "version": 1, "config": {}}
        data = _to_bytes({**first, "aliases": aliases}, group, limits)
        name = file_name(bytes(data[1]), place, len(groups))
        contents[folder / name], files[name] = data, group
    told = {
        **document,
        "aliases": {name: each for name, each in document["aliases"].items() if each in groups[0]},
    }
    with made_folder(folder):
        replace_files({**contents, folder / INDEX: [index_of(files)]}, withdraw=folder / CONFIG_FILE)
        (folder / WEIGHTS_FILE).unlink(missing_ok=True)  # which counts as long as it is there
        replace_files({folder / CONFIG_FILE: _readable(told)})
        forget_others(folder, kept=files)


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(each.nbytes for each in tensors.values())


def _readable(document: dict[str, Any]) -> Pieces:
    return [json.dumps(document, ensure_ascii=False, indent=2).encode()]


def read(
    place: Place,
    *,
    check: Check | None = None,
    limits: Limits | None = None,
) -> Archive:
    """Read an archive that may come from a stranger: the result is plain JSON and tensors, or an error.

    Nothing is executed, imported or opened besides; every claim of the header is checked before a
    tensor is allocated, and the bytes are compared with their checksums.

    Args:
        place: a file or a folder that `write` wrote, or an open binary file.
        check: called with the config and the shapes and dtypes by name before any tensor is read; it
            raises if they do not fit each other, and may return the names of those to read, if not all.
        limits: how much the file may ask for.

    Raises:
        NotATorchfuncFileError: a file of another kind, or one that holds weights alone.
        UnsupportedVersionError: written by a newer torchfunc.
        CorruptFileError: damaged or incomplete.
        ConfigError: its document is malformed.
        LimitError: it asks for more than the limits allow.
        OSError: the file is not there or cannot be read.
    """
    with opened(place, limits) as source:
        config = source.document["config"]
        names = None if check is None else check(config, source.specs())
        return Archive(config, source.tensors(names))


def read_header(place: Place, *, limits: Limits | None = None) -> tuple[dict[str, Any], Specs]:
    """The config, and the shape and dtype of every tensor by name, without reading the tensors.

    Raises:
        SavingError: as `read`.
    """
    with opened(place, limits) as source:
        return source.document["config"], source.specs()


def read_tensors(
    place: Place,
    *,
    check: Callable[[Specs], Iterable[str] | None] | None = None,
    limits: Limits | None = None,
) -> dict[str, Tensor]:
    """The tensors of an archive, or of a safetensors file that holds nothing else.

    Args:
        place: as for `read`.
        check: called with the shapes and dtypes by name before any tensor is read; it raises if they do not
            fit, and may return the names of those to read, if not all.
        limits: how much the file may ask for.

    Raises:
        SavingError: as `read`, except that a document is not asked for.
    """
    with opened(place, limits) as source:
        return source.tensors(None if check is None else check(source.specs()))


def _is_folder_to_write(path: Path) -> bool:
    suffix = path.suffix.lower()
    if path.is_dir() or not suffix:
        return True
    if suffix != SUFFIX:
        kind = f", which is {_FOREIGN[suffix]}" if suffix in _FOREIGN else ""
        raise SavingError(
            f"torchfunc saves to '{SUFFIX}' files and to folders (a path without a suffix), "
            f"not to '{suffix}'{kind}. Fix: model.save({str(path.with_suffix(SUFFIX))!r})."
        )
    return False


def _check_overwrite(target: Path, overwrite: bool) -> None:
    if not overwrite and target.exists():
        raise SavingError(f"'{target}' exists already. Fix: another path, or overwrite=True.")


def _check_plain(value: Any, place: Any, depth: int = 0) -> None:
    """Only what comes back from JSON as it was: anything else is refused here, not found out when loading.

    A place is the one around it, and what stands behind that: it is written out for an error alone.
    """
    kind = type(value)
    if value is None or kind is bool or (kind is str and value.isascii()):
        return
    if depth > _MAX_DEPTH:
        raise SavingError(f"{_written(place)[:120]}... is nested too deeply to be saved.")
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str or not _is_text(key):
                raise SavingError(f"{_written(place)}: expected keys that are text, got {shorten(key)}.")
            _check_plain(item, (place, key), depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_plain(item, (place, index), depth + 1)
    elif kind is int:
        if not -(2**63) <= value < 2**64:
            raise SavingError(f"{_written(place)}: expected a number of 64 bits, got {shorten(value)}.")
    elif kind not in (str, float):
        raise SavingError(f"{_written(place)}: expected plain JSON, got {shorten(value)} ({kind.__name__}).")
    elif isinstance(value, str) and not _is_text(value):
        raise SavingError(
            f"{_written(place)}: expected text, got {shorten(value)}, which has half of a character."
        )
    elif isinstance(value, float) and not math.isfinite(value):
        raise SavingError(f"{_written(place)}: expected a finite number, got {value}.")


def _written(place: Any) -> str:
    parts = []
    while isinstance(place, tuple):
        place, last = place
        parts.append(f".{last}" if isinstance(last, str) else f"[{last}]")
    return "".join([place, *reversed(parts)])


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unshared(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor once, on the CPU and contiguous, and the other names of those that have several."""
    stored: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    names: dict[object, str] = {}
    plain = {name: _plain_tensor(name, tensor) for name, tensor in tensors.items()}
    for name, tensor in plain.items():
        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        first = names.setdefault(key if tensor.numel() else id(tensors[name]), name)
        if first != name:
            aliases[name] = first
        else:
            stored[name] = tensor.cpu().contiguous()
    return stored, dict(sorted(aliases.items()))


def _plain_tensor(name: str, tensor: Tensor) -> Tensor:
    if not is_name(name):
        raise SavingError(f"{shorten(name)} is no name for a tensor: expected printable characters.")
    if not isinstance(tensor, Tensor):
        raise SavingError(f"Tensor {name!r}: expected a torch.Tensor, got {type(tensor).__name__}.")
    if torch.nn.parameter.is_lazy(tensor) or tensor.is_meta:
        raise SavingError(f"Tensor {name!r} has no values yet. Fix: call the model on data before saving it.")
    if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        kind = type(tensor).__name__
        raise SavingError(
            f"Tensor {name!r} is a {kind}, which keeps its values elsewhere. Fix: make it plain."
        )
    if tensor.layout != torch.strided or tensor.dtype not in DTYPES.values():
        kind = f"{tensor.dtype}, {tensor.layout}"
        raise SavingError(
            f"Tensor {name!r} cannot be saved as it is ({kind}). Fix: make it dense, of a plain dtype."
        )
    if tensor.dim() > MAX_RANK:
        raise SavingError(f"Tensor {name!r} has {tensor.dim()} dimensions, expected at most {MAX_RANK}.")
    return tensor.detach().resolve_conj().resolve_neg()


def _to_bytes(document: dict[str, Any], tensors: dict[str, Tensor], limits: Limits) -> Pieces:
    """The pieces of the file; those of tensors are their own memory."""
    text = _compact(document)
    memory = {name: as_bytes(tensors[name]) for name in sorted(tensors)}
    digests = {"document": zlib.crc32(text.encode()), "tensors": checksums(tensors, memory)}
    header: dict[str, Any] = {"__metadata__": {"format": "pt", DOCUMENT: text, CHECKSUMS: _compact(digests)}}
    # As safetensors lays them out: the widest dtypes first, so that each tensor begins aligned.
    names = sorted(tensors, key=lambda name: (_ORDER[tensors[name].dtype], name))
    end = 0
    for name in names:
        begin, end = end, end + tensors[name].nbytes
        dtype, shape = _CODES[tensors[name].dtype], list(tensors[name].shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    raw = _compact(header).encode()
    del header  # as many objects as there are tensors, thrice
    raw += b" " * (-len(raw) % 8)  # The data begin aligned.
    _check_readable(raw, text, 8 + len(raw) + end, limits)
    return [len(raw).to_bytes(8, "little"), raw, *(memory[name] for name in names)]


def _check_readable(header: bytes, document: str, size: int, limits: Limits) -> None:
    """Nothing is written that would be refused when it is read."""
    room = Room.for_header(size, len(header), limits)
    table, metadata = parse_header(header, "This archive", limits, room)
    room = Room.for_the_rest(size, len(header), table, limits)
    try:
        # what `json` wrote of plain data can be parsed; what is counted is how much of it there is
        for what, text in (("The list of checksums", metadata[CHECKSUMS]), ("The config", document)):
            room.take(memory_of_json(text.encode(), what, limits), what)
    except LimitError as error:
        raise LimitError(
            f"{error} Fix: a smaller model, or keep the weights alone with save_weights."
        ) from None


def _write_to_stream(file: Any, data: Pieces) -> None:
    try:
        for piece in data:
            file.write(piece)
    except (AttributeError, TypeError) as error:
        raise SavingError(f"Expected a path or an open binary file, got {shorten(file)}: {error}.") from error


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@contextmanager
def opened(place: Place, limits: Limits | None) -> Iterator[Source | Together]:
    """The file of an archive, its header read and checked."""
    limits = limits or Limits()
    if not isinstance(place, (str, os.PathLike)):
        with Source(place, limits) as source:
            yield source
        return
    path = Path(place)
    suffix = path.suffix.lower()
    if path.is_dir():
        with _opened_folder(path, limits) as source:
            yield source
    elif suffix in _FOREIGN:
        raise NotATorchfuncFileError(
            f"{named(path)} is named as {_FOREIGN[suffix]}; torchfunc reads '{SUFFIX}' files and folders. "
            f"Fix: load what model.save({str(path.with_suffix(SUFFIX))!r}) wrote."
        )
    else:
        with Source(path, limits) as source:
            yield source


@contextmanager
def _opened_folder(folder: Path, limits: Limits) -> Iterator[Source | Together]:
    """The tensors of a folder, once they agree with the copy of their document in config.json."""
    weights, config = folder / WEIGHTS_FILE, folder / CONFIG_FILE
    for _ in range(_TRIES):
        in_shards = not weights.exists() and (folder / INDEX).exists()
        kind = opened_together(folder, limits, _TRIES) if in_shards else Source(weights, limits)
        with kind as source:
            if source.agrees_with(config):
                yield source
                return
            if source.stands_at(folder / INDEX if in_shards else weights):
                break
    held = INDEX if in_shards else WEIGHTS_FILE
    raise ConfigError(
        f"'{config}' is not the config that was saved with '{held}', which holds it too. "
        "Fix: delete the copy to load what was saved."
    )
