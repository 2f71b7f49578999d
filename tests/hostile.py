"""Files of strangers: made with right checksums, opened in a child process under limits, and what came of it.

    data = forge(config, {"dense.weight": raw(torch.zeros(3, 4))})
    found = outcome(lambda: tf.load_model(path), memory=1 << 30, seconds=10)
    assert found.ending == "typed" and faults(found, [path]) == []

The files are put together here and not by the package's writer, which would refuse what an attacker writes.
"""

from __future__ import annotations

import faulthandler
import json
import linecache
import os
import random
import resource
import select
import signal
import struct
import sys
import threading
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

import torchfunc as tf
from torchfunc.errors import TorchfuncError, WriteError
from torchfunc.saving.header import DTYPES
from torchfunc.saving.source import CHECKSUMS, DOCUMENT, FORMAT, VERSION

Case = TypeVar("Case")
PACKAGE = str(Path(tf.__file__).parent)
SLACK = 64 << 20  # what a load may take beyond twice the file
MAX_MESSAGE = 4096
PATIENCE = 30  # how much longer than its work a case may wait, for a processor or for ever

# --- Files -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raw:
    """A tensor as a file holds it; nothing says that the three fit each other."""

    dtype: str
    shape: list[Any]
    data: bytes


@dataclass
class Parts:
    """A file taken apart: what `joined` puts together again, with right checksums, whatever was changed."""

    document: Any
    tensors: dict[str, Raw] = field(default_factory=dict)

    @property
    def config(self) -> Any:
        return self.document["config"]


def raw(tensor: Tensor) -> Raw:
    """A tensor in the words of the file."""
    name = next(name for name, dtype in DTYPES.items() if dtype is tensor.dtype)
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return Raw(name, list(tensor.shape), flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def packed(header: Any, data: bytes = b"") -> bytes:
    """The length, the header (JSON, text or bytes) and the data."""
    if not isinstance(header, bytes):
        header = (header if isinstance(header, str) else compact(header)).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(header)) + header + data


def digest(name: str, tensor: Raw) -> int:
    about = f"{name}\0{DTYPES.get(tensor.dtype, tensor.dtype)}\0{tensor.shape}"
    return zlib.crc32(tensor.data, zlib.crc32(about.encode("utf-8", "surrogatepass")))


def joined(
    parts: Parts,
    *,
    text: str | None = None,
    checksums: Any = None,
    metadata: Mapping[str, Any] | None = None,
    table: Callable[[dict[str, Any]], Any] = lambda table: table,
) -> bytes:
    """A whole file.

    Args:
        parts: the document and the tensors.
        text: the document's text, instead of the document.
        checksums: instead of the right ones.
        metadata: further metadata, or others in place of ours.
        table: changes the table of tensors once it is laid out.
    """
    text = compact(parts.document) if text is None else text
    layout: dict[str, Any] = {}
    data = b""
    for name, each in parts.tensors.items():
        offsets = [len(data), len(data) + len(each.data)]
        layout[name] = {"dtype": each.dtype, "shape": each.shape, "data_offsets": offsets}
        data += each.data
    if checksums is None:
        checksums = {
            "document": zlib.crc32(text.encode("utf-8", "surrogatepass")),
            "tensors": {name: digest(name, each) for name, each in parts.tensors.items()},
        }
    ours = {"format": "pt", DOCUMENT: text, CHECKSUMS: compact(checksums), **(metadata or {})}
    return packed({"__metadata__": ours, **table(layout)}, data)


def forge(
    config: Any,
    tensors: Mapping[str, Raw | Tensor] | None = None,
    *,
    aliases: Any = None,
    version: Any = VERSION,
    **options: Any,
) -> bytes:
    """A file with right checksums that holds this config and these tensors; the options are those of `joined`."""
    document = {"format": FORMAT, "version": version, "config": config, "aliases": aliases or {}}
    held = {name: raw(each) if isinstance(each, Tensor) else each for name, each in (tensors or {}).items()}
    return joined(Parts(document, held), **options)


def parts_of(data: bytes) -> Parts:
    """A good file taken apart."""
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:begin])
    document = json.loads(header.pop("__metadata__")[DOCUMENT])
    tensors = {
        name: Raw(each["dtype"], each["shape"], data[begin:][slice(*each["data_offsets"])])
        for name, each in header.items()
    }
    return Parts(document, tensors)


def graph_config(
    calls: Sequence[Mapping[str, Any]],
    layers: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[Any] = (None, 4),
    dtype: Any = "float32",
    name: Any = "x",
    **changes: Any,
) -> dict[str, Any]:
    """The config of a file whose model has one Input and these calls, the last of which is its output."""
    last = calls[-1]["name"] if calls else name
    model = {
        "name": "m",
        "trainable": True,
        "layers": dict(layers or {}),
        "tensors": {},
        "calls": [{"name": name, "input": list(shape), "dtype": dtype}, *calls],
        "inputs": {"from": name},
        "outputs": {"from": last},
        **changes,
    }
    return {"model": {"class_name": "Model", "config": model}, "build": None}


