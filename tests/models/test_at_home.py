"""At home in PyTorch: a Model is what the hand-written module beside it is, to every tool of PyTorch's."""

import copy
import inspect
import itertools
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.profiler import ProfilerActivity, profile

import torchfunc as tf
from torchfunc import layers
from torchfunc.interop import torchvision


class Twin(nn.Module):
    """The model below, written by hand."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(8, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        x = F.relu(self.dense(x))
        x = self.drop(self.norm(x))
        return self.head(x)


class ByHand(tf.Model):
    """A model without a graph."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4)

    def call(self, inputs):
        return self.dense(inputs)


def model_like_twin():
    inputs = tf.Input((8,), name="x")
    x = layers.Dense(16, activation="relu", name="dense")(inputs)
    norm, drop = nn.BatchNorm1d(16), nn.Dropout(0.5)
    norm.given_name, drop.given_name = "norm", "drop"
    x = drop(norm(x))
    return tf.Model(inputs, layers.Dense(4, name="head")(x), name="twin")


@pytest.fixture
def pair():
    torch.manual_seed(0)
    model, twin = model_like_twin(), Twin()
    twin.load_state_dict(model.state_dict())
    return model, twin


X = torch.rand(6, 8, generator=torch.Generator().manual_seed(0))


def same(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


class TestAsAModule:
    def test_names_are_the_twins(self, pair):
        model, twin = pair
        assert [name for name, _ in model.named_children()] == [name for name, _ in twin.named_children()]
        assert list(model.state_dict()) == list(twin.state_dict())
        assert [name for name, _ in model.named_parameters()] == [name for name, _ in twin.named_parameters()]

    def test_state_goes_both_ways(self, pair):
        model, _ = pair
        other = Twin()
        model.load_state_dict(other.state_dict())
        same(model.eval()(X), other.eval()(X))
        assert not model_like_twin().load_state_dict(model.state_dict()).missing_keys

    def test_training_and_inference_mode(self, pair):
        model, twin = pair
        torch.manual_seed(1)
        ours = model.train()(X)
        torch.manual_seed(1)
        same(ours, twin.train()(X))
        same(model.norm.running_mean, twin.norm.running_mean)
        same(model.eval()(X), twin.eval()(X))

    def test_gradients(self, pair):
        model, twin = pair
        for each in pair:
            each.eval()(X).square().sum().backward()
        for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
            same(ours.grad, theirs.grad)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
    def test_other_dtypes(self, pair, dtype):
        for each in pair:
            each.to(dtype).eval()
        result = pair[0](X.to(dtype))
        assert result.dtype == dtype
        torch.testing.assert_close(result, pair[1](X.to(dtype)))
        assert next(model_like_twin().half().parameters()).dtype == torch.float16
        assert next(model_like_twin().bfloat16().parameters()).dtype == torch.bfloat16

    def test_devices(self, pair):
        model, twin = pair
        assert all(each.is_meta for each in copy.deepcopy(model).to("meta", torch.float64).parameters())
        with torch.device("meta"):
            empty = model_like_twin()
        assert all(each.is_meta for each in empty.state_dict().values())
        empty.load_state_dict(twin.state_dict(), assign=True)
        same(empty.eval()(X), twin.eval()(X))

    def test_autocast(self, pair):
        with torch.autocast("cpu", torch.bfloat16):
            results = [each.eval()(X) for each in pair]
        assert results[0].dtype == torch.bfloat16
        assert torch.equal(*results)

    def test_freezing(self, pair):
        model, _ = pair
        model.dense.requires_grad_(False)
        model(X).sum().backward()
        assert model.dense.weight.grad is None and model.head.weight.grad is not None
        model.requires_grad_(False)
        assert not any(each.requires_grad for each in model.parameters())

    def test_hooks_on_every_submodule(self, pair):
        seen = {"model": [], "twin": []}
        for name, each in zip(seen, pair, strict=True):
            for child, module in each.eval().named_children():
                module.register_forward_pre_hook(lambda m, a, c=child, n=name: seen[n].append(("pre", c)))
                module.register_forward_hook(lambda m, a, o, c=child, n=name: seen[n].append(("post", c)))
                module.register_full_backward_hook(
                    lambda m, i, o, c=child, n=name: seen[n].append(("back", c))
                )
            each(X.clone().requires_grad_()).sum().backward()
        assert seen["model"] == seen["twin"] and len(seen["twin"]) == 12

    def test_every_kind_of_hook_is_called_as_on_the_twin(self, pair):
        seen = ([], [])
        for events, each in zip(seen, pair, strict=True):
            for name, module in each.eval().named_modules():

                def note(kind, name=name, events=events):
                    return lambda module, *values: events.append((kind, name, len(values)))

                module.register_forward_pre_hook(note("pre"), with_kwargs=True)
                module.register_forward_hook(note("post"), with_kwargs=True, always_call=True)
                module.register_full_backward_pre_hook(note("before back"))
                module.register_full_backward_hook(note("back"))
            each(X.clone().requires_grad_()).sum().backward()
            each.state_dict(), each.load_state_dict(each.state_dict())
        assert seen[0] == seen[1] and len(seen[1]) == 20

    def test_a_hook_may_change_the_result(self, pair):
        model, _ = pair
        model.eval().head.register_forward_hook(lambda module, args, output: output * 0)
        assert not model(X).any()

    def test_a_replaced_head_takes_effect(self, pair):
        model, _ = pair
        model.head = nn.Linear(16, 2)
        assert model(X).shape == (6, 2)

    def test_replaced_as_stochastic_depth_would_be(self, pair):
        model, twin = pair
        for each in pair:
            each.norm = nn.Identity()
        same(model.eval()(X), twin.eval()(X))


COMPILE = inspect.signature(torch.compile).parameters
LATER = {"name": "mine", "recompile_limit": 3, "isolate_recompiles": True}  # not in every version


class TestCompilers:
    @pytest.mark.parametrize("mode", ["train", "eval"])
    def test_compile_fullgraph(self, pair, mode):
        model, _ = pair
        getattr(model, mode)()
        torch._dynamo.reset()
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        torch.manual_seed(0)
        expected = copy.deepcopy(model)(X)
        torch.manual_seed(0)
        same(compiled(X), expected)

    def test_compile_with_inductor(self, pair):
        model, _ = pair
        torch._dynamo.reset()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same(torch.compile(model.eval(), fullgraph=True)(X), model(X))

    def test_no_recompile_over_batch_sizes(self, pair):
        from torch._dynamo.testing import CompileCounter

        model, _ = pair
        torch._dynamo.reset()
        counter = CompileCounter()
        compiled = torch.compile(model.eval(), fullgraph=True, dynamic=True, backend=counter)
        for size in (2, 3, 5, 6):
            same(compiled(X[:size]), model(X[:size]))
        assert counter.frame_count == 1

    def test_five_equal_models_compile_once(self):
        from torch._dynamo.testing import CompileCounter

        torch._dynamo.reset()
        counter = CompileCounter()
        models = [model_like_twin().eval() for _ in range(5)]
        assert len({type(each) for each in models}) == 1
        for each in models:
            torch.compile(each, fullgraph=True, backend=counter)(X)
        assert counter.frame_count == 1

    @pytest.mark.parametrize(
        "keywords",
        [
            {"backend": "eager"},
            {"backend": "eager", "fullgraph": True, "dynamic": True},
            {"backend": "aot_eager", "dynamic": False},
            {"backend": "eager", "options": None, "mode": None},
            {"disable": True},
            *({"backend": "eager", key: value} for key, value in LATER.items() if key in COMPILE),
        ],
        ids=str,
    )
    def test_module_compile_in_place(self, pair, keywords):
        model, _ = pair
        torch._dynamo.reset()
        expected = model.eval()(X)
        model.compile(**keywords)
        assert model._compiled_call_impl is not None
        same(model(X), expected)
        assert list(model.state_dict()) == list(model_like_twin().state_dict())

    @pytest.mark.parametrize("strict", [True, False])
    def test_export_with_a_dynamic_batch(self, pair, strict):
        model, _ = pair
        batch = torch.export.Dim("batch")
        program = torch.export.export(model.eval(), (X,), dynamic_shapes={"x": {0: batch}}, strict=strict)
        same(program.module()(X[:3]), model(X[:3]))
        assert program.graph_signature.user_inputs == ("x",)
        assert set(program.state_dict) == set(model.state_dict())

    def test_fx_symbolic_trace(self, pair):
        model, _ = pair
        traced = torch.fx.symbolic_trace(model.eval())
        same(traced(X), model(X))
        assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == [
            "dense",
            "norm",
            "drop",
            "head",
        ]

    @pytest.mark.filterwarnings("ignore")
    def test_jit_trace(self, pair):
        model, _ = pair
        same(torch.jit.trace(model.eval(), X)(X[:2]), model(X[:2]))

    @pytest.mark.filterwarnings("ignore")
    def test_jit_trace_of_what_has_no_one_output_in_a_graph(self):
        inputs, shared = tf.Input((8,)), layers.Dense(8)
        twice = tf.Model(inputs, shared(shared(inputs)))
        never, by_hand = layers.Dense(8), ByHand()
        for each in (twice, copy.deepcopy(twice), never, by_hand):
            expected = each(X)
            same(torch.jit.trace(each, X)(X), expected)
            assert dict(inspect.getmembers(each))["name"] == each.name

    @pytest.mark.filterwarnings("ignore")
    def test_onnx(self, pair, tmp_path):
        import onnxruntime

        model, _ = pair
        path = tmp_path / "model.onnx"
        batch = torch.export.Dim("batch")
        torch.onnx.export(
            model.eval(), (X,), path, dynamo=True, dynamic_shapes={"x": {0: batch}}, verbose=False
        )
        session = onnxruntime.InferenceSession(path)
        (result,) = session.run(None, {session.get_inputs()[0].name: X[:3].numpy()})
        torch.testing.assert_close(torch.from_numpy(result), model(X[:3]), rtol=1e-4, atol=1e-5)


class TestTorchFunc:
    def test_functional_call_and_grad(self, pair):
        model, twin = pair
        model.eval(), twin.eval()
        parameters = dict(model.named_parameters())

        def loss(weights, module):
            return torch.func.functional_call(module, weights, (X,)).square().sum()

        ours, theirs = (torch.func.grad(loss)(parameters, each) for each in pair)
        for name in parameters:
            same(ours[name], theirs[name])

    def test_per_sample_gradients_by_vmap(self, pair):
        model, twin = pair
        model.eval(), twin.eval()

        def gradient(module):
            parameters = {name: each.detach() for name, each in module.named_parameters()}
            buffers = dict(module.named_buffers())

            def loss(weights, x):
                return torch.func.functional_call(module, (weights, buffers), (x[None],)).sum()

            return torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, X)

        ours, theirs = gradient(model), gradient(twin)
        for name in ours:
            assert ours[name].shape[0] == 6
            same(ours[name], theirs[name])

    @pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
    def test_jvp(self, pair):
        results = [torch.func.jvp(each.eval(), (X,), (torch.ones_like(X),)) for each in pair]
        same(results[0], results[1])


