"""Flat memory: gradients lie in one block, each as memory of its own would, and one look at it sees all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc.optimizers.stepper import SMALL, TOGETHER
from torchfunc.training.recording.flat_memory import Gradients, divided

SIZES = ((64, 64), (10,), (3, 5, 7), (), (128,), (64, 784), (1, 192))


def parameters() -> list[nn.Parameter]:
    found = [nn.Parameter(torch.empty(size)) for size in SIZES]
    images = torch.empty(8, 4, 3, 3).to(memory_format=torch.channels_last)
    wide = [torch.empty(70, dtype=torch.float64), torch.empty(64, dtype=torch.float64)]
    return found + [nn.Parameter(each) for each in (images, *wide)]


def test_each_gradient_lies_as_its_parameter_does_in_memory_that_is_its_own() -> None:
    having = parameters()
    gradients = Gradients(having)
    for at, (parameter, gradient) in enumerate(gradients.of):
        assert parameter is having[at] and not gradient.requires_grad
        assert (gradient.shape, gradient.stride(), gradient.dtype) == (
            parameter.shape,
            parameter.stride(),
            parameter.dtype,
        )
        gradient.fill_(at + 1)
    assert all((gradient == at + 1).all() for at, (_, gradient) in enumerate(gradients.of))
    assert sum(each.numel() for each in gradients.whole) == sum(each.numel() for each in having)


def test_pieces_come_before_the_others_and_begin_where_kernels_take_numbers_together() -> None:
    having = parameters()
    gradients = Gradients(having)
    groups, others = divided(having)
    assert [each.numel() for each in gradients.whole] == [
        *(sum(each.numel() for each in group) for group in groups),
        *(each.numel() for each in others),
    ]
    assert all(each.storage_offset() % TOGETHER == 0 for each in gradients.whole)
    memory = {(each.untyped_storage().data_ptr(), each.dtype) for each in gradients.whole}
    assert len(memory) == 2  # one for each dtype


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_none_is_seen_wherever_it_is(wrong: float) -> None:
    gradients = Gradients(parameters())
    for _, gradient in gradients.of:
        gradient.fill_(2.0)
    assert gradients.are_numbers()
    for _, gradient in gradients.of:
        for at in {0, gradient.numel() - 1}:
            flat = gradient.permute(0, 2, 3, 1) if gradient.ndim == 4 else gradient
            flat.view(-1)[at] = wrong
            assert not gradients.are_numbers()
            flat.view(-1)[at] = 2.0
    assert gradients.are_numbers()


@pytest.mark.parametrize("count", [1, SMALL, 3 * SMALL, 4 * SMALL, 4 * SMALL + TOGETHER, 9 * SMALL])
def test_a_look_sees_every_number_of_any_size(count: int) -> None:
    gradients = Gradients([nn.Parameter(torch.empty(count)), nn.Parameter(torch.empty(3))])
    gradients.of[0][1].fill_(1.0)
    gradients.of[1][1].fill_(1.0)
    assert gradients.are_numbers()
    for at in (0, count // 2, count - 1):
        gradients.of[0][1][at] = math.nan
        assert not gradients.are_numbers()
        gradients.of[0][1][at] = 1.0


def test_a_model_of_two_dtypes_learns_what_it_learns_from_the_step_as_it_is() -> None:
    x = np.random.default_rng(0).random((160, 64), dtype=np.float32)
    learned = []
    for eagerly in (False, True):
        torch.manual_seed(0)
        inputs = tf.Input((64,))
        wide = torch.relu(nn.Linear(64, 64)(inputs)).double()
        model = tf.Model(inputs, nn.Linear(64, 64, dtype=torch.float64)(wide))
        model.compile("adam", "mse", run_eagerly=eagerly)
        model.fit(x, x, batch_size=16, epochs=2, shuffle=False, verbose=0)
        assert model.trainer is not None
        assert model.trainer.step_code.startswith("# Not recorded") is eagerly
        learned.append(model.get_weights())
    assert all(np.array_equal(one, other) for one, other in zip(*learned, strict=True))