def of_layer(
    kind: Any, config: Any, *, shape: Sequence[Any] = (None, 4), dtype: Any = "float32"
) -> dict[str, Any]:
    """The config of a file whose model calls one layer."""
    call = {"name": "q", "module": "q", "args": [{"from": "x"}]}
    return graph_config([call], {"q": {"class_name": kind, "config": config}}, shape=shape, dtype=dtype)


# --- A child that tries them -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What came of one action in a child.

    Attributes:
        ending: "ok"; "typed", an error of ours; "missing", a file that is not there or cannot be opened; "raw",
            any other exception; "memory", over the limit; "signal"; "hang".
        place: the line of the package where the error came from.
        growth: how much the memory of the child rose, in bytes.
        value: what the action returned, where that is plain data.
        imported, opened, events, changed: modules, files, other audited events, and what is global and was changed.
    """

    ending: str
    error: str = ""
    message: str = ""
    length: int = 0
    place: str = ""
    growth: int = 0
    value: Any = None
    imported: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def outcome(action: Callable[[], Any], *, memory: int = 2 << 30, seconds: float = 20) -> Outcome:
    """What an action does in a child of its own, which may take so much more memory and work so many seconds."""
    ((_, found),) = outcomes([None], lambda _: action(), memory=memory, seconds=seconds)
    return found


def outcomes(
    cases: Sequence[Case], action: Callable[[Case], Any], *, memory: int = 2 << 30, seconds: float = 20
) -> Iterator[tuple[Case, Outcome]]:
    """What an action does with each case, in one child; another takes over where one is killed."""
    done = 0
    while done < len(cases):
        child = _Child(cases[done:], action, memory)
        try:
            while done < len(cases) and (line := child.line(seconds)):
                yield cases[done], _read(line)
                done += 1
        finally:
            death = child.ended(killed=done == len(cases) or child.hangs)
        if done < len(cases):
            yield cases[done], Outcome("hang" if child.hangs else "signal", death)
            done += 1


def faults(found: Outcome, files: Sequence[Path | str] = (), size: int | None = None) -> list[str]:
    """What breaks the promise about files: everything but a model or an error of ours, and every side effect.

    Args:
        found: the outcome.
        files: those that may be opened.
        size: the size of the file, by which memory is judged.
    """
    wrong = []
    if found.ending not in ("ok", "typed"):
        wrong.append(f"{found.ending}: {found.error} at {found.place}: {found.message[:200]}")
    if found.length > MAX_MESSAGE:
        wrong.append(f"a message of {found.length} characters")
    if not found.message.replace("\n", " ").isprintable():
        wrong.append(f"a message that is not printable: {found.message[:200]!a}")
    allowed = {str(each) for each in files}
    other = [each for each in found.opened if each not in allowed]
    for what, things in (
        ("imports", found.imported),
        ("opens", other),
        ("does", found.events),
        ("changes", found.changed),
    ):
        if things:
            wrong.append(f"{what} {', '.join(things[:5])}")
    if size is not None and found.growth > 2 * size + SLACK:
        wrong.append(f"takes {found.growth / 2**20:.0f} MiB for a file of {size:,} bytes")
    return wrong


def by_config(wrong: list[str], found: Outcome) -> list[str]:
    """The faults without those of a model that is made of a config alone: it draws new weights, and needs room for them."""
    refused = found.ending == "memory" and hasattr(tf.errors, found.error)
    asked = ("changes torch's random numbers", *(["memory: "] if refused else []), "takes ")
    return [
        each for each in wrong if not each.startswith(asked) or (each.startswith("changes") and "," in each)
    ]


class _Child:
    """A process that tries cases and writes a line for each."""

    def __init__(self, cases: Sequence[Any], action: Callable[[Any], Any], memory: int) -> None:
        self.hangs = False
        self._read = b""
        self._end, begin = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 warns where a process has threads
            self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._end)
                _work(cases, action, memory, begin)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(begin)

    def line(self, seconds: float) -> bytes:
        """The next line; nothing where the child died, worked for so many seconds, or did nothing for far longer.

        What is counted is the processor's time, for on a busy machine the clock says little of the work.
        """
        end, worked = time.monotonic() + PATIENCE * seconds, self._worked() + seconds
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._end], [], [], min(seconds, 0.5))
            if not ready:
                self.hangs = self._worked() > worked or time.monotonic() > end
                if self.hangs:
                    return b""
                continue
            piece = os.read(self._end, 1 << 16)
            if not piece:
                return b""
            self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _worked(self) -> float:
        """How long a processor has worked for it, in seconds."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")

    def ended(self, *, killed: bool) -> str:
        """Wait for its end, and say what that was."""
        if killed:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._end)
        _, status = os.waitpid(self.pid, 0)
        return (
            signal.Signals(os.WTERMSIG(status)).name
            if os.WIFSIGNALED(status)
            else f"exit {os.WEXITSTATUS(status)}"
        )


