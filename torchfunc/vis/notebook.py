"""Notebook: a model as it shows itself in a notebook, its graph with the summary folded below."""

from __future__ import annotations

import html
from collections.abc import Iterator

from torchfunc.errors import TorchfuncError
from torchfunc.graph.graph import Graph
from torchfunc.vis import facts
from torchfunc.vis.dot import Drawn
from torchfunc.vis.facts import LayerFacts, Modules
from torchfunc.vis.inline import inline
from torchfunc.vis.summary import Row, Summary, shape_text

STYLE = "font:13px Arial,sans-serif;color:#1e293b"
CELL = "text-align:left;vertical-align:top;padding:3px 14px 3px 4px;white-space:pre;border-bottom:1px solid #e2e8f0"


def page(graph: Graph | None, modules: Modules, summary: Summary) -> str:
    """The model as HTML in which nothing runs and nothing is loaded; every name is escaped.

    Args:
        graph: its table of calls; None where there is none.
        modules: its modules under their names, and the model itself under the empty name.
        summary: its summary.
    """
    counts = f"{summary.total_params:,} parameters, {summary.trainable_params:,} of them trained"
    title = f"<b>{_text(summary.name)}</b> <span style='color:#64748b'>{counts}</span>"
    rows = f"{len(summary.rows)} layer" + "s" * (len(summary.rows) != 1)
    table = f"<details><summary>{rows}</summary>{table_of(summary)}</details>"
    try:
        drawn = inline(
            graph, modules, name=summary.name, told=told, show_layer_names=True, show_shapes=True
        ).svg
    except TorchfuncError:  # nothing that draws is installed
        drawn = ""
    scrolled = f"<div style='max-height:520px;overflow:auto;margin:4px 0'>{drawn}</div>" if drawn else ""
    return f"<div style='{STYLE}'>{title}{scrolled}{table}</div>"


def table_of(summary: Summary) -> str:
    """A summary as a table, whose columns stand straight in any font."""
    heads = ["Layer (type)", "Output Shape", "Param #", "Connected to", "Trained"]
    rows = "".join(f"<tr>{''.join(map(_cell, _cells(row)))}</tr>" for row in summary.rows)
    head = "".join(f"<th style='{CELL}'>{each}</th>" for each in heads)
    return f"<table style='border-collapse:collapse;font-size:13px'><tr>{head}</tr>{rows}</table>"


def _cells(row: Row) -> Iterator[str]:
    yield "    " * row.depth + f"{row.name} ({row.type})"
    yield "\n".join(row.shapes)
    yield f"{row.params:,}" + " + shared" * row.shared + " (unbuilt)" * row.unbuilt
    yield "\n".join(row.connected_to)
    yield row.trained


def _cell(text: str) -> str:
    return f"<td style='{CELL}'>{_text(text)}</td>"


def told(drawn: Drawn) -> str:
    """What is told of a layer under the pointer, a line for each thing."""
    return "\n".join(
        f"{name}: {value}" if value else name for name, value in lines_of(drawn.path, drawn.layer)
    )


def lines_of(path: str, layer: LayerFacts) -> Iterator[tuple[str, str]]:
    """What there is to tell of a layer: its name first, and then names and values."""
    yield f"{facts.printable(path)} ({facts.printable(layer.type)})", ""
    if layer.takes and layer.kind != "input":
        yield "input", ", ".join(dict.fromkeys(map(shape_text, layer.taken)))
    yield "output", ", ".join(dict.fromkeys(map(shape_text, layer.specs))) or "?"
    if len(layer.calls) > 1:
        yield "calls", str(len(layer.calls))
    if layer.tensors:
        yield "parameters", f"{facts.count(layer.tensors):,} ({facts.training_state(layer)})"
    said = "" if layer.module is None or layer.kind == "model" else layer.module.extra_repr()
    if said:
        yield "arguments", facts.printable(said.replace("\n", ", "))


def _text(text: str) -> str:
    return html.escape(text)
