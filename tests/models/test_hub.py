"""The hub: what is saved there comes back, in the words of Hugging Face; a folder stands for it."""

from __future__ import annotations

import shutil
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import ConfigError, MissingExtraError, SavingError, WriteError

ROWS = torch.rand(3, 6)


def made() -> tf.Model:
    inputs = tf.Input((6,), name="x")
    model = tf.Model(
        inputs, layers.Dense(2, name="head")(layers.Dense(8, activation="relu")(inputs)), name="tiny"
    )
    model.compile("adam", "mse")
    return model


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the hub: `HfApi` sends to it, `snapshot_download` takes from it."""
    there = tmp_path / "hub"

    class Api:
        def __init__(self, token: str | None = None) -> None:
            self.token = token

        def create_repo(self, repo_id: str, private: bool | None, exist_ok: bool) -> Any:
            (there / repo_id).mkdir(parents=True, exist_ok=exist_ok)
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(
            self, repo_id: str, folder_path: str, allow_patterns: list[str], **options: Any
        ) -> Any:
            sent = [
                path
                for path in Path(folder_path).iterdir()
                if any(path.match(pattern) for pattern in allow_patterns)
            ]
            for path in sent:
                shutil.copy(path, there / repo_id / path.name)
            return {"files": sorted(path.name for path in sent), **options}

    def snapshot_download(repo_id: str, allow_patterns: list[str], **options: Any) -> str:
        assert not options["local_files_only"]
        taken = there.parent / "taken"
        taken.mkdir()
        for path in (there / repo_id).iterdir():
            if any(path.match(pattern) for pattern in allow_patterns):
                shutil.copy(path, taken)
        return str(taken)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return there


def test_a_folder_has_the_model_its_card_and_its_picture(tmp_path: Path) -> None:
    model = made()
    assert (
        model.save_pretrained(tmp_path / "digits", model_card_kwargs={"license": "mit", "tags": ["tiny"]})
        is None
    )
    card = (tmp_path / "digits" / "README.md").read_text(encoding="utf-8")
    assert card.startswith(
        '---\nlibrary_name: "torchfunc"\nlicense: "mit"\ntags: ["torchfunc", "pytorch", "tiny"]\n---\n\n# digits\n'
    )
    assert "![The graph of the model](model.svg)" in card
    assert "head (Dense)" in card and "Total params: 74" in card
    assert 'model = tf.Model.from_pretrained("digits")' in card
    assert "<svg" in (tmp_path / "digits" / "model.svg").read_text(encoding="utf-8")
    again = tf.Model.from_pretrained(tmp_path / "digits")
    assert torch.equal(again(ROWS), model(ROWS))
    assert (
        again.trainer is not None
        and tf.Model.from_pretrained(tmp_path / "digits", compile=False).trainer is None
    )


def test_a_card_of_yours_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    made().save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_what_is_pushed_is_what_is_taken_from_the_hub(hub: Path) -> None:
    model = made()
    told = model.push_to_hub("you/tiny", max_shard_size=200, commit_message="first", branch="main")
    assert told["commit_message"] == "first" and told["revision"] == "main"
    assert told["files"][0] == "README.md" and "model.safetensors.index.json" in told["files"]
    assert 'from_pretrained("you/tiny")' in (hub / "you" / "tiny" / "README.md").read_text(encoding="utf-8")
    again = tf.Model.from_pretrained("you/tiny")
    assert torch.equal(again(ROWS), model(ROWS))


def test_a_folder_can_be_saved_and_sent_at_once(hub: Path, tmp_path: Path) -> None:
    told = made().save_pretrained(
        tmp_path / "here", push_to_hub=True, repo_id="you/other", commit_message="both"
    )
    assert told["commit_message"] == "both"
    assert (hub / "you" / "other" / "model.safetensors").read_bytes() == (
        tmp_path / "here" / "model.safetensors"
    ).read_bytes()


class Net(tf.Model, PyTorchModelHubMixin):  # type: ignore[misc]
    def __init__(self, units: int = 3, scale: float = 1.0) -> None:
        super().__init__()
        self.dense = nn.Linear(6, units)
        self.scale = scale

    def call(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * self.dense(x)


class Twin(nn.Module, PyTorchModelHubMixin):  # type: ignore[misc]
    def __init__(self, units: int = 3, scale: float = 1.0) -> None:
        super().__init__()


def test_the_mixin_of_the_hub_knows_what_a_class_was_called_with(tmp_path: Path) -> None:
    assert Net(5, scale=2.0)._hub_mixin_config == Twin(5, scale=2.0)._hub_mixin_config
    first = Net(units=5, scale=2.0)
    first.save_pretrained(tmp_path)
    again = Net.from_pretrained(tmp_path)
    assert type(again) is Net and again.scale == 2.0
    assert torch.equal(again(ROWS), first(ROWS))


def test_a_model_of_another_class_is_told_with_the_way(tmp_path: Path) -> None:
    made().save_pretrained(tmp_path)
    with pytest.raises(
        ConfigError, match=r"expected a Sequential, got a Model in .*Fix: Model.from_pretrained"
    ):
        tf.Sequential.from_pretrained(tmp_path)
    assert isinstance(tf.Model.from_pretrained(tmp_path), tf.Model)


def test_mistakes_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    with pytest.raises(SavingError, match="got private= without push_to_hub=True"):
        model.save_pretrained(tmp_path, private=True)
    with pytest.raises(SavingError, match=r"max_shard_size: expected a number or a size .* got '1.5GB'"):
        model.save_pretrained(tmp_path, max_shard_size="1.5GB")
    with pytest.raises(SavingError, match=r"expected a folder, got .* Fix: a path without a suffix"):
        model.save_pretrained(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(
        SavingError, match="expected a folder that is there, or a repository such as 'you/digits'"
    ):
        tf.Model.from_pretrained("no/such/folder")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'torchfunc\[hub\]'"):
        tf.Model.from_pretrained("you/digits")


def test_a_folder_may_be_called_as_versions_are_and_stand_in_folders_that_are_new(tmp_path: Path) -> None:
    for place in (tmp_path / "tiny-v1.0", tmp_path / "my models" / "ü" / "0.5B"):
        made().save_pretrained(place)
        assert isinstance(tf.Model.from_pretrained(place), tf.Model)
    (tmp_path / "taken").touch()
    with pytest.raises(WriteError, match="taken"):
        made().save_pretrained(tmp_path / "taken" / "tiny")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    made().save(tmp_path / "m.safetensors")
    with pytest.raises(SavingError, match=r"expected a folder, got the file .* Fix: load_model\("):
        tf.Model.from_pretrained(tmp_path / "m.safetensors")


def test_a_card_tells_the_class_that_loads_it_and_takes_tags_and_dates_as_they_come(tmp_path: Path) -> None:
    class Net(tf.Model):
        pass

    inputs = tf.Input((6,))
    told = {"tags": "vision", "date": date(2026, 1, 2)}
    Net(inputs, layers.Dense(2)(inputs)).save_pretrained(tmp_path / "net", model_card_kwargs=told)
    card = (tmp_path / "net" / "README.md").read_text()
    assert 'model = Net.from_pretrained("net")' in card and "import it from the code" in card
    assert 'tags: ["torchfunc", "pytorch", "vision"]' in card and 'date: "2026-01-02"' in card
    assert type(Net.from_pretrained(tmp_path / "net")).__name__ == "Net"
