"""Files of Keras before version 3, put together here as its line 2 wrote them; the truth is NumPy, or Keras 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc.errors import ConfigError, UnknownNameError
from torchfunc.keras_files.zipped import zip_of

Weights = dict[str, dict[str, Any]]
DENSE = {"activation": "linear", "use_bias": True, "trainable": True, "dtype": "float32"}


def older(
    path: Path,
    config: Any,
    weights: Weights,
    *,
    version: str = "2.3.1",
    training: Any = None,
    optimizer: dict[str, Any] | None = None,
) -> Path:
    """An `.h5` file as `model.save` wrote it then: configs as attributes, and weights by the names of layers."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        write_weights(file.create_group("model_weights"), weights, version)
        if training is not None:
            file.attrs["training_config"] = json.dumps(training).encode()
        if optimizer is not None:
            group = file.create_group("optimizer_weights")
            group.attrs["weight_names"] = [each.encode() for each in optimizer]
            for name, value in optimizer.items():
                group[name] = value
    return path


def write_weights(group: Any, weights: Weights, version: str) -> None:
    group.attrs["layer_names"] = [name.encode() for name in weights]
    group.attrs["keras_version"] = version.encode()
    for name, values in weights.items():
        layer = group.create_group(name)
        layer.attrs["weight_names"] = [f"{name}/{each}:0".encode() for each in values]
        for each, value in values.items():
            layer[f"{name}/{each}:0"] = value


def keras_file(config: Any, weights: bytes, version: str = "2.15.0") -> bytes:
    return zip_of(
        {
            "config.json": json.dumps(config).encode(),
            "metadata.json": json.dumps({"keras_version": version}).encode(),
            "model.weights.h5": weights,
        }
    )


def layer(kind: str, name: str, *nodes: Any, **config: Any) -> dict[str, Any]:
    found = {"class_name": kind, "config": {"name": name, **config}}
    return {**found, "name": name, "inbound_nodes": list(nodes)} if nodes else found


def functional(layers: list[Any], inputs: Any, outputs: Any, name: str = "model_1") -> dict[str, Any]:
    config = {"name": name, "layers": layers, "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Model", "config": config}


def input_layer(name: str, *shape: Any) -> dict[str, Any]:
    config = {"batch_input_shape": [None, *shape], "dtype": "float32", "sparse": False, "name": name}
    return {"name": name, "class_name": "InputLayer", "config": config, "inbound_nodes": []}


def node(of_layer: str, call: int = 0, tensor: int = 0, **kwargs: Any) -> list[Any]:
    return [of_layer, call, tensor, kwargs]


generator = np.random.default_rng(0)


def drawn(*shape: int) -> Any:
    return generator.normal(size=shape).astype("float32")


def of(**shapes: Any) -> dict[str, Any]:
    return {name: drawn(*shape) for name, shape in shapes.items()}


def predicted(model: Any, *inputs: Any) -> Any:
    with torch.no_grad():
        found = model(*(torch.from_numpy(each) for each in inputs))
    return found.numpy() if isinstance(found, torch.Tensor) else [each.numpy() for each in found]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def close(one: Any, other: Any) -> None:
    assert np.abs(one - other).max() < 1e-5


