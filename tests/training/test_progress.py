"""Progress: a bar where there is a terminal, clean lines elsewhere."""

from __future__ import annotations

import io
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


def rows_of(text: str, width: int) -> list[str]:
    """What a terminal of so many columns shows: it goes back at a carriage return, and wraps what is too long."""
    rows, column = [[" "] * width], 0
    for letter in text:
        if letter == "\r":
            column = 0
        elif letter == "\n":
            rows, column = [*rows, [" "] * width], 0
        else:
            size = progress.cells(letter)
            if column + size > width:
                rows, column = [*rows, [" "] * width], 0
            rows[-1][column : column + size] = [letter, *[""] * (size - 1)]
            column += size
    return ["".join(row).rstrip() for row in rows]


def terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> Terminal:
    """A terminal of so many columns on which every step is drawn."""
    found = Terminal()
    monkeypatch.setattr(sys, "stdout", found)
    monkeypatch.setattr(sys, "stderr", found)
    monkeypatch.setattr(progress, "INTERVAL", -1.0)
    monkeypatch.setenv("COLUMNS", str(width))
    return found


def test_on_a_terminal_the_bar_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 200)

    fitted(1)

    states = screen.getvalue().split("\n")[1].split("\r")
    assert re.match(r"1/3 \[=========>\.{20}\] - ETA: \d+s \d+(us|ms)/step - loss: ", states[0])
    assert re.match(r"2/3 \[===================>\.{10}\] - ETA: \d+s \d+(us|ms)/step - loss: ", states[1])
    assert re.match(r"3/3 \[={30}\] - validation 0/1 - loss: ", states[3])
    assert re.match(r"3/3 \[={30}\] - validation 1/1 - loss: ", states[4])
    assert "val_loss" not in states[-3] and "val_loss" in states[-1]
    # what is longer is overwritten whole
    assert [row[:9] for row in rows_of(screen.getvalue(), 200)] == [
        "Epoch 1/2",
        "3/3 [====",
        "Epoch 2/2",
        "3/3 [====",
        "",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 110])
def test_no_line_wraps_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, width)

    fitted(1)

    # what is written over something never fills more than one line
    drawn = [state for line in screen.getvalue().split("\n") for state in line.split("\r")[:-1]]
    assert drawn and max(map(progress.cells, drawn)) < width
    rows = [row for row in rows_of(screen.getvalue(), width) if row]
    figures = " ".join(rows)
    assert rows[0] == "Epoch 1/2" and figures.count("val_accuracy: ") == 2 and figures.count("ETA") == 0


def test_wide_characters_take_two_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 40)
    assert [progress.cells(each) for each in ("loss", "\u7cbe\u5ea6", "e\u0301")] == [4, 4, 1]
    bar = progress.LiveBar()
    bar.start(10)
    for step in (3, 7):
        bar.draw(step, lambda: {"\u7cbe\u5ea6" * 4: 0.5, "loss": 0.25})
    drawn = screen.getvalue().split("\r")
    bar.leave()
    # a wide character fits whole or not at all, so one cell may stay free
    assert all(38 <= progress.cells(each) <= 39 and each.rstrip().endswith("...") for each in drawn)


def test_a_terminal_that_is_made_narrower_gets_shorter_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 120)
    bar = progress.LiveBar()
    bar.start(10)
    for width in (100, 50, 30):
        monkeypatch.setenv("COLUMNS", str(width))
        bar.draw(5, lambda: {"loss": 0.5, "accuracy": 0.5})
        assert progress.cells(screen.getvalue().split("\r")[-1]) < width
    bar.leave()


def test_what_a_callback_prints_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 150)

    def tell(batch: int, logs: Any) -> None:
        print(f"batch {batch}", end="" if batch == 2 else "\n")
        if batch == 1:
            print("warned", file=sys.stderr)

    before = sys.stdout, sys.stderr
    fitted(1, callbacks=LambdaCallback(on_train_batch_end=tell))

    assert (sys.stdout, sys.stderr) == before
    rows = [row for row in rows_of(screen.getvalue(), 150) if row]
    assert [row[:8] for row in rows] == ["Epoch 1/", "batch 0", "batch 1", "warned", "batch 2", "3/3 [==="] * 1 + [
        "Epoch 2/", "batch 0", "batch 1", "warned", "batch 2", "3/3 [===",
    ]  # fmt: skip


def test_a_long_pass_into_a_file_says_something_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FIRST_LINES", (0.02, 0.04, 0.06))
    bar = progress.Bar()
    bar.start(100)
    drawn = 0
    for step in range(1, 101):
        time.sleep(0.002)
        if time.perf_counter() >= bar.due:
            bar.draw(step, lambda: {"loss": 0.5})
            drawn += 1
    bar.finish(100, {"loss": 0.25})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == drawn + 1 and 3 <= drawn <= 12  # of a hundred
    assert re.fullmatch(r" *\d+/100 - ETA: \d+s \d+ms/step - loss: 0.5000", lines[0])
    assert lines[-1].startswith("100/100 [=====")


