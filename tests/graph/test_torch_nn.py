"""Every class of `torch.nn` that takes tensors goes into a graph as it is, and computes there what it computes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

import torchfunc as tf
from torchfunc.errors import GraphError
from torchfunc.interop import torchvision
from torchfunc.tree import leaves

EXCLUDED = {
    "Container": "deprecated; holds modules and has no forward",
    "DataParallel": "spreads a module over GPUs and is no layer; a Model goes into it",
    "Module": "the base class, without a forward",
    "ModuleDict": "holds modules and has no forward",
    "ModuleList": "holds modules and has no forward",
    "ParameterDict": "holds parameters and has no forward",
    "ParameterList": "holds parameters and has no forward",
    "NLLLoss2d": "deprecated; another name of NLLLoss",
    "RNNBase": "the base class of RNN, LSTM and GRU",
    "RNNCellBase": "the base class of the cells",
}


@dataclass(frozen=True)
class Row:
    """One way of calling a class: what makes the module, what it is called on, and how."""

    kind: str
    make: Callable[[], nn.Module]
    inputs: tuple[Tensor, ...]
    call: Callable[..., Any] = lambda module, *inputs: module(*inputs)
    # for each input, the dimensions that are unknown in the graph: the first by default
    unknown: tuple[tuple[int, ...], ...] | None = None
    label: str = ""
    # how many of the inputs have a gradient
    differentiable: int = 9


@dataclass
class Table:
    rows: list[Row] = field(default_factory=list)

    def add(self, kind: str, *inputs: Tensor, to: Any = (), **rest: Any) -> None:
        """A row; `to` holds the constructor's arguments, as a tuple, a dict or both."""
        args, kwargs = (to, {}) if isinstance(to, tuple) else ((), to)
        if len(args) == 2 and isinstance(args[0], tuple) and isinstance(args[1], dict):
            args, kwargs = args
        self.rows.append(Row(kind, lambda: getattr(nn, kind)(*args, **kwargs), inputs, **rest))


def floats(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def ints(high: int, *shape: int) -> Tensor:
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(sum(shape)))


def positive(*shape: int) -> Tensor:
    return floats(*shape).abs() + 0.1


def signs(*shape: int) -> Tensor:
    return ints(2, *shape) * 2.0 - 1.0


def image(rank: int, channels: int = 4, size: int = 6) -> Tensor:
    return floats(3, channels, *[size] * rank)


def table() -> list[Row]:
    rows = Table()
    for add in (
        pointwise,
        pooling,
        padding,
        convolutions,
        normalization,
        dropouts,
        recurrent,
        attention,
        losses,
        others,
    ):
        add(rows)
    return rows.rows


def pointwise(rows: Table) -> None:
    plain = (
        "CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish PReLU ReLU "
        "ReLU6 SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink RReLU"
    )
    for kind in plain.split():
        rows.add(kind, floats(5, 4))
    rows.add("GELU", floats(5, 4), to={"approximate": "tanh"})
    rows.add("PReLU", floats(5, 4), to=(4,))
    rows.add("Threshold", floats(5, 4), to=(0.1, 20.0))
    rows.add("GLU", floats(5, 4))
    rows.add("ReLU", floats(5, 4), to={"inplace": True}, call=lambda module, x: module(x * 1.0))
    for kind in ("Softmax", "LogSoftmax", "Softmin"):
        rows.add(kind, floats(5, 4), to={"dim": -1})
    rows.add("Softmax2d", image(2))


def pooling(rows: Table) -> None:
    for rank in (1, 2, 3):
        for kind in ("MaxPool", "AvgPool"):
            rows.add(f"{kind}{rank}d", image(rank), to=(2,))
            rows.add(f"{kind}{rank}d", image(rank), to=((3,), {"stride": 2, "padding": 1}), unknown=((0, 2),))
        rows.add(f"MaxPool{rank}d", image(rank), to=((2,), {"return_indices": True}), label="indices")
        rows.add(f"LPPool{rank}d", positive(3, 4, *[6] * rank), to=(2, 3))
        rows.add(f"AdaptiveAvgPool{rank}d", image(rank), to=(2,), unknown=((0, 2),))
        rows.add(f"AdaptiveMaxPool{rank}d", image(rank), to=(2,))
        rows.add(f"AdaptiveMaxPool{rank}d", image(rank), to=((2,), {"return_indices": True}), label="indices")
        indices = torch.arange(3).repeat(3, 4, 1) * 2
        indices = (
            indices if rank == 1 else torch.arange(3**rank).view(1, 1, *[3] * rank).repeat(3, 4, *[1] * rank)
        )
        rows.add(f"MaxUnpool{rank}d", floats(3, 4, *[3] * rank), indices, to=(2,))
        rows.add(
            f"MaxUnpool{rank}d",
            floats(3, 4, *[3] * rank),
            indices,
            to=(2,),
            call=lambda module, x, at, rank=rank: module(x, at, output_size=[7] * rank),
            label="output_size",
        )
    rows.add("FractionalMaxPool2d", image(2), to=((2,), {"output_size": 3}))
    rows.add("FractionalMaxPool3d", image(3), to=((2,), {"output_ratio": 0.5}))


