"""Every function and method of PyTorch that emission knows by name records, and computes in a graph what it computes.

The arguments are found by trying: the first of `CANDIDATES` that a function takes; what takes none of them
stands in `SPECIAL`.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import get_overridable_functions

import torchfunc as tf
from torchfunc import functions
from torchfunc.errors import GraphError
from torchfunc.graph.refusals import NEED_VALUES, changes_its_argument
from torchfunc.graph.symbolic import SYMBOLS, Dimension, SymbolicTensor
from torchfunc.tree import leaves, map_leaves

# of the functions and methods listed in torchfunc.functions, under torch 2.13; files may name all but 13
RECORDED = 985
REFUSED = 0
# of the overridable functions of PyTorch that change a tensor, or answer with what only a real one has
REFUSED_IN_PLACE = 162
REFUSED_FOR_VALUES = 28
# of the others, which have no name there
RECORDED_UNLISTED = 57
ANSWERED = 11

draw = torch.Generator().manual_seed(0)


def rand(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    value = torch.rand(shape, generator=draw, dtype=dtype)
    return value if dtype.is_complex else value * 0.8 + 0.1


A, A2, V, W, R = rand(3, 4), rand(3, 4), rand(4), rand(4), rand(3, 3)
S = R @ R.T + torch.eye(3)
T, T2 = rand(2, 3, 4), rand(2, 4, 3)
I = torch.randint(0, 3, (3, 4), generator=draw)  # noqa: E741
J = I % 2 + 1
M = torch.tensor([[True, False, True, False]] * 3)
C = rand(3, 4, dtype=torch.complex64)
AT = torch.tensor([2, 0])
IMAGES = [rand(2, 4, *[6] * rank) for rank in (1, 2, 3)]

CANDIDATES: list[tuple[Any, ...]] = [
    *[
        (A,),
        (A, A2),
        (A, 1),
        (S,),
        (S, S),
        (A, 0.5),
        (A, 1, AT[:1]),
        (A, A2, A2),
        (S, S, S),
        (V,),
        (V, W),
        (T,),
    ],
    *[
        (T, T2),
        (S, T[0, :, :3]),
        (I,),
        (J, J),
        (J, 1),
        (C,),
        (C, C),
        (A, 0),
        (A, 0, 1),
        (A, 1, 0, 2),
        (A, (4, 3)),
    ],
    *[(A, [1]), (A, [1], [0]), (A, 0, AT), (A, 0, I[:2]), (A, 0, I, A2), (A, 0, AT, A2[:2]), (A, 0, AT, 1.0)],
    *[(A, M, 0.5), (A, M), (M, A, A2), (I, A), ([A, A2],), ([A, A2], 1), ([S, S, S],), (A, 2), (A, 2, 1)],
    *[
        (A, [1, 2, 1], 1),
        (A, 0, 0, 2),
        (A, 1, 0),
        (A, V),
        (A, S),
        (S, V),
        (S, 2),
        (A, 0, A2[0]),
        (A, A2[0], 0, 1),
    ],
    *[(A, A2[:2], 0, 0, 2), (A, (3, 4), (4, 1)), (V, 3)],
]
for image in IMAGES:
    rank = image.ndim - 2
    CANDIDATES += [(image,), (image, 2), (image, [2] * rank), (image, rand(4, 4, *[2] * rank))]
    CANDIDATES += [(image, 2, [3] * rank), (image, torch.zeros(4), torch.ones(4)), (image, (1, 1))]

N = object()  # stands for a live dimension, 5 when it runs
GRID = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]] * 2)
LU = torch.linalg.lu_factor(S)
LDL = torch.linalg.ldl_factor(S)
QR = torch.geqrf(A.T)
SIGNS = torch.tensor([1.0, -1.0, 1.0])
SPECTRUM = torch.stft(rand(64), 16, window=torch.hann_window(16), return_complex=True)
ATTENTION = (rand(5, 2, 8), rand(5, 2, 8), rand(5, 2, 8), 8, 2, rand(24, 8), rand(24), None, None, False, 0.0)
POOLED = {rank: F.max_pool1d(IMAGES[0], 2, return_indices=True) for rank in (1,)}
POOLED[2] = F.max_pool2d(IMAGES[1], 2, return_indices=True)
POOLED[3] = F.max_pool3d(IMAGES[2], 2, return_indices=True)
CTC = (
    rand(7, 2, 4).log_softmax(2),
    torch.tensor([[1, 2], [3, 1]]),
    torch.tensor([7, 7]),
    torch.tensor([2, 2]),
)

SPECIAL: dict[str, tuple[Any, ...]] = {
    "addbmm": (rand(3, 3), T, T2),
    "addmv": (rand(3), A, V),
    "addr": (A, rand(3), V),
    "affine_grid": (GRID, [2, 1, 3, 3]),
    "affine_grid_generator": (GRID, [2, 1, 3, 3], False),
    "alpha_dropout": (A, 0.5, True),
    "arange": (N,),
    "as_strided_scatter": (A, rand(2, 2), (2, 2), (1, 2)),
    "baddbmm": (rand(2, 3, 3), T, T2),
    "as_strided": (A, (2, 2), (1, 2)),
    "bartlett_window": (N,),
    "batch_norm": (A, V, W, V, W, True, 0.1, 1e-5, False),
    "F.batch_norm": (A, V, W, V, W, True),
    "F.instance_norm": (T,),
    "kaiser_window": (N,),
    "layer_norm": (A, (4,)),
    "rms_norm": (A, (4,)),
    "bilinear": (A, A2, rand(5, 4, 4)),
    "bincount": (I[0],),
    "blackman_window": (N,),
    "broadcast_to": (A, (2, 3, 4)),
    "conv_tbc": (rand(7, 2, 4), rand(3, 4, 5), rand(5)),
    "cosine_embedding_loss": (A, A2, SIGNS),
    "ctc_loss": CTC,
    "diagonal_scatter": (S, rand(3)),
    "dim": (A,),
    "dropout": (A, 0.5, True),
    "einsum": ("ij,kj->ik", A, A2),
    "embedding_bag": (A, I[0], torch.tensor([0, 2])),
    "empty": (N, 3),
    "expand": (A, 2, 3, 4),
    "eye": (N,),
    "feature_alpha_dropout": (T, 0.5, True),
    "feature_dropout": (T, 0.5, True),
    "full": ((N, 2), 1.5),
    "grid_sample": (IMAGES[1], rand(2, 3, 3, 2)),
    "hamming_window": (N,),
    "hann_window": (N,),
    "householder_product": QR,
    "index_put": (A, (AT,), V),
    "index_reduce": (A, 0, AT, A2[:2], "prod"),
    "instance_norm": (T, None, None, None, None, True, 0.1, 1e-5, False),
    "istft": (SPECTRUM, 16, 4, 16, torch.hann_window(16)),
    "ldl_solve": (*LDL, S),
    "linspace": (0.0, 1.0, N),
    "logspace": (0.0, 1.0, N),
    "lu_solve": (S, *LU),
    "torch.linalg.lu_solve": (*LU, S),
    "lu_unpack": (*LU,),
    "masked_scatter": (A, M, A2),
    "max_unpool1d": (*POOLED[1], 2),
    "max_unpool2d": (*POOLED[2], 2),
    "max_unpool3d": (*POOLED[3], 2),
    "multi_head_attention_forward": (*ATTENTION, rand(8, 8), rand(8)),
    "multi_margin_loss": (A, torch.tensor([0, 3, 1])),
    "multilabel_margin_loss": (A, torch.tensor([[3, 0, -1, 1]] * 3)),
    "nelement": (A,),
    "ndimension": (A,),
    "nll_loss": (A, torch.tensor([0, 3, 1])),
    "nonzero_static": (A, {"size": 3}),
    "normal": (A, A2),
    "numel": (A,),
    "ones": (N, 3),
    "orgqr": QR,
    "ormqr": (*QR, rand(4, 2)),
    "permute": (A, (1, 0)),
    "poisson_nll_loss": (A, A2, True, False, 1e-8, 1),
    "F.poisson_nll_loss": (A, A2, True, True),
    "polygamma": (1, A),
    "x.polygamma": (A, 1),
    "put": (A, AT, V[:2]),
    "rand": (N, 3),
    "randint": (9, (N, 3)),
    "randn": (N, 3),
    "randperm": (N,),
    "scalar_tensor": (N,),
    "scatter_reduce": (A, 0, I, A2, "sum"),
    "size": (A,),
    "solve_triangular": (S.triu(), S, {"upper": True}),
    "stft": (rand(64), 16, {"return_complex": True, "window": torch.hann_window(16)}),
    "sym_float": (N,),
    "sym_int": (N,),
    "sym_max": (N, 3),
    "sym_min": (N, 3),
    "tensorinv": (torch.eye(6).view(6, 2, 3), 1),
    "tensorsolve": (torch.eye(6).view(2, 3, 2, 3), rand(2, 3)),
    "tril_indices": (N, 3),
    "triu_indices": (N, 3),
    "unflatten": (A, 1, (2, 2)),
    "vander": (V,),
    "view_as_complex": (rand(3, 2),),
    "zeros": (N, 3),
}


CELL = (A, rand(3, 5), rand(15, 4), rand(15, 5))
SPECIAL_UNLISTED: dict[str, tuple[Any, ...]] = {
    "convolution": (IMAGES[1], rand(4, 4, 2, 2), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
    "expand_copy": (A, (2, 3, 4)),
    "fake_quantize_per_channel_affine": (A, V, torch.zeros(4, dtype=torch.int32), 1, 0, 255),
    "fake_quantize_per_tensor_affine": (A, 0.1, 0, 0, 255),
    "grid_sampler": (IMAGES[1], rand(2, 3, 3, 2), 0, 0, False),
    "grid_sampler_2d": (IMAGES[1], rand(2, 3, 3, 2), 0, 0, False),
    "grid_sampler_3d": (IMAGES[2], rand(2, 3, 3, 3, 3), 0, 0, False),
    "gru_cell": CELL,
    "lstm_cell": (A, [rand(3, 5), rand(3, 5)], rand(20, 4), rand(20, 5)),
    "native_batch_norm": (IMAGES[1], None, None, None, None, True, 0.1, 1e-5),
    "native_dropout": (A, 0.5, True),
    "native_group_norm": (IMAGES[1], None, None, 2, 4, 36, 2, 1e-5),
    "native_layer_norm": (A, (4,), None, None, 1e-5),
    "rnn_relu_cell": (A, rand(3, 5), rand(5, 4), rand(5, 5)),
    "rnn_tanh_cell": (A, rand(3, 5), rand(5, 4), rand(5, 5)),
    "permute_copy": (A, (1, 0)),
    "resize": (A, 4, 3),
    "sym_sum": ([N, 3],),
    "view_as_complex_copy": (rand(3, 2),),
}
# the overridable functions that no test here calls, by the reason why
LEFT_OUT = {
    "takes or makes tensors of quantized dtypes, which no Input has": """
        torch.choose_qparams_optimized torch.fused_moving_avg_obs_fake_quant torch.int_repr
        torch.q_per_channel_axis torch.q_per_channel_scales torch.q_per_channel_zero_points torch.q_scale
        torch.q_zero_point torch.quantize_per_channel torch.quantize_per_tensor
        torch.quantize_per_tensor_dynamic torch.quantized_batch_norm torch.quantized_gru_cell
        torch.quantized_lstm_cell torch.quantized_max_pool1d torch.quantized_max_pool2d
        torch.quantized_max_pool3d torch.quantized_rnn_relu_cell torch.quantized_rnn_tanh_cell x.int_repr
        x.q_per_channel_axis x.q_per_channel_scales x.q_per_channel_zero_points x.q_scale x.q_zero_point
        x.qscheme
    """,
    "takes sparse tensors, which no Input is": """
        torch.ccol_indices_copy torch.col_indices_copy torch.crow_indices_copy torch.hsmm torch.hspmm
        torch.indices_copy torch.native_norm torch.row_indices_copy torch.saddmm torch.smm torch.sspaddmm
        torch.values_copy x.ccol_indices x.coalesce x.col_indices x.crow_indices x.indices x.is_coalesced
        x.row_indices x.smm x.sparse_mask x.sspaddmm x.values
    """,
    "is there for one backend or device, which a test cannot count on": """
        torch.batch_norm_backward_elemt torch.batch_norm_backward_reduce torch.batch_norm_elemt
        torch.batch_norm_gather_stats torch.batch_norm_gather_stats_with_counts torch.batch_norm_stats
        torch.batch_norm_update_stats torch.fbgemm_linear_fp16_weight
        torch.fbgemm_linear_fp16_weight_fp32_activation torch.fbgemm_linear_int8_weight
        torch.fbgemm_linear_int8_weight_fp32_activation torch.fbgemm_linear_quantize_weight
        torch.fbgemm_pack_gemm_matrix_fp16 torch.fbgemm_pack_quantized_matrix torch.miopen_batch_norm
        torch.miopen_convolution torch.miopen_convolution_add_relu torch.miopen_convolution_relu
        torch.miopen_convolution_transpose torch.miopen_depthwise_convolution torch.miopen_rnn x.cuda
        x.ipu x.mtia x.record_stream x.xpu
    """,
    "is what nn.GRU, nn.LSTM and nn.RNN call: tests/graph/test_torch_nn.py": """
        torch.gru torch.lstm torch.rnn_relu torch.rnn_tanh
    """,
    "takes no tensor": "torch.autocast torch.sym_ite torch.sym_not",
}
EXCUSED = {name for names in LEFT_OUT.values() for name in names.split()}


METHODS = functions.METHODS | {name[2:] for name in functions.WITHHELD if name.startswith("x.")}


def listed() -> dict[str, Callable[..., Any]]:
    """Every listed function of PyTorch, and a caller for every listed method. Of `ops`, tests/ops."""
    methods = {
        f"x.{name}": lambda value, *args, name=name, **kwargs: getattr(value, name)(*args, **kwargs)
        for name in sorted(METHODS)
    }
    theirs = {
        name: each
        for name, each in functions.by_spelling().items()
        if not name.startswith(("ops.", "random."))
    }
    return {**theirs, **methods}


LISTED = listed()


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Tensor)]


def parts(arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments; a dict at the end holds keywords."""
    is_keyed = bool(arguments) and isinstance(arguments[-1], dict)
    return (arguments[:-1], arguments[-1]) if is_keyed else (arguments, {})


