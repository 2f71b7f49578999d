"""HDF5: the datasets of a file by their paths, each looked at before it is read; and such a file written.

What is read is a dataset that lies in the file itself, as many bytes as it says. Everything by which HDF5 reaches
beyond that is refused before it is followed: links to other names and files, storage in other files, datasets that
are put together from others, filters, and types that are not numbers.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchfunc.errors import (
    CorruptFileError,
    LimitError,
    MissingExtraError,
    NotATorchfuncFileError,
    SavingError,
    shorten,
)
from torchfunc.saving.header import MAX_RANK, Limits, is_name
from torchfunc.saving.source import AGAIN

MAGIC = b"\x89HDF\r\n\x1a\n"
_DEEPEST = 256
_LONGEST = 64512  # bytes of one attribute: HDF5 takes up to 64 kB, and Keras cuts longer lists
_BFLOAT16 = np.dtype("V2")
_KINDS = "fiub"
_PLAIN = "Fix: model.save(path) in Keras, or `h5repack -f NONE old.h5 new.h5` of a file that you trust"


class Entry(NamedTuple):
    """A dataset: its shape, and the dtype of the tensor that it becomes."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def h5py() -> Any:
    """The package h5py.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "keras", "A file of Keras") from error
    return h5py


class Hdf5:
    """An open HDF5 file: what datasets it holds, and their tensors and attributes.

    Args:
        file: the open file, which stays the caller's.
        size: its length.
        where: what errors call it.
        limits: how much it may ask for.

    Raises:
        NotATorchfuncFileError: no HDF5 file.
        CorruptFileError: a damaged one, or one that reaches beyond itself.
        LimitError: more than a file of this size may ask for.
        MissingExtraError: h5py is not installed.
    """

    def __init__(self, file: BinaryIO, size: int, where: str, limits: Limits) -> None:
        self.where, self.size, self.limits = where, size, limits
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            raise NotATorchfuncFileError(
                f"{where} is no HDF5 file: it does not begin as one. Fix: load what Keras saved under this name."
            )
        self._h5py = h5py()
        self.entries: dict[str, Entry] = {}
        self.groups: set[str] = {""}
        with self._damage():
            self._file = self._h5py.File(file, "r")
        try:
            with self._damage():
                self._walk()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Hdf5:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def _damage(self, what: str = "") -> Iterator[None]:
        """Within it, whatever the library finds wrong in the file is an error of ours."""
        try:
            yield
        except (SavingError, MemoryError):
            raise
        except Exception as error:
            what = f"{self.where}{what} is damaged: {shorten(str(error), 200)}. {AGAIN}"
            raise CorruptFileError(what) from error

    def _walk(self) -> None:
        """List what lies in the file, each object once, along links that name an object of the file itself."""
        low = self._h5py.h5l
        seen = {self._address(self._file)}
        waiting = [("", self._file, 0)]
        total = 0
        while waiting:
            path, group, depth = waiting.pop()
            for raw in self._names(group, path):
                name = raw.decode("utf-8", "replace")
                place = f"{path}/{name}" if path else name
                self._check_place(place, depth)
                kind = group.id.links.get_info(raw).type
                if kind != low.TYPE_HARD:
                    raise self._refused(place, "a link to another name or another file")
                found = group.get(raw)
                if self._address(found) in seen:
                    raise self._refused(place, "a second name of an object")
                seen.add(self._address(found))
                if len(seen) > 4 * self.limits.tensors:
                    raise LimitError(f"{self.where} has more than {4 * self.limits.tensors:,} objects.")
                if isinstance(found, self._h5py.Group):
                    self.groups.add(place)
                    waiting.append((place, found, depth + 1))
                elif isinstance(found, self._h5py.Dataset):
                    self.entries[place] = entry = self._entry(found, place)
                    total += math.prod(entry.shape) * found.dtype.itemsize
                else:
                    raise self._refused(place, f"a {type(found).__name__}")
        if total > self.size:
            raise LimitError(
                f"{self.where} says to hold {total:,} bytes of weights, in a file of {self.size:,}."
            )
        if len(self.entries) > self.limits.tensors:
            raise LimitError(
                f"{self.where} has {len(self.entries):,} tensors, over the limit tensors={self.limits.tensors:,}."
            )

    def _names(self, group: Any, path: str) -> list[bytes]:
        count = group.id.get_num_objs()
        if count > 4 * self.limits.tensors or count > self.size:
            raise LimitError(f"{self.where}: '{path}' says to hold {count:,} objects.")
        return list(group.id)

    def _address(self, found: Any) -> Any:
        return self._h5py.h5o.get_info(found.id).addr

    def _check_place(self, place: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise LimitError(f"{self.where} holds groups in more than {_DEEPEST} others.")
        if not is_name(place):
            raise self._refused(place, "a name that no weight may have")

    def _refused(self, place: str, what: str) -> CorruptFileError:
        return CorruptFileError(
            f"{self.where}: {shorten(place)} is {what}. Expected numbers that lie in this file, as Keras writes "
            f"them. {_PLAIN}."
        )

    def _entry(self, dataset: Any, place: str) -> Entry:
        """What a dataset is, once it is known that its bytes lie in the file, as many as it says."""
        settings = dataset.id.get_create_plist()
        if settings.get_external_count():
            raise self._refused(place, "stored in another file")
        if settings.get_layout() == self._h5py.h5d.VIRTUAL:
            raise self._refused(place, "put together from other datasets")
        if settings.get_nfilters():
            raise self._refused(place, "compressed or filtered")
        if dataset.shape is None or len(dataset.shape) > MAX_RANK:
            raise self._refused(place, f"of the shape {shorten(dataset.shape)}")
        dtype = self._dtype(dataset, place)
        needed, stored = math.prod(dataset.shape) * dataset.dtype.itemsize, dataset.id.get_storage_size()
        if stored < needed or needed > self.size:
            raise CorruptFileError(
                f"{self.where}: {shorten(place)} has the shape {tuple(dataset.shape)}, which is {needed:,} bytes, and "
                f"holds {stored:,}. {AGAIN}"
            )
        return Entry(tuple(int(each) for each in dataset.shape), dtype)

    def _dtype(self, dataset: Any, place: str) -> torch.dtype:
        kind = dataset.id.get_type().get_class()
        found = dataset.dtype
        if found == _BFLOAT16 and self._text(dataset, "dtype", place) == "bfloat16":
            return torch.bfloat16
        numbers = (self._h5py.h5t.INTEGER, self._h5py.h5t.FLOAT, self._h5py.h5t.ENUM)
        if kind not in numbers or found.kind not in _KINDS or found.metadata:
            raise self._refused(place, f"of the type {shorten(str(found), 60)}, and no numbers")
        named = getattr(torch, "bool" if found.kind == "b" else found.name, None)
        if not isinstance(named, torch.dtype):
            raise self._refused(place, f"of the type {found.name}, which PyTorch has not")
        return named

    def tensor(self, path: str) -> Tensor:
        """The numbers of a dataset, in memory of their own.

        Raises:
            CorruptFileError: its bytes cannot be read.
        """
        entry = self.entries[path]
        with self._damage(f": {shorten(path)}"):
            dataset = self._file[path]
            array = np.empty(entry.shape, dataset.dtype.newbyteorder("="))
            if array.size:
                dataset.read_direct(array)
        if entry.dtype is torch.bfloat16:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    def text(self, path: str, name: str) -> str | None:
        """An attribute that is a text, or None where there is none.

        Raises:
            CorruptFileError: an attribute of another kind.
        """
        with self._damage(f": the attribute {name}"):
            return self._text(self._file[path] if path else self._file, name, path)

    def texts(self, path: str, name: str) -> list[str] | None:
        """An attribute that is a list of texts, also where it was cut into `name0`, `name1`; None where there is none.

        Raises:
            CorruptFileError: an attribute of another kind.
        """
        with self._damage(f": the attribute {name}"):
            owner = self._file[path] if path else self._file
            if name in owner.attrs:
                return self._list(owner, name, path)
            found: list[str] = []
            number = 0
            while f"{name}{number}" in owner.attrs:
                found += self._list(owner, f"{name}{number}", path)
                number += 1
            return found if number else None

    def _text(self, owner: Any, name: str, path: str) -> str | None:
        if name not in owner.attrs:
            return None
        value = self._attribute(owner, name, path)
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.reshape(-1)[0]
        return _decoded(value, f"{self.where}: the attribute {name} of '{path}'")

    def _list(self, owner: Any, name: str, path: str) -> list[str]:
        value = self._attribute(owner, name, path)
        items = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else list(value)
        return [_decoded(each, f"{self.where}: the attribute {name} of '{path}'") for each in items]

    def _attribute(self, owner: Any, name: str, path: str) -> Any:
        """The value of an attribute that is a text or a list of such, and no longer than the file."""
        found = self._h5py.h5a.open(owner.id, name.encode())
        kind, count = found.get_type(), found.get_space().get_simple_extent_npoints()
        empty = count == 0 or found.shape == (0,)
        is_text = kind.get_class() == self._h5py.h5t.STRING or (empty and found.dtype.kind == "f")
        if not is_text or count > self.size or count * kind.get_size() > 2 * self.size:
            raise self._refused(f"{path}@{name}", "an attribute that is no text")
        return owner.attrs[name]


def _decoded(value: Any, where: str) -> str:
    try:
        # what is no UTF-8 comes from h5py as halves of characters
        return str(value.decode() if isinstance(value, bytes) else value.encode().decode())
    except (UnicodeError, AttributeError) as error:
        raise CorruptFileError(f"{where} is no text. {AGAIN}") from error


class Writing:
    """An HDF5 file that is being written, in memory."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def group(self, path: str, **texts: str) -> None:
        """Make a group, with attributes that are texts."""
        group = self._file.require_group(path) if path else self._file
        for name, text in texts.items():
            group.attrs[name] = text

    def bytes(self, path: str, name: str, text: str) -> None:
        """Give a group an attribute of any length, as bytes, which is how Keras has its configs."""
        (self._file[path] if path else self._file).attrs[name] = text.encode()

    def list(self, path: str, name: str, texts: Sequence[str]) -> None:
        """Give a group a list of texts; one that is too long for HDF5 is cut, as Keras does it."""
        group = self._file.require_group(path) if path else self._file
        items = [each.encode() for each in texts]
        width = max(map(len, items), default=1)
        if width * len(items) <= _LONGEST:
            group.attrs[name] = np.array(items, f"S{width}") if items else np.array([])
            return
        each = max(_LONGEST // width, 1)
        for number, start in enumerate(range(0, len(items), each)):
            group.attrs[f"{name}{number}"] = np.array(items[start : start + each], f"S{width}")

    def tensor(self, path: str, tensor: Tensor | int | float) -> None:
        """Write a tensor in Keras's layout."""
        if isinstance(tensor, (int, float)):
            self._file.create_dataset(
                path, data=np.int64(tensor) if type(tensor) is int else np.float32(tensor)
            )
            return
        value = tensor.detach().cpu().contiguous()
        if value.dtype is torch.bfloat16:
            dataset = self._file.create_dataset(path, data=value.view(torch.int16).numpy().view(_BFLOAT16))
            dataset.attrs["dtype"] = "bfloat16"
        else:
            self._file.create_dataset(path, data=value.numpy())


def hdf5_of(write: Callable[[Writing], None]) -> memoryview:
    """The bytes of an HDF5 file, which `write` fills."""
    memory = io.BytesIO()
    with h5py().File(memory, "w") as file:
        write(Writing(file))
    return memory.getbuffer()
