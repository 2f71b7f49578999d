"""The release: what wheel and sdist hold, the name and the version in one place each, and types as checkers see them."""

from __future__ import annotations

import datetime
import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest
import tomllib
import yaml

import torchfunc

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# The names that the schema of the Citation File Format 1.2.0 defines.
CITATION_KEYS = set(
    "abstract authors cff-version commit contact date-released doi identifiers keywords license license-url message "
    "preferred-citation references repository repository-artifact repository-code title type url version".split()
)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both files, built as for a release."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def wheel_of(dist: Path) -> zipfile.ZipFile:
    (path,) = dist.glob("*.whl")
    return zipfile.ZipFile(path)


def metadata_of(dist: Path) -> Message:
    with wheel_of(dist) as wheel:
        (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(wheel.read(name))


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    with wheel_of(dist) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        about = {name.split(".dist-info/")[1] for name in wheel.namelist() if ".dist-info/" in name}
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "torchfunc").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == here and "torchfunc/py.typed" in names
    assert not [name for name in names if re.search(r"(^|/)(tests?|conftest)\b|test_", name)]
    assert about == {"METADATA", "WHEEL", "RECORD", "licenses/LICENSE"}


def test_the_sdist_has_what_the_readme_speaks_of(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = {
        target for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", readme) if (ROOT / target).is_file()
    }
    assert linked and linked <= names
    assert {
        "pyproject.toml",
        "LICENSE",
        "CITATION.cff",
        "constraints.txt",
        "mkdocs.yml",
        "scripts/check",
    } <= names
    assert {"tests/test_release.py", "examples/toy_resnet.py", "torchfunc/py.typed"} <= names


def test_the_metadata_say_what_pip_and_people_need(dist: Path) -> None:
    metadata = metadata_of(dist)
    assert metadata["Name"] == PROJECT["name"]
    assert metadata["Version"] == torchfunc.__version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "MIT"
    required = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert {re.match(r"[\w-]+", each)[0] for each in required} == {"torch", "numpy", "safetensors"}  # type: ignore[index]
    assert set(metadata.get_all("Provides-Extra", [])) == set(EXTRAS)
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert str(metadata.get_payload()).startswith("# torchfunc\n")


def test_all_is_every_extra_for_users() -> None:
    """`pip install 'torchfunc[all]'` leaves no feature asking for a package."""
    with_all = " ".join(EXTRAS["all"])
    for extra in EXTRAS.keys() - {"all", "dev", "docs", "ecosystem", "examples", "vision"}:
        assert re.search(rf"\[[\w,]*\b{extra}\b", with_all), extra


def test_the_name_of_the_distribution_stands_in_one_place() -> None:
    """Whoever renames it in pyproject.toml is told every line that shows the old name."""
    shown = re.compile(r"pip install [^`\n]*?'?([A-Za-z][\w.-]*)\[([\w,{}]+)\]")
    plain = re.compile(r"pip install(?: --?[\w-]+)* (torch[\w-]*func[\w-]*)")
    found = 0
    for path in texts():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            where = f"{path.relative_to(ROOT)}, line {number}: {line.strip()}"
            for name, extras in shown.findall(line):
                assert name == PROJECT["name"], where
                assert set(extras.split(",")) <= EXTRAS.keys() | {"{extra}"}, where
                found += 1
            for name in plain.findall(line):
                assert name == PROJECT["name"], where
                found += 1
    assert found > 5
    own = {
        each.partition("[")[0] for extra in EXTRAS.values() for each in extra if each.startswith("torchfunc[")
    }
    assert own <= {PROJECT["name"]}


def texts() -> list[Path]:
    """What shows commands to people, in the package and around it."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "torchfunc").rglob("*.py")]
    return [*found, *(ROOT / "scripts").glob("*.py"), *(ROOT / "tests").rglob("*.py")]


def test_the_changelog_has_this_version_with_its_day() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^\]]+)\](?: - (.+))?$", text, flags=re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == torchfunc.__version__
    for _, day in versions[1:]:
        datetime.date.fromisoformat(day)


def test_the_citation_has_the_form_of_its_format_and_speaks_of_this_version() -> None:
    """The keys that the Citation File Format 1.2.0 requires, those that it knows, and what stands elsewhere too."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= cited.keys() <= CITATION_KEYS
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "software")
    assert [author.keys() for author in cited["authors"]] == [{"name"}]  # an entity
    assert cited["version"] == torchfunc.__version__ and cited["license"] == PROJECT["license"]
    assert f"## [{cited['version']}] - {cited['date-released']}" in (ROOT / "CHANGELOG.md").read_text(
        encoding="utf-8"
    )
    assert set(cited["keywords"]) == set(PROJECT["keywords"])


# A script as a user writes one. Both type checkers find no mistake in it but those that it says it has.
SCRIPT = """
import numpy as np
import torch

import torchfunc as tf
from torchfunc import callbacks, layers, optimizers


class Scale(layers.Layer):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def call(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.by


inputs = tf.Input(shape=(784,), name="img")
x = layers.Dense(64, activation="relu", kernel_regularizer="l2")(inputs)
x = torch.nn.functional.gelu(x + torch.nn.Linear(64, 64)(x).tanh())
x = Scale(0.5)(x) + inputs[:, :64].mean(dim=1, keepdim=True)
model = tf.Model(inputs, layers.Dense(10, activation="softmax", name="digit")(x), name="digits")
adam = optimizers.Adam(learning_rate=1e-3)
model.compile(optimizer=adam, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
images, digits = np.zeros((8, 784)), np.zeros(8)
history = model.fit(images, digits, batch_size=4, epochs=2, callbacks=[callbacks.EarlyStopping(patience=2)])
best: float = max(history.history["accuracy"])
tf.utils.plot_model(model, "model.svg", show_shapes=True)
model.save("model.safetensors")
again = tf.load_model("model.safetensors", device="cpu")
code: str = model.code

layers.Dense("64")  # a mistake
layers.Dense(64, unit=3)  # a mistake
model.fit(images, digits, epoch=3)  # a mistake
optimizers.Adam(learning=1e-3)  # a mistake
callbacks.EarlyStopping(patience="long")  # a mistake

reveal_type(layers.Dense.__init__)
reveal_type(model.compile)
reveal_type(model.fit)
reveal_type(model)
reveal_type(history)
"""
MISTAKES = [number for number, line in enumerate(SCRIPT.splitlines(), 1) if line.endswith("# a mistake")]
CHECKERS = {
    "mypy": ["mypy", "--strict", "--follow-imports=silent", f"--cache-dir={ROOT / '.mypy_cache'}"],
    "pyright": ["pyright"],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_users_script_is_checked_and_completed(checker: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", *CHECKERS[checker], "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"script\.py:(\d+):(?:\d+)?[ -:]*(error|note|information)\W+(.*)", done.stdout)
    assert sorted({int(number) for number, kind, _ in found if kind == "error"}) == MISTAKES, done.stdout
    told = [text for _, _, text in found if "Type of" in text or "Revealed type" in text]
    assert len(told) == 5
    dense, compiled, fit, model, history = told
    for argument in ("units: int", "activation: Any", "use_bias: bool", "kernel_initializer: Any"):
        assert argument in dense
    assert "loss: Any" in compiled and "metrics: Any" in compiled and "precision: Literal" in compiled
    assert "epochs: int" in fit and "batch_size: int | None" in fit and "validation_split: float" in fit
    assert re.search(r"\bModel\b", model) and re.search(r"\bHistory\b", history)
