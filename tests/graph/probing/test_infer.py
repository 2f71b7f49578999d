"""Trying a call finds what it returns, and leaves nothing behind."""

from __future__ import annotations

import copy
import dataclasses
import random
import threading
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, rnn, spectral_norm, weight_norm

import torchfunc as tf
from torchfunc.errors import GraphError
from torchfunc.graph.probing import shortcuts
from torchfunc.graph.probing.infer import infer
from torchfunc.graph.probing.results import OtherFormError
from torchfunc.graph.probing.shortcuts import SHORTCUTS
from torchfunc.graph.spec import WORLDS, Number, Spec
from torchfunc.layers import Layer
from torchfunc.tree import leaves


def test_a_spec_merges_its_worlds_into_one_shape() -> None:
    spec = Spec.of((None, 3), torch.int64)
    assert spec.shape == (None, 3) and spec.worlds == tuple((world, 3) for world in WORLDS)
    assert repr(spec) == "(None, 3) int64"
    assert Spec.of((2, 3)).worlds == ((2, 3),) and Spec.of((2, 3)) == Spec(torch.float32, ((2, 3),) * 3)


def test_what_moves_between_the_worlds_is_unknown() -> None:
    found = infer(lambda x: (x.flatten(), x.T, x.numel(), x.ndim), (Spec.of((None, 3)),), {})
    assert found[0].shape == (None,) and found[1].shape == (3, None)
    assert found[2] == Number(tuple(3 * world for world in WORLDS)) and found[3] == 2


def test_a_known_call_is_tried_once() -> None:
    tries: list[Any] = []
    infer(lambda x: tries.append(x.shape), (Spec.of((2, 3)),), {})
    assert len(tries) == 1


def test_a_call_that_fails_for_one_sample_is_known_by_the_other_worlds() -> None:
    found = infer(lambda x: x.view(-1, 6, 2), (Spec.of((None, 2)),), {})
    assert found.shape == (None, 6, 2) and len(found.worlds) == 2


def test_a_result_of_another_form_for_another_size_is_an_error() -> None:
    with pytest.raises(OtherFormError, match="another form for another batch size"):
        infer(lambda x: x if len(x) < 100 else [x], (Spec.of((None, 3)),), {})


def everything(module: nn.Module) -> Any:
    """All that a module holds: which objects, and copies of the containers among them."""
    return [(each, freeze(each.__dict__)) for each in module.modules()], {
        name: value.clone() for name, value in module.state_dict().items() if isinstance(value, Tensor)
    }


def freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return type(value), [(key, freeze(each)) for key, each in value.items()]
    if isinstance(value, (list, tuple, deque)):
        return type(value), [freeze(each) for each in value]
    if isinstance(value, set):
        return set(value)
    if isinstance(value, types.SimpleNamespace) or dataclasses.is_dataclass(value):
        return freeze(vars(value))
    return id(value)


def assert_untouched(module: nn.Module, call: Callable[[], Any]) -> Any:
    held, state = everything(module)
    states = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()  # type: ignore[union-attr]
    versions = {name: value._version for name, value in module.state_dict(keep_vars=True).items()}
    result = call()
    held_after, state_after = everything(module)
    assert held_after == held
    assert all(torch.equal(state[name], value) for name, value in state_after.items())
    assert versions == {name: value._version for name, value in module.state_dict(keep_vars=True).items()}
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == np.random.get_state()[1].tobytes()  # type: ignore[union-attr]
    assert states[2] == random.getstate()
    return result


