"""The guide to the functional API, section by section: its code, with our import in place of TensorFlow's."""

import struct

import numpy as np
import pytest
import torch

import torchfunc as keras
from torchfunc import layers


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def mnist_model():
    inputs = keras.Input(shape=(784,), name="img")
    x = layers.Dense(64, activation="relu")(inputs)
    x = layers.Dense(64, activation="relu")(x)
    outputs = layers.Dense(10, activation="softmax")(x)
    return keras.Model(inputs=inputs, outputs=outputs, name="mnist_model")


def params_by_layer(model):
    return [(tuple(layer.output.shape), layer.count_params()) for layer in model.layers]


NAMES = (
    "Input Model Sequential layers models utils optimizers losses metrics callbacks datasets applications "
    "initializers regularizers activations"
)
# those that the guide lists as built in
LAYERS = (
    "Conv1D Conv2D Conv3D Conv2DTranspose MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D GRU LSTM "
    "ConvLSTM2D BatchNormalization Dropout Embedding Layer"
)


class TestIntroduction:
    def test_every_name_of_the_guide_is_there(self):
        assert all(hasattr(keras, name) for name in NAMES.split())
        assert all(hasattr(layers, name) for name in LAYERS.split())
        assert keras.backend.clear_session() is None

    def test_an_input_says_its_shape_and_dtype(self):
        keras.backend.clear_session()
        inputs = keras.Input(shape=(784,))
        img_inputs = keras.Input(shape=(32, 32, 3))

        assert inputs.shape == (None, 784)
        assert str(inputs.shape) == "(None, 784)"
        assert inputs.dtype == torch.float32
        assert img_inputs.shape == (None, 32, 32, 3)

    def test_other_forms_of_input(self):
        words = keras.Input(shape=(None,), dtype="int32")
        fixed = keras.Input(batch_shape=(16, 10, 5))

        assert words.shape == (None, None) and words.dtype == torch.int32
        assert fixed.shape == (16, 10, 5)
        assert keras.Input((4,)).shape == (None, 4)

    def test_layers_are_called_on_symbols(self):
        inputs = keras.Input(shape=(784,))
        dense = layers.Dense(64, activation="relu")
        x = dense(inputs)
        x = layers.Dense(64, activation="relu")(x)
        outputs = layers.Dense(10, activation="softmax")(x)
        model = keras.Model(inputs=inputs, outputs=outputs)

        assert x.shape == (None, 64)
        assert model(torch.zeros(3, 784)).shape == (3, 10)

    def test_the_mlp_has_the_guides_parameters(self):
        model = mnist_model()

        assert model.count_params() == 55_050
        assert params_by_layer(model) == [
            ((None, 784), 0),
            ((None, 64), 50_240),
            ((None, 64), 4_160),
            ((None, 10), 650),
        ]

    def test_the_summary_is_the_guides(self, capsys):
        mnist_model().summary()

        lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        assert lines[0] == 'Model: "mnist_model"'
        assert lines[2].split() == ["Layer", "(type)", "Output", "Shape", "Param", "#"]
        rows = [" ".join(line.split()) for line in lines[4::2]]
        assert rows[:4] == [
            "img (InputLayer) [(None, 784)] 0",
            "dense (Dense) (None, 64) 50240",
            "dense_1 (Dense) (None, 64) 4160",
            "dense_2 (Dense) (None, 10) 650",
        ]
        assert "Total params: 55,050" in lines
        assert "Trainable params: 55,050" in lines
        assert "Non-trainable params: 0" in lines

    def test_the_model_is_plotted_and_with_shapes_each_box_has_two_lines_more(self, tmp_path):
        keras.utils.plot_model(mnist_model(), tmp_path / "plain.png")
        keras.utils.plot_model(mnist_model(), tmp_path / "shapes.png", show_shapes=True)

        plain, shapes = (png_size(tmp_path / f"{name}.png") for name in ("plain", "shapes"))
        assert plain[1] > plain[0] > 100  # four boxes, one under the other
        assert shapes[0] > plain[0] and shapes[1] > 1.2 * plain[1]


