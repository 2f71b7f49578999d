"""A layer is built once, by whoever asks first; and what stands in its weights then stays."""

from __future__ import annotations

import copy
from typing import Any

import keras
import numpy as np
import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import GraphError, TorchfuncError, WeightMismatchError

# every kind of layer that has weights, with the shape of an input
WEIGHTED: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Dense", {"units": 3}, (4,)),
    ("Embedding", {"input_dim": 7, "output_dim": 3}, (5,)),
    ("PReLU", {}, (4,)),
    ("Conv1D", {"filters": 3, "kernel_size": 2}, (6, 2)),
    ("Conv2D", {"filters": 3, "kernel_size": 2}, (6, 6, 2)),
    ("Conv3D", {"filters": 3, "kernel_size": 2}, (4, 4, 4, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 2}, (4, 4, 2)),
    ("DepthwiseConv2D", {"kernel_size": 2}, (4, 4, 2)),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 2}, (4, 4, 2)),
    ("BatchNormalization", {}, (4,)),
    ("LayerNormalization", {}, (4,)),
    ("GroupNormalization", {"groups": 2}, (4,)),
    ("RMSNormalization", {}, (4,)),
    ("SimpleRNN", {"units": 3}, (5, 2)),
    ("GRU", {"units": 3}, (5, 2)),
    ("LSTM", {"units": 3}, (5, 2)),
    ("ConvLSTM1D", {"filters": 2, "kernel_size": 2}, (3, 5, 2)),
]
each_weighted = pytest.mark.parametrize(
    ("name", "arguments", "shape"), WEIGHTED, ids=[name for name, *_ in WEIGHTED]
)


def sample(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.randint(0, 7, (2, *shape)) if name == "Embedding" else torch.rand(2, *shape)


@each_weighted
@pytest.mark.parametrize("way", ["eager", "symbolic", "inside"])
def test_weights_that_were_set_after_build_are_those_used(
    name: str, arguments: dict[str, Any], shape: tuple[int, ...], way: str
) -> None:
    truth = getattr(keras.layers, name)(**arguments)
    truth.build((None, *shape))
    weights = [np.random.default_rng(0).uniform(0.1, 1, each.shape) for each in truth.weights]
    truth.set_weights(weights)
    layer = getattr(layers, name)(**arguments)
    layer.build((None, *shape))
    assert layer.built
    layer.set_weights(weights)
    x = sample(name, shape)
    if way == "symbolic":
        inputs = tf.Input(shape, dtype=x.dtype)
        called: Any = tf.Model(inputs, layer(inputs))
    else:
        called = layer if way == "eager" else tf.Sequential([layer])
    expected = np.asarray(truth(x.numpy(), training=False).detach())
    np.testing.assert_allclose(called.eval()(x).detach().numpy(), expected, atol=1e-5)
    for got, given in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, given, rtol=1e-6)
    layer.build((None, *shape))
    assert len(layer.get_weights()) == len(weights) and np.allclose(layer.get_weights()[0], weights[0])


class Around(layers.Layer):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.inner = kind()

    def build(self, shape: Any) -> None:
        self.inner.build(shape)
        self.first = self.inner.get_weights()[0].copy()
        super().build(shape)

    def call(self, x: Tensor) -> Tensor:
        return self.inner(x)  # type: ignore[no-any-return]