class TestTools:
    @pytest.mark.parametrize(
        "change",
        [parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal],
        ids=lambda function: function.__name__,
    )
    def test_parametrizations(self, pair, change):
        for each in pair:
            torch.manual_seed(3)
            change(each.head)
        pair[1].load_state_dict(pair[0].state_dict())
        same(pair[0].eval()(X), pair[1].eval()(X))
        assert parametrize.is_parametrized(pair[0].head, "weight")
        pair[0](X).sum().backward()
        parametrize.remove_parametrizations(pair[0].head, "weight")
        same(pair[0](X), pair[1](X))

    def test_pruning(self, pair):
        for each in pair:
            prune.l1_unstructured(each.dense, "weight", amount=0.5)
        same(pair[0].eval()(X), pair[1].eval()(X))
        assert (pair[0].dense.weight == 0).float().mean() == 0.5

    def test_lora_by_replacing_submodules(self, pair):
        class LoRA(nn.Module):
            def __init__(self, base):
                super().__init__()
                self.base, self.down, self.up = (
                    base,
                    nn.Linear(8, 2, bias=False),
                    nn.Linear(2, 16, bias=False),
                )
                nn.init.ones_(self.up.weight)

            def forward(self, x):
                return self.base(x) + self.up(self.down(x))

        model, _ = pair
        before = model.eval()(X)
        model.dense = LoRA(model.dense)
        assert not torch.equal(model(X), before)
        assert "dense.up.weight" in model.state_dict()

    def test_peft_lora_on_native_layers(self):
        torchvision.load()  # peft imports it
        from peft import LoraConfig, get_peft_model

        inputs = tf.Input((8,), name="x")
        first, second = nn.Linear(8, 16), nn.Linear(16, 4)
        model = tf.Model(inputs, second(first(inputs).relu()))
        expected = model(X)
        adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["linear"], init_lora_weights=True))
        same(adapted(X), expected)
        adapted(X).sum().backward()
        trained = [name for name, each in adapted.named_parameters() if each.grad is not None]
        assert trained and all("lora" in name for name in trained)

    @pytest.mark.filterwarnings("ignore")
    def test_dynamic_quantization(self):
        inputs = tf.Input((8,), name="x")
        model = tf.Model(inputs, nn.Linear(16, 4)(nn.Linear(8, 16)(inputs).relu()))
        quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
        assert "quantized" in type(quantized.linear).__module__
        torch.testing.assert_close(quantized(X), model(X), atol=0.05, rtol=0.1)

    def test_activation_checkpointing(self, pair):
        from torch.utils.checkpoint import checkpoint

        model, twin = pair
        checkpoint(model.eval(), X.clone().requires_grad_(), use_reentrant=False).sum().backward()
        twin.eval()(X).sum().backward()
        same(model.dense.weight.grad, twin.dense.weight.grad)

    def test_data_parallel(self, pair):
        same(nn.DataParallel(pair[0].eval())(X), pair[1].eval()(X))

    @pytest.mark.filterwarnings("ignore")
    def test_accelerate(self, pair):
        from accelerate import Accelerator

        model, twin = pair
        accelerator = Accelerator(cpu=True)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        prepared, optimizer = accelerator.prepare(model.eval(), optimizer)
        accelerator.backward(prepared(X).square().sum())
        optimizer.step()
        reference = torch.optim.SGD(twin.parameters(), 0.1)
        twin.eval()(X).square().sum().backward()
        reference.step()
        same(accelerator.unwrap_model(prepared).dense.weight, twin.dense.weight)

    @pytest.mark.filterwarnings("ignore")
    def test_a_lightning_module_holds_one(self, pair, tmp_path):
        torchvision.load()  # lightning imports it
        import pytorch_lightning as lightning

        class Net(lightning.LightningModule):
            def __init__(self, model):
                super().__init__()
                self.model = model

            def training_step(self, batch, index):
                return F.mse_loss(self.model(batch[0]), batch[1])

            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), 0.1)

        before = pair[0].head.weight.detach().clone()
        data = torch.utils.data.TensorDataset(X, torch.rand(6, 4))
        for each in pair:
            torch.manual_seed(2)
            trainer = lightning.Trainer(
                max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
            )  # fmt: skip
            trainer.fit(Net(each), torch.utils.data.DataLoader(data, batch_size=3))
        assert not torch.equal(pair[0].head.weight, before)
        for ours, theirs in zip(pair[0].state_dict().values(), pair[1].state_dict().values(), strict=True):
            same(ours, theirs)


