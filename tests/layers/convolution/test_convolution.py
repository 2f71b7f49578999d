"""Convolutions: no copies, every precision, and the words of their errors."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.profiler import ProfilerActivity, profile

from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError
from torchfunc.layers import Conv1D, Conv2D, Conv2DTranspose, DepthwiseConv2D, Input, SeparableConv2D


def events(function: Any, *args: Any) -> Counter[tuple[str, int]]:
    """How often each kernel is called, and on how many numbers, the first call aside."""
    function(*args)
    with profile(activities=[ProfilerActivity.CPU], acc_events=True, record_shapes=True) as recorded:
        function(*args)
    found: Counter[tuple[str, int]] = Counter()
    for event in recorded.key_averages(group_by_input_shape=True):
        found[event.key, math.prod(event.input_shapes[0] if event.input_shapes else [])] += event.count
    return found


def copied(counted: Counter[tuple[str, int]]) -> set[int]:
    return {size for key, size in counted if key in ("aten::clone", "aten::contiguous")}


def test_a_net_of_convolutions_and_pooling_copies_no_image() -> None:
    net = nn.Sequential(
        Conv2D(16, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(3, 2, padding="same"),
        DepthwiseConv2D(3, activation="relu"),
        SeparableConv2D(16, 3, padding="same"),
        Conv2DTranspose(8, 3, padding="same", activation="relu"),
        layers.AveragePooling2D(2),
        Conv2D(4, 1, activation="tanh"),
    ).eval()
    counted = events(torch.no_grad()(net), torch.randn(2, 32, 32, 3))
    assert sum(count for (key, _), count in counted.items() if key == "aten::conv2d") == 5
    assert copied(counted) <= {each.numel() for each in net.parameters() if each.ndim == 4}


def test_a_net_over_time_copies_no_series() -> None:
    net = nn.Sequential(
        Conv1D(16, 3, padding="same"), layers.MaxPooling1D(2), Conv1D(16, 5, dilation_rate=2),
        layers.AveragePooling1D(2), layers.Conv1DTranspose(8, 3),
    ).eval()  # fmt: skip
    counted = events(torch.no_grad()(net), torch.randn(2, 64, 8))
    assert copied(counted) <= {each.numel() for each in net.parameters() if each.ndim == 3}


def test_a_convolution_is_a_conv2d_to_state_dicts() -> None:
    ours, theirs = Conv2D(4, 3, data_format="channels_first"), nn.Conv2d(3, 4, 3)
    ours(Input((3, 8, 8)))
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(ours(x), theirs(x))
    assert list(ours.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_convolutions_work_in_every_precision(dtype: torch.dtype) -> None:
    layer, x = Conv2D(4, 3, padding="same", strides=2, activation="relu"), torch.randn(2, 8, 8, 3)
    expected = layer(x)
    result = layer.to(dtype)(x.to(dtype))
    assert result.dtype == dtype
    torch.testing.assert_close(result.float(), expected, rtol=2e-2, atol=2e-2)


def test_convolutions_work_under_autocast() -> None:
    layer, x = Conv2D(4, 3, activation="relu"), torch.randn(2, 8, 8, 3)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(x)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), expected, rtol=2e-2, atol=2e-2)


def test_convolutions_work_under_export_fx_and_func() -> None:
    layer, x = Conv2D(4, 3, strides=2, padding="same", activation="relu"), torch.randn(2, 7, 8, 3)
    expected = layer(x)
    exported = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    torch.testing.assert_close(exported.module()(torch.cat([x, x])), torch.cat([expected, expected]))
    gradients = torch.func.grad(lambda p: torch.func.functional_call(layer, p, (x,)).sum())(
        dict(layer.named_parameters())
    )
    expected.sum().backward()
    torch.testing.assert_close(gradients["weight"], layer.weight.grad)


def test_the_output_is_contiguous_in_the_users_order() -> None:
    assert Conv2D(4, 3)(torch.randn(2, 8, 8, 3)).is_contiguous()
    assert Conv2D(4, 3, data_format="channels_first")(torch.randn(2, 3, 8, 8)).is_contiguous()


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_weights_lie_in_memory_as_torch_nn_keeps_them(rank: int, data_format: str, tmp_path: Any) -> None:
    kinds = [f"Conv{rank}D", f"Conv{rank}DTranspose"]
    kinds += [f"DepthwiseConv{rank}D", f"SeparableConv{rank}D"] if rank < 3 else []
    sizes = (2, *(6,) * rank, 3) if data_format == "channels_last" else (2, 3, *(6,) * rank)
    for kind in kinds:
        filters = () if kind.startswith("Depthwise") else (4,)
        layer = getattr(layers, kind)(*filters, 3, data_format=data_format)
        layer(torch.randn(sizes)).sum().backward()
        assert all(each.is_contiguous() and each.grad.is_contiguous() for each in layer.parameters()), kind
        torch.optim.LBFGS(layer.parameters()).step(lambda: torch.tensor(0.0))
        save_file(layer.state_dict(), tmp_path / f"{kind}.safetensors")


def test_a_global_setting_is_the_default_of_new_layers() -> None:
    layers.set_image_data_format("channels_first")
    try:
        assert Conv2D(4, 3).data_format == "channels_first"
    finally:
        layers.set_image_data_format("channels_last")
    assert Conv2D(4, 3).data_format == "channels_last"
    with pytest.raises(
        GraphError, match="expected 'channels_last' or 'channels_first', got data_format='nhwc'"
    ):
        layers.set_image_data_format("nhwc")  # type: ignore[arg-type]


def test_a_wrong_rank_is_told_with_the_right_one() -> None:
    with pytest.raises(ShapeError) as caught:
        Conv2D(4, 3, name="c1")(Input((8,), name="x"))
    message = str(caught.value)
    assert "Conv2D 'c1'" in message and " on 'x': " in message
    assert "expected 4 dimensions (batch, height, width, channels), got shape (None, 8)." in message
    assert message.endswith("Fix: Reshape((h, w, c)).")


def test_an_image_without_channels_is_told_how_to_get_them() -> None:
    with pytest.raises(
        ShapeError, match=r"Fix: Input\(\(h, w, c\)\), which leaves the batch out, or Reshape\(\(h, w, c\)\)"
    ):
        Conv2D(4, 3)(Input((28, 28)))


def test_a_volume_is_told_which_layer_takes_it() -> None:
    with pytest.raises(ShapeError, match="Fix: Conv3D, or"):
        Conv2D(4, 3)(Input((8, 8, 8, 1)))


def test_channels_first_names_its_own_order() -> None:
    with pytest.raises(ShapeError, match=r"\(batch, channels, height, width\)"):
        Conv2D(4, 3, data_format="channels_first")(Input((8,)))


def test_a_kernel_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        Conv2D(4, 5)(Input((2, 8, 3)))
    message = str(caught.value)
    assert "expected a height of at least 5, got shape (None, 2, 8, 3)." in message
    assert "The kernel (5, 5) is larger than the input, whose height is 2." in message
    assert "Fix: padding='same', or a smaller kernel." in message


def test_swapped_channels_are_suspected_where_the_kernel_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"or is it data_format='channels_first'\?"):
        Conv2D(4, 5)(Input((3, 32, 32)))


def test_swapped_channels_are_suspected_where_the_other_dimension_fits() -> None:
    shared = Conv2D(4, 3)
    shared(Input((32, 32, 3)))
    with pytest.raises(ShapeError) as caught:
        shared(Input((3, 32, 32)))
    assert "expected 3 channels, got shape (None, 3, 32, 32)." in str(caught.value)
    assert "Fix: data_format='channels_first', for the dimension of 3 looks like the channels." in str(
        caught.value
    )


def test_unknown_channels_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected a known number of channels"):
        Conv2D(4, 3)(Input((8, 8, None)))


def test_unknown_sizes_stay_unknown() -> None:
    assert Conv2D(4, 3, strides=2, padding="same")(Input((None, None, 3))).shape == (None, None, None, 4)
    assert Conv2D(4, 3)(Input((None, 8, 3))).shape == (None, None, 6, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filters": 0, "kernel_size": 3}, "expected a positive integer, got filters=0"),
        ({"filters": 4, "kernel_size": 3.5}, "expected an integer or 2 of them, got kernel_size=3.5"),
        ({"filters": 4, "kernel_size": (3, 0)}, "expected a positive integer, got kernel_size=0"),
        (
            {"filters": 4, "kernel_size": (3, 3, 3)},
            r"expected an integer or 2 of them, got kernel_size=\(3, 3, 3\)",
        ),
        ({"filters": 4, "kernel_size": 3, "padding": "sam"}, "got padding='sam'. Fix: padding='same'"),
        (
            {"filters": 4, "kernel_size": 3, "padding": "causal"},
            "expected 'valid' or 'same', got padding='causal'",
        ),
        ({"filters": 4, "kernel_size": 3, "groups": 3}, "expected filters that groups divide evenly"),
        ({"filters": 4, "kernel_size": 3, "data_format": "NHWC"}, "got data_format='NHWC'"),
        (
            {"filters": 4, "kernel_size": 3, "stride": 2},
            r"has no argument 'stride'. Did you mean 'strides'\?",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(GraphError, match=words):
        Conv2D(**arguments)


def test_groups_must_divide_the_channels() -> None:
    with pytest.raises(ShapeError, match="expected a number of channels that groups=2 divides"):
        Conv2D(4, 3, groups=2)(Input((8, 8, 3)))


def test_output_padding_must_be_less_than_the_strides() -> None:
    with pytest.raises(GraphError, match=r"expected less than strides=\(2, 2\), got output_padding=2"):
        Conv2DTranspose(4, 3, strides=2, output_padding=2)