def run(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    args, kwargs = copy.deepcopy(parts(map_leaves(lambda leaf: 5 if leaf is N else leaf, arguments)))
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def arguments_for(name: str) -> tuple[Any, ...]:
    special = SPECIAL.get(name, SPECIAL.get(name.rpartition(".")[2]))
    return special if special is not None else next(fitting(LISTED[name]))


def fitting(function: Callable[..., Any]) -> Iterator[tuple[Any, ...]]:
    for candidate in CANDIDATES:
        try:
            found = run(function, candidate)
        except Exception:
            continue
        if tensors(found):
            yield candidate


def drawn(name: str, arguments: tuple[Any, ...], unknown: bool) -> tuple[tf.Model, list[Any], Any]:
    """A model of one call whose tensors are all symbolic, the values for its inputs, and what it returned."""
    function = LISTED[name]
    inputs: list[Any] = []
    values: list[Any] = []

    def symbol(leaf: Any) -> Any:
        if leaf is N:
            inputs.append(tf.Input((None,)))
            values.append(torch.zeros(1, 5))
            return inputs[-1].shape[1]
        if not isinstance(leaf, Tensor):
            return leaf
        shape = (None, *leaf.shape[1:]) if unknown and leaf.ndim else tuple(leaf.shape)
        inputs.append(tf.Input(batch_shape=shape, dtype=leaf.dtype))
        values.append(leaf)
        return inputs[-1]

    args, kwargs = parts(map_leaves(symbol, arguments))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if any(leaf is N for leaf in leaves(arguments)):
            found = tf.call(function, *args, **kwargs)
        else:
            found = function(*args, **kwargs)
        outputs = [leaf for leaf in leaves(found) if isinstance(leaf, SYMBOLS)]
        return tf.Model(inputs, outputs) if outputs else None, values, found  # type: ignore[return-value]


def close(left: Tensor, right: Tensor) -> bool:
    if left.dtype in (torch.complex32, torch.bfloat16):
        left, right = left.to(torch.complex64), right.to(torch.complex64)
    return left.dtype == right.dtype and torch.allclose(left, right, rtol=1e-5, atol=1e-6, equal_nan=True)


# without data PyTorch states the sizes of its other results wrongly
FIRST_ALONE = {"torch.embedding_bag"}


def compare(name: str, unknown: bool) -> None:
    """Check that a function gives in a graph what it gives alone."""
    arguments = arguments_for(name)
    model, values, found = drawn(name, arguments, unknown)
    expected = run(LISTED[name], arguments)
    if model is None:
        assert unknown or found == expected
        return
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = model(*copy.deepcopy(values))
    pairs = zip(leaves(found), leaves(expected), strict=True)
    symbols = [(symbol, value) for symbol, value in pairs if isinstance(symbol, SYMBOLS)]
    assert len(results) == len(symbols) >= len(tensors(expected))
    count = 1 if name in FIRST_ALONE else len(results)
    for result, (symbol, value) in list(zip(results, symbols, strict=True))[:count]:
        if isinstance(symbol, Dimension):
            assert result == value and type(result) is type(value)
            continue
        known = symbol.spec.shape
        assert symbol.dtype == value.dtype == result.dtype
        assert len(known) == value.ndim
        assert all(size is None or size == real for size, real in zip(known, value.shape, strict=True)), (
            known,
            value.shape,
        )
        assert result.shape == value.shape
        assert "empty" in name or close(result, value)


def test_every_listed_function_and_method_records_and_replays() -> None:
    failures: dict[str, str] = {}
    for name in LISTED:
        try:
            compare(name, unknown=False)
        except Exception as error:
            failures[name] = f"{type(error).__name__}: {error}"[:300]
    assert failures == {}
    if torch.__version__.startswith("2.13"):
        assert (len(LISTED) - len(failures), len(failures)) == (RECORDED, REFUSED)


def test_with_unknown_dimensions_each_replays_or_says_why_it_cannot() -> None:
    failures: dict[str, str] = {}
    refused = []
    for name in LISTED:
        try:
            compare(name, unknown=True)
        except GraphError as error:
            refused.append(name)
            if len(str(error)) > 1000 or "got" not in str(error):
                failures[name] = str(error)[:300]
        except Exception as error:
            failures[name] = f"{type(error).__name__}: {error}"[:300]
    assert failures == {}
    assert len(refused) < 160, refused


def overridable() -> dict[str, Any]:
    """The overridable functions of PyTorch by name, methods as `x.name`, without those that are private."""
    homes = {torch: "torch", F: "F", torch.functional: "torch", torch.linalg: "torch.linalg", Tensor: "x"}
    homes |= {torch.fft: "torch.fft", torch.special: "torch.special"}
    found = get_overridable_functions()
    return {
        f"{prefix}.{function.__name__}": function
        for home, prefix in homes.items()
        for function in found[home]
        if not function.__name__.startswith("_")
    }


OVERRIDABLE = overridable()


def refusal(name: str) -> str:
    """What calling a function or method on a symbol says, or nothing."""
    x = tf.Input((3,))
    word = name.rpartition(".")[2]
    for arguments in ((), (x,), (x, x)):
        try:
            getattr(x, word)(*arguments) if name.startswith("x.") else OVERRIDABLE[name](x, *arguments)
        except GraphError as error:
            return str(error)
        except TypeError:
            continue  # not these arguments
    return ""


def test_what_works_in_place_is_refused_by_its_name() -> None:
    methods = [name for name in OVERRIDABLE if name.startswith("x.") and name.endswith("_")]
    for name in methods:
        text = refusal(name)
        assert "leaves its arguments as they are" in text and "Fix: " in text, name
    if torch.__version__.startswith("2.13"):
        assert len(methods) == REFUSED_IN_PLACE


@pytest.mark.parametrize("home", [torch, F], ids=["torch", "F"])
def test_functions_that_work_in_place_are_refused(home: Any) -> None:
    x = tf.Input((3,))
    named = [name for name in vars(home) if name.endswith("_") and not name.startswith("_")]
    refused = 0
    for name in named:
        function = getattr(home, name)
        for arguments in ((x,), (x, 0.5), (x, 0.5, True), (x, 0.1, 0.2)):
            try:
                function(*arguments)
            except GraphError as error:
                assert "leaves its arguments as they are" in str(error)
                refused += 1
                break
            except TypeError:
                continue  # not these arguments
    assert refused > (40 if home is torch else 5)


def test_methods_that_answer_with_what_only_a_real_tensor_has_are_refused() -> None:
    names = [name for name in OVERRIDABLE if name.startswith("x.") and name[2:] in NEED_VALUES]
    for name in names:
        text = refusal(name)
        assert "has no value while the graph is being built" in text and "Fix: " in text, name
    if torch.__version__.startswith("2.13"):
        assert len(names) == REFUSED_FOR_VALUES


@pytest.mark.parametrize("name", ["allclose", "equal", "is_nonzero", "get_device", "is_inference"])
def test_functions_that_answer_with_values_are_refused(name: str) -> None:
    x = tf.Input((3,))
    arguments = (x, x) if name in ("allclose", "equal") else (x,)
    with pytest.raises(GraphError, match="it has no value|It has no value"):
        getattr(torch, name)(*arguments)


def is_accounted_for(name: str, function: Any) -> bool:
    """Whether one of the tests above calls a function."""
    word = name.rpartition(".")[2]
    return functions.spelling_of(function) is not None or (
        name.startswith("x.") and (word in METHODS or word in NEED_VALUES or word.endswith("_"))
    )


UNLISTED = {
    name: function
    for name, function in OVERRIDABLE.items()
    if not (is_accounted_for(name, function) or name.endswith("_") or name.rpartition(".")[2] in NEED_VALUES)
}


def outcome(name: str, arguments: tuple[Any, ...]) -> str:
    """What becomes of a call on symbols: the graph computes the same, or an answer is the same, or it is refused."""
    values: list[Tensor] = []
    inputs: list[Any] = []

    def symbol(leaf: Any) -> Any:
        if leaf is not N and not isinstance(leaf, Tensor):
            return leaf
        values.append(torch.zeros(1, 5) if leaf is N else leaf)
        inputs.append(
            tf.Input((None,)) if leaf is N else tf.Input(batch_shape=tuple(leaf.shape), dtype=leaf.dtype)
        )
        return inputs[-1].shape[1] if leaf is N else inputs[-1]

    args, kwargs = parts(map_leaves(symbol, arguments))
    expected = list(leaves(run(UNLISTED[name], arguments)))
    method = getattr(args[0], name[2:]) if name.startswith("x.") else None
    found = method(*args[1:], **kwargs) if method is not None else UNLISTED[name](*args, **kwargs)
    symbols = [leaf for leaf in leaves(found) if isinstance(leaf, SYMBOLS)]
    if not symbols:
        assert list(leaves(found)) == expected
        return "answered"
    torch.manual_seed(0)
    results = tf.Model(inputs, symbols)(*copy.deepcopy(values))
    for result, value in zip(results, expected, strict=True):
        assert close(result.to_dense(), value.to_dense()) if isinstance(value, Tensor) else result == value
    return "recorded"


def taken(name: str) -> tuple[Any, ...] | None:
    """Arguments that a function takes, or None."""
    special = SPECIAL_UNLISTED.get(name.rpartition(".")[2])
    for candidate in [special] if special is not None else CANDIDATES:
        try:
            run(UNLISTED[name], candidate)
        except Exception:
            continue
        return candidate
    return None


def test_every_overridable_function_is_recorded_refused_or_left_out_for_a_reason() -> None:
    outcomes: dict[str, str] = {}
    failures: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in UNLISTED.keys() - EXCUSED:
            try:
                arguments = taken(name)
                outcomes[name] = outcome(name, arguments) if arguments is not None else "not called"
            except Exception as error:
                failures[name] = f"{type(error).__name__}: {error}"[:300]
    assert failures == {}
    counts = Counter(outcomes.values())
    if torch.__version__.startswith("2.13"):
        assert UNLISTED.keys() >= EXCUSED
        assert counts == {"recorded": RECORDED_UNLISTED, "answered": ANSWERED}


OPERATORS = {name for name in vars(Tensor) | vars(torch._C.TensorBase) if name.startswith("__")} & {
    function.__name__ for function in get_overridable_functions()[Tensor]
}
# of Python 2, or asked for by other libraries, which then say that they know no such tensor
NO_OPERATORS = set(
    "__array_wrap__ __deepcopy__ __div__ __dlpack__ __dlpack_device__ __idiv__ __long__ __nonzero__ __rdiv__ "
    "__reversed__ __setstate__".split()
)


def test_every_operator_of_a_tensor_is_one_of_a_symbol() -> None:
    changing = {name for name in OPERATORS if changes_its_argument(name)}
    missing = {name for name in OPERATORS - changing if not hasattr(SymbolicTensor, name)}
    assert missing <= NO_OPERATORS, missing - NO_OPERATORS


def test_every_attribute_of_a_tensor_is_recorded_answered_or_refused() -> None:
    value = rand(3, 4).to(torch.complex64)
    x = tf.Input(batch_shape=(3, 4), dtype=torch.complex64)
    names = [name for name in dir(Tensor) if not name.startswith("_") and not callable(getattr(Tensor, name))]
    refused = []
    for name in set(names) - {"name"}:  # a symbol has a name
        try:
            found = getattr(x, name)
        except GraphError as error:
            refused.append(name)
            assert "got a symbolic tensor" in str(error) and "Fix: " in str(error), name
            continue
        if isinstance(found, SymbolicTensor):
            assert torch.equal(tf.Model(x, found)(value), getattr(value, name)), name
        else:
            assert found == getattr(value, name), name
    assert {"device", "grad", "is_cuda"} <= set(refused) and len(names) > 30
