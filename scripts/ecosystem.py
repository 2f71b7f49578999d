"""Writes docs/ecosystem.md: which tools of PyTorch take a model, found by comparing each with a hand-written twin.

`python scripts/ecosystem.py` runs every row (minutes) and writes the page; with names of tools it prints their rows.
The extra `ecosystem` has the tools.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torchfunc as tf  # noqa: E402
from torchfunc import interop, layers  # noqa: E402
from torchfunc.interop import torchvision  # noqa: E402
from torchfunc.tree import leaves  # noqa: E402

PAGE = ROOT / "docs" / "ecosystem.md"
KINDS = ("native", "named", "plain")
WORKS = "works"
tools: dict[str, Callable[[nn.Module], Any]] = {}
SLOW = ("transformers Trainer", "Lightning", "AOTInductor")  # left to this script, which CI does not run


class Twin(nn.Module):
    """What a person writes: a convolution, its normalization and two dense layers, on images with channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8, eps=1e-3, momentum=0.01)
        self.first = nn.Linear(8, 16)
        self.second = nn.Linear(16, 4)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(image.permute(0, 3, 1, 2))))
        return self.second(torch.relu(self.first(x.mean((2, 3)))))


def twin() -> nn.Module:
    torch.manual_seed(0)
    return Twin()


def native() -> nn.Module:
    """The same of modules of torch.nn, by the functional API."""
    held = Twin()
    image = tf.Input((8, 8, 3), name="image")
    x = torch.relu(held.norm(held.conv(image.permute(0, 3, 1, 2))))
    return tf.Model(image, held.second(torch.relu(held.first(x.mean((2, 3))))))


def named() -> nn.Module:
    """The same of layers by Keras's names."""
    image = tf.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Activation("relu", name="relu")(x))
    x = layers.Dense(16, activation="relu", name="first")(x)
    return tf.Model(image, layers.Dense(4, name="second")(x))


def network(kind: str) -> nn.Module:
    """A network of this kind with the weights of the twin."""
    model = named() if kind == "plain" else globals()[kind]()
    with torch.no_grad():
        for mine, its in zip(model.parameters(), twin().parameters(), strict=True):
            mine.copy_(its)
    return interop.to_torch(model) if kind == "plain" else model


def image(count: int = 4) -> Tensor:
    return torch.rand(count, 8, 8, 3, generator=torch.Generator().manual_seed(1))


def target(count: int = 4) -> Tensor:
    return torch.rand(count, 4, generator=torch.Generator().manual_seed(2))


def parameters(model: nn.Module) -> list[Tensor]:
    return [each.detach().clone() for each in model.parameters()]