def test_no_intermediate_outlives_its_use():
    inputs = tf.Input((1000,))
    x = inputs
    for _ in range(50):
        x = nn.Tanh()(x)
    model = tf.Model(inputs, x)
    alive, most = set(), []

    def count(module, args, output):
        import weakref

        reference = weakref.ref(output, lambda dead: alive.discard(dead))
        alive.add(reference)
        most.append(len(alive))

    for module in model.modules():
        if isinstance(module, nn.Tanh):
            module.register_forward_hook(count)
    with torch.no_grad():
        model(torch.rand(1, 1000))

    assert max(most) == 2


def saved_bytes(module, x):
    total = 0

    def pack(tensor):
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module(x)
    return total


def test_training_keeps_no_more_than_the_twin(pair):
    model, twin = pair
    assert saved_bytes(model, X) <= saved_bytes(twin, X)


def memory(function):
    """Bytes that a call of a function has allocated at most at one time, and at its end."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        result = function()
    events = [each for each in profiled.profiler.kineto_results.events() if each.name() == "[memory]"]
    sizes = [each.nbytes() for each in sorted(events, key=lambda each: each.start_ns())]
    levels = list(itertools.accumulate(sizes, initial=0))
    return max(levels), levels[-1], result


class DeepTwin(nn.Module):
    """Twenty blocks with a skip over each, by hand."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(64, 64) for _ in range(20))

    def forward(self, x):
        for block in self.blocks:
            x = F.relu(block(x)) + x
        return x


