"""The promise about files, clause by clause, over every door by which a file comes in; and ten thousand changed files.

Each is opened in a child process with an audit hook, and limits of memory and time. `scripts/fuzz_files.py` tries
changed files by the million.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import torchfunc as tf
from tests import hostile
from tests.hostile import faults, forge, of_layer, outcome, outcomes, parts_of, raw
from tests.saving import mutations
from torchfunc.layers import Dense

ROOT = Path(__file__).parents[2]
KINDS = [make.__name__ for make in mutations.MAKERS]

# --- The harness sees what it is for ---------------------------------------------------------------------------


def test_a_file_that_was_taken_apart_and_put_together_is_loaded(tmp_path: Path) -> None:
    for kind in KINDS:
        data = mutations.originals()[kind].data
        (tmp_path / "m.safetensors").write_bytes(hostile.joined(parts_of(data)))
        again = tf.load_model(tmp_path / "m.safetensors")
        assert set(again.state_dict()) <= {*parts_of(data).tensors, *parts_of(data).document["aliases"]}


def test_a_forged_file_is_loaded(tmp_path: Path) -> None:
    weights = {"q.weight": torch.ones(3, 4), "q.bias": torch.zeros(3)}
    (tmp_path / "m.safetensors").write_bytes(forge(of_layer("Dense", {"units": 3}), weights))
    assert tf.load_model(tmp_path / "m.safetensors")(torch.ones(1, 4)).tolist() == [[4.0, 4.0, 4.0]]


def leave_a_mark() -> None:
    os.environ["TORCHFUNC_MARK"] = "1"
    torch.rand(1)
    torch.set_default_dtype(torch.float64)


@pytest.mark.parametrize(
    "action, seen",
    {
        "an exception": (lambda: 1 / 0, "raw: ZeroDivisionError"),
        "a file": (lambda: Path("/etc/hostname").read_text() and None, "opens /etc/hostname"),
        "a process": (lambda: subprocess.run(["true"], check=True), "does os.posix_spawn|subprocess.Popen"),
        "an import": (lambda: __import__("this"), "imports this"),
        "code": (lambda: eval("1 + 1"), "does compile"),
        "a mark": (leave_a_mark, "changes torch's random numbers, default dtype, environment"),
        "a signal": (lambda: os.kill(os.getpid(), 11), "signal: SIGSEGV"),
        "a hang": (lambda: [None for _ in iter(int, 1)], "hang"),
        "memory": (lambda: torch.ones(150 << 18).sum() and None, "takes 1"),
        "too much memory": (lambda: torch.ones(1 << 32), "memory: RuntimeError"),
    }.values(),
    ids=lambda each: each[:12] if isinstance(each, str) else "",
)  # fmt: skip
def test_the_harness_sees_what_breaks_the_promise(action: Callable[[], Any], seen: str) -> None:
    found = faults(outcome(action, memory=1 << 30, seconds=2), size=0)
    assert any(part in "; ".join(found) for part in seen.split("|")), found


# --- Clause by clause ------------------------------------------------------------------------------------------


def from_config(kind: str, path: Path) -> Any:
    return mutations.from_config(mutations.originals()[kind].parts().document)


def load_weights(kind: str, path: Path) -> Any:
    return mutations.originals()[kind].model.load_weights(path)


def inspected(kind: str, path: Path) -> Any:
    return tf.inspect(path) if hasattr(tf, "inspect") else None


DOORS: dict[str, Callable[[str, Path], Any]] = {
    "load_model": lambda kind, path: tf.load_model(path),
    "the folder": lambda kind, path: tf.load_model(path.parent),
    "load_weights": load_weights,
    "from_config": from_config,
    "clone_model": lambda kind, path: tf.clone_model(mutations.originals()[kind].model),
    "inspect": inspected,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each kind of model, with its file and the readable copy of its config."""
    paths = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        (folder / "model.safetensors").write_bytes(mutations.originals()[kind].data)
        (folder / "config.json").write_text(json.dumps(parts_of(mutations.originals()[kind].data).document))
        paths[kind] = folder / "model.safetensors"
    return paths


@pytest.mark.parametrize("door", DOORS)
def test_no_door_runs_imports_opens_or_changes_anything_beside(door: str, saved: dict[str, Path]) -> None:
    wrong = {}
    before = {path: (path.stat(), path.read_bytes()) for path in saved.values()}
    for kind, found in outcomes(KINDS, lambda kind: DOORS[door](kind, saved[kind]) and None):
        files = [saved[kind], saved[kind].with_name("config.json")]
        wrong[kind] = faults(found, files if door != "from_config" else [], len(before[saved[kind]][1]))
        if found.ending != "ok":
            wrong[kind].append(f"{found.ending}: {found.message}")
        if door in ("clone_model", "from_config"):  # they draw new weights, as they are asked to
            wrong[kind] = [each for each in wrong[kind] if each != "changes torch's random numbers"]
    for path, (facts, data) in before.items():
        assert (path.stat().st_mtime_ns, path.read_bytes()) == (facts.st_mtime_ns, data)
        assert sorted(each.name for each in path.parent.iterdir()) == ["config.json", "model.safetensors"]
    assert {kind: each for kind, each in wrong.items() if each} == {}


