"""Drawing: a model as boxes, frames and edges, with what is written in each.

Every value here is written as DOT wants it: a name in quotes, a label in angle brackets.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import nn

from torchfunc.graph.graph import Graph
from torchfunc.graph.spec import Spec
from torchfunc.tree import at, leaves
from torchfunc.vis import facts
from torchfunc.vis.facts import LayerFacts, Link, Modules
from torchfunc.vis.repeats import LONG, Repeat, repeats_of
from torchfunc.vis.summary import shape_text

FONT = "Arial"  # the one name whose widths every Graphviz knows; where it is not there, one as wide is taken
INK, QUIET = "#1e293b", "#64748b"


class Colors(NamedTuple):
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
FOLD_STYLE = {"style": '"rounded,dashed,filled"', "fillcolor": '"#fcfcfd"', "color": '"#94a3b8"'}
EDGE_STYLE = {"color": f'"{QUIET}"', "penwidth": "1.1", "arrowsize": "0.7"}


class Options(NamedTuple):
    """What is shown of each layer."""

    show_shapes: bool = False
    show_dtype: bool = False
    show_layer_names: bool = False
    show_layer_activations: bool = False
    show_trainable: bool = False
    expand_nested: bool = False
    fold_repeats: bool | None = None


class Drawn(NamedTuple):
    """A layer that has a box or a frame.

    Attributes:
        within: the dotted name of the nested model that it is in; empty for those of the model itself.
        layer: the layer.
    """

    within: str
    layer: LayerFacts

    @property
    def path(self) -> str:
        """The dotted name through the nested models around it."""
        return f"{self.within}.{self.layer.name}" if self.within else self.layer.name


class Box(NamedTuple):
    """One layer: its name in quotes, its attributes, and its number among all that are drawn."""

    name: str
    attributes: dict[str, str]
    number: int


class Frame(NamedTuple):
    """A nested model, or a block that repeats, around its boxes; the name is a plain one."""

    name: str
    attributes: dict[str, str]
    boxes: list[Box | Frame]
    number: int | None


class Edge(NamedTuple):
    """A tensor on its way from one box to another; dashed where it is a weight."""

    source: str
    target: str
    dashed: bool


class Picture(NamedTuple):
    """A whole model; the name is a plain one."""

    name: str
    style: dict[str, str]
    boxes: list[Box | Frame]
    edges: list[Edge]
    drawn: tuple[Drawn, ...]


def picture(
    graph: Graph | None, modules: Modules, name: str, style: dict[str, str], options: Options
) -> Picture:
    """A model as a picture; without a graph it is one box."""
    drawing = _Drawing(options)
    boxes: list[Box | Frame]
    if graph is None:
        boxes = [drawing.box(facts.uncalled(name, modules.get("") or nn.Module()), "")]
    else:
        boxes = drawing.layers(facts.layers_of(graph, modules, apart=True), "")
    return Picture(name, {**style, **GRAPH_STYLE}, boxes, list(drawing.edges), tuple(drawing.drawn))


class _Drawing:
    """A picture that is being drawn."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.drawn: list[Drawn] = []
        self.edges: dict[Edge, None] = {}  # a dict, since an edge is drawn once however often it is taken

    def layers(self, layers: list[LayerFacts], prefix: str) -> list[Box | Frame]:
        """Boxes for the layers of one graph; the edges between them are put with the others.

        `prefix` is the dotted way to them through nested models: a box is known by where its layer stands in
        the `state_dict`, which is a name that no other has.
        """
        drawn = [layer for layer in layers if layer.kind != "uncalled"]
        folds = _Folds(drawn, self.options.fold_repeats)
        for layer in drawn:
            for call, links in enumerate(layer.takes):
                targets = self._entries(folds.shown[layer.name], call, prefix)
                for index, link in enumerate(links):
                    if folds.has_edge(link.source, layer.name):
                        source = self._source(link, folds.shown, prefix)
                        self._edge(source, targets[min(index, len(targets) - 1)], link)
        return list(self._boxes(drawn, folds, prefix))

    def _boxes(self, layers: list[LayerFacts], folds: _Folds, prefix: str) -> Iterator[Box | Frame]:
        """A box for each layer, or a frame where it is a nested model; a frame around a block that repeats."""
        begins = {repeat.first: repeat for repeat in folds.repeats}
        place = 0
        while place < len(layers):
            repeat = begins.get(place, Repeat(place, 1, 1))
            block = layers[place : place + repeat.length]
            boxes = [
                self._frame(layer, prefix) if self._is_frame(layer) else self.box(layer, prefix)
                for layer in block
            ]
            if repeat.times == 1:
                yield from boxes
            else:
                title = _fold_title(repeat, layers[repeat.end - repeat.length : repeat.end])
                name = f"{prefix}{block[0].name} repeated"
                yield Frame(name, {**FRAME_STYLE, **FOLD_STYLE, "label": f"<{title}>"}, boxes, None)
            place = repeat.end

    def box(self, layer: LayerFacts, prefix: str) -> Box:
        colors = _colors(layer)
        label = f"<{_label(layer, self.options)}>"
        return Box(
            quoted(prefix + layer.name),
            {"fillcolor": quoted(colors.fill), "color": quoted(colors.line), "label": label},
            self._number(prefix, layer),
        )

    def _number(self, prefix: str, layer: LayerFacts) -> int:
        self.drawn.append(Drawn(prefix[:-1], layer))
        return len(self.drawn) - 1

    def _is_frame(self, layer: LayerFacts) -> bool:
        return self.options.expand_nested and layer.kind == "model"

    def _frame(self, layer: LayerFacts, prefix: str) -> Frame:
        """A nested model as a frame around its layers."""
        path = prefix + layer.name
        number = self._number(prefix, layer)
        inside = self.layers(_inner(layer), path + ".")
        return Frame(path, {**FRAME_STYLE, "label": f"<{_frame_title(layer)}>"}, inside, number)

    def _entries(self, layer: LayerFacts, call: int, prefix: str) -> list[str]:
        """The boxes where what a call takes arrives: those of a frame's inputs, else the layer's own."""
        if not self._is_frame(layer):
            return [quoted(prefix + layer.name)]
        names = [inner.name for inner in _inner(layer) if inner.kind == "input"]
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
            return quoted(prefix + layer.name)
        inner = _inner(layer)
        graph: Any = getattr(layer.module, "graph", None)
        modules = facts.modules_of(layer.module) if layer.module is not None else {}
        made = facts.link_to(graph, at(graph.outputs, link.path), modules, apart=True)
        return self._source(made, {each.name: each for each in inner}, f"{prefix}{layer.name}.")

    def _holder(self, way: list[str], by_name: dict[str, LayerFacts], prefix: str) -> str:
        """The box of the layer that holds a weight, by the weight's dotted name."""
        first, *rest = way
        layer = by_name.get(first)
        if layer is None or not self._is_frame(layer):
            return quoted(prefix + first)
        return self._holder(rest, {each.name: each for each in _inner(layer)}, f"{prefix}{first}.")

    def _edge(self, source: str, target: str, link: Link) -> None:
        self.edges[Edge(source, target, dashed=link.call is None)] = None


