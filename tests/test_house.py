"""The house: imports go down only, and nothing in it can execute what a file says."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import combinations, takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "torchfunc"
FILES = sorted(PACKAGE.rglob("*.py"))

FLOORS = (
    {"absent", "arrays_in", "errors", "signatures", "tree"},
    {"rooms"},
    {"distributed", "registry", "functions", "native", "turns", "fields", "settings"},
    {"dtype_policies"},
    {"schemas"},
    {"config"},
    {"graph", "activations", "initializers", "regularizers", "constraints", "schedules"},
    {"ops", "vis"},
    {"random", "variables"},
    {"losses", "optimizers", "callbacks"},
    {"metrics"},
    {"layers", "training", "saving"},
    {"models"},
    {"keras_files"},
    {"interop"},
    {"backend"},
    {"utils"},
    {"applications", "datasets", "mixed_precision", "wrappers"},
    {"preprocessing"},
    {"__init__"},
    {"__main__"},
)
# The core knows tensors and modules, and nothing else of the house.
KNOWN_TO = {"graph": {"errors", "tree", "functions"}}
REQUIRED = {"torch", "numpy", "safetensors", "typing_extensions"}  # The last is required by torch.
OPTIONAL = {
    "IPython",
    "PIL",
    "h5py",
    "huggingface_hub",
    "keras",
    "mlflow",
    "onnx",
    "pandas",
    "pydot",
    "rich",
    "sklearn",
    "tensorboard",
    "timm",
    "torchvision",
    "wandb",
}
# What of PyTorch takes a second to import, and is there for several processes alone.
SLOW = tuple(f"torch.distributed.{part}." for part in ("checkpoint", "device_mesh", "fsdp", "tensor"))
BANNED_MODULES = {
    "cloudpickle",
    "ctypes",
    "dill",
    "importlib.import_module",
    "joblib",
    "marshal",
    "pickle",
    "runpy",
    "shelve",
    "socket",
    "subprocess",
    "tarfile",
    "urllib",
    "zipfile",
}
# A file of Keras and an .npz file are zip archives: their members are listed, looked at and read where they lie. Who asks
# for a file gets it, and an archive unpacked, where it can harm nobody; and who names a server has figures posted there.
# Graphviz is a program, which gets text in which names are quoted.
ALLOWED = {
    "keras_files/zipped.py": {"zipfile"},
    "callbacks/loggers/remote.py": {"urllib"},
    "utils/files/downloads.py": {"urllib"},
    "utils/files/unpacking.py": {"tarfile", "zipfile"},
    "datasets/published/npz.py": {"zipfile"},
    "vis/rendering.py": {"subprocess"},
}
BANNED_CALLS = {
    "__import__",
    "eval",
    "importlib.import_module",
    "np.load",
    "numpy.load",
    "os.popen",
    "os.system",
    "torch.hub.load",
    "torch.jit.load",
    "torch.load",
    "torch.save",
    "yaml.load",
}
# One place imports by name: the rooms that the face names, and never one that a file does.
IMPORTS = ("rooms.py", "importlib.import_module")
# One place writes code and runs it: the forward that it has emitted itself.
EXECUTES = {"exec": "graph/emit.py", "compile": "graph/emit.py"}

each_file = pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of(room: str) -> int:
    for floor, rooms in enumerate(FLOORS):
        if room in rooms:
            return floor
    pytest.fail(f"{room!r} stands on no floor: give it one in FLOORS")


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Every module, or name in a module, that is imported anywhere in a file, in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    names = {name.split(".")[1] for _, name in imports(parse(path)) if name.startswith("torchfunc.")}
    return {
        name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists() else "__init__"
        for name in names
    }


def file_of(name: str) -> Path:
    """The file that an imported name comes from."""
    parts = name.split(".")[1:]
    while parts:
        for candidate in (
            PACKAGE.joinpath(*parts).with_suffix(".py"),
            PACKAGE.joinpath(*parts, "__init__.py"),
        ):
            if candidate.exists():
                return candidate
        parts.pop()
    return PACKAGE / "__init__.py"


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


@each_file
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    for other in rooms_imported(path) - {room}:
        assert floor_of(other) < floor_of(room), f"{room} imports {other}, which is not below it"
        assert other in KNOWN_TO.get(room, {other}), f"{room} knows nothing of {other}"


def test_no_two_files_import_each_other() -> None:
    graph = {
        path: {file_of(name) for _, name in imports(parse(path)) if name.split(".")[0] == "torchfunc"}
        - {path}
        for path in FILES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(str(path.relative_to(ROOT)) for path in error.args[1]))


@each_file
def test_only_what_is_required_is_imported_at_the_top_and_only_what_is_optional_below(path: Path) -> None:
    tree = parse(path)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node, name in imports(tree):
        # what PyTorch has for it asks for the package tensorboard
        package = "tensorboard" if name.startswith("torch.utils.tensorboard.") else name.split(".")[0]
        if id(node) in inside:
            assert package in OPTIONAL or name.startswith(SLOW), (
                f"line {node.lineno}: {name} is imported inside a function"
            )
        else:
            known = REQUIRED | {"torchfunc"} | sys.stdlib_module_names
            assert package in known, f"line {node.lineno}: {name} is no hard dependency"


@each_file
def test_nothing_that_executes_data_or_leaves_the_process(path: Path) -> None:
    tree, place = parse(path), path.relative_to(PACKAGE).as_posix()
    for node, name in imports(tree):
        banned = {name, name.split(".")[0]} & BANNED_MODULES
        assert banned <= ALLOWED.get(place, set()), f"line {node.lineno}: imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            banned_here = BANNED_CALLS - ({IMPORTS[1]} if place == IMPORTS[0] else set())
            assert dotted(node) not in banned_here, f"line {node.lineno}: {dotted(node)}"
        if isinstance(node, ast.Call) and dotted(node.func) in EXECUTES:
            assert place == EXECUTES[dotted(node.func)], f"line {node.lineno}: {dotted(node.func)}"


@pytest.mark.parametrize("place", ALLOWED)
def test_nothing_is_allowed_that_is_not_needed(place: str) -> None:
    needed = {name.split(".")[0] for _, name in imports(parse(PACKAGE / place))}
    assert needed >= ALLOWED[place]


@each_file
def test_a_file_opens_with_a_sentence(path: Path) -> None:
    docstring = ast.get_docstring(parse(path))
    assert docstring, "a file opens with the sentence that it is about"
    assert docstring.split("\n\n")[0].endswith((".", ":")), docstring


def test_no_file_name_stands_twice() -> None:
    names = Counter(path.stem for path in FILES if path.name != "__init__.py")
    assert [name for name, number in names.items() if number > 1] == []


# two that Keras named may sound alike
KERAS_NAMESPACES = {
    name.split(".")[-2]
    for name in (ROOT / "tests" / "golden" / "keras_names.txt").read_text(encoding="utf-8").split()
}


def sound_alike(one: str, other: str) -> bool:
    """Whether two names begin alike for four fifths of the shorter; those with a number are proper names."""
    one, other = one.replace("_", ""), other.replace("_", "")
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    return same >= 0.8 * min(len(one), len(other)) and not (one[same - 1 :] + other[same - 1 :]).isdigit()


def test_no_two_files_of_a_folder_sound_alike() -> None:
    for folder in {path.parent for path in FILES}:
        here = [each.stem for each in folder.iterdir() if each.is_dir() or each.suffix == ".py"]
        names = [name for name in here if not name.startswith("__")]
        alike = [pair for pair in combinations(names, 2) if sound_alike(*pair)]
        assert [pair for pair in alike if not KERAS_NAMESPACES.issuperset(pair)] == [], folder.name


@pytest.mark.parametrize(
    "pair",
    "cell cells, _convolution convolutional, run running, configurable config, recurrence recurrent".split(
        ", "
    ),
)
def test_names_that_sound_alike_are_heard(pair: str) -> None:
    assert sound_alike(*pair.split()) and not sound_alike("cifar10", "cifar100")


def test_no_folder_holds_more_than_fourteen_files() -> None:
    folders = Counter(path.parent for path in FILES if path.name != "__init__.py" and path.parent != PACKAGE)
    assert {folder.name: number for folder, number in folders.items() if number > 14} == {}


def test_the_check_sees_what_it_is_for() -> None:
    """The rules above read syntax trees: here is what they must see."""
    code = (
        "import pickle\nfrom torch import load\ndef f():\n    import torchfunc.errors\n    return eval('1')"
    )
    found = [name for _, name in imports(ast.parse(code))]
    assert found == ["pickle", "torch.load", "torchfunc.errors"]
    assert [dotted(n.func) for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call)] == ["eval"]
    assert file_of("torchfunc.errors.ShapeError") == PACKAGE / "errors/__init__.py"


IMPORT = """
import sys, torch, numpy, safetensors.torch
before = set(sys.modules)
import torchfunc
heavy = ("torch._dynamo", "torch._inductor", "sympy", "torchvision", "sklearn", "keras", "pydot", "PIL")
loaded = [name for name in sorted(sys.modules) if name not in before and name.startswith("torchfunc")]
torchfunc.rooms.everything()
print([name for name in heavy if name in sys.modules and name not in before], loaded)
"""
USE = """
import sys, torch
import torchfunc as tf
image = tf.Input((4,))
model = tf.Model(image, tf.layers.Dense(2, activation="relu")(image))
model.compile(optimizer="adam", loss="mse", metrics=["mae"])
model.fit(torch.ones(4, 4), torch.ones(4, 2), verbose=0)
print(sorted({name.split(".")[1] for name in sys.modules if name.startswith("torchfunc.")}))
"""
SAVE = (
    USE
    + """
model.save(sys.argv[1])
before = set(sys.modules)
assert len(tf.registry.layers) > 100 and tf.load_model(sys.argv[1]).built
print(sorted(set(sys.modules) - before))
"""
)


def printed(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_torchfunc_loads_the_face_alone_and_all_of_it_nothing_heavy() -> None:
    face = ["torchfunc", "torchfunc.absent", "torchfunc.rooms"]
    assert printed(IMPORT) == f"[] {face}"


def test_what_a_training_does_not_use_is_not_loaded() -> None:
    used = ast.literal_eval(printed(USE))
    unused = "applications backend datasets interop keras_files preprocessing utils wrappers".split()
    assert not set(used) & set(unused)


def test_nothing_is_imported_to_read_a_file_that_was_saved_here(tmp_path: Path) -> None:
    assert printed(SAVE, str(tmp_path / "model.safetensors")).splitlines()[-1] == "[]"


@pytest.mark.parametrize("room", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_each_room_can_be_the_first_that_is_imported(room: str) -> None:
    assert printed(f"import torchfunc.{room}; print(torchfunc.{room}.__name__)") == f"torchfunc.{room}"
