"""Inline: a model as an SVG that stands in a page, where each box is known by its number and tells of its layer."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from torchfunc.graph.graph import Graph
from torchfunc.vis.dot import Drawn
from torchfunc.vis.facts import Modules
from torchfunc.vis.plot import picture_of, text_of
from torchfunc.vis.rendering import rendered

# straight lines, and fewer tries for the best places: a DenseNet takes a second instead of minutes
PLAIN = {"splines": "line", "nslimit": "1", "nslimit1": "1", "mclimit": "0.1"}
_GROUP = re.compile(r'<g id="([^"]*)" class="(\w+)">\s*<title>(.*?)</title>', re.DOTALL)


class Inline(NamedTuple):
    """An SVG, and what its boxes are.

    Attributes:
        svg: the element, whose group `box3` is the box of number 3.
        boxes: the boxes by their numbers.
    """

    svg: str
    boxes: tuple[Drawn, ...]


def inline(
    graph: Graph | None, modules: Modules, *, name: str, told: Callable[[Drawn], str], **options: Any
) -> Inline:
    """Draw a model for a page.

    Args:
        graph: its table of calls; None for a model without one, which is one box.
        modules: its modules under their names, and the model itself under the empty name.
        name: what the model is called.
        told: what is told of a box when the pointer rests on it.
        options: those of `plot.to_dot`.

    Raises:
        TorchfuncError: no program that draws is installed.
    """
    picture = picture_of(graph, modules, name, **{"dpi": 72, **options})
    plainer = picture._replace(style={**picture.style, **PLAIN})
    text = rendered(text_of(picture, with_ids=True), "svg", plainer=text_of(plainer, with_ids=True)).decode()

    def group(found: re.Match[str]) -> str:
        key, kind, title = found.groups()
        number = key.removeprefix("box")
        if number.isdigit() and key != number:
            title = html.escape(told(picture.drawn[int(number)]))
        elif kind == "edge":
            title = html.escape(html.unescape(title).replace("->", " → "))
        else:
            title = ""
        return f'<g id="{key}" class="{kind}">' + (f"<title>{title}</title>" if title else "")

    return Inline(_GROUP.sub(group, text[text.index("<svg") :]), picture.drawn)
