"""Builds the wheel and the sdist, and tries each in a new environment on every Python that is here.

python scripts/release_check.py                       Python 3.10 to 3.13, as far as they are here
python scripts/release_check.py --python python3.12   that one alone
python scripts/release_check.py --torch 2.11.0        with that PyTorch, where it is the pinned one otherwise
python scripts/release_check.py --extras all          with extras; they are `plot` if nothing is said
python scripts/release_check.py --alone               compiled and not run, where PyTorch is not to be had

What is tried is what a person does first: a functional model, fit, save, load and a plot. The files stay in dist/.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("python3.10", "python3.11", "python3.12", "python3.13")

SMOKE = """
import sys
import numpy as np
import torch
import torchfunc as tf
from torchfunc import layers

assert "site-packages" in tf.__file__, tf.__file__
inputs = tf.Input(shape=(8,), name="x")
x = layers.Dense(16, activation="relu")(inputs)
x = x + torch.nn.Linear(16, 16)(x).tanh()
model = tf.Model(inputs, layers.Dense(3, activation="softmax")(x))
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
x_train = np.random.default_rng(0).random((256, 8), dtype="float32")
history = model.fit(x_train, x_train[:, :3].argmax(1), epochs=30, verbose=0)
assert history.history["accuracy"][-1] > 0.6, history.history["accuracy"]
model.save("model.safetensors")
again = tf.load_model("model.safetensors")
assert np.array_equal(model.predict(x_train, verbose=0), again.predict(x_train, verbose=0))
model.view("model.html")
plotted = "plot" in sys.argv[1] or "all" in sys.argv[1]
if plotted:
    tf.utils.plot_model(model, "model.png", show_shapes=True)
python = ".".join(map(str, sys.version_info[:3]))
print(f"torchfunc {tf.__version__}, Python {python}, torch {torch.__version__}, {'' if plotted else 'not '}plotted")
"""

COMPILE = """
import compileall, importlib.metadata, sys, sysconfig
assert compileall.compile_dir(sysconfig.get_path("purelib") + "/torchfunc", quiet=1)
version = importlib.metadata.version(sys.argv[1])
print(f"torchfunc {version}, Python {'.'.join(map(str, sys.version_info[:3]))}, compiled")
"""


def main() -> None:
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        files = built(Path(folder))
        done = [
            f"{file.name}: {tried(file, python, options)}" for python in pythons(options) for file in files
        ]
        shutil.copytree(folder, ROOT / "dist", dirs_exist_ok=True)
    print("\n".join(done))


def pythons(options: argparse.Namespace) -> list[str]:
    """Those that are asked for, or those that are here; the ones that are not are told."""
    asked = options.python or PYTHONS
    here = [name for name in asked if shutil.which(name) and works(name)]
    for name in asked:
        if name not in here:
            print(f"release_check.py: {name} is not here and was not tried.", file=sys.stderr)
    if not here:
        raise SystemExit(f"release_check.py: none of {', '.join(asked)} is here. Fix: --python PROGRAM.")
    return here


def works(python: str) -> bool:
    """Whether it runs: what is on the path may stand for a Python that is not chosen."""
    return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def built(folder: Path) -> list[Path]:
    """The wheel, which is made from the sdist, and the sdist."""
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    return sorted(folder.glob("*.whl")) + sorted(folder.glob("*.tar.gz"))


def tried(file: Path, python: str, options: argparse.Namespace) -> str:
    """What the smoke test says in an environment where nothing but the file was asked for."""
    with tempfile.TemporaryDirectory() as home:
        run(python, "-m", "venv", f"{home}/environment")
        program = f"{home}/environment/{'Scripts' if os.name == 'nt' else 'bin'}/python"
        if options.alone:
            run(program, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", str(file))
            return run(program, "-W", "error", "-c", COMPILE, file.name.partition("-")[0])
        wanted = f"{file}[{options.extras}]" if options.extras else str(file)
        run(program, "-m", "pip", "install", "--quiet", wanted, f"torch=={options.torch or pinned()}")
        (Path(home) / "smoke.py").write_text(SMOKE, encoding="utf-8")
        return run(program, "smoke.py", options.extras, folder=home)


def pinned() -> str:
    """The PyTorch of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("torch==") for line in lines if line.startswith("torch=="))


def run(*command: str, folder: str | None = None) -> str:
    """The last line that a command prints; one that fails ends the check with all that it said."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}release_check.py: failed: {' '.join(command)}")
    return done.stdout.strip().rpartition("\n")[2]


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python", action="append", metavar="PROGRAM", help="a Python to try; may be given again"
    )
    parser.add_argument(
        "--torch", metavar="VERSION", help="the PyTorch to install; that of constraints.txt by default"
    )
    parser.add_argument("--alone", action="store_true", help="no dependencies: compile, and run nothing")
    parser.add_argument("--extras", default="plot", help="extras to install, joined by commas")
    return parser.parse_args()


if __name__ == "__main__":
    main()
