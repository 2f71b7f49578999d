"""Every op that a file may name was compared with Keras or NumPy, and is pure."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from tests.ops import test_nn_linalg_image, test_numbers, test_shapes_and_products
from tests.ops.rows import Row, found, tensor
from torchfunc import functions, ops
from torchfunc.tree import leaves, map_leaves

ROOT = Path(__file__).parent.parent.parent
TABLES = (
    test_nn_linalg_image.ROWS,
    test_numbers.ROWS,
    test_numbers.COUNTED,
    test_numbers.NUMPYS,
    test_shapes_and_products.ROWS,
    test_shapes_and_products.MADE,
)
# compared in tests of their own, by what the result must be
BY_HAND = set("argpartition empty empty_like image.elastic_transform nonzero unique".split())
WATCHED = {
    "socket.connect",
    "subprocess.Popen",
    "os.system",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "open",
    "import",
}


def calls() -> dict[str, list[Row]]:
    """Every row, by the name under which the op stands in `ops`."""
    rows: dict[str, list[Row]] = {}
    for table in TABLES:
        for name, several in table.items():
            rows.setdefault(name, []).extend(several)
    return rows


def test_every_op_that_a_file_may_name_has_three_calls_beside_keras_or_numpy() -> None:
    rows = calls()
    named = {name.removeprefix("ops.") for name in functions.by_name() if name.startswith("ops.")}
    homes = ("", "nn.", "linalg.", "image.")
    counts = {home + name: len(several) for home in homes for name, several in rows.items()}
    assert len(named) > 250
    assert {name for name in named - BY_HAND if counts.get(name, 0) < 3} == set()


def settings() -> dict[str, Any]:
    return {
        "dtype": torch.get_default_dtype(), "gradients": torch.is_grad_enabled(),
        "device": str(torch.get_default_device()), "inference": torch.is_inference_mode_enabled(),
        "anomalies": torch.is_anomaly_enabled(), "matmul": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(), "deterministic": torch.are_deterministic_algorithms_enabled(),
        "folder": str(Path.cwd()), "environment": dict(os.environ), "random": torch.get_rng_state().tolist(),
    }  # fmt: skip


def tell_what_is_touched() -> None:
    """Print which ops change an argument, a setting, the environment or the random state, or touch the system."""
    events: list[str] = []
    touched: dict[str, Any] = {}
    rows = calls()
    for name, several in rows.items():  # what a first call imports is imported here
        for args, kwargs in several[:1]:
            found(ops, name)(*map_leaves(tensor, args), **map_leaves(tensor, kwargs))
    sys.addaudithook(lambda event, args: events.append(event) if event in WATCHED else None)
    count = 0
    for name, several in rows.items():
        for args, kwargs in several:
            given = map_leaves(tensor, (args, kwargs))
            kept, before = copy.deepcopy(given), settings()
            events.clear()
            found(ops, name)(*given[0], **given[1])
            count += 1
            seen = [*events, *(key for key, value in settings().items() if before[key] != value)]
            pairs = zip(leaves(given), leaves(kept), strict=True)
            if any(
                isinstance(a, torch.Tensor) and a.numpy().tobytes() != b.numpy().tobytes() for a, b in pairs
            ):
                seen.append("arguments")
            if seen:
                touched[name] = seen
    print(json.dumps([count, touched]))


def test_no_op_changes_its_arguments_a_setting_or_the_environment() -> None:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        "from tests.ops import test_listed; test_listed.tell_what_is_touched()",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    count, touched = json.loads(done.stdout.splitlines()[-1])
    assert touched == {} and count > 900
