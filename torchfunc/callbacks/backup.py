"""BackupAndRestore: a training that was interrupted goes on where it was backed up."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.distributed.fully_sharded import is_sharded
from torchfunc.distributed.launch import is_first
from torchfunc.errors import CorruptFileError, SavingError, TorchfuncError, explain
from torchfunc.graph import blame


class BackupAndRestore(Callback):
    """Keeps the state of a training in a folder while `fit` runs; the next `fit` with it goes on from there.

    The file holds the weights, the memory of the optimizer and the place in the epoch, as data. It is written
    atomically, and deleted when `fit` has come to its end. A process that gets SIGTERM finishes its batch and writes it.

    Args:
        backup_dir: the folder, which belongs to this training alone.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: whether the backup before the last stays beside it, to be read, with a warning, where the
            last one is damaged.
        delete_checkpoint: whether the backup is deleted at the end of `fit`.

    Raises:
        TorchfuncError: another `save_freq`.
        SavingError: no `backup_dir`.

    Example:
        >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.zeros(64, 2), torch.zeros(64, 1)
        >>> backup = callbacks.BackupAndRestore("backup", delete_checkpoint=False)
        >>> history = trainer.fit(x, y, epochs=3, verbose=0, callbacks=[backup])
        >>> other = Trainer(nn.Linear(2, 1), loss="mse")  # as in a process that is begun again
        >>> backup.restore(other), torch.equal(other.module.weight, trainer.module.weight)
        (3, True)
    """

    remembers: ClassVar[Mapping[str, str]] = {"_batches": "count"}

    def __init__(
        self,
        backup_dir: str | Path,
        save_freq: Literal["epoch"] | int = "epoch",
        double_checkpoint: bool = True,
        delete_checkpoint: bool = True,
    ) -> None:
        if not isinstance(backup_dir, (str, Path)) or not str(backup_dir):
            raise SavingError(
                explain("BackupAndRestore", got=f"backup_dir={backup_dir!r}", expected="a folder")
            )
        if save_freq != "epoch" and (type(save_freq) is not int or save_freq < 1):
            expected = "'epoch' or a number of batches"
            raise TorchfuncError(
                explain("BackupAndRestore", got=f"save_freq={save_freq!r}", expected=expected)
            )
        self.backup_dir, self.save_freq = str(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._batches = 0
        if save_freq != "epoch":
            # set on the object, so that backups by epochs cost a batch nothing
            self.on_train_batch_end = self._on_batch  # type: ignore[method-assign]

    @property
    def _files(self) -> tuple[Path, Path]:
        """Where the last backup is, and the one before it."""
        folder = Path(self.backup_dir)
        return folder / "latest.safetensors", folder / "latest.bkp.safetensors"

    def restore(self, trainer: Any) -> Any:
        """What `fit` asks before it begins: the epoch where the training goes on, or None where it begins.

        Raises:
            TorchfuncError: a backup that cannot be read, or is of another model.
        """
        files = [each for each in self._files if each.exists()]
        if not files:
            return None
        try:
            trainer.restore_backup(files[0])
        except CorruptFileError as error:
            if files[1:] != [self._files[1]]:
                raise
            warnings.warn(
                f"BackupAndRestore goes on from the backup before the last, which is damaged: {error}",
                stacklevel=blame.level(),
            )
            trainer.restore_backup(files[1])
        return trainer.epoch

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self.save_now()

    @property
    def is_due(self) -> bool:
        """Whether the next batch that it is told of is one that it saves after."""
        return self.save_freq != "epoch" and (self._batches + 1) % int(self.save_freq) == 0

    def _on_batch(self, batch: int, logs: Logs = None) -> None:
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self.save_now()

    def save_now(self) -> None:
        """Back up the training as it is now."""
        latest, before = self._files
        if is_first():
            latest.parent.mkdir(parents=True, exist_ok=True)
            if self.double_checkpoint and latest.exists():
                latest.replace(before)
        if is_first() or is_sharded(self.trainer.module):
            self.trainer.back_up(latest)

    def on_train_end(self, logs: Logs = None) -> None:
        if self.delete_checkpoint and is_first():
            for each in self._files:
                each.unlink(missing_ok=True)
            folder = Path(self.backup_dir)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