def png_size(path):
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    return struct.unpack(">II", data[16:24])


def mnist_or_digits():
    """The guide's data where they are on disk, else scikit-learn's digits; epochs and least accuracy."""
    try:
        return keras.datasets.mnist.load_data(download=False), 5, 0.96
    except keras.errors.DataError:
        return keras.datasets.digits.load_data(), 25, 0.95


class TestTraining:
    def test_fit_and_evaluate_as_in_the_guide(self, capsys):
        ((x_train, y_train), (x_test, y_test)), epochs, expected = mnist_or_digits()
        pixels = x_train[0].size
        x_train = x_train.reshape(-1, pixels).astype("float32") / 255
        x_test = x_test.reshape(-1, pixels).astype("float32") / 255
        inputs = keras.Input(shape=(pixels,), name="img")
        x = layers.Dense(64, activation="relu")(inputs)
        x = layers.Dense(64, activation="relu")(x)
        model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))

        model.compile(
            loss="sparse_categorical_crossentropy",
            optimizer=keras.optimizers.RMSprop(),
            metrics=["accuracy"],
        )
        history = model.fit(x_train, y_train, batch_size=64, epochs=epochs, validation_split=0.2)
        test_scores = model.evaluate(x_test, y_test, verbose=2)

        assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
        assert isinstance(test_scores, list) and len(test_scores) == 2
        assert test_scores[1] > expected
        lines = capsys.readouterr().out.splitlines()
        batches = -(-len(x_train) * 4 // 5 // 64)
        assert lines[0] == f"Epoch 1/{epochs}"
        assert lines[1].startswith(f"{batches}/{batches} [") and " - loss: " in lines[1]
        order = [lines[1].index(key) for key in (" loss:", " accuracy:", " val_loss:", " val_accuracy:")]
        assert order == sorted(order)
        held_out = -(-len(x_test) // 32)
        assert lines[-1].startswith(f"{held_out}/{held_out} - ") and "- loss: " in lines[-1]


class TestSaving:
    def test_the_same_model_comes_back_from_the_file_alone(self, tmp_path):
        path = tmp_path / "path_to_my_model.safetensors"
        model = mnist_model()
        model.compile(loss="sparse_categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
        x, y = np.random.rand(64, 784).astype("float32"), np.random.randint(10, size=64)
        model.fit(x, y, epochs=1, verbose=0)
        expected, code = model.predict(x, verbose=0), model.code
        model.save(path)
        del model

        model = keras.models.load_model(path)

        assert np.array_equal(model.predict(x, verbose=0), expected)
        assert model.code == code and model.name == "mnist_model"
        assert len(model.evaluate(x, y, verbose=0)) == 2
        model.fit(x, y, epochs=1, verbose=0)

    @pytest.mark.parametrize("name", ["model.pt", "model.ckpt"])
    def test_other_formats_are_refused_with_our_own_named(self, tmp_path, name):
        with pytest.raises(keras.errors.SavingError, match=r"\.safetensors"):
            mnist_model().save(tmp_path / name)
        with pytest.raises(keras.errors.SavingError, match=r"\.safetensors"):
            (tmp_path / name).write_bytes(b"x")
            keras.models.load_model(tmp_path / name)


def encoder_graph(name):
    encoder_input = keras.Input(shape=(28, 28, 1), name=name)
    x = layers.Conv2D(16, 3, activation="relu")(encoder_input)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    return encoder_input, layers.GlobalMaxPooling2D()(x)


def decoder_graph(x):
    x = layers.Reshape((4, 4, 1))(x)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu")(x)
    x = layers.UpSampling2D(3)(x)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    return layers.Conv2DTranspose(1, 3, activation="relu")(x)


ENCODER_ROWS = [
    ("img", (None, 28, 28, 1), 0),
    ("conv2d", (None, 26, 26, 16), 160),
    ("conv2d_1", (None, 24, 24, 32), 4640),
    ("max_pooling2d", (None, 8, 8, 32), 0),
    ("conv2d_2", (None, 6, 6, 32), 9248),
    ("conv2d_3", (None, 4, 4, 16), 4624),
    ("global_max_pooling2d", (None, 16), 0),
]
DECODER_ROWS = [
    ("reshape", (None, 4, 4, 1), 0),
    ("conv2d_transpose", (None, 6, 6, 16), 160),
    ("conv2d_transpose_1", (None, 8, 8, 32), 4640),
    ("up_sampling2d", (None, 24, 24, 32), 0),
    ("conv2d_transpose_2", (None, 26, 26, 16), 4624),
    ("conv2d_transpose_3", (None, 28, 28, 1), 145),
]


def rows(model):
    return [(layer.name, tuple(layer.output.shape), layer.count_params()) for layer in model.layers]


class TestOneGraphTwoModels:
    def test_encoder_and_autoencoder_share_their_layers(self):
        encoder_input, encoder_output = encoder_graph("img")
        encoder = keras.Model(encoder_input, encoder_output, name="encoder")
        autoencoder = keras.Model(encoder_input, decoder_graph(encoder_output), name="autoencoder")

        assert encoder.count_params() == 18_672
        assert autoencoder.count_params() == 28_241
        assert rows(encoder) == ENCODER_ROWS
        assert rows(autoencoder) == ENCODER_ROWS + DECODER_ROWS
        assert all(a is b for a, b in zip(encoder.layers[1:], autoencoder.layers[1:7], strict=True))

    def test_models_are_called_like_layers(self, capsys):
        encoder = keras.Model(*encoder_graph("original_img"), name="encoder")
        decoder_input = keras.Input(shape=(16,), name="encoded_img")
        decoder = keras.Model(decoder_input, decoder_graph(decoder_input), name="decoder")
        autoencoder_input = keras.Input(shape=(28, 28, 1), name="img")
        encoded_img = encoder(autoencoder_input)
        decoded_img = decoder(encoded_img)
        autoencoder = keras.Model(autoencoder_input, decoded_img, name="autoencoder")
        autoencoder.summary()

        assert decoder.count_params() == 9_569
        assert autoencoder.count_params() == 28_241
        out = capsys.readouterr().out
        assert "encoder (Functional)" in out and "decoder (Functional)" in out
        image = torch.rand(2, 28, 28, 1)
        assert torch.equal(autoencoder(image), decoder(encoder(image)))
        autoencoder.summary(expand_nested=True)
        assert "conv2d_transpose_3" in capsys.readouterr().out

    def test_an_ensemble_averages_its_members(self):
        def get_model():
            inputs = keras.Input(shape=(128,))
            outputs = layers.Dense(1, activation="sigmoid")(inputs)
            return keras.Model(inputs, outputs)

        model1 = get_model()
        model2 = get_model()
        model3 = get_model()

        inputs = keras.Input(shape=(128,))
        y1 = model1(inputs)
        y2 = model2(inputs)
        y3 = model3(inputs)
        outputs = layers.average([y1, y2, y3])
        ensemble_model = keras.Model(inputs=inputs, outputs=outputs)

        x = torch.rand(4, 128)
        torch.testing.assert_close(ensemble_model(x), (model1(x) + model2(x) + model3(x)) / 3)


num_tags, num_words, num_departments = 12, 1000, 4


def ticket_model():
    title_input = keras.Input(shape=(None,), name="title")
    body_input = keras.Input(shape=(None,), name="body")
    tags_input = keras.Input(shape=(num_tags,), name="tags")
    title_features = layers.Embedding(num_words, 64)(title_input)
    body_features = layers.Embedding(num_words, 64)(body_input)
    title_features = layers.LSTM(128)(title_features)
    body_features = layers.LSTM(32)(body_features)
    x = layers.concatenate([title_features, body_features, tags_input])
    priority_pred = layers.Dense(1, activation="sigmoid", name="priority")(x)
    department_pred = layers.Dense(num_departments, activation="softmax", name="department")(x)
    return keras.Model(inputs=[title_input, body_input, tags_input], outputs=[priority_pred, department_pred])


def ticket_data(count=64):
    x = {
        "title": np.random.randint(num_words, size=(count, 10)),
        "body": np.random.randint(num_words, size=(count, 20)),
        "tags": np.random.randint(2, size=(count, num_tags)).astype("float32"),
    }
    y = {
        "priority": np.random.random(size=(count, 1)),
        "department": np.random.randint(2, size=(count, num_departments)),
    }
    return x, y


class TestSeveralInputsAndOutputs:
    def test_its_parameters_are_those_of_keras(self):
        model = ticket_model()

        assert model.get_layer("concatenate").output.shape == (None, 128 + 32 + num_tags)
        assert {layer.name: layer.count_params() for layer in model.layers if layer.count_params()} == {
            "embedding": num_words * 64,
            "embedding_1": num_words * 64,
            "lstm": 4 * 128 * (64 + 128 + 1),
            "lstm_1": 4 * 32 * (64 + 32 + 1),
            "priority": 172 + 1,
            "department": (172 + 1) * num_departments,
        }

    def test_the_plot_of_the_graph(self, tmp_path):
        keras.utils.plot_model(ticket_model(), tmp_path / "multi.png", show_shapes=True)

        assert (tmp_path / "multi.png").stat().st_size > 1000

    @pytest.mark.parametrize(
        "loss",
        [
            ["binary_crossentropy", "categorical_crossentropy"],
            {"priority": "binary_crossentropy", "department": "categorical_crossentropy"},
        ],
        ids=["list", "dict"],
    )
    def test_fit_with_dicts_shows_a_loss_for_each_output(self, loss, capsys):
        model = ticket_model()
        model.compile(optimizer=keras.optimizers.RMSprop(1e-3), loss=loss, loss_weights=[1.0, 0.2])

        history = model.fit(*ticket_data(), epochs=2, batch_size=32)

        assert list(history.history) == ["loss", "priority_loss", "department_loss"]
        total, priority, department = (history.history[key][-1] for key in history.history)
        assert total == pytest.approx(priority + 0.2 * department, rel=1e-5)
        out = capsys.readouterr().out
        assert (
            "2/2 [" in out
            and "- loss: " in out
            and "- priority_loss: " in out
            and "- department_loss: " in out
        )

    def test_a_partial_dict_of_losses_trains_the_outputs_in_it(self):
        model = ticket_model()
        model.compile(optimizer="rmsprop", loss={"priority": "binary_crossentropy"})
        before = model.get_layer("department").get_weights()[0].copy()

        x, y = ticket_data()
        model.fit(x, {"priority": y["priority"]}, epochs=1, verbose=0)

        assert np.array_equal(model.get_layer("department").get_weights()[0], before)

    @pytest.mark.parametrize("form", ["lists", "dicts"])
    def test_data_sets_yield_lists_or_dicts(self, form):
        x, y = ticket_data()
        model = ticket_model()
        model.compile(optimizer="rmsprop", loss=["binary_crossentropy", "categorical_crossentropy"])

        class Tickets(torch.utils.data.Dataset):
            def __len__(self):
                return 64

            def __getitem__(self, index):
                inputs = {key: torch.from_numpy(value[index]) for key, value in x.items()}
                targets = {key: torch.from_numpy(value[index]).float() for key, value in y.items()}
                if form == "dicts":
                    return inputs, targets
                return list(inputs.values()), list(targets.values())

        history = model.fit(Tickets(), batch_size=32, epochs=1, verbose=0)

        assert np.isfinite(history.history["loss"][0])


class TestToyResnet:
    def build(self):
        inputs = keras.Input(shape=(32, 32, 3), name="img")
        x = layers.Conv2D(32, 3, activation="relu")(inputs)
        x = layers.Conv2D(64, 3, activation="relu")(x)
        block_1_output = layers.MaxPooling2D(3)(x)

        x = layers.Conv2D(64, 3, activation="relu", padding="same")(block_1_output)
        x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
        block_2_output = layers.add([x, block_1_output])

        x = layers.Conv2D(64, 3, activation="relu", padding="same")(block_2_output)
        x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
        block_3_output = layers.add([x, block_2_output])

        x = layers.Conv2D(64, 3, activation="relu")(block_3_output)
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dense(256, activation="relu")(x)
        x = layers.Dropout(0.5)(x)
        outputs = layers.Dense(10, activation="softmax")(x)
        return keras.Model(inputs, outputs, name="toy_resnet")

    def test_its_summary_says_what_is_connected_to_what(self, capsys):
        model = self.build()
        model.summary()

        out = capsys.readouterr().out
        rows = [" ".join(line.split()) for line in out.splitlines()]
        assert "Layer (type) Output Shape Param # Connected to" in rows
        assert "add (Add) (None, 9, 9, 64) 0 conv2d_3[0][0]" in rows
        assert rows[rows.index("add (Add) (None, 9, 9, 64) 0 conv2d_3[0][0]") + 1] == "max_pooling2d[0][0]"
        assert "Total params: 223,242" in rows
        assert model.count_params() == 223_242

    def test_it_trains_on_one_hot_labels(self):
        (x_train, y_train), _ = keras.datasets.digits.load_data()
        x = np.zeros((64, 32, 32, 3), "float32")
        x[:, :8, :8] = x_train[:64, :, :, None] / 255.0
        y = keras.utils.to_categorical(y_train[:64], 10)
        model = self.build()
        model.compile(
            optimizer=keras.optimizers.RMSprop(1e-3), loss="categorical_crossentropy", metrics=["acc"]
        )

        history = model.fit(x, y, batch_size=16, epochs=1, validation_split=0.25, verbose=0)

        assert list(history.history) == ["loss", "acc", "val_loss", "val_acc"]


class TestSharedLayers:
    def test_a_shared_embedding_has_one_set_of_weights(self):
        shared_embedding = layers.Embedding(1000, 128)
        text_input_a = keras.Input(shape=(None,), dtype="int32")
        text_input_b = keras.Input(shape=(None,), dtype="int32")
        encoded_input_a = shared_embedding(text_input_a)
        encoded_input_b = shared_embedding(text_input_b)
        model = keras.Model([text_input_a, text_input_b], [encoded_input_a, encoded_input_b])

        assert model.count_params() == 128_000
        assert sum(each.numel() for each in model.parameters()) == 128_000
        assert list(model.state_dict()) == ["embedding.weight"]
        assert [layer.name for layer in model.layers] == ["input", "input_1", "embedding"]
        assert len(model.get_weights()) == len(model.trainable_weights) == len(list(model.parameters())) == 1
        words = torch.randint(0, 1000, (2, 5))
        a, b = model(words, words)
        assert torch.equal(a, b)

    def test_it_learns_from_both_calls_and_is_saved_once(self, tmp_path, capsys):
        embedding = layers.Embedding(10, 3)
        a, b = keras.Input((2,), dtype="int32", name="a"), keras.Input((2,), dtype="int32", name="b")
        model = keras.Model([a, b], [embedding(a), embedding(b)])
        first, second = model(torch.tensor([[1, 2]]), torch.tensor([[2, 3]]))

        (first.sum() + second.sum()).backward()
        model.save(tmp_path / "m.safetensors")
        loaded = keras.models.load_model(tmp_path / "m.safetensors")
        loaded.summary()

        assert embedding.weight.grad[:, 0].tolist() == [0, 1, 2, 1, 0, 0, 0, 0, 0, 0]
        assert list(loaded.state_dict()) == ["embedding.weight"]
        assert "Total params: 30\n" in capsys.readouterr().out


class TestFeatureExtraction:
    def test_activations_of_vgg19(self):
        from torchfunc.applications import VGG19

        with torch.device("meta"):
            vgg19 = VGG19(weights=None)
        features_list = [layer.output for layer in vgg19.layers]
        feat_extraction_model = keras.Model(inputs=vgg19.input, outputs=features_list)

        assert vgg19.count_params() == 143_667_240
        assert vgg19.input.shape == (None, 224, 224, 3)
        assert len(features_list) == len(feat_extraction_model.outputs)
        assert feat_extraction_model.outputs[-1].shape == (None, 1000)


class CustomDense(layers.Layer):
    def __init__(self, units=32):
        super(CustomDense, self).__init__()  # noqa: UP008 - as the guide writes it
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True
        )
        self.b = self.add_weight(shape=(self.units,), initializer="random_normal", trainable=True)

    def call(self, inputs):
        return torch.matmul(inputs, self.w) + self.b


class CustomDenseWithConfig(CustomDense):
    def get_config(self):
        return {"units": self.units}


class TestCustomLayers:
    @pytest.mark.parametrize("kind", [CustomDense, CustomDenseWithConfig])
    def test_a_model_with_one_is_rebuilt_from_its_config(self, kind):
        inputs = keras.Input((4,))
        outputs = kind(10)(inputs)
        model = keras.Model(inputs, outputs)
        config = model.get_config()

        new_model = keras.Model.from_config(config, custom_objects={kind.__name__: kind})

        assert [tuple(each.shape) for each in new_model.get_weights()] == [(4, 10), (10,)]
        new_model.set_weights(model.get_weights())
        x = torch.rand(2, 4)
        assert torch.equal(model(x), new_model(x))

    def test_its_weights_are_made_by_the_first_call(self):
        layer = CustomDense(10)
        assert not layer.built and list(layer.parameters()) == [] == layer.get_weights()

        layer(keras.Input((4,)))

        assert layer.built and [name for name, _ in layer.named_parameters()] == ["w", "b"]
        before = layer.w
        layer(torch.rand(2, 4)).sum().backward()
        assert layer.w is before and layer.w.grad is not None
        with pytest.raises(keras.errors.ShapeError, match="CustomDense 'custom_dense'.*5.*4"):
            layer(keras.Input((5,)))

    def test_layers_inside_one_are_built_once_and_for_all(self, capsys):
        class Block(layers.Layer):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(3, activity_regularizer="l2")

            def call(self, inputs):
                return self.dense(inputs)

        block, inputs = Block(), keras.Input((4,))
        model = keras.Model(inputs, block(inputs))
        weight = block.dense.weight
        model.summary()
        model(torch.ones(2, 4))

        assert "unbuilt" not in capsys.readouterr().out
        assert block.dense.built and block.dense.built_for.shape[1:] == (4,)
        assert len(model.losses) == 1  # of the activity regularizer
        block.dense(keras.Input((4,)))
        assert block.dense.weight is weight

    def test_from_config_may_be_a_method_of_ones_own(self):
        class Doubled(CustomDenseWithConfig):
            @classmethod
            def from_config(cls, config):
                return cls(units=2 * config["units"])

        inputs = keras.Input((4,))
        config = keras.Model(inputs, Doubled(5)(inputs)).get_config()

        model = keras.Model.from_config(config, custom_objects={"Doubled": Doubled})

        assert model.layers[1].units == 10
        assert model(torch.rand(1, 4)).shape == (1, 10)

    def test_a_missing_custom_object_is_named_with_the_call_that_gives_it(self):
        inputs = keras.Input((4,))
        config = keras.Model(inputs, CustomDense(10)(inputs)).get_config()

        with pytest.raises(keras.errors.UnknownNameError, match="custom_objects={'CustomDense'"):
            keras.Model.from_config(config)


class TestValidationWhileBuilding:
    def test_mistakes_are_caught_when_the_layer_is_called(self):
        image = keras.Input((28, 28, 1), name="image")
        vector = keras.Input((8,), name="vector")

        with pytest.raises(keras.errors.ShapeError, match=r"Conv2D 'conv2d'.*'vector'.*expected 4 dim"):
            layers.Conv2D(4, 3)(vector)
        with pytest.raises(keras.errors.ShapeError, match="LSTM 'lstm'.*'image'"):
            layers.LSTM(4)(image)
        with pytest.raises(keras.errors.ShapeError, match="Concatenate|concatenate"):
            layers.concatenate([image, vector])
        with pytest.raises(keras.errors.ShapeError, match="Reshape 'reshape'"):
            layers.Reshape((3, 3))(vector)
        shared = layers.Dense(4, name="shared")
        shared(vector)
        with pytest.raises(keras.errors.ShapeError, match="Dense 'shared'.*8.*1"):
            shared(image)


class MLP(keras.Model):
    def __init__(self, **kwargs):
        super(MLP, self).__init__(**kwargs)  # noqa: UP008 - as the guide writes it
        self.dense_1 = layers.Dense(64, activation="relu")
        self.dense_2 = layers.Dense(10)

    def call(self, inputs):
        x = self.dense_1(inputs)
        return self.dense_2(x)


class TestMixingStyles:
    def test_a_subclassed_model_computes_and_trains(self):
        mlp = MLP()
        _ = mlp(torch.zeros((1, 32)))

        assert mlp.count_params() == 32 * 64 + 64 + 64 * 10 + 10
        fresh = MLP()
        fresh.compile(optimizer="adam", loss="mse")
        history = fresh.fit(np.random.rand(32, 32), np.random.rand(32, 10), epochs=2, verbose=0)
        assert history.history["loss"][1] < history.history["loss"][0]

    def test_a_subclassed_model_is_a_layer_of_a_functional_one_that_is_saved(self, tmp_path):
        inputs = keras.Input((32,))
        model = keras.Model(inputs, layers.Dense(2)(MLP(name="mlp")(inputs)))
        model.compile(optimizer="adam", loss="mse")
        x = np.random.rand(16, 32).astype("float32")
        model.fit(x, x[:, :2], epochs=1, verbose=0)
        model.save(tmp_path / "m.safetensors")

        loaded = keras.models.load_model(tmp_path / "m.safetensors", custom_objects={"MLP": MLP})

        assert [layer.name for layer in model.layers] == ["input", "mlp", "dense"]
        assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))

    def test_a_functional_model_inside_a_layer(self, capsys):
        units, timesteps, input_dim = 32, 10, 5
        inputs = keras.Input((None, units))
        x = layers.GlobalAveragePooling1D()(inputs)
        outputs = layers.Dense(1, activation="sigmoid")(x)
        model = keras.Model(inputs, outputs)

        class CustomRNN(layers.Layer):
            def __init__(self):
                super().__init__()
                self.units = units
                self.projection_1 = layers.Dense(units=units, activation="tanh")
                self.projection_2 = layers.Dense(units=units, activation="tanh")
                self.classifier = model

            def call(self, inputs):
                outputs = []
                state = torch.zeros(size=(inputs.shape[0], self.units))
                for t in range(inputs.shape[1]):
                    x = inputs[:, t, :]
                    h = self.projection_1(x)
                    y = h + self.projection_2(state)
                    state = y
                    outputs.append(y)
                features = torch.stack(outputs, axis=1)
                print(features.shape)
                return self.classifier(features)

        rnn_model = CustomRNN()
        result = rnn_model(torch.zeros((1, timesteps, input_dim)))

        assert result.shape == (1, 1)
        assert "1, 10, 32" in capsys.readouterr().out

    def test_a_layer_from_scratch_inside_a_functional_model(self):
        units, timesteps, input_dim, batch_size = 32, 10, 5, 16

        class CustomRNN(layers.Layer):
            def __init__(self):
                super().__init__()
                self.units = units
                self.projection_1 = layers.Dense(units=units, activation="tanh")
                self.projection_2 = layers.Dense(units=units, activation="tanh")
                self.classifier = layers.Dense(1, activation="sigmoid")

            def call(self, inputs):
                outputs = []
                state = torch.zeros(size=(inputs.shape[0], self.units))
                for t in range(inputs.shape[1]):
                    x = inputs[:, t, :]
                    h = self.projection_1(x)
                    y = h + self.projection_2(state)
                    state = y
                    outputs.append(y)
                features = torch.stack(outputs, axis=1)
                return self.classifier(features)

        inputs = keras.Input(batch_shape=(batch_size, timesteps, input_dim))
        x = layers.Conv1D(32, 3)(inputs)
        outputs = CustomRNN()(x)
        model = keras.Model(inputs, outputs)

        assert outputs.shape == (16, 8, 1)
        result = model(torch.rand(batch_size, timesteps, input_dim))
        result.sum().backward()
        assert all(each.grad is not None for each in model.parameters())
        assert CustomRNN()(torch.zeros((1, 10, 5))).shape == (1, 10, 1)

    @pytest.mark.parametrize("pattern", ["plain", "training", "mask", "both", "keywords"])
    def test_every_pattern_of_call(self, pattern):
        seen = {}

        class Plain(layers.Layer):
            def call(self, inputs):
                return inputs * 2

        class Training(layers.Layer):
            def call(self, inputs, training=None):
                seen["training"] = training
                return inputs * (2 if training else 3)

        class Mask(layers.Layer):
            def call(self, inputs, mask=None):
                return inputs if mask is None else inputs * mask[..., None]

        class Both(layers.Layer):
            def call(self, inputs, training=None, mask=None):
                seen["training"] = training
                return inputs if mask is None else inputs * mask[..., None]

        class Keywords(layers.Layer):
            def call(self, inputs, scale=1.0, **kwargs):
                return inputs * scale

        words = keras.Input((4,), dtype="int32")
        x = layers.Embedding(10, 3, mask_zero=True)(words)
        layer = {"plain": Plain, "training": Training, "mask": Mask, "both": Both, "keywords": Keywords}[
            pattern
        ]()
        y = layer(x, scale=5.0) if pattern == "keywords" else layer(x)
        model = keras.Model(words, [x, y])
        x, y = model(torch.tensor([[1, 2, 0, 0]]))

        expected = {
            "plain": x * 2,
            "training": x * 2,
            "mask": x * torch.tensor([1, 1, 0, 0])[:, None],
            "both": x * torch.tensor([1, 1, 0, 0])[:, None],
            "keywords": x * 5,
        }[pattern]
        torch.testing.assert_close(y, expected)
        if "training" in seen:
            assert seen["training"] is True
            model.eval()(torch.tensor([[1, 2, 0, 0]]))
            assert seen["training"] is False

    def test_a_call_takes_nested_structures_of_tensors(self):
        class Nested(layers.Layer):
            def call(self, inputs, training=None, *, sign=1):
                a, (b, others) = inputs
                return (a + b * others["c"]) * sign

        a, b, c = (keras.Input((3,), name=name) for name in "abc")
        model = keras.Model([a, b, c], Nested()([a, (b, {"c": c})], sign=-1))
        x, y, z = torch.rand(3, 2, 3)

        torch.testing.assert_close(model([x, y, z]), -(x + y * z))

    def test_the_modes_of_fit_evaluate_and_predict_reach_call(self):
        seen = []

        class Spy(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(1)

            def call(self, inputs, training=None):
                seen.append(training)
                return self.dense(inputs)

        x = np.random.rand(8, 3).astype("float32")
        model = Spy()
        model.compile(optimizer="sgd", loss="mse")
        for call, mode in ((model.fit, True), (model.evaluate, False), (model.fit, True)):
            seen.clear()
            call(x, x[:, :1], verbose=0)
            assert seen[-1] is mode
        seen.clear()
        model.predict(x, verbose=0)
        assert set(seen) == {False}
