"""Functions by qualified name: what emission writes, and the whole of what a file may mention.

The names stand here one by one. A name from a file is looked up whole, and never split at its dots and
walked: three steps from `torch` lie `os`, `sys` and `builtins`. Only functions are listed that compute
tensors from tensors: none that reads or writes a file, changes a setting, or changes its arguments.
Which arguments a file may give to each, `saving/allowed_calls.py` says.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from torchfunc import rooms

TORCH = """
    abs absolute acos acosh adaptive_avg_pool1d adaptive_max_pool1d add addbmm addcdiv addcmul addmm
    addmv addr adjoint affine_grid_generator all alpha_dropout amax amin aminmax angle any arange
    arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort argwhere asin asinh
    atan atan2 atanh atleast_1d atleast_2d atleast_3d avg_pool1d baddbmm bartlett_window batch_norm
    bernoulli bilinear binary_cross_entropy_with_logits bincount bitwise_and bitwise_left_shift
    bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman_window block_diag bmm
    broadcast_tensors broadcast_to bucketize cartesian_prod cat cdist ceil celu chain_matmul
    channel_shuffle cholesky cholesky_inverse cholesky_solve chunk clamp clamp_max clamp_min clip
    clone column_stack combinations complex concat concatenate conj conj_physical conv1d conv2d
    conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d copysign corrcoef cos cosh
    cosine_embedding_loss cosine_similarity count_nonzero cov cross cummax cummin cumprod cumsum
    cumulative_trapezoid deg2rad det detach diag diag_embed diagflat diagonal diagonal_scatter diff
    digamma dist div divide dot dropout dsplit dstack einsum embedding eq erf erfc erfinv exp exp2
    expm1 eye feature_alpha_dropout feature_dropout fix flatten flip fliplr flipud float_power floor
    floor_divide fmax fmin fmod frac frexp frobenius_norm full full_like gather gcd ge geqrf ger
    gradient greater greater_equal group_norm gt hamming_window hann_window hardshrink heaviside
    hinge_embedding_loss histc histogram histogramdd hsplit hstack hypot i0 igamma igammac imag
    index_add index_copy index_fill index_put index_reduce index_select inner instance_norm inverse
    isclose isfinite isin isinf isnan isneginf isposinf isreal istft kaiser_window kl_div kron
    kthvalue layer_norm lcm ldexp le lerp less less_equal lgamma linspace log log10 log1p log2
    log_softmax logaddexp logaddexp2 logcumsumexp logdet logical_and logical_not logical_or
    logical_xor logit logspace logsumexp lt lu lu_solve lu_unpack margin_ranking_loss masked_fill
    masked_scatter masked_select matmul matrix_exp matrix_power max max_pool1d
    max_pool1d_with_indices max_pool2d max_pool3d maximum mean median meshgrid min minimum mm mode
    moveaxis movedim msort mul multinomial multiply mv mvlgamma nan_to_num nanmean nanmedian
    nanquantile nansum narrow ne neg negative nextafter nonzero nonzero_static norm normal not_equal
    nuclear_norm numel ones ones_like orgqr ormqr outer pairwise_distance pdist permute pinverse
    pixel_shuffle pixel_unshuffle poisson poisson_nll_loss polar polygamma positive pow prelu prod
    put qr quantile rad2deg rand rand_like randint randint_like randn randn_like randperm ravel real
    reciprocal relu remainder renorm repeat_interleave reshape resolve_conj resolve_neg rms_norm
    roll rot90 round row_stack rrelu rsqrt rsub scalar_tensor scatter scatter_add scatter_reduce
    searchsorted select select_scatter selu sgn sigmoid sign signbit sin sinc sinh slice_scatter
    slogdet softmax sort split split_with_sizes sqrt square squeeze stack std std_mean stft sub
    subtract sum svd swapaxes swapdims sym_float sym_int sym_max sym_min t take take_along_dim tan
    tanh tensor_split tensordot threshold tile topk trace transpose trapezoid trapz triangular_solve
    tril tril_indices triplet_margin_loss triu triu_indices true_divide trunc unbind unflatten
    unique unique_consecutive unravel_index unsafe_chunk unsafe_split unsafe_split_with_sizes
    unsqueeze vander var var_mean vdot view_as_complex view_as_real vsplit vstack where xlogy zeros
    zeros_like
