"""Pictures of models, to a file or to draw further on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchfunc.models.model import Model
from torchfunc.vis import plot
from torchfunc.vis.facts import modules_of


def plot_model(
    model: Model,
    to_file: str | Path = "model.png",
    show_shapes: bool = False,
    *,
    show_layer_names: bool = True,
    **options: Any,
) -> Any:
    """Draw a model as a graph to a file.

    Args:
        model: any Model.
        to_file: where to; the ending decides the format: png, svg, pdf, jpg, gif, or dot as text.
        show_shapes: whether each layer shows the shapes of its input and output.
        show_layer_names: whether each layer shows its name.
        **options: `show_dtype`, `show_layer_activations`, `show_trainable`, `expand_nested` (whether
            nested models show their layers), `rankdir` ("TB", "LR", "BT", "RL"), `dpi`, `splines`.

    Returns:
        The picture, which a notebook shows, if called in one; else None.

    Raises:
        MissingExtraError: pydot is not installed, which a dot file does not need.
        TorchfuncError: Graphviz is not installed; a format that is none of these.
    """
    model._refresh()
    return plot.plot(
        model.graph, modules_of(model), name=model.name, to_file=to_file,
        show_shapes=show_shapes, show_layer_names=show_layer_names, **options,
    )  # fmt: skip


def model_to_dot(model: Model, show_shapes: bool = False, **options: Any) -> Any:
    """A model as a `pydot.Dot`, to be changed or drawn further; the options are those of `plot_model`.

    Raises:
        MissingExtraError: pydot is not installed.
    """
    model._refresh()
    return plot.model_to_dot(
        model.graph, modules_of(model), name=model.name, show_shapes=show_shapes, **options
    )
