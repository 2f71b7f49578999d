"""A model's graph in modules of torch.nn alone computes what the model does, layer by layer."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from tests.layers.check import Case, drawn, give_weights, mask_of, symbolic, weighting, zeros_for
from tests.layers.test_layers import TABLE
from torchfunc import interop, layers
from torchfunc.errors import GraphError
from torchfunc.layers.layer import Layer
from torchfunc.tree import leaves

# what PyTorch has no module for: each says so, with the way out
REFUSED = {
    "BatchNormalization()(4,5,3),masked": "a mask, which PyTorch's modules do not take",
    "AlphaDropout(rate=0.5,noise_shape=(None,1,None),seed=1)(3,4,2)": "noise_shape=(None, 1, None)",
    # they put what they have learned on the device of what comes
    **{
        str(case): "`.device` on"
        for case in TABLE
        if case.kind == "Discretization" or "MelSpectrogram(fft_length=256,sequence_stride=100" in str(case)
    },
}


def model_of(case: Case) -> tuple[Any, list[Tensor]]:
    """A model of one layer with random weights, and inputs for it."""
    generator = torch.Generator().manual_seed(0)
    inputs, layer = drawn(case, generator), case.layer()
    symbols = symbolic(case, inputs)
    ports, values, keywords = list(leaves(symbols)), list(leaves(inputs)), {}
    if case.mask is not None:
        keywords["mask"] = layers.Input(case.mask[1:], dtype=torch.bool)
        ports, values = [*ports, keywords["mask"]], [*values, mask_of(case)]
    model = tf.Model(ports, layer(symbols, **keywords))
    give_weights(layer, generator)
    return model, values


def results(module: nn.Module, inputs: list[Tensor]) -> tuple[Tensor, list[Tensor], dict[int, Tensor]]:
    """The output, the gradients of the inputs, and those of the weights by where these lie in memory."""
    given = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    module.zero_grad()
    output = module(*given)
    if output.requires_grad:
        (output * weighting(output)).sum().backward()
    trained = {p.data_ptr(): zeros_for(p).clone().flatten() for p in module.parameters() if p.requires_grad}
    return output.detach(), [zeros_for(x) for x in given if x.requires_grad], trained


def close(mine: Tensor, yours: Tensor) -> None:
    """Equal within 1e-6 of the largest number; where a sum is added up in another order, within 1e-5."""
    scale = max(1.0, float(yours.abs().max()) if yours.numel() else 1.0)
    torch.testing.assert_close(mine / scale, yours / scale, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", [case for case in TABLE if str(case) not in REFUSED], ids=str)
def test_every_layer_has_a_form_in_torch_nn_that_computes_the_same(case: Case) -> None:
    model, inputs = model_of(case)
    twin = interop.to_torch(model, copy=False)
    assert not any(isinstance(module, Layer) for module in twin.modules())
    assert "torchfunc" not in twin.code
    for training in (False,) if case.random else (False, True):
        model.train(training), twin.train(training)
        if training and str(case) == "BatchNormalization()(1,4)":
            with pytest.raises(ValueError, match="more than 1 value per channel"):  # which PyTorch refuses
                twin(*inputs)
            continue
        ours, theirs = results(model, inputs), results(twin, inputs)
        close(theirs[0], ours[0])
        for mine, yours in zip(theirs[1], ours[1], strict=True):
            close(mine, yours)
        assert theirs[2].keys() == ours[2].keys()
        for place, gradient in ours[2].items():
            close(theirs[2][place], gradient)


@pytest.mark.parametrize("case", [case for case in TABLE if str(case) in REFUSED], ids=str)
def test_a_layer_without_such_a_form_says_why_and_the_way_out(case: Case) -> None:
    with pytest.raises(GraphError, match="to_torch: .*got no form in torch.nn.* Fix: ") as told:
        interop.to_torch(model_of(case)[0])
    assert REFUSED[str(case)].lower() in str(told.value).lower()


def test_random_layers_draw_in_training_and_only_then() -> None:
    inputs = tf.Input((40,))
    for layer in (layers.Dropout(0.5), layers.GaussianNoise(1.0), layers.GaussianDropout(0.5)):
        twin = interop.to_torch(tf.Model(inputs, layer(inputs)))
        x = torch.ones(500, 40)
        assert torch.equal(twin.eval()(x), x)
        moved = twin.train()(x)
        assert not torch.equal(moved, x)
        assert abs(moved.mean() - 1) < 0.05 and abs(moved.std() - 1) < 0.05


def small_network() -> Any:
    inputs = tf.Input((16, 16, 3), name="img")
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    shortcut = x = layers.BatchNormalization()(x)
    x = layers.Conv2D(8, 3, padding="same")(x)
    x = torch.relu(layers.add([x, shortcut]))
    x = layers.Concatenate()([x, shortcut])
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    return tf.Model(inputs, layers.Dense(10, activation="softmax", name="head")(x), name="small_network")


def test_channels_come_first_once_and_nothing_is_permuted_between_layers() -> None:
    twin = interop.to_torch(small_network())
    assert twin.code.count("permute") == 1
    assert twin.code.splitlines()[1:4] == [
        "    x = img.permute(0, 3, 1, 2)",
        "    x = self.conv2d(x)",
        "    x = torch.relu(x)",
    ]
    assert type(twin).__name__ == "SmallNetwork"
    assert [type(module) for module in twin.children()] == [
        nn.Conv2d, nn.BatchNorm2d, nn.Conv2d, nn.MaxPool2d, nn.Linear,
    ]  # fmt: skip
    assert isinstance(twin.head, nn.Linear)


def test_copies_lie_as_torch_nn_makes_them_and_leave_the_model_alone() -> None:
    model = small_network()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    twin = interop.to_torch(model)
    assert all(each.is_contiguous() for each in twin.parameters())
    twin.conv2d.weight.data.zero_()
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_without_copies_training_one_trains_the_other() -> None:
    model = small_network()
    twin = interop.to_torch(model, copy=False)
    x = torch.rand(4, 16, 16, 3)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        twin(x).square().sum().backward()
        optimizer.step()
    assert {id(each) for each in twin.parameters()} == {id(each) for each in model.parameters()}
    torch.testing.assert_close(model.eval()(x), twin.eval()(x), rtol=1e-5, atol=1e-6)


def test_weights_come_back_from_the_state_dict_of_the_twin() -> None:
    inputs = tf.Input((7, 8))
    x = layers.MultiHeadAttention(2, 4)(inputs, inputs)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    x = layers.SeparableConv1D(4, 3)(x)
    model = tf.Model(inputs, layers.BatchNormalization()(x))
    twin = interop.to_torch(model).eval()
    for tensor in twin.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
    for name, parameter in twin.named_parameters():
        if not parameter.requires_grad:  # what Keras has not
            assert "bias_hh" in name
            parameter.data.zero_()
    interop.weights_from_torch(model, twin.state_dict())
    given = torch.rand(3, 7, 8)
    torch.testing.assert_close(model.eval()(given), twin(given), rtol=1e-5, atol=1e-5)
    with pytest.raises(RuntimeError, match="Missing key"):
        interop.weights_from_torch(model, {})


def test_the_weights_that_both_have_keep_their_names() -> None:
    model = small_network()
    names = set(interop.to_torch(model).state_dict())
    assert names - set(model.state_dict()) == {"batch_normalization.num_batches_tracked"}
    assert names > set(model.state_dict())


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_recurrent_layers_with_masks_states_and_both_directions(kind: Any) -> None:
    inputs = tf.Input((7,), dtype="int64")
    x = layers.Embedding(20, 6, mask_zero=True)(inputs)
    x = kind(5, return_sequences=True)(x)
    x = layers.Bidirectional(kind(4, return_sequences=True))(x)
    x = layers.TimeDistributed(layers.Dense(3))(x)
    masked = kind(5, go_backwards=True)(x)
    whole = layers.Embedding(20, 6)(inputs)
    output, *states = kind(5, return_state=True)(whole)
    both = layers.Bidirectional(kind(4), merge_mode="sum")(whole)
    again = kind(5, activation="tanh")(whole, initial_state=states)
    model = tf.Model(inputs, [masked, output, *states, both, again])
    for weight in model.parameters():
        nn.init.normal_(weight)
    twin = interop.to_torch(model)
    assert not any(isinstance(module, Layer) for module in twin.modules())
    given = torch.randint(0, 4, (3, 7))
    for mine, yours in zip(twin(given), model(given), strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-5, atol=1e-5)


def test_what_pytorch_has_no_kernel_for_is_refused_by_name() -> None:
    inputs = tf.Input((7, 6))
    model = tf.Model(inputs, layers.LSTM(4, activation="relu", name="odd")(inputs))
    with pytest.raises(
        GraphError, match="to_torch: LSTM 'odd': got no form in torch.nn.*default activations"
    ):
        interop.to_torch(model)


def test_attention_with_dropout_masks_and_causality() -> None:
    inputs = tf.Input((7,), dtype="int64")
    x = layers.Embedding(20, 8, mask_zero=True)(inputs)
    x = layers.MultiHeadAttention(2, 4, dropout=0.3)(x, x)
    x = layers.GroupQueryAttention(4, 4, 2)(x, x, use_causal_mask=True)
    x = layers.Attention(dropout=0.2)([x, x])
    twin, model = (call(tf.Model(inputs, x)).eval() for call in (interop.to_torch, lambda each: each))
    given = torch.randint(0, 4, (3, 7))
    torch.testing.assert_close(twin(given), model(given), rtol=1e-5, atol=1e-5)
    twin.train()
    assert not torch.equal(twin(given), twin(given))


def test_a_nested_model_called_in_inference_mode_stays_in_it() -> None:
    inner = tf.Input((8,))
    x = layers.BatchNormalization()(layers.Dropout(0.5)(layers.Dense(4)(inner)))
    base = tf.Model(inner, x, name="base")
    inputs = tf.Input((8,))
    frozen = layers.BatchNormalization(trainable=False)(base(inputs, training=False))
    model = tf.Model(inputs, layers.Dense(2)(frozen))
    twin = interop.to_torch(model)
    given = torch.rand(5, 8)
    for training in (False, True):
        expected = model.train(training)(given)
        torch.testing.assert_close(twin.train(training)(given), expected, rtol=1e-5, atol=1e-6)
    assert isinstance(twin.base.batch_normalization, nn.BatchNorm1d)
    assert not twin.base.batch_normalization.num_batches_tracked


class Scaled(layers.Layer):
    """A layer of the user's own: another layer, times a weight."""

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.inner = layers.Dense(3)

    def build(self, input_shape: Any) -> None:
        self.inner.build(input_shape)
        self.scale = self.add_weight((3,))

    def call(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.scale


class Doubled(layers.Layer):
    """A layer that looks at its mode."""

    def call(self, x: Tensor) -> Tensor:
        return x * 2 if self.training else x


class DoubledNatively(Doubled):
    def native_form(self, into: Any, x: Any) -> Any:
        return into.module(self, nn.Dropout, 0.0)(x)


def test_a_layer_of_your_own_becomes_what_it_calls() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, Scaled(name="scaled")(inputs))
    twin, x = interop.to_torch(model), torch.rand(5, 4)
    assert type(twin.scaled).__name__ == "Scaled" and isinstance(twin.scaled.inner, nn.Linear)
    assert set(twin.state_dict()) == set(model.state_dict())
    torch.testing.assert_close(twin(x), model(x), rtol=1e-6, atol=1e-6)


