"""Module calls on symbols are recorded, whatever else looks at module calls, and all others go PyTorch's way."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap
import threading
import types
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc.graph import interception
from torchfunc.graph.symbolic import SymbolicTensor


def run(script: str) -> str:
    """What a script prints in a process of its own, with warnings as errors."""
    program = ["import warnings", "warnings.simplefilter('error')", textwrap.dedent(script)]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    """Every test begins and ends with the interception on."""
    tf.interception(True)
    yield
    tf.interception(True)


def test_importing_torchfunc_changes_nothing_of_pytorch_and_the_first_input_one_code_object() -> None:
    run(
        """
        import torch
        from torch import nn
        from torch.nn.modules import module as home
        def picture():
            kinds = (nn.Module, torch.Tensor, nn.Linear, nn.Parameter)
            functions = {(k.__name__, n): v for k in kinds for n, v in vars(k).items()}
            codes = {key: v.__code__ for key, v in functions.items() if hasattr(v, "__code__")}
            return functions, codes, dict(vars(home)), dict(vars(torch.nn.functional))
        before = picture()
        import sys
        import torchfunc as tf
        assert picture() == before
        assert "torch._dynamo" not in sys.modules and "sympy" not in sys.modules
        tf.Input((3,))
        functions, codes, names, functional = picture()
        assert functions == before[0] and functional == before[3]
        changed = [key for key in codes if codes[key] is not before[1][key]]
        assert changed == [("Module", "_wrapped_call_impl"), ("Module", "__call__")]  # one function
        assert sorted(set(names) - set(before[2])) == ["_torchfunc_call", "_torchfunc_kinds"]
        tf.interception(False)
        assert picture()[:2] == before[:2]
        """
    )


MATRIX = """
    import torch
    from torch import nn
    {early}
    import torchfunc as tf
    assert ("torch._dynamo" in __import__("sys").modules) is {early!r}.endswith("_dynamo")

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()
            self.linear = nn.Linear(4, 4)
        def forward(self, pair, scale=None):
            x, y = pair
            return self.linear(self.relu(x)) * scale + y

    inputs = tf.Input((4,))
    x = nn.Sequential(nn.Linear(4, 4), nn.Tanh())(inputs)
    outputs = Both()((x, inputs), scale=x.relu())
    model = tf.Model(inputs, outputs)
    sequential = model.sequential
    batch = torch.randn(3, 4, requires_grad=True)

    def hook(kind):
        if kind == "pre":
            return sequential.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
        if kind == "forward":
            return sequential.register_forward_hook(lambda module, args, output: output * 2)
        if kind == "backward":
            return sequential.register_full_backward_hook(lambda module, given, output: (given[0] * 2,))

    def both(function):
        batch.grad = None
        model.zero_grad()
        result = function(batch)
        result.sum().backward()
        return result.detach(), batch.grad.clone(), sequential[0].weight.grad.clone()

    def agree(function, gradients=True):
        expected, found = both(model), both(function) if gradients else (function(batch),)
        for a, b in zip(found, expected):
            assert torch.allclose(a, b, atol=1e-6), (kind, a, b)

    plain = both(model)
    from torch._dynamo.testing import CompileCounter
    for kind in ("none", "pre", "forward", "backward"):
        handle = hook(kind)
        assert (kind == "none") == all(torch.equal(a, b) for a, b in zip(both(model), plain)), kind
        torch._dynamo.reset()
        breaks = kind == "backward"  # where PyTorch itself breaks the graph, and warns
        warnings.simplefilter("ignore" if breaks else "error")
        torch._dynamo.config.error_on_recompile = not breaks
        counter = CompileCounter()
        compiled = torch.compile(model, fullgraph=not breaks, backend=counter)
        agree(compiled)
        tf.Input((4,))
        compiled(batch)
        assert breaks or counter.frame_count == 1, (kind, counter.frame_count)
        if not breaks:
            dynamic = {{"input": {{0: torch.export.Dim("batch")}}}}
            for strict in (True, False):
                exported = torch.export.export(model, (batch.detach(),), dynamic_shapes=dynamic, strict=strict)
                larger = torch.randn(5, 4)
                assert torch.allclose(exported.module()(larger), model(larger), atol=1e-6), (kind, strict)
        if handle:
            handle.remove()
        # neither knows of hooks on the modules that it looks into
        warnings.simplefilter("ignore")
        traced = torch.fx.symbolic_trace(model)
        agree(traced)
        called = [str(node.target) for node in traced.graph.nodes if node.op == "call_module"]
        assert called[:2] == ["sequential.0", "sequential.1"], called
        agree(torch.jit.trace(model, batch.detach()), gradients=False)
        given = tf.Input((4,))
        agree(tf.Model(given, traced(given)))
    """


@pytest.mark.parametrize("early", [True, False], ids=["dynamo before", "dynamo after"])
def test_a_model_compiles_exports_and_traces_with_every_kind_of_hook(early: bool) -> None:
    run(MATRIX.format(early="import torch._dynamo" if early else ""))


def test_a_call_without_symbols_makes_no_python_call_beyond_pytorchs_own() -> None:
    module, batch = nn.Identity(), torch.zeros(2)
    called: list[types.CodeType] = []

    def watch(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            called.append(frame.f_code)

    def calls() -> list[str]:
        called.clear()
        sys.setprofile(watch)
        try:
            module(batch)
        finally:
            sys.setprofile(None)
        return [code.co_name for code in called]

    with_interception = calls()
    tf.interception(False)
    without = calls()
    assert with_interception == without == ["_wrapped_call_impl", "_call_impl", "forward"]


def test_dynamo_tries_the_same_frames_as_without_torchfunc_where_a_graph_breaks() -> None:
    script = """
        import sys
        import torch
        from torch import nn
        {early}
        class Breaking(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(4, 4)
            def forward(self, x):
                x = self.linear(x)
                torch._dynamo.graph_break()
                return x + 1
        import torch._dynamo
        from torch._dynamo.utils import counters
        network = nn.Sequential(Breaking(), nn.ReLU(), Breaking())
        with torch.no_grad():
            torch.compile(network, backend="eager")(torch.ones(2, 4))
        print(dict(counters["frames"]), dict(counters["stats"]))
        """
    assert run(script.format(early="import torchfunc as tf; tf.Input((3,))")) == run(script.format(early=""))


def test_a_traceback_through_a_module_call_quotes_pytorchs_line() -> None:
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(3, 4)(torch.ones(2, 2))
    lines = [str(entry.statement).strip() for entry in caught.traceback if entry.name == "_wrapped_call_impl"]
    assert lines == ["return self._call_impl(*args, **kwargs)"]


def test_symbols_are_found_among_keywords_and_in_containers() -> None:
    class Any_(nn.Module):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return next(iter(leaf for leaf in tf.tree.leaves((args, kwargs)) if isinstance(leaf, Tensor))) + 1

    x, module = tf.Input((3,)), Any_()
    for arguments, keywords in (
        ((x,), {}),
        ((1, x), {}),
        (([x],), {}),
        (((1, {"a": [x]}),), {}),
        ((OrderedDict(a=x),), {}),
        ((), {"a": x}),
        ((), {"a": {"b": (x,)}}),
        ((torch.zeros(3), 5), {"b": [x]}),
    ):
        assert isinstance(module(*arguments, **keywords), SymbolicTensor)


def test_modules_called_on_real_tensors_are_not_recorded_even_with_containers() -> None:
    class Sum(nn.Module):
        def forward(self, pair: Any, scale: float = 1.0) -> Tensor:
            total: Tensor = sum(pair) * scale  # type: ignore[assignment]
            return total

    assert torch.equal(Sum()([torch.ones(2), torch.ones(2)], scale=2.0), torch.full((2,), 4.0))


def test_a_compiled_module_is_still_compiled_on_real_tensors() -> None:
    graphs: list[Any] = []

    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    module = Twice()
    module.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    module(x=torch.ones(1, 3))
    module(torch.ones(1, 3))
    assert len(graphs) == 1


def test_switched_off_nothing_is_recorded_but_layers_and_functions_go_on() -> None:
    tf.interception(False)
    assert not interception.is_installed()
    x = tf.Input((3,))
    assert not interception.is_installed()
    assert nn.Module._wrapped_call_impl.__code__ is interception._original
    linear = nn.Linear(3, 4)
    y = linear(x)  # seen as its functions, with its weights as arguments
    assert y.node.target is torch.nn.functional.linear
    assert tf.layers.Dense(5)(x).shape == (None, 5)
    tf.interception(True)
    assert linear(x).node.target is linear


def test_an_unknown_pytorch_is_wrapped_instead() -> None:
    run(
        """
        import torch
        from torch import nn
        def other(self, *args, **kwargs):
            self.__dict__["seen"] = True
            if self._compiled_call_impl is not None:
                return self._compiled_call_impl(*args, **kwargs)
            return self._call_impl(*args, **kwargs)
        nn.Module._wrapped_call_impl.__code__ = other.__code__
        import torchfunc as tf
        from torchfunc.graph import interception
        assert not interception.has_known_body()
        call = nn.Module.__call__
        inputs = tf.Input((3,))
        assert nn.Module._wrapped_call_impl.__code__ is other.__code__ and interception.is_installed()
        tf.Input((3,))
        linear = nn.Linear(3, 4)
        model = tf.Model(inputs, linear(input=inputs).relu())
        assert [call.kind for call in model.graph.calls] == ["input", "module", "method"]
        batch = torch.ones(2, 3)
        assert torch.equal(model(batch), linear(batch).relu()) and linear.__dict__["seen"]
        assert torch.equal(torch.compile(model, backend="eager", fullgraph=True)(batch), model(batch))
        tf.interception(False)
        assert nn.Module.__call__ is call
        """
    )


def test_pytorchs_own_body_is_the_known_one() -> None:
    assert interception.has_known_body()
    assert not interception.has_known_body(interception.call_module.__code__)


def test_a_foreign_patch_of_module_calls_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    original = nn.Module.__call__

    def patched(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        seen.append(type(self))
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "__call__", patched)
        x = tf.Input((3,))
        assert isinstance(nn.Linear(3, 4)(x), SymbolicTensor)
        tf.interception(False)
        tf.interception(True)
        assert nn.Module.__call__ is patched
    assert nn.Linear in seen and nn.Module.__call__ is original


def test_threads_may_build_and_run_while_it_is_switched() -> None:
    errors: list[BaseException] = []
    stop = threading.Event()
    module, batch = nn.Linear(3, 3), torch.ones(1, 3)

    def calling() -> None:
        try:
            while not stop.is_set():
                assert isinstance(module(input=batch), Tensor)
                assert isinstance(module(batch), Tensor)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=calling) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        tf.interception(False)
        tf.interception(True)
        module(tf.Input((3,)))
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_an_fx_trace_around_the_building_does_not_disturb_it() -> None:
    class Building(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            inner = tf.Input((3,))
            tf.Model(inner, inner.relu())
            return x + 1

    torch.fx.symbolic_trace(Building())
    assert isinstance(nn.Linear(3, 4)(tf.Input((3,))), SymbolicTensor)


class Reversed(torch.autograd.Function):
    """The input as it is; its gradient times -scale."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return -ctx.scale * gradient, None


class ProductAndSum(torch.autograd.Function):
    """Two results, with the newer form of `forward` and tensors saved for a backward that is off by a factor."""

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x * y, x + y

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, product: Tensor, total: Tensor) -> Any:
        x, y = ctx.saved_tensors
        return 3 * (product * y + total), 3 * (product * x + total)


