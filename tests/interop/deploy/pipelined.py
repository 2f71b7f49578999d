"""One of two processes that train a model by `torch.distributed.pipelining`: each check returns what a test compares."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

import torchfunc as tf
from torchfunc import interop, layers


def network() -> tf.Model:
    """A connection and a size cross the cut after `middle`, beside what it returns."""
    torch.manual_seed(0)
    inputs = tf.Input((8,), name="numbers")
    first = layers.Dense(6, activation="relu", name="first")(inputs)
    x = layers.Dense(6, activation="tanh", name="middle")(first)
    x = layers.Dense(6, name="after")(x).view(inputs.shape[0], 2, 3).flatten(1)
    x = layers.LayerNormalization(name="norm")(layers.Add(name="sum")([x, first]))
    return tf.Model(inputs, layers.Dense(3, name="head")(x), name="net")


def numbers() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 8, generator=generator), torch.randn(8, 3, generator=generator)


def trained_by(schedule: Any) -> Any:
    """What this rank's stage returned, the gradients of its weights, and the losses."""
    rank = int(os.environ["RANK"])
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    stage = interop.split(network(), at=["middle"])[rank]
    pipeline = schedule(PipelineStage(stage, rank, 2, torch.device("cpu")), 4, loss_fn=nn.functional.mse_loss)
    x, y = numbers()
    losses: list[Any] = []
    returned = pipeline.step(x) if rank == 0 else pipeline.step(target=y, losses=losses)
    gradients = {name: each.grad.numpy() for name, each in stage.named_parameters()}
    dist.barrier()
    return None if rank == 0 else returned.detach().numpy(), gradients, [each.item() for each in losses]


def gpipe() -> Any:
    return trained_by(ScheduleGPipe)


def one_forward_one_backward() -> Any:
    return trained_by(Schedule1F1B)


ALL = [gpipe, one_forward_one_backward]
