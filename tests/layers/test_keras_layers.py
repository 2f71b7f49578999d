"""What Keras's users ask of layers beside their mathematics: other names, older arguments, and layers with two ways."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing, nn

import torchfunc as tf
from tests.layers.check import close
from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError

RENORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clipped": {"renorm_clipping": {"rmin": 0.8, "rmax": 1.2, "dmax": 0.1}, "scale": False},
    "axis": {"axis": 1, "renorm_momentum": 0.5},
}


# masks are for features on the last axis
@pytest.mark.parametrize(
    ("name", "masked"), [*((name, False) for name in RENORMS), ("plain", True), ("clipped", True)]
)
def test_batch_renormalization_equals_its_keras_twin_over_several_steps(name: str, masked: bool) -> None:
    pair = [each.BatchNormalization(renorm=True, **RENORMS[name]) for each in (layers, keras.layers)]
    for each in pair:
        each(torch.randn(6, 4, 3), training=False)
    for each in pair:
        each.set_weights([np.abs(np.sin(np.arange(w.size) + 1.0)) + 0.3 for w in pair[0].get_weights()])
    mask = {"mask": torch.arange(24).reshape(6, 4) % 3 != 0} if masked else {}
    for training in (True, True, True, False):
        inputs = [(torch.randn(6, 4, 3) * 2 + 1).requires_grad_()]
        inputs.append(inputs[0].detach().clone().requires_grad_())
        outputs = [each(x, training=training, **mask) for each, x in zip(pair, inputs, strict=True)]
        for output in outputs:
            output.square().sum().backward()
        close(outputs[0].detach(), outputs[1].detach(), "output")
        close(inputs[0].grad, inputs[1].grad, "gradient")
        for mine, yours in zip(
            pair[0].get_weights(), (w.value.detach() for w in pair[1].weights), strict=True
        ):
            close(mine, yours, "weights afterwards")
    made = layers.BatchNormalization.from_config(json.loads(json.dumps(pair[0].get_config())))
    assert made.get_config() == pair[0].get_config()


def test_bounds_that_leave_nothing_are_refused() -> None:
    for bounds in ({"rmax": 1.0, "rmin": 2.0}, {"dmax": -1.0}, {"rmean": 1.0}):
        with pytest.raises(GraphError, match="renorm_clipping"):
            layers.BatchNormalization(renorm=True, renorm_clipping=bounds)


def _half(rank: int, x: Any, place: str, found: Any) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
    layer = layers.BatchNormalization(synchronized=True)
    mine = x[rank::2].clone().requires_grad_()
    y = layer(mine)
    y.pow(3).sum().backward()
    found.put((rank, y.detach().numpy(), mine.grad.numpy(), layer.running_var.numpy()))
    distributed.destroy_process_group()


def test_synchronized_batches_of_two_processes_count_as_one(tmp_path: Path) -> None:
    x = torch.randn(8, 3)
    whole = layers.BatchNormalization(synchronized=True)
    given = x.clone().requires_grad_()
    y = whole(given)
    y.pow(3).sum().backward()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_half, args=(rank, x, tmp_path / "store", queue)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for rank, output, gradient, variance in [queue.get(timeout=60) for _ in workers]:
        close(output, y.detach()[rank::2], "output")
        close(gradient, given.grad[rank::2], "gradient")  # type: ignore[index]
        close(variance, whole.running_var, "moving variance")
    for worker in workers:
        worker.join()


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling")
@pytest.mark.parametrize("axis", [-1, [1, 2]], ids=str)
def test_rms_scaling_is_what_keras_makes_of_it(axis: Any) -> None:
    x = torch.randn(3, 4, 5)
    pair = [each.LayerNormalization(axis, rms_scaling=True) for each in (layers, keras.layers)]
    outputs = [each(x) for each in pair]
    assert len(pair[0].weights) == len(pair[1].weights) == 1
    close(outputs[0].detach(), outputs[1].detach(), "output")


WRAPPED: dict[str, tuple[Any, Any]] = {
    "Dense": (lambda L: L.Dense(5), torch.randn(3, 4)),
    "Conv2D": (lambda L: L.Conv2D(3, 2), torch.randn(2, 5, 5, 2)),
    "Embedding": (lambda L: L.Embedding(6, 3), torch.randint(6, (2, 4))),
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("steps", [1, 3])
def test_spectral_normalization_equals_its_keras_twin(name: str, steps: int) -> None:
    make, x = WRAPPED[name]
    pair = [each.SpectralNormalization(make(each), power_iterations=steps) for each in (layers, keras.layers)]
    for each in pair:
        each(x, training=False)
    pair[0].set_weights([np.random.randn(*each.shape) for each in pair[0].get_weights()])
    pair[1].set_weights(pair[0].get_weights())
    for training in (True, True, False):
        mine, yours = (each(x, training=training).detach().float() for each in pair)
        if name != "Embedding":  # where Keras cuts the numbers to the dtype of the indices
            close(mine, yours, "output")
        for a, b in zip(pair[0].get_weights(), (w.value.detach() for w in pair[1].weights), strict=True):
            close(a, b, "weights afterwards")
    twin = layers.SpectralNormalization.from_config(json.loads(json.dumps(pair[0].get_config())))
    twin(x)
    twin.load_state_dict(pair[0].state_dict())
    torch.testing.assert_close(twin.eval()(x), pair[0].eval()(x), rtol=0, atol=0)


def test_a_kernel_of_zeros_stays_and_one_that_is_missing_is_told() -> None:
    layer = layers.SpectralNormalization(layers.Dense(2, kernel_initializer="zeros"))
    assert layer(torch.ones(1, 3), training=True).tolist() == [[0.0, 0.0]]
    with pytest.raises(GraphError, match="Flatten, which has no kernel"):
        layers.SpectralNormalization(layers.Flatten())(torch.ones(1, 3))


@pytest.mark.parametrize("arguments", [{}, {"tie_weights": False, "logit_soft_cap": 2.0}], ids=str)
def test_a_reversible_embedding_equals_its_keras_twin_both_ways(arguments: dict[str, Any]) -> None:
    ids, x = torch.randint(6, (2, 4)), torch.randn(2, 4, 3)
    pair = [each.ReversibleEmbedding(6, 3, **arguments) for each in (layers, keras.layers)]
    outputs = [each(ids) for each in pair]
    pair[1].set_weights(pair[0].get_weights())
    for call in ({"inputs": ids}, {"inputs": x, "reverse": True}):
        outputs = [each(**call).detach() for each in pair]
        close(outputs[0], outputs[1], "output")
    symbol = layers.Input((4,), dtype="int64")
    back = pair[0](pair[0](symbol), reverse=True)
    assert back.shape == (None, 4, 6)
    close(tf.Model(symbol, back)(ids).detach(), pair[0](pair[0](ids), reverse=True).detach(), "model")


def test_a_reversible_embedding_masks_on_the_way_in_only() -> None:
    layer, symbol = layers.ReversibleEmbedding(6, 3, mask_zero=True), layers.Input((4,), dtype="int64")
    x = layer(symbol)
    assert x.mask is not None and layer(x, reverse=True).mask is None


def test_weights_are_read_under_keras_names_in_keras_layouts() -> None:
    x = torch.randn(2, 5, 5, 4)
    for kind, arguments, names in (
        ("Dense", {"units": 3}, ["kernel", "bias"]),
        ("Conv2D", {"filters": 3, "kernel_size": 2}, ["kernel", "bias"]),
        ("BatchNormalization", {}, ["gamma", "beta", "moving_mean", "moving_variance"]),
    ):
        ours, theirs = (getattr(each, kind)(**arguments) for each in (layers, keras.layers))
        with pytest.raises(AttributeError):
            getattr(ours, names[0])
        ours(x), theirs(x)
        theirs.set_weights(ours.get_weights())
        for name in names:
            close(getattr(ours, name).detach(), getattr(theirs, name).value.detach(), name)
    dense = layers.Dense(3)
    dense(x)
    dense.kernel[0, 1].backward()
    assert dense.weight.grad is not None and dense.weight.grad[1, 0] == 1


def test_older_and_shorter_ways_to_say_something() -> None:
    model = tf.Sequential([layers.Dense(3, input_dim=4), layers.Dense(2)])
    assert model.built and model.layers[0].kernel.shape == (4, 3)
    embedding = layers.Embedding(4, 2)
    embedding.build()
    assert embedding.embeddings.shape == (4, 2)
    model = tf.Sequential([layers.InputLayer((4,), dtype="int32", name="ids"), layers.Embedding(9, 2)])
    assert (model.inputs[0].dtype, model.inputs[0].name) == (torch.int32, "ids")
    assert layers.Lambda(lambda x: x * 2, output_shape=lambda shape: shape)(layers.Input((3,))).shape == (
        None,
        3,
    )
    module = layers.TorchModuleWrapper(nn.Linear(4, 2), name="linear", output_shape=(None, 2))
    assert module(layers.Input((4,))).shape == (None, 2) and copy.deepcopy(module).name == "linear"
    assert layers.GroupedQueryAttention is layers.GroupQueryAttention


def test_a_wrapper_of_yours_builds_what_is_inside() -> None:
    class Doubled(layers.Wrapper):
        def call(self, x: Any) -> Any:
            return self.layer(x) * 2

    layer = Doubled(layers.Dense(3))
    x = torch.randn(2, 4)
    torch.testing.assert_close(layer(x), layer.layer(x) * 2)
    assert len(layer.weights) == 2 and Doubled.from_config(layer.get_config())(x).shape == (2, 3)
    with pytest.raises(GraphError, match="Doubled: expected a layer"):
        Doubled(3)


SPECS: dict[str, tuple[dict[str, Any], str | None]] = {
    "ndim": ({"ndim": 3}, "3 dimensions"),
    "min_ndim": ({"min_ndim": 3}, "at least 3 dimensions"),
    "max_ndim": ({"max_ndim": 1}, "at most 1 dimensions"),
    "axes": ({"axes": {-1: 5}}, "size 5 on axis -1"),
    "shape": ({"shape": (None, 5)}, r"shape \(None, 5\)"),
    "fits": ({"shape": (None, 4), "axes": {1: 4}}, None),
    "squeezed": ({"shape": (None, 4, 1), "allow_last_axis_squeeze": True}, None),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("symbolic", [False, True])
def test_an_input_spec_of_a_layer_of_yours_is_kept(name: str, symbolic: bool) -> None:
    arguments, words = SPECS[name]

    class Picky(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.input_spec = layers.InputSpec(**arguments)

        def build(self, input_shape: Any) -> None: ...

        def call(self, x: Any) -> Any:
            return x + 1

    x = layers.Input((4,)) if symbolic else torch.zeros(2, 4)
    if words is None:
        assert Picky()(x).shape[1:] == (4,)
        return
    with pytest.raises(ShapeError, match=words):
        Picky()(x)
