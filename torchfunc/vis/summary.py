"""Summary: the layers of a model as the table that Keras prints, with what each weighs."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from torchfunc.errors import TorchfuncError, UnknownNameError, explain
from torchfunc.graph.graph import Graph
from torchfunc.graph.spec import Number, Spec
from torchfunc.tree import leaves
from torchfunc.vis import facts
from torchfunc.vis.facts import LayerFacts, Modules
from torchfunc.vis.flops import Cost, Costs, costs_of

CHAIN_WIDTHS = (29, 26, 10)
GRAPH_WIDTHS = (32, 21, 12, 33)
TRAINABLE_WIDTH = 11
COST_WIDTHS = (10, 10)
WIDEST_CELL = 64  # a cell that is longer is continued on the next line; it widens no column further
NARROWEST_COLUMN = 4


class Row(NamedTuple):
    """One layer of a summary.

    Attributes:
        name: the layer's name.
        type: what it is.
        depth: how many nested models it lies in.
        shapes: for each call that returned another shape, a line for each of its tensors.
        params: how many numbers it holds that no row before it does.
        shared: whether it holds weights that a row before it has counted.
        unbuilt: whether weights of it are still to be made.
        connected_to: the tensors that it takes, as `name[call][tensor]`.
        trained: "Y", "N", "partly" (a model with frozen layers), or "-" where there are no weights.
        cost: what its calls cost, where that was asked for.
    """

    name: str
    type: str
    depth: int
    shapes: tuple[str, ...]
    params: int
    shared: bool
    unbuilt: bool
    connected_to: tuple[str, ...]
    trained: str
    cost: Cost | None = None


class Layout(NamedTuple):
    """How wide the columns are, and which of the optional ones there are."""

    widths: tuple[int, ...]
    connected_to: bool
    trainable: bool
    costs: bool = False


@dataclass(frozen=True)
class Summary:
    """The layers of a model and what they weigh; its text is the table.

    Attributes:
        name: the model's name.
        rows: the layers that are shown.
        total_params: how many numbers all weights hold, each tensor counted once.
        trainable_params: those among them that are trained.
        costs: what all calls cost, and on inputs of which sizes, where that was asked for.
    """

    name: str
    rows: tuple[Row, ...]
    total_params: int
    trainable_params: int
    layout: Layout = field(repr=False)
    costs: Costs | None = None
    weight_bytes: int = 0

    @property
    def non_trainable_params(self) -> int:
        return self.total_params - self.trainable_params

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def __repr__(self) -> str:
        return f"<Summary of {self.name!r}: {len(self.rows)} rows, {self.total_params:,} params>"

    def __rich__(self) -> Any:
        """The table as `rich` draws it, with the lines below it that the text has."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f'Model: "{facts.printable(self.name)}"', title_justify="left")
        for title in _titles(self.layout):
            table.add_column(title, justify="right" if title in ("Param #", "FLOPs", "Memory") else "left")
        for row in self.rows:
            style = "dim" if row.trained == "N" else ""
            table.add_row(*(Text("\n".join(cell), style=style) for cell in _cells(row, self.layout)))
        return Group(table, *map(Text, _totals(self)))


def printed_by_rich(summary: Summary) -> bool:
    """Print a summary with the package rich; False where it is not installed."""
    try:
        from rich.console import Console
    except ImportError:
        return False
    Console().print(summary)
    return True


def summarize(
    graph: Graph,
    modules: Modules,
    *,
    name: str,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    show_flops: bool = False,
    input_size: Any = None,
) -> Summary:
    """The summary of a model that has a graph.

    Args:
        graph: its table of calls.
        modules: its modules under their names, and the model itself under the empty name.
        name: what it is called.
        line_length: the width in characters. By default as wide as the longest cells need, and at least
            65 (98 with *Connected to*), so that no name is cut; a given width is kept, and cells continue on
            the next line.
        positions: where each column ends: fractions of the width, or characters.
        expand_nested: whether the layers of nested models are shown below them.
        show_trainable: whether a column says what is trained.
        layer_range: the names of the first and the last layer to show, or patterns that match them.
        show_flops: whether columns say what each layer computes, and how many bytes what it returns takes.
        input_size: the shape of the input with its batch, for which that is counted; several in a list or dict.

    Returns:
        The summary, with *Connected to* where the graph is not a chain.

    Raises:
        UnknownNameError: no layer matches a name in `layer_range`.
        ShapeError: `input_size` does not fit, or is needed.
        TorchfuncError: a width or positions that leave no room for the columns.
    """
    layers = facts.layers_of(graph, modules)
    shown = _in_range(layers, layer_range)
    costs = costs_of(graph, modules, input_size) if show_flops else None
    rows = tuple(_rows(layers, shown, expand_nested, costs))
    layout = _layout(
        rows, not _is_chain(layers, expand_nested), show_trainable, line_length, positions, show_flops
    )
    return _summary(name, rows, _all_weights(layers, modules), layout, costs)