def initializer(name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": name, "config": config}


@pytest.mark.parametrize("as_list", [True, False])
def test_a_sequential_is_read_in_the_words_of_its_time(as_list: bool, tmp_path: Path) -> None:
    normal = initializer("VarianceScaling", scale=1.0, mode="fan_avg", distribution="normal", seed=None)
    chain = [
        layer("Dense", "dense_1", batch_input_shape=[None, 4], units=5, **DENSE, kernel_initializer=normal),
        layer("BatchNormalization", "bn", axis=-1, momentum=0.99, epsilon=0.001, trainable=True),
        layer("LeakyReLU", "leaky", alpha=0.30000001192092896, trainable=True),
        layer("ThresholdedReLU", "cut", theta=0.5),
        layer("Dropout", "drop", rate=0.5, noise_shape=None, seed=None),
        layer(
            "Dense",
            "dense_2",
            units=2,
            **DENSE,
            bias_initializer=initializer("Zeros", dtype="float32"),
            kernel_regularizer={"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.01}},
        ),
    ]
    config = {"class_name": "Sequential", "config": chain if as_list else {"name": "s", "layers": chain}}
    bn = of(gamma=(5,), beta=(5,), moving_mean=(5,)) | {"moving_variance": np.abs(drawn(5)) + 0.1}
    weights: Weights = {
        "dense_1": of(kernel=(4, 5), bias=(5,)), "bn": bn, "leaky": {}, "cut": {}, "drop": {},
        "dense_2": of(kernel=(5, 2), bias=(2,)),
    }  # fmt: skip
    model = tf.load_model(older(tmp_path / "m.h5", config, weights, version="2.2.4"))
    x = drawn(3, 4)
    h = x @ weights["dense_1"]["kernel"] + weights["dense_1"]["bias"]
    h = (h - bn["moving_mean"]) / np.sqrt(bn["moving_variance"] + 0.001) * bn["gamma"] + bn["beta"]
    h = np.where(h > 0, h, 0.3 * h)
    h = np.where(h > 0.5, h, 0)
    close(predicted(model.eval(), x), h @ weights["dense_2"]["kernel"] + weights["dense_2"]["bias"])
    assert model.input_shape == (None, 4) and model.layers[0].name == "dense_1"


def test_a_graph_with_shared_layers_and_models_inside_is_read(tmp_path: Path) -> None:
    chain = [
        layer("Dense", "inner_dense", batch_input_shape=[None, 3], units=3, **DENSE),
        layer("Activation", "inner_relu", activation="relu"),
    ]
    inner = {"class_name": "Sequential", "config": {"name": "inner", "layers": chain}, "name": "inner"}
    layers = [
        input_layer("a", 3),
        input_layer("b", 3),
        layer("Dense", "shared", [node("a")], [node("b")], units=3, **DENSE),
        # Keras 2 counts the call by which an inner model was made
        {**inner, "inbound_nodes": [[node("shared", 0)], [node("shared", 1)]]},
        layer("Concatenate", "joined", [node("inner", 1), node("inner", 2), node("a")], axis=-1),
        layer("Dense", "head", [node("joined")], units=2, **DENSE),
    ]
    config = functional(layers, [["a", 0, 0], ["b", 0, 0]], [["head", 0, 0], ["inner", 2, 0]])
    weights: Weights = {
        "a": {}, "b": {}, "shared": of(kernel=(3, 3), bias=(3,)), "inner": of(kernel=(3, 3), bias=(3,)), "joined": {},
        "head": of(kernel=(9, 2), bias=(2,)),
    }  # fmt: skip
    model = tf.load_model(older(tmp_path / "m.h5", config, weights))
    a, b = drawn(2, 3), drawn(2, 3)

    def dense(name: str, x: Any) -> Any:
        return x @ weights[name]["kernel"] + weights[name]["bias"]

    one, other = (np.maximum(dense("inner", dense("shared", each)), 0) for each in (a, b))
    found = predicted(model, a, b)
    close(found[0], dense("head", np.concatenate([one, other, a], 1)))
    close(found[1], other)


RNN = {
    "return_sequences": False, "return_state": False, "go_backwards": False, "stateful": False, "unroll": False,
    "units": 4, "activation": "tanh", "use_bias": True, "dropout": 0.0, "recurrent_dropout": 0.0, "implementation": 1,
    "trainable": True, "dtype": "float32",
}  # fmt: skip


def lstm(
    x: Any, kernel: Any, recurrent_kernel: Any, bias: Any, gate: Any = sigmoid, state: Any = None
) -> Any:
    h, c = (np.zeros((len(x), 4), "float32"),) * 2 if state is None else state
    for step in range(x.shape[1]):
        i, f, g, o = np.split(x[:, step] @ kernel + h @ recurrent_kernel + bias, 4, 1)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
    return h


def gru(x: Any, kernel: Any, recurrent_kernel: Any, bias: Any, gate: Any = sigmoid) -> Any:
    """With `reset_after=False`, as it was then."""
    h = np.zeros((len(x), 4), "float32")
    for step in range(x.shape[1]):
        z, r, g = np.split(x[:, step] @ kernel + bias, 3, 1)
        uz, ur, ug = np.split(recurrent_kernel, 3, 1)
        z, r = gate(z + h @ uz), gate(r + h @ ur)
        h = z * h + (1 - z) * np.tanh(g + (r * h) @ ug)
    return h


def hard(x: Any) -> Any:
    """The hard sigmoid of that time."""
    return np.clip(0.2 * x + 0.5, 0, 1)


def test_recurrent_layers_compute_as_they_did_then(tmp_path: Path) -> None:
    layers = [
        input_layer("x", 5, 3), input_layer("h", 4), input_layer("c", 4),
        layer("LSTM", "lstm", [node("x")], **RNN, recurrent_activation="hard_sigmoid", unit_forget_bias=True),
        layer("GRU", "gru", [node("x")], **RNN, recurrent_activation="hard_sigmoid"),
        layer("LSTM", "begun", [node("x"), node("h"), node("c")], **RNN, recurrent_activation="sigmoid", time_major=False),
    ]  # fmt: skip
    outputs = [["lstm", 0, 0], ["gru", 0, 0], ["begun", 0, 0]]
    config = functional(layers, [["x", 0, 0], ["h", 0, 0], ["c", 0, 0]], outputs)
    of_lstm = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    weights: Weights = {
        "x": {}, "h": {}, "c": {}, "lstm": of(**of_lstm), "begun": of(**of_lstm),
        "gru": of(kernel=(3, 12), recurrent_kernel=(4, 12), bias=(12,)),
    }  # fmt: skip
    # the order of the layers in the file
    weights = {name: weights[name] for name in ("x", "h", "c", "lstm", "gru", "begun")}
    model = tf.load_model(older(tmp_path / "m.h5", config, weights))
    x, h, c = drawn(2, 5, 3), drawn(2, 4), drawn(2, 4)
    found = predicted(model, x, h, c)
    close(found[0], lstm(x, **weights["lstm"], gate=hard))
    close(found[1], gru(x, **weights["gru"], gate=hard))
    close(found[2], lstm(x, **weights["begun"], state=(h, c)))


def cudnn(weights: dict[str, Any], gates: int) -> dict[str, Any]:
    """The weights of a plain layer as CuDNNLSTM and CuDNNGRU kept them. Source: keras/engine/saving.py, 2.2.4."""
    kernel = np.hstack(
        [each.T.reshape(each.shape, order="C") for each in np.hsplit(weights["kernel"], gates)]
    )
    recurrent = np.hstack([each.T for each in np.hsplit(weights["recurrent_kernel"], gates)])
    bias = np.tile(0.5 * weights["bias"], 2) if gates == 4 else weights["bias"].reshape(-1)
    return {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}


def test_layers_of_cudnn_become_the_plain_ones(tmp_path: Path) -> None:
    said = {"units": 4, "return_sequences": False, "stateful": False, "trainable": True}
    layers = [
        input_layer("x", 5, 3),
        layer("CuDNNLSTM", "lstm", [node("x")], **said, unit_forget_bias=True),
        layer("CuDNNGRU", "gru", [node("x")], **said),
    ]
    plain_lstm = of(kernel=(3, 16), recurrent_kernel=(4, 16), bias=(16,))
    plain_gru = of(kernel=(3, 12), recurrent_kernel=(4, 12), bias=(2, 12))
    weights = {"x": {}, "lstm": cudnn(plain_lstm, 4), "gru": cudnn(plain_gru, 3)}
    config = functional(layers, [["x", 0, 0]], [["lstm", 0, 0], ["gru", 0, 0]])
    found = predicted(
        tf.load_model(older(tmp_path / "m.h5", config, weights, version="2.2.4")), x := drawn(2, 5, 3)
    )
    close(found[0], lstm(x, **plain_lstm))
    twin = keras.layers.GRU(4)
    twin.build((None, 5, 3))
    twin.set_weights(list(plain_gru.values()))
    close(found[1], twin(x).detach().numpy())


def test_functions_of_tensorflow_are_the_ops_that_they_are(tmp_path: Path) -> None:
    def function(name: str, of: str, *rest: Any) -> dict[str, Any]:
        called = {"class_name": "TFOpLambda", "config": {"name": name, "function": of}, "name": name}
        return {**called, "inbound_nodes": [list(rest)]}

    layers = [
        input_layer("x", 3),
        function("times", "math.multiply", *node("x", y=2.0, name=None)),
        function("plus", "__operators__.add", *node("times", y=["x", 0, 0], name=None)),
        function("relu", "nn.relu", *node("plus")),
    ]
    config = functional(layers, ["x", 0, 0], ["relu", 0, 0])
    config["class_name"] = "Functional"
    x = drawn(2, 3)
    found = tf.load_model(older(tmp_path / "m.h5", config, {"x": {}}, version="2.8.0"))
    close(predicted(found, x), np.maximum(3 * x, 0))


# a function of TensorFlow, its keywords, and what NumPy makes of the same; tf_keras 2.21 wrote these keywords
FUNCTIONS: dict[str, tuple[dict[str, Any], Any]] = {
    "math.reduce_mean": ({"axis": 1, "keepdims": True}, lambda x: x.mean(1, keepdims=True)),
    "math.reduce_max": ({"axis": [1, 2], "keepdims": False}, lambda x: x.max((1, 2))),
    "reshape": ({"shape": [-1, 2, 6]}, lambda x: x.reshape(-1, 2, 6)),
    "compat.v1.transpose": (
        {"perm": [0, 2, 1], "name": "transpose", "conjugate": False},
        lambda x: x.transpose(0, 2, 1),
    ),
    "expand_dims": ({"axis": -1}, lambda x: x[..., None]),
    "clip_by_value": ({"clip_value_min": -0.5, "clip_value_max": 0.5}, lambda x: x.clip(-0.5, 0.5)),
    "math.cumsum": ({"axis": 1, "exclusive": False, "reverse": False, "name": None}, lambda x: x.cumsum(1)),
    "tile": ({"multiples": [1, 2, 1]}, lambda x: np.tile(x, (1, 2, 1))),
    "nn.leaky_relu": ({"alpha": 0.1}, lambda x: np.where(x > 0, x, 0.1 * x)),
    "cast": ({"dtype": "int32"}, lambda x: x.astype("int32")),
    "math.greater": ({"y": 0.1}, lambda x: x > 0.1),
}


def call_of(name: str, kind: str = "TFOpLambda", /, **keywords: Any) -> dict[str, Any]:
    entry = {"class_name": kind, "config": {"name": "f", "function": name}, "name": "f"}
    layers = [input_layer("x", 4, 3), {**entry, "inbound_nodes": [node("x", **keywords)]}]
    return {**functional(layers, ["x", 0, 0], ["f", 0, 0]), "class_name": "Functional"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_keywords_of_functions_of_tensorflow_are_those_of_ops(name: str, tmp_path: Path) -> None:
    keywords, expected = FUNCTIONS[name]
    x = drawn(2, 4, 3)
    found = predicted(
        tf.load_model(older(tmp_path / "m.h5", call_of(name, **keywords), {"x": {}}, version="2.8.0")), x
    )
    assert found.shape == expected(x).shape
    close(found.astype("float32"), expected(x).astype("float32"))


def test_slices_of_tensorflow_and_lists_of_tensors_are_read(tmp_path: Path) -> None:
    x = drawn(2, 4, 3)
    whole, some = {"start": None, "stop": None, "step": None}, {"start": 1, "stop": None, "step": 2}
    sliced = call_of("__operators__.getitem", "SlicingOpLambda", slice_spec=[whole, some, 0])
    model = tf.load_model(older(tmp_path / "s.h5", sliced, {"x": {}}, version="2.8.0"))
    assert np.array_equal(predicted(model, x), x[:, 1::2, 0])
    joined = call_of("concat")
    joined["config"]["layers"][1]["inbound_nodes"] = [[node("x", axis=-1), node("x", axis=-1)]]
    model = tf.load_model(older(tmp_path / "c.h5", joined, {"x": {}}, version="2.8.0"))
    assert np.array_equal(predicted(model, x), np.concatenate([x, x], -1))


BAD_CALLS = {
    "a keyword that the op has not": call_of("math.cumsum", axis=1, reverse=True),
    "a tensor for a number": call_of("reshape", shape=[["x", 0, 0], 3]),
    "a node that is none": call_of("nn.relu") | {},
    "an index that is none": call_of("__operators__.getitem", "SlicingOpLambda", slice_spec=["x", 1.5]),
}
BAD_CALLS["a node that is none"]["config"]["layers"][1]["inbound_nodes"] = [["x", 0]]


@pytest.mark.parametrize("what", BAD_CALLS)
def test_a_call_of_a_function_that_says_something_else_is_refused(what: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"inbound_nodes\[0\]"):
        tf.load_model(older(tmp_path / "m.h5", BAD_CALLS[what], {"x": {}}, version="2.8.0"))


def test_what_configs_of_2_15_say_beside_arguments_is_left_out(tmp_path: Path) -> None:
    kernel = {
        "kernel_initializer": initializer("GlorotUniform"),
        "kernel_regularizer": None,
        "kernel_constraint": None,
    }
    shapes = {"query_shape": [None, 4, 3], "key_shape": [None, 4, 3], "value_shape": [None, 4, 3]}
    layers = [
        input_layer("x", 4, 3),
        layer("MultiHeadAttention", "a", [node("x", value=["x", 0, 0])], num_heads=2, key_dim=2,
              attention_axes=[1], softmax_robust_masking=False, **shapes),
        layer("SeparableConv1D", "c", [node("a")], filters=2, kernel_size=[2], groups=1, **kernel),
    ]  # fmt: skip
    config = functional(layers, ["x", 0, 0], ["c", 0, 0]) | {"class_name": "Functional", "module": "keras"}
    # the layers in attention had private names then
    with h5py.File(tmp_path / "w", "w") as file:
        for each in ("query", "key", "value"):
            file[f"layers/multi_head_attention/_{each}_dense/vars/0"] = drawn(3, 2, 2)
            file[f"layers/multi_head_attention/_{each}_dense/vars/1"] = drawn(2, 2)
        file["layers/multi_head_attention/_output_dense/vars/0"] = drawn(2, 2, 3)
        file["layers/multi_head_attention/_output_dense/vars/1"] = drawn(3)
        for number, shape in enumerate(((2, 3, 1), (1, 3, 2), (2,))):
            file[f"layers/separable_conv1d/vars/{number}"] = drawn(*shape)
        kernels = {
            each: file[f"layers/multi_head_attention/_{each}_dense/vars/0"][()]
            for each in ("query", "output")
        }
    path = tmp_path / "m.keras"
    path.write_bytes(keras_file(config, (tmp_path / "w").read_bytes()))
    model = tf.load_model(path)
    found = model.get_weights()
    assert np.array_equal(found[0], kernels["query"]) and np.array_equal(found[6], kernels["output"])


ONE = {"class_name": "Sequential", "config": {"name": "s", "layers": [
    layer("Dense", "dense", batch_input_shape=[None, 3], units=2, **DENSE),
    layer("Dense", "last", units=1, **DENSE),
]}}  # fmt: skip
SHAPES = [(3, 2), (2,), (2, 1), (1,)]


def trained(
    path: Path, name: str, config: dict[str, Any], slots: list[Any], version: str, **training: Any
) -> Any:
    weights: Weights = {"dense": of(kernel=(3, 2), bias=(2,)), "last": of(kernel=(2, 1), bias=(1,))}
    said = {
        "optimizer_config": {"class_name": name, "config": config},
        "loss": "mse",
        "metrics": ["mae"],
        **training,
    }
    listed = {f"{name}/v_{number}:0": value for number, value in enumerate(slots)}
    return tf.load_model(older(path, ONE, weights, version=version, training=said, optimizer=listed))


def remembered(model: Any, slot: str) -> list[Any]:
    """A slot of each weight in Keras's order and layouts."""
    state = model.trainer.step.optimization.state()["slots"]
    names = ["dense.weight", "dense.bias", "last.weight", "last.bias"]
    return [state[name][slot].numpy().T if "weight" in name else state[name][slot].numpy() for name in names]


STEPS = np.array(7)
ADAM = {"lr": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "decay": 0.0, "amsgrad": False}
SGD = {"lr": 0.1, "momentum": 0.9, "decay": 0.0, "nesterov": True}


def drawn_slots() -> list[Any]:
    return [np.abs(drawn(*shape)) for shape in SHAPES]


def test_what_an_optimizer_remembered_is_found_in_the_order_of_then(tmp_path: Path) -> None:
    m, v, fill = drawn_slots(), drawn_slots(), [np.zeros(1, "float32")] * 4
    between = [each for pair in zip(m, v, strict=True) for each in pair]
    newer = {"learning_rate": 0.01, "is_legacy_optimizer": False, "jit_compile": False, "weight_decay": None}
    for number, (version, config, slots) in enumerate((
        ("2.2.4", ADAM, [STEPS, *m, *v, *fill]),
        ("2.3.1", {**ADAM, "lr": 0.01}, [STEPS, *m, *v, *fill]),
        ("2.8.0", {"learning_rate": 0.01, "decay": 0.0, "epsilon": None}, [STEPS, *m, *v]),
        ("2.15.0", newer, [STEPS, *between]),
        ("2.15.0", newer, [STEPS, np.array(0.01, "float32"), *between]),
        ("2.15.0", {**newer, "is_legacy_optimizer": True}, [STEPS, *m, *v]),
    )):  # fmt: skip
        model = trained(tmp_path / f"{number}.h5", "Adam", config, slots, version)
        assert model.optimizer.iterations == 7 and float(model.optimizer.learning_rate) == pytest.approx(0.01)
        for slot, values in (("momentum", m), ("velocity", v)):
            assert all(np.array_equal(a, b) for a, b in zip(remembered(model, slot), values, strict=True)), (
                version
            )
        model.fit(drawn(8, 3), drawn(8, 1), verbose=0)
        assert model.optimizer.iterations == 8


def test_other_optimizers_of_then_go_on_too(tmp_path: Path) -> None:
    m, v = drawn_slots(), drawn_slots()
    model = trained(tmp_path / "sgd.h5", "SGD", SGD, [STEPS, *m], "2.3.1")
    assert all(np.array_equal(a, b) for a, b in zip(remembered(model, "momentum"), m, strict=True))
    assert model.optimizer.nesterov is True and float(model.optimizer.learning_rate) == pytest.approx(0.1)
    plain = {"lr": 0.1, "momentum": 0.0, "decay": 0.0, "nesterov": False}
    assert trained(tmp_path / "plain.h5", "SGD", plain, [STEPS, *m], "2.2.4").optimizer.iterations == 7
    root = {"lr": 0.001, "rho": 0.9, "decay": 0.0, "epsilon": 1e-7}
    for version, slots in (("2.2.4", v), ("2.3.1", [STEPS, *v])):
        model = trained(tmp_path / f"rms{version}.h5", "RMSprop", root, slots, version)
        scaled = [(each + 1e-7) / 0.1 for each in v]
        assert all(
            np.allclose(a, b) for a, b in zip(remembered(model, "scaled_velocity"), scaled, strict=True)
        )
    nadam = {"lr": 0.002, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "schedule_decay": 0.004}
    slots = [STEPS, np.array(0.3, "float32"), *m, *v]
    with pytest.warns(UserWarning, match="Nadam of Keras 2"):
        model = trained(tmp_path / "nadam.h5", "Nadam", nadam, slots, "2.3.1")
    assert all(np.array_equal(a, b) for a, b in zip(remembered(model, "velocity"), v, strict=True))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.002)  # its decay is the momentum's


def test_what_nadam_multiplied_up_is_computed_where_no_file_says_it(tmp_path: Path) -> None:
    newer = {"learning_rate": 0.01, "is_legacy_optimizer": False}
    between = [each for pair in zip(drawn_slots(), drawn_slots(), strict=True) for each in pair]
    model = trained(tmp_path / "m.h5", "Nadam", newer, [STEPS, *between], "2.15.0")
    product = np.prod([0.9 * (1 - 0.5 * 0.96**step) for step in range(1, 8)])
    assert model.trainer.step.optimization.state()["groups"][0]["momentum_product"] == pytest.approx(product)


def test_a_schedule_without_a_name_is_read(tmp_path: Path) -> None:
    arguments = {
        "initial_learning_rate": 0.1,
        "decay_steps": 7,
        "decay_rate": 0.5,
        "staircase": False,
        "name": None,
    }
    rate = {"class_name": "ExponentialDecay", "config": arguments}
    model = trained(
        tmp_path / "m.h5", "SGD", {**SGD, "learning_rate": rate}, [STEPS, *drawn_slots()], "2.15.0"
    )
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)


def test_a_rate_that_decayed_by_itself_is_a_schedule(tmp_path: Path) -> None:
    model = trained(tmp_path / "m.h5", "SGD", {**SGD, "decay": 0.5}, [STEPS, *drawn_slots()], "2.3.1")
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1 / (1 + 0.5 * 7))