class Counting(nn.Module):
    """A module that keeps books on itself in every way."""

    @dataclasses.dataclass
    class Book:
        pages: int = 0

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.seen: list[Any] = [1]
        self.nested: dict[str, Any] = {"shapes": [], "deep": {"count": 0}}
        self.ordered: OrderedDict[str, int] = OrderedDict(a=1)
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.recent: deque[Any] = deque([1], maxlen=2)
        self.kinds: set[str] = set()
        self.pair = ([0], 1)
        self.space = types.SimpleNamespace(last=None)
        self.book = Counting.Book()
        self.plain = torch.zeros(1)
        self.register_buffer("total", torch.zeros(1))
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.cache = x
        self.seen.append(x)
        self.nested["shapes"].append(x.shape)
        self.nested["deep"]["count"] += 1
        self.ordered["b"] = 2
        self.ordered.move_to_end("a")
        self.counts["calls"] += 1
        self.recent.append(x)
        self.kinds.add("tensor")
        self.pair[0].append(1)
        self.space.last = x
        self.book.pages += 1
        self.plain.add_(1)
        self.total.add_(1)
        self.total = self.total * 2
        self.linear.cache = x
        self.linear.weight.data.mul_(2)
        noise = random.random() + float(np.random.rand())
        return self.linear(x) * noise + torch.rand_like(x)


def test_a_module_that_keeps_books_on_itself_is_as_before() -> None:
    module = Counting()
    y = assert_untouched(module, lambda: module(tf.Input((3,))))
    assert y.shape == (None, 3)
    assert module.plain == 0 and "cache" not in vars(module)


