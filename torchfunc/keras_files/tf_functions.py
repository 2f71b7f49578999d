"""Functions of TensorFlow that stand in graphs of Keras 2 as layers, and the ops of Keras 3 that they are.

There `tf.reduce_mean(x, axis=1)` is a layer of the class TFOpLambda whose config names `math.reduce_mean`, and whose
call says `[layer, call, tensor, {"axis": 1}]`. Source: tf_keras/src/layers/core/tf_op_layer.py, 2.21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torchfunc.errors import ConfigError, explain, shorten

LAYERS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")


class Function(NamedTuple):
    """A function of TensorFlow.

    Attributes:
        op: the class of Keras's op.
        config: the keywords that the op's constructor takes, and what it calls them.
        call: those that the op is called with, after the first argument, in their order.
        same: those that say nothing as long as they are this.
    """

    op: str
    config: Mapping[str, str] = {}
    call: tuple[str, ...] = ()
    same: Mapping[str, Any] = {}


_AXIS = {"axis": "axis"}
_REDUCED = {"axis": "axis", "keepdims": "keepdims"}
_OF_TWO = {
    "add": "Add", "subtract": "Subtract", "sub": "Subtract", "multiply": "Multiply", "mul": "Multiply",
    "truediv": "TrueDivide", "divide": "TrueDivide", "pow": "Power", "maximum": "Maximum", "minimum": "Minimum",
    "floordiv": "FloorDivide", "floormod": "Mod", "greater": "Greater", "greater_equal": "GreaterEqual", "less": "Less",
    "less_equal": "LessEqual", "equal": "Equal", "not_equal": "NotEqual", "logical_and": "LogicalAnd",
    "logical_or": "LogicalOr",
}  # fmt: skip
_OF_ONE = """negative exp log sqrt square sigmoid tanh sin cos tan sinh cosh floor ceil round sign reciprocal rsqrt erf
    expm1 log1p softplus"""
FUNCTIONS: dict[str, Function] = {
    **{
        f"{home}.{name}": Function(op, {}, ("y",))
        for home in ("math", "__operators__")
        for name, op in _OF_TWO.items()
    },
    **{f"math.{name}": Function(name.capitalize()) for name in _OF_ONE.split()},
    **{f"nn.{name}": Function(name.capitalize()) for name in "relu relu6 elu selu sigmoid tanh softplus softsign".split()},
    **{f"math.reduce_{name}": Function(name.capitalize(), _REDUCED) for name in "sum mean max min prod all any".split()},
    "math.abs": Function("Absolute"), "math.logical_not": Function("LogicalNot"), "math.neg": Function("Negative"),
    "__operators__.neg": Function("Negative"), "__operators__.abs": Function("Absolute"),
    "math.atan2": Function("Arctan2", {}, ("x",)), "floor_div": Function("FloorDivide", {}, ("y",)),
    "math.reduce_std": Function("Std", _REDUCED), "math.reduce_variance": Function("Var", _REDUCED),
    "gather": Function("Take", _AXIS, ("indices",), same={"batch_dims": 0}),
    "math.reduce_logsumexp": Function("Logsumexp", _REDUCED),
    "math.cumsum": Function("Cumsum", _AXIS, same={"exclusive": False, "reverse": False}),
    "math.argmax": Function("Argmax", _AXIS, same={"output_type": "int64"}),
    "math.argmin": Function("Argmin", _AXIS, same={"output_type": "int64"}),
    "nn.silu": Function("Silu", same={"beta": 1.0}), "nn.gelu": Function("Gelu", {"approximate": "approximate"}),
    "nn.leaky_relu": Function("LeakyRelu", {"alpha": "negative_slope"}),
    "nn.softmax": Function("Softmax", _AXIS), "nn.log_softmax": Function("LogSoftmax", _AXIS),
    "reshape": Function("Reshape", {"shape": "newshape"}),
    "transpose": Function("Transpose", {"perm": "axes"}, same={"conjugate": False}),
    "expand_dims": Function("ExpandDims", _AXIS), "squeeze": Function("Squeeze", _AXIS),
    "concat": Function("Concatenate", _AXIS), "stack": Function("Stack", _AXIS),
    "tile": Function("Tile", {"multiples": "repeats"}), "reverse": Function("Flip", _AXIS),
    "cast": Function("Cast", {"dtype": "dtype"}), "where": Function("Where", {}, ("x", "y")),
    "clip_by_value": Function("Clip", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "linalg.matmul": Function("Matmul", {}, ("b",), same=dict.fromkeys(
        ("transpose_a", "transpose_b", "adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse"), False)),
    "zeros_like": Function("ZerosLike"), "ones_like": Function("OnesLike"), "stop_gradient": Function("StopGradient"),
}  # fmt: skip
# what the functions do where a keyword is left out, and Keras's op does something else
_DEFAULTS: dict[str, dict[str, Any]] = {
    "math.argmax": {"axis": 0}, "math.argmin": {"axis": 0}, "math.cumsum": {"axis": 0}, "gather": {"axis": 0},
    "nn.gelu": {"approximate": False},
}  # fmt: skip
_OLD = "compat.v1."


def as_op(entry: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A layer that is a function of TensorFlow as the op of Keras 3 that it is, with its calls.

    Raises:
        ConfigError: a function or a keyword for which nothing stands.
    """
    config = entry["config"] if isinstance(entry["config"], Mapping) else {}
    name = config.get("function")
    nodes = entry.get("inbound_nodes")
    listed = list(nodes) if isinstance(nodes, list) else []
    if entry["class_name"] == "SlicingOpLambda":
        made = [_slice(node, f"{place}.inbound_nodes[{index}]") for index, node in enumerate(listed)]
        return _op("GetItem", {}, entry, made)
    known = FUNCTIONS.get(name.removeprefix(_OLD)) if isinstance(name, str) else None
    if known is None:
        raise ConfigError(
            explain(
                place,
                got=f"the function tf.{shorten(name)} as a layer",
                expected=f"a layer of Keras, or one of {', '.join(sorted(FUNCTIONS))}",
                fix="write it as a layer in Keras 2, and save the model again",
            )
        )
    settings: dict[str, Any] | None = None
    calls = []
    for index, node in enumerate(listed):
        where = f"{place}.inbound_nodes[{index}]"
        first, keywords = _parts(node, where)
        found = dict(_DEFAULTS.get(str(name).removeprefix(_OLD), {}))
        args = [first]
        for key in known.call:
            if key in keywords:
                args.append(_history(keywords[key]))
        for key, value in keywords.items():
            if key in known.config:
                found[known.config[key]] = _plain(value, where, key)
            elif (
                key not in known.call
                and key != "name"
                and value is not None
                and known.same.get(key, _plain) != value
            ):
                raise ConfigError(
                    explain(where, got=f"{shorten(key)}={shorten(value)}", expected=f"what {known.op} takes")
                )
        if settings is not None and settings != found:
            raise ConfigError(
                explain(where, got="other arguments than in its first call", expected="the same")
            )
        settings = found
        calls.append({"args": args, "kwargs": {}})
    return _op(known.op, settings or {}, entry, calls)