LOSSES: dict[str, dict[str, Any]] = {
    "an older name": {"loss": "cosine_proximity", "metrics": ["acc", "mse"]},
    "objects": {
        "loss": {"class_name": "BinaryCrossentropy", "config": {"reduction": "auto", "name": "b", "from_logits": True}},
        "metrics": [[{"class_name": "MeanMetricWrapper", "config": {"name": "acc", "fn": "binary_accuracy"}}]],
    },
    "a function's metric": {
        "loss": {"last": "mae"},
        "metrics": [{"class_name": "MeanMetricWrapper", "config": {"name": "off", "fn": "mean_squared_error"}}],
    },
    "none": {"loss": "mse", "metrics": [], "sample_weight_mode": None, "weighted_metrics": None},
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_metrics_have_their_names_of_now(name: str, tmp_path: Path) -> None:
    model = trained(tmp_path / "m.h5", "Adam", ADAM, [], "2.8.0", **LOSSES[name])
    assert len(np.atleast_1d(model.evaluate(drawn(4, 3), np.ones((4, 1)), verbose=0))) >= 1


def test_weights_alone_are_read_into_a_model(tmp_path: Path) -> None:
    weights: Weights = {
        "dense_9": of(kernel=(3, 2), bias=(2,)),
        "drop": {},
        "dense_10": of(kernel=(2, 1), bias=(1,)),
    }
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_weights(file, weights, "2.2.4")
    layers = [tf.layers.Dense(2), tf.layers.Dropout(0.5), tf.layers.Dense(1)]
    model = tf.Sequential([tf.Input((3,)), *layers])
    model.load_weights(tmp_path / "w.h5")
    expected = [*weights["dense_9"].values(), *weights["dense_10"].values()]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), expected, strict=True))