def summarize_module(
    module: nn.Module,
    name: str,
    *,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> Summary:
    """The summary of a module without a graph: its children, whose output shapes nobody knows.

    The arguments are those of `summarize`.
    """
    layers = [*facts.own_weights(module), *(facts.uncalled(key, each) for key, each in _children(module))]
    shown = _in_range(layers, layer_range)
    rows = tuple(_rows(layers, shown, expand_nested))
    layout = _layout(rows, False, show_trainable, line_length, positions)
    return _summary(name, rows, facts.weights_of(module), layout)


def _children(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The modules right inside by name; those in a list or a dict one by one."""
    list(module.named_children())  # a layer looks then for those that it keeps in lists
    for key, child in module._modules.items():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield from _children(child, f"{prefix}{key}.")
        elif child is not None:
            yield f"{prefix}{key}", child


def _summary(
    name: str, rows: tuple[Row, ...], weights: list[Tensor], layout: Layout, costs: Costs | None = None
) -> Summary:
    # from the model's tensors and not from the rows: a weight of two layers is one weight
    trained = facts.count(each for each in weights if facts.is_trained(each))
    size = sum(facts.count([each]) * each.dtype.itemsize for each in weights)
    return Summary(name, rows, facts.count(weights), trained, layout, costs, size)


def _all_weights(layers: list[LayerFacts], modules: Modules) -> list[Tensor]:
    model = modules.get("")
    if model is not None:
        return facts.weights_of(model)
    return list({id(each): each for layer in layers for each in layer.tensors}.values())


def _is_chain(layers: list[LayerFacts], expand_nested: bool) -> bool:
    """Whether each layer is called once, on all that the one before it returned; so inside as well."""
    called = [layer for layer in layers if layer.kind != "uncalled"]
    return (
        not called[0].links
        and all(_follows(layer, before) for layer, before in zip(called[1:], called, strict=False))
        and not (
            expand_nested
            and any(not _is_chain(inner, True) for inner in map(facts.inner_layers, called) if inner)
        )
    )


def _follows(layer: LayerFacts, before: LayerFacts) -> bool:
    one_tensor = len(before.specs) == 1 and len(list(leaves(before.specs[0]))) == 1
    return (
        one_tensor
        and len(layer.calls) == 1
        and [link.text for link in layer.links] == [f"{before.name}[0][0]"]
    )


def _in_range(layers: list[LayerFacts], names: Sequence[str] | None) -> list[LayerFacts]:
    """The layers from the first that matches one name to the last that matches the other."""
    if names is None:
        return layers
    if len(names) != 2 or not all(isinstance(each, str) for each in names):
        raise TorchfuncError(explain("summary", got=f"layer_range={names!r}", expected="two names of layers"))
    matches = [[at for at, layer in enumerate(layers) if _matches(pattern, layer.name)] for pattern in names]
    for pattern, found in zip(names, matches, strict=True):
        if not found:
            raise UnknownNameError("layer", pattern, [layer.name for layer in layers])
    first, last = matches
    if min(first) > max(last):
        first, last = last, first
    return layers[min(first) : max(last) + 1]


def _matches(pattern: str, name: str) -> bool:
    try:
        return pattern == name or re.match(pattern, name) is not None
    except re.error:
        return False


def _rows(
    layers: list[LayerFacts], shown: list[LayerFacts], expand_nested: bool, costs: Costs | None = None
) -> Iterator[Row]:
    """A row for each layer that is shown, and where wanted for those of the models among them."""
    counted: set[int] = set()
    wanted = {layer.name for layer in shown}
    for layer in layers:
        if layer.name in wanted:
            yield _row(layer, counted, 0, costs)
            if expand_nested:
                yield from _nested_rows(layer, set(counted), 1, costs)
        counted |= {id(each) for each in layer.tensors}


def _nested_rows(layer: LayerFacts, counted: set[int], depth: int, costs: Costs | None) -> Iterator[Row]:
    for inner in facts.inner_layers(layer):
        yield _row(inner, counted, depth, costs)
        yield from _nested_rows(inner, set(counted), depth + 1, costs)
        counted |= {id(each) for each in inner.tensors}


def _row(layer: LayerFacts, counted: set[int], depth: int, costs: Costs | None) -> Row:
    # Keras counts a layer's weights wherever they show. Here each tensor counts in the first row that has
    # it, so that the column adds up to the total, and a later row says that it shares.
    new = [each for each in layer.tensors if id(each) not in counted]
    return Row(
        name=facts.printable(layer.name),
        type=facts.printable(layer.type),
        depth=depth,
        shapes=tuple(_shape_lines(layer)),
        params=facts.count(new),
        shared=len(new) < len(layer.tensors),
        unbuilt=facts.is_unbuilt(layer),
        connected_to=tuple(facts.printable(link.text) for link in layer.links),
        trained={"trained": "Y", "frozen": "N", "weightless": "-"}.get(facts.training_state(layer), "partly"),
        cost=None if costs is None else costs.of(layer),
    )


def _shape_lines(layer: LayerFacts) -> list[str]:
    """What the calls of a layer return, each different thing once."""
    if layer.kind == "uncalled":
        return ["?"]
    # Keras writes an Input's shape in brackets, as the list of one that it returns
    specs = [[spec] if layer.kind == "input" else spec for spec in layer.specs]
    lines = [line for spec in specs for line in shape_text(spec).split("\n")]
    different = dict.fromkeys(shape_text(spec) for spec in specs)
    return (
        lines if len(different) == len(specs) else [line for text in different for line in text.split("\n")]
    )


def shape_text(specs: Any) -> str:
    """What a call returns as text: the shape of a tensor, or of several with a line for each."""
    if isinstance(specs, Spec):
        return str(tuple(specs.shape))
    if isinstance(specs, Number):
        return "number"
    if isinstance(specs, dict):
        return (
            "{"
            + _indented(f"{facts.printable(str(key))}: {shape_text(each)}" for key, each in specs.items())
            + "}"
        )
    if isinstance(specs, (list, tuple)):
        return "[" + _indented(map(shape_text, specs)) + "]"
    return "?" if specs is None else repr(specs)


def _indented(texts: Iterable[str]) -> str:
    """One below the other, behind an opening bracket."""
    return ",\n".join(texts).replace("\n", "\n ")


def _layout(
    rows: tuple[Row, ...],
    connected_to: bool,
    show_trainable: bool,
    line_length: int | None,
    positions: Sequence[float] | None,
    costs: bool = False,
) -> Layout:
    least = [
        *(GRAPH_WIDTHS if connected_to else CHAIN_WIDTHS),
        *([TRAINABLE_WIDTH] if show_trainable else []),
        *(COST_WIDTHS if costs else []),
    ]
    layout = Layout(tuple(least), connected_to, show_trainable, costs)
    if line_length is not None or positions is not None:
        widths = _given_widths(least, line_length or sum(least), positions)
    else:
        cells = [_cells(row, layout) for row in rows] + [[[title] for title in _titles(layout)]]
        widths = [max(width, *(_needed(row[at]) for row in cells)) for at, width in enumerate(least)]
    return Layout(tuple(widths), connected_to, show_trainable, costs)


def _needed(lines: list[str]) -> int:
    """How wide a column must be for these lines and the space behind them."""
    return 1 + max((min(len(line), WIDEST_CELL) for line in lines), default=0)


def _given_widths(least: list[int], line_length: int, positions: Sequence[float] | None) -> list[int]:
    """The widths that the caller wants."""
    ends = (
        [sum(least[: at + 1]) / sum(least) for at in range(len(least))]
        if positions is None
        else list(positions)
    )
    if len(ends) != len(least):
        raise TorchfuncError(
            explain(
                "summary", got=f"positions={ends}", expected=f"{len(least)} positions, one for each column"
            )
        )
    stops = [round(end * line_length) if ends[-1] <= 1 else int(end) for end in ends]
    widths = [stop - start for start, stop in zip([0, *stops], stops, strict=False)]
    if min(widths) < NARROWEST_COLUMN:
        raise TorchfuncError(
            explain(
                "summary",
                got=f"columns of {widths} characters",
                expected=f"at least {NARROWEST_COLUMN} in each",
                fix="a larger line_length, or none: the table is then as wide as it needs",
            )
        )
    return widths


def _titles(layout: Layout) -> list[str]:
    titles = ["Layer (type)", "Output Shape", "Param #"]
    titles += ["Connected to"] * layout.connected_to + ["Trainable"] * layout.trainable
    return titles + ["FLOPs", "Memory"] * layout.costs


def _cells(row: Row, layout: Layout) -> list[list[str]]:
    """The cells of one row, each as its lines."""
    first = "| " * row.depth + f"{row.name} ({row.type})"
    cells = [[first], list(row.shapes), [_params_text(row)]]
    cells += [list(row.connected_to)] * layout.connected_to + [[row.trained]] * layout.trainable
    cost = row.cost or Cost()
    return cells + [[scaled(cost.flops, 1000)], [scaled(cost.memory, 1024, "B")]] * layout.costs


def scaled(number: int, step: int, unit: str = "") -> str:
    """A number as a person reads it: `57.8 M`, `464.8 KB`; exact below one step."""
    power = min(int(math.log(number, step) + 1e-9), 5) if number else 0
    value = f"{number / step**power:.1f}" if power else str(number)
    return f"{value} {' KMGTP'[power].strip()}{unit}".rstrip()


def _params_text(row: Row) -> str:
    if row.unbuilt:
        return f"{row.params} (unbuilt)"
    if row.shared:
        return f"{row.params} + shared" if row.params else "shared"
    return str(row.params)


def _lines(summary: Summary) -> Iterator[str]:
    """The lines of the table."""
    layout, width = summary.layout, sum(summary.layout.widths)
    yield f'Model: "{facts.printable(summary.name)}"'
    yield "_" * width
    yield from _cell_lines([[title] for title in _titles(layout)], layout.widths, 0)
    yield "=" * width
    below = [*(row.depth for row in summary.rows[1:]), None]
    for row, next_depth in zip(summary.rows, below, strict=False):
        yield from _cell_lines(_cells(row, layout), layout.widths, row.depth)
        depth = min(row.depth, next_depth or 0)
        yield "=" * width if next_depth is None else "| " * depth + "_" * (width - 2 * depth)
    yield from _totals(summary)
    yield "_" * width


def _totals(summary: Summary) -> Iterator[str]:
    """The lines below the table."""
    yield f"Total params: {summary.total_params:,}"
    yield f"Trainable params: {summary.trainable_params:,}"
    yield f"Non-trainable params: {summary.non_trainable_params:,}"
    if summary.costs is not None:
        sizes = ", ".join(map(str, summary.costs.sizes))
        yield f"FLOPs: {summary.costs.total.flops:,} for an input of {sizes}"
        made, held = (scaled(each, 1024, "B") for each in (summary.costs.total.memory, summary.weight_bytes))
        yield f"Memory: {made} of what layers return, {held} of weights"


def _cell_lines(cells: list[list[str]], widths: Sequence[int], depth: int) -> Iterator[str]:
    """One row of cells as lines of text; the bars of nesting run down all of them."""
    bars = "| " * depth
    wrapped = [
        _wrapped(lines, width, bars * (at == 0))
        for at, (lines, width) in enumerate(zip(cells, widths, strict=True))
    ]
    for number in range(max(1, *map(len, wrapped))):
        parts = [
            lines[number] if number < len(lines) else bars * (at == 0) for at, lines in enumerate(wrapped)
        ]
        yield "".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()


def _wrapped(lines: list[str], width: int, bars: str) -> list[str]:
    """Lines that leave a space to the next column; what is longer goes on below, cut at a space if it can."""
    room = max(width - 1, len(bars) + 1)
    return [
        part
        for line in lines
        for part in textwrap.wrap(
            line, room, subsequent_indent=bars, drop_whitespace=True, break_on_hyphens=False
        )
        or [""]
    ]