def padding(rows: Table) -> None:
    for rank in (1, 2, 3):
        for kind in ("Circular", "Reflection", "Replication", "Zero"):
            rows.add(f"{kind}Pad{rank}d", image(rank), to=(1,), unknown=((0, 2),))
        rows.add(f"ConstantPad{rank}d", image(rank), to=(1, 0.5))


def convolutions(rows: Table) -> None:
    for rank in (1, 2, 3):
        rows.add(f"Conv{rank}d", image(rank), to=((4, 6, 3), {"padding": "same", "groups": 2}))
        rows.add(f"Conv{rank}d", image(rank), to=((4, 6, 3), {"stride": 2}), unknown=((0, 2),))
        rows.add(f"ConvTranspose{rank}d", image(rank), to=((4, 6, 3), {"stride": 2}))
        rows.add(
            f"ConvTranspose{rank}d",
            image(rank),
            to=((4, 6, 3), {"stride": 2}),
            call=lambda module, x, rank=rank: module(x, output_size=[14] * rank),
            label="output_size",
        )
        rows.add(f"LazyConv{rank}d", image(rank), to=(6, 3))
        rows.add(f"LazyConvTranspose{rank}d", image(rank), to=(6, 3))
    rows.add("Fold", floats(3, 16, 9), to=((4, 4), (2, 2)))
    rows.add("Unfold", image(2), to=(2,))
    rows.add("Upsample", image(2), to={"scale_factor": 2, "mode": "bilinear"}, unknown=((0, 2),))
    rows.add("Upsample", image(1), to={"size": 9})
    rows.add("UpsamplingBilinear2d", image(2), to={"scale_factor": 2})
    rows.add("UpsamplingNearest2d", image(2), to={"size": (9, 9)})
    rows.add("PixelShuffle", image(2), to=(2,))
    rows.add("PixelUnshuffle", image(2), to=(2,))
    rows.add("ChannelShuffle", image(2), to=(2,))


def normalization(rows: Table) -> None:
    for rank in (1, 2, 3):
        for lazy in ("", "Lazy"):
            arguments = () if lazy else (4,)
            rows.add(f"{lazy}BatchNorm{rank}d", image(rank), to=arguments)
            rows.add(f"{lazy}InstanceNorm{rank}d", image(rank), to=arguments)
        rows.add(
            f"InstanceNorm{rank}d", image(rank), to=((4,), {"track_running_stats": True, "affine": True})
        )
    rows.add("BatchNorm1d", floats(5, 4), to=(4,))
    rows.add("SyncBatchNorm", image(2), to=(4,))  # in one process it is a BatchNorm
    rows.add("GroupNorm", image(2), to=(2, 4))
    rows.add("LayerNorm", floats(5, 4), to=(4,))
    rows.add("RMSNorm", floats(5, 4), to=(4,))
    rows.add("LocalResponseNorm", image(2), to=(2,))
    rows.add("CrossMapLRN2d", image(2), to=(2,))


def dropouts(rows: Table) -> None:
    for kind in ("Dropout", "AlphaDropout"):
        rows.add(kind, floats(5, 4))
    rows.add("FeatureAlphaDropout", image(2))
    for rank in (1, 2, 3):
        rows.add(f"Dropout{rank}d", image(rank))


def recurrent(rows: Table) -> None:
    for kind in ("RNN", "GRU", "LSTM"):
        rows.add(kind, floats(7, 3, 4), to=(4, 5), unknown=((0, 1),))
        arguments: Any = (
            (4, 5),
            {"batch_first": True, "bidirectional": True, "num_layers": 2, "dropout": 0.3},
        )
        rows.add(kind, floats(3, 7, 4), to=arguments, label="stacked")
        rows.add(f"{kind}Cell", floats(3, 4), to=(4, 5))
    last = floats(1, 3, 5)
    for kind in ("RNN", "GRU"):
        rows.add(kind, floats(7, 3, 4), last, to=(4, 5), unknown=((0, 1), (1,)), label="state")
        rows.add(f"{kind}Cell", floats(3, 4), floats(3, 5), to=(4, 5), label="state")
    rows.add(
        "LSTM",
        floats(7, 3, 4),
        last,
        last + 1,
        to=(4, 5),
        call=lambda module, x, h, c: module(x, (h, c)),
        unknown=((0,), (), ()),
        label="states",
    )
    rows.add(
        "LSTMCell",
        floats(3, 4),
        floats(3, 5),
        floats(3, 5) + 1,
        to=(4, 5),
        call=lambda module, x, h, c: module(x, hx=(h, c)),
        label="states",
    )


