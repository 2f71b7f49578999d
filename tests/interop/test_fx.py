"""Hand-written modules traced into graphs equal themselves, and graphs go to torch.fx and back."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

import torchfunc
from torchfunc import layers
from torchfunc.errors import DisconnectedError, GraphError, ShapeError
from torchfunc.interop import from_module, to_fx


class Block(nn.Module):
    """A residual block as they are written by hand: in-place activations, and parameters of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.scale = nn.Parameter(torch.rand(channels, 1, 1))
        self.register_buffer("shift", torch.rand(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out)) * self.scale + self.shift
        out = F.dropout(out, 0.25, self.training)
        out += x
        return self.relu(out)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(True)))
        self.layer1 = nn.Sequential(Block(8), Block(8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor, twice: bool = True) -> Tensor:
        x = self.layer1(self.stem(x))
        if twice:
            x = self.layer1[0](x)
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


def small(forward: Callable[..., Any], **members: Any) -> nn.Module:
    """A module with this forward and these members."""
    module = type("Small", (nn.Module,), {"forward": forward})()
    for name, member in members.items():
        if isinstance(member, Tensor) and not isinstance(member, nn.Parameter):
            module.register_buffer(name, member)
        else:
            setattr(module, name, member)
    return module


def results(module: nn.Module, inputs: tuple[Any, ...], *, training: bool) -> tuple[Any, dict[str, Tensor]]:
    """What a copy of the module returns with fixed random numbers, and its state afterwards."""
    twin = copy.deepcopy(module).train(training)
    torch.manual_seed(7)
    outputs = twin(*copy.deepcopy(inputs))
    return outputs, twin.state_dict()


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal to the bit, and of one structure."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif isinstance(theirs, Tensor):
        assert ours.dtype is theirs.dtype
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


def check(module: nn.Module, *shapes: tuple[int, ...], **options: Any) -> Any:
    """A traced module equals itself in both modes, for batches of 2 and of 5."""
    model = from_module(module, list(shapes), **options)
    for batch in (2, 5):
        inputs = tuple(torch.randn(batch, *shape) for shape in shapes)
        for training in (False, True):
            ours, _ = results(model, inputs, training=training)
            theirs, _ = results(module, inputs, training=training)
            assert_same(ours, theirs)
    return model


def test_a_residual_network_equals_itself_and_reads_as_a_person_would_have_written_it() -> None:
    model = check(Net(), (3, 12, 12))
    assert model.code.splitlines()[:9] == [
        "def forward(self, x):",
        "    h = self.stem_0(x)",
        "    h = self.stem_1_0(h)",
        "    stem_1_1 = self.stem_1_1(h)",
        "    h = self.layer1_0_conv1(stem_1_1)",
        "    h = self.layer1_0_bn1(h)",
        "    h = self.layer1_0_relu(h)",
        "    h = self.layer1_0_conv2(h)",
        "    h = self.layer1_0_bn2(h)",
    ]
    assert "    h = self.layer1_0_dropout(h)" in model.code.splitlines()
    assert isinstance(model.layer1_0_dropout, nn.Dropout)


def test_the_model_holds_the_modules_own_weights() -> None:
    net = Net()
    model = from_module(net, (3, 12, 12))
    assert {id(each) for each in model.parameters()} == {id(each) for each in net.parameters()}
    assert {id(each) for each in model.buffers()} == {id(each) for each in net.buffers()}
    assert model.layer1_0_conv1 is net.layer1[0].conv1
    assert model.layer1_0_scale is net.layer1[0].scale
    assert "layer1_1_shift" in model.state_dict()


def test_batch_norm_updates_the_same_buffers_in_training() -> None:
    net = Net()
    model = from_module(net, (3, 12, 12))
    images = torch.randn(4, 3, 12, 12)
    _, expected = results(net, (images,), training=True)
    torch.manual_seed(7)
    model.train()(images)
    assert_same(net.state_dict(), expected)
    assert int(net.layer1[0].bn1.num_batches_tracked) == 2


def test_gradients_equal_the_modules_own() -> None:
    net = Net().eval()
    twin = copy.deepcopy(net)
    images = torch.randn(2, 3, 12, 12)
    from_module(net, (3, 12, 12))(images).square().sum().backward()
    twin(images).square().sum().backward()
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_tracing_changes_nothing_in_the_module() -> None:
    noisy = small(lambda self, x: self.log(x + torch.ones(3) * self.gain), gain=nn.Parameter(torch.rand(3)))

    def log(x: Tensor) -> Tensor:
        noisy.seen.append(x)
        noisy.calls += 1
        return x * 2

    noisy.log, noisy.seen, noisy.calls = log, [], 0
    for module, shape in ((Net().eval(), (3, 12, 12)), (noisy, (3,))):
        before = {name: dict(vars(each)) for name, each in module.named_modules()}
        modes = [each.training for each in module.modules()]
        state, numbers = copy.deepcopy(module.state_dict()), torch.get_rng_state()
        from_module(module, shape)
        assert {name: dict(vars(each)) for name, each in module.named_modules()} == before
        assert [each.training for each in module.modules()] == modes
        assert torch.equal(torch.get_rng_state(), numbers)
        assert_same(module.state_dict(), state)
    assert noisy.seen == []


def test_arguments_with_defaults_and_by_name() -> None:
    net = Net().eval()
    images = torch.randn(2, 3, 12, 12)
    once = from_module(net, {"x": (3, 12, 12), "twice": False})
    assert torch.equal(once(images), net(images, twice=False))
    assert not torch.equal(once(images), net(images))
    assert once.input_names == ["x"]
    by_order = from_module(net, [torchfunc.Input((3, 12, 12), name="image"), False])
    assert torch.equal(by_order(images), once(images))
    assert by_order.input_names == ["image"]


def test_an_example_says_shape_and_dtype() -> None:
    net = small(lambda self, ids: self.table(ids).mean(1), table=nn.Embedding(9, 4))
    model = from_module(net, np.zeros((1, 6), dtype=np.int64))
    assert model.input_shape == (None, 6)
    ids = torch.randint(9, (3, 6))
    assert torch.equal(model(ids), net(ids))


def test_several_and_nested_arguments() -> None:
    def forward(self: Any, pair: list[Tensor], options: dict[str, Tensor], scale: float = 2.0) -> Tensor:
        return (self.fc(pair[0]) + pair[1]) * options["gate"] * scale

    net = small(forward, fc=nn.Linear(4, 3))
    model = from_module(net, [[(4,), (3,)], {"gate": (3,)}])
    a, b, c = torch.randn(2, 4), torch.randn(2, 3), torch.randn(2, 3)
    assert torch.equal(model(a, b, c), net([a, b], {"gate": c}))
    assert model.input_names == ["pair_0", "pair_1", "options_gate"]


@pytest.mark.parametrize(
    "shape_of",
    [
        lambda self, x: {"mean": x.mean(1), "parts": (x[:, :2], x[:, 2:])},
        lambda self, x: Pair(x + 1, x * 2),
        lambda self, x: (x, [x.relu(), x.sum()]),
        lambda self, x: (self.weight, x * self.weight),
    ],
    ids=["dict", "named tuple", "nested", "a parameter itself"],
)
def test_structured_outputs_keep_their_structure(shape_of: Callable[..., Any]) -> None:
    model = check(small(shape_of, weight=nn.Parameter(torch.rand(4))), (4,))
    if shape_of is not None and "Pair" in shape_of.__code__.co_names:
        assert type(model(torch.ones(2, 4))) is Pair


class Attention(nn.Module):
    """Attention written with sizes taken from the tensors, as in many a repository."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.positions = nn.Embedding(16, 8)
        self.register_buffer("mask", torch.tril(torch.ones(16, 16)), persistent=True)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        if t > 16:
            raise ValueError("too long")
        x = x + self.positions(torch.arange(t, device=x.device))
        q, k, v = self.qkv(x).split(c, dim=2)
        q, k, v = (each.view(b, t, 2, c // 2).transpose(1, 2) for each in (q, k, v))
        weights = (q @ k.transpose(-2, -1)) / (c // 2) ** 0.5
        weights = weights.masked_fill(self.mask[:t, :t] == 0, float("-inf")).softmax(-1)
        return (weights @ v).transpose(1, 2).reshape(b, t, c).to(x.dtype)


def test_sizes_are_known_where_the_input_says_them_and_live_where_it_does_not() -> None:
    model = check(Attention(), (6, 8))
    assert "x.shape[0]" in model.code
    with pytest.raises(GraphError, match="a dimension that may differ from batch to batch"):
        from_module(Attention(), (None, 8))


def test_a_device_is_that_of_the_data_when_the_model_runs() -> None:
    net = small(
        lambda self, x: x + torch.arange(x.shape[1], device=x.device) + self.w.to(x.device), w=torch.ones(4)
    )
    model = check(net, (4,))
    assert model.to("meta")(torch.ones(2, 4, device="meta")).device.type == "meta"
    twin = pickle.loads(pickle.dumps(check(net, (4,))))
    assert type(twin) is type(check(net, (4,)))


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: x.view(x.size(0), -1) * x.size(1),
        lambda self, x: x.reshape(x.shape[0] * 2, x.shape[1] // 2, x.shape[2]),
        lambda self, x: torch.cat([part.relu() for part in x.chunk(2, dim=1)], dim=2),
        lambda self, x: x.unbind(1)[0] + x[:, -1, ...] - x[:, 1:2].squeeze(1),
        lambda self, x: sum(x[:, i] for i in range(x.size(1))),
        lambda self, x: torch.stack(list(x[0])) if x.dim() == 3 else x,
        lambda self, x: x.new_zeros(x.shape[0], 2) + torch.ones(2),
        lambda self, x: F.interpolate(x[:, None], size=(x.shape[1] * 2, 4)).float().mT,
        lambda self, x: F.pad(x, (1, 1)).max(dim=1).values,
        lambda self, x: F.linear(x, self.w.t() * self.w.exp().mean()) if len(x.shape) == 3 else x,
        lambda self, x: x * (2.0 if self.training else 3.0),
        lambda self, x: torch.dropout(x, 0.5, self.training),
        lambda self, x: F.dropout2d(x[:, :, None], training=self.training)[:, :, 0],
        lambda self, x: F.rrelu(x, training=self.training),
        lambda self, x: torch.zeros(x.shape[2]) - x / torch.tensor(x.shape[1]),
        lambda self, x: (((x > 0.2) & (x < 0.7)) | (x > 0.9)) * x,
    ],
)  # fmt: skip
def test_functions_methods_operators_and_sizes(forward: Callable[..., Any]) -> None:
    check(small(forward, w=nn.Parameter(torch.rand(6, 6))), (4, 6))


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: self.relu(self.fc(x)),
        lambda self, x: self.relu(x) + x,
        lambda self, x: (lambda y: (self.relu(y), y * 2)[1])(x * 1),
        lambda self, x: F.relu(x + 1, inplace=True) * F.relu(x - 1, True),
        lambda self, x: (lambda y: (y.add_(1).mul_(2), y)[1])(x * 1),
        lambda self, x: torch.relu_(self.fc(x)),
        lambda self, x: (x * 1).masked_fill_(x > 0, 0.0).clamp_(-1, 1),
        lambda self, x: (lambda y: y.unsqueeze_(1))(x * 1),
        lambda self, x: (lambda parts: self.relu(parts[0]) + parts[1])(torch.sort(x)[:1] * 2),
    ],
)
def test_what_is_done_in_place_is_seen_by_later_readers(forward: Callable[..., Any]) -> None:
    check(small(forward, fc=nn.Linear(4, 4), relu=nn.ReLU(inplace=True)), (4,))


def test_every_intermediate_tensor_keeps_its_own_value() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))
    model = from_module(net, (4,))
    x = torch.randn(8, 4)
    linear, relu = torchfunc.Model(model.input, [layer.output for layer in model.layers[1:]])(x)
    assert torch.equal(linear, net[0](x))
    assert torch.equal(relu, net(x))
    assert (linear < 0).any()
    assert net[1].inplace


def test_a_view_of_what_is_changed_in_place_is_refused() -> None:
    net = small(lambda self, x: (lambda y, v: (y.relu_(), v)[1])(*(lambda y: (y, y.view(-1)))(x * 1)))
    with pytest.raises(GraphError, match=r"another view is changed in place \(test_fx.py, line \d+\)"):
        from_module(net, (4,))


def test_a_buffer_changed_in_place_is_refused_unless_its_module_stays_one_node() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.count.add_(1)
            return x + self.count

    net = nn.Sequential(nn.Linear(3, 3), Counter())
    with pytest.raises(
        GraphError, match=r"changes a parameter or buffer .* line \d+|line \d+.* parameter or buffer"
    ):
        from_module(net, (3,))
    for leaf in (Counter, [Counter], lambda module, path: path == "1"):
        model = from_module(net, (3,), leaf=leaf)
        assert model.layer_1 is net[1]
    before = float(net[1].count)
    model(torch.ones(1, 3))
    assert float(net[1].count) == before + 1


def test_a_submodule_that_branches_on_its_mode_stays_one_node() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.randn_like(x) if self.training else x

    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.noise = nn.Linear(4, 4), Noisy()

        def forward(self, x: Tensor) -> Tensor:
            return self.noise(self.fc(x)).relu()

    net = Body()
    model = check(net, (4,))
    assert model.noise is net.noise
    assert model.fc is net.fc


def test_many_submodules_that_branch_on_their_mode_are_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.rand_like(x) if self.training else x * 2

    traces, trace = [], fx.Tracer.trace
    monkeypatch.setattr(fx.Tracer, "trace", lambda self, root: traces.append(root) or trace(self, root))
    model = from_module(nn.Sequential(*(Branching() for _ in range(30))), (4,))
    assert len(traces) == 4  # both modes, and both again with those submodules whole
    assert [type(each) for each in model.children()] == [Branching] * 30


def test_a_forward_that_branches_on_its_mode_at_the_top_is_refused() -> None:
    net = small(lambda self, x: self.fc(x).exp() if self.training else self.fc(x), fc=nn.Linear(4, 4))
    with pytest.raises(GraphError, match=r"Small \(test_fx.py, line \d+\).*training mode.*module\(x\)"):
        from_module(net, (4,))


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x
        return -x


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Branch(), ["Branch (test_fx.py, line", "`if x.sum() > 0:`", "depends on the values", "module(x)"]),
        (
            nn.Sequential(nn.Linear(3, 3), Branch()),
            ["Sequential (test_fx.py, line", "`if x.sum() > 0:`", "keep '1' one node: leaf=Branch"],
        ),
        (small(lambda self, x: x if random.random() > 2 else -x), ["Small", "draws by itself"]),
        (small(lambda self, x: x * float(x.mean())), ["Small (test_fx.py, line", "module(x)"]),
        (small(lambda self, x: x.mean().item() * x), ["`.item()`", "test_fx.py, line"]),
        (small(lambda self, x: x if x.shape[0] == 4 else -x), ["which way it goes", "batch to batch"]),
        (small(lambda self, x: [x for _ in range(x.shape[0])]), ["batch to batch", "used as a number"]),
        (small(lambda self, x: {"x": x, "aux": None}), ["got None from its forward at ['aux']", "module(x)"]),
        (small(lambda self, x: self.fc(x), fc=nn.Linear(7, 7)), ["shape (None, 3)", "(test_fx.py, line"]),
    ],
)
def test_what_cannot_be_traced_is_refused_with_the_line_and_the_way_out(
    module: nn.Module, words: list[str]
) -> None:
    with pytest.raises(GraphError) as caught:
        from_module(module, (3,))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "issing a required argument: 'x'"),
        ([(3,), (3,), (3,)], "oo many positional arguments"),
        ({"y": (3, 12, 12)}, "issing a required argument: 'x'"),
        (None, "an Input, a shape or an example"),
        ("image", "an Input, a shape or an example"),
    ],
)
def test_inputs_that_do_not_fit_the_forward_are_refused(inputs: Any, words: str) -> None:
    with pytest.raises(GraphError, match=words) as caught:
        from_module(Net(), inputs)
    assert "from_module(Net)" in str(caught.value)
    assert "Fix: from_module(module, Input(shape=...))" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (nn.Linear, r"a torch.nn.Module, got the class Linear. Fix: from_module\(Linear\(...\), inputs\)"),
        (torch.relu, r"a torch.nn.Module, got .*relu.* Fix: call a function on an Input: f\(x\)"),
    ],
)
def test_what_is_no_module_is_refused(value: Any, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        from_module(value, (3,))


def test_a_check_on_known_shapes_is_made_at_once() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        torch._assert(x.shape[1] == 4, "wants four features")
        torch._assert(x.shape[0] < 4, "a batch size is known at run time only")
        return x

    from_module(small(forward), (4,))
    with pytest.raises(GraphError, match="Wants four features"):
        from_module(small(forward), (5,))


def test_modules_of_torch_nn_and_layers_of_torchfunc_stay_one_node() -> None:
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    net = small(lambda self, x: self.dense(self.encoder(x)), encoder=encoder, dense=layers.Dense(3))
    net(torch.ones(1, 5, 8))
    model = check(net, (5, 8))
    assert [layer.name for layer in model.layers] == ["x", "encoder", "dense"]
    assert model.dense is net.dense
    alone = from_module(encoder, (5, 8))
    assert [call.kind for call in alone.graph.calls] == ["input", "module"]


def test_a_module_called_twice_is_one_module_of_the_model() -> None:
    net = small(lambda self, x: self.fc(self.fc(x)) @ self.fc.weight, fc=nn.Linear(4, 4))
    model = check(net, (4,))
    assert list(model.state_dict()) == ["fc.weight", "fc.bias"]
    assert "self.fc.weight" in model.code


def test_hooks_of_a_submodule_run_whenever_the_model_runs() -> None:
    net = Net().eval()
    seen: list[tuple[int, ...]] = []
    handles = [
        each.register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape)))
        for each in (net.layer1[0], net.stem[0])
    ]
    model = from_module(net, (3, 12, 12))
    seen.clear()
    images = torch.randn(2, 3, 12, 12)
    assert torch.equal(model(images), net(images))
    assert len(seen) == 6  # the block twice and the convolution once, in each
    for handle in handles:
        handle.remove()


def test_names_are_valid_attributes_whatever_the_paths_are() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict({"a-b": nn.Linear(2, 2), "1": nn.Linear(2, 2)})
            self.trainer = nn.Linear(2, 2)
            self.output = nn.Linear(2, 2)
            self.x = nn.Linear(2, 2)
            setattr(self, "class", nn.Linear(2, 2))

        def forward(self, x: Tensor) -> Tensor:
            x = self.x(self.output(self.trainer(self.parts["1"](self.parts["a-b"](x)))))
            return getattr(self, "class")(x)

    model = check(Odd(), (2,))
    assert list(dict(model.named_children())) == [
        "parts_a_b",
        "parts_1",
        "trainer",
        "output",
        "x_1",
        "class_1",
    ]
    assert check(nn.Sequential(nn.Linear(2, 2)), (2,)).layer_0.in_features == 2


def test_names_stay_in_models_made_from_parts_of_the_graph() -> None:
    model = from_module(Net(), (3, 12, 12))
    names = list(dict(model.named_children()))
    for each in (model, copy.deepcopy(model)):
        part = torchfunc.Model(each.input, each.get_layer("layer1_0_bn2").output)
        assert list(dict(part.named_children())) == names[: names.index("layer1_0_bn2") + 1]


def test_a_model_can_go_on_from_a_traced_module() -> None:
    net = Net().eval()
    inputs = torchfunc.Input((3, 12, 12), name="images")
    traced = from_module(net, inputs * 2)
    outputs = layers.Dense(2)(traced.output)
    model = torchfunc.Model(inputs, outputs)
    images = torch.randn(2, 3, 12, 12)
    assert torch.equal(model(images), model.dense(net(images * 2)))
    with pytest.raises(DisconnectedError):
        torchfunc.Model(torchfunc.Input((3, 12, 12)), outputs)


def test_a_traced_module_copies_pickles_saves_and_compiles(tmp_path: Any) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(True), nn.Flatten(), nn.LazyLinear(2))
    net(torch.ones(1, 3, 6, 6))
    model = from_module(net.eval(), (3, 6, 6), name="small")
    images = torch.randn(3, 3, 6, 6)
    model.save(tmp_path / "small.safetensors")
    loaded = torchfunc.load_model(tmp_path / "small.safetensors").eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded, compiled):
        assert torch.equal(other(images), net(images))
    assert loaded.name == "small"


@pytest.mark.parametrize("kind", ["layers", "traced", "functions"])
def test_to_fx_gives_a_graph_module_with_the_same_names_and_weights(kind: str) -> None:
    inputs = {"a": torchfunc.Input((4, 6), name="a"), "b": torchfunc.Input((6,), name="b")}
    a, b = inputs.values()
    if kind == "layers":
        dense = layers.Dense(6, activation="relu", name="shared")
        outputs: Any = {"out": dense(dense(a)) + b[:, None], "b": [b]}
    elif kind == "traced":
        outputs = [from_module(Attention(), torchfunc.Input((4, 8)))(torch.cat([a, a[..., :2]], -1)), b]
    else:
        table = nn.Parameter(torch.rand(6, 2))
        outputs = (a.reshape(a.shape[0], -1) @ torch.ones(24, 2), b @ table, a.mT.sort(-1).values)
    model = torchfunc.Model(inputs, outputs)
    made = to_fx(model)
    assert isinstance(made, fx.GraphModule)
    values = torch.randn(3, 4, 6), torch.randn(3, 6)
    assert_same(made(*values), model(*values))
    assert {id(each) for each in made.parameters()} == {id(each) for each in model.parameters()}
    assert [node.name for node in made.graph.nodes if node.op == "call_module"] == [
        call.name for call in model.graph.calls if call.kind == "module"
    ]
    made.graph.lint()


def test_to_fx_and_back() -> None:
    net = Net().eval()
    images = torch.randn(2, 3, 12, 12)
    back = from_module(to_fx(from_module(net, (3, 12, 12))), (3, 12, 12))
    assert torch.equal(back(images), net(images))
    assert set(dict(back.named_children())) == set(dict(from_module(net, (3, 12, 12)).named_children()))


def test_inputs_without_names_do_not_take_each_others_place_in_torch_fx() -> None:
    a, b = torchfunc.Input((2,)), torchfunc.Input((2,))
    values = torch.rand(3, 2), torch.rand(3, 2)
    assert torch.equal(to_fx(torchfunc.Model([a, b], a - b))(*values), values[0] - values[1])


def test_to_fx_needs_a_graph() -> None:
    class Own(torchfunc.Model):
        def call(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(GraphError, match="no graph"):
        to_fx(Own())


def test_a_shape_error_of_the_module_is_a_shape_error() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.conv(x)

    with pytest.raises(
        ShapeError, match=r"Conv2d 'conv' .*It is called in the forward \(test_fx.py, line \d+\)"
    ):
        from_module(small(forward, conv=nn.Conv2d(3, 4, 3)), (8, 8, 3))


def test_importing_interop_loads_neither_torchvision_nor_onnx() -> None:
    heavy = "'torchvision', 'onnx', 'onnxscript', 'torch._dynamo', 'sympy'"
    code = f"import sys, torchfunc.applications; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("size", [None, 7, 12])
@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 3},
        {"kernel_size": (1, 4), "stride": (2, 1), "padding": (0, 2)},
        {"kernel_size": 3, "dilation": 2, "padding": 1, "groups": 2},
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": 2, "padding": 1, "padding_mode": "reflect"},
    ],
    ids=str,
)
def test_a_traced_convolution_has_the_shape_that_it_returns(arguments: dict[str, Any], size: int | None):
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 6, **arguments)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)

    module = Outer()
    model = from_module(module, torchfunc.Input((4, size, 8)))
    for height in (7, 12) if size is None else (size,):
        x = torch.rand(2, 4, height, 8)
        assert torch.equal(model(x), module(x))
        known = [
            each for each in zip(model.output_shape, module(x).shape, strict=True) if each[0] is not None
        ]
        assert all(stated == real for stated, real in known) and len(known) == (3 if size else 2)


@pytest.mark.parametrize("shape", [(3, 8, 8), (4, 2, 8), (4, 8)])
def test_a_traced_convolution_says_what_it_cannot_take(shape: tuple[int, ...]):
    with pytest.raises((GraphError, ShapeError), match=r"Conv2d 'layer_0'.*got shape"):
        from_module(nn.Sequential(nn.Conv2d(4, 6, 3)), torchfunc.Input(shape))


def test_values_are_not_compared_while_a_module_is_traced(monkeypatch: pytest.MonkeyPatch):
    class Dense(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x + number for number in range(8)], 1)

    compared = list[Any]()
    record = torchfunc.graph.symbolic.record

    def recorded(target: Any, *rest: Any, **named: Any) -> Any:
        if getattr(target, "__name__", "") == "eq":
            compared.append(target)
        return record(target, *rest, **named)

    monkeypatch.setattr(torchfunc.graph.symbolic, "record", recorded)
    assert from_module(Dense(), torchfunc.Input((4,))).output_shape == (None, 32)
    assert not compared
