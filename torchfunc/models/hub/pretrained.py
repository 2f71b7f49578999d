"""Pretrained: a model is kept in a folder or in a repository of the Hugging Face hub, and made from there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from torchfunc.distributed.fully_sharded import write_whole
from torchfunc.errors import MissingExtraError, SavingError, explain, shorten
from torchfunc.models import loading
from torchfunc.models.hub import card
from torchfunc.saving import archive, shards

_READ = [archive.CONFIG_FILE, "*.safetensors", shards.INDEX_FILE]


class Pretrained:
    """`save_pretrained`, `from_pretrained` and `push_to_hub`, as Hugging Face's libraries have them.

    Where a class has `huggingface_hub.PyTorchModelHubMixin` among its bases too, that one's are used.
    """

    def save_pretrained(self, save_directory: str | os.PathLike[str], **options: Any) -> Any:
        """Write the model into a folder as model hubs lay it out, with a card that says how to load it.

        Args:
            save_directory: the folder, which is made.
            options: `max_shard_size="5GB"` (or a number of bytes), above which the weights are in several files;
                `repo_id=`, the repository that the card names; `include_optimizer=True`, to go on training from there.

        Returns:
            None, where no mixin of the hub says otherwise.

        Raises:
            SavingError: something cannot be written as data.
            WriteError: a file could not be written.

        Example:
            >>> model.save_pretrained("digits")
            >>> tf.Model.from_pretrained("digits").name == model.name
            True
        """
        if (other := getattr(super(), "save_pretrained", None)) is not None:
            return other(save_directory, **options)
        return _save(self, Path(save_directory), **options)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any) -> Any:
        """The model in a folder, or in a repository of the hub.

        Args:
            pretrained_model_name_or_path: a folder, or a repository as `"owner/name"`.
            options: `custom_objects=`, `compile=` and `device=` are those of `load_model`; the others, such as
                `revision=`, `token=` and `local_files_only=`, are those of `huggingface_hub.snapshot_download`.

        Returns:
            A Model, a Sequential, or an object of your class.

        Raises:
            SavingError: there is no model, or one of another class.
            MissingExtraError: a repository, and huggingface_hub is not installed.

        Example:
            >>> model.save_pretrained("digits")
            >>> tf.Model.from_pretrained("digits", device="cpu").output_shape == model.output_shape
            True
        """
        if (other := getattr(super(), "from_pretrained", None)) is not None:
            return other(pretrained_model_name_or_path, **options)
        return _load(cls, pretrained_model_name_or_path, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> Any:
        """Upload the model with its card to a repository of the hub, which is made where there is none.

        Args:
            repo_id: `"owner/name"`.
            options: those of `save_pretrained`, `private=` and `token=`, and others of `huggingface_hub.upload_folder`,
                such as `commit_message=`, `revision=` and `create_pr=`.

        Returns:
            What `huggingface_hub.upload_folder` says of the commit.

        Raises:
            MissingExtraError: huggingface_hub is not installed.

        Example:
            >>> model.push_to_hub("me/digits", private=True)  # doctest: +SKIP
        """
        if (other := getattr(super(), "push_to_hub", None)) is not None:
            return other(repo_id, **options)
        return _push(self, repo_id, **options)


def _save(
    model: Any,
    folder: Path,
    *,
    max_shard_size: int | str = "5GB",
    repo_id: str | None = None,
    include_optimizer: bool = False,
) -> None:
    size, trainer = shards.in_bytes(max_shard_size), model.trainer
    if folder.suffix and not folder.exists():
        folder.mkdir()  # `save` would take a path with a suffix for a file
    try:
        if not include_optimizer:
            model.__dict__["trainer"] = None
        write_whole(model, lambda: loading.save_model(model, folder, max_shard_size=size))
    finally:
        model.__dict__["trainer"] = trainer
    picture, readme = card.picture_of(model), folder / "README.md"
    if picture is not None:
        (folder / card.PICTURE).write_text(picture, encoding="utf-8")
    if not readme.exists():  # somebody may have written more into it
        text = card.card(model, repo_id or folder.name, with_picture=picture is not None)
        readme.write_text(text, encoding="utf-8")


def _load(
    cls: Any,
    place: str | os.PathLike[str],
    *,
    custom_objects: Any = None,
    compile: bool = True,
    device: Any = None,
    **options: Any,
) -> Any:
    if Path(place).is_dir():
        if options:
            got = f"{sorted(options)[0]}= with the folder {shorten(str(place))}"
            raise SavingError(
                explain("from_pretrained", got=got, expected="it for a repository alone", fix="leave it out")
            )
        folder = Path(place)
    else:
        folder = Path(_hub().snapshot_download(_repository(place), allow_patterns=_READ, **options))
    known = (
        {cls.__name__: cls, **(custom_objects or {})}
        if not cls.__module__.startswith("torchfunc.")
        else custom_objects
    )
    model = loading.load_model(folder, known, compile, device=device)
    if not isinstance(model, cls):
        got, fix = f"a {model.config_class.__name__}", f"{model.config_class.__name__}.from_pretrained"
        raise SavingError(explain("from_pretrained", got=got, expected=f"a {cls.__name__}", fix=fix))
    return model


def _push(
    model: Any,
    repo_id: str,
    *,
    private: bool | None = None,
    token: Any = None,
    max_shard_size: int | str = "5GB",
    include_optimizer: bool = False,
    commit_message: str = "Upload a model of torchfunc",
    **options: Any,
) -> Any:
    hub = _hub().HfApi(token=token)
    made = hub.create_repo(_repository(repo_id), private=private, exist_ok=True)
    name = getattr(made, "repo_id", repo_id)
    with tempfile.TemporaryDirectory() as folder:
        _save(
            model,
            Path(folder),
            max_shard_size=max_shard_size,
            repo_id=name,
            include_optimizer=include_optimizer,
        )
        # weights of an older upload, whole or in shards, would stand beside the new ones
        older = ["*.safetensors", shards.INDEX_FILE]
        return hub.upload_folder(
            repo_id=name, folder_path=folder, commit_message=commit_message, delete_patterns=older, **options
        )


def _repository(place: Any) -> str:
    parts = str(place).split("/")
    if len(parts) != 2 or not all(parts) or parts[0] in (".", "..", "~"):
        fix = 'a folder that save_pretrained wrote, or "owner/name"'
        got = f"{shorten(str(place))}, where no folder is"
        raise SavingError(explain("from_pretrained", got=got, expected="a folder or a repository", fix=fix))
    return str(place)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub", "A repository of the hub") from error
    return huggingface_hub