def test_a_layer_of_your_own_that_looks_at_its_mode_is_refused_and_the_way_out_works() -> None:
    inputs = tf.Input((4,))
    with pytest.raises(GraphError, match="to_torch: Doubled 'twice'.*native_form"):
        interop.to_torch(tf.Model(inputs, Doubled(name="twice")(inputs)))
    twin = interop.to_torch(tf.Model(inputs, DoubledNatively(name="twice")(inputs)))
    assert isinstance(twin.twice, nn.Dropout)


def test_a_layer_on_images_of_two_sizes_pads_each_as_it_should() -> None:
    shared = layers.Conv2D(2, 3, strides=2, padding="same")
    small, large = tf.Input((7, 7, 1)), tf.Input((8, 8, 1))
    model = tf.Model([small, large], [shared(small), shared(large)])
    twin, given = interop.to_torch(model), (torch.rand(2, 7, 7, 1), torch.rand(2, 8, 8, 1))
    for mine, yours in zip(twin(*given), model(*given), strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-5, atol=1e-6)
    assert len(set(map(id, twin.parameters()))) == 2


def test_a_length_that_is_unknown_is_padded_as_it_comes() -> None:
    inputs = tf.Input((None, 2))
    model = tf.Model(inputs, layers.Conv1D(2, 3, strides=2, padding="same")(inputs))
    twin = interop.to_torch(model)
    for length in (1, 6, 7):
        x = torch.rand(2, length, 2)
        torch.testing.assert_close(twin(x), model(x), rtol=1e-5, atol=1e-6)


