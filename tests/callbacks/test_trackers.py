"""Trackers tell Weights & Biases and MLflow what a training says; their packages are played by stand-ins."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from tests.training.modules import classification, mlp
from torchfunc.callbacks import MLflowLogger, WandbLogger
from torchfunc.errors import TorchfuncError
from torchfunc.training import Trainer

LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}
Told = list[tuple[Any, ...]]


def wandb() -> tuple[Any, Told]:
    told: Told = []
    module: Any = types.ModuleType("wandb")
    module.run = None

    def opened(config: Any, **options: Any) -> None:
        told.append(("open", config, options))

    module.init, module.finish = opened, lambda: told.append(("close",))
    module.log = lambda figures, step: told.append(("log", figures, step))
    return module, told


def mlflow() -> tuple[Any, Told]:
    told: Told = []
    module: Any = types.ModuleType("mlflow")
    module.active_run, module.end_run = lambda: None, lambda: told.append(("close",))
    module.start_run = lambda **options: told.append(("open", {}, options))
    module.log_params = lambda params: told.append(("params", params))
    module.log_metrics = lambda figures, step: told.append(("log", figures, step))
    return module, told


def trained(callback: Any) -> Any:
    x, y = classification(40)
    trainer = Trainer(mlp(), optimizer="sgd", loss=LOGITS)
    return trainer.fit(x, y, batch_size=10, epochs=2, verbose=0, validation_split=0.25, callbacks=callback)


@pytest.mark.parametrize(("make", "logger"), [(wandb, WandbLogger), (mlflow, MLflowLogger)])
def test_every_epoch_is_told_with_its_step(make: Any, logger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module, told = make()
    monkeypatch.setitem(sys.modules, module.__name__, module)

    history = trained(logger(every=2, params={"batch_size": 10}, options={"name": "digits"}))

    assert told[0][0] == "open" and told[0][2] == {"name": "digits"} and told[-1] == ("close",)
    assert {"batch_size": 10} in [each for entry in told for each in entry]
    logged = [each for each in told if each[0] == "log"]
    epochs = [each for each in logged if "epoch" in each[1]]
    assert [step for _, _, step in epochs] == [3, 6]
    for number, (_, figures, _) in enumerate(epochs):
        assert figures == {"epoch": number + 1, "learning_rate": pytest.approx(0.01), **history[number]}
    assert [(list(figures), step) for _, figures, step in logged if "epoch" not in figures] == [
        (["batch/loss"], 2),
        (["batch/loss"], 5),
    ]


def test_a_run_that_is_open_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    module, told = wandb()
    module.run = types.SimpleNamespace(config={})
    monkeypatch.setitem(sys.modules, "wandb", module)
    trained(WandbLogger(params={"batch_size": 10}))
    assert module.run.config == {"batch_size": 10} and {each[0] for each in told} == {"log"}

    module, told = mlflow()
    module.active_run = lambda: "one"
    monkeypatch.setitem(sys.modules, "mlflow", module)
    trained(MLflowLogger())
    assert {each[0] for each in told} == {"log"}


@pytest.mark.parametrize(("package", "logger"), [("wandb", WandbLogger), ("mlflow", MLflowLogger)])
def test_a_missing_package_is_told_with_its_line(
    package: str, logger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TorchfuncError, match=rf"got no package '{package}'. Fix: pip install {package}"):
        logger()


def test_batches_are_told_of_by_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", wandb()[0])
    with pytest.raises(TorchfuncError, match="a number of batches, or 0 for never"):
        WandbLogger(every=-1)
