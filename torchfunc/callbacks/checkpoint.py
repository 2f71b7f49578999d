"""ModelCheckpoint: the model written to a file while it is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar, Literal

from torchfunc.callbacks.callback import Logs
from torchfunc.callbacks.monitor import Direction, MonitorCallback
from torchfunc.distributed.fully_sharded import is_sharded
from torchfunc.distributed.launch import is_first
from torchfunc.errors import SavingError, TorchfuncError, UnknownNameError, explain, shorten

_OTHER_FORMATS = {".pt", ".pth", ".ckpt", ".pkl", ".onnx"}


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, after every epoch or every so many batches.

    Of a module that is no Model the weights and the state of the training are saved, for `trainer.restore_backup`. A
    process that gets SIGTERM finishes its batch and saves.

    Args:
        filepath: where to; may have fields such as `{epoch:02d}` and `{val_loss:.2f}`.
        monitor: the value that `save_best_only` goes by.
        verbose: 1 prints a line when it saves.
        save_best_only: whether only an epoch that improves on all before it is saved; NaN never does.
        save_weights_only: whether `model.save_weights` is called instead of `model.save`.
        mode: whether smaller ("min") or larger ("max") is better; "auto" goes by the name.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: a value that has to be beaten before anything is saved.
        keep: how many of the last files stay; older ones that it wrote are deleted. None for all.

    Raises:
        SavingError: a path whose suffix belongs to another format.
        UnknownNameError: a field of `filepath`, or `monitor`, that is not in the logs.

    Example:
        >>> keeping = callbacks.ModelCheckpoint("kept/{epoch:02d}.safetensors", keep=2)
        >>> model.compile(loss="mse")
        >>> history = model.fit(torch.zeros(4, 8, 8, 3), torch.zeros(4, 2), epochs=3, verbose=0, callbacks=[keeping])
        >>> import os
        >>> sorted(os.listdir("kept"))
        ['02.safetensors', '03.safetensors']
    """

    remembers: ClassVar[Mapping[str, str]] = {"best": "number", "_batches": "count"}

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: Direction = "auto",
        save_freq: Literal["epoch"] | int = "epoch",
        initial_value_threshold: float | None = None,
        keep: int | None = None,
    ) -> None:
        super().__init__(monitor, mode=mode)
        self.filepath, self.verbose = str(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq, self.initial_value_threshold = save_freq, initial_value_threshold
        self.best = initial_value_threshold
        self.keep = keep
        self._kept: list[Path] = []
        self._epoch = 0
        self._batches = 0
        self._check_arguments()
        if save_freq != "epoch":
            # set on the object, so that saving by epochs costs a batch nothing
            self.on_train_batch_end = self._on_batch  # type: ignore[method-assign]

    def _check_arguments(self) -> None:
        who, suffix = "ModelCheckpoint", Path(self.filepath).suffix
        if self.save_freq != "epoch" and (type(self.save_freq) is not int or self.save_freq < 1):
            raise TorchfuncError(
                explain(who, got=f"save_freq={self.save_freq!r}", expected="'epoch' or a number of batches")
            )
        if self.keep is not None and (type(self.keep) is not int or self.keep < 1):
            raise TorchfuncError(
                explain(who, got=f"keep={self.keep!r}", expected="a number of files or None")
            )
        if self.keep is not None and not _fields(self.filepath):
            stem = self.filepath.removesuffix(suffix)
            raise TorchfuncError(
                explain(
                    who,
                    got=f"keep={self.keep} with filepath={self.filepath!r}",
                    why="each file takes the place of the one before it",
                    fix=f"filepath={stem + '-{epoch:02d}-{batch:06d}' + suffix!r}"
                    if self.save_freq != "epoch"
                    else f"filepath={stem + '-{epoch:02d}' + suffix!r}",
                )
            )
        if self.save_best_only and self.save_freq != "epoch" and self.monitor.startswith("val_"):
            raise TorchfuncError(
                explain(
                    who,
                    got=f"monitor={self.monitor!r} with save_freq={self.save_freq}",
                    why="validation comes at the end of an epoch, so that no batch would ever be saved",
                    fix=f"monitor={self.monitor.removeprefix('val_')!r}, or save_freq='epoch'",
                )
            )
        # Keras tells a file of weights by its name
        alone, is_alone = self.save_weights_only, self.filepath.lower().endswith(".weights.h5")
        if suffix.lower() in (".keras", ".h5", ".hdf5") and alone is not is_alone:
            got = f"filepath={self.filepath!r} with save_weights_only={alone}"
            stem = self.filepath.removesuffix(suffix).removesuffix(".weights")
            fix = f"ModelCheckpoint({stem + ('.weights.h5' if alone else '.keras')!r}, save_weights_only={alone})"
            raise SavingError(explain(who, got=got, fix=fix))
        if suffix.lower() in _OTHER_FORMATS:
            stem = self.filepath.removesuffix(suffix)
            raise SavingError(
                explain(
                    who,
                    got=f"filepath={self.filepath!r}",
                    why="torchfunc saves to '.safetensors' files",
                    fix=f"ModelCheckpoint({stem + '.safetensors'!r})",
                )
            )

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if self.save_weights_only and not callable(getattr(model, "save_weights", None)):
            raise SavingError(
                explain(
                    "ModelCheckpoint",
                    got=f"save_weights_only=True for a {type(model).__name__}, which has no method `save_weights`",
                    fix="save_weights_only=False, which saves the weights and the state of the training",
                )
            )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if self.keep is not None:  # what an earlier process wrote; a file of others names none to be deleted
            self._kept = _written_before(self.filepath)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch

    @property
    def is_due(self) -> bool:
        """Whether the next batch that it is told of is one that it saves after."""
        return self.save_freq != "epoch" and (self._batches + 1) % int(self.save_freq) == 0

    def _on_batch(self, batch: int, logs: Logs = None) -> None:
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._save({"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self._save(dict(logs or {}))

    def _save(self, logs: dict[str, Any]) -> None:
        if self.save_best_only and not self._is_best(logs):
            return
        path = Path(self._formatted(logs))
        if not is_first() and not is_sharded(self._known_model()):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        model = self._known_model()
        if self.save_weights_only:
            model.save_weights(str(path), overwrite=True)
        elif callable(getattr(model, "save", None)):
            model.save(str(path), overwrite=True)
        else:
            self.trainer.back_up(path)
        self.say(self._epoch, f"saved to {path}")
        if self.keep is not None:
            self._kept = [*(each for each in self._kept if each != path), path]
            for each in self._kept[: -self.keep]:
                each.unlink(missing_ok=True)
            self._kept = self._kept[-self.keep :]

    def save_now(self) -> None:
        """Save the training as it is, where the whole of it is saved at all, and not its best alone."""
        if self.save_best_only or self.save_weights_only:
            return
        logs = {"batch": self.trainer.epoch.done}
        try:
            self._save(logs)
        except UnknownNameError:  # of a field that only the end of an epoch tells
            model, path = self._known_model(), Path(self.filepath).with_stem("interrupted")
            path.parent.mkdir(parents=True, exist_ok=True)
            (model.save if callable(getattr(model, "save", None)) else self.trainer.back_up)(str(path))

    def _is_best(self, logs: dict[str, Any]) -> bool:
        value = self.monitored(logs)
        if value is None:
            return False
        before, improved = self.best, self.improves(value, self.best)
        change = "did not improve from" if not improved else "improved from"
        if before is not None:
            self.say(self._epoch, f"{self.monitor} {change} {before:.5f}" + improved * f" to {value:.5f}")
        if improved:
            self.best = value
        return improved

    def _formatted(self, logs: dict[str, Any]) -> str:
        fields = {"epoch": self._epoch + 1, **logs}
        try:
            return self.filepath.format(**fields)
        except KeyError as error:
            raise UnknownNameError("field of ModelCheckpoint's filepath", error.args[0], fields) from None
        except (IndexError, TypeError, ValueError) as error:
            raise SavingError(
                explain(
                    "ModelCheckpoint",
                    got=f"filepath={self.filepath!r} and the logs {shorten(fields)}",
                    why=str(error),
                    fix="fields by name, such as '{epoch:02d}-{loss:.3f}'",
                )
            ) from None


def _fields(filepath: str) -> list[str]:
    """The names of the fields in a path."""
    return [name for _, name, _, _ in Formatter().parse(filepath) if name]


def _written_before(filepath: str) -> list[Path]:
    """The files whose names are a path with numbers in its fields, the oldest first."""
    name = "".join(
        re.escape(text) + "(?:[-+0-9.e]+|nan)" * (field is not None)
        for text, field, _, _ in Formatter().parse(Path(filepath).name)
    )
    folder = Path(filepath).parent
    found = [each for each in folder.iterdir() if re.fullmatch(name, each.name)] if folder.is_dir() else []
    return sorted(found, key=lambda each: each.stat().st_mtime_ns)
