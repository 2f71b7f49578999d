"""Export: a model as a program for other runtimes, with a dynamic batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from torchfunc.errors import GraphError, MissingExtraError, explain
from torchfunc.tree import leaves

_SUFFIXES = {"torch": ".pt2", "onnx": ".onnx"}


def export(
    model: Any,
    filepath: str | Path | None = None,
    *,
    format: Literal["torch", "onnx"] = "torch",
    **options: Any,
) -> Any:
    """A Model as a program without Python, in inference mode; every unknown dimension stays open.

    Args:
        model: a Model with a graph, whose inputs say shapes and dtypes.
        filepath: where to write it: a `.pt2` or an `.onnx` file; nowhere by default.
        format: "torch" for `torch.export.export`, "onnx" for `torch.onnx.export(dynamo=True)`, where
            inputs and outputs bear the model's names.
        options: passed on to that function.

    Returns:
        A `torch.export.ExportedProgram`, or a `torch.onnx.ONNXProgram`.

    Raises:
        GraphError: a model without a graph, or an unknown format.
        MissingExtraError: ONNX is not installed.
    """
    graph = model._require_graph("inputs with shapes")
    if format not in _SUFFIXES:
        raise GraphError(explain("export", got=f"format={format!r}", expected="'torch' or 'onnx'"))
    path = None if filepath is None else _checked(Path(filepath), format)
    specs = [graph.spec(ref) for ref in leaves(graph.inputs)]
    examples = tuple(_example(spec, model.device) for spec in specs)
    with _inference(model):
        if format == "torch":
            return _to_torch(model, path, examples, _open(specs), options)
        return _to_onnx(model, path, examples, _open(specs), options)


def _checked(path: Path, format: str) -> Path:
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
    return path


def _example(spec: Any, device: torch.device) -> Tensor:
    """Ones of an input's type, with two or more where a dimension is unknown (one would be special)."""
    sizes = [(2 if index == 0 else 8) if size is None else size for index, size in enumerate(spec.shape)]
    return torch.ones(sizes, dtype=spec.dtype, device=device)


def _open(specs: list[Any]) -> tuple[dict[int, Any], ...]:
    """The unknown dimensions of each input, none of which may become a constant."""
    dynamic = torch.export.Dim.DYNAMIC
    return tuple({dim: dynamic for dim, size in enumerate(spec.shape) if size is None} for spec in specs)


def _to_torch(model: Any, path: Path | None, examples: Any, dynamic: Any, options: dict[str, Any]) -> Any:
    program = torch.export.export(model, examples, dynamic_shapes=dynamic, **options)
    if path is not None:
        torch.export.save(program, path)
    return program


def _to_onnx(model: Any, path: Path | None, examples: Any, dynamic: Any, options: dict[str, Any]) -> Any:
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "onnx", "Export to ONNX")
    names = {"input_names": model.input_names, "output_names": model.output_names}
    given = {"verbose": False, **names, **options}
    program = torch.onnx.export(model, examples, dynamo=True, dynamic_shapes=dynamic, **given)
    if path is not None:
        program.save(path)  # type: ignore[union-attr]
    return program


@contextmanager
def _inference(model: Any) -> Iterator[None]:
    """Within it the model is in inference mode; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
