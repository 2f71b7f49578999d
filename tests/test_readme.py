"""The README says what is true: its code runs, and the forward that it shows is the one that is emitted."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from tests.test_scripts import script
from torchfunc import layers
from torchfunc.interop import torchvision

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text=README):
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_forward_and_the_source_of_the_toy_resnet_are_the_ones_that_are_written(tmp_path):
    assert script("readme").written(README) == README
    source = re.search(
        r"<!-- source of the toy ResNet -->\n```python\n(.*?)```\n<!-- end", README, re.DOTALL
    )[1]
    assert source == (ROOT / "tests" / "golden" / "toy_resnet_in_torch.txt").read_text(encoding="utf-8")
    (tmp_path / "net.py").write_text(source)
    alone = "import sys, net; net.ToyResnet(); print('torchfunc' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", alone], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert result.stdout == "False\n"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The folder where the first screen's code ran, and what it printed."""
    code = blocks(README.split("\n## ")[0])[0]
    # the guide's data where they are not at hand: images of that form, in small
    stand_in = (
        "import numpy as np, torchfunc.datasets\n"
        "rng = np.random.default_rng(0)\n"
        "pair = lambda n: (rng.integers(256, size=(n, 28, 28)).astype('uint8'), rng.integers(10, size=n))\n"
        "torchfunc.datasets.mnist.load_data = lambda: (pair(256), pair(64))\n"
    )
    folder = tmp_path_factory.mktemp("opened")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", stand_in + code], cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_it_opens_with_one_sentence_and_fifteen_lines_that_train(opened):
    opening = README.split("\n## ")[0]
    assert len(opening.split("```")[0].strip().splitlines()) == 3  # the title, a blank line, the sentence
    assert len([line for line in blocks(opening)[0].splitlines() if line]) <= 15
    assert "Epoch 5/5" in opened[1] and "2/2 - " in opened[1]


def test_the_first_screen_shows_the_forward_and_the_picture_that_its_code_makes(opened):
    folder, printed = opened
    shown = re.search(
        r"<!-- code of the first model -->\n```python\n(.*?)```\n<!-- end", README, flags=re.DOTALL
    )
    assert printed.endswith(shown[1] + "\n")
    (picture,) = re.findall(r"!\[[^]]*]\((docs/\w+\.svg)\)", README.split("\n## ")[0])
    words = script("guides").words
    drawn, kept = (path.read_text(encoding="utf-8") for path in (folder / "mnist_model.svg", ROOT / picture))
    assert words(drawn) == words(kept) and "Tensor.tanh" in words(kept)


def test_what_it_says_goes_in_goes_in():
    code = next(block for block in blocks() if "MultiheadAttention" in block)
    namespace = {}
    exec("import torch, torchfunc as tf\nfrom torchfunc import layers\n" + code, namespace)

    assert namespace["encoder"](namespace["torch"].rand(3, 20, 16)).shape == (3, 4, 8)


