"""Model: what a graph of calls is as a module."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import DataError, DisconnectedError, GraphError, NameTakenError, UnknownNameError


def mlp(name="mlp", **options):
    inputs = tf.Input((8,), name="features")
    x = layers.Dense(16, activation="relu")(inputs)
    return tf.Model(inputs, layers.Dense(3)(x), name=name, **options)


class TestStructure:
    def test_layers_inputs_and_outputs(self):
        inputs = tf.Input((8,), name="features")
        hidden = layers.Dense(16, name="hidden")
        out = layers.Dense(3, name="out")
        x = hidden(inputs)
        y = out(x)
        model = tf.Model(inputs, y)

        assert [layer.name for layer in model.layers] == ["features", "hidden", "out"]
        assert model.layers[1] is hidden
        assert model.input.key == inputs.key and [each.key for each in model.inputs] == [inputs.key]
        assert model.output.key == y.key and [each.key for each in model.outputs] == [y.key]
        assert hidden.output.key == x.key
        assert model.get_layer("out") is out and model.get_layer(index=1) is hidden
        assert model.input_shape == (None, 8) and model.output_shape == (None, 3)

    def test_an_unknown_layer_is_named_with_the_nearest(self):
        with pytest.raises(UnknownNameError, match=r"Unknown layer 'dens'\. Did you mean 'dense'\?"):
            mlp().get_layer("dens")
        with pytest.raises(GraphError, match="index below 3, got index=7"):
            mlp().get_layer(index=7)

    def test_names_do_not_depend_on_what_was_built_before(self):
        assert (
            list(mlp().state_dict())
            == list(mlp().state_dict())
            == [
                "dense.weight",
                "dense.bias",
                "dense_1.weight",
                "dense_1.bias",
            ]
        )

    def test_the_outputs_of_each_call_of_a_shared_layer(self):
        a, b = tf.Input((4,)), tf.Input((4,))
        shared = layers.Dense(2)
        first, second = shared(a), shared(b)
        model = tf.Model([a, b], [first, second])

        assert shared.get_output_at(0).key == first.key and shared.get_output_at(1).key == second.key
        with pytest.raises(GraphError, match=r"called 2 times.*get_output_at"):
            shared.output  # noqa: B018
        with pytest.raises(GraphError, match=r"called 2 times.*get_input_at"):
            shared.input  # noqa: B018
        assert [shared.get_input_at(index).key for index in (0, 1)] == [a.key, b.key]
        assert len(list(model.parameters())) == 2

    @pytest.mark.parametrize(
        "again",
        [
            copy.deepcopy,
            lambda model: pickle.loads(pickle.dumps(model)),
            lambda model: tf.Model.from_config(model.get_config()),
            tf.clone_model,
        ],
        ids=["deepcopy", "pickle", "config", "clone"],
    )
    def test_the_layers_of_a_model_made_again_know_their_calls(self, again):
        a, b = tf.Input((4,), name="a"), tf.Input((4,), name="b")
        shared = layers.Dense(4, name="shared")
        model = again(tf.Model([a, b], layers.Dense(3, name="head")(shared(a) + shared(b))))
        x = torch.rand(2, 4)

        assert model.head.output.shape == (None, 3) and model.head.input.shape == (None, 4)
        assert model.shared.get_input_at(1).key == model.inputs[1].key
        branch = tf.Model(model.inputs[1], model.shared.get_output_at(1))
        assert torch.equal(branch(x), model.shared(x))

    def test_the_layers_of_a_loaded_model_know_their_calls(self, tmp_path):
        mlp().save(tmp_path / "model.safetensors")
        model = tf.load_model(tmp_path / "model.safetensors")

        features = tf.Model(model.dense.input, model.dense.output)
        assert torch.equal(features(torch.ones(1, 8)), model.dense(torch.ones(1, 8)))

    def test_a_layer_without_a_model_has_no_output(self):
        with pytest.raises(GraphError, match=r"'dense' was called 0 times.*Fix: call it on an Input"):
            layers.Dense(2).output  # noqa: B018
        with pytest.raises(GraphError, match=r"'dense' has 0 calls, so there is no call 1"):
            layers.Dense(2).get_input_at(1)

    def test_discarded_calls_of_a_layer_leave_nothing_behind(self):
        shared = layers.Dense(2)
        for _ in range(50):
            shared(tf.Input((4,)))

        assert len(list(shared._nodes)) <= 1

    def test_a_layer_may_be_called_like_a_property_of_ours(self):
        inputs = tf.Input((4,))
        model = tf.Model(inputs, layers.Dense(2, name="output")(inputs))

        assert list(model.state_dict()) == ["output.weight", "output.bias"]
        assert model(torch.rand(3, 4)).shape == (3, 2)
        assert isinstance(model.get_submodule("output"), layers.Dense)
        assert "self.output(" in model.code

    @pytest.mark.parametrize("name", ["train", "forward", "half"])
    def test_a_layer_may_not_be_called_like_a_method_of_every_module(self, name):
        inputs = tf.Input((4,))
        with pytest.raises(GraphError, match=f"'{name}'.*every torch.nn.Module.*'{name}_layer'"):
            tf.Model(inputs, layers.Dense(2, name=name)(inputs))

    def test_native_modules_and_functions_are_operations(self):
        inputs = tf.Input((4,))
        linear = nn.Linear(4, 2)
        model = tf.Model(inputs, torch.sigmoid(linear(inputs)))

        _, first, second = model.layers
        assert (first.name, second.name) == ("linear", "sigmoid")
        assert first.module is linear and first.in_features == 4 and first.count_params() == 10
        assert model.linear is linear
        assert first.input.key == inputs.key and second.input.key == first.output.key
        assert tf.Model(inputs, first.output)(torch.ones(1, 4)).shape == (1, 2)

    def test_captured_tensors_become_parameters_and_buffers_once(self):
        inputs = tf.Input((4,))
        scale, shift = nn.Parameter(torch.ones(4)), torch.full((4,), 2.0)
        model = tf.Model(inputs, inputs * scale + shift + shift)

        assert dict(model.named_parameters()).keys() == {"parameter"} and model.parameter is scale
        assert dict(model.named_buffers()).keys() == {"tensor"}
        assert torch.equal(model(torch.ones(1, 4)), torch.full((1, 4), 5.0))

    def test_a_tensor_that_a_layer_of_the_graph_holds_stays_its_own(self):
        words = tf.Input((5,), dtype="int64")
        embedding = nn.Embedding(10, 4)
        x = embedding(words)
        model = tf.Model(words, nn.functional.linear(x, embedding.weight))

        assert list(model.state_dict()) == ["embedding.weight"]
        assert "self.embedding.weight" in model.code


class TestCalling:
    def test_inputs_come_as_tensors_lists_dicts_or_arrays(self):
        a, b = tf.Input((3,), name="a"), tf.Input((3,), name="b")
        model = tf.Model([a, b], a - b)
        x, y = torch.rand(2, 3), torch.rand(2, 3)
        expected = x - y

        for result in (
            model(x, y),
            model([x, y]),
            model({"b": y, "a": x}),
            model(a=x, b=y),
            model(x.numpy(), y.numpy()),
            model([x.double().numpy(), y.numpy()]),
        ):
            assert torch.equal(result, expected) and result.dtype == torch.float32

    def test_a_missing_or_unknown_key_is_named(self):
        a, b = tf.Input((3,), name="a"), tf.Input((3,), name="b")
        model = tf.Model([a, b], a - b, name="minus")
        x = torch.rand(2, 3)

        with pytest.raises(
            DataError, match=r"'minus': expected the inputs \['a', 'b'\], got \['a', 'c'\]: 'b' is missing"
        ):
            model({"a": x, "c": x})
        with pytest.raises(DataError, match=r"expected the inputs \['a', 'b'\], got 1"):
            model(x)

    def test_outputs_keep_their_structure(self):
        inputs = tf.Input((3,))
        model = tf.Model(inputs, {"sum": inputs.sum(1), "parts": [inputs * 2, (inputs, inputs + 1)]})
        x = torch.rand(2, 3)
        result = model(x)

        assert list(result) == ["sum", "parts"] and isinstance(result["parts"][1], tuple)
        assert torch.equal(result["parts"][1][1], x + 1)

    def test_training_overrides_the_mode_for_one_call(self):
        inputs = tf.Input((100,))
        model = tf.Model(inputs, nn.Dropout(0.5)(layers.Dropout(0.5)(inputs)))
        x = torch.ones(1, 100)

        model.eval()
        assert (model(x, training=True) == 0).any()
        assert not model.training and not any(each.training for each in model.modules())
        model.train()
        assert torch.equal(model(x, training=False), x)
        assert model.training

    def test_training_reaches_the_layers_of_a_nested_model(self):
        inner_input = tf.Input((100,))
        inner = tf.Model(inner_input, layers.Dropout(0.5)(inner_input))
        inputs = tf.Input((100,))
        model = tf.Model(inputs, inner(inputs, training=True)).eval()

        assert (model(torch.ones(1, 100)) == 0).any()

    def test_a_wrong_shape_for_a_nested_model_names_its_input(self):
        model = mlp()
        with pytest.raises(
            tf.errors.ShapeError,
            match=r"'mlp'.*expected shape \(None, 8\) for its input 'features', got shape \(None, 9\)",
        ):
            model(tf.Input((9,)))

    def test_a_subclass_adds_methods_to_a_graph(self):
        class Doubler(tf.Model):
            def doubled(self, x):
                return 2 * self(x)

        inputs = tf.Input((3,))
        model = Doubler(inputs, inputs + 1)

        assert isinstance(model, Doubler) and type(model).__name__ == "Doubler"
        assert torch.equal(model.doubled(torch.zeros(1, 3)), torch.full((1, 3), 2.0))
        assert isinstance(copy.deepcopy(model), Doubler)


class TestMistakes:
    def test_an_input_that_is_missing_is_named_with_the_way_to_it(self):
        a, b = tf.Input((3,), name="a"), tf.Input((3,), name="b")
        y = layers.Dense(2, name="head")(a + b)

        with pytest.raises(
            DisconnectedError,
            match=r"An output needs 'b', which is not among the inputs\. Inputs: \['a'\]\. "
            r"It is reached by b -> add -> head\. Fix: Model\(inputs=\[a, b\]",
        ):
            tf.Model(a, y)

    def test_a_layer_instead_of_its_output(self):
        inputs = tf.Input((3,))
        with pytest.raises(GraphError, match=r"outputs: .* got the layer 'dense' itself.*dense\(x\)"):
            tf.Model(inputs, layers.Dense(2))
        with pytest.raises(GraphError, match="got the layer 'dense' itself.*instead of its output"):
            layers.Dense(3)(layers.Dense(2))

    def test_something_else_instead_of_a_symbol(self):
        inputs = tf.Input((3,))
        with pytest.raises(GraphError, match=r"outputs\[1\]: expected a symbolic tensor, got ndarray"):
            tf.Model(inputs, [inputs, np.ones(3)])
        with pytest.raises(GraphError, match="inputs: expected at least one"):
            tf.Model([], inputs)
        with pytest.raises(GraphError, match="needs both"):
            tf.Model(inputs)

    def test_one_name_for_two_layers(self):
        inputs = tf.Input((3,))
        x = layers.Dense(3, name="same")(inputs)
        with pytest.raises(NameTakenError, match="'same' was given twice, to a Dense and a ReLU"):
            tf.Model(inputs, layers.ReLU(name="same")(x))

    def test_one_name_for_an_input_and_a_layer(self):
        inputs = tf.Input((3,), name="same")
        with pytest.raises(NameTakenError, match="'same' was given twice, to an Input and a Dense"):
            tf.Model(inputs, layers.Dense(3, name="same")(inputs))

    def test_an_input_that_nothing_uses_is_warned_of(self):
        a, b = tf.Input((3,), name="a"), tf.Input((3,), name="unused")
        with pytest.warns(UserWarning, match="Input 'unused' is not used"):
            tf.Model([a, b], a + 1)

    def test_a_weight_that_no_memory_holds_is_refused_before_it_is_allocated(self):
        with pytest.raises(
            tf.errors.ShapeError, match=r"Dense 'dense'.*\(3, 10000000000000\), which is 109 TiB"
        ):
            layers.Dense(10**13)(tf.Input((3,)))

    def test_an_input_listed_twice(self):
        a = tf.Input((3,), name="a")
        with pytest.raises(GraphError, match="stands there twice"):
            tf.Model([a, a], a + 1)


class TestCopies:
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
    def test_a_copy_is_the_same_in_every_respect_but_its_tensors(self, copied):
        a = tf.Input((4,), name="a")
        shared = layers.Dense(4)
        norm = nn.BatchNorm1d(4)
        model = tf.Model(a, norm(shared(shared(a)).relu()), name="twice")
        model.note = {"kept": [1, 2]}
        model.eval()
        other = copied(model)
        x = torch.rand(5, 4)

        assert type(other) is type(model) and other.name == "twice" and other.code == model.code
        assert torch.equal(other(x), model(x)) and not other.training
        assert other.note == {"kept": [1, 2]} and other.note is not model.note
        assert len(list(other.parameters())) == len(list(model.parameters())) == 4
        assert not {id(each) for each in other.parameters()} & {id(each) for each in model.parameters()}
        assert tf.Model(other.input, other.layers[-1].output)(x).shape == (5, 4)

    def test_hooks_are_copied_as_nn_module_does(self):
        model = mlp()
        calls = []
        model.dense.register_forward_hook(lambda *_: calls.append(1))
        copy.deepcopy(model)(torch.rand(1, 8))

        assert calls == [1]

    def test_a_clone_has_the_same_architecture_and_other_weights(self):
        model = mlp()
        clone = tf.clone_model(model)

        assert clone.code == model.code and clone.name == "mlp"
        assert not torch.equal(clone.dense.weight, model.dense.weight)

    def test_a_config_gives_the_model_back(self):
        import json

        model = mlp()
        config = json.loads(json.dumps(model.get_config()))
        other = tf.Model.from_config(config)
        other.set_weights(model.get_weights())
        x = torch.rand(2, 8)

        assert torch.equal(other(x), model(x))
        assert other.get_config() == model.get_config()

    def test_a_nested_model_comes_back_from_a_config(self):
        inner = mlp("inner")
        inputs = tf.Input((8,))
        model = tf.Model(inputs, inner(inputs) + inner(inputs * 2))
        other = tf.Model.from_config(model.get_config())
        other.load_state_dict(model.state_dict())
        x = torch.rand(2, 8)

        assert torch.equal(other(x), model(x))
        assert len(list(other.parameters())) == 4

    def test_torch_save_and_load_whole(self, tmp_path):
        model = mlp()
        torch.save(model, tmp_path / "model.bin")
        other = torch.load(tmp_path / "model.bin", weights_only=False)
        x = torch.rand(2, 8)

        assert torch.equal(other(x), model(x))


class TestSubModels:
    def test_a_model_from_one_intermediate_tensor_to_another(self):
        inputs = tf.Input((8,))
        x = layers.Dense(6)(inputs)
        y = layers.Dense(5)(x)
        z = layers.Dense(4)(y)
        whole = tf.Model(inputs, z)
        middle = tf.Model(x, y)

        value = torch.rand(2, 6)
        assert torch.equal(middle(value), whole.dense_1(value))
        assert [name for name, _ in middle.named_parameters()] == ["dense.weight", "dense.bias"]

    def test_layers_replaced_later_take_effect_everywhere(self):
        model = mlp()
        model.dense_1 = nn.Linear(16, 7)
        x = torch.rand(2, 8)

        assert model(x).shape == (2, 7)
        assert model.layers[-1].module is model.dense_1
        other = tf.Model.from_config(model.get_config())
        assert isinstance(other.dense_1, nn.Linear)
        assert tf.Model(model.input, model.layers[-1].output)(x).shape == (2, 7)

    def test_a_replaced_layer_gives_the_model_its_shapes_and_fit_its_classes(self):
        model = mlp()
        around = tf.Model(inputs := tf.Input((8,)), model(inputs))
        model.dense_1 = layers.Dense(7, activation="softmax")
        twin = copy.deepcopy(model)

        for each in (model, twin):
            assert each.output_shape == (None, 7) and each.output.shape == (None, 7)
            assert each.get_layer("dense_1").output.shape == (None, 7)
            assert "(None, 7)" in summary_of(each)
            assert "(None, 7)" in tf.utils.model_to_dot(each, show_shapes=True).to_string()
        assert model(tf.Input((8,))).shape == (None, 7)
        assert around.output_shape == (None, 7) and around(torch.rand(2, 8)).shape == (2, 7)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc"])
        model.fit(np.zeros((7, 8)), np.arange(7), verbose=0)

    def test_two_layers_may_be_replaced_one_after_the_other(self):
        model = mlp()
        model.dense = layers.Dense(32)
        assert model.output_shape == (None, 3)  # the next layer does not take it: the shapes wait
        model.dense_1 = layers.Dense(9)

        assert model.output_shape == (None, 9) and model(torch.rand(2, 8)).shape == (2, 9)


def summary_of(model):
    lines = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["input_shape", "output_shape", "input", "outputs", "input_names", "code"])
def test_what_only_graphs_have_is_an_attribute_that_other_models_lack(name):
    class Own(tf.Model):
        def call(self, inputs):
            return inputs

    for model in (tf.Sequential(), tf.Sequential([layers.Dense(2)]), Own()):
        assert not hasattr(model, name)
        with pytest.raises(AttributeError, match=r"has no graph.* Fix: ") as told:
            getattr(model, name)
        assert isinstance(told.value, GraphError)
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = model.nothing
    model = tf.Sequential([tf.Input((3,)), layers.Dense(2)])
    assert hasattr(model, name) and type(model).__getattr__ is torch.nn.Module.__getattr__


FROZEN_WITHIN = {
    "TimeDistributed": lambda: layers.TimeDistributed(layers.BatchNormalization(trainable=False)),
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(2, trainable=False, return_sequences=True)),
    "RNN": lambda: layers.RNN(
        [layers.GRUCell(2), layers.LSTMCell(2, trainable=False)], return_sequences=True
    ),
    "Sequential": lambda: tf.Sequential([layers.Dense(2), layers.Dense(2, trainable=False)]),
    "two deep": lambda: layers.TimeDistributed(
        tf.Sequential([tf.Input((3,)), layers.Dense(2), layers.BatchNormalization(trainable=False)])
    ),
}


@pytest.mark.parametrize("freezes", [False, True])
@pytest.mark.parametrize("within", FROZEN_WITHIN)
def test_a_frozen_layer_within_another_is_frozen_in_the_copy(within, freezes, tmp_path):
    def flags(model):
        names = {name: each.trainable for name, each in model.named_modules() if hasattr(each, "trainable")}
        return names, {name: each.requires_grad for name, each in model.named_parameters()}

    inputs = tf.Input((4, 3))
    models = [tf.Model(inputs, layers.Dense(2)(FROZEN_WITHIN[within]()(inputs)))]
    models.append(tf.Sequential([tf.Input((4, 3)), FROZEN_WITHIN[within]()]))
    for model in models:
        if freezes:
            held = flags(model)[0]
            model.trainable = False
            for name, each in model.named_modules():
                if name and held.get(name):
                    each.trainable = True
            for name, each in model.named_modules():
                if held.get(name) is False:
                    each.trainable = False
        expected = flags(model)
        assert False in expected[0].values() and not all(expected[1].values())
        model.save(tmp_path / "model.safetensors")
        for copied in (
            type(model).from_config(model.get_config()),
            tf.load_model(tmp_path / "model.safetensors"),
        ):
            assert flags(copied) == expected
