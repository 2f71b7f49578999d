"""The README says what is true: its code runs, and the forward that it shows is the one that is emitted."""

import re
import subprocess
import sys
from pathlib import Path

from tests.test_scripts import script

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


def test_it_opens_with_one_sentence_and_fifteen_lines_that_train(tmp_path):
    opening = README.split("\n## ")[0]
    (code,) = blocks(opening)
    assert len(opening.split("```")[0].strip().splitlines()) == 3  # the title, a blank line, the sentence
    assert len([line for line in code.splitlines() if line]) <= 15
    # the guide's data where they are not at hand: images of that form, in small
    stand_in = (
        "import numpy as np, torchfunc.datasets\n"
        "rng = np.random.default_rng(0)\n"
        "pair = lambda n: (rng.integers(256, size=(n, 28, 28)).astype('uint8'), rng.integers(10, size=n))\n"
        "torchfunc.datasets.mnist.load_data = lambda: (pair(256), pair(64))\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", stand_in + code], cwd=tmp_path, capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr
    assert "Epoch 5/5" in result.stdout and "2/2 - " in result.stdout


def test_what_it_says_goes_in_goes_in():
    code = next(block for block in blocks() if "MultiheadAttention" in block)
    namespace = {}
    exec("import torch, torchfunc as tf\nfrom torchfunc import layers\n" + code, namespace)

    assert namespace["encoder"](namespace["torch"].rand(3, 20, 16)).shape == (3, 4, 8)
