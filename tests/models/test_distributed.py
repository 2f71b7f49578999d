"""DDP and FSDP2 around a Model, in two processes over gloo."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys, warnings
warnings.simplefilter("ignore")
import torch, torch.distributed as dist
from torch import nn
import torchfunc as tf
from torchfunc import layers

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
inputs = tf.Input((8,), name="x")
model = tf.Model(inputs, layers.Dense(4)(nn.Linear(8, 16)(inputs).relu()))
x = torch.rand(4, 8)
expected = torch.autograd.grad(model(x).square().mean(), list(model.parameters()))
names, weights = list(model.state_dict()), [each.detach().clone() for each in model.parameters()]
half = x[rank * 2 : rank * 2 + 2]
if sys.argv[1] == "ddp":
    wrapped = nn.parallel.DistributedDataParallel(model)
    wrapped(half).square().mean().backward()
    for parameter, gradient in zip(model.parameters(), expected):
        torch.testing.assert_close(parameter.grad, gradient)
else:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    mesh = init_device_mesh("cpu", (2,))
    for layer in model.children():
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert isinstance(model, tf.Model)
    model(half).square().mean().backward()
    for parameter, gradient in zip(model.parameters(), expected):
        torch.testing.assert_close(parameter.grad.full_tensor(), gradient)
assert list(model.state_dict()) == names
optimizer = torch.optim.SGD(model.parameters(), 0.1)
optimizer.step()
for parameter, weight, gradient in zip(model.parameters(), weights, expected, strict=True):
    whole = parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter
    torch.testing.assert_close(whole.detach(), weight - 0.1 * gradient)
print("rank", rank, "done", flush=True)
dist.barrier()  # so that neither hangs up while the other still speaks
dist.destroy_process_group()
os._exit(0)  # what is shown is shown: gloo's threads, which may outlive the interpreter, abort at times
"""


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_give_the_gradients_of_one(kind, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    port = 29500 + (os.getpid() * 2 + (kind == "fsdp")) % 2000
    runs = [
        subprocess.Popen(
            [sys.executable, script, kind],
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    results = [run.communicate(timeout=120) for run in runs]

    assert [run.returncode for run in runs] == [0, 0], results[0][1] + results[1][1]
    assert all("done" in out for out, _ in results)
