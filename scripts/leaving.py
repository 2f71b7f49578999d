"""Has every network of `applications` leave as a file of torch alone, and checks each as the tests check the smallest.

`python scripts/leaving.py` takes minutes; with names of networks it takes these.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.interop.test_to_source import check_source  # noqa: E402
from torchfunc import applications  # noqa: E402
from torchfunc.models.model import Model  # noqa: E402

LARGE = ("Inception", "NASNet", "Xception")  # which refuse small images


def networks() -> list[str]:
    """The names of the functions that make a network."""
    made = {name: getattr(applications, name) for name in dir(applications) if name[0].isupper()}
    return [name for name, each in made.items() if callable(each) and not isinstance(each, type)]


def network(name: str) -> Model:
    """A small-image version of the network without its head."""
    torch.manual_seed(0)
    side = 96 if any(word in name for word in LARGE) else 64
    return getattr(applications, name)(weights=None, include_top=False, input_shape=(side, side, 3))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or networks():
        with tempfile.TemporaryDirectory() as folder:
            text = check_source(network(name), Path(folder) / "net.py")
        print(f"{name}: {len(text.splitlines())} lines, equal to the bit", flush=True)
