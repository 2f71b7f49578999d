"""Every example runs to its end, offline, in a folder of its own."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# the long one has a test of its own below
FILES = sorted(path for path in EXAMPLES.glob("*.py") if path.name != "resnet_cifar.py")


def run(path, folder, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", path, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    result = run(path, tmp_path)

    assert result.returncode == 0, result.stderr
    assert "False" not in result.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_one_idea_in_under_60_lines(path):
    text = path.read_text(encoding="utf-8")

    assert text.startswith('"""')
    assert len(text.splitlines()) < 60


def test_the_resnet_falls_back_to_digits_where_cifar_is_not_to_be_had(tmp_path):
    result = run(EXAMPLES / "resnet_cifar.py", tmp_path, "--epochs", "1", "--data-dir", str(tmp_path))

    assert result.returncode == 0, result.stderr
    assert "CIFAR-10 is not to be had" in result.stdout
    assert "Total params: 223,242" in result.stdout
    assert "The loaded model predicts the same, to the bit." in result.stdout
    assert (tmp_path / "toy_resnet.safetensors").exists()
    assert (tmp_path / "toy_resnet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", "0"], "argument --epochs: expected at least 1, got 0"),
        (["--batch-size", "0"], "argument --batch-size: expected at least 1, got 0"),
        (["--save", "m.h5"], "argument --save: expected a folder or a '.safetensors' file, got 'm.h5'"),
        (["--data", "mnist"], "argument --data: invalid choice: 'mnist'"),
    ],
)
def test_the_resnet_refuses_options_that_cannot_work_before_it_trains(options, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["resnet_cifar.py", *options])

    with pytest.raises(SystemExit):
        runpy.run_path(str(EXAMPLES / "resnet_cifar.py"), run_name="__main__")
    assert words in capsys.readouterr().err


def test_the_resnet_takes_all_its_options_and_writes_a_folder_where_it_is_told(tmp_path):
    options = ["--data", "digits", "--epochs", "1", "--batch-size", "512", "--device", "cpu", "--seed", "3"]
    result = run(EXAMPLES / "resnet_cifar.py", tmp_path, *options, "--save", "new/folder/model")

    assert result.returncode == 0, result.stderr
    assert "\n3/3 [====" in result.stdout  # 1,293 images in batches of 512
    assert "The loaded model predicts the same, to the bit." in result.stdout
    assert (tmp_path / "new/folder/model/config.json").exists()