def test_ops_become_the_functions_of_torch_that_they_call() -> None:
    inputs = tf.Input((4, 6))
    x = tf.ops.concatenate([tf.ops.relu(inputs), tf.ops.softmax(inputs, axis=1)], axis=1)
    x = tf.ops.mean(tf.ops.matmul(x, tf.ops.transpose(x, (0, 2, 1))), axis=-1)
    model = tf.Model(inputs, x)
    twin, given = interop.to_torch(model), torch.randn(3, 4, 6)
    assert "ops." not in twin.code
    torch.testing.assert_close(twin(given), model(given))


def test_tied_weights_stay_tied() -> None:
    inputs = tf.Input((5,), dtype="int64")
    table = layers.Embedding(9, 4, name="table")
    model = tf.Model(inputs, nn.functional.linear(table(inputs), table.weight))
    twin = interop.to_torch(model)
    assert "self.table.weight" in twin.code and len(list(twin.parameters())) == 1
    given = torch.randint(9, (2, 5))
    torch.testing.assert_close(twin(given), model(given))


def test_the_twin_is_a_module_like_any() -> None:
    twin, x = interop.to_torch(small_network()).eval(), torch.rand(2, 16, 16, 3)
    expected = twin(x)
    for other in (copy.deepcopy(twin), pickle.loads(pickle.dumps(twin))):
        assert torch.equal(other(x), expected) and other.code == twin.code
    assert torch.equal(torch.fx.symbolic_trace(twin)(x), expected)
    exported = torch.export.export(twin, (x,)).module()
    torch.testing.assert_close(exported(x), expected)


def test_tools_that_ask_for_classes_of_torch_nn_find_them() -> None:
    twin, x = interop.to_torch(small_network()), torch.rand(8, 16, 16, 3)
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(twin))
    assert sum(isinstance(each, nn.SyncBatchNorm) for each in synced.modules()) == 1
    torch.optim.swa_utils.update_bn([x], twin)
    assert twin.batch_normalization.running_mean.abs().sum() > 0
    optimizer = torch.optim.LBFGS(twin.parameters(), max_iter=2)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = twin(x).square().sum()
        loss.backward()
        return loss

    before = float(closure().detach())
    optimizer.step(closure)
    assert float(closure().detach()) < before


def test_what_is_no_model_is_told_so() -> None:
    with pytest.raises(GraphError, match="to_torch: expected a Model, got Linear"):
        interop.to_torch(nn.Linear(2, 2))
