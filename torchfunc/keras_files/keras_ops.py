"""Operations: Keras's ops as they stand in files, by the names of their classes, and what they are here.

In Keras every op is a class, whose constructor takes what is no tensor and whose call takes the tensors:
`ops.mean(x, axis=1)` is `Mean(axis=1)(x)`, and a file says `{"class_name": "Mean", "config": {"axis": 1}}` and the
arguments of the call. Source of the classes and of how many of their function's arguments are for the call:
keras/src/ops, Keras 3.15.1.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import torch

from torchfunc import functions
from torchfunc.errors import ConfigError, SavingError, UnknownNameError, explain, shorten
from torchfunc.graph.graph import Call, Ref
from torchfunc.keras_files.places import snake_case
from torchfunc.tree import leaves

# by the file of Keras that has them, and how many of the function's first arguments are for the call
_CLASSES = {
    ("core", 1): "StopGradient Unstack Cast SaturateCast ConvertToTensor",
    ("core", 2): "Scatter Slice",
    ("core", 3): "ScatterUpdate SliceUpdate",
    ("einops", 3): "Rearrange",
    ("image", 1): """RGBToGrayscale RGBToHSV HSVToRGB Resize ExtractPatches PadImages CropImages GaussianBlur
        ElasticTransform SobelEdges""",
    ("image", 2): "AffineTransform MapCoordinates SSIM",
    ("image", 3): "PerspectiveTransform",
    ("image", 4): "ScaleAndTranslate",
    ("linalg", 1): "Cholesky CholeskyInverse Det Eig Eigh Inv LuFactor Norm Qr SVD MatrixRank Pinv",
    ("linalg", 2): "Solve SolveTriangular Lstsq",
    ("math", 1): """TopK Logsumexp ExtractSequences FFT FFT2 IFFT2 RFFT IRFFT STFT ISTFT Rsqrt Erf Erfc Erfinv Logdet
        ViewAsComplex ViewAsReal""",
    ("math", 2): "SegmentSum SegmentMax SegmentMin SegmentProd InTopK CDist",
    ("nn", 1): """Relu Relu6 Sigmoid SparseSigmoid Softplus Softsign SoftShrink SparsePlus Silu Squareplus LogSigmoid
        LeakyRelu HardSigmoid HardSilu Elu Selu Gelu Celu Glu TanhShrink HardTanh HardShrink Threshold Softmax
        LogSoftmax Sparsemax MaxPool AdaptiveMaxPool AveragePool AdaptiveAveragePool OneHot MultiHot Moments Normalize
        Unfold Fold DepthToSpace SpaceToDepth""",
    ("nn", 2): """Conv DepthwiseConv ConvTranspose BinaryCrossentropy CategoricalCrossentropy
        SparseCategoricalCrossentropy CTCDecode PSNR Polar""",
    ("nn", 3): "SeparableConv",
    ("nn", 4): "CTCLoss BatchNorm LayerNorm RMSNorm",
    ("nn", 6): "DotProductAttention",
    ("numpy", 1): """Rot90 Absolute Abs Fabs All Angle Any Amax Amin Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Argmax
        Argmin Argsort Array View Bincount BitwiseInvert BitwiseNot BroadcastTo Cbrt Ceil Clip Concatenate Conjugate
        Conj Copy Cos Cosh CountNonzero Cumprod Cumsum Deg2rad Rad2deg Diag Diagflat Diagonal Diff Dstack EmptyLike Exp
        Exp2 ExpandDims Expm1 Flip Fliplr Flipud Floor Hstack Hsplit Imag I0 Isfinite Isinf Isnan Isneginf Isposinf
        Isreal Log Log10 Log1p Log2 LogicalNot Max Median Meshgrid Min Moveaxis Nanargmax Nanargmin Nancumsum
        Nancumprod Nanmax Nanmean Nanmedian Nanmin Nanprod Nanstd Nansum Nanvar NanToNum Ndim Nonzero OnesLike
        ZerosLike Prod Ptp Ravel UnravelIndex Real Reciprocal Repeat Reshape Roll Round Sign Signbit Sin Sinc Sinh Size
        Sort Split Stack Std Swapaxes Tan Tanh Tile Trace Tril Triu Trunc Vstack Vsplit Negative Square Sqrt Squeeze
        Transpose Trapezoid Mean Vander Var Sum Corrcoef Slogdet Argpartition Histogram ArraySplit Unique Dsplit
        Average Einsum Full Pad""",
    ("numpy", 2): """Add Append Arctan2 Heaviside BitwiseAnd BitwiseOr BitwiseXor BitwiseLeftShift LeftShift
        BitwiseRightShift RightShift Cross Digitize Dot Equal FullLike Gcd GetItem Geomspace Greater GreaterEqual Hypot
        Kron Lcm Ldexp Less LessEqual Linspace Logaddexp Logaddexp2 LogicalAnd LogicalOr Logspace Matmul Maximum Fmax
        Minimum Fmin Mod Fmod Nanpercentile Nanquantile NotEqual Outer Percentile Quantile Take TakeAlongAxis Tensordot
        Vdot Inner Subtract Multiply Divide DivideNoNan TrueDivide Power Nextafter FloorDivide LogicalXor Correlate
        AllClose IsIn SearchSorted""",
    ("numpy", 3): "Arange Where Select",
    ("numpy", 4): "Isclose",
}  # fmt: skip
# functions whose names are not their class's, and calls that take other arguments than the first ones
_FUNCTIONS = {
    "AllClose": "allclose", "IsIn": "isin", "SearchSorted": "searchsorted", "Abs": "absolute", "Conj": "conjugate",
    "BatchNorm": "batch_normalization", "LayerNorm": "layer_normalization", "RMSNorm": "rms_normalization",
    "CDist": "cdist", "BitwiseInvert": "bitwise_not", "LeftShift": "bitwise_left_shift", "RightShift": "bitwise_right_shift",
}  # fmt: skip
_CALLED_WITH: dict[str, tuple[str, ...]] = {
    "Average": ("x", "weights"), "Full": ("fill_value",), "Pad": ("x", "constant_values"), "Einsum": ("operands",),
    "BatchNorm": ("x", "mean", "variance", "offset", "scale"), "LayerNorm": ("x", "gamma", "beta"),
    "RMSNorm": ("x", "scale"),
}  # fmt: skip

# Python's operators, which are functions of their own here
_OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": operator.add, "Subtract": operator.sub, "Multiply": operator.mul, "TrueDivide": operator.truediv,
    "FloorDivide": operator.floordiv, "Mod": operator.mod, "Power": operator.pow, "Matmul": operator.matmul,
    "Negative": operator.neg, "Equal": operator.eq, "NotEqual": operator.ne, "Less": operator.lt,
    "LessEqual": operator.le, "Greater": operator.gt, "GreaterEqual": operator.ge, "GetItem": operator.getitem,
    "Divide": operator.truediv,
}  # fmt: skip


GET_ITEM = operator.getitem


class Spelled(NamedTuple):
    """A function of PyTorch that is an op of Keras: its arguments by place, and what Keras calls those of them that
    its constructor takes."""

    function: Callable[..., Any]
    arguments: tuple[str, ...] = ("input",)
    configured: Mapping[str, str] = {}


_DIM = {"dim": "axis"}


def _reduced(function: Callable[..., Any]) -> Spelled:
    return Spelled(function, ("input", "dim", "keepdim"), {"dim": "axis", "keepdim": "keepdims"})


# PyTorch's, for graphs that call them
_SPELLED: dict[str, Spelled] = {
    **{
        name: Spelled(getattr(torch, name.lower()))
        for name in "Sigmoid Tanh Exp Expm1 Log Log1p Log2 Log10 Sqrt Rsqrt Square Sin Cos Tan Sinh Cosh Floor Ceil Sign "
        "Reciprocal Erf Isnan Isinf Isfinite Relu Selu".split()
    },
    "Absolute": Spelled(torch.abs),
    "LogicalNot": Spelled(torch.logical_not),
    **{
        name: Spelled(getattr(torch, snake_case(name)), ("input", "other"))
        for name in "LogicalAnd LogicalOr LogicalXor Maximum Minimum".split()
    },
    "Sum": _reduced(torch.sum), "Mean": _reduced(torch.mean), "Max": _reduced(torch.amax),
    "Min": _reduced(torch.amin), "Any": _reduced(torch.any), "All": _reduced(torch.all),
    "Softmax": Spelled(torch.softmax, ("input", "dim"), _DIM),
    "LogSoftmax": Spelled(torch.log_softmax, ("input", "dim"), _DIM),
    "ExpandDims": Spelled(torch.unsqueeze, ("input", "dim"), _DIM),
    "Squeeze": Spelled(torch.squeeze, ("input", "dim"), _DIM),
    "Concatenate": Spelled(torch.cat, ("tensors", "dim"), _DIM),
    "Stack": Spelled(torch.stack, ("tensors", "dim"), _DIM),
    "Reshape": Spelled(torch.reshape, ("input", "shape"), {"shape": "newshape"}),
    "Transpose": Spelled(torch.permute, ("input", "dims"), {"dims": "axes"}),
    "ZerosLike": Spelled(torch.zeros_like, ("input", "dtype"), {"dtype": "dtype"}),
    "OnesLike": Spelled(torch.ones_like, ("input", "dtype"), {"dtype": "dtype"}),
    "Clip": Spelled(torch.clamp, ("input", "min", "max"), {"min": "x_min", "max": "x_max"}),
    "Where": Spelled(torch.where, ("condition", "input", "other")),
}  # fmt: skip
# `x | y` of truth values is a function of its own in Python
_ALSO: dict[Any, str] = {
    operator.or_: "LogicalOr", operator.and_: "LogicalAnd", operator.xor: "LogicalXor", operator.invert: "LogicalNot",
    operator.abs: "Absolute",
}  # fmt: skip


@cache
def _classes() -> dict[str, tuple[str, int]]:
    """Every class of an op: the file that has it, and how many arguments its call takes."""
    return {name: key for key, names in _CLASSES.items() for name in names.split()}


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a file's list of layers is an op: where no module is said, by a config that is none of a layer."""
    if "module" in entry:
        return str(entry["module"]).startswith(("keras.src.ops.", "keras.ops"))
    known = entry.get("class_name") in _classes() and isinstance(entry.get("config"), Mapping)
    return known and "trainable" not in entry["config"]