"""

FUNCTIONAL = """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool1d_with_indices adaptive_max_pool2d adaptive_max_pool2d_with_indices
    adaptive_max_pool3d adaptive_max_pool3d_with_indices affine_grid alpha_dropout avg_pool1d avg_pool2d
    avg_pool3d batch_norm bilinear binary_cross_entropy binary_cross_entropy_with_logits celu
    channel_shuffle conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d
    cosine_embedding_loss cosine_similarity cross_entropy dropout dropout1d dropout2d dropout3d elu
    embedding feature_alpha_dropout fold fractional_max_pool2d fractional_max_pool2d_with_indices
    fractional_max_pool3d fractional_max_pool3d_with_indices gaussian_nll_loss gelu glu grid_sample
    group_norm gumbel_softmax hardshrink hardsigmoid hardswish hardtanh hinge_embedding_loss huber_loss
    instance_norm interpolate kl_div l1_loss layer_norm leaky_relu linear linear_cross_entropy
    local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d lp_pool3d margin_ranking_loss
    max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d
    max_pool3d_with_indices max_unpool1d max_unpool2d max_unpool3d mish mse_loss
    multi_head_attention_forward multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss
    nll_loss normalize one_hot pad pairwise_distance pdist pixel_shuffle pixel_unshuffle
    poisson_nll_loss prelu relu relu6 rms_norm rrelu scaled_dot_product_attention selu silu
    smooth_l1_loss soft_margin_loss softmax softmin softplus softshrink softsign tanhshrink threshold
    triplet_margin_loss triplet_margin_with_distance_loss unfold
"""

LINALG = """
    cholesky cholesky_ex cond cross det diagonal eig eigh eigvals eigvalsh householder_product inv
    inv_ex ldl_factor ldl_factor_ex ldl_solve lstsq lu lu_factor lu_factor_ex lu_solve matmul
    matrix_exp matrix_norm matrix_power matrix_rank multi_dot norm pinv qr slogdet solve solve_ex
    solve_triangular svd svdvals tensorinv tensorsolve vander vecdot vector_norm
"""

FFT = """
    fft fft2 fftn fftshift hfft hfft2 hfftn ifft ifft2 ifftn ifftshift ihfft ihfft2 ihfftn irfft irfft2
    irfftn rfft rfft2 rfftn
"""

SPECIAL = """
    airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t chebyshev_polynomial_u
    chebyshev_polynomial_v chebyshev_polynomial_w digamma entr erf erfc erfcx erfinv exp2 expit expm1
    gammainc gammaincc gammaln hermite_polynomial_h hermite_polynomial_he i0 i0e i1 i1e
    laguerre_polynomial_l legendre_polynomial_p log1p log_ndtr log_softmax logit logsumexp
    modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 multigammaln ndtr ndtri
    polygamma psi round scaled_modified_bessel_k0 scaled_modified_bessel_k1
    shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
    shifted_chebyshev_polynomial_w sinc softmax spherical_bessel_j0 xlog1py xlogy zeta
