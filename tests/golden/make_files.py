"""Golden files: models as they were saved once, with what they gave then; none is ever made anew.

    python -m tests.golden.make_files

writes the cases of `tests.golden.cases` that have no file yet, and leaves the others as they are: a golden
file says what files of earlier versions look like, so a changed case would say nothing. A new case gets a new
name. Beside `NAME.safetensors` (or the folder `NAME`) stands `NAME.data.safetensors` with the inputs, the
outputs, and, where the model was trained, what the next step gave.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import torchfunc as tf

FILES = Path(__file__).parent / "files"
STEPS = 2  # of training before a model is saved


def flat(tree: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A nest of tensors as plain data; the tensors go to `tensors` under their places."""
    if isinstance(tree, dict):
        return {"dict": {key: flat(each, f"{name}/{key}", tensors) for key, each in tree.items()}}
    if isinstance(tree, (list, tuple)):
        kind = "list" if isinstance(tree, list) else "tuple"
        return {kind: [flat(each, f"{name}/{index}", tensors) for index, each in enumerate(tree)]}
    # each with memory of its own, as safetensors wants it
    tensors[name] = torch.as_tensor(tree).detach().clone(memory_format=torch.contiguous_format)
    return name


def nested(plain: Any, tensors: dict[str, Tensor]) -> Any:
    """What `flat` took apart."""
    if isinstance(plain, str):
        return tensors[plain]
    ((kind, inner),) = plain.items()
    if kind == "dict":
        return {key: nested(each, tensors) for key, each in inner.items()}
    return (list if kind == "list" else tuple)(nested(each, tensors) for each in inner)


def called(model: nn.Module, inputs: Any) -> Any:
    """What a model gives in inference mode."""
    with torch.no_grad():
        return model.eval()(inputs)


def next_step(model: Any, inputs: Any, targets: Any) -> dict[str, Any]:
    """The loss and the metrics of a batch before one step of training, and of that step."""
    before = model.test_on_batch(inputs, targets, return_dict=True)
    torch.manual_seed(1)
    return {"before": before, "step": model.train_on_batch(inputs, targets, return_dict=True)}


def document(path: Path) -> dict[str, Any]:
    """The JSON in a saved file, read with safetensors alone."""
    with safetensors.safe_open(path / "model.safetensors" if path.is_dir() else path, "pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()["torchfunc"])
        return found


def saved_again(path: Path) -> dict[str, Any]:
    """The config that a loaded model writes, where it is not that of the file.

    A subclassed model without a name is given one, and the batch that it was built for is forgotten.
    """
    with tempfile.TemporaryDirectory() as folder:
        tf.load_model(path).save(Path(folder) / path.name)
        config = document(Path(folder) / path.name)["config"]
    return {} if config == document(path)["config"] else {"again": config}


def arithmetic() -> int:
    """A checksum of what PyTorch itself computes here: its kernels differ from one processor to another."""
    draw = torch.Generator().manual_seed(0)
    x, w = torch.rand(4, 9, 6, generator=draw) - 0.5, torch.rand(8, 6, 3, generator=draw) - 0.5
    lstm = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.copy_(torch.rand(weight.shape, generator=draw) - 0.5)
    parts = [
        F.linear(x, w[:, :, 0]), F.conv1d(x.mT, w), F.conv2d(x[:, None], w[:, :1, None]),
        F.conv3d(x[:, None, None], w[:, :1, None, None]), F.conv_transpose1d(x.mT, w.transpose(0, 1)),
        F.softmax(x, -1), x.tanh(), x.exp(), x.erf(), x.sigmoid(), F.layer_norm(x, [6]), x.var(0), lstm(x)[0],
        x.double() @ w[:, :, 0].T.double(), F.interpolate(x[None], scale_factor=2, mode="bicubic"),
    ]  # fmt: skip
    return zlib.crc32(b"".join(part.detach().contiguous().numpy().tobytes() for part in parts))


def write(name: str, case: Any) -> None:
    """The files of one case."""
    torch.manual_seed(0)
    found = case()
    model, path = found.model, FILES / f"{name}{'' if found.folder else '.safetensors'}"
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {"torch": torch.__version__, "arithmetic": arithmetic(), "state": []}
    facts["inputs"] = flat(found.inputs, "inputs", tensors)
    if found.targets is not None:
        facts["targets"] = flat(found.targets, "targets", tensors)
        for _ in range(STEPS):
            model.train_on_batch(found.inputs, found.targets)
    if found.fit:
        model.fit(found.inputs, found.targets, epochs=found.fit, verbose=0)
    facts["outputs"] = flat(called(model, found.inputs), "outputs", tensors)
    facts["state"] = list(model.state_dict())
    with tf.custom_object_scope(found.custom):
        if found.foreign:
            safetensors.torch.save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
        elif found.weights_only:
            model.save_weights(path)
        else:
            model.save(path)
        if found.weights_only or found.foreign:
            facts["json"] = model.to_json()
        else:
            facts |= saved_again(path)
    if found.targets is not None:
        facts |= next_step(model, found.inputs, found.targets)
        facts["after"] = flat(dict(model.state_dict()), "after", tensors)
    text = json.dumps(facts, ensure_ascii=False)
    safetensors.torch.save_file(tensors, FILES / f"{name}.data.safetensors", {"golden": text})


def read(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts and the tensors that `write` put beside a model."""
    with safetensors.safe_open(FILES / f"{name}.data.safetensors", "pt") as file:
        # copies, because results may depend on how memory is aligned, which in a file is anyhow
        tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["golden"]), tensors


def main() -> None:
    from tests.golden.cases import CASES

    torch.set_num_threads(1)
    for name, case in CASES.items():
        if not (FILES / f"{name}.data.safetensors").exists():
            write(name, case)
            print(name)


if __name__ == "__main__":
    main()
