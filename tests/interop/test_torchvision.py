"""torchvision is imported in one place, also where its compiled part cannot load."""

from __future__ import annotations

import subprocess
import sys

import pytest

from torchfunc.errors import MissingExtraError
from torchfunc.interop import torchvision


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_models_datasets_and_transforms_are_there() -> None:
    module = torchvision.load()
    assert module is torchvision.load()
    assert module.models.resnet18 and module.datasets.MNIST and module.transforms.Compose


def test_importing_the_house_does_not_import_torchvision() -> None:
    code = (
        "import torchfunc.interop.torchvision, torchfunc.datasets, sys; print('torchvision' in sys.modules)"
    )
    assert run(code).strip() == "False"


def test_a_compiled_part_that_cannot_load_is_done_without() -> None:
    """As over a CPU build of PyTorch: the operators are missing when torchvision is imported."""
    code = """
import torch
def refuse(path):
    raise OSError("libcudart.so: cannot open shared object file")
torch.ops.load_library = refuse
from torchfunc.interop import torchvision
module = torchvision.load()
model = module.models.resnet18(num_classes=3).eval()
print(model(torch.zeros(1, 3, 32, 32)).shape, module.extension._has_ops())
"""
    assert run(code).strip() == "torch.Size([1, 3]) False"


def test_another_error_of_its_import_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("something else")

    torchvision.load.cache_clear()
    monkeypatch.setattr(torchvision, "_import", broken)
    with pytest.raises(RuntimeError, match="something else"):
        torchvision.load()


def test_a_missing_torchvision_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision.load.cache_clear()
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(
        MissingExtraError, match=r"'torchvision', which is not installed.*torchfunc\[vision\]"
    ):
        torchvision.load()
