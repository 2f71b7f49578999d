"""The header of a safetensors file, read as what a stranger wrote: every claim checked, nothing allocated.

safetensors itself lets through duplicate names, leading spaces, names with `../`, shapes of 5,000
dimensions and headers of 100 MB; here each is an error that says which rule was broken.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch

from torchfunc.errors import ConfigError, CorruptFileError, LimitError, SavingError, shorten

# In the order in which safetensors lays them out, from the last to the first.
DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E8M0": torch.float8_e8m0fnu,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I16": torch.int16,
    "U16": torch.uint16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "U32": torch.uint32,
    "F32": torch.float32,
    "C64": torch.complex64,
    "F64": torch.float64,
    "I64": torch.int64,
    "U64": torch.uint64,
}
MAX_RANK = 8
MAX_NAME = 1024
_MAX_DIMENSION = 2**40
_BLOCK = 1 << 18
_TENSOR = 1024  # bytes of memory that a tensor takes at most besides its values
_ITEM = 96  # bytes of memory that an item of a JSON text takes at most
_SURROGATE = re.compile(rb"\\u[dD](?:[89abAB]..(?P<low>\\u[dD][c-fC-F]..)?|[c-fC-F]..)")
_LAYER = 6 << 10  # bytes of memory for what a config says of a layer that has a tensor
_TIMES = 12  # how much more memory than text a config takes
# The level of nesting goes up or down after each byte.
_STEPS = np.zeros(256, dtype=np.int8)
_STEPS[[*b"[{"]], _STEPS[[*b"]}"]] = 1, -1


@dataclass(frozen=True)
class Limits:
    """How much a file may ask for before any of its tensors is read. Raise one for a file that you trust.

    The items of a JSON text are its lists, objects, strings and commas. Memory is in bytes, beside twice the
    size of the file.
    """

    header_bytes: int = 16 << 20
    json_items: int = 1_000_000
    json_depth: int = 256
    tensors: int = 1 << 16
    memory: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a file; `begin` and `end` count bytes from the end of the header."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    begin: int
    end: int


@dataclass
class Room:
    """The memory that a file may still take."""

    left: int

    @classmethod
    def for_header(cls, size: int, header: int, limits: Limits) -> Room:
        """While the header of a file of this size is parsed."""
        return cls(2 * size + limits.memory - header)

    @classmethod
    def for_the_rest(cls, size: int, header: int, table: Mapping[str, Entry], limits: Limits) -> Room:
        """Beside what stays of the header, and all tensors; layers may be many that have tensors to show for it."""
        data = sum(entry.end - entry.begin for entry in table.values())
        layers = _LAYER * sum(entry.end > entry.begin for entry in table.values())
        for_layers = min(layers, _TIMES * header)
        return cls(2 * size + limits.memory + for_layers - header - data - _TENSOR * len(table))

    def take(self, needed: int, what: str) -> None:
        """Raises: LimitError: there is not as much left."""
        if needed > self.left:
            raise LimitError(
                f"{what} would take about {needed:,} bytes of memory, and {max(self.left, 0):,} are left of "
                f"twice the size of the file and the limit memory."
            )
        self.left -= needed


def parse_json(
    raw: bytes,
    what: str,
    limits: Limits,
    error: type[SavingError] = ConfigError,
    room: Room | None = None,
) -> Any:
    """JSON as RFC 8259 has it: no key twice, no NaN, no number over 64 bits, no deep nesting.

    Args:
        raw: the JSON in UTF-8.
        what: what it is, for the message, as in "The header of 'm.safetensors'".
        limits: how much of it there may be.
        error: what to raise when it is wrong.
        room: from which it takes what it needs, if that is counted.

    Raises:
        LimitError: it is too deep, has too many items, or needs more memory than there is room.
    """
    memory = memory_of_json(raw, what, limits)
    if room is not None:
        room.take(memory, what)
    try:
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
        _check_surrogates(raw)
    except RecursionError as deep:
        raise LimitError(f"{what} is nested too deeply.") from deep
    except ValueError as wrong:
        raise error(f"{what} is not valid: {_cut(wrong)}.") from wrong
    return value


def parse_header(
    raw: bytes, where: str, limits: Limits, room: Room | None = None
) -> tuple[dict[str, Entry], dict[str, str]]:
    """The table of tensors and the metadata that a header holds.

    Raises:
        CorruptFileError: it is malformed, or its tensors overlap or leave gaps.
        LimitError: it asks for more than the limits allow.
    """
    header = parse_json(raw, f"The header of {where}", limits, CorruptFileError, room)
    metadata = header.pop("__metadata__", {})
    if len(header) > limits.tensors:
        raise LimitError(f"{where} has {len(header):,} tensors, over the limit tensors={limits.tensors:,}.")
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CorruptFileError(f"{where}: '__metadata__' must hold nothing but strings.")
    return _table(header, where), metadata


def is_name(name: object) -> bool:
    """Whether a tensor may be called so: parts of printable characters between "/", none a way upwards."""
    return (
        isinstance(name, str)
        and len(name) <= MAX_NAME
        and name.isprintable()
        and "\\" not in name
        and not {"", ".", ".."} & set(name.split("/"))
    )


def memory_of_json(raw: bytes, what: str, limits: Limits) -> int:
    """How many bytes parsing takes at most: for the text, decoded and cut into strings, and for its items.

    Raises:
        LimitError: it is too deep, since parsing recurses once a level, or has too many items.
    """
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    depth = items = 0
    within = np.False_
    for start in range(0, len(unescaped), _BLOCK):
        block = np.frombuffer(unescaped, np.uint8, min(_BLOCK, len(unescaped) - start), start)
        quotes = block == ord('"')
        inside = np.logical_xor.accumulate(quotes) ^ within
        within = inside[-1]
        steps = np.where(inside, np.int8(0), _STEPS[block])
        depths = depth + np.cumsum(steps, dtype=np.int32)
        depth = int(depths[-1])
        items += int(np.count_nonzero((steps > 0) | (inside & quotes) | (~inside & (block == ord(",")))))
        if depths.max() > limits.json_depth:
            raise LimitError(f"{what} is nested deeper than the limit json_depth={limits.json_depth}.")
        if items > limits.json_items:
            raise LimitError(f"{what} has more items than the limit json_items={limits.json_items:,}.")
        if depths.min() < 0:
            break  # The parser stops here, and says so.
    return len(raw) * 2 * _width(raw) + items * _ITEM


def _check_surrogates(raw: bytes) -> None:
    """Refuse half of a pair: Python takes it for a character, and cannot write it."""
    if b"\\u" not in raw:
        return
    for match in _SURROGATE.finditer(raw.replace(rb"\\", b"__")):
        if not match["low"]:
            raise ValueError(f"{match[0].decode()} is half of a pair: surrogates not allowed alone")


def _width(raw: bytes) -> int:
    """How many bytes Python may take for a character of this text."""
    if raw.isascii() and b"\\u" not in raw:
        return 1
    if re.search(rb"[\xf0-\xff]|\\u[dD]", raw):
        return 4
    return 2 if re.search(rb"[\xc4-\xff]|\\u", raw) else 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {shorten(key)} stands twice in one object")
    return result


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise ValueError(f"the number {digits[:20]}... does not fit 64 bits")
    return int(digits)


def _finite(digits: str) -> float:
    if math.isinf(float(digits)):
        raise ValueError(f"the number {digits[:20]} is not finite")
    return float(digits)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _table(header: dict[str, Any], where: str) -> dict[str, Entry]:
    names = list(header)  # What is converted is given up at once.
    table = {name: _entry(name, header.pop(name), where) for name in names}
    end = 0
    for name, entry in sorted(table.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            _refuse(where, name, f"begins at byte {entry.begin} of the data, expected {end}")
        end = entry.end
    return table


def _entry(name: str, value: Any, where: str) -> Entry:
    if not is_name(name):
        _refuse(where, name, "has a name that no tensor may have")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        _refuse(where, name, "needs 'dtype', 'shape' and 'data_offsets', and nothing else")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        _refuse(where, name, f"has dtype {shorten(dtype)}. Known: {', '.join(DTYPES)}")
    if not _are_sizes(shape) or len(shape) > MAX_RANK:
        _refuse(where, name, f"has shape {shorten(shape)}: expected at most {MAX_RANK} sizes under 2**40")
    if not _are_sizes(offsets, 2**63) or len(offsets) != 2:
        _refuse(where, name, f"has data_offsets {shorten(offsets)}: expected two places in the file")
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if offsets[1] - offsets[0] != needed:
        _refuse(where, name, f"has {offsets[1] - offsets[0]} bytes, expected {needed}")
    return Entry(tuple(shape), DTYPES[dtype], *offsets)


def _are_sizes(value: Any, limit: int = _MAX_DIMENSION) -> bool:
    return isinstance(value, list) and all(type(each) is int and 0 <= each < limit for each in value)


def _refuse(where: str, name: str, why: str) -> NoReturn:
    raise CorruptFileError(f"{where}: tensor {shorten(name)} {why}.")


def _cut(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= 200 else text[:197] + "..."
