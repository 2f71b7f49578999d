"""The modules of `with_torch` in the loops of others: TRAINER=lightning or TRAINER=poutyne."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from typing import Any

import operators  # noqa: F401
import torch
import torch.nn.functional as F
from by_hand import glorot
from torch import nn
from with_torch import EPSILON, MODULES, loss_of
from workloads import Contender, Work, main

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def loaders(work: Work) -> tuple[Any, Any]:
    columns = [torch.from_numpy(each) for each in (*work.inputs.values(), *work.targets.values())]
    kept = len(columns[0]) - work.validation
    train, held = ([each[rows] for each in columns] for rows in (slice(kept), slice(kept, None)))
    made = torch.utils.data.TensorDataset
    return (
        torch.utils.data.DataLoader(made(*train), batch_size=work.batch, shuffle=True),
        torch.utils.data.DataLoader(made(*held), batch_size=work.batch) if work.validation else None,
    )


def optimizer_of(name: str, module: nn.Module) -> torch.optim.Optimizer:
    if name == "autoencoder":
        return torch.optim.Adam(module.parameters(), 1e-3)
    return torch.optim.RMSprop(module.parameters(), 1e-3, alpha=0.9, eps=EPSILON)


def lightning(name: str, work: Work) -> Callable[[], float]:
    import pytorch_lightning as pl

    torch.manual_seed(0)
    count = len(work.inputs)

    class Lit(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = glorot(MODULES[name]())

        def step(self, batch: Any, prefix: str) -> torch.Tensor:
            loss, hits = loss_of(name, self.net, batch[:count], batch[count:])
            self.log(prefix + "loss", loss, on_step=False, on_epoch=True)
            if hits is not None:
                self.log(prefix + "accuracy", hits / len(batch[0]), on_step=False, on_epoch=True)
            return loss

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return self.step(batch, "")

        def validation_step(self, batch: Any, index: int) -> torch.Tensor:
            return self.step(batch, "val_")

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer_of(name, self)

    module, data = Lit(), loaders(work)

    def epoch() -> float:
        trainer = pl.Trainer(
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
            num_sanity_val_steps=0,
        )
        trainer.fit(module, *data)
        return float(trainer.callback_metrics["loss"])

    return epoch


def poutyne(name: str, work: Work) -> Callable[[], float]:
    from poutyne import Model

    torch.manual_seed(0)
    module = glorot(MODULES[name]())
    loss: Any = F.cross_entropy if work.targets.keys() == {"label"} else F.mse_loss
    metrics = ["accuracy"] if loss is F.cross_entropy else []
    if name == "tickets":

        def loss(found: Any, wanted: Any) -> torch.Tensor:
            first = F.binary_cross_entropy_with_logits(found[0], wanted[0])
            return first + 0.2 * F.cross_entropy(found[1], wanted[1])

    model = Model(module, optimizer_of(name, module), loss, batch_metrics=metrics)
    count, (train, held) = len(work.inputs), loaders(work)
    if name == "tickets":
        train = Pairs(train, count)

    def epoch() -> float:
        logs = model.fit_generator(train, held, epochs=1, progress_options=None, verbose=False)
        return float(logs[-1]["loss"])

    return epoch


class Pairs:
    """Batches of a loader as (inputs, targets)."""

    def __init__(self, loader: Any, count: int) -> None:
        self.loader, self.count = loader, count

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Any:
        return ((tuple(batch[: self.count]), tuple(batch[self.count :])) for batch in self.loader)


if __name__ == "__main__":
    main(Contender({"lightning": lightning, "poutyne": poutyne}[os.environ["TRAINER"]]))
