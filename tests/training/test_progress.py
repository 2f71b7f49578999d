"""Progress: a bar where there is a terminal, clean lines elsewhere."""

from __future__ import annotations

import io
import itertools
import re
import sys
import time
from typing import Any

import numpy as np
import pytest

from tests.training.modules import classification, mlp
from torchfunc.callbacks import LambdaCallback
from torchfunc.training import Trainer, progress

LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def fitted(verbose: Any, **options: Any) -> Trainer:
    x, y = classification(40)
    trainer = Trainer(mlp(), loss=LOGITS, metrics=["accuracy"])
    trainer.fit(x, y, batch_size=10, epochs=2, validation_split=0.25, verbose=verbose, **options)
    return trainer


def test_where_there_is_no_terminal_an_epoch_is_one_line_without_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fitted("auto")

    lines = capsys.readouterr().out.splitlines()

    assert lines[0::2] == ["Epoch 1/2", "Epoch 2/2"]
    for line in lines[1::2]:
        assert re.fullmatch(
            r"3/3 \[={30}\] - \d+s \d+(ms|us|s)/step - loss: \d\.\d{4} - accuracy: \d\.\d{4}"
            r" - val_loss: \d\.\d{4} - val_accuracy: \d\.\d{4}",
            line,
        )


def test_verbose_2_is_a_short_line_and_0_is_silence(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = fitted(2)
    assert re.fullmatch(
        r"(Epoch \d/2\n3/3 - 0s - loss: \S+ - accuracy: \S+ - val_loss: \S+ - val_accuracy: \S+\n){2}",
        capsys.readouterr().out,
    )

    trainer.evaluate(*classification(40), batch_size=8, verbose=2)
    assert re.fullmatch(r"5/5 - 0s - loss: \d\.\d{4} - accuracy: \d\.\d{4}\n", capsys.readouterr().out)

    fitted(0)
    trainer.predict(classification(40)[0], verbose=0)
    assert capsys.readouterr().out == ""


def test_on_a_terminal_the_bar_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(progress, "INTERVAL", -1.0)
    monkeypatch.setenv("COLUMNS", "200")

    fitted(1)

    states = screen.getvalue().split("\n")[1].split("\r")
    assert re.match(r"1/3 \[=========>\.{20}\] - ETA: \d+s - loss: ", states[0])
    assert re.match(r"2/3 \[===================>\.{10}\] - ETA: \d+s - loss: ", states[1])
    assert "val_loss" not in states[-2] and "val_loss" in states[-1]
    # what is longer is overwritten whole
    assert all(len(new) >= len(old.rstrip()) for old, new in itertools.pairwise(states))


def test_a_bar_is_cut_to_the_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "30")
    bar = progress.Bar()

    bar.start(10)
    bar.draw(5, lambda: {"loss": 0.5, "accuracy": 0.5})

    assert len(screen.getvalue()) == 29


def test_the_device_is_read_at_most_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    bar, reads = progress.Bar(), []
    bar.start(None)
    begun = time.perf_counter()

    for step in range(1, 2000):
        if time.perf_counter() >= bar.due:
            bar.draw(step, lambda: reads.append(1) or {})
        time.sleep(0.0002)

    assert len(reads) <= (time.perf_counter() - begun) / progress.INTERVAL + 1


def test_after_an_error_the_next_thing_is_printed_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(progress, "INTERVAL", -1.0)

    def fail(batch: int, logs: Any) -> None:
        if batch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(1, callbacks=LambdaCallback(on_train_batch_end=fail))

    assert screen.getvalue().endswith("\n")


def test_an_unknown_number_of_batches_is_shown_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    bar = progress.Bar()

    bar.start(None)
    bar.draw(12, lambda: {"loss": 0.25})
    bar.finish(20, {"loss": 0.125})

    drawn, final = screen.getvalue().rstrip("\n").split("\r")
    assert drawn.startswith("12/Unknown [....") and drawn.endswith("loss: 0.2500")
    assert final.startswith("20/20 [====") and final.rstrip().endswith("loss: 0.1250")


def test_a_generator_of_unknown_length_ends_in_its_number_of_batches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    x, y = classification(10)

    Trainer(mlp(), loss=LOGITS).fit(((x, y) for _ in range(4)), verbose=2)

    assert capsys.readouterr().out.splitlines()[1].startswith("4/4 - ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.35301, "0.3530"),
        (0.0, "0.0000"),
        (1.5e-05, "1.5000e-05"),
        (12.0, "12.0000"),
        ([0.5, 0.25], "[0.5000, 0.2500]"),
        (np.float32(0.5), "0.5000"),
    ],
)
def test_values_are_shown_as_the_guide_shows_them(value: Any, text: str) -> None:
    assert progress.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "speed", "duration"),
    [
        (0.0021, "2ms/step", "0s"),
        (0.00015, "150us/step", "0s"),
        (3.2, "3s/step", "3s"),
        (75.0, "75s/step", "1:15"),
        (3725.0, "3725s/step", "1:02:05"),
    ],
)
def test_durations_are_shown_in_the_unit_that_suits_them(seconds: float, speed: str, duration: str) -> None:
    assert (progress.per_step(seconds), progress.clock(seconds)) == (speed, duration)
