"""What a training leaves to look at: a History's parts and pictures, and the rate that a search suggests."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from tests.training.modules import classification, mlp, same_weights
from torchfunc.callbacks import History, LearningRateFinder
from torchfunc.callbacks.loggers.curves import ticks
from torchfunc.errors import TorchfuncError, UnknownNameError
from torchfunc.training import Trainer

LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}


def history(epochs: int = 4) -> History:
    x, y = classification(60)
    trainer = Trainer(mlp(), optimizer="sgd", loss=LOGITS, metrics=["accuracy"])
    return trainer.fit(x, y, epochs=epochs, verbose=0, validation_split=0.2, validation_freq=2)


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_history_is_read_by_name_by_epoch_and_in_parts() -> None:
    whole = history()

    assert whole["loss"] == whole.history["loss"] and len(whole) == 4
    assert whole[-1] == {name: values[-1] for name, values in whole.history.items()}
    assert whole[2].keys() == {"loss", "accuracy"}  # which was not validated
    assert whole[2:].epoch == [2, 3]
    assert whole[2:].history["loss"] == whole.history["loss"][2:]
    assert whole[2:].history["val_loss"] == whole.history["val_loss"][1:]
    assert History()  # as any object, though it has no epochs


def test_a_history_is_a_frame_with_a_row_for_each_epoch() -> None:
    whole = history()
    frame = whole.to_pandas()

    assert list(frame.index) == [0, 1, 2, 3] and frame.index.name == "epoch"
    assert frame["loss"].tolist() == whole.history["loss"]
    assert frame["val_loss"].isna().tolist() == [True, False, True, False]
    assert frame["val_loss"].dropna().tolist() == whole.history["val_loss"]


def test_without_pandas_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(TorchfuncError, match=r"Fix: pip install pandas"):
        History().to_pandas()


def test_a_picture_holds_training_and_validation_and_names_its_axes(tmp_path: Path) -> None:
    picture = history().plot()
    picture.save(tmp_path / "history.svg")

    said = texts((tmp_path / "history.svg").read_text(encoding="utf-8"))
    assert said.count("epoch") == 2 and said.count("loss") == 2 and said.count("accuracy") == 2
    assert said.count("train") == said.count("validation") == 2
    assert picture._repr_svg_().count("<polyline") == 4
    assert picture.svg.count("<circle") == 2 * (4 + 2)
    assert "accuracy" not in texts(history().plot("loss").svg)


def test_a_picture_of_what_was_not_logged_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        history().plot("acuracy")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (1, 4, [1, 2, 3, 4]), (-7, 1, [-6, -4, -2, 0])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, whole=high > 1 or low < 0) == pytest.approx(expected)


def searched(**options: Any) -> tuple[LearningRateFinder, Trainer]:
    x, y = classification(200)
    finder, trainer = LearningRateFinder(**options), Trainer(mlp(), optimizer="sgd", loss=LOGITS)
    torch.manual_seed(0)
    trainer.fit(x, y, batch_size=20, epochs=20, verbose=0, callbacks=[finder])
    return finder, trainer


def test_the_rate_grows_evenly_by_powers_and_all_is_as_before_the_search() -> None:
    finder, trainer = searched(lowest=1e-4, highest=1e-1, steps=31, diverges=math.inf)

    np.testing.assert_allclose(finder.rates, np.logspace(-4, -1, 31), rtol=1e-6)
    assert trainer.learning_rate == pytest.approx(0.01)
    assert same_weights(trainer.module, mlp())


def test_losses_are_those_of_each_batch() -> None:
    seen, batches = [], searched(lowest=1e-9, highest=1.1e-9, steps=10, smoothing=0.0)[0]
    x, y = classification(200)
    torch.manual_seed(0)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(int(torch.randint(2**62, ()).item())))
    for rows in order.split(20):
        outputs = mlp()(torch.from_numpy(x)[rows])
        seen.append(torch.nn.functional.cross_entropy(outputs, torch.from_numpy(y)[rows]).item())

    np.testing.assert_allclose(batches.losses, seen, atol=1e-5)


def test_a_search_ends_where_the_loss_gets_out_of_hand_and_suggests_a_rate_below() -> None:
    finder, _ = searched(lowest=1e-3, highest=1e5, steps=150)

    assert len(finder.rates) < 150
    assert finder.rates[0] < finder.suggestion < finder.rates[-1]
    assert finder.losses[finder.rates.index(pytest.approx(finder.suggestion))] < finder.losses[-1]
    assert {"loss", "learning rate"} <= set(texts(finder.plot().svg))


def test_what_leaps_down_behind_the_least_loss_is_no_suggestion() -> None:
    finder = LearningRateFinder()
    finder.rates = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]
    finder.losses = [1.0, 1.0, 0.7, 0.5, 3.0, 1.0, 4.0]
    assert finder.suggestion == pytest.approx(1e-2)  # between its neighbours it falls by half


def test_a_loss_that_is_no_number_ends_a_search_and_weights_are_as_before() -> None:
    finder, trainer = searched(lowest=1e-3, highest=1e38, steps=20, diverges=math.inf)

    assert math.isnan(finder.losses[-1]) or math.isinf(finder.losses[-1])
    assert same_weights(trainer.module, mlp())


@pytest.mark.parametrize("options", [{"lowest": 0}, {"lowest": 2, "highest": 1}, {"steps": 1}])
def test_a_search_between_no_rates_is_refused(options: Any) -> None:
    with pytest.raises(TorchfuncError, match="0 < lowest < highest, and 2 steps at least"):
        LearningRateFinder(**options)


def test_a_search_over_too_few_batches_suggests_nothing() -> None:
    with pytest.raises(TorchfuncError, match=r"expected 3 at least, got 0 batches"):
        _ = LearningRateFinder().suggestion