class Shown:
    """Stands for IPython's display: what was shown, and how often it was renewed."""

    def __init__(self) -> None:
        self.elements: list[list[str]] = []

    def __call__(self, text: str) -> Any:
        self.elements.append([text])
        return self.elements[-1].append


def test_in_a_notebook_each_epoch_is_one_element_that_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, screen = Shown(), terminal(monkeypatch, 100)
    monkeypatch.setattr(Terminal, "__module__", "ipykernel.iostream")
    monkeypatch.setattr(progress, "_element_of_ipython", lambda: shown)

    fitted(1)

    assert screen.getvalue() == "Epoch 1/2\nEpoch 2/2\n" and len(shown.elements) == 2
    first = shown.elements[0]
    assert 'value="0.333"' in first[0] and "1/3 - ETA: " in first[0]
    assert any("validation 1/1" in each for each in first)
    assert 'value="1.000"' in first[-1] and "val_accuracy: " in first[-1]


def test_the_text_of_an_element_is_escaped() -> None:
    made = progress.element("<script>alert(1)</script> & loss", None)
    assert "<script>" not in made and "&lt;script&gt;" in made and "value=" not in made


def test_without_ipython_a_notebook_gets_the_bar_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 100)
    monkeypatch.setattr(Terminal, "__module__", "ipykernel.iostream")
    monkeypatch.setattr(progress, "_element_of_ipython", lambda: None)

    fitted(1)

    assert "\r" in screen.getvalue() and "val_loss" in screen.getvalue()


def test_the_device_is_read_at_most_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    bar, reads = progress.LiveBar(), []
    bar.start(None)
    begun = time.perf_counter()

    for step in range(1, 2000):
        if time.perf_counter() >= bar.due:
            bar.draw(step, lambda: reads.append(1) or {})
        time.sleep(0.0002)

    assert len(reads) <= (time.perf_counter() - begun) / progress.INTERVAL + 1


def test_an_element_of_a_notebook_is_renewed_ten_times_a_second_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown, now = Shown(), [0.0]
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(progress, "_element_of_ipython", lambda: shown)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    bar = progress.NotebookBar()
    bar.epoch(0, 1)
    bar.start(200)

    def passed(steps: int) -> None:
        for step in range(1, steps + 1):
            now[0] += 0.01
            if now[0] >= bar.due:
                bar.draw(step, lambda: {"loss": 0.5})

    passed(200)
    bar.pause(200, {"loss": 0.25}, 50)
    passed(50)
    bar.finish(200, {"loss": 0.25, "val_loss": 0.125})

    (element,) = shown.elements
    assert 2.5 * 9 <= len(element) <= 2.5 * 10 + 1
    assert "validation 46/50 - loss: 0.2500" in element[-2] and 'value="0.920"' in element[-2]
    assert 'value="1.000"' in element[-1]
    assert "200/200 - 2s 12ms/step - loss: 0.2500 - val_loss: 0.1250" in element[-1]


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
    screen = terminal(monkeypatch, 100)
    bar = progress.LiveBar()

    bar.start(None)
    bar.draw(12, lambda: {"loss": 0.25})
    drawn = screen.getvalue()
    bar.finish(20, {"loss": 0.125})

    assert drawn.startswith("12/Unknown [....") and drawn.endswith("loss: 0.2500")
    (final,) = [row for row in rows_of(screen.getvalue(), 100) if row]
    assert final.startswith("20/20 [====") and final.endswith("loss: 0.1250")


def test_a_generator_of_unknown_length_ends_in_its_number_of_batches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    x, y = classification(10)

    Trainer(mlp(), loss=LOGITS).fit(((x, y) for _ in range(4)), verbose=2)

    assert capsys.readouterr().out.splitlines()[1].startswith("4/4 - ")


def test_what_the_first_epoch_had_is_what_the_second_is_expected_to_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = classification(10)
    lengths, told = iter([4, 2, 3]), []
    monkeypatch.setattr(progress.Line, "start", lambda self, steps: told.append(steps))
    monkeypatch.setattr(progress.Line, "finish", lambda self, step, logs: None)

    Trainer(mlp(), loss=LOGITS).fit(lambda: ((x, y) for _ in range(next(lengths))), epochs=3, verbose=2)

    assert told == [None, 4, 2]


def test_an_epoch_that_is_longer_than_expected_is_drawn_as_a_full_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal(monkeypatch, 100)
    bar = progress.LiveBar()

    bar.start(4)
    bar.draw(5, lambda: {"loss": 0.25})

    assert screen.getvalue().startswith("5/4 [" + "=" * 30 + "]")


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
