"""Drawing: a model as boxes, frames and edges, with what is written in each.

Every value here is written as DOT wants it: a name in quotes, a label in angle brackets.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from torchfunc.graph.graph import Graph
from torchfunc.graph.spec import Spec
from torchfunc.tree import at, leaves
from torchfunc.vis import facts
from torchfunc.vis.facts import LayerFacts, Link, Modules
from torchfunc.vis.summary import shape_text

FONT = "Helvetica,Arial,sans-serif"
INK, QUIET = "#1e293b", "#64748b"


@dataclass(frozen=True)
class Colors:
    fill: str
    line: str


GREEN, BLUE, GREY = Colors("#ecfdf5", "#34a37b"), Colors("#eff6ff", "#5b8def"), Colors("#f8fafc", "#94a3b8")
AMBER, VIOLET, ROSE = Colors("#fffbeb", "#d9a23b"), Colors("#f5f3ff", "#9277e8"), Colors("#fff1f2", "#e57389")

GRAPH_STYLE = {"nodesep": "0.35", "ranksep": "0.4", "pad": "0.2", "bgcolor": '"white"'}
BOX_STYLE = {
    "shape": "box",
    "style": '"rounded,filled"',
    "penwidth": "1.2",
    "margin": '"0.12,0.06"',
    "fontname": f'"{FONT}"',
    "fontsize": "12",
    "fontcolor": f'"{INK}"',
}
FRAME_STYLE = {
    "style": '"rounded,filled"',
    "fillcolor": '"#fbfaff"',
    "color": '"#c4b5fd"',
    "margin": "14",
    "labeljust": "l",
    "fontname": f'"{FONT}"',
    "fontsize": "12",
    "fontcolor": f'"{INK}"',
}
EDGE_STYLE = {"color": f'"{QUIET}"', "penwidth": "1.1", "arrowsize": "0.7"}


@dataclass(frozen=True)
class Options:
    """What is shown of each layer."""

    show_shapes: bool = False
    show_dtype: bool = False
    show_layer_names: bool = False
    show_layer_activations: bool = False
    show_trainable: bool = False
    expand_nested: bool = False


@dataclass(frozen=True)
class Box:
    """One layer: its name in quotes, and its attributes."""

    name: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class Frame:
    """A nested model around its boxes; the name is a plain one."""

    name: str
    attributes: dict[str, str]
    boxes: list[Box | Frame]


@dataclass(frozen=True)
class Edge:
    """A tensor on its way from one box to another; dashed where it is a weight."""

    source: str
    target: str
    dashed: bool


@dataclass(frozen=True)
class Picture:
    """A whole model; the name is a plain one."""

    name: str
    style: dict[str, str]
    boxes: list[Box | Frame]
    edges: list[Edge]


def picture(
    graph: Graph | None, modules: Modules, name: str, style: dict[str, str], options: Options
) -> Picture:
    """A model as a picture; without a graph it is one box."""
    drawing = _Drawing(options)
    boxes: list[Box | Frame]
    if graph is None:
        boxes = [drawing.box(facts.uncalled(name, modules.get("") or nn.Module()), "")]
    else:
        boxes = drawing.layers(facts.layers_of(graph, modules), "")
    return Picture(name, {**style, **GRAPH_STYLE}, boxes, list(drawing.edges))


class _Drawing:
    """A picture that is being drawn."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.edges: dict[Edge, None] = {}  # a dict, since an edge is drawn once however often it is taken

    def layers(self, layers: list[LayerFacts], prefix: str) -> list[Box | Frame]:
        """Boxes for the layers of one graph; the edges between them are put with the others.

        `prefix` is the dotted way to them through nested models: a box is known by where its layer stands in
        the `state_dict`, which is a name that no other has.
        """
        drawn = [layer for layer in layers if layer.kind != "uncalled"]
        by_name = {layer.name: layer for layer in drawn}
        boxes = [
            self._frame(layer, prefix) if self._is_frame(layer) else self.box(layer, prefix)
            for layer in drawn
        ]
        for layer in drawn:
            for call, links in enumerate(layer.takes):
                targets = self._entries(layer, call, prefix)
                for index, link in enumerate(links):
                    source = self._source(link, by_name, prefix)
                    self._edge(source, targets[min(index, len(targets) - 1)], link)

        return boxes

    def box(self, layer: LayerFacts, prefix: str) -> Box:
        colors = _colors(layer)
        label = f"<{_label(layer, self.options)}>"
        return Box(
            quoted(prefix + layer.name),
            {"fillcolor": quoted(colors.fill), "color": quoted(colors.line), "label": label},
        )

    def _is_frame(self, layer: LayerFacts) -> bool:
        return self.options.expand_nested and layer.kind == "model"

    def _frame(self, layer: LayerFacts, prefix: str) -> Frame:
        """A nested model as a frame around its layers."""
        path = prefix + layer.name
        inside = self.layers(facts.inner_layers(layer), path + ".")
        return Frame(path, {**FRAME_STYLE, "label": f"<{_frame_title(layer)}>"}, inside)

    def _entries(self, layer: LayerFacts, call: int, prefix: str) -> list[str]:
        """The boxes where what a call takes arrives: those of a frame's inputs, else the layer's own."""
        if not self._is_frame(layer):
            return [quoted(prefix + layer.name)]
        names = [inner.name for inner in facts.inner_layers(layer) if inner.kind == "input"]
        args = layer.calls[call].args
        if len(args) == 1 and isinstance(args[0], dict) and set(args[0]) == set(names):
            names = list(args[0])
        return [quoted(f"{prefix}{layer.name}.{name}") for name in names]

    def _source(self, link: Link, by_name: dict[str, LayerFacts], prefix: str) -> str:
        """The box that a tensor comes from: in a frame, that of the layer which makes it."""
        if link.call is None:
            return self._holder(link.text.split("."), by_name, prefix)
        layer = by_name[link.source]
        if not self._is_frame(layer):
            return quoted(prefix + link.source)
        inner = facts.inner_layers(layer)
        graph: Any = getattr(layer.module, "graph", None)
        made = facts.link_to(graph, at(graph.outputs, link.path))
        return self._source(made, {each.name: each for each in inner}, f"{prefix}{layer.name}.")

    def _holder(self, way: list[str], by_name: dict[str, LayerFacts], prefix: str) -> str:
        """The box of the layer that holds a weight, by the weight's dotted name."""
        first, *rest = way
        layer = by_name.get(first)
        if layer is None or not self._is_frame(layer):
            return quoted(prefix + first)
        return self._holder(
            rest, {each.name: each for each in facts.inner_layers(layer)}, f"{prefix}{first}."
        )

    def _edge(self, source: str, target: str, link: Link) -> None:
        self.edges[Edge(source, target, dashed=link.call is None)] = None