def _inner(layer: LayerFacts) -> list[LayerFacts]:
    return facts.inner_layers(layer, apart=True)


class _Folds:
    """Which layers stand for which where a block that repeats is drawn once.

    Attributes:
        repeats: the blocks that are drawn once.
        shown: for each layer's name, the layer that is drawn for it.
    """

    def __init__(self, layers: list[LayerFacts], fold: bool | None) -> None:
        wanted = len(layers) > LONG if fold is None else fold
        self.repeats = repeats_of(layers) if wanted else []
        self.shown = {layer.name: layer for layer in layers}
        self._places: dict[str, tuple[Repeat, int]] = {}
        for repeat in self.repeats:
            for index in range(repeat.first, repeat.end):
                turn, like = repeat.place(index)
                self.shown[layers[index].name] = layers[like]
                self._places[layers[index].name] = repeat, turn

    def has_edge(self, source: str, target: str) -> bool:
        """Whether a connection is drawn: not from one repetition to another, and within them once."""
        from_repeat, from_turn = self._places.get(source, (None, 0))
        to_repeat, to_turn = self._places.get(target, (None, 0))
        return from_repeat is None or from_repeat is not to_repeat or from_turn == to_turn == 0


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
    # graphviz-pure knows the widths of ASCII only, and takes letters of other scripts for narrower than they are
    room = "&#160;" * (sum(not letter.isascii() for letter in name) // 3)
    return f'<b>{_escaped(name)}</b>{room} <font color="{QUIET}">{_escaped(kind)}</font>'


def _frame_title(layer: LayerFacts) -> str:
    return _beside_edges(_title(layer.name, layer.type), len(layer.name + layer.type))


def _fold_title(repeat: Repeat, last: list[LayerFacts]) -> str:
    """The title of a block that repeats: how often, and which layers are the last of its kind."""
    names = " … ".join(dict.fromkeys((last[0].name, last[-1].name)))
    quiet = f'<font point-size="10" color="{QUIET}">to {_escaped(names)}</font>'
    return _beside_edges(f"<b>× {repeat.times}</b> {quiet}", len(names) + 6)


def _beside_edges(title: str, length: int) -> str:
    """The title of a frame, with as much room to its right, so that an edge into the middle misses it."""
    row = f'<tr><td>{title}</td><td width="{7 * length}"></td></tr>'
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
