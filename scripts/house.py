"""Measures the house: its files, the arrows between its rooms, its functions and types, and how far a call walks.

python scripts/house.py                         this checkout
python scripts/house.py --root OTHER_CHECKOUT   another one

So a plan can be judged by the same figures before and after. The text is read by `ast`; the walks are run,
in a process that imports the checkout's own package, and their figures are those of one version of Python:
3.12 and later have no call for a comprehension.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import TypeVar

HERE = Path(__file__).resolve().parent.parent
Function = (ast.FunctionDef, ast.AsyncFunctionDef)
Row = tuple[object, ...]
Result = TypeVar("Result")


def main() -> None:
    options = parse_options()
    if options.walk:
        print(json.dumps(walks(options.root)))
        return
    files = read(options.root)
    table(("folder", "files", "lines", "rooms", "arrows", "with __init__"), folders(files))
    table(("code", ""), code(files))
    table(("walk", "calls", "files", "moves"), walks_of(options.root))


def table(head: tuple[str, ...], rows: list[Row]) -> None:
    """Print rows under their names: the first column to the left, the others to the right."""
    for first, *rest in (head, *rows):
        cells = [each if isinstance(each, str) else f"{each:,}" for each in rest]
        print(f"{first!s:34}" + "".join(f"{cell:>15}" for cell in cells))
    print()


@dataclass(frozen=True)
class File:
    """A file of the package, by its place below the package's folder."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())


def read(root: Path) -> list[File]:
    package = root / "torchfunc"
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))}
    if not texts:
        raise SystemExit(f"house.py: {package} has no Python files. Fix: --root is a checkout of torchfunc.")
    return [File(path.relative_to(package), text, ast.parse(text)) for path, text in texts.items()]


def folders(files: list[File]) -> list[Row]:
    """The house and each of its folders, that with the most files first.

    Files and lines are those in the folder itself, but all of them for the house. Rooms are its files and
    folders. An `__init__` only hands on names: the last column counts rooms and arrows with it.
    """
    rows: list[Row] = []
    for folder in {file.path.parent for file in files}:
        inside = [file for file in files if file.path.parent == folder or folder == Path()]
        (rooms, drawn), (all_rooms, all_drawn) = (arrows(files, folder, init) for init in (False, True))
        name = "torchfunc, all of it" if folder == Path() else folder.as_posix()
        lines = sum(file.lines for file in inside)
        rows.append((name, len(inside), lines, rooms, drawn, f"{all_rooms} / {all_drawn}"))
    return sorted(rows, key=lambda row: (-int(str(row[1])), str(row[0])))


def arrows(files: list[File], folder: Path, with_init: bool) -> tuple[int, int]:
    """How many rooms a folder has, and between how many pairs of them one imports the other."""
    known = {file.path for file in files}
    rooms = {room(file.path, folder) for file in files if file.path.is_relative_to(folder)}
    if not with_init:
        rooms -= {"__init__"}
    pairs = {
        (room(file.path, folder), room(target, folder))
        for file in files
        if file.path.is_relative_to(folder)
        for target in imported(file.tree, known)
        if target.is_relative_to(folder)
    }
    return len(rooms), sum(start != end and {start, end} <= rooms for start, end in pairs)


def room(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0].removesuffix(".py")


def imported(tree: ast.Module, known: set[Path]) -> Iterator[Path]:
    """The files of the package that a file imports from, anywhere in it."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (file_of(name.split(".")[1:], known) for name in names if name.startswith("torchfunc."))


def file_of(parts: list[str], known: set[Path]) -> Path:
    """The file of a dotted name, which may be a name in a module."""
    while parts:
        for path in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")):
            if path in known:
                return path
        parts = parts[:-1]
    return Path("__init__.py")


def code(files: list[File]) -> list[Row]:
    nodes = [node for file in files for node in ast.walk(file.tree)]
    bodies = sorted(body_lines(node) for node in nodes if isinstance(node, Function))
    annotations = [each for node in nodes for each in annotations_of(node)]
    bare = sum(is_any(each) for each in annotations)
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "typing"]
    anys = sum(map(is_any, nodes)) + sum(alias.name == "Any" for node in imports for alias in node.names)
    sizes = sorted(file.lines for file in files)
    return [
        ("lines of a file, median", statistics.median_high(sizes)),
        ("lines of a file, most", sizes[-1]),
        ("functions", len(bodies)),
        ("classes", sum(isinstance(node, ast.ClassDef) for node in nodes)),
        ("lines of a body, median", statistics.median_high(bodies)),
        ("lines of a body, nine of ten", bodies[int(0.9 * len(bodies))]),
        ("lines of a body, most", bodies[-1]),
        ("bodies over 40 lines", sum(lines > 40 for lines in bodies)),
        ("annotations", len(annotations)),
        ("annotations that are Any", f"{bare:,} = {bare / len(annotations):.1%}"),
        ("Any, anywhere, in 1,000 lines", f"{1000 * anys / sum(sizes):.1f}"),
        ("type: ignore", sum(file.text.count("type: ignore") for file in files)),
    ]


def body_lines(function: ast.AST) -> int:
    """The lines of a function's statements, without its docstring."""
    assert isinstance(function, Function)
    statements = function.body[ast.get_docstring(function) is not None :]
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def annotations_of(node: ast.AST) -> list[ast.expr]:
    """What a function returns, an argument takes, or a variable is said to be."""
    found = node.returns if isinstance(node, Function) else getattr(node, "annotation", None)
    return [] if found is None else [found]


