"""The command line: five commands on a file, exit codes, and errors without tracebacks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import keras
import onnxruntime
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


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_file_becomes_one_of_keras_and_comes_back(ending: str, file: Path) -> None:
    x = torch.ones(2, 3)
    truth = tf.load_model(file)(x)
    theirs, back = file.with_name(f"m.{ending}"), file.with_name("back.safetensors")
    assert main(["convert", str(file), str(theirs)]) == 0
    assert main(["convert", str(theirs), str(back)]) == 0
    assert torch.equal(tf.load_model(back)(x), truth)
    loaded = keras.models.load_model(theirs)
    torch.testing.assert_close(torch.as_tensor(loaded(x)).detach(), truth)


def test_a_file_becomes_source_that_imports_torch_alone(file: Path) -> None:
    x = torch.ones(2, 3)
    model = tf.load_model(file)
    assert main(["convert", str(file), str(file.with_name("small.py"))]) == 0
    assert main(["convert", str(file), str(file.with_name("LARGE.PY"))]) == 0
    assert file.with_name("LARGE.PY").read_text(encoding="utf-8").startswith('"""')
    text = file.with_name("small.py").read_text(encoding="utf-8")
    assert "torchfunc" not in text
    space: dict[str, object] = {}
    exec(text, space)
    name = re.findall(r"^class (\w+)\(nn\.Module\)", text, re.MULTILINE)[-1]
    made = space[name]()  # type: ignore[operator]
    made.load_state_dict(tf.interop.to_torch(model).state_dict())
    torch.testing.assert_close(made(x), model(x))


def test_a_file_becomes_onnx_that_its_runtime_runs(file: Path) -> None:
    place = file.with_name("m.onnx")
    # the exporter warns of itself, so it runs in a process where a warning is no error
    command = [sys.executable, "-W", "ignore", "-m", "torchfunc", "convert", str(file), str(place)]
    subprocess.run(command, check=True, capture_output=True)
    x = torch.ones(2, 3)
    (found,) = onnxruntime.InferenceSession(place).run(None, {"numbers": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), tf.load_model(file)(x).detach())


def test_a_file_is_viewed_beside_itself_or_where_it_is_said(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", str(file)]) == 0
    assert capsys.readouterr().out == f"{file.with_suffix('.html')}\n"
    assert main(["view", str(file), str(file.with_name("page.html"))]) == 0
    page = file.with_name("page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "block.within" in page
    assert page == file.with_suffix(".html").read_text(encoding="utf-8")


def test_a_summary_counts_flops_where_it_is_asked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(file), "--flops"]) == 0
    assert f"FLOPs: {2 * (3 * 3 + 3 * 2)} for an input of (1, 3)" in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"    {name} " in told for name in ("inspect", "summary", "plot", "view", "convert"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["summary", "missing.safetensors"], "missing.safetensors"),
        (["convert", "FILE", "m.docx"], "the ending '.docx'"),
        (["view", "FILE", "no/such/folder/m.html"], "no/such/folder"),
        (["plot", "FILE", "m.docx"], "Unknown picture format 'docx'"),
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


def test_what_pytorch_refuses_is_told_without_a_traceback(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **options: object) -> None:
        raise RuntimeError("this operator has no form in ONNX")

    monkeypatch.setattr(tf.interop, "export", refused)
    assert main(["convert", str(file), str(file.with_name("m.onnx"))]) == 1
    assert capsys.readouterr().err == "torchfunc: this operator has no form in ONNX\n"