FRESH = """
import os, sys, threading
import torchfunc as tf
paths, model = sys.argv[2:], None
tf.rooms.everything()  # as a name that no table has yet would
modules, environment = set(sys.modules), dict(os.environ)
for path in paths:
    model = tf.load_model(path)
    model.load_weights(path)
    if sys.argv[1] == "from_config":
        type(model).from_config(model.get_config())
print([name for name in sorted(set(sys.modules) - modules)], dict(os.environ) == environment, threading.active_count())
"""


@pytest.mark.parametrize("door", ["load_model", "from_config"])
def test_the_first_load_of_a_process_imports_nothing(door: str, saved: dict[str, Path]) -> None:
    # a config says no shapes, and to find those of a masked recurrence PyTorch imports modules of its own
    paths = [path for kind, path in saved.items() if door == "load_model" or kind not in ("ids", "lstm")]
    command = [sys.executable, "-W", "ignore", "-c", FRESH, door, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == "[] True 1", done.stdout + done.stderr


def test_other_threads_draw_other_random_numbers_while_a_model_is_loaded(saved: dict[str, Path]) -> None:
    """The generator is neither read nor set: whoever draws from it meanwhile would draw the same once more."""
    touched = []

    def heard(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            touched.append(function.__name__)
            return function(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("get_rng_state", "set_rng_state", "manual_seed", "seed"):
            for owner in (torch, torch.random):
                patch.setattr(owner, name, heard(getattr(owner, name)))
        for path in saved.values():
            tf.load_model(path)
    assert touched == []


def test_sources_of_models_that_are_gone_are_gone(saved: dict[str, Path]) -> None:
    def repeated() -> int:
        import gc

        for number in range(60):
            config = parts_of(mutations.originals()["mlp"].data).config["model"]["config"]
            tf.Model.from_config({**config, "name": f"m{number}"})
            tf.load_model(saved["calls"])
        gc.collect()
        return hostile.sources()

    before = hostile.sources()
    found = outcome(repeated)
    assert found.value is not None and found.value - before <= 20, found


# --- Memory ----------------------------------------------------------------------------------------------------


def large() -> Any:
    x = tf.Input((2000,))
    return tf.Model(x, nn.Linear(3000, 1000)(Dense(3000)(x)))


@pytest.mark.parametrize("door", ["load_model", "load_weights", "inspect"])
def test_a_load_takes_at_most_twice_the_file(door: str, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    model = large()
    model.save(path)

    def opened() -> None:
        if door == "load_weights":
            model.load_weights(path)
        else:
            DOORS[door]("", path)

    found = outcome(opened)
    size = path.stat().st_size
    assert size > 30 << 20 and faults(found, [path], size) == []


def sparse(path: Path, header: bytes, size: int) -> Path:
    """A file that says it is so large, and has next to nothing on the disk."""
    with path.open("wb") as file:
        file.write(header)
        file.truncate(size)
    return path


@pytest.mark.parametrize("door", ["load_model", "load_weights", "the folder"])
def test_a_config_that_asks_for_more_than_the_file_has_is_refused_before_anything_is_allocated(
    door: str, tmp_path: Path
) -> None:
    sizes = {"units": 10**7}
    data = forge(of_layer("Dense", sizes), {"q.weight": raw(torch.zeros(3, 4)), "q.bias": torch.zeros(3)})
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)

    x = tf.Input((4,))
    model = tf.Model(x, Dense(3, name="d")(x))

    def opened() -> Any:
        return model.load_weights(path) if door == "load_weights" else DOORS[door]("", path)

    found = outcome(opened, memory=512 << 20)
    assert found.ending == "typed"
    assert faults(found, [path, path.with_name("config.json")], len(data)) == []


# --- Time ------------------------------------------------------------------------------------------------------


def chain_of_layers(n: int) -> Any:
    x = y = tf.Input((2,))
    for _ in range(n):
        y = Dense(2)(y)
    return tf.Model(x, y)


def chain_of_functions(n: int) -> Any:
    x = y = tf.Input((2,))
    for _ in range(n):
        y = torch.relu(y) + 1
    return tf.Model(x, y)


def one_layer_often(n: int) -> Any:
    x = y = tf.Input((2,))
    layer = Dense(2)
    for _ in range(n):
        y = layer(y)
    return tf.Model(x, y)


def many_inputs_and_outputs(n: int) -> Any:
    inputs = [tf.Input((1,)) for _ in range(n)]
    return tf.Model(inputs, [torch.relu(each) for each in inputs])


def many_models(n: int) -> Any:
    x = y = tf.Input((2,))
    for _ in range(n):
        inner = tf.Input((2,))
        y = tf.Model(inner, Dense(2)(inner))(y)
    return tf.Model(x, y)


def one_model_often(n: int) -> Any:
    x = y = tf.Input((2,))
    inner = tf.Input((2,))
    block = tf.Model(inner, Dense(2)(inner))
    for _ in range(n):
        y = block(y)
    return tf.Model(x, y)


def sequence(n: int) -> Any:
    return tf.Sequential([tf.Input((2,)), *(Dense(2) for _ in range(n))])


def sequence_of_torch(n: int) -> Any:
    x = tf.Input((2,))
    return tf.Model(x, nn.Sequential(*(nn.Linear(2, 2) for _ in range(n)))(x))


def one_wide_call(n: int) -> Any:
    x = tf.Input((2,))
    return tf.Model(x, torch.cat([x] * n, dim=1))


def trained(n: int) -> Any:
    model = chain_of_layers(n)
    model.compile("adam", "mse")
    model.train_on_batch(torch.zeros(2, 2), torch.zeros(2, 2))
    return model


MAKERS = (
    chain_of_layers, chain_of_functions, one_layer_often, many_inputs_and_outputs, many_models, one_model_often,
    sequence, sequence_of_torch, one_wide_call, trained,
)  # fmt: skip


def steps(action: Callable[[], Any]) -> int:
    """How many functions are called while it runs, those written in C among them."""
    count = 0

    def hear(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(hear)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("door", ["load_model", "load_weights", "from_config", "inspect"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_the_work_of_loading_grows_as_the_file(make: Callable[[int], Any], door: str, tmp_path: Path) -> None:
    work = []
    for n in (60, 240):
        model = make(n)
        path = tmp_path / f"{n}.safetensors"
        model.save(path)
        config = model.get_config()
        actions: dict[str, Callable[[], Any]] = {
            "load_model": lambda path=path: tf.load_model(path),
            "load_weights": lambda path=path, model=model: model.load_weights(path),
            "from_config": lambda config=config, model=model: model.config_class.from_config(config),
            "inspect": lambda path=path: inspected("", path),
        }
        actions[door]()
        work.append(steps(actions[door]))
    assert work[1] <= 4.6 * max(work[0], 1000), work


# --- Files of every kind that is no file of ours ------------------------------------------------------------------


def special(folder: Path) -> Iterator[tuple[str, Path]]:
    good = mutations.originals()["mlp"].data
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "loop.safetensors").symlink_to(folder / "loop.safetensors")
    begin = 8 + int.from_bytes(good[:8], "little")
    sparse(folder / "sparse.safetensors", good[:begin], 1 << 40)
    for name in ("pipe", "loop", "sparse"):
        yield name, folder / f"{name}.safetensors"
    for path in ("/dev/zero", "/dev/full", "/dev/null", "/proc/self/mem", "/proc/self/environ"):
        yield path, Path(path)
    inside = folder / "folder"
    (inside / "model.safetensors").mkdir(parents=True)
    yield "a folder with a folder", inside
    piped = folder / "piped"
    piped.mkdir()
    (piped / "model.safetensors").write_bytes(good)
    os.mkfifo(piped / "config.json")
    yield "a folder whose copy is a pipe", piped
    zeros = folder / "zeros"
    zeros.mkdir()
    (zeros / "model.safetensors").write_bytes(good)
    (zeros / "config.json").symlink_to("/dev/zero")
    yield "a folder whose copy is endless", zeros
    yield "nothing", folder / "nothing.safetensors"


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    cases = list(special(tmp_path))
    wrong = {}
    for (name, path), found in outcomes(cases, lambda case: tf.load_model(case[1]) and None, seconds=5):
        files = [path, path / "model.safetensors", path / "config.json"]
        wrong[name] = [each for each in faults(found, files, 0) if not each.startswith("missing: ")]
        if found.ending not in ("typed", "missing"):
            wrong[name].append(found.ending)
    assert {name: each for name, each in wrong.items() if each} == {}
    assert (tmp_path / "pipe.safetensors").is_fifo()


# --- Changed files ---------------------------------------------------------------------------------------------

# Those that once ended otherwise. What a seed changes depends on what is saved, so they are no more than a memory.
SEEDS = [
    11, 65, 84, 204, 293, 363, 481, 674, 934, 1191, 1379, 1504, 1710, 1750, 2110, 2166, 2168, 2195, 2198, 2201, 2217, 2498,
    238, 2512, 3162, 3248, 3442, 4156, 4801, 5216, 5354, 5669, 5869, 6994, 8374, 8518, 8754, 8866, 9827, 10106, 7022553,
    7070807,
]  # fmt: skip


def test_what_was_once_found_is_found_no_more(tmp_path: Path) -> None:
    found = mutations.survey(SEEDS, tmp_path)
    assert not found.failures, str(found)


CHUNK = 1000


@pytest.mark.parametrize("chunk", range(10))
def test_ten_thousand_changed_files_end_in_a_model_or_an_error_of_ours(chunk: int, tmp_path: Path) -> None:
    found = mutations.survey(range(chunk * CHUNK, (chunk + 1) * CHUNK), tmp_path)
    print(found)
    assert not found.failures, str(found)
    assert found.endings["ok"] > CHUNK // 10 and found.endings["typed"] > CHUNK // 10, str(found)