def _colors(layer: LayerFacts) -> Colors:
    if layer.kind in ("layer", "uncalled"):
        return BLUE if layer.tensors else GREY
    return {"input": GREEN, "model": VIOLET, "function": AMBER, "weight": ROSE}[layer.kind]


def _label(layer: LayerFacts, options: Options) -> str:
    """What stands in a box: a title, and a line for each thing that is to be shown."""
    title = _title(layer.name if options.show_layer_names else "", layer.type)
    lines = list(_lines(layer, options))
    if not lines:
        return title
    rows = [f'<tr><td colspan="2">{title}</td></tr>', "<hr/>"]
    rows += [
        # the two words stand side by side however wide the title makes the columns
        f'<tr><td align="right"><font point-size="10" color="{QUIET}">{what}</font></td>'
        f'<td align="left"><font point-size="10">{_left(text)}</font></td></tr>'
        for what, text in lines
    ]
    table = f'<table border="0" cellborder="0" cellspacing="0" cellpadding="3" color="{_colors(layer).line}">'
    return table + "".join(rows) + "</table>"


def _title(name: str, kind: str) -> str:
    if not name:
        return f"<b>{_escaped(kind)}</b>"
    return f'<b>{_escaped(name)}</b> <font color="{QUIET}">{_escaped(kind)}</font>'


def _frame_title(layer: LayerFacts) -> str:
    """The title of a frame, with as much room to its right, so that an edge into the middle misses it."""
    room = 7 * len(layer.name + layer.type)
    title = _title(layer.name, layer.type)
    row = f'<tr><td>{title}</td><td width="{room}"></td></tr>'
    return f'<table border="0" cellspacing="0" cellpadding="0">{row}</table>'


def _lines(layer: LayerFacts, options: Options) -> Iterator[tuple[str, str]]:
    """The lines under the title: what each says, and of what."""
    if options.show_layer_activations and getattr(layer.module, "activation", None) is not None:
        yield "activation", _activation_name(layer.module)
    if options.show_shapes:
        if layer.kind not in ("input", "weight", "uncalled"):
            yield "input", _different(layer.taken)
        yield "shape" if layer.kind == "weight" else "output", _different(layer.specs) or "?"
    if options.show_dtype:
        dtypes = {
            str(leaf.dtype).removeprefix("torch."): None
            for leaf in leaves(layer.specs)
            if isinstance(leaf, Spec)
        }
        yield "dtype", ", ".join(dtypes) or "?"
    if options.show_trainable and layer.tensors:
        state = facts.training_state(layer)
        yield "weights", {"trained": "trainable", "frozen": "non-trainable"}.get(state, "partly trainable")


def _activation_name(module: Any) -> str:
    activation = module.activation
    return str(getattr(activation, "__name__", None) or type(activation).__name__)


def _different(calls: tuple[Any, ...]) -> str:
    """The shapes that the calls of a layer take or return, each different thing on a line of its own."""
    return "\n".join(dict.fromkeys(shape_text(specs) for specs in calls))


def _left(text: str) -> str:
    """Text as it may stand in a label; of several lines, all but the first would be centered."""
    lines = [_escaped(line) for line in text.split("\n")]
    return lines[0] if len(lines) == 1 else "".join(f'{line}<br align="left"/>' for line in lines)


def _escaped(text: str) -> str:
    return html.escape(facts.printable(text))


def quoted(name: str) -> str:
    """A name as an identifier of DOT."""
    return '"' + facts.printable(name).replace("\\", "\\\\").replace('"', '\\"') + '"'