class Deciding(Counting):
    """As `Counting`, with a branch on values."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * 2 if y.sum().item() > 0 else y


def test_a_module_with_a_branch_on_values_is_tried_on_numbers_and_as_before() -> None:
    module = Deciding()
    y = assert_untouched(module, lambda: module(tf.Input((3,))))
    assert y.shape == (None, 3)
    assert module.plain == 0


def test_trying_a_module_on_numbers_takes_small_batches() -> None:
    largest = 0

    class Module(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal largest
            if not x.is_meta:
                largest = max(largest, x.shape[0])
            return x.flatten(1) * x.max().item()

    assert Module()(tf.Input((None, 4))).shape == (None, None)
    assert 0 < largest <= 24


def test_a_size_that_hangs_on_values_is_unknown() -> None:
    class Packing(nn.Module):
        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return rnn.pad_packed_sequence(packed, batch_first=True)[0]

    x, lengths = tf.Input((10, 2)), tf.Input((), dtype="int64")
    y = Packing()(x, lengths)
    assert y.shape == (None, None, 2)
    model = tf.Model([x, lengths], y)
    assert model(torch.zeros(2, 10, 2), torch.tensor([4, 2])).shape == (2, 4, 2)


SIDE_EFFECTS: dict[str, Callable[[], tuple[nn.Module, tuple[Any, ...]]]] = {
    "batch norm": lambda: (nn.BatchNorm2d(3), (tf.Input((3, 5, 5)),)),
    "dropout": lambda: (nn.Sequential(nn.Dropout(), nn.Linear(3, 3)), (tf.Input((3,)),)),
    "spectral norm by hooks": lambda: (spectral_norm(nn.Linear(3, 4)), (tf.Input((3,)),)),
    "spectral norm": lambda: (parametrizations.spectral_norm(nn.Linear(3, 4)), (tf.Input((3,)),)),
    "weight norm": lambda: (parametrizations.weight_norm(nn.Linear(3, 4)), (tf.Input((3,)),)),
    "orthogonal": lambda: (parametrizations.orthogonal(nn.Linear(3, 3)), (tf.Input((3,)),)),
    "lstm": lambda: (nn.LSTM(3, 4, dropout=0.5, num_layers=2), (tf.Input((7, 3)),)),
    "transformer": lambda: (nn.TransformerEncoderLayer(4, 2, 8), (tf.Input((7, 4)),)),
    "embedding with a norm": lambda: (nn.Embedding(5, 3, max_norm=0.1), (tf.Input((), dtype="int64"),)),
    "rrelu": lambda: (nn.RReLU(), (tf.Input((3,)),)),
    "fractional pool": lambda: (nn.FractionalMaxPool2d(2, output_size=3), (tf.Input((3, 8, 8)),)),
}


@pytest.mark.parametrize("make", SIDE_EFFECTS.values(), ids=SIDE_EFFECTS)
@pytest.mark.parametrize("training", [True, False])
def test_building_has_no_side_effects(make: Callable[[], Any], training: bool) -> None:
    module, arguments = make()
    module.train(training)
    assert_untouched(module, lambda: module(*arguments))


def test_the_old_weight_norm_is_as_before() -> None:
    with pytest.warns(FutureWarning):
        module = weight_norm(nn.Linear(3, 4))
    assert_untouched(module, lambda: module(tf.Input((3,))))


def test_functions_that_draw_leave_the_random_numbers_alone() -> None:
    x = tf.Input((3,))
    assert_untouched(nn.Identity(), lambda: F.dropout(torch.bernoulli(x.sigmoid()) + torch.rand_like(x)))
    assert_untouched(nn.Identity(), lambda: torch.multinomial(x.softmax(-1), 2))
    assert_untouched(nn.Identity(), lambda: tf.call(lambda a: a * np.random.rand() * random.random(), x))


def test_nothing_is_allocated_for_the_data_or_a_second_time_for_the_weights() -> None:
    sizes: list[int] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            sizes.extend(
                leaf.numel()
                for leaf in leaves(result)
                if isinstance(leaf, Tensor) and leaf.device.type != "meta"
            )
            return result

    network = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)
    )
    x = tf.Input((3, 64, 64))
    network[:4](x)
    with Watch():
        network[:4](x)
        F.relu(x + torch.zeros(64))
    assert max(sizes, default=0) <= 64
    network(x)
    assert network[4].weight.shape == (10, 64 * 62 * 62) and network[4].weight.device.type == "cpu"


def test_a_lazy_module_makes_real_weights_and_nothing_else_happens() -> None:
    module = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))
    twin = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 5))
    torch.manual_seed(5)
    y = module(tf.Input((3, 8, 8)))
    assert y.shape == (None, 5)
    assert [type(each) for each in module] == [type(each) for each in twin]
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    assert shapes == {name: value.shape for name, value in twin.state_dict().items()}
    assert module[1].num_batches_tracked == 0 and module[1].running_mean.abs().sum() == 0
    torch.manual_seed(5)
    by_hand = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5)).eval()
    by_hand(torch.zeros(1, 3, 8, 8))
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), by_hand.parameters(), strict=True))


class Unbuilt(nn.Module):
    """A module of the user's own around layers that have no weights yet."""

    def __init__(self, decide: bool = False) -> None:
        super().__init__()
        self.first = tf.layers.Dense(4)
        self.second = nn.Sequential(tf.layers.Dense(4), tf.layers.Dense(4))
        self.decide = decide

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.decide and x.sum().item() > 1e9:
            return x
        return self.second(x)


@pytest.mark.parametrize("decide", [False, True])
def test_layers_inside_a_module_of_ones_own_are_built_with_weights_of_their_own(decide: bool) -> None:
    module = Unbuilt(decide)
    state = torch.get_rng_state()
    y = module(tf.Input((4,)))
    assert y.shape == (None, 4)
    kernels = [each for name, each in module.named_parameters() if each.ndim == 2]
    assert len(kernels) == 3 and all(each.device.type == "cpu" for each in kernels)
    assert not torch.equal(kernels[0], kernels[1]) and not torch.equal(kernels[1], kernels[2])
    assert not torch.equal(state, torch.get_rng_state())
    model = tf.Model(x := tf.Input((4,)), module(x))
    assert len(model.state_dict()) == 6
    assert model(torch.ones(2, 4)).shape == (2, 4)


