"""Sharded folders: weights and training in files of shards, which any number of ranks writes and reads."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from torchfunc.errors import CorruptFileError, WeightMismatchError, explain

FILE = "training.json"
TENSOR = "$tensor"


def write(folder: str | Path, state: Mapping[str, Any]) -> None:
    """Write nested plain data and tensors, in shards or equal on all ranks; all of them call it.

    What stood there stays whole until everything is written.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    folder, tensors = Path(folder), dict[str, Tensor]()
    plain = _taken_out(state, "", tensors)
    part, old = folder.with_name(folder.name + ".part"), folder.with_name(folder.name + ".old")
    first = not _is_running() or distributed.get_rank() == 0
    if first:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        (part / FILE).write_text(json.dumps(plain), encoding="utf-8")
    _wait()
    with _quiet():
        save(tensors, storage_writer=HuggingFaceStorageWriter(str(part), save_distributed=True))
    _wait()
    if first:
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    _wait()


def read(folder: str | Path, own: Mapping[str, Tensor]) -> Any:
    """What `write` wrote, the tensors in shards as those of `own` with their names and shapes; all ranks call it.

    Raises:
        CorruptFileError: no folder that `write` wrote.
        WeightMismatchError: tensors of other names or shapes.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    folder = Path(folder)
    try:
        plain = json.loads((folder / FILE).read_text(encoding="utf-8"))
        with _quiet():
            reader = HuggingFaceStorageReader(str(folder))
            stored: Mapping[str, Any] = reader.read_metadata().state_dict_metadata
    except (OSError, ValueError, KeyError) as error:
        expected = f"a folder that save_checkpoint wrote, with {FILE} and shards"
        raise CorruptFileError(explain(str(folder), got=str(error), expected=expected)) from error
    for name, each in own.items():
        shape = tuple(stored[name].size) if name in stored else None
        if shape != tuple(each.shape):
            got = f"no {name!r}" if shape is None else f"{name!r} of shape {shape}"
            expected = f"{name!r} of shape {tuple(each.shape)}"
            raise WeightMismatchError(explain(str(folder), got=got, expected=expected))
    tensors: dict[str, Any] = {}
    for name, each in stored.items():
        like = own.get(name, own.get(_owner(name)))
        dtype = each.properties.dtype
        if like is not None and tuple(like.shape) == tuple(each.size):
            tensors[name] = torch.empty_like(like, dtype=dtype)
        else:
            tensors[name] = torch.empty(each.size, dtype=dtype)
    with _quiet():
        load(tensors, storage_reader=HuggingFaceStorageReader(str(folder)))
    return _put_back(plain, tensors, str(folder))


def _owner(name: str) -> str:
    """The name of the weight that a slot of an optimizer belongs to: `training/optimizer/slots/NAME/SLOT`."""
    return "model/" + name.removeprefix("training/optimizer/slots/").rpartition("/")[0]


def _taken_out(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """The same with names in the place of tensors, which are laid out by these."""
    if isinstance(value, Mapping):
        return {key: _taken_out(each, f"{place}/{key}".lstrip("/"), tensors) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_taken_out(each, f"{place}/{index}", tensors) for index, each in enumerate(value)]
    if isinstance(value, Tensor):
        tensors[place] = _contiguous(value.detach())
        return {TENSOR: place}
    return value


def _contiguous(tensor: Any) -> Tensor:
    """A tensor whose numbers, or those of its shard on this rank, lie in their order."""
    tensor = tensor.contiguous()
    if hasattr(tensor, "to_local") and not tensor.to_local().is_contiguous():
        kept = {"shape": tensor.shape, "stride": torch.empty(tensor.shape, device="meta").stride()}
        local = tensor.to_local().contiguous()
        tensor = type(tensor).from_local(local, tensor.device_mesh, tensor.placements, **kept)
    return tensor  # type: ignore[no-any-return]


def _put_back(value: Any, tensors: Mapping[str, Any], place: str) -> Any:
    if isinstance(value, dict) and value.keys() == {TENSOR}:
        if value[TENSOR] not in tensors:
            raise CorruptFileError(explain(place, got=f"no tensor {value[TENSOR]!r}", expected="one"))
        return tensors[value[TENSOR]]
    if isinstance(value, dict):
        return {key: _put_back(each, tensors, place) for key, each in value.items()}
    return [_put_back(each, tensors, place) for each in value] if isinstance(value, list) else value


def _is_running() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _wait() -> None:
    if _is_running():
        distributed.barrier()


@contextmanager
def _quiet() -> Any:
    """Without what PyTorch says where one process writes and reads alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