def dense(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The two dense layers, of whichever class."""
    kinds = (nn.Linear, layers.Dense)
    return ((name, each) for name, each in model.named_modules() if isinstance(each, kinds))


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    F.mse_loss(model(image()), target()).backward()
    optimizer.step()


def tool(name: str) -> Callable[[Any], Any]:
    """Registers what a tool makes of a network; of the twin it must make the same."""

    def register(function: Callable[[nn.Module], Any]) -> Any:
        tools[name] = function
        return function

    return register


@tool("torchinfo")
def _(model: nn.Module) -> Any:
    import torchinfo

    found = torchinfo.summary(model.eval(), input_data=image(1), verbose=0)
    return {"parameters": found.total_params, "multiply-adds": found.total_mult_adds}


@tool("fvcore")
def _(model: nn.Module) -> Any:
    from fvcore.nn import FlopCountAnalysis

    counted = FlopCountAnalysis(model.eval(), image(1)).unsupported_ops_warnings(False)
    return {"multiply-adds": {k: v for k, v in counted.by_operator().items() if k in ("conv", "linear")}}


@tool("thop")
def _(model: nn.Module) -> Any:
    import thop

    macs, parameters = thop.profile(model.eval(), (image(1),), verbose=False)
    return {"multiply-adds": macs, "parameters": parameters}


@tool("ptflops")
def _(model: nn.Module) -> Any:
    from ptflops import get_model_complexity_info

    options = {"as_strings": False, "print_per_layer_stat": False, "backend": "aten"}
    macs, parameters = get_model_complexity_info(model.eval(), (8, 8, 3), **options)
    return {"multiply-adds": macs, "parameters": parameters}


@tool("captum")
def _(model: nn.Module) -> Any:
    from captum.attr import FeatureAblation, IntegratedGradients

    model.eval()
    integrated = IntegratedGradients(model).attribute(image(2), target=1, n_steps=8)
    return integrated, FeatureAblation(model).attribute(image(2), target=1)


@tool("torch-pruning")
def _(model: nn.Module) -> Any:
    import torch_pruning

    last = [each for _, each in dense(model)][-1]
    pruner = torch_pruning.pruner.MagnitudePruner(
        model.eval(),
        image(1),
        importance=torch_pruning.importance.MagnitudeImportance(),
        pruning_ratio=0.5,
        ignored_layers=[last],
    )
    pruner.step()
    return {"parameters left": sum(each.numel() for each in model.parameters())}, model(image())


@tool("torchao")
def _(model: nn.Module) -> Any:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(model.eval(), Int8WeightOnlyConfig())
    kinds = [type(each.weight) for _, each in dense(model)]
    return {"layers quantized": sum(k not in (Tensor, nn.Parameter) for k in kinds)}, model(image())


@tool("peft")
def _(model: nn.Module) -> Any:
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model.eval(), LoraConfig(r=2, target_modules=[name for name, _ in dense(model)]))
    with torch.no_grad():
        for name, each in adapted.named_parameters():
            if "lora" in name:
                each.fill_(0.1)
    return {"parameters trained": adapted.get_nb_trainable_parameters()[0]}, adapted(image())


@tool("quantize_dynamic")
def _(model: nn.Module) -> Any:
    quantized = torch.ao.quantization.quantize_dynamic(model.eval(), {nn.Linear}, dtype=torch.qint8)
    kind = torch.ao.nn.quantized.dynamic.Linear
    return {"layers quantized": sum(isinstance(each, kind) for each in quantized.modules())}, quantized(
        image()
    )


@tool("pt2e")
def _(model: nn.Module) -> Any:
    from torchao.quantization.pt2e import quantize_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = quantize_pt2e.prepare_pt2e(torch.export.export(model.eval(), (image(),)).module(), quantizer)
    prepared(image())
    converted = quantize_pt2e.convert_pt2e(prepared)
    scaled = sum("dequantize" in str(node.target) for node in converted.graph.nodes)
    return {"weights and activations quantized": scaled}, converted(image())


def mesh() -> Any:
    """This process alone, as a mesh."""
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    return dist.init_device_mesh("cpu", (1,))


@tool("FSDP2")
def _(model: nn.Module) -> Any:
    from torch.distributed.fsdp import fully_shard

    for _, each in dense(model):
        fully_shard(each, mesh=mesh())
    fully_shard(model, mesh=mesh())
    step(model, torch.optim.SGD(model.parameters(), 0.1))
    return [each.full_tensor().detach() for each in model.parameters()]


@tool("tensor parallel")
def _(model: nn.Module) -> Any:
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    first, second = (name for name, _ in dense(model))
    parallelize_module(model.eval(), mesh(), {first: ColwiseParallel(), second: RowwiseParallel()})
    return {"shards": sum(isinstance(each, DTensor) for each in model.parameters())}, model(image())


@tool("DCP")
def _(model: nn.Module) -> Any:
    from torch.distributed import checkpoint

    mesh()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save({"model": model.state_dict()}, checkpoint_id=folder)
        expected = parameters(model)
        with torch.no_grad():
            for each in model.parameters():
                each.zero_()
        checkpoint.load({"model": model.state_dict()}, checkpoint_id=folder)
    assert all(torch.equal(a, b) for a, b in zip(expected, model.parameters(), strict=True))
    return parameters(model)


@tool("SyncBatchNorm")
def _(model: nn.Module) -> Any:
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model.eval())
    return {"layers": sum(isinstance(e, nn.SyncBatchNorm) for e in converted.modules())}, converted(image())


@tool("update_bn")
def _(model: nn.Module) -> Any:
    torch.optim.swa_utils.update_bn([image(), 2 * image()], model)
    return next(each for name, each in model.named_buffers() if name.endswith("running_mean"))


@tool("SWA")
def _(model: nn.Module) -> Any:
    averaged = torch.optim.swa_utils.AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        step(model, optimizer)
        averaged.update_parameters(model)
    return parameters(averaged)


@tool("LBFGS")
def _(model: nn.Module) -> Any:
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(image()), target())
        loss.backward()
        return loss

    optimizer.step(closure)
    return parameters(model)


@tool("parametrize")
def _(model: nn.Module) -> Any:
    from torch.nn.utils import parametrizations, parametrize

    first, second = (each for _, each in dense(model))
    torch.manual_seed(0)
    parametrizations.spectral_norm(first)
    parametrizations.weight_norm(second)
    step(model, torch.optim.SGD(model.parameters(), 0.1))
    outputs = model.eval()(image())
    parametrize.remove_parametrizations(second, "weight")
    return outputs, model(image())


@tool("prune")
def _(model: nn.Module) -> Any:
    from torch.nn.utils import prune

    weights = [(each, "weight") for _, each in dense(model)]
    prune.global_unstructured(weights, prune.L1Unstructured, amount=0.5)
    step(model, torch.optim.SGD(model.parameters(), 0.1))
    outputs = model.eval()(image())
    for pair in weights:
        prune.remove(*pair)
    return outputs, model(image())


@tool("transformers Trainer")
def _(model: nn.Module) -> Any:
    from transformers import Trainer, TrainingArguments

    class Squared(Trainer):
        def compute_loss(self, model: nn.Module, inputs: Any, *_: Any, **options: Any) -> Tensor:
            return F.mse_loss(model(inputs["image"]), inputs["labels"])

    rows = [{"image": a, "labels": b} for a, b in zip(image(8), target(8), strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "per_device_train_batch_size": 4,
            "num_train_epochs": 1,
            "report_to": [],
            "disable_tqdm": True,
            "remove_unused_columns": False,
        }
        arguments = TrainingArguments(folder, use_cpu=True, **options)
        trainer = Squared(model, arguments, train_dataset=rows)
        trainer.train()
        trainer.save_model(folder)
        assert any(Path(folder).glob("*.safetensors"))
    return parameters(model)


@tool("accelerate")
def _(model: nn.Module) -> Any:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    data = DataLoader(TensorDataset(image(8), target(8)), 4)
    prepared, optimizer, data = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.1), data)
    for inputs, targets in data:
        optimizer.zero_grad()
        accelerator.backward(F.mse_loss(prepared(inputs), targets))
        optimizer.step()
    return parameters(accelerator.unwrap_model(prepared))


@tool("Lightning")
def _(model: nn.Module) -> Any:
    import pytorch_lightning

    class Squared(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def training_step(self, batch: Any) -> Tensor:
            return F.mse_loss(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pytorch_lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, enable_model_summary=False, **quiet
    )
    trainer.fit(Squared(), DataLoader(TensorDataset(image(8), target(8)), 4))
    return parameters(model)


@tool("skorch")
def _(model: nn.Module) -> Any:
    from skorch import NeuralNetRegressor

    trained = NeuralNetRegressor(
        model, max_epochs=2, lr=0.1, batch_size=4, train_split=None, verbose=0, device="cpu"
    )
    trained.fit(image(8).numpy(), target(8).numpy())
    return parameters(trained.module_), torch.from_numpy(trained.predict(image().numpy()))


@tool("poutyne")
def _(model: nn.Module) -> Any:
    import poutyne

    trained = poutyne.Model(model, torch.optim.SGD(model.parameters(), 0.1), "mse")
    trained.fit_generator(DataLoader(TensorDataset(image(8), target(8)), 4), epochs=1, verbose=False)
    return parameters(model)


@tool("ignite")
def _(model: nn.Module) -> Any:
    from ignite.engine import create_supervised_trainer

    engine = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), 0.1), F.mse_loss)
    engine.run(DataLoader(TensorDataset(image(8), target(8)), 4), max_epochs=1)
    return parameters(model)


@tool("ONNX out")
def _(model: nn.Module) -> Any:
    import onnxruntime

    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(model.eval(), (image(),), dynamo=True, verbose=False, dynamic_shapes=shapes)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    inputs = {session.get_inputs()[0].name: image(3).numpy()}
    return torch.from_numpy(session.run(None, inputs)[0])


@tool("ONNX in")
def _(model: nn.Module) -> Any:
    import onnx
    import onnx2torch

    file = io.BytesIO()
    # by the older exporter: onnx2torch does not know the operators of the newer one's versions
    torch.onnx.export(model.eval(), (image(),), file, dynamo=False, opset_version=13)
    back = onnx2torch.convert(onnx.load_from_string(file.getvalue())).eval()
    recorded = interop.from_module(back, tf.Input((8, 8, 3), batch_size=4)).eval()
    return back(image()), recorded(image())


@tool("AOTInductor")
def _(model: nn.Module) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        program = torch.export.export(model.eval(), (image(),))
        package = torch._inductor.aoti_compile_and_package(program, package_path=f"{folder}/net.pt2")
        return torch._inductor.aoti_load_package(package)(image())


def cell(name: str, kind: str, expected: Any) -> str:
    """What the tool does with a network of this kind."""
    try:
        told = compared(quietly(tools[name], network(kind)), expected)
    except Exception as error:
        told = said(error)
    if told == WORKS or "to_torch" in told:
        return told
    return f"{told.rstrip('.')}. Convert first: interop.to_torch(model)."


def compared(found: Any, expected: Any) -> str:
    """Whether the tool made the same; of counts, what it counted instead."""
    if isinstance(found, tuple):
        return next(
            (text for pair in zip(found, expected, strict=True) if (text := compared(*pair)) != WORKS), WORKS
        )
    if isinstance(found, dict):
        wrong = [f"{key}: {found[key]} of {expected[key]}" for key in expected if found[key] != expected[key]]
        return ", ".join(wrong) or WORKS
    pairs = list(zip(leaves(found), leaves(expected), strict=True))
    same = all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs)
    return WORKS if same else "other numbers"


def said(error: Exception) -> str:
    """An error by its class and first sentence, and the way out where it names one."""
    text = " ".join(str(error).split())
    way = re.search(r"Fix: .*", text)
    return f"{type(error).__name__}: {re.split(r'[.!](?: |$)', text)[0]}.{' ' + way[0] if way else ''}"


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns, without what it prints; a warning that names `interop.to_torch` is an error."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="(?s).*interop.to_torch")
        return function(*args)


def row(name: str) -> str:
    expected = quietly(tools[name], twin())
    return f"| {name} | {' | '.join(cell(name, kind, expected) for kind in KINDS)} |"


HEAD = """# Tools around PyTorch

What a tool makes of one small network (a convolution, its batch normalization, two dense layers), compared with what it
makes of a hand-written `nn.Module` with the same weights: the same counts, as many layers changed, the same numbers
afterwards. `works` is where both are equal. `scripts/ecosystem.py` makes this page, and
`tests/interop/test_ecosystem.py` makes its quicker rows again.

Models of `torch.nn` modules are taken by all, and so is [`interop.to_torch(model)`](guides/leaving.md), whatever it was
made of. Tools that go by parameters, gradients or recorded operators take layers by Keras's names too. Those that ask
`isinstance(module, nn.Linear)` do not know them: **convert first** where the third column says anything but `works`.
`0 of 2` means that the tool passes over such layers without a word. A `Dense` is no `nn.Linear` by design: what takes
the place of one, or adds to its sum, would come after the activation.

```python
# nn.Conv2d, nn.BatchNorm2d and nn.Linear, under the names of the layers
network = tf.interop.to_torch(model).eval()
quantized = torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear})
```

| Tool | Modules of `torch.nn` | Layers by Keras's names | After `interop.to_torch` |
|---|---|---|---|
"""


if __name__ == "__main__":
    torch.set_num_threads(1)
    torchvision.load()  # which some tools import, also where its compiled part is of another build
    rows = []
    for name in sys.argv[1:] or tools:
        rows.append(row(name))
        print(rows[-1], flush=True)
    if not sys.argv[1:]:
        PAGE.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
