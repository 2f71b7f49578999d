"""Pretrained: a model goes into a folder, or a repository that a folder stands for here, and comes back equal."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import MissingExtraError, SavingError
from torchfunc.models.hub import card

X = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))


def network() -> tf.Model:
    torch.manual_seed(0)
    inputs = tf.Input((6,), name="numbers")
    return tf.Model(inputs, layers.Dense(2, name="head")(layers.Dense(8)(inputs)), name="net")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the hub: a folder in it for each repository."""
    folder = tmp_path / "hub"

    def create_repo(api: Any, repo_id: str, **options: Any) -> None:
        (folder / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(
        api: Any, *, repo_id: str, folder_path: str, delete_patterns: list[str], **rest: Any
    ) -> str:
        for pattern in delete_patterns:
            for each in (folder / repo_id).glob(pattern):
                each.unlink()
        shutil.copytree(folder_path, folder / repo_id, dirs_exist_ok=True)
        return f"{repo_id}: {rest['commit_message']}"

    def snapshot_download(repo_id: str, allow_patterns: list[str], **options: Any) -> str:
        target = tmp_path / "cache" / repo_id
        target.mkdir(parents=True, exist_ok=True)
        for pattern in allow_patterns:
            for each in (folder / repo_id).glob(pattern):
                shutil.copy(each, target)
        return str(target)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return folder


def test_a_folder_has_the_model_and_its_card(tmp_path: Path) -> None:
    model = network().eval()
    model.save_pretrained(tmp_path / "net.v1")
    names = {each.name for each in (tmp_path / "net.v1").iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "model.svg"}
    again = tf.Model.from_pretrained(tmp_path / "net.v1")
    assert torch.equal(again.eval()(X), model(X)) and again.code == model.code
    text = (tmp_path / "net.v1" / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: torchfunc\ntags:\n- torchfunc\n- pytorch\n---\n\n# net\n")
    assert "tf.Model.from_pretrained('net.v1')" in text and "![The graph of net](model.svg)" in text
    assert "head (Dense)" in text and "Total params: 74" in text
    assert (tmp_path / "net.v1" / "model.svg").read_text().lstrip().startswith("<svg")


def test_how_the_card_says_to_load_works_and_a_card_that_somebody_wrote_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = network().eval()
    model.save_pretrained("net")
    code = Path("net/README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert torch.equal(names["model"].eval()(X), model(X))
    Path("net/README.md").write_text("mine")
    model.save_pretrained("net")
    assert Path("net/README.md").read_text() == "mine"


def test_a_name_is_no_markdown_and_a_card_needs_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tf.Sequential([layers.Input((6,)), layers.Dense(2)], name="a[b](c)`<d>")
    text = card.card(model, "me/it", with_picture=False)
    assert (
        "# a b  c   d \n" in text
        and "model.svg" not in text
        and "tf.Sequential.from_pretrained('me/it')" in text
    )
    assert text.rstrip().endswith("```")


def test_training_goes_on_from_a_folder_if_it_was_asked_to_be_there(tmp_path: Path) -> None:
    model = network()
    model.compile("adam", "mse")
    model.fit(X, torch.zeros(2, 2), epochs=1, verbose=0)
    model.save_pretrained(tmp_path / "weights")
    assert tf.Model.from_pretrained(tmp_path / "weights").trainer is None and model.trainer is not None
    model.save_pretrained(tmp_path / "all", include_optimizer=True)
    again = tf.Model.from_pretrained(tmp_path / "all")
    for each in (model, again):
        each.fit(X, torch.zeros(2, 2), epochs=1, verbose=0)
    assert torch.equal(again.eval()(X), model.eval()(X))


def test_a_repository_is_made_filled_and_read(hub: Path) -> None:
    model = network().eval()
    said = model.push_to_hub("me/net", commit_message="first", max_shard_size=100, token="none")
    assert said == "me/net: first"
    assert len(list((hub / "me/net").glob("model-*-of-*.safetensors"))) > 1
    assert "from_pretrained('me/net')" in (hub / "me/net/README.md").read_text()
    assert torch.equal(tf.Model.from_pretrained("me/net", revision="main").eval()(X), model(X))
    model.push_to_hub("me/net")
    assert [each.name for each in (hub / "me/net").glob("*.safetensors")] == ["model.safetensors"]


def test_what_is_neither_a_folder_nor_a_repository_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SavingError) as error:
        tf.Model.from_pretrained("no/such/folder")
    assert str(error.value) == (
        "from_pretrained: expected a folder or a repository, got 'no/such/folder', where no folder is. "
        'Fix: a folder that save_pretrained wrote, or "owner/name".'
    )
    network().save_pretrained(tmp_path)
    with pytest.raises(
        SavingError, match=r"expected a Sequential, got a Model\. Fix: Model\.from_pretrained"
    ):
        tf.Sequential.from_pretrained(tmp_path)
    with pytest.raises(SavingError, match="got revision= with the folder"):
        tf.Model.from_pretrained(tmp_path, revision="main")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'torchfunc\[hub\]'"):
        tf.Model.from_pretrained("me/net")


class Written(tf.Model):
    def __init__(self, units: int = 3) -> None:
        super().__init__()
        self.dense = layers.Dense(units)

    def call(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(x)


class Mixed(tf.Model, PyTorchModelHubMixin):
    def __init__(self, units: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(6, units)

    def call(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


class Twin(nn.Module, PyTorchModelHubMixin):
    def __init__(self, units: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(6, units)


@pytest.mark.parametrize("kind", [Written, Mixed])
def test_a_class_of_yours_comes_back_with_its_arguments(kind: Any, tmp_path: Path) -> None:
    model = kind(units=5)
    model(X)
    model.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    assert isinstance(again, kind) and torch.equal(again(X), model(X))


def test_a_mixin_of_the_hub_keeps_the_arguments_as_in_a_module_of_torch() -> None:
    assert Mixed(units=5)._hub_mixin_config == Twin(units=5)._hub_mixin_config == {"units": 5}
    assert Mixed(4)._hub_mixin_config == {"units": 4} and Mixed()._hub_mixin_config == {"units": 3}