def attention(rows: Table) -> None:
    batch_first: Any = ((8, 2), {"batch_first": True, "dropout": 0.1})
    query, key = floats(3, 5, 8), floats(3, 6, 8)
    rows.add("MultiheadAttention", query, key, to=batch_first, call=lambda module, q, k: module(q, k, k))
    rows.add(
        "MultiheadAttention",
        query,
        key,
        ints(2, 3, 6).bool() & (torch.arange(6) > 0),
        to=batch_first,
        call=lambda m, q, k, mask: m(q, key=k, value=k, key_padding_mask=mask, average_attn_weights=False),
        label="mask",
    )
    rows.add(
        "MultiheadAttention",
        query,
        to=batch_first,
        call=lambda module, q: module(q, q, q, need_weights=False)[0],
        label="self",
    )
    encoder: Any = ((8, 2, 16), {"batch_first": True})
    for kind in ("TransformerEncoderLayer",):
        rows.add(kind, query, to=encoder)
    rows.add("TransformerDecoderLayer", query, key, to=encoder)
    rows.rows.append(
        Row(
            "TransformerEncoder",
            lambda: nn.TransformerEncoder(
                nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
            ),
            (query,),
        )
    )
    rows.rows.append(
        Row(
            "TransformerDecoder",
            lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 2),
            (query, key),
        )
    )
    small = {"nhead": 2, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 16}
    rows.add(
        "Transformer",
        key,
        query,
        to={"d_model": 8, "batch_first": True, **small},
        call=lambda m, source, target: m(
            source, target, tgt_mask=nn.Transformer.generate_square_subsequent_mask(5), tgt_is_causal=True
        ),
    )


def losses(rows: Table) -> None:
    for kind in ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss"):
        rows.add(kind, floats(5, 4), floats(5, 4) + 1)
    rows.add("MSELoss", floats(5, 4), floats(5, 4) + 1, to={"reduction": "none"})
    rows.add("BCELoss", torch.sigmoid(floats(5, 4)), ints(2, 5, 4).float())
    for kind in ("BCEWithLogitsLoss", "MultiLabelSoftMarginLoss"):
        rows.add(kind, floats(5, 4), ints(2, 5, 4).float())
    rows.add("SoftMarginLoss", floats(5, 4), signs(5, 4), differentiable=1)
    rows.add("HingeEmbeddingLoss", floats(5, 4), signs(5, 4))
    rows.add("MultiLabelMarginLoss", floats(5, 4), torch.tensor([[3, 0, -1, 1]]).repeat(5, 1))
    rows.add("MultiMarginLoss", floats(5, 4), ints(4, 5))
    rows.add("CrossEntropyLoss", floats(5, 4), ints(4, 5), to={"label_smoothing": 0.1})
    rows.add("CrossEntropyLoss", floats(5, 4), floats(5, 4).softmax(1))
    rows.add("NLLLoss", floats(5, 4), ints(4, 5), to={"weight": torch.tensor([1.0, 2, 3, 4])})
    rows.add("NLLLoss", image(2), ints(4, 3, 6, 6))
    rows.add("KLDivLoss", floats(5, 4).log_softmax(1), floats(5, 4).softmax(1), to={"reduction": "batchmean"})
    rows.add("PoissonNLLLoss", floats(5, 4), positive(5, 4))
    rows.add("GaussianNLLLoss", floats(5, 4), floats(5, 4) + 1, positive(5, 4))
    rows.add("CosineEmbeddingLoss", floats(5, 4), floats(5, 4) + 1, signs(5))
    rows.add("MarginRankingLoss", floats(5), floats(5) + 1, signs(5))
    for kind in ("TripletMarginLoss", "TripletMarginWithDistanceLoss"):
        rows.add(kind, floats(5, 4), floats(5, 4) + 1, floats(5, 4) * 2)
    lengths = torch.full((3,), 7), torch.full((3,), 4)
    rows.add(
        "CTCLoss",
        floats(7, 3, 5).log_softmax(2),
        ints(4, 3, 4) + 1,
        *lengths,
        unknown=((1,), (0,), (0,), (0,)),
    )
    rows.add(
        "AdaptiveLogSoftmaxWithLoss", floats(6, 16), torch.tensor([0, 1, 5, 9, 3, 2]), to=(16, 10, [4, 8])
    )
    if hasattr(nn, "LinearCrossEntropyLoss"):  # torch 2.11 has none yet
        rows.add("LinearCrossEntropyLoss", floats(5, 4), ints(6, 5), to=(4, 6))