def table():
    """The table of features: a row's cells by its title, without the marks of bold."""
    lines = [line for line in README.splitlines() if line.count("|") == 7]
    rows = [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["", "torchfunc", "Keras on torch", "pytorch-symbolic", "Lightning", "Poutyne"]
    return {title: dict(zip(rows[0][1:], cells, strict=True)) for title, *cells in rows[2:]}


@pytest.fixture
def model():
    inputs = tf.Input((3, 4), name="x")
    x = inputs.view(inputs.shape[0], -1)
    x = torch.relu(layers.Dense(8, name="first")(x) + nn.Linear(12, 8)(x))
    outputs = {"a": layers.Dense(2, name="a")(x), "b": layers.Dense(1, name="b")(x)}
    return tf.Model(inputs, outputs)


X = np.random.default_rng(0).random((12, 3, 4), dtype="float32")
Y = {"a": np.ones((12, 2), "float32"), "b": np.ones((12, 1), "float32")}


def compiled(model):
    model.compile(optimizer="adam", loss={"a": "mse", "b": "mae"})
    return model


def test_every_row_of_the_table_is_true_of_torchfunc(model, tmp_path):
    yes = {title for title, cells in table().items() if cells["torchfunc"] == "yes"}
    history = compiled(model).fit(X, Y, epochs=2, batch_size=4, verbose=0)
    assert history.history.keys() == {"loss", "a_loss", "b_loss"}
    assert model.predict(X[:5], verbose=0)["a"].shape == (5, 2)  # the batch size was unknown
    assert "torch.relu(" in model.code and "self.first(" in model.code
    assert torch.fx.symbolic_trace(model)(torch.from_numpy(X))["b"].shape == (12, 1)
    model.save(tmp_path / "m.safetensors")
    assert tf.load_model(tmp_path / "m.safetensors").trainer.step.count == 6
    imports = re.findall(r"^(?:import|from) .*", tf.interop.to_source(model), flags=re.MULTILINE)
    assert {line.split()[1].split(".")[0] for line in imports} <= {"torch", "__future__"}
    model.first = nn.Linear(12, 8, bias=False)
    assert [name for name, _ in model.named_children()] == ["first", "linear", "a", "b"]
    assert model(torch.from_numpy(X))["a"].shape == (12, 2) and "first.bias" not in model.state_dict()
    small = tf.Sequential([tf.Input((4,)), layers.Dense(2)])
    small.save(tmp_path / "m.keras")
    assert tf.load_model(tmp_path / "m.keras").count_params() == 10
    assert len(yes) == 13  # a row more is a line more here


def test_a_training_goes_on_at_any_batch_to_the_bit(tmp_path):
    def made():
        inputs = tf.Input((3, 4))
        x = layers.Dropout(0.5)(layers.Flatten()(inputs))
        return tf.Model(inputs, {"a": layers.Dense(2, name="a")(x), "b": layers.Dense(1, name="b")(x)})

    whole = compiled(made())
    other = compiled(made())
    other.set_weights(whole.get_weights())
    torch.manual_seed(1)
    whole.fit(X, Y, epochs=2, batch_size=4, verbose=0)
    torch.manual_seed(1)
    other.fit(X, Y, epochs=2, batch_size=4, verbose=0, max_steps=4)  # within the second epoch
    other.save(tmp_path / "m.safetensors")
    torch.manual_seed(7)
    again = tf.load_model(tmp_path / "m.safetensors")
    again.fit(X, Y, epochs=2, batch_size=4, verbose=0, initial_epoch=again.trainer.epoch)
    assert all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), again.get_weights(), strict=True))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
def test_what_the_table_says_of_keras_is_so(tmp_path):
    symbol = keras.Input((8,))
    with pytest.raises(TypeError, match="must be Tensor, not KerasTensor"):
        nn.Linear(8, 4)(symbol)
    with pytest.raises(TypeError, match="must be Tensor, not KerasTensor"):
        torch.relu(symbol)
    with pytest.raises(AttributeError, match="relu"):
        symbol.relu()
    wrapper = keras.layers.TorchModuleWrapper
    with pytest.raises(NotImplementedError, match="compute_output_shape"):
        wrapper(nn.Linear(8, 4))(symbol)
    theirs = keras.Model(
        symbol, keras.layers.Dense(2)(wrapper(nn.Linear(8, 4), output_shape=(None, 4))(symbol))
    )
    theirs.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="Requested the deserialization of a `torch.nn.Module`"):
        keras.saving.load_model(tmp_path / "m.keras")
    plain = keras.Model(symbol, keras.layers.Dense(2)(keras.layers.Dense(4)(symbol)))
    assert not any(isinstance(each, keras.layers.Dense) for each in plain.modules()) and not hasattr(
        plain, "code"
    )
    with pytest.raises(torch.fx.proxy.TraceError):
        torch.fx.symbolic_trace(plain)
    back = inspect.getsource(keras.callbacks.BackupAndRestore._load_model)
    assert '["epoch"]' in back and '["batch"]' not in back and "rng" not in back


@pytest.mark.filterwarnings("ignore")
def test_what_the_table_says_of_lightning_is_so(tmp_path):
    torchvision.load()  # lightning imports it
    import pytorch_lightning as lightning

    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def training_step(self, batch, index):
            return self.layer(batch[0]).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    with pytest.raises(TypeError, match="must be a `LightningModule`"):
        trainer.fit(nn.Linear(4, 2), X)
    trainer.fit(Net(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(8, 4))))
    trainer.save_checkpoint(tmp_path / "m.ckpt")
    kept = torch.load(tmp_path / "m.ckpt", weights_only=False)  # pickle
    assert kept.keys() <= {
        "callbacks", "epoch", "global_step", "hparams_name", "hyper_parameters", "loops", "lr_schedulers",
        "optimizer_states", "pytorch-lightning_version", "state_dict",
    }  # fmt: skip


def test_the_benchmarks_on_the_page_and_here_are_those_that_were_measured():
    result = subprocess.run(
        [sys.executable, "scripts/benchmarks_page.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
