"""Hub: a model as a folder that a hub of models shows: config, weights in shards, a card with a picture."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from typing_extensions import Self, Unpack

from torchfunc.distributed.fully_sharded import write_whole
from torchfunc.errors import ConfigError, MissingExtraError, SavingError, TorchfuncError, explain
from torchfunc.layers.layer import Layer
from torchfunc.models import loading
from torchfunc.saving.atomic import made_folder
from torchfunc.saving.shards import INDEX, bytes_of
from torchfunc.vis import plot
from torchfunc.vis.facts import modules_of

PICTURE, CARD = "model.svg", "README.md"
_SUFFIXES = (".safetensors", ".keras", ".h5")  # of what is one file; a folder may be called v1.0
_FILES = ["config.json", "model*.safetensors", INDEX]


class Push(TypedDict, total=False):
    """How a folder is sent; see `OnHub.push_to_hub`."""

    commit_message: str
    private: bool | None
    token: str | None
    branch: str | None
    create_pr: bool | None


class OnHub(Layer):
    """What a model does with hubs, by the words of Hugging Face."""

    graph: Any
    _summary: Any

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        *,
        max_shard_size: int | str = "5GB",
        push_to_hub: bool = False,
        repo_id: str | None = None,
        model_card_kwargs: Mapping[str, Any] | None = None,
        **hub: Unpack[Push],
    ) -> Any:
        """Write the model to a folder as a hub shows it: config, weights, and a card if none is there.

        Args:
            save_directory: the folder; it may be new, and those above it too.
            max_shard_size: how many bytes of weights one file holds, as a number or such as "500MB".
            push_to_hub: whether the folder is sent to the hub, too.
            repo_id: where to on the hub, such as "you/digits"; the folder's name by default.
            model_card_kwargs: what the card says on top, such as `{"license": "mit", "tags": ["vision"]}`.
            hub: those of `push_to_hub`.

        Returns:
            What the hub says of the commit, if the folder was sent; else None.

        Raises:
            SavingError: something cannot be written as data, or no such size.
            WriteError: the folder could not be written.
            MissingExtraError: it is to be sent, and huggingface_hub is not installed.

        Example:
            >>> model.save_pretrained("digits", max_shard_size="1KB")
            >>> tf.saving.inspect("digits").parameters == model.count_params()
            True
        """
        folder = Path(save_directory)
        if hub and not push_to_hub:
            got = f"{next(iter(hub))}= without push_to_hub=True"
            raise SavingError(explain("save_pretrained", got=got, fix="push_to_hub=True, or leave it out"))
        most = bytes_of(max_shard_size)
        if folder.suffix.lower() in _SUFFIXES and not folder.is_dir():
            raise SavingError(
                explain(
                    "save_pretrained",
                    got=repr(str(folder)),
                    expected="a folder",
                    fix="a path without a suffix",
                )
            )
        write_whole(self, lambda: _save(self, folder, most))
        _write_card(self, folder, repo_id or folder.name, model_card_kwargs or {})
        return _sent(folder, repo_id or folder.name, **hub) if push_to_hub else None

    def push_to_hub(
        self,
        repo_id: str,
        *,
        max_shard_size: int | str = "5GB",
        model_card_kwargs: Mapping[str, Any] | None = None,
        commit_message: str = "Push model using torchfunc",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
    ) -> Any:
        """Send the model to a repository on the hub, which is made if it is not there.

        Args:
            repo_id: such as "you/digits".
            max_shard_size: as in `save_pretrained`.
            model_card_kwargs: as in `save_pretrained`.
            commit_message: of the commit that brings it.
            private: whether a new repository is for you alone; as your account has it if None.
            token: that of your account; the one that you logged in with if None.
            branch: to which it is sent.
            create_pr: whether it is sent as a proposal.

        Returns:
            What the hub says of the commit.

        Raises:
            MissingExtraError: huggingface_hub is not installed.

        Example:
            >>> model.push_to_hub("you/digits", private=True)  # doctest: +SKIP
        """
        with tempfile.TemporaryDirectory() as folder:
            return self.save_pretrained(
                Path(folder) / "model",
                max_shard_size=max_shard_size,
                push_to_hub=True,
                repo_id=repo_id,
                model_card_kwargs=model_card_kwargs,
                commit_message=commit_message,
                private=private,
                token=token,
                branch=branch,
                create_pr=create_pr,
            )

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        custom_objects: Mapping[str, Any] | None = None,
        compile: bool = True,
        device: Any = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> Self:
        """The model in a folder, or in a repository of the hub, of which config and weights are downloaded.

        It is read as every file: as data, of which nothing runs.

        Args:
            pretrained_model_name_or_path: a folder, or such as "you/digits".
            custom_objects: your own classes and functions by name; the class itself is known.
            compile: whether the model comes back compiled.
            device: where the weights are put.
            revision: a branch, a tag or a commit of the repository.
            token: that of your account.
            cache_dir: where downloads are kept.
            force_download: whether what is kept is downloaded again.
            local_files_only: whether nothing is downloaded.

        Returns:
            A model of this class.

        Raises:
            SavingError: as `load_model`; ConfigError where the folder holds a model of another class.
            MissingExtraError: no such folder, and huggingface_hub is not installed.

        Example:
            >>> model.save_pretrained("digits")
            >>> again = tf.Model.from_pretrained("digits")
            >>> torch.equal(again.get_layer("head").weight, model.get_layer("head").weight)
            True
        """
        folder = Path(pretrained_model_name_or_path)
        if folder.is_file():
            got, fix = f"the file {str(folder)!r}", f"load_model({str(folder)!r})"
            raise SavingError(explain("from_pretrained", got=got, expected="a folder", fix=fix))
        if not folder.is_dir():
            folder = _fetched(
                str(pretrained_model_name_or_path),
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
            )
        known = {cls.__name__: cls} if not cls.__module__.startswith("torchfunc.") else {}
        found = loading.load_model(folder, {**known, **(custom_objects or {})}, compile, device=device)
        if not isinstance(found, cls):
            kind = _class_of(found)
            raise ConfigError(
                explain(
                    f"{cls.__name__}.from_pretrained",
                    got=f"a {kind} in {str(pretrained_model_name_or_path)!r}",
                    expected=f"a {cls.__name__}",
                    fix=f"{kind}.from_pretrained(...)",
                )
            )
        return found


def _save(model: Any, folder: Path, most: int) -> None:
    with made_folder(folder, parents=True):
        loading.save_model(model, folder, shard_bytes=most)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub", "The hub") from error
    return huggingface_hub


def _sent(
    folder: Path,
    repo_id: str,
    *,
    commit_message: str = "Push model using torchfunc",
    private: bool | None = None,
    token: str | None = None,
    branch: str | None = None,
    create_pr: bool | None = None,
) -> Any:
    api = _hub().HfApi(token=token)
    repo_id = api.create_repo(repo_id=repo_id, private=private, exist_ok=True).repo_id
    return api.upload_folder(
        repo_id=repo_id,
        folder_path=str(folder),
        commit_message=commit_message,
        revision=branch,
        create_pr=create_pr,
        allow_patterns=[*_FILES, PICTURE, CARD],
        delete_patterns=[
            "model-*.safetensors",
            INDEX,
        ],  # those of an earlier save, if they are not sent again
    )


def _fetched(repo_id: str, **options: Any) -> Path:
    """The folder to which config and weights were downloaded."""
    hub = _hub()
    try:
        return Path(hub.snapshot_download(repo_id, allow_patterns=_FILES, **options))
    except hub.errors.HFValidationError as error:
        raise SavingError(
            explain(
                "from_pretrained",
                got=repr(repo_id),
                expected="a folder that is there, or a repository such as 'you/digits'",
            )
        ) from error


def _write_card(model: Any, folder: Path, title: str, top: Mapping[str, Any]) -> None:
    """The card, if the folder has none: what the model is, how it looks, how it is loaded."""
    if (folder / CARD).exists():
        return
    drawn = ""
    try:
        plot.plot(
            model.graph,
            modules_of(model),
            name=model.name,
            to_file=folder / PICTURE,
            show_shapes=True,
            show_layer_names=True,
        )
        drawn = f"![The graph of the model]({PICTURE})\n\n"
    except TorchfuncError:  # nothing that draws is installed
        pass
    given = top.get("tags", [])
    tags = list(dict.fromkeys(["torchfunc", "pytorch", *([given] if isinstance(given, str) else given)]))
    front = {
        "library_name": "torchfunc",
        **{key: value for key, value in top.items() if key != "tags"},
        "tags": tags,
    }
    text = "\n".join(["---", *(f"{key}: {_yaml(value)}" for key, value in front.items()), "---", ""])
    summary = str(model._summary(name=model.name))
    code = f'{_import_of(model)}.from_pretrained("{title}")'
    text += f"\n# {title}\n\n{drawn}```text\n{summary}\n```\n\n## How to load it\n\n```python\n{code}\n```\n"
    (folder / CARD).write_text(text, encoding="utf-8")


def _yaml(value: Any) -> str:
    """A value as YAML has it, which JSON is a part of; a date or a path as its text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _import_of(model: Any) -> str:
    """The code by which a reader gets at the class of a model."""
    kind = type(model)
    if kind.__module__.startswith("torchfunc."):
        return f"import torchfunc as tf\n\nmodel = tf.{_class_of(model)}"
    told = f"{kind.__name__} is a class of the author's: import it from the code that came with the model"
    return f"# {told}\nmodel = {kind.__name__}"


def _class_of(model: Any) -> str:
    kinds = [each.__name__ for each in type(model).__mro__ if each.__module__.startswith("torchfunc.")]
    return next((each for each in kinds if each in ("Sequential", "Model")), "Model")
