"""Files that were saved once are read as they were: the same outputs, the same training, the same text.

`tests/golden/make_files.py` says how they were made; none is ever made anew. What this holds for each of them:

- the loaded model, and one made anew from its config with the same weights, give the outputs that the saved
  model gave, in the same structure, dtypes and order;
- its config and its names of weights are those in the file, and saving it again writes the same JSON text and
  the same tensors, in the same order;
- one that was trained goes on: the loss and metrics of the next step, and the weights after it.

Numbers are compared to the bit where PyTorch is of the same major.minor and computes the same bits here as where
the files were made (its kernels differ between processors), and to 1e-6 elsewhere.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from torch import Tensor

import torchfunc as tf
from tests.golden.custom import CUSTOM
from tests.golden.make_files import FILES, arithmetic, called, document, flat, nested, next_step, read
from torchfunc.graph import symbolic
from torchfunc.graph.probing import infer

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.name.removesuffix(".data.safetensors") for path in FILES.glob("*.data.safetensors"))
MODELS = [name for name in NAMES if not name.startswith("weights_")]
TRAINED = [name for name in MODELS if "step" in read(name)[0]]

here = cache(arithmetic)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The order in which numbers are added depends on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def path_of(name: str) -> Path:
    folder = FILES / name
    return folder if folder.is_dir() else FILES / f"{name}.safetensors"


def load(name: str) -> Any:
    return tf.load_model(path_of(name), custom_objects=CUSTOM)


def is_exact(facts: dict[str, Any]) -> bool:
    made, now = (str(each).split(".")[:2] for each in (facts["torch"], torch.__version__))
    return made == now and facts["arithmetic"] == here()


def assert_tree(found: Any, plain: Any, tensors: dict[str, Tensor], exact: bool) -> None:
    """The nest is as it was: structure, dtypes, shapes and numbers."""
    values: dict[str, Tensor] = {}
    root = plain if isinstance(plain, str) else first_leaf(plain).split("/")[0]
    assert flat(found, root, values) == plain
    for place, value in values.items():
        assert_numbers(value, tensors[place], place, exact)


def first_leaf(plain: Any) -> str:
    while not isinstance(plain, str):
        (inner,) = plain.values()
        plain = next(iter(inner.values())) if isinstance(inner, dict) else inner[0]
    return plain


def assert_numbers(value: Tensor, expected: Tensor, place: str, exact: bool) -> None:
    assert (value.dtype, value.shape) == (expected.dtype, expected.shape), place
    if exact:
        same = torch.equal(value.reshape(-1).view(torch.uint8), expected.reshape(-1).view(torch.uint8))
        assert same, f"{place}: {value} is not to the bit {expected}"
    else:
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6, equal_nan=True, msg=place)


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_gives_what_the_saved_one_gave(name: str) -> None:
    facts, tensors = read(name)
    model = load(name)
    assert list(model.state_dict()) == facts["state"]
    assert_tree(called(model, nested(facts["inputs"], tensors)), facts["outputs"], tensors, is_exact(facts))


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_saved_again_is_the_same_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / path_of(name).name
    with tf.custom_object_scope(CUSTOM):
        model = load(name)
        model.save(path)
        config = model.get_config()
    written = document(path)["config"]
    # the size of a batch, which says nothing, is written no more
    again = read(name)[0].get("again", {"build": None})
    expected = {**document(path_of(name))["config"], "build": again["build"]}
    architecture = expected["model"]["config"]
    if document(path_of(name))["version"] == 1:
        written = without_shapes(written)
    else:
        architecture = without_shapes(architecture)
    assert json.dumps(written, ensure_ascii=False) == json.dumps(expected, ensure_ascii=False)
    assert json.dumps(without_shapes(config)) == json.dumps(architecture)
    before, after = stored(path_of(name)), stored(path)
    assert list(after) == list(before)
    for key, value in after.items():
        if "random_state" not in key:  # that of the process that saves
            assert_numbers(value, before[key], key, exact=True)


# arguments that layers have had since, with what they are for an older file
LATER: dict[str, dict[str, Any]] = {
    "BatchNormalization": {
        "renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99, "synchronized": False,
    },
    "LayerNormalization": {"rms_scaling": False},
}  # fmt: skip


def without_shapes(config: Any) -> Any:
    """A config as it was before files kept what calls return and what layers were built for."""
    if isinstance(config, dict):
        if config.get("class_name") in LATER:
            later = LATER[config["class_name"]]
            kept = {key: each for key, each in config["config"].items() if key not in later}
            assert {key: config["config"][key] for key in later} == later
            config = {**config, "config": kept}
        return {
            key: without_shapes(each)
            for key, each in config.items()
            if not (key == "returns" and "name" in config)
            and not (key == "table" and "layers" in config)
            and not (key == "built" and ("model" in config or "calls" in config))
        }
    return [without_shapes(each) for each in config] if isinstance(config, list) else config


@pytest.mark.parametrize("name", MODELS)
def test_a_file_that_says_shapes_is_of_version_2_and_older_ones_are_not(name: str) -> None:
    found, is_new = document(path_of(name)), name.startswith("version_2_")
    assert found["version"] == (2 if is_new else 1)
    assert any(key in json.dumps(found) for key in ('"returns"', '"built"')) == is_new


def test_weights_alone_are_written_as_older_versions_read_them(tmp_path: Path) -> None:
    load("core").save_weights(tmp_path / "w.safetensors")
    assert document(tmp_path / "w.safetensors").items() >= {"version": 1, "config": {}}.items()


@pytest.mark.parametrize("name", MODELS)
def test_a_file_with_shapes_is_read_without_a_call(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, tensors = read(name)
    path, again = tmp_path / path_of(name).name, tmp_path / f"again_{path_of(name).name}"
    with tf.custom_object_scope(CUSTOM):
        tried = load(name)
        tried.save(path)
        for module in (symbolic, infer):
            monkeypatch.setattr(module, "infer", called_at_all)
        monkeypatch.setattr(symbolic, "record_stated", called_at_all)
        model = tf.load_model(path)
        assert model.graph == tried.graph  # with the shapes that were tried
        model.save(again)
        monkeypatch.undo()
    assert document(again)["config"] == document(path)["config"]
    assert_tree(called(model, nested(facts["inputs"], tensors)), facts["outputs"], tensors, is_exact(facts))


# their layers are built for what a function of PyTorch returns that it finds in Python, or by code of the test's own
BY_IMPORTS = {"custom_classes", "masks", "recurrent_initial_states", "subclassed_of_several_inputs"}

LOADS = """
import sys
import torchfunc as tf
from tests.golden.custom import CUSTOM
tf.rooms.everything()
before = set(sys.modules)
for path in sys.argv[1:]:
    tf.load_model(path, custom_objects=CUSTOM)
    if new := set(sys.modules) - before:
        sys.exit(f"{path} imports {len(new)} modules, among them {sorted(new)[:3]}")
