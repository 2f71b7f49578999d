"""Board: a graph as TensorBoard draws it, and its picture, in the messages that TensorBoard reads."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from torchfunc.errors import TorchfuncError
from torchfunc.functions import spelling_of
from torchfunc.tree import leaves
from torchfunc.vis.plot import plot


def write_graph(writer: Any, model: Any) -> None:
    """Write the calls of a graph, by their names, with the shapes of what they return."""
    from tensorboard.compat.proto.config_pb2 import RunMetadata
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph, drawn = model.graph, GraphDef()
    for call in graph.calls:
        node = drawn.node.add(name=call.name, op=_kind(call, model))
        node.input.extend(dict.fromkeys(graph.calls[ref.row].name for ref in call.refs()))
        shapes = node.attr["_output_shapes"].list.shape
        for spec in leaves(call.specs):
            shape = shapes.add()
            for size in getattr(spec, "shape", ()):
                shape.dim.add(size=-1 if size is None else size)
    writer.file_writer.add_graph((drawn, RunMetadata()))


def _kind(call: Any, model: nn.Module) -> str:
    """What a call is of: the class of a layer, the name of a function or of a method."""
    if call.kind == "module":
        return type(model.get_submodule(call.target)).__name__
    return "Input" if call.kind == "input" else spelling_of(call.target) or str(call.target)


def write_picture(writer: Any, model: Any, name: str) -> None:
    """Write the picture that `plot_model` draws, if there is a program that draws one."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.png")
        try:
            plot(model.graph, dict(model.named_modules()), name=name, to_file=path, dpi=96)
        except TorchfuncError:
            return
        drawn = path.read_bytes()
    width, height = struct.unpack(">II", drawn[16:24])  # where a PNG has them
    summary = Summary()
    image = summary.value.add(tag=name).image
    image.width, image.height, image.colorspace, image.encoded_image_string = width, height, 4, drawn
    writer.file_writer.add_summary(summary, 0)