def test_a_keras_file_of_2_15_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w", "w") as file:
        values = of(kernel=(3, 2), bias=(2,)) | of(kernel_2=(2, 1), bias_2=(1,))
        for place, value in zip(
            ("dense/vars/0", "dense/vars/1", "dense_1/vars/0", "dense_1/vars/1"), values.values(), strict=True
        ):
            file[f"_layer_checkpoint_dependencies/{place}"] = value
        file["optimizer/vars/0"] = np.array(3)
        file["metrics/mean/vars/0"] = np.array(1.0)
    training = {
        "optimizer": {"class_name": "Custom>SGD", "config": {"learning_rate": 0.1, "momentum": 0.0}},
        "loss": "mse",
    }
    config = {
        **ONE,
        "module": "keras",
        "build_config": {"input_shape": [None, 3]},
        "compile_config": training,
    }
    path = tmp_path / "m.keras"
    path.write_bytes(keras_file(config, (tmp_path / "w").read_bytes(), "2.13.1"))
    model = tf.load_model(path)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), values.values(), strict=True))
    assert model.optimizer.iterations == 3


def test_a_keras_file_of_2_15_that_kept_nothing_of_an_older_optimizer_says_so(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w", "w") as file:
        for name, rows, columns in (("dense", 3, 2), ("dense_1", 2, 1)):
            file[f"layers/{name}/vars/0"], file[f"layers/{name}/vars/1"] = (
                drawn(rows, columns),
                drawn(columns),
            )
    optimizer = {"module": "keras.optimizers.legacy", "class_name": "Adam", "config": ADAM}
    config = {**ONE, "module": "keras", "compile_config": {"optimizer": optimizer, "loss": "mse"}}
    (tmp_path / "m.keras").write_bytes(keras_file(config, (tmp_path / "w").read_bytes()))
    with pytest.warns(UserWarning, match="its training begins anew"):
        assert tf.load_model(tmp_path / "m.keras").optimizer.iterations == 0


REFUSED = {
    "time_major": (
        layer("LSTM", "l", **RNN, time_major=True, batch_input_shape=[None, 2, 3]),
        "time_major=true",
        ConfigError,
    ),
    "code": (
        layer("Lambda", "l", function=["4wEAAA==", None, None], function_type="lambda", batch_input_shape=[None, 3]),
        "it holds the code of a Python function",
        ConfigError,
    ),
    "a layer that is gone": (
        layer("LocallyConnected1D", "l", filters=2, kernel_size=[2], batch_input_shape=[None, 4, 3]),
        "'LocallyConnected1D'",
        UnknownNameError,
    ),
    "a function of TensorFlow": (
        {"class_name": "TFOpLambda", "config": {"name": "l", "function": "io.read_file"}},
        "the function tf.'io.read_file' as a layer",
        ConfigError,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_nothing_stands_for_any_more_is_refused_by_its_place(what: str, tmp_path: Path) -> None:
    entry, words, kind = REFUSED[what]
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [entry]}}
    with pytest.raises(kind, match=words) as error:
        tf.load_model(older(tmp_path / "m.h5", config, {}))
    assert "m.h5" in str(error.value) and "$.config.layers[" in str(error.value)
