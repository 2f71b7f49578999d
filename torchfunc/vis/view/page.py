"""Page: the facts of a model as JSON, put with its picture, a script and a style into one file.

The page loads nothing and runs one script, whose checksum its policy names: whatever a model's names say.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from torchfunc.errors import TorchfuncError
from torchfunc.graph.emit import emit
from torchfunc.graph.graph import Graph
from torchfunc.vis import facts
from torchfunc.vis.dot import Drawn
from torchfunc.vis.facts import LayerFacts, Modules
from torchfunc.vis.flops import Costs, costs_of
from torchfunc.vis.inline import inline
from torchfunc.vis.notebook import told
from torchfunc.vis.summary import scaled, shape_text

HERE = Path(__file__).parent


def view(graph: Graph, modules: Modules, *, name: str, input_size: Any = None) -> str:
    """The page of a model.

    Args:
        graph: its table of calls.
        modules: its modules under their names, and the model itself under the empty name.
        name: what it is called.
        input_size: the shape of the input with its batch, for which FLOPs are counted; several in a list or dict.
            Where it is not given and the Inputs leave more than the batch unknown, none are counted.

    Raises:
        ShapeError: `input_size` does not fit.
        TorchfuncError: no program that draws is installed.
    """
    picture = inline(
        graph, modules, name=name, told=told, show_layer_names=True, show_shapes=True, expand_nested=True,
        fold_repeats=False,
    )  # fmt: skip
    costs, note = _costs(graph, modules, input_size)
    script = (HERE / "page.js").read_text(encoding="utf-8")
    parts = {
        "hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "title": html.escape(facts.printable(name)),
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "svg": picture.svg,
        # nothing in a string can end the element, or begin another
        "data": json.dumps(_data(graph, modules, picture.boxes, costs, note)).replace("<", "\\u003c"),
        "script": script,
    }
    pieces = (HERE / "page.html").read_text(encoding="utf-8").split("{{")
    first, *others = pieces
    split = (piece.partition("}}") for piece in others)
    return first + "".join(parts[key] + rest for key, _, rest in split)


def _costs(graph: Graph, modules: Modules, input_size: Any) -> tuple[Costs | None, str]:
    """What calls cost, and a note that says for which inputs, or why it is not known."""
    try:
        costs = costs_of(graph, modules, input_size)
    except TorchfuncError as error:
        if input_size is not None:
            raise
        return None, f"FLOPs are not counted. {error}"
    return costs, f"FLOPs and memory are for an input of {', '.join(map(str, costs.sizes))}."


def _data(
    graph: Graph, modules: Modules, boxes: tuple[Drawn, ...], costs: Costs | None, note: str
) -> dict[str, Any]:
    """All that the page tells, as JSON has it."""
    codes, lines = _codes(graph, boxes)
    layers = [_layer(each, costs, lines.get(number, [])) for number, each in enumerate(boxes)]
    model = modules.get("")
    weights = facts.weights_of(model) if model is not None else []
    trained = facts.count(each for each in weights if facts.is_trained(each))
    totals = f"{facts.count(weights):,} parameters, {trained:,} of them trained"
    if costs is not None:
        totals += f"; {scaled(costs.total.flops, 1000)} FLOPs"
    return {
        "layers": layers, "codes": codes, "totals": totals, "note": note,
        "flops": None if costs is None else costs.total.flops,
    }  # fmt: skip


def _layer(drawn: Drawn, costs: Costs | None, lines: list[tuple[int, int]]) -> dict[str, Any]:
    layer = drawn.layer
    cost = None if costs is None else costs.of(layer)
    return {
        "path": facts.printable(drawn.path),
        "type": facts.printable(layer.type),
        "holds": layer.kind == "model",
        "input": "\n".join(dict.fromkeys(map(shape_text, layer.taken))) if layer.kind != "input" else "",
        "output": "\n".join(dict.fromkeys(map(shape_text, layer.specs))) or "?",
        "calls": len(layer.calls),
        "params": facts.count(layer.tensors),
        "trained": facts.training_state(layer) if layer.tensors else "",
        "flops": None if cost is None else cost.flops,
        "memory": None if cost is None else cost.memory,
        "config": list(_config(layer)),
        "weights": [] if layer.kind == "model" else list(_weights(layer)),
        "lines": lines,
    }


def _config(layer: LayerFacts) -> Iterator[tuple[str, str]]:
    """The arguments that a layer was made with; of a module of others what it says of itself."""
    module: Any = layer.module
    if module is None or layer.kind == "model":
        return
    try:
        config = module.get_config()
        yield from ((facts.printable(str(key)), _written(value)) for key, value in config.items())
    except (AttributeError, TorchfuncError):  # no layer of ours, or one that is no plain data
        if module.extra_repr():
            yield "arguments", facts.printable(module.extra_repr().replace("\n", ", "))


def _written(value: Any) -> str:
    """A value of a config; an object as its class with what it was made with."""
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        given = value.get("config") or {}
        said = (
            ", ".join(f"{key}={_written(each)}" for key, each in given.items())
            if isinstance(given, dict)
            else ""
        )
        return facts.printable(f"{value['class_name']}({said})")
    return facts.printable(json.dumps(value, default=repr, ensure_ascii=False))


def _weights(layer: LayerFacts) -> Iterator[dict[str, Any]]:
    """Each weight with its shape and the numbers that say how it is spread."""
    names = {id(each): name for name, each in _named(layer.module)} if layer.module is not None else {}
    for tensor in layer.tensors:
        known = "not made yet" if is_lazy(tensor) else f"{tuple(tensor.shape)} {str(tensor.dtype)[6:]}"
        yield {
            "name": facts.printable(names.get(id(tensor), layer.name)),
            "about": known + ("" if facts.is_trained(tensor) else ", not trained"),
            "numbers": [] if is_lazy(tensor) else _numbers(tensor),
        }


def _named(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _numbers(tensor: Tensor) -> list[str]:
    """Mean, standard deviation, least and greatest; nothing of what has no numbers."""
    if tensor.is_meta or not tensor.numel() or tensor.is_complex() or tensor.is_quantized:
        return []
    with torch.no_grad():
        values = tensor.detach().float()
        found = (values.mean(), values.std(correction=0), values.min(), values.max())
    return [f"{float(each):.3g}" for each in found]


def _codes(
    graph: Graph, boxes: tuple[Drawn, ...]
) -> tuple[list[dict[str, Any]], dict[int, list[tuple[int, int]]]]:
    """The forwards of the model and of those in it; and for each box the forwards and lines that call it."""
    modules: list[tuple[str, Any]] = [(each.path, each.layer.module) for each in boxes]
    inside = [(path, module.graph) for path, module in modules if facts.is_model(module)]
    callers = {(each.within, id(call)): n for n, each in enumerate(boxes) for call in each.layer.calls}
    codes: list[dict[str, Any]] = []
    lines: dict[int, list[tuple[int, int]]] = {}
    for path, each in [("", graph), *inside]:
        code = emit(each)
        text = code.source.rstrip("\n").split("\n")
        layers: list[int | None] = [None] * len(text)
        for line, row in enumerate(code.rows, start=1):
            number = callers.get((path, id(each.calls[row])))
            layers[line] = number
            if number is not None:
                lines.setdefault(number, []).append((len(codes), line))
        codes.append({"title": facts.printable(path) or "the model", "lines": text, "layers": layers})
    return codes, lines