def function_of(name: Any, place: str) -> Callable[..., Any]:
    """What an op of Keras is here: a function of its call's arguments, and of its constructor's by name.

    Raises:
        UnknownNameError: no op has that name, or none here yet.
    """
    if not isinstance(name, str) or (name not in _classes() and name not in _OPERATORS):
        raise UnknownNameError(f"op of Keras at {place}", name, _classes())
    if name in _OPERATORS:
        return _OPERATORS[name]
    word, known = _FUNCTIONS.get(name, snake_case(name)), functions.by_name()
    for home in ("ops", "ops.nn", "ops.linalg", "ops.image"):
        if f"{home}.{word}" in known:
            return _by_place(name, known[f"{home}.{word}"])
    raise UnknownNameError(f"op of Keras at {place}", name, _classes(), "That one is not here yet.")


def _by_place(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose arguments by place are those of the call of Keras's class."""
    names = _CALLED_WITH.get(name)
    if names is None:
        return function
    if name == "Einsum":
        return lambda *operands, subscripts: function(subscripts, *operands)
    return lambda *args, **kwargs: function(**dict(zip(names, args, strict=False)), **kwargs)


class Written(NamedTuple):
    """A call as Keras's files have it: the class of an op, its file, its constructor's arguments and its call's."""

    name: str
    module: str
    config: dict[str, Any]
    args: list[Any]
    kwargs: dict[str, Any] = {}  # noqa: RUF012  a field of a tuple, and never changed


def written(call: Call) -> Written:
    """A call of a function or method as the op of Keras that it is.

    Raises:
        SavingError: Keras has no such op, or it takes other arguments there.
    """
    if call.kind not in ("function", "method"):
        raise _no_op(call)
    name = {"view": "reshape"}.get(call.target, call.target)
    target = getattr(torch, name, name) if call.kind == "method" else call.target
    for table in (_spelled_operators(), _also()):
        if (name := table.get(_key(target))) is not None:
            return _as(name, list(call.args), {}, call)
    if (name := _by_function().get(_key(target))) is not None:
        spelled = _SPELLED[name]
        args = call.args
        if name in ("Reshape", "Transpose") and len(args) > 2:  # x.reshape(-1, 4)
            args = (args[0], args[1:])
        given = {**dict(zip(spelled.arguments, args, strict=False)), **call.kwargs}
        positional = len(args) <= len(spelled.arguments)
        if not positional or given.keys() - set(spelled.arguments):
            raise _no_op(call)
        config = {keras: given.pop(ours) for ours, keras in spelled.configured.items() if ours in given}
        return _as(name, [given[each] for each in spelled.arguments if each in given], config, call)
    spelling = functions.name_of(target) or ""
    if spelling.startswith("ops."):
        return _of_ours(spelling.rpartition(".")[2], call)
    raise _no_op(call)


def _of_ours(word: str, call: Call) -> Written:
    """A call of an op of ours, whose function has Keras's arguments."""
    name = next((each for each in _classes() if _FUNCTIONS.get(each, snake_case(each)) == word), None)
    if name is None:
        raise _no_op(call)
    parameters = inspect.signature(call.target).parameters
    try:
        bound = inspect.signature(call.target).bind(*call.args, **call.kwargs).arguments
    except (TypeError, ValueError):
        raise _no_op(call) from None
    called = _CALLED_WITH.get(name) or tuple(parameters)[: _classes()[name][1]]
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for key in (each for each in called if each in bound):
        if parameters[key].kind is inspect.Parameter.VAR_POSITIONAL:
            args += bound[key]
        elif parameters[key].kind is inspect.Parameter.VAR_KEYWORD:
            kwargs |= bound[key]
        else:
            args.append(bound[key])
    skipped = next((index for index, key in enumerate(called) if key not in bound), len(called))
    if any(key in bound for key in called[skipped:]):  # one is left out before another
        args, kwargs = [], {key: bound[key] for key in called if key in bound}
    config = {key: value for key, value in bound.items() if key not in called}
    return _as(name, args, config, call)._replace(kwargs=kwargs)


def _as(name: str, args: list[Any], config: dict[str, Any], call: Call) -> Written:
    # a list of indices would come back as a tuple of them
    if (name == "GetItem" and isinstance(args[-1], list)) or any(
        isinstance(each, Ref) for each in leaves(config)
    ):
        raise _no_op(call)
    dtype = config.get("dtype")
    if isinstance(dtype, torch.dtype):
        config = {**config, "dtype": str(dtype).removeprefix("torch.")}
    return Written(name, f"keras.src.ops.{_classes()[name][0]}", config, args)


def _no_op(call: Call) -> SavingError:
    said = functions.spelling_of(call.target) if call.kind == "function" else f"x.{call.target}"
    return SavingError(
        explain(
            f"The call {call.name!r}",
            got=str(said or shorten(getattr(call.target, "__qualname__", call.target))),
            expected="a layer or an op that Keras has",
            why="a file of Keras names nothing else",
            fix="call a layer of torchfunc.layers there, or model.save('model.safetensors'), which keeps any function",
        )
    )


def _key(target: Any) -> Any:
    """A function by itself; some of PyTorch's have two objects for one name."""
    return functions.spelling_of(target) or target


@cache
def _spelled_operators() -> dict[Any, str]:
    return {_key(function): name for name, function in reversed(_OPERATORS.items())}


@cache
def _also() -> dict[Any, str]:
    return {_key(function): name for function, name in _ALSO.items()}


@cache
def _by_function() -> dict[Any, str]:
    found = {_key(each.function): name for name, each in _SPELLED.items()}
    return {
        **found,
        **{f"F.{snake_case(name)}": name for name in "Relu Sigmoid Tanh Selu Softmax LogSoftmax".split()},
    }


def checked_config(config: Any, place: str) -> dict[str, Any]:
    """The constructor's arguments of an op, with tuples where JSON has lists.

    Raises:
        ConfigError: no object.
    """
    if not isinstance(config, Mapping):
        expected = "an object with the arguments of an op"
        raise ConfigError(explain(place, got=shorten(config), expected=expected))
    found = {}
    for key, value in config.items():
        is_said = key == "dtype" and isinstance(value, str)  # a policy is none of the op's
        if is_said or key not in ("name", "dtype", "rms_scaling"):
            found[key] = _tupled(value)
    return found


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