class WithFunctions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        a, b = ProductAndSum.apply(Reversed.apply(self.lin(x), 2.0), x)
        return a + b  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # dynamo does it
@pytest.mark.parametrize("way", ["called", "from_module", "copied", "compiled"])
def test_a_custom_autograd_function_is_one_call_with_its_own_backward(way: str) -> None:
    plain, x = WithFunctions(), torch.rand(3, 4)
    inputs = tf.Input((4,))
    if way == "from_module":
        model: Any = tf.interop.from_module(plain, inputs)
    else:
        a, b = ProductAndSum.apply(Reversed.apply(plain.lin(inputs), 2.0), inputs)
        model = tf.Model(inputs, a + b)
        assert "reversed = reversed(x, 2.0)" in model.code or "x = reversed(x, 2.0)" in model.code
    if way == "copied":
        model = copy.deepcopy(model)
    called = torch.compile(model, backend="aot_eager", fullgraph=True) if way == "compiled" else model
    expected = torch.autograd.grad(plain(x).pow(2).sum(), plain.lin.weight)[0]
    got = torch.autograd.grad(called(x).pow(2).sum(), next(model.parameters()))[0]
    assert torch.equal(got, expected) or way == "compiled"
    torch.testing.assert_close(got, expected)


def test_applied_to_tensors_it_is_pytorchs_own() -> None:
    x = torch.rand(3, requires_grad=True)
    Reversed.apply(x, 3.0).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(x.grad, torch.full((3,), -3.0))  # type: ignore[arg-type]
    tf.interception(False)
    assert torch.autograd.Function.apply.__func__.__module__ == "torch.autograd.function"  # type: ignore[attr-defined]


def test_a_module_that_overrides_call_is_refused_where_it_would_be_called_twice() -> None:
    class Doubled(nn.Linear):
        def __call__(self, x: Any) -> Any:
            return super().__call__(x) * 2

    inputs, x = tf.Input((4,)), torch.rand(2, 4)
    with pytest.raises(
        tf.errors.GraphError, match="`__call__` of its own.*rename its `__call__` to `forward`"
    ):
        Doubled(4, 3)(inputs)

    class Renamed(nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x) * 2

    layer = Renamed(4, 3)
    assert torch.equal(tf.Model(inputs, layer(inputs))(x), layer(x))
