"""The command line: four commands on a file, exit codes, and errors without tracebacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import torchfunc as tf
from torchfunc.__main__ import main
from torchfunc.layers import Dense


@pytest.fixture
def file(tmp_path: Path) -> Path:
    inner = tf.Input((3,))
    block = tf.Model(inner, Dense(3, name="within")(inner), name="block")
    inputs = tf.Input((3,), name="numbers")
    tf.Model(inputs, Dense(2, name="head")(block(inputs)), name="small").save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_a_file_is_told_summed_up_and_drawn(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(file)]) == 0
    assert "a whole model" in capsys.readouterr().out
    assert main(["summary", str(file)]) == 0
    short = capsys.readouterr().out
    assert main(["summary", str(file), "--expand-nested"]) == 0
    assert "head (Dense)" in short and "within" not in short and "within" in capsys.readouterr().out
    assert main(["plot", str(file), "--show-shapes"]) == 0
    assert capsys.readouterr().out == f"{file.with_suffix('.png')}\n"
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_file_is_converted_by_its_ending(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.ones(2, 3)
    truth = tf.load_model(file)(x)
    assert main(["convert", str(file), str(file.with_name("again.safetensors"))]) == 0
    assert torch.equal(tf.load_model(file.with_name("again.safetensors"))(x), truth)
    assert main(["convert", str(file), str(file.with_name("m.pt2"))]) == 0
    exported = torch.export.load(file.with_name("m.pt2")).module()
    torch.testing.assert_close(exported(x), truth)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["summary", "missing.safetensors"], "missing.safetensors"),
        (["convert", "FILE", "m.docx"], "the ending '.docx'"),
    ],
)
def test_what_goes_wrong_is_told_in_a_line(
    arguments: list[str], words: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(file) if each == "FILE" else each for each in arguments]) == 1
    told = capsys.readouterr().err
    assert told.startswith("torchfunc: ") and words in told and "Traceback" not in told


def test_a_command_line_that_cannot_be_read_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["explode", "x"], ["convert", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "usage: python -m torchfunc" in capsys.readouterr().err


def test_it_runs_as_a_module_and_stops_quietly_when_nobody_reads_on(file: Path) -> None:
    command = f"{sys.executable} -m torchfunc inspect {file} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "a whole model" in done.stdout and done.stderr == ""
    version = subprocess.run(
        [sys.executable, "-m", "torchfunc", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout == f"torchfunc {tf.__version__}\n"
