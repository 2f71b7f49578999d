"""Forged files by the dozen: what each holds, by which doors it comes in, and which of them must refuse it."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

import torchfunc as tf
from tests.hostile import (
    Outcome,
    Parts,
    by_config,
    compact,
    faults,
    forge,
    graph_config,
    joined,
    of_layer,
    outcomes,
    packed,
    parts_of,
)
from tests.saving import mutations

MODEL = ("load_model", "folder", "from_config")
FILE = ("load_model", "folder")
ALL = ("load_model", "folder", "load_weights")
NONE = ()


@dataclass(frozen=True)
class Attack:
    """One file.

    Attributes:
        name: what it does.
        data: the file, or a function that makes one at a path.
        refused: the doors that must refuse it; the others may find nothing wrong with the part that they read.
        doors: those by which it comes in.
        steps: whether a model that is loaded of it is then trained for a step: it is the model "mlp".
    """

    name: str
    data: bytes | Callable[[Path], Any]
    refused: tuple[str, ...] = FILE
    doors: tuple[str, ...] = ("load_model", "folder", "load_weights", "from_config", "inspect")
    steps: bool = False


Maker = Callable[[], Iterator[Attack]]
X = {"from": "x"}
WEIGHTS = {"q.weight": torch.ones(3, 4), "q.bias": torch.zeros(3)}


@cache
def original(kind: str) -> bytes:
    return mutations.originals()[kind].data


def changed(change: Callable[[Parts], Any], kind: str = "mlp", **options: Any) -> bytes:
    """A saved model, trained for two steps, with one thing changed; the checksums are right."""
    parts = parts_of(original(kind))
    change(parts)
    return joined(parts, **options)


def set_at(place: str, value: Any) -> Callable[[Parts], None]:
    """Change the config at a place such as "model.config.calls.0.name"."""

    def change(parts: Parts) -> None:
        *way, last = place.split(".")
        at = parts.document
        for key in ["config", *way]:
            at = at[int(key)] if isinstance(at, list) else at[key]
        if value is DELETED:
            del at[last]
        else:
            at[int(last) if isinstance(at, list) else last] = value

    return change


DELETED = object()


def at(place: str, value: Any, kind: str = "mlp") -> bytes:
    return changed(set_at(place, value), kind)


def layer(kind: Any, config: Any, refused: tuple[str, ...] = MODEL, **options: Any) -> Attack:
    return Attack(f"{kind} {config!s:.60}", forge(of_layer(kind, config, **options), WEIGHTS), refused)


def dense(**config: Any) -> Attack:
    """A Dense that is right but for these arguments."""
    return layer("Dense", {"units": 3, **config})


def call(
    *calls: dict[str, Any], tensors: Any = None, refused: tuple[str, ...] = MODEL, **options: Any
) -> Attack:
    """A graph of one Input and these calls."""
    named = [{"name": f"z{number}", **each} for number, each in enumerate(calls)]
    data = forge(graph_config(named, **options), tensors)
    return Attack(f"{compact(calls)[:80]} {compact(options)[:40]}", data, refused)


def function(name: Any, *args: Any, refused: tuple[str, ...] = MODEL, **options: Any) -> Attack:
    return call({"function": name, "args": list(args) or [X]}, refused=refused, **options)


def of_header(name: str, header: Any, data: bytes = b"", refused: tuple[str, ...] = ALL) -> Attack:
    return Attack(name, packed(header, data), refused)


class Changing:
    """A file that another thread writes again and again while it is loaded."""

    def __init__(self, path: Path, pieces: list[bytes]) -> None:
        self.path, self.pieces = path, pieces
        path.write_bytes(pieces[0])

    def load(self) -> None:
        done = threading.Event()

        def write() -> None:
            with self.path.open("r+b", buffering=0) as file:
                number = 0
                while not done.is_set():
                    number += 1
                    file.seek(0)
                    file.write(self.pieces[number % 2])
                    file.truncate(len(self.pieces[number % 2]))

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(60):
                with suppress(tf.errors.TorchfuncError):
                    tf.load_model(self.path)
        finally:
            done.set()
            thread.join()


@dataclass(frozen=True)
class Entry:
    """One attack by one door."""

    door: str
    attack: Attack
    path: Path
    document: Any = None


def entries(make: Maker, folder: Path) -> list[Entry]:
    found = []
    for number, each in enumerate(make()):
        if not isinstance(each.data, bytes):
            path = folder / f"{number}.safetensors"
            path = each.data(path) or path
            found += [
                Entry("load_model", each, path),
                *([] if isinstance(path, Changing) else [Entry("load_weights", each, path)]),
            ]
            continue
        inside = folder / str(number)
        inside.mkdir()
        (inside / "model.safetensors").write_bytes(each.data)
        said = document(each.data)
        for door in each.doors:
            found.append(Entry(door, each, inside / "model.safetensors", said))
    return found


def opened(entry: Entry) -> None:
    if isinstance(entry.path, Changing):
        entry.path.load()
    elif entry.door == "load_weights":
        mutations.originals()["mlp"].model.load_weights(entry.path)
    elif entry.door == "from_config":
        mutations.from_config(entry.document)
    elif entry.door == "inspect":
        if hasattr(tf, "inspect"):
            tf.inspect(entry.path)
    else:
        model = tf.load_model(entry.path.parent if entry.door == "folder" else entry.path)
        if entry.attack.steps:
            mutations.stepped(model, mutations.originals()["mlp"].batch)


def document(data: Any) -> Any:
    """What a file says, as whoever reads the JSON by himself would give it to `from_config`."""
    try:
        return parts_of(data).document
    except (ValueError, KeyError, TypeError, struct.error, AttributeError, RecursionError):
        return None


def wrong_with(entry: Entry, found: Outcome) -> list[str]:
    path = entry.path.path if isinstance(entry.path, Changing) else entry.path
    size = path.stat().st_size if path.is_file() else 0
    wrong = faults(
        found,
        [path, path / "model.safetensors", path / "config.json", path.with_name("config.json")],
        min(size, 1 << 30),
    )
    if entry.door == "from_config":
        wrong = by_config(wrong, found)
    if found.ending == "missing" and not isinstance(entry.attack.data, bytes):
        wrong = [each for each in wrong if not each.startswith("missing: ")]
    if found.ending == "ok" and entry.door in entry.attack.refused and entry.door != "inspect":
        wrong.append("is loaded")
    return wrong


def wrong_of(make: Maker, folder: Path, *, seconds: float = 10) -> tuple[int, dict[str, list[str]]]:
    """How many cases the files of a maker are, and what is wrong with those that do not end as they shall."""
    mutations.originals()
    cases = entries(make, folder)
    wrong = {}
    for entry, found in outcomes(cases, opened, memory=1 << 30, seconds=seconds):
        if problems := wrong_with(entry, found):
            wrong[f"{entry.attack.name[:120]!a} by {entry.door}"] = [each[:300] for each in problems]
    return len(cases), wrong