def is_any(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "Any"


def walks_of(root: Path) -> list[Row]:
    """The walks of a checkout, from a fresh process that imports its package."""
    command = [sys.executable, str(Path(__file__).resolve()), "--walk", "--root", str(root)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"house.py: the walks of {root} failed.\n{done.stderr}")
    return [tuple(row) for row in json.loads(done.stdout)]


class Walk:
    """Writes down the file of every Python function of the package that is called."""

    def __init__(self, package: Path) -> None:
        self.prefix = f"{package}{os.sep}"
        self.files: list[str] = []
        self.rows: dict[str, tuple[int, int, int]] = {}

    def __call__(self, title: str, call: Callable[[], Result]) -> Result:
        self.files = []
        gc.disable()  # what a collection finds dead would be counted where it happens to run
        sys.setprofile(self._note)
        try:
            return call()
        finally:
            sys.setprofile(None)
            gc.enable()
            self.keep(title, self.files)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(self.prefix):
            self.files.append(frame.f_code.co_filename)

    def keep(self, title: str, files: list[str]) -> None:
        moves = sum(a != b for a, b in pairwise(files))
        self.rows[title] = len(files), len(set(files)), moves


def walks(root: Path) -> list[Row]:
    """Make the trip twice and count the second time, when all that is looked up once has been."""
    import torchfunc

    package = Path(torchfunc.__file__).resolve().parent
    if package != root / "torchfunc":
        raise SystemExit(f"house.py: torchfunc was imported from {package}, and not from {root}.")
    trip(Walk(package))
    walk = Walk(package)
    trip(walk)
    return [(title, *figures) for title, figures in walk.rows.items()]


def trip(walk: Walk) -> None:
    """From an input to a saved file and back, by the public names alone; every object is new."""
    import torch

    import torchfunc as tf

    class Begins(tf.callbacks.Callback):
        """Where, in what is written down, each batch begins."""

        at: list[int]

        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            self.at.append(len(walk.files))

    x, y = torch.rand(96, 784), torch.arange(96) % 10
    inputs = walk("Input((784,))", lambda: tf.Input((784,)))
    dense = walk("Dense(64, activation='relu')", lambda: tf.layers.Dense(64, activation="relu"))
    hidden = walk("dense(x)", lambda: dense(inputs))
    linear = torch.nn.Linear(784, 64)
    walk("nn.Linear(784, 64)(x)", lambda: linear(inputs))
    outputs = tf.layers.Dense(10, activation="softmax")(hidden)
    model = walk("Model(x, y), two layers", lambda: tf.Model(inputs, outputs))
    walk("model(batch)", lambda: model(x[:32]))
    words = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    walk("compile(...)", lambda: model.compile(**words))
    walk("fit, the first, two batches", lambda: model.fit(x[:64], y[:64], batch_size=32, verbose=0))
    begins = Begins()
    begins.at = []
    walk("fit, again, three batches", lambda: model.fit(x, y, batch_size=32, verbose=0, callbacks=[begins]))
    walk.keep("one step of it, batch to batch", walk.files[slice(*begins.at[1:])])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        walk("save", lambda: model.save(path))
        walk("load_model", lambda: tf.models.load_model(path))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=lambda text: Path(text).resolve(), default=HERE, help="a checkout")
    parser.add_argument("--walk", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
