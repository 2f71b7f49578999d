"""TensorBoard: the figures and the weights of a training, written for TensorBoard to show."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.callbacks.loggers.board import write_graph, write_picture
from torchfunc.distributed.fully_sharded import is_sharded
from torchfunc.errors import TorchfuncError, explain


class TensorBoard(Callback):
    """Writes events to `log_dir/train` and `log_dir/validation`; `tensorboard --logdir log_dir` shows them.

    Args:
        log_dir: the folder.
        histogram_freq: after how many epochs the weights are written as histograms; 0 for never.
        write_graph: whether the model's graph is written, and the text of its forward.
        write_images: whether weights are written as images beside their histograms, and the picture of the model.
        write_steps_per_second: whether the speed of each epoch is written.
        update_freq: "epoch"; "batch" or a number, after how many batches their figures are written too.
        profile_batch: 0: `torch.profiler` profiles a training.
        embeddings_freq: after how many epochs the tables of embeddings are written; 0 for never.
        embeddings_metadata: the labels of the rows by the name of their layer: lists, or files with one a line.

    Raises:
        TorchfuncError: `profile_batch`, another `update_freq`, or no package `tensorboard`.

    Example:
        >>> board = callbacks.TensorBoard("logs", write_steps_per_second=True)
        >>> history = model.fit(x, y, callbacks=[board])  # doctest: +SKIP
    """

    writes_once: ClassVar[bool] = True

    def __init__(
        self,
        log_dir: str | Path = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Literal["epoch", "batch"] | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        if profile_batch:
            fix = "with torch.profiler.profile(on_trace_ready=tensorboard_trace_handler(log_dir)): model.fit(...)"
            raise TorchfuncError(
                explain("TensorBoard", got=f"profile_batch={profile_batch!r}", expected="0", fix=fix)
            )
        every = 1 if update_freq == "batch" else update_freq
        if update_freq != "epoch" and (type(every) is not int or every < 1):
            expected = "'epoch', 'batch' or a number of batches"
            raise TorchfuncError(
                explain("TensorBoard", got=f"update_freq={update_freq!r}", expected=expected)
            )
        self.log_dir, self.histogram_freq, self.write_graph = str(log_dir), histogram_freq, write_graph
        self.write_images, self.write_steps_per_second = write_images, write_steps_per_second
        self.update_freq, self.profile_batch = update_freq, profile_batch
        self.embeddings_freq, self.embeddings_metadata = embeddings_freq, embeddings_metadata
        self._every = every
        self._writers: dict[str, Any] = {}
        self._batch = self._first = 0
        self._begun = 0.0
        if update_freq != "epoch":
            # set on the object, so that events by epochs cost a batch nothing
            self.on_train_batch_end = self._on_batch  # type: ignore[method-assign]

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                fix = "pip install tensorboard"
                raise TorchfuncError(
                    explain("TensorBoard", got="no package 'tensorboard'", fix=fix)
                ) from error
            self._writers[part] = SummaryWriter(str(Path(self.log_dir) / part))
        return self._writers[part]

    def on_train_begin(self, logs: Logs = None) -> None:
        if (self.histogram_freq or self.embeddings_freq) and is_sharded(self._known_model()):
            got = "weights in shards, of which this process has its own alone"
            fix = "histogram_freq=0 and embeddings_freq=0, or distribute='ddp'"
            raise TorchfuncError(explain("TensorBoard", got=got, fix=fix))
        writer = self._writer("train")
        if getattr(self._known_model(), "graph", None) is None:
            return
        if self.write_graph:
            writer.add_text("keras", f"```python\n{self.model.code}\n```", 0)
            write_graph(writer, self.model)
        if self.write_images:
            write_picture(writer, self.model, getattr(self.model, "name", "model"))

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._begun, self._first = time.perf_counter(), self.trainer.step.count

    def _on_batch(self, batch: int, logs: Logs = None) -> None:
        if self._batch % int(self._every) == 0:
            for name, value in (logs or {}).items():
                self._writer("train").add_scalar(f"batch_{name}", value, self._batch)
        self._batch += 1

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        train = {name: each for name, each in (logs or {}).items() if not name.startswith("val_")}
        train |= self._rates()
        if self.write_steps_per_second:
            spent = time.perf_counter() - self._begun
            train["steps_per_second"] = (self.trainer.step.count - self._first) / max(spent, 1e-9)
        for name, value in train.items():
            self._writer("train").add_scalar(f"epoch_{name}", value, epoch)
        for name, value in (logs or {}).items():
            if name.startswith("val_"):
                self._writer("validation").add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Logs = None) -> None:
        for name, value in (logs or {}).items():
            place = f"evaluation_{name}_vs_iterations"
            self._writer("validation").add_scalar(place, value, self.trainer.step.count)

    def on_train_end(self, logs: Logs = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _rates(self) -> dict[str, float]:
        """The learning rate, or those of several optimizers."""
        optimizer = self.trainer.optimizer
        several = getattr(optimizer, "optimizers", None)
        if several is None:
            return {"learning_rate": float(optimizer.learning_rate)} if optimizer is not None else {}
        return {f"learning_rate_{each.name}": float(each.learning_rate) for each in several}

    def _write_weights(self, epoch: int) -> None:
        for name, tensor in self._known_model().state_dict().items():
            place, writer = name.replace(".", "/"), self._writer("train")
            writer.add_histogram(f"{place}/histogram", tensor, epoch)
            image = _as_image(tensor) if self.write_images else None
            if image is not None:
                writer.add_image(f"{place}/image", image, epoch, dataformats="HW")

    def _write_embeddings(self, epoch: int) -> None:
        for name, module in self._known_model().named_modules():
            if type(module).__name__ == "Embedding" and isinstance(module.weight, Tensor):
                labels = self.embeddings_metadata
                labels = labels.get(name) if isinstance(labels, dict) else labels
                if isinstance(labels, (str, Path)):
                    labels = Path(labels).read_text(encoding="utf-8").splitlines()
                self._writer("train").add_embedding(
                    module.weight.detach(), labels, tag=name, global_step=epoch
                )


def _as_image(tensor: Tensor) -> Tensor | None:
    """A weight of one or two axes as an image in gray from 0 to 1, broader than high; None for others."""
    image = tensor.detach().float().squeeze()
    if image.ndim == 1:
        image = image[None]
    if image.ndim != 2:
        return None
    low, high = image.aminmax()
    scaled = (image - low) / (high - low).clamp(min=1e-12)
    return scaled.T if scaled.shape[0] > scaled.shape[1] else scaled
