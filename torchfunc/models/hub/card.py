"""Card: what a model hub shows of a model: how to load it, its picture and its summary."""

from __future__ import annotations

import re
from typing import Any

from torchfunc.errors import TorchfuncError
from torchfunc.vis.facts import modules_of
from torchfunc.vis.inline import inline
from torchfunc.vis.notebook import told

PICTURE = "model.svg"


def card(model: Any, repository: str, *, with_picture: bool) -> str:
    """The card as Markdown, under the lines of YAML by which a hub finds it."""
    picture = f"![The graph of {_plain(model.name)}]({PICTURE})\n\n" if with_picture else ""
    summary: list[str] = []
    model.summary(print_fn=summary.append)
    return (
        "---\nlibrary_name: torchfunc\ntags:\n- torchfunc\n- pytorch\n---\n\n"
        f"# {_plain(model.name)}\n\n"
        "```python\nimport torchfunc as tf\n\n"
        f"model = tf.{_class(model)}.from_pretrained({repository!r})\n```\n\n"
        "It is read as data: nothing in it is executed. `pip install 'torchfunc[hub]'`\n\n"
        f"{picture}{_fenced(chr(10).join(summary).strip())}\n"
    )


def picture_of(model: Any) -> str | None:
    """The graph as an SVG; None where nothing that draws is installed."""
    options = {"show_layer_names": True, "show_shapes": True}
    try:
        return inline(model.graph, modules_of(model), name=model.name, told=told, **options).svg
    except TorchfuncError:
        return None


def _class(model: Any) -> str:
    return "Sequential" if model.config_class.__name__ == "Sequential" else "Model"


def _plain(name: str) -> str:
    """A name without what Markdown would read as more than text."""
    return re.sub(r"[^\w .-]", " ", name)


def _fenced(text: str) -> str:
    """Text as it is: its fence is longer than any that stands in it."""
    fence = "`" * max(3, *(len(each) + 1 for each in re.findall("`+", text)), 3)
    return f"{fence}text\n{text}\n{fence}"