def test_weights_are_drawn_as_if_nothing_had_been_tried() -> None:
    torch.manual_seed(3)
    tried = Unbuilt(decide=True)
    tried(tf.Input((4,)))
    torch.manual_seed(3)
    run = Unbuilt()
    run(torch.ones(2, 4))
    assert all(torch.equal(a, b) for a, b in zip(tried.parameters(), run.parameters(), strict=True))


def test_a_lazy_module_made_while_a_layer_around_it_is_tried_makes_real_weights_too() -> None:
    class Late(Layer):
        def build(self, input_shape: Any) -> None:
            self.inner = nn.LazyLinear(5)
            self.outer = tf.layers.Dense(2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.outer(self.inner(inputs))

    module = nn.Sequential(Late())
    assert module(tf.Input((3,))).shape == (None, 2)
    shapes = {name: tuple(each.shape) for name, each in module.named_parameters()}
    assert shapes == {
        "0.inner.weight": (5, 3),
        "0.inner.bias": (5,),
        "0.outer.weight": (2, 5),
        "0.outer.bias": (2,),
    }
    assert module[0].inner.weight.device.type == "cpu" and module(torch.ones(4, 3)).shape == (4, 2)
    assert module[0].inner.weight.std() > 0 and not module[0].inner._forward_pre_hooks


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


class Making(nn.Module):
    """A module that makes tensors of its own in forward, on a device that it names."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor, *, flag: bool = True) -> Any:
        base = torch.zeros(x.shape[0], 3, device="cpu") + torch.arange(3, device=x.device)
        made = (
            torch.tensor([1.0, 2.0, 3.0]).to("cpu") + torch.eye(3)[0] + torch.Tensor([1, 2, 3]).to(self.scale)
        )
        noise = torch.randn(x.size(), device=torch.device("cpu"))
        both = Pair((x + base + made + noise) * self.scale, x.new_ones(2).cpu())
        return {"pair": both, "plain": [None, "text", 3, x.shape[1]], "flag": flag}


def test_a_module_may_make_tensors_and_return_nested_structures() -> None:
    x = tf.Input((3,))
    found = assert_untouched(module := Making(), lambda: module(x, flag=False))
    assert type(found["pair"]) is Pair and found["pair"].left.shape == (None, 3)
    assert found["plain"] == [None, "text", 3, 3] and found["flag"] is False
    model = tf.Model(x, found["pair"])
    assert isinstance(model(torch.zeros(2, 3)), Pair)


class Alternating(nn.Module):
    """A module whose result has another form for a large batch."""

    def forward(self, x: Tensor) -> Any:
        return x if x.shape[0] < 100 else (x, x)


def test_a_module_whose_form_depends_on_the_batch_is_refused() -> None:
    with pytest.raises(GraphError, match="a graph has one form for all") as caught:
        Alternating()(tf.Input((3,), name="img"))
    text = str(caught.value)
    assert "Alternating 'alternating'" in text and "'img'" in text and "Fix:" in text and "96" not in text


def test_a_batch_of_one_that_is_treated_otherwise_is_no_obstacle() -> None:
    class Squeezing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.squeeze()

    assert Squeezing()(tf.Input((1, 3))).shape == (None, 3)


def test_a_compiled_module_is_tried_without_compiling() -> None:
    compiled: list[Any] = []
    module = Making()
    module.compile(backend=lambda graph, inputs: compiled.append(graph) or graph.forward)
    y = assert_untouched(module, lambda: module(tf.Input((3,))))
    assert y["pair"].left.shape == (None, 3) and not compiled and module._compiled_call_impl is not None


def test_a_module_wrapped_by_torch_compile_goes_in() -> None:
    x = tf.Input((3,))
    linear = nn.Linear(3, 4)
    batch = torch.randn(2, 3)
    wrapped = torch.compile(linear, backend="eager")
    assert torch.equal(tf.Model(x, wrapped(x))(batch), linear(batch))


def test_threads_can_build_at_once() -> None:
    errors: list[BaseException] = []

    def build() -> None:
        try:
            for _ in range(15):
                module = Unbuilt()
                model = tf.Model(x := tf.Input((4,)), F.gelu(module(x)))
                assert model(torch.ones(2, 4)).device.type == "cpu"
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_failed_try_leaves_nothing_behind_either() -> None:
    class Failing(Counting):
        def forward(self, x: Tensor) -> Tensor:
            super().forward(x)
            raise KeyError("no")

    module = Failing()

    def call() -> None:
        with pytest.raises(GraphError, match="'no'"):
            module(tf.Input((3,)))

    assert_untouched(module, call)


def test_a_layer_may_ask_for_shapes_while_it_is_being_built() -> None:
    class Asking(Layer):
        def build(self, input_shape: Any) -> None:
            self.inner = tf.layers.Dense(5)
            self.width = self.inner.compute_output_shape(input_shape)[-1]
            self.kernel = self.add_weight((self.width, 2))

        def forward(self, inputs: Tensor) -> Tensor:
            return self.inner(inputs) @ self.kernel

    module = nn.Sequential(Asking())
    assert module(tf.Input((3,))).shape == (None, 2)
    assert sorted(module.state_dict()) == ["0.inner.bias", "0.inner.weight", "0.kernel"]
    assert module(torch.ones(4, 3)).shape == (4, 2)


X = torch.randn(4, 6, 5, 5)
SHORT: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (F.batch_norm, (X, torch.zeros(6), torch.ones(6)), {"training": True}),
    (F.batch_norm, (X, torch.zeros(5), torch.ones(6)), {}),
    (F.batch_norm, (X[:1, :, 0, 0], None, None), {"training": True}),
    (F.layer_norm, (X, (5, 5), torch.ones(5, 5)), {}),
    (F.layer_norm, (X, (6, 5)), {}),
    (F.group_norm, (X, 3, torch.ones(6)), {}),
    (F.group_norm, (X, 4), {}),
    (F.linear, (X, torch.ones(3, 5), torch.ones(3)), {}),
    (F.linear, (X, torch.ones(3, 5), torch.ones(1)), {}),
    (F.linear, (X, torch.ones(3, 5), torch.ones(4)), {}),
    (F.linear, (X, torch.ones(3, 4), torch.ones(3)), {}),
    (F.linear, (X[0, 0, 0], torch.ones(3, 5), torch.ones(3)), {}),
    (F.scaled_dot_product_attention, (X, X, X[..., :3]), {}),
    (F.scaled_dot_product_attention, (X, X[..., :3], X), {}),
    (F.scaled_dot_product_attention, (X, X, X, torch.ones(5, 5)), {}),
    (F.adaptive_avg_pool2d, (X, (None, 2)), {}),
    (F.adaptive_avg_pool2d, (X[0], 3), {}),
    (F.adaptive_avg_pool2d, (X, (1, 2, 3)), {}),
    (F.adaptive_avg_pool1d, (X, 3), {}),
    (F.log_softmax, (X, -1), {}),
    (F.log_softmax, (X, 9), {}),
    (F.log_softmax, (X,), {"dim": 1, "dtype": torch.float64}),
    (F.dropout, (X, 1.5), {}),
    (F.dropout, (X,), {"p": 0.2, "training": False}),
    (torch.add, (X, X[0]), {}),
    (torch.add, (X, X), {"alpha": 2}),
    (torch.add, (X, 1j), {}),
    (torch.add, (X, True), {}),
    (torch.sub, (X, X[:, :2]), {}),
    (torch.mul, (X, X.double()), {}),
    (torch.mul, (X, X.long()), {}),
    (torch.mul, (X.long(), 2.5), {}),
    (torch.div, (X, X), {"rounding_mode": "floor"}),
    (torch.div, (torch.ones(3, 1), torch.ones(1, 4)), {}),
    (torch.div, (torch.ones(2, 3), torch.ones(())), {}),
    (torch.sigmoid, (X.long(),), {}),
    (torch.exp, (X.half(),), {}),
    (torch.relu, (X.transpose(0, 1),), {}),
    (F.gelu, (X,), {"approximate": "tanh"}),
    (F.leaky_relu, (X, 0.3), {}),
    (F.relu, (X,), {"inplace": True}),
    (Tensor.add_, (X[0].clone(), 1), {}),
]


@pytest.mark.parametrize(
    ("function", "args", "kwargs"), SHORT, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_shortcut_says_what_pytorch_says(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert function in SHORTCUTS
    given = tuple(
        Spec.of(tuple(each.shape), each.dtype) if isinstance(each, Tensor) else each for each in args
    )

    def found() -> Any:
        try:
            return infer(function, given, kwargs)
        except Exception as error:
            return type(error)

    with_shortcut = found()
    monkeypatch.setattr(shortcuts, "SHORTCUTS", {})
    assert with_shortcut == found()
    try:
        real = function(*copy.deepcopy(args), **kwargs)
    except Exception:
        assert isinstance(with_shortcut, type)
    else:
        assert with_shortcut == Spec.of(tuple(real.shape), real.dtype)


def test_every_pointwise_shortcut_keeps_shape_and_dtype() -> None:
    positive = torch.rand(3, 4) + 0.1
    plain = {
        function: state
        for function, state in SHORTCUTS.items()
        if state in (shortcuts._pointwise, shortcuts._with_numbers)
    }
    assert len(plain) > 50
    for function in plain:
        real = function(positive.clone())
        assert real.shape == positive.shape and real.dtype is positive.dtype


class Weighing(nn.Module):
    """Looks at numbers, and has weights and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 2)
        self.register_buffer("scale", torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x) * self.scale if x.sum() > 0 else self.dense(x)