def others(rows: Table) -> None:
    rows.add("Linear", floats(5, 4), to=(4, 3))
    rows.add("Linear", floats(5, 4), to=(4, 3), call=lambda module, x: module(input=x), label="keyword")
    rows.add("LazyLinear", floats(5, 4), to=(3,))
    rows.add("Bilinear", floats(5, 4), floats(5, 3), to=(4, 3, 2))
    rows.add("Embedding", ints(9, 5, 4), to=((9, 3), {"padding_idx": 0}))
    rows.add("EmbeddingBag", ints(9, 5, 4), to=(9, 3))
    rows.add(
        "EmbeddingBag", ints(9, 8), torch.tensor([0, 3, 5]), to=((9, 3), {"mode": "sum"}), label="offsets"
    )
    rows.add("Flatten", image(2))
    rows.add("Unflatten", floats(5, 4), to=(1, (2, 2)))
    rows.add("CosineSimilarity", floats(5, 4), floats(5, 4) + 1)
    rows.add("PairwiseDistance", floats(5, 4), floats(5, 4) + 1)
    rows.rows.append(Row("Sequential", lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (floats(5, 4),)))


ROWS = table()


def labels() -> list[str]:
    found: list[str] = []
    for row in ROWS:
        label = "-".join(filter(None, (row.kind, row.label)))
        found.append(label if label not in found else f"{label}-{found.count(label) + len(found)}")
    return found


def symbols_for(row: Row) -> list[Any]:
    unknown = row.unknown or tuple((0,) if value.ndim else () for value in row.inputs)
    return [
        tf.Input(
            batch_shape=[None if dim in dims else size for dim, size in enumerate(value.shape)],
            dtype=value.dtype,
        )
        for value, dims in zip(row.inputs, unknown, strict=True)
    ]


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {
        name: value.clone() for name, value in module.state_dict().items() if not nn.parameter.is_lazy(value)
    }


def run(module: nn.Module, call: Callable[..., Any], row: Row) -> tuple[list[Any], list[Any]]:
    """The outputs, and the gradients of a sum of them with respect to the inputs and parameters."""
    given = [
        value.clone().requires_grad_(value.is_floating_point() and index < row.differentiable)
        for index, value in enumerate(row.inputs)
    ]
    torch.manual_seed(3)
    outputs = [leaf for leaf in leaves(call(*given)) if isinstance(leaf, Tensor)]
    floating = [leaf for leaf in outputs if leaf.requires_grad]
    wanted = [*(value for value in given if value.requires_grad), *module.parameters()]
    wanted = [each for each in wanted if each.requires_grad]
    if not floating or not wanted:
        return outputs, []
    total = sum((leaf * leaf.detach().cos()).sum() for leaf in floating)
    return outputs, list(torch.autograd.grad(total, wanted, allow_unused=True))  # type: ignore[arg-type]