def _work(cases: Sequence[Any], action: Callable[[Any], Any], memory: int, begin: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    faulthandler.disable()  # that of pytest would tell of each death as its own
    warnings.simplefilter("ignore")
    _limit(memory)
    watch = Watch()
    for case in cases:
        found = _tried(watch, action, case)
        os.write(begin, json.dumps(vars(found)).encode() + b"\n")


def _limit(memory: int) -> None:
    held = _status("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (held + memory, held + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(line: bytes) -> Outcome:
    found = json.loads(line)
    return Outcome(
        **{
            key: tuple(each) if isinstance(each, list) and key != "value" else each
            for key, each in found.items()
        }
    )


# what Python tells of itself all the time
_QUIET = (
    "object.__getattr__ object.__setattr__ object.__delattr__ sys._getframe sys._getframemodulename builtins.id "
    "code.__new__ gc.get_objects gc.get_referents gc.get_referrers time.sleep"
).split()


class Watch:
    """What happens in this process while it is open: audited events, and changes of what is global."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.open = False
        state()  # what it imports is imported now
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.open and event not in _QUIET and len(self.events) < 2000:
            about = arguments[0] if arguments else ""
            if event == "compile":
                about = arguments[1]
            elif event == "exec":
                about = getattr(about, "co_filename", about)
            if not (event in ("compile", "exec") and str(about).startswith("<torchfunc")):
                self.events.append(
                    (event, ascii(about)[1:-1][:200] if isinstance(about, str) else ascii(about)[:200])
                )


def _tried(watch: Watch, action: Callable[[Any], Any], case: Any) -> Outcome:
    modules, before = set(sys.modules), state()
    _reset_peak()
    start = _status("VmRSS")
    watch.events.clear()
    watch.open = True
    value, ending, error = None, "ok", None
    try:
        value = action(case)
    except BaseException as caught:
        error = caught
    watch.open = False
    growth = _status("VmHWM") - start
    after = state()
    # A thread that was joined may be in the system's table for some milliseconds more; one that stays is found.
    end = time.monotonic() + 1
    while after["threads"] > before["threads"] and time.monotonic() < end:
        time.sleep(0.001)
        after["threads"] = state()["threads"]
    found = Outcome(
        ending,
        growth=growth,
        value=value if isinstance(value, (bool, int, float, str, list)) else None,
        imported=tuple(sorted(set(sys.modules) - modules))[:20],
        opened=tuple(
            sorted({about for event, about in watch.events if event == "open" and not about.isdigit()})
        )[:20],
        events=tuple(
            sorted({f"{event} {about}" for event, about in watch.events if event not in ("open", "import")})
        )[:20],
        changed=tuple(key for key in before if before[key] != after[key]),
    )
    return found if error is None else replace(found, **_told(error))


def _told(error: BaseException) -> dict[str, Any]:
    try:
        message = str(error)
    except Exception as worse:
        message, error = f"its text cannot be told: {worse}", worse
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    if any(isinstance(each, MemoryError) or "allocate memory" in str(each)[:2000] for each in causes):
        ending = "memory"
    elif isinstance(error, (TorchfuncError, WriteError)):
        ending = "typed"
    else:
        ending = "missing" if isinstance(error, OSError) else "raw"
    return {
        "ending": ending,
        "error": type(error).__name__,
        "message": message[:5000],
        "length": len(message),
        "place": _place(error),
    }


def _place(error: BaseException) -> str:
    """The deepest line of the package, and the file that it called where the error was raised there."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if each.filename.startswith(PACKAGE)]
    deepest = ours[-1] if ours else frames[-1]
    name = deepest.filename.removeprefix(f"{PACKAGE}/") if ours else Path(deepest.filename).name
    return f"{name}:{deepest.lineno} {deepest.name}"


def state() -> dict[str, Any]:
    """What is global and no load may change."""
    names = np.random.get_state()
    return {
        "torch's random numbers": zlib.crc32(torch.get_rng_state().numpy().tobytes()),
        "NumPy's random numbers": (zlib.crc32(names[1].tobytes()), *names[2:]),  # type: ignore[union-attr, index]
        "Python's random numbers": hash(random.getstate()),
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()),
        "gradient mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "threads of torch": torch.get_num_threads(),
        "threads": (threading.active_count(), len(list(Path("/proc/self/task").iterdir()))),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "environment": hash(frozenset(os.environ.items())),
        "folder": Path.cwd(),
        "warnings": len(warnings.filters),
        "signals": str([signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]),
        "registries": tuple(len(each.names()) for each in tf.registry.registries()),
        "custom objects": (len(tf.registry._custom.get()), len(tf.registry._functions)),
        "image data format": tf.backend.image_data_format()
        if hasattr(tf.backend, "image_data_format")
        else "",
        "recursion limit": sys.getrecursionlimit(),
    }


def sources() -> int:
    """How many sources of ours Python keeps for tracebacks."""
    return sum(name.startswith("<torchfunc") for name in linecache.cache)


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    _, _, rest = Path("/proc/self/status").read_text().partition(f"{name}:")
    return int(rest.split(maxsplit=1)[0]) * 1024