@each_weighted
def test_a_build_that_builds_a_layer_inside_makes_its_weights_once(
    name: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> None:
    for symbolic in (False, True):
        layer = Around(lambda: getattr(layers, name)(**arguments))
        layer(tf.Input(shape, dtype=sample(name, shape).dtype) if symbolic else sample(name, shape))
        assert layer.built and layer.inner.built
        assert (layer.inner.get_weights()[0] == layer.first).all()
        alone = getattr(layers, name)(**arguments)
        alone.build((None, *shape))
        assert len(layer.get_weights()) == len(alone.get_weights())


def test_a_model_written_by_hand_is_built_for_a_shape() -> None:
    class Net(tf.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x: Tensor) -> Tensor:
            return self.dense(x)  # type: ignore[no-any-return]

    net = Net()
    net.build((None, 4))
    assert net.built and net.dense.built and net.count_params() == 15
    before = net.dense.weight
    net(torch.rand(2, 4))
    assert net.dense.weight is before


def test_a_build_that_fails_can_be_made_again() -> None:
    layer = layers.Dense(3)
    with pytest.raises(TorchfuncError, match="unknown dimension|known number of features"):
        layer.build((None, None))
    assert not layer.built
    layer.build((None, 4))
    assert layer.built and layer.weight.shape == (3, 4)


@each_weighted
def test_reset_parameters_draws_anew_what_an_initializer_made(
    name: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        inputs = tf.Input(shape, dtype=sample(name, shape).dtype)
        model = tf.Model(inputs, getattr(layers, name)(**arguments)(inputs))
    model.to_empty(device="cpu")
    for tensor in model.state_dict().values():
        tensor.fill_(float("nan") if tensor.is_floating_point() else 99)
    torch.manual_seed(3)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    torch.manual_seed(3)
    fresh = getattr(layers, name)(**arguments)
    fresh.build((None, *shape))
    for got, expected in zip(model.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_weight_whose_initializer_got_lost_says_so() -> None:
    layer = layers.Dense(2, kernel_initializer=lambda shape, dtype: torch.ones(shape, dtype=dtype))
    layer.build((None, 3))
    layer.reset_parameters()
    with pytest.raises(
        TorchfuncError, match=r"no initializer of the weight 'weight'.*write reset_parameters"
    ):
        copy.deepcopy(layer).reset_parameters()


class Net(tf.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Dense(3)
        self.rest = tf.Sequential([layers.BatchNormalization(), layers.Dense(2)])

    def call(self, x: Tensor) -> Tensor:
        return self.rest(self.first(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", ["load_state_dict", "strict=False", "safetensors"])
def test_weights_loaded_before_there_are_any_wait_for_the_layer(way: str, tmp_path: Any) -> None:
    x = torch.rand(5, 4)
    saved, net = Net(), Net()
    saved(x)
    saved.eval()
    if way == "safetensors":
        save_model(saved, str(tmp_path / "w.safetensors"))
        load_model(net, str(tmp_path / "w.safetensors"), strict=False)
    else:
        net.load_state_dict(saved.state_dict(), strict=way != "strict=False")
    assert set(net.state_dict()) == set(saved.state_dict())
    assert torch.equal(net.eval()(x), saved(x))


def test_waiting_weights_of_another_shape_are_told_when_the_layer_is_built() -> None:
    saved, layer = layers.Dense(3), layers.Dense(3, name="head")
    saved(torch.rand(2, 4))
    layer.load_state_dict(saved.state_dict())
    with pytest.raises(
        WeightMismatchError, match=r"'head'.*size mismatch for weight.*call it on inputs of the shape"
    ):
        layer(torch.rand(2, 5))


class Penalty(layers.Layer):
    def call(self, x: Tensor) -> Tensor:
        self.add_loss(x.pow(2).mean())
        return x


@pytest.mark.parametrize("kind", ["add_loss", "activity_regularizer", "nested", "by hand", "shared"])
def test_losses_are_those_of_the_last_call(kind: str) -> None:
    inputs = tf.Input((4,))
    x = torch.rand(6, 4)
    per_call = 1
    if kind == "add_loss":
        model: Any = tf.Model(inputs, Penalty()(layers.Dense(3)(inputs)))
    elif kind == "activity_regularizer":
        model = tf.Model(inputs, layers.Dense(3, activity_regularizer="l2")(inputs))
    elif kind == "nested":
        model = tf.Model(
            inputs, layers.Dense(2)(tf.Sequential([tf.Input((4,)), layers.Dense(4), Penalty()])(inputs))
        )
    elif kind == "shared":
        shared, per_call = tf.Sequential([tf.Input((4,)), layers.Dense(4), Penalty()]), 2
        model = tf.Model(inputs, layers.Add()([shared(inputs), shared(inputs * 2)]))
    else:

        class ByHand(tf.Model):
            def __init__(self) -> None:
                super().__init__()
                self.dense, self.penalty = layers.Dense(3, activity_regularizer="l1"), Penalty()

            def call(self, x: Tensor) -> Tensor:
                return self.penalty(self.dense(x))  # type: ignore[no-any-return]

        model, per_call = ByHand(), 2
    optimizer = None
    for _ in range(3):
        output = model(x)
        optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
        assert len(model.losses) == per_call
        loss = output.pow(2).mean() + sum(model.losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for _ in range(50):
        model(x)
    assert len(model.losses) == per_call


def test_a_call_that_failed_leaves_no_losses_to_the_next() -> None:
    class Fails(layers.Layer):
        def call(self, x: Tensor) -> Tensor:
            self.add_loss(x.sum())
            if x.shape[0] == 3:
                raise RuntimeError("three")
            return x

    class Outer(tf.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Fails()

        def call(self, x: Tensor) -> Tensor:
            return self.inner(x)  # type: ignore[no-any-return]

    model = Outer()
    model(torch.ones(2, 1))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="three"):
            model(torch.ones(3, 1))
    model(torch.ones(2, 1))
    assert [each.item() for each in model.losses] == [2.0]


def test_a_symbol_is_no_loss_and_the_way_out_works() -> None:
    inputs = tf.Input((4,))
    hidden = layers.Dense(3)(inputs)
    model = tf.Model(inputs, layers.Dense(1)(hidden))
    for owner in (model, layers.Dense(1)):
        with pytest.raises(
            GraphError, match=r"got the symbolic tensor 'dense'.*call that layer on the symbol"
        ):
            owner.add_loss(hidden)
    model = tf.Model(inputs, layers.Dense(1)(Penalty()(hidden)))
    model(torch.ones(2, 4))
    assert len(model.losses) == 1


def test_training_given_to_a_layer_reaches_those_that_it_calls() -> None:
    class Outer(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.native = layers.Dropout(0.5), nn.Dropout(0.5)

        def call(self, x: Tensor, training: bool | None = None) -> Tensor:
            return self.native(self.drop(x))  # type: ignore[no-any-return]

    layer, x = Outer(), torch.ones(20, 20)
    layer.eval()
    assert torch.equal(layer(x), x) and not torch.equal(layer(x, training=True), x)
    assert not layer.training and not layer.drop.training
    layer.train()
    assert torch.equal(layer(x, training=False), x) and layer.drop.training
    inputs = tf.Input((20,))
    assert not torch.equal(tf.Model(inputs, layer(inputs, training=True)).eval()(x), x)


def test_losses_of_a_compiled_model_are_those_of_the_last_call_too() -> None:
    inner = tf.Sequential([tf.Input((4,)), layers.Dense(2, activity_regularizer="l2")])
    inputs, x = tf.Input((4,)), torch.rand(5, 4)
    model = tf.Model(inputs, layers.Dense(1)(inner(inputs)))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for _ in range(3):
        output = compiled(x)
        assert len(model.losses) == 1
        (output.sum() + model.losses[0]).backward()
    torch.testing.assert_close(model.losses[0], 0.01 * inner(x).pow(2).sum() / 5)
