"""Convolving: passes for images leave the numbers as they are, or as close as a sum in another order is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import torchfunc as tf
from torchfunc import layers
from torchfunc.training.recording.lines import Line, Lines, Reader
from torchfunc.training.recording.passes import convolving, tidying
from torchfunc.training.recording.passes.kept_memory import in_place
from torchfunc.training.recording.spelling import spelled
from torchfunc.training.recording.tape import Tape

Loss = Callable[..., Tensor]


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def recorded(loss: Loss, x: Tensor, weights: Sequence[Tensor]) -> Lines:
    """The lines of a loss and its gradients by the weights, without copies of views."""
    tape = Tape()
    with tape:
        value = loss(x, *weights)
        gradients = torch.autograd.grad(value, weights)
    named = {f"weight_{at}": each for at, each in enumerate(weights)}
    lines = Reader([x], named, {}).lines(tape.rows, list(gradients), [value, list(gradients)])
    return tidying.without_the_unread(tidying.without_copies_of_views(lines))


def results(lines: Lines, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        run = spelled(lines).compile("step")
    with torch.enable_grad(), torch._C._AutoDispatchBelowAutograd():
        loss, gradients = run(x)
    return [loss, *gradients]


def expected(loss: Loss, x: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    value = loss(x, *weights)
    return [value.detach(), *torch.autograd.grad(value, weights)]


def named(lines: Lines, name: str) -> list[Line]:
    return [each for each in lines.lines if each.name == name]


def image(dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    return drawn(2, 4, 9, 8, seed=seed, dtype=dtype).contiguous(memory_format=torch.channels_last)


CONVOLUTIONS: dict[str, tuple[Loss, tuple[int, ...]]] = {
    "plain": (lambda x, w, b: F.conv2d(x, w, b).sin().sum(), (6, 4, 3, 3)),
    "strides and padding": (lambda x, w, b: F.conv2d(x, w, b, 2, 1).sin().sum(), (6, 4, 3, 3)),
    "groups": (lambda x, w, b: F.conv2d(x, w, b, groups=2).sin().sum(), (6, 2, 3, 3)),
    "transposed": (lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1).sin().sum(), (4, 6, 3, 3)),
    "three dimensions": (lambda x, w, b: F.conv3d(x[:, :, None], w, b).sin().sum(), (6, 4, 1, 2, 2)),
}


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("which", CONVOLUTIONS)
def test_the_gradient_of_a_bias_is_a_sum(which: str, dtype: torch.dtype, close: float) -> None:
    loss, shape = CONVOLUTIONS[which]
    weights = [drawn(*shape, dtype=dtype).requires_grad_(), torch.zeros(6, dtype=dtype, requires_grad=True)]
    before = recorded(loss, image(dtype), weights)
    lines = convolving.biases_by_sums(before)
    assert [each.args[-1] for each in named(before, "convolution_backward")] == [[False, True, True]]
    assert [each.args[-1] for each in named(lines, "convolution_backward")] == [[False, True, False]]
    for seed in (1, 2):
        x = image(dtype, seed)
        for one, other in zip(results(lines, x), expected(loss, x, weights), strict=True):
            assert (one - other).abs().max() <= close * other.abs().max()


def test_a_bias_that_alone_is_trained_needs_no_convolution_backward() -> None:
    def loss(x: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(x, torch.ones(6, 4, 3, 3), bias).sin().sum()

    bias = torch.zeros(6, requires_grad=True)
    lines = convolving.biases_by_sums(recorded(loss, image(), [bias]))
    assert not named(lines, "convolution_backward")
    for one, other in zip(results(lines, image()), expected(loss, image(), [bias]), strict=True):
        assert torch.allclose(one, other, rtol=1e-6)


ONE_CHANNEL: dict[str, tuple[int, dict[str, Any]]] = {
    "plain": (3, {}),
    "strides, padding and more at the end": (3, {"stride": 2, "padding": 1, "output_padding": 1}),
    "dilation": (2, {"dilation": 2}),
    "no bias": (4, {"bias": None, "padding": (0, 2)}),
}


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("which", ONE_CHANNEL)
def test_one_channel_is_made_by_a_product(which: str, dtype: torch.dtype, close: float) -> None:
    size, options = ONE_CHANNEL[which]
    weights = [drawn(4, 1, size, size, dtype=dtype).requires_grad_(), drawn(1, dtype=dtype).requires_grad_()]
    large = {seed: drawn(16, 4, 36, 40, seed=seed, dtype=dtype) for seed in (1, 2)}
    large = {seed: x.contiguous(memory_format=torch.channels_last) for seed, x in large.items()}

    def loss(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y = F.conv_transpose2d(x, weight, **{"bias": bias, **options})
        return torch.relu_(y).permute(0, 2, 3, 1).square().mean() + bias.sum()

    lines = tidying.views_once(convolving.one_channel_by_products(recorded(loss, large[1], weights)))
    assert not named(lines, "convolution") and len(named(lines, "bmm")) == 1
    assert [each.name for each in lines.before].count("as_strided") == 1  # the weight's
    for x in large.values():
        for one, other in zip(results(lines, x), expected(loss, x, weights), strict=True):
            assert (one - other).abs().max() <= close * other.abs().max()


def test_few_pixels_more_channels_and_channels_that_come_first_stay_a_convolution() -> None:
    def loss(x: Tensor, weight: Tensor) -> Tensor:
        return F.conv_transpose2d(x, weight).sin().sum()

    large = image().repeat(8, 1, 4, 5)
    for x, channels in (
        (image(), 1),
        (large.contiguous(memory_format=torch.channels_last), 2),
        (large.contiguous(), 1),
    ):
        lines = recorded(loss, x, [drawn(4, channels, 3, 3).requires_grad_()])
        assert convolving.one_channel_by_products(lines).lines == lines.lines


def repeated(x: Tensor, height: int, width: int) -> Tensor:
    """An image as `UpSampling2D` repeats it, with its channels last meanwhile."""
    return layers.UpSampling2D((height, width))(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


UPSAMPLED: dict[str, tuple[Loss, tuple[int, ...]]] = {
    "transposed": (lambda y, w: F.conv_transpose2d(repeated(y, 3, 3), w), (4, 6, 3, 3)),
    "transposed, by height and width": (
        lambda y, w: F.conv_transpose2d(repeated(y, 2, 3), w, padding=(1, 0)),
        (4, 6, 3, 2),
    ),
    "plain": (lambda y, w: F.conv2d(repeated(y, 2, 2), w, padding=1), (6, 4, 3, 3)),
    "plain, by height": (lambda y, w: F.conv2d(repeated(y, 2, 1), w, padding=(0, 1)), (6, 4, 2, 3)),
}


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("which", UPSAMPLED)
def test_gradients_are_taken_below_upsampling(which: str, dtype: torch.dtype, close: float) -> None:
    convolve, shape = UPSAMPLED[which]
    weights = [drawn(4, 4, 1, 1, dtype=dtype).requires_grad_(), drawn(*shape, dtype=dtype).requires_grad_()]

    def loss(x: Tensor, first: Tensor, weight: Tensor) -> Tensor:
        return convolve(torch.relu_(F.conv2d(x, first)), weight).square().mean()

    large = [drawn(16, 4, 18, 20, seed=seed, dtype=dtype) for seed in (1, 2)]
    large = [x.contiguous(memory_format=torch.channels_last) for x in large]
    before = recorded(loss, large[0], weights)
    lines = convolving.gradients_below_upsampling(before)
    (_, small), (_, big) = (
        sorted(
            (each.args[1].shape for each in named(which, "convolution_backward")), key=lambda shape: shape[2]
        )
        for which in (lines, before)
    )
    assert small == (16, 4, 18, 20) and big != small
    exact = [each.detach().double().requires_grad_() for each in weights]
    for x in large:
        for one, other in zip(results(lines, x), expected(loss, x.double(), exact), strict=True):
            assert (one - other).abs().max() <= close * other.abs().max()


def test_gradients_stay_above_what_is_no_upsampling_or_is_read_again() -> None:
    def tiled(x: Tensor, first: Tensor, weight: Tensor) -> Tensor:
        y = torch.relu_(F.conv2d(x, first)).permute(0, 2, 3, 1)
        y = y.unsqueeze(1).expand(-1, 2, -1, -1, -1).reshape(16, 36, 20, 4)
        return F.conv2d(y.permute(0, 3, 1, 2), weight).square().mean()

    def strided(x: Tensor, first: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(repeated(torch.relu_(F.conv2d(x, first)), 2, 2), weight, stride=2).square().mean()

    def changed(x: Tensor, first: Tensor, weight: Tensor) -> Tensor:
        y = torch.relu_(F.conv2d(x, first))
        z = repeated(y, 2, 2)
        return F.conv2d(z, weight).square().mean() + y.data.mul_(2.0).sum()

    def read_again(x: Tensor, first: Tensor, weight: Tensor) -> Tensor:
        z = repeated(torch.relu_(F.conv2d(x, first)), 2, 2)
        return F.conv2d(z, weight).square().mean() + z.sin().mean()

    x = drawn(16, 4, 18, 20).contiguous(memory_format=torch.channels_last)
    for loss in (tiled, strided, changed, read_again):
        lines = recorded(loss, x, [drawn(4, 4, 1, 1).requires_grad_(), drawn(6, 4, 3, 3).requires_grad_()])
        assert convolving.gradients_below_upsampling(lines).lines == lines.lines


def pooled(x: Tensor, weight: Tensor, *sizes: int) -> Tensor:
    return (F.max_pool2d(torch.relu_(F.conv2d(x, weight)), *sizes) * 3.0).square().sum()


@pytest.mark.parametrize("sizes", [(2,), (3, 1), (3, 2, 1)])
def test_relu_is_taken_after_pooling_in_its_gradient(sizes: tuple[int, ...]) -> None:
    weights = [drawn(6, 4, 3, 3).requires_grad_()]

    def loss(x: Tensor, weight: Tensor) -> Tensor:
        return pooled(x, weight, *sizes)

    before = recorded(loss, image(), weights)
    lines = convolving.relu_after_pooling(before)
    (relu,), (pool,) = named(lines, "threshold_backward"), named(lines, "max_pool2d_with_indices")
    assert relu.results.shape == pool.results[0].shape != named(before, "threshold_backward")[0].results.shape
    holes = image(seed=3)
    holes[0, :, 2:5, 2:5] = torch.nan
    for x in (image(), image(seed=2), -image().abs() * torch.ones(4, 1, 1), holes):
        for one, other in zip(results(lines, x), expected(loss, x, weights), strict=True):
            assert torch.equal(one.nan_to_num(7.0), other.nan_to_num(7.0))


def test_relu_stays_before_pooling_where_something_else_reads_it() -> None:
    def both(x: Tensor, weight: Tensor) -> Tensor:
        y = torch.relu_(F.conv2d(x, weight))
        return (F.max_pool2d(y, 2).square().sum() + y.sin().sum()) * 2.0

    def changed(x: Tensor, weight: Tensor) -> Tensor:
        y = F.max_pool2d(torch.relu_(F.conv2d(x, weight)), 2)
        return y.mul_(-1.0).sum()

    weights = [drawn(6, 4, 3, 3).requires_grad_()]
    for loss in (both, changed):
        before = recorded(loss, image(), weights)
        assert names(convolving.relu_after_pooling(before)) == names(before)
        assert named(before, "threshold_backward")


def names(lines: Lines) -> list[tuple[str, Any]]:
    return [(each.name, [value.shape for value in each.takes()]) for each in lines.lines]


def test_the_gradient_of_pooling_is_written_over_what_was_pooled() -> None:
    weights = [drawn(6, 4, 3, 3).requires_grad_()]

    def loss(x: Tensor, weight: Tensor) -> Tensor:
        return pooled(x, weight, 3, 2)

    lines = in_place(convolving.relu_after_pooling(recorded(loss, image(), weights)))
    (pool,) = named(lines, "max_pool2d_with_indices_backward")
    assert pool.kwargs["grad_input"] is pool.args[1]
    for x in (image(), image(seed=2)):
        for one, other in zip(results(lines, x), expected(loss, x, weights), strict=True):
            assert torch.equal(one, other)


def test_a_gradient_is_written_over_the_one_from_above_unless_that_is_read_again() -> None:
    def once(x: Tensor, weight: Tensor) -> Tensor:
        return (torch.relu(F.conv2d(x, weight)) * 2.0).sin().sum()

    def twice(x: Tensor, weight: Tensor) -> Tensor:
        y = F.conv2d(x, weight)
        return ((torch.relu(y) + y) * 2.0).sin().sum()

    def expanded(x: Tensor, weight: Tensor) -> Tensor:
        return torch.relu(F.conv2d(x, weight)).sum()

    weights = [drawn(6, 4, 3, 3).requires_grad_()]
    for loss, written in ((once, True), (twice, False), (expanded, False)):
        lines = in_place(recorded(loss, image(), weights))
        (relu,) = named(lines, "threshold_backward")
        assert ("grad_input" in relu.kwargs) is written
        for x in (image(), image(seed=2)):
            for one, other in zip(results(lines, x), expected(loss, x, weights), strict=True):
                assert torch.equal(one, other)


def test_images_are_learned_from_as_by_the_step_as_it_is() -> None:
    def fitted(run_eagerly: bool) -> tf.Model:
        torch.manual_seed(0)
        x = inputs = tf.Input((12, 12, 2))
        x = layers.MaxPooling2D(2)(layers.Conv2D(4, 3, activation="relu")(x))
        x = layers.Conv2DTranspose(3, 3, activation="relu")(layers.UpSampling2D(2)(x))
        outputs = layers.Conv2DTranspose(2, 3, padding="same", strides=2)(x)
        model = tf.Model(inputs, layers.Cropping2D(6)(outputs))
        model.compile(tf.optimizers.SGD(0.1, momentum=0.9), "mse", run_eagerly=run_eagerly)
        images = drawn(80, 12, 12, 2)
        model.fit(images, images, batch_size=8, epochs=2, verbose=0)
        return model

    one, other = fitted(False), fitted(True)
    assert one.trainer is not None and "max_pool2d" in one.trainer.step_code
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert abs(a - b).max() <= 1e-6 * max(abs(b).max(), 0.1)