"""


@pytest.mark.parametrize("kind", ["with shapes", "as they are"])
def test_no_file_has_anything_imported(kind: str, tmp_path: Path) -> None:
    names = [name for name in MODELS if kind == "with shapes" or name not in BY_IMPORTS]
    paths = [path_of(name) for name in names]
    if kind == "with shapes":
        with tf.custom_object_scope(CUSTOM):
            for index, name in enumerate(names):
                paths[index] = tmp_path / path_of(name).name
                load(name).save(paths[index])
    done = subprocess.run(
        [sys.executable, "-c", LOADS, *map(str, paths)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def called_at_all(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError(f"{args[0]} is called")


def stored(path: Path) -> dict[str, Tensor]:
    """Every tensor of a saved file, under each of its names."""
    with safetensors.safe_open(path / "model.safetensors" if path.is_dir() else path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors |= {name: tensors[first] for name, first in document(path)["aliases"].items()}
    return dict(sorted(tensors.items()))


@pytest.mark.parametrize("name", MODELS)
def test_a_config_makes_the_same_model(name: str) -> None:
    facts, tensors = read(name)
    model, inputs = load(name), nested(facts["inputs"], tensors)
    with tf.custom_object_scope(CUSTOM):
        config = model.get_config()
        made = type(model).from_config(json.loads(json.dumps(config)))
        assert made.get_config() == config
    if not made.built:
        called(made, inputs)
    made.load_state_dict(model.state_dict())
    assert_tree(called(made, inputs), facts["outputs"], tensors, is_exact(facts))


@pytest.mark.parametrize("name", TRAINED)
def test_training_goes_on_as_the_saved_model_did(name: str) -> None:
    facts, tensors = read(name)
    model = load(name)
    found = next_step(model, nested(facts["inputs"], tensors), nested(facts["targets"], tensors))
    exact = is_exact(facts)
    for moment in ("before", "step"):
        assert list(found[moment]) == list(facts[moment])
        for key, value in facts[moment].items():
            assert found[moment][key] == (value if exact else pytest.approx(value, rel=1e-6, abs=1e-6)), key
    assert_tree(dict(model.state_dict()), facts["after"], tensors, exact)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(MODELS)))
def test_weights_alone_go_into_a_model_made_from_its_config(name: str) -> None:
    facts, tensors = read(name)
    written = json.loads(facts["json"])
    model = tf.Model.from_config(written["config"])
    assert without_shapes(json.loads(model.to_json())) == written
    model.load_weights(path_of(name))
    assert_tree(called(model, nested(facts["inputs"], tensors)), facts["outputs"], tensors, is_exact(facts))


@pytest.mark.parametrize("name", ["optimizer_adam", "folder", "shared_layers"])
def test_the_weights_of_a_whole_file_go_into_a_model_made_from_its_config(name: str) -> None:
    facts, tensors = read(name)
    model = tf.Model.from_config(document(path_of(name))["config"]["model"]["config"])
    model.load_weights(path_of(name))
    assert_tree(called(model, nested(facts["inputs"], tensors)), facts["outputs"], tensors, is_exact(facts))


def test_a_folder_holds_its_document_for_people_too(tmp_path: Path) -> None:
    text = (FILES / "folder" / "config.json").read_text(encoding="utf-8")
    assert json.loads(text) == document(FILES / "folder")
    load("folder").save(tmp_path / "folder")
    written = json.loads((tmp_path / "folder" / "config.json").read_text(encoding="utf-8"))
    assert written == document(tmp_path / "folder")
    assert {**without_shapes(written), "version": 1} == json.loads(text)


def test_a_model_loaded_without_its_training_is_not_compiled() -> None:
    assert tf.load_model(path_of("optimizer_adam"), compile=False).optimizer is None


def test_what_a_model_without_its_training_has_no_use_for_is_not_read(tmp_path: Path) -> None:
    raw = bytearray(path_of("optimizer_adam").read_bytes())
    length = int.from_bytes(raw[:8], "little")
    table = json.loads(raw[8 : 8 + length])
    begin = next(each["data_offsets"][0] for name, each in table.items() if name.startswith("optimizer/"))
    raw[8 + length + begin] ^= 1
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(raw)
    with pytest.raises(tf.errors.CorruptFileError, match="'optimizer/.* is damaged"):
        tf.load_model(path)
    loaded, whole = tf.load_model(path, compile=False), load("optimizer_adam")
    assert loaded.trainer is None
    assert all(map(torch.equal, loaded.state_dict().values(), whole.state_dict().values()))


def test_training_by_fit_knows_its_epoch() -> None:
    assert (load("trained_by_fit").trainer.epoch, load("trained_by_fit").trainer.step.count) == (2, 4)


def test_there_is_a_file_for_every_case_and_a_case_for_every_file() -> None:
    from tests.golden.cases import CASES

    assert sorted(CASES) == NAMES
    assert len(NAMES) >= 70
    assert sum(path.stat().st_size for path in FILES.rglob("*") if path.is_file()) < 1_500_000


def test_the_comparison_sees_one_bit_a_name_and_a_structure(tmp_path: Path) -> None:
    """What the tests above are for: each of these must fail."""
    facts, tensors = read("nested_structures")
    outputs = called(load("nested_structures"), nested(facts["inputs"], tensors))
    assert_tree(outputs, facts["outputs"], tensors, exact=is_exact(facts))
    leaf = outputs["list"][0]
    for exact, change in (
        (True, leaf.nextafter(torch.tensor(9.0))),
        (False, leaf + 1e-4),
        (False, leaf.double()),
    ):
        with pytest.raises(AssertionError):
            assert_tree({**outputs, "list": [change, outputs["list"][1]]}, facts["outputs"], tensors, exact)
    with pytest.raises(AssertionError):
        assert_tree({**outputs, "tuple": list(outputs["tuple"])}, facts["outputs"], tensors, exact=False)
    shutil.copy(path_of("core"), tmp_path / "core.safetensors")
    model = tf.load_model(tmp_path / "core.safetensors", custom_objects=CUSTOM)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-3
    with pytest.raises(AssertionError):
        facts, tensors = read("core")
        assert_tree(called(model, nested(facts["inputs"], tensors)), facts["outputs"], tensors, exact=False)
