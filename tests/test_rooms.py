"""Rooms are imported when they are asked for, and a table by names is full before it says that a name is unknown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import torchfunc as tf
from torchfunc import layers, rooms

FACE = "import torchfunc as tf"

BACK_UP = """
import torch, os, tempfile
from torchfunc.training import Trainer
trainer, path = Trainer(torch.nn.Linear(2, 1), loss="mse"), os.path.join(tempfile.mkdtemp(), "training.safetensors")
trainer.fit(torch.ones(4, 2), torch.ones(4, 1), verbose=0)
trainer.back_up(path)
print(os.path.exists(path))
"""


def printed(script: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("from torchfunc import registry; print(registry.layers.lookup('Model').__name__)", "Model"),
        ("from torchfunc import registry; print('StringLookup' in registry.layers)", "True"),
        ("from torchfunc import registry; print(len(registry.losses) > 20)", "True"),
        ("from torchfunc import functions; print('random.normal' in functions.by_name())", "True"),
        ("from torchfunc.saving import formats; print(type(formats.format_of('a.h5')).__name__)", "Keras"),
        ("from torchfunc.saving import formats; print(formats.exporter().__module__)", "torchfunc.interop.export"),
        ("from torchfunc import saving; print(saving.load_model.__module__)", "torchfunc.saving.objects"),
        (BACK_UP, "True"),
        ("import torch; from torchfunc import Input; print(torch.nn.Linear(3, 2)(Input((3,))).shape)", "(None, 2)"),
        (f"{FACE}; print(tf.vis.plot.__name__)", "torchfunc.vis.plot"),
        (f"{FACE}; print('Model' in dir(tf), 'Model' in tf.__all__, 'Model' in vars(tf))", "True True False"),
        ("from torchfunc import *; print(Model.__name__, layers.__name__)", "Model torchfunc.layers"),
        ("import torchfunc.models.model as m; import torchfunc as tf; print(tf.Model is m.Model)", "True"),
    ],
)  # fmt: skip
def test_what_is_asked_for_first_is_there(script: str, shown: str) -> None:
    assert printed(script) == shown


def test_a_class_of_yours_cannot_take_a_name_that_nobody_has_asked_for_yet() -> None:
    script = """
from torchfunc import registry
from torchfunc.errors import TorchfuncError
try:
    registry.register("RandomFlip")(type("Flip", (), {}))
except TorchfuncError as error:
    print(str(error).split(" stands")[0])
"""
    assert printed(script) == "The layer name 'RandomFlip' already"


def test_threads_that_ask_at_once_all_find_it() -> None:
    script = """
from concurrent.futures import ThreadPoolExecutor
from torchfunc import registry
def ask(name):
    return name in registry.layers
with ThreadPoolExecutor(8) as threads:
    print(set(threads.map(ask, ["Dense", "Model", "LSTM", "Resizing"] * 8)))
"""
    assert printed(script) == "{True}"


def test_a_name_that_no_room_has_is_told_with_the_room_that_it_is_in() -> None:
    with pytest.raises(
        AttributeError, match=r"no attribute 'RandomFlip'\. Fix: torchfunc\.layers\.RandomFlip\."
    ):
        tf.RandomFlip  # noqa: B018
    assert not hasattr(tf, "__wrapped__")


def test_the_face_names_what_stands_in_its_text() -> None:
    text = Path(tf.__file__).read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line.startswith("    from torchfunc")]
    assert tf.__all__ == [line[3] for line in lines if not line[3].startswith(("_", "lazily"))]
    rooms.everything()
    for _, home, _, name, *_ in lines[:-1]:
        assert getattr(tf, name) is getattr(sys.modules[home], name)


KINDS: dict[str, Callable[[Any], Any]] = {
    "layers": lambda x: layers.Dense(1, "softplus")(layers.LSTM(3, kernel_regularizer="l2")(x)),
    "a native module": lambda x: torch.nn.Linear(4, 2)(x),
    "functions and methods": lambda x: torch.pow(x.mean(1), 2) + torch.nn.functional.silu(x[:, 0]),
    "functions of ours": lambda x: tf.ops.logsumexp(x, axis=1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compiled", [False, True])
def test_nothing_is_imported_while_a_model_is_read(kind: str, compiled: bool, tmp_path: Path) -> None:
    x = tf.Input((5, 4))
    model = tf.Model(x, KINDS[kind](x))
    if compiled:
        model.compile("adam", "mse", metrics=["mae", tf.metrics.AUC()])
    model.save(tmp_path / "model.safetensors")
    script = f"""
import sys
import torchfunc as tf
x = tf.Input((2,))
before = set(sys.modules)
model = tf.load_model({str(tmp_path / "model.safetensors")!r})
print(sorted(set(sys.modules) - before), type(model).__mro__[1].__name__)
"""
    assert printed(script) == "[] Model"


def test_a_name_that_a_later_room_adds_stands_in_one_table_alone() -> None:
    script = f"""
{FACE}
from torchfunc import registry
tf.Input
before = {{each: set(each._objects) for each in registry.registries()}}
names = {{each: set(each.names()) for each in registry.registries()}}
later = [(name, each) for each in before for name in names[each] - before[each]]
print(len(later) > 3, [name for name, home in later if any(name in names[each] for each in names if each is not home)])
print([name for name, home in later if not home.lookup(name).__module__.startswith("torchfunc.")])
"""
    assert printed(script).splitlines() == ["True []", "[]"]