def deep():
    inputs = x = tf.Input((64,))
    for _ in range(20):
        x = layers.Dense(64, activation="relu")(x) + x
    return tf.Model(inputs, x)


def test_the_peak_of_memory_in_training_is_not_above_the_twins():
    x, peaks = torch.rand(500, 64), []
    for module in (deep(), DeepTwin()):
        optimizer = torch.optim.SGD(module.parameters(), 0.1)

        def step(module=module, optimizer=optimizer):
            optimizer.zero_grad()
            module(x).square().mean().backward()
            optimizer.step()

        step()
        peaks.append(memory(step)[0])

    assert 20 * x.numel() * 4 < peaks[0] <= peaks[1]


def embedding_and_lstm():
    words = tf.Input((None,), dtype="int64")
    x = layers.Bidirectional(layers.LSTM(64))(layers.Embedding(1000, 64, mask_zero=True)(words))
    return words, layers.Dense(100)(x)


def convolutions():
    inputs = tf.Input((512, 512, 3))
    x = layers.BatchNormalization()(layers.Conv2D(64, 3, activation="relu")(inputs))
    x = nn.functional.gelu(layers.MaxPooling2D(2)(x)) * torch.ones(64)
    return inputs, nn.Linear(64, 10)(layers.GlobalAveragePooling2D()(x))


@pytest.mark.parametrize("build", [embedding_and_lstm, convolutions])
def test_building_leaves_nothing_in_memory_but_the_weights(build):
    tf.Model(*build())
    peak, left, model = memory(lambda: tf.Model(*build()))
    weights = sum(each.nbytes for each in model.state_dict().values())

    assert left == weights
    assert peak < 2 * weights + 1000  # an initializer's own workspace, and no data


@pytest.mark.parametrize("build", [embedding_and_lstm, convolutions])
def test_calling_a_built_model_on_symbols_allocates_next_to_nothing(build):
    model = tf.Model(*build())
    fresh = tf.Input(model.input_shape[1:], dtype=model.inputs[0].dtype)

    assert memory(lambda: model(fresh))[0] < 1000
