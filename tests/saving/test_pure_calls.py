"""Each function and method that a file may name computes: it leaves arguments, settings and environment as they were."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent

WORKER = """
import copy, json, os, sys, warnings
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")
import torch
import test_torch_functions as table
from torchfunc import functions
from torchfunc.tree import map_leaves

EVENTS = {"socket.connect", "subprocess.Popen", "os.system", "os.remove", "os.rename", "os.mkdir"}
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event in EVENTS else None)


def settings():
    return {
        "default dtype": torch.get_default_dtype(), "default device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(), "inference": torch.is_inference_mode_enabled(),
        "threads": torch.get_num_threads(), "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomalies": torch.is_anomaly_enabled(), "matmul": torch.get_float32_matmul_precision(),
        "folder": os.getcwd(), "environment": dict(os.environ), "events": list(seen),
    }


def told(before, after, arguments, kept):
    found = [key for key in before if before[key] != after[key]]
    pairs = zip(table.tensors(arguments), table.tensors(kept), strict=True)
    # NaN is what some examples hold, so bytes are compared
    same = all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in pairs)
    return found if same else [*found, "arguments"]


start = settings()
found, called = {}, 0
for name, function in table.LISTED.items():
    if name in functions.WITHHELD:
        continue
    # found by trying: what a first call imports is imported here
    arguments = map_leaves(lambda leaf: 5 if leaf is table.N else leaf, table.arguments_for(name))
    if name.endswith(".batch_norm"):
        arguments = (arguments[0], None, None, *arguments[3:])  # a file may not give statistics to change
        arguments = arguments if name == "F.batch_norm" else (arguments[0], None, None, None, None, *arguments[5:])
    kept = copy.deepcopy(arguments)
    before, modules = settings(), set(sys.modules)
    args, kwargs = table.parts(arguments)
    function(*args, **kwargs)
    called += 1
    problems = told(before, settings(), arguments, kept) + sorted(set(sys.modules) - modules)
    if problems:
        found[name] = problems
print(json.dumps([called, found, told(start, settings(), (), ())]))
"""


def test_each_leaves_arguments_settings_and_environment_as_they_were() -> None:
    command = [sys.executable, "-c", WORKER, str(TESTS / "graph")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    called, found, over_all = json.loads(done.stdout.splitlines()[-1])
    assert found == {} and over_all == []
    assert called > 950