def _op(name: str, config: dict[str, Any], entry: Mapping[str, Any], nodes: list[Any]) -> dict[str, Any]:
    found = {"module": "keras.src.ops.numpy", "class_name": name, "config": config}
    return {**found, "name": entry.get("name"), "inbound_nodes": nodes}


def _parts(node: Any, place: str) -> tuple[Any, Mapping[str, Any]]:
    """The first argument of a call, one tensor or a list of them, and the keywords."""
    rows = node if isinstance(node, list) and node and isinstance(node[0], list) else [node]
    fits = all(isinstance(each, list) and len(each) == 4 and isinstance(each[3], Mapping) for each in rows)
    if not fits:
        raise ConfigError(explain(place, got=shorten(node), expected="[layer, call, tensor, keywords]"))
    tensors = [_history(each[:3]) for each in rows]
    return (tensors[0] if rows[0] is node or len(rows) == 1 else tensors), rows[0][3]


def _history(value: Any) -> Any:
    is_tensor = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
    if is_tensor and value[0] == "_CONSTANT_VALUE":
        return value[2]
    return {"class_name": "__keras_tensor__", "config": {"keras_history": value}} if is_tensor else value


def _plain(value: Any, place: str, key: str) -> Any:
    """A keyword's value, where it is no tensor of the graph."""
    rows = [value, *value] if isinstance(value, list) else [value]
    if any(isinstance(each, list) and each and isinstance(each[0], str) for each in rows):
        raise ConfigError(explain(place, got=f"a tensor as {key}", expected="numbers that the file says"))
    return value


def _slice(node: Any, place: str) -> dict[str, Any]:
    """A call of `x[...]`."""
    first, keywords = _parts(node, place)
    spec = keywords.get("slice_spec")
    listed = isinstance(spec, list) and not (len(spec) == 3 and isinstance(spec[0], str))
    found = [_index(each, place) for each in spec] if listed else _index(spec, place)  # type: ignore[union-attr]
    return {"args": [first, found], "kwargs": {}}


def _index(value: Any, place: str) -> Any:
    if value is None or type(value) is int:
        return value
    is_slice = isinstance(value, Mapping) and value.keys() == {"start", "stop", "step"}
    if is_slice and all(each is None or type(each) is int for each in value.values()):
        return {"class_name": "__slice__", "config": dict(value)}
    if value == "..." or (isinstance(value, Mapping) and value.get("class_name") == "__ellipsis__"):
        return {"class_name": "__ellipsis__", "config": {}}
    raise ConfigError(explain(place, got=shorten(value), expected="numbers and slices of numbers"))