"""

METHODS = frozenset(
    """
    abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr adjoint all amax amin
    aminmax angle any arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort
    argwhere asin asinh atan atan2 atanh baddbmm bernoulli bfloat16 bincount bitwise_and
    bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm bool broadcast_to
    byte cdouble ceil cfloat chalf char cholesky cholesky_inverse cholesky_solve chunk clamp
    clamp_max clamp_min clip clone conj conj_physical contiguous copysign corrcoef cos cosh
    count_nonzero cov cpu cross cummax cummin cumprod cumsum deg2rad det detach diag diag_embed
    diagflat diagonal diagonal_scatter diff digamma dim dist div divide dot double dsplit eq erf
    erfc erfinv exp exp2 expand expand_as expm1 fix flatten flip fliplr flipud float float_power
    floor floor_divide fmax fmin fmod frac frexp gather gcd ge geqrf ger greater greater_equal gt
    half hardshrink heaviside histc histogram hsplit hypot i0 igamma igammac index_add index_copy
    index_fill index_put index_reduce index_select inner int inverse isclose isfinite isinf isnan
    isneginf isposinf isreal istft kron kthvalue lcm ldexp le lerp less less_equal lgamma log log10
    log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp logdet logical_and logical_not
    logical_or logical_xor logit logsumexp long lt lu lu_solve masked_fill masked_scatter
    masked_select matmul matrix_exp matrix_power max maximum mean median min minimum mm mode
    moveaxis movedim msort mul multinomial multiply mv mvlgamma nan_to_num nanmean nanmedian
    nanquantile nansum narrow ndimension ne neg negative nelement new_full new_ones new_tensor
    new_zeros nextafter nonzero nonzero_static norm not_equal numel orgqr ormqr outer permute
    pinverse polygamma positive pow prelu prod put qr quantile rad2deg ravel reciprocal relu
    remainder renorm repeat repeat_interleave reshape reshape_as resolve_conj resolve_neg roll rot90
    round rsqrt scatter scatter_add scatter_reduce select select_scatter sgn short sigmoid sign
    signbit sin sinc sinh size slice_scatter slogdet softmax sort split split_with_sizes sqrt square
    squeeze std stft sub subtract sum sum_to_size svd swapaxes swapdims t take take_along_dim tan
    tanh tensor_split tile to topk trace transpose triangular_solve tril triu true_divide trunc
    type_as unbind unflatten unfold unique unique_consecutive unsafe_chunk unsafe_split
    unsafe_split_with_sizes unsqueeze var vdot view view_as vsplit where xlogy
    """.split()
)

_MEMORY = "what it returns is memory as the process left it"
_AROUND = "it reaches memory around the tensor that it is given"
_TRUSTS = "PyTorch does not check the indices that it is given, and reads memory at them"
# what a graph may hold and no file may name, by the reason why
WITHHELD = {
    **dict.fromkeys(("torch.empty", "torch.empty_like", "x.new_empty"), _MEMORY),
    **{f"{home}.{name}": _AROUND for home in ("torch", "x") for name in ("as_strided", "as_strided_scatter")},
    **{f"{home}.{name}": _TRUSTS for home in ("torch", "F") for name in ("ctc_loss", "embedding_bag")},
    "torch.binomial": "with a probability that is NaN it never returns",
    "x.index": "its first call imports modules",
}

# what stands in a file for a function that is withheld: of new memory, whose numbers nobody may count on, zeros
INSTEAD = {"torch.empty": "torch.zeros", "torch.empty_like": "torch.zeros_like", "x.new_empty": "x.new_zeros"}

ATTRIBUTES = frozenset({"H", "T", "imag", "mH", "mT", "real"})

OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "matmul": "@", "and_": "&", "or_": "|", "xor": "^", "lshift": "<<", "rshift": ">>",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip

UNARY = {"neg": "-", "invert": "~", "pos": "+"}


_SPACES = {
    "torch": torch,
    "F": torch.nn.functional,
    "torch.linalg": torch.linalg,
    "torch.fft": torch.fft,
    "torch.special": torch.special,
}

_OURS: dict[str, Callable[..., Any]] = {}
_HOMES = ("ops.", "random.")  # where they are at home


def register(function: Callable[..., Any]) -> None:
    """List a function of this library by the folder of its file: one of `torchfunc/ops/nn/` as `ops.nn.<name>`.

    Those of `torchfunc/ops/numpy/` are `ops.<name>`, as people write them.
    """
    home = function.__module__.removeprefix("torchfunc.").rpartition(".")[0].removesuffix(".numpy")
    assert f"{home}.".startswith(_HOMES), home
    _SPACES.setdefault(home, sys.modules[f"torchfunc.{home}"])
    _OURS[f"{home}.{function.__name__}"] = function
    for each in (_listed, _spelled, _spellings):
        each.cache_clear()


def spaces() -> dict[str, Any]:
    """What the first word of each qualified name stands for in the text that emission writes."""
    return {"operator": operator, **{home: space for home, space in _SPACES.items() if "." not in home}}


def by_name() -> dict[str, Callable[..., Any]]:
    """Every function that a file may mention, by its qualified name: `torch.cat`, `operator.add`."""
    rooms.everything()
    return _listed()


def named(name: Any) -> Callable[..., Any] | None:
    """The function that a file may mention by this name, or None; rooms are entered for names that they may hold alone."""
    found = _listed().get(name) if isinstance(name, str) else None
    if found is None and isinstance(name, str) and name.startswith(_HOMES):
        return by_name().get(name)
    return found


@cache
def _listed() -> dict[str, Callable[..., Any]]:
    texts = zip(_SPACES.items(), (TORCH, FUNCTIONAL, LINALG, FFT, SPECIAL), strict=False)
    found: dict[str, Callable[..., Any]] = {
        f"{prefix}.{name}": getattr(space, name)
        for (prefix, space), names in texts
        for name in names.split()
        if hasattr(space, name)  # torch 2.11 lacks the newest of them
    }
    found.update(
        {f"operator.{name}": getattr(operator, name) for name in (*OPERATORS, *UNARY, "abs", "getitem")}
    )
    found.update({name: function for name, function in _OURS.items() if name not in WITHHELD})
    return found


def by_spelling() -> dict[str, Callable[..., Any]]:
    """Every function that emission writes by its qualified name: those of `by_name`, and those withheld."""
    rooms.everything()
    return _spelled()


@cache
def _spelled() -> dict[str, Callable[..., Any]]:
    withheld = (name.rpartition(".") for name in WITHHELD if not name.startswith("x."))
    return {**_listed(), **{f"{home}.{word}": getattr(_SPACES[home], word) for home, _, word in withheld}}


@cache
def _spellings() -> dict[int, str]:
    names: dict[int, str] = {}
    for name, function in _spelled().items():
        names.setdefault(id(function), name)
    return names


def spelling_of(function: Any) -> str | None:
    """The qualified name that emission writes for a function, or None."""
    return _spellings().get(id(function))


def name_of(function: Any) -> str | None:
    """The qualified name by which a file may mention a function, or None."""
    name = spelling_of(function)
    return None if name in WITHHELD else name