def test_calls_that_look_at_numbers_are_tried_on_the_cpu_whatever_the_default_device() -> None:
    with torch.device("meta"):
        x = tf.Input((4,))
        assert x[x > 0].shape == (None,)
        assert x[:, torch.tensor([True, False, True, False])].ndim == 2
        assert torch.unique(x).shape == (None,)
        assert Weighing()(x).shape == (None, 2)


ITEMS = [
    (torch.rand(3, 4),),
    (torch.arange(12).view(3, 4),),
    (torch.rand(3, 4) > 0.5,),
    (torch.rand(4, 3).t(),),
    (torch.rand(3, 4), torch.rand(3, 4)),
    (torch.rand(3, 1), torch.arange(1, 5)),
    (torch.rand(3, 4), 2),
    (torch.arange(12).view(3, 4), 2),
    (torch.arange(12).view(3, 4), 2.5),
    (torch.rand(2, 3, 4) > 0.5, torch.rand(4) > 0.5),
    (torch.rand(3, 4).double(), torch.rand(())),
    (torch.arange(3, dtype=torch.uint8), torch.arange(1, 4)),
    (torch.rand(3, 4), torch.rand(3)),
]


@pytest.mark.parametrize("name", sorted(" ".join(shortcuts._ELEMENTWISE.values()).split()))
def test_an_elementwise_shortcut_says_what_is_computed(name: str) -> None:
    homes = [Tensor] if name.startswith("__") else [torch, nn.functional, Tensor]
    functions = [getattr(home, name) for home in homes if hasattr(home, name)]
    stated = 0
    for function in functions:
        for args in ITEMS:
            found = shortcuts.shortcut(function, tuple(map(on_meta, args)), {})
            try:
                real = function(*args)
            except (RuntimeError, TypeError):
                assert found is None, args
                continue
            if found is not None:
                stated += 1
                assert (found.shape, found.dtype, found.stride()) == (
                    real.shape,
                    real.dtype,
                    real.stride(),
                ), args
    assert stated >= 2


def on_meta(value: Any) -> Any:
    return torch.empty_like(value, device="meta") if isinstance(value, Tensor) else value
