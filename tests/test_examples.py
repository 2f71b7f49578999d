"""Every example runs to its end, offline, in seconds, in a folder of its own, and shows its idea."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# what each example must print; the long one, resnet_cifar.py, has a test of its own below
IDEAS = {
    "first_model": ["Total params: 8,970", "def forward(self, img):", "Epoch 20/20", "Test accuracy: 9"],
    "autoencoder": ["encoder (Functional)", "decoder (Functional)", "Total params: 28,241", "(4, 16)"],
    "ensemble": ["average (Average)", "predicts the mean of its members: True"],
    "ticket_routing": ["Epoch 2/2", " - loss: ", " - priority_loss: ", " - department_loss: "],
    "toy_resnet": [
        "Total params: 223,242",
        "Connected to",
        "add = self.add([x, max_pooling2d])",
        " - val_acc: ",
    ],
    "shared_embedding": ["Total params: 128,000", "A text is like itself: tensor([1."],
    "feature_extraction": ["(1, 64, 224, 224)", "48 activations, 143,667,240 parameters"],
    "custom_layer": ["custom_dense (CustomDense)", "The copy computes the same: True"],
    "inside_pytorch": ["def forward(self, sequence):", "Loss after 20 steps: 0.", "'encoder.multihead_att"],
    "save_and_load": ["Equal predictions: True", "Epoch 2/2"],
    "gan": ["Epoch 8/8", " - d_loss: ", " - g_loss: ", "The center of what is generated: (2.0, -1.0)"],
    "vae": [" - reconstruction_loss: ", " - kl_loss: ", "It learns: True"],
    "distillation": [" - sparse_categorical_accuracy: ", "Student's accuracy above 85 %: True"],
    "contrastive": [" - c_loss: ", " - p_acc: ", "Probe's accuracy above 60 %: True"],
    "dcgan": [" - d_loss: ", " - g_loss: ", "Images like (3, 8, 8, 1)"],
}
# whole scripts of Keras's users, with steps of their own
WHOLE = ("gan", "vae", "distillation", "contrastive", "dcgan")
# runs a file as `python file` does, where every attempt to reach the network ends the program
OFFLINE = """
import runpy, sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
        raise SystemExit(f"reached for the network: {event}{args}")
sys.addaudithook(refuse)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def run(*command, folder):
    return subprocess.run(
        [sys.executable, "-W", "error", *command], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_there_is_one_for_each_idea():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*IDEAS, "resnet_cifar"}


@pytest.mark.parametrize("idea", IDEAS)
def test_it_runs_offline_and_shows_its_idea(idea, tmp_path):
    result = run("-c", OFFLINE, EXAMPLES / f"{idea}.py", folder=tmp_path)

    assert result.returncode == 0, result.stderr
    for words in IDEAS[idea]:
        assert words in result.stdout
    assert "False" not in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_example_that_reached_for_the_network_would_be_caught(tmp_path):
    (tmp_path / "online.py").write_text("import urllib.request as u; u.urlopen('http://localhost:9')")

    result = run("-c", OFFLINE, tmp_path / "online.py", folder=tmp_path)

    assert result.returncode == 1 and "reached for the network" in result.stderr


@pytest.mark.parametrize("idea", IDEAS)
def test_it_is_one_idea_in_under_60_lines_and_a_whole_script_in_under_90(idea):
    text = (EXAMPLES / f"{idea}.py").read_text(encoding="utf-8")

    assert text.startswith('"""')
    assert len(text.splitlines()) < (90 if idea in WHOLE else 60)


def test_the_resnet_falls_back_to_digits_where_cifar_is_not_to_be_had(tmp_path):
    options = "--epochs", "1", "--data-dir", str(tmp_path)
    result = run(EXAMPLES / "resnet_cifar.py", *options, folder=tmp_path)

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
    result = run(EXAMPLES / "resnet_cifar.py", *options, "--save", "new/folder/model", folder=tmp_path)

    assert result.returncode == 0, result.stderr
    assert "\n3/3 [====" in result.stdout  # 1,293 images in batches of 512
    assert "The loaded model predicts the same, to the bit." in result.stdout
    assert (tmp_path / "new/folder/model/config.json").exists()