def same(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(
        a is b is None or (a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num()))
        for a, b in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("row", ROWS, ids=labels())
def test_a_torch_module_in_a_graph_computes_what_it_computes_alone(row: Row) -> None:
    torch.manual_seed(1)
    module = row.make()
    before, random = state_of(module), torch.get_rng_state()
    symbols = symbols_for(row)
    outputs = row.call(module, *symbols)
    after = state_of(module)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    if not row.kind.startswith("Lazy"):
        assert torch.equal(torch.get_rng_state(), random)
    symbolic = [leaf for leaf in leaves(outputs) if leaf is not None]
    model = tf.Model(symbols, list(symbolic))
    twin = copy.deepcopy(module)
    for mode in (True, False):
        module.train(mode)
        model.train(mode)
        twin.train(mode)
        expected = run(twin, lambda *given: row.call(twin, *given), row)
        found = run(model, model, row)
        assert same(found[0], expected[0])
        assert same(found[1], expected[1])
        for symbol, value in zip(symbolic, expected[0], strict=True):
            assert symbol.dtype == value.dtype
            assert len(symbol.shape) == value.ndim
            fits = zip(symbol.spec.shape, value.shape, strict=True)
            assert all(known is None or known == size for known, size in fits)
    assert not any(isinstance(value, PackedSequence) for value in expected[0])
    assert all(torch.equal(a, b) for a, b in zip(module.buffers(), twin.buffers(), strict=True))


def test_every_class_of_torch_nn_is_in_the_table_or_left_out_for_a_reason() -> None:
    kinds = {
        name for name, kind in vars(nn).items() if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    tabled = {row.kind for row in ROWS}
    assert tabled | EXCLUDED.keys() >= kinds, kinds - tabled - EXCLUDED.keys()
    assert not tabled & EXCLUDED.keys()


@pytest.mark.parametrize("kind", ["ModuleList", "ModuleDict", "Module"])
def test_what_has_no_forward_says_what_to_call(kind: str) -> None:
    with pytest.raises(GraphError, match="Fix: call the modules that it holds, one by one"):
        getattr(nn, kind)()(tf.Input((4,)))


class Found(NamedTuple):
    features: Tensor
    parts: dict[str, Any]


class Winding(nn.Module):
    """Loops, branches, keyword-only arguments, containers in and out, and modules that are still lazy."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.LazyLinear(4) for _ in range(3)])
        self.heads = nn.ModuleDict({"a": nn.Linear(8, 2), "b": nn.Linear(8, 3)})
        self.calls = 0

    def forward(self, x: Tensor, *, skip: bool = True, scales: dict[str, list[Tensor]]) -> Found:
        self.calls += 1
        for index, block in enumerate(self.blocks):
            x = block(x) if index or not skip else x.relu()
        while x.shape[-1] < 8:
            x = torch.cat([x, x], -1)
        if self.training:
            x = F.dropout(x, 0.5)
        try:
            x = x * scales["scale"][0]
        except KeyError:
            x = x - 1
        return Found(
            x, {name: head(x) for name, head in self.heads.items()} | {"size": x.shape[0], "pair": (x, [x])}
        )


def test_a_module_of_ones_own_with_control_flow_goes_in_as_it_is() -> None:
    torch.manual_seed(0)
    module = Winding()
    x, scale = tf.Input((4,), name="x"), tf.Input((8,), name="scale")
    found = module(x, skip=False, scales={"scale": [scale]})
    assert type(found) is Found and set(found.parts) == {"a", "b", "size", "pair"} and module.calls == 0
    assert found.parts["a"].shape == (None, 2) and found.features.shape == (None, 8)
    outputs = {"features": found.features, **found.parts}
    model = tf.Model([x, scale], outputs)
    twin = copy.deepcopy(module)
    for mode in (True, False):
        model.train(mode), twin.train(mode)
        for batch in (1, 3, 5):
            values = floats(batch, 4), floats(batch, 8)
            torch.manual_seed(1)
            results = model(*values)
            torch.manual_seed(1)
            expected = twin(values[0], skip=False, scales={"scale": [values[1]]})
            assert results["size"] == batch
            assert same(
                [leaf for leaf in leaves(results) if isinstance(leaf, Tensor)],
                [leaf for leaf in leaves((expected.features, expected.parts)) if isinstance(leaf, Tensor)],
            )
    names = [f"winding.{name}" for name, _ in twin.named_parameters()]
    assert [name for name, _ in model.named_parameters()] == names


NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet18": ("resnet18", {}),
    "mobilenet": ("mobilenet_v3_small", {}),
    "shufflenet": ("shufflenet_v2_x0_5", {}),
    "densenet": ("densenet121", {}),
    "a named tuple while it trains": ("googlenet", {"aux_logits": True, "init_weights": False}),
    "a dict": ("lraspp_mobilenet_v3_large", {"weights_backbone": None, "num_classes": 3}),
}


@pytest.mark.parametrize(("name", "arguments"), NETWORKS.values(), ids=NETWORKS)
def test_a_network_of_torchvision_goes_in_as_it_is(name: str, arguments: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = torchvision.load().models.get_model(name, weights=None, **arguments)
    before = state_of(network)
    values = torch.randn(2, 3, 64, 64)
    for mode in (False, True):
        network.train(mode)
        twin = copy.deepcopy(network)
        x = tf.Input((3, None, None))
        outputs = network(x)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        model = tf.Model(x, outputs)
        model.train(mode)
        torch.manual_seed(1)
        found = model(values)
        torch.manual_seed(1)
        expected = twin(values)
        assert isinstance(expected, Tensor) or type(outputs) is type(expected)
        if isinstance(expected, dict):
            assert list(found) == list(expected)
        elif isinstance(expected, tuple):
            assert type(found) is type(expected)
        assert same(list(leaves(found)), list(leaves(expected)))
        assert all(symbol.shape[0] == None for symbol in leaves(outputs))  # noqa: E711
        network.load_state_dict(before)
