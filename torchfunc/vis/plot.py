"""Plot: a model as DOT text, as a pydot.Dot, or as a picture that Graphviz draws.

The text is the same for the same model wherever it is written, and needs nothing installed; `rendering` says
what draws it. A pydot.Dot needs pydot.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from typing_extensions import Unpack

from torchfunc.errors import MissingExtraError, TorchfuncError, UnknownNameError, explain, shorten
from torchfunc.graph.graph import Graph
from torchfunc.vis import dot
from torchfunc.vis.dot import Box, Edge, Frame, Options, Picture, quoted
from torchfunc.vis.facts import Modules
from torchfunc.vis.rendering import rendered

Direction = Literal["TB", "LR", "BT", "RL"]
Splines = Literal["spline", "ortho", "curved", "polyline", "line"]

PICTURES = ("png", "svg", "pdf", "jpg", "gif")
TEXTS = ("dot", "gv")


class Shown(TypedDict, total=False):
    """What a drawing shows of each layer.

    Attributes:
        show_shapes: whether each layer shows the shapes that it takes and returns.
        show_dtype: whether it shows the dtype that it returns.
        show_layer_names: whether it shows its name beside what it is.
        show_layer_activations: whether a layer that has one shows its activation.
        show_trainable: whether a layer with weights shows if they are trained.
        expand_nested: whether a nested model is a frame around its layers rather than one box.
        fold_repeats: whether a block of layers that stands several times in a row is drawn once, in a frame that
            says how often; by default where there are more than 100 layers.
    """

    show_shapes: bool
    show_dtype: bool
    show_layer_names: bool
    show_layer_activations: bool
    show_trainable: bool
    expand_nested: bool
    fold_repeats: bool | None


class Drawing(Shown, total=False):
    """How a model is drawn.

    Attributes:
        rankdir: which way the graph runs: "TB" is from top to bottom, "LR" from left to right.
        dpi: dots per inch of a png, jpg or gif.
        splines: how the edges are drawn.
    """

    rankdir: Direction
    dpi: int
    splines: Splines


def to_dot(graph: Graph | None, modules: Modules, *, name: str, **options: Unpack[Drawing]) -> str:
    """A model as text in Graphviz's DOT language.

    Args:
        graph: its table of calls; None for a model without one, which is one box.
        modules: its modules under their names, and the model itself under the empty name.
        name: what the model is called.
        options: see `Shown` and `Drawing`.

    Raises:
        UnknownNameError: an option that does not exist; a `rankdir` or `splines` that Graphviz does not have.
        TorchfuncError: a `dpi` that is no positive number.
    """
    return text_of(picture_of(graph, modules, name, **options))


def model_to_dot(graph: Graph | None, modules: Modules, *, name: str, **options: Unpack[Drawing]) -> Any:
    """A model as a `pydot.Dot` that shows the names; the arguments are those of `to_dot`.

    Raises:
        MissingExtraError: pydot is not installed.
    """
    drawing: Drawing = {"show_layer_names": True, **options}
    return _pydot(picture_of(graph, modules, name, **drawing))


def plot(
    graph: Graph | None,
    modules: Modules,
    *,
    name: str,
    to_file: str | Path = "model.png",
    **options: Unpack[Drawing],
) -> Any:
    """Draw a model to a file: png, svg, pdf, jpg or gif, or as text with the ending dot or gv.

    Args:
        graph: its table of calls.
        modules: its modules under their names.
        name: what it is called.
        to_file: where to; the ending decides the format, and without one it is a png.
        options: those of `to_dot`.

    Returns:
        The picture, which a notebook shows, if called in one; else None.

    Raises:
        UnknownNameError: a format that is none of these.
        TorchfuncError: a pdf or gif, and Graphviz is not installed.
    """
    path = Path(to_file)
    kind = path.suffix.removeprefix(".").lower() or "png"
    if kind not in (*PICTURES, *TEXTS):
        raise UnknownNameError("picture format", kind, (*PICTURES, *TEXTS))
    if kind in ("svg", "pdf"):
        options["dpi"] = 72  # these have no dots, and dot's svg at another rate shows a corner of the picture
    picture = picture_of(graph, modules, name, **options)
    if kind in TEXTS:
        path.write_text(text_of(picture), encoding="utf-8")
        return None
    path.write_bytes(rendered(text_of(picture), kind))
    return _in_notebook(path, kind)


def picture_of(
    graph: Graph | None,
    modules: Modules,
    name: str,
    *,
    rankdir: Direction = "TB",
    dpi: int = 200,
    splines: Splines = "spline",
    **shown: Unpack[Shown],
) -> Picture:
    """A model as boxes and edges, with the options of `to_dot` looked at."""
    _check(rankdir, splines, dpi)
    known = Options._fields
    for option in shown:
        if option not in known:
            raise UnknownNameError("plot option", option, [*known, "rankdir", "dpi", "splines"])
    style = {"rankdir": rankdir, "dpi": str(dpi), "splines": splines}
    return dot.picture(graph, modules, name, style, Options(**shown))


def _check(rankdir: str, splines: str, dpi: int) -> None:
    if rankdir not in get_args(Direction):
        raise UnknownNameError("rankdir", rankdir, get_args(Direction))
    if splines not in get_args(Splines):
        raise UnknownNameError("splines", splines, get_args(Splines))
    if isinstance(dpi, bool) or not isinstance(dpi, int) or dpi < 1:
        raise TorchfuncError(explain("plot", got=f"dpi={shorten(dpi)}", expected="a positive whole number"))


def text_of(picture: Picture, *, with_ids: bool = False) -> str:
    """A picture in DOT; with ids, the group of an SVG in which a layer lies is called by its number: `box3`."""
    lines = [
        f"digraph {quoted(picture.name)} {{",
        f"  graph [{_attributes(picture.style)}]",
        f"  node [{_attributes(dot.BOX_STYLE)}]",
        f"  edge [{_attributes(dot.EDGE_STYLE)}]",
        *("  " + line for line in _lines(picture.boxes, with_ids)),
        *("  " + _edge_line(edge) for edge in picture.edges),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _lines(boxes: list[Box | Frame], with_ids: bool) -> Iterator[str]:
    for box in boxes:
        number = {"id": quoted(f"box{box.number}")} if with_ids and box.number is not None else {}
        if isinstance(box, Box):
            yield f"{box.name} [{_attributes({**box.attributes, **number})}]"
            continue
        yield f"subgraph {quoted('cluster_' + box.name)} {{"
        yield f"  graph [{_attributes({**box.attributes, **number})}]"
        yield from ("  " + line for line in _lines(box.boxes, with_ids))
        yield "}"


def _edge_line(edge: Edge) -> str:
    return f"{edge.source} -> {edge.target}" + (" [style=dashed]" if edge.dashed else "")


def _attributes(attributes: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in attributes.items())


def _pydot(picture: Picture) -> Any:
    """A picture as a pydot.Dot, made piece by piece: pydot's parser is slow, and nothing needs parsing."""
    try:
        import pydot
    except ImportError as error:
        raise MissingExtraError("pydot", "plot", "model_to_dot") from error

    def put(boxes: list[Box | Frame], parent: Any) -> None:
        for box in boxes:
            if isinstance(box, Box):
                parent.add_node(pydot.Node(box.name, **box.attributes))
                continue
            inside = pydot.Subgraph(quoted("cluster_" + box.name), **box.attributes)
            put(box.boxes, inside)
            parent.add_subgraph(inside)

    graph = pydot.Dot(quoted(picture.name), graph_type="digraph", **picture.style)
    graph.set_node_defaults(**dot.BOX_STYLE)
    graph.set_edge_defaults(**dot.EDGE_STYLE)
    put(picture.boxes, graph)
    for edge in picture.edges:
        graph.add_edge(pydot.Edge(edge.source, edge.target, **({"style": "dashed"} if edge.dashed else {})))
    return graph


def _in_notebook(path: Path, kind: str) -> Any:
    """The picture as an object that a notebook shows, where there is a notebook."""
    ipython, display = sys.modules.get("IPython"), sys.modules.get("IPython.display")
    if ipython is None or display is None or ipython.get_ipython() is None or kind == "pdf":
        return None
    return display.SVG(filename=str(path)) if kind == "svg" else display.Image(filename=str(path))
