"""Export: a model as a program for other runtimes, with a dynamic batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any, Literal

import torch
from torch import Tensor

from torchfunc.errors import GraphError, MissingExtraError, explain
from torchfunc.graph.spec import Spec, dtype_of
from torchfunc.saving import formats
from torchfunc.tree import leaves

Program = Literal["torch", "onnx", "aoti"]
_SUFFIXES = {"torch": ".pt2", "onnx": ".onnx", "aoti": ".pt2"}


def export(
    model: Any,
    filepath: str | Path | None = None,
    *,
    format: Program | None = "torch",
    input_signature: Any = None,
    **options: Any,
) -> Any:
    """A Model as a program without Python, in inference mode; every unknown dimension stays open.

    Args:
        model: a Model with a graph, whose inputs say shapes and dtypes; or another, with `input_signature`.
        filepath: where to write it: a `.pt2` or an `.onnx` file; nowhere by default.
        format: "torch" for `torch.export.export`, "onnx" for `torch.onnx.export`, where inputs and outputs bear the
            model's names and an open batch is called "batch", "aoti" for a package of machine code, which
            `torch._inductor.aoti_load_package` runs and a C++ compiler makes. None for what
            the path's ending says.
        input_signature: a tensor or an InputSpec for each input, in the form of the inputs, in place of what the model says.
        options: passed on to that function: `opset_version=18`, `dynamo=False` for the older exporter of ONNX,
            `inductor_configs={...}` for machine code.

    Returns:
        A `torch.export.ExportedProgram`; a `torch.onnx.ONNXProgram`, or None from the older exporter; the path of a package.

    Raises:
        GraphError: a model without a graph and signature, or an unknown format.
        MissingExtraError: ONNX is not installed.

    Example:
        >>> x = tf.Input((3,))
        >>> program = tf.interop.export(tf.Model(x, tf.ops.relu(x)))
        >>> program.module()(torch.tensor([[-1.0, 0.0, 2.0]]))
        tensor([[0., 0., 2.]])
    """
    path = None if filepath is None else Path(filepath)
    format = format or ("onnx" if path is not None and path.suffix == ".onnx" else "torch")
    if format not in _SUFFIXES:
        fix = f"format='onnx', which {format} reads or a converter of its own does"
        known = "'torch', 'onnx' or 'aoti'"
        raise GraphError(explain("export", got=f"format={format!r}", expected=known, fix=fix))
    if path is not None:
        _check_suffix(path, format)
    if input_signature is None:
        graph = model._require_graph("inputs with shapes")
        specs = [graph.spec(ref) for ref in leaves(graph.inputs)]
    else:
        specs = [Spec.of(tuple(each.shape), dtype_of(each.dtype)) for each in leaves(input_signature)]
    make = {"torch": _to_torch, "onnx": _to_onnx, "aoti": _to_package}[format]
    examples = tuple(_example(spec, model.device) for spec in specs)
    with _inference(model):
        return make(model, path, examples, _open(specs), options)


formats.register_exporter(export)


def _check_suffix(path: Path, format: str) -> None:
    suffix = _SUFFIXES[format]
    if path.suffix != suffix:
        raise GraphError(
            explain(
                "export",
                got=f"the path {str(path)!r}",
                expected=f"a name that ends in {suffix}",
                fix=f"{str(path.with_suffix(suffix))!r}, or another format",
            )
        )


def _example(spec: Any, device: torch.device) -> Tensor:
    """Ones of an input's type, with two or more where a dimension is unknown (one would be special)."""
    sizes = [(2 if index == 0 else 8) if size is None else size for index, size in enumerate(spec.shape)]
    return torch.ones(sizes, dtype=spec.dtype, device=device)


Open = list[list[int]]


def _open(specs: list[Any]) -> Open:
    """The unknown dimensions of each input, none of which may become a constant."""
    return [[dim for dim, size in enumerate(spec.shape) if size is None] for spec in specs]


def _to_torch(model: Any, path: Path | None, examples: Any, opened: Open, options: dict[str, Any]) -> Any:
    dynamic = tuple(dict.fromkeys(dims, torch.export.Dim.DYNAMIC) for dims in opened)
    program = torch.export.export(model, examples, **{"dynamic_shapes": dynamic, **options})
    if path is not None:
        torch.export.save(program, path)
    return program


def _to_package(model: Any, path: Path | None, examples: Any, opened: Open, options: dict[str, Any]) -> Any:
    if examples[0].device.type == "cpu" and not any(map(which, ("g++", "clang++", "c++", "cl"))):
        fix = "install one, as by apt-get install g++; or format='torch', which needs none"
        raise GraphError(explain("export", got="format='aoti' and no C++ compiler", expected="g++", fix=fix))
    configs = options.pop("inductor_configs", None)
    program = _to_torch(model, None, examples, opened, options)
    package = None if path is None else str(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, of parts of PyTorch that will be removed one day
        pack: Any = torch._inductor.aoti_compile_and_package
        return pack(program, package_path=package, inductor_configs=configs)


def _to_onnx(model: Any, path: Path | None, examples: Any, opened: Open, options: dict[str, Any]) -> Any:
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "onnx", "Export to ONNX")
    named = model.graph is not None
    names = {"input_names": model.input_names, "output_names": model.output_names} if named else {}
    inputs = names.get("input_names") or [f"input_{place}" for place in range(len(opened))]
    axes = [
        {dim: "batch" if dim == 0 else f"{name}_{dim}" for dim in dims}
        for name, dims in zip(inputs, opened, strict=True)
    ]
    given = {"verbose": False, **names, **options}
    with warnings.catch_warnings():
        # that an axis bears the name of another one, which it equals
        warnings.filterwarnings("ignore", message="# The axis name", category=UserWarning)
        if not given.pop("dynamo", True):
            dynamic = {name: each for name, each in zip(inputs, axes, strict=True) if each}
            given = {"input_names": inputs, "dynamic_axes": dynamic, **given}
            return _to_older_onnx(model, path, examples, given)
        given = {"dynamic_shapes": tuple(axes), **given}
        program = torch.onnx.export(model, examples, dynamo=True, **given)
    if path is not None:
        program.save(path)  # type: ignore[union-attr]
    return program


def _to_older_onnx(model: Any, path: Path | None, examples: Any, given: dict[str, Any]) -> None:
    if path is None:
        fix = "export(model, 'model.onnx', dynamo=False)"
        raise GraphError(explain("export", got="dynamo=False and no path", expected="a path", fix=fix))
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # which that exporter is as a whole
    torch.onnx.export(model, examples, str(path), dynamo=False, **given)


@contextmanager
def _inference(model: Any) -> Iterator[None]:
    """Within it the model is in inference mode; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
