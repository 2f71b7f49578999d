"""Pictures of models, to a file or to draw further on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typing_extensions import Never

from torchfunc.models.model import Model
from torchfunc.vis import plot
from torchfunc.vis.facts import modules_of
from torchfunc.vis.plot import Direction, Splines


def plot_model(
    model: Model,
    to_file: str | Path = "model.png",
    show_shapes: bool = False,
    *,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    expand_nested: bool = False,
    rankdir: Direction = "TB",
    dpi: int = 200,
    splines: Splines = "spline",
    fold_repeats: bool | None = None,
    **unknown: Never,
) -> Any:
    """Draw a model as a graph to a file.

    Args:
        model: any Model.
        to_file: where to; the ending decides the format: png, svg, pdf, jpg, gif, or dot as text.
        show_shapes: whether each layer shows the shapes of its input and output.
        show_dtype: whether it shows the dtype of its output.
        show_layer_names: whether it shows its name.
        show_layer_activations: whether a layer that has one shows its activation.
        show_trainable: whether a layer with weights shows if they are trained.
        expand_nested: whether nested models show their layers.
        rankdir: which way the graph runs: "TB" is from top to bottom, "LR" from left to right.
        dpi: dots per inch of a png, jpg or gif.
        splines: how the edges are drawn.
        fold_repeats: whether a block of layers that stands several times in a row is drawn once, in a frame that
            says how often; by default where there are more than 100 layers.
        **unknown: an option that does not exist, to be refused.

    Returns:
        The picture, which a notebook shows, if called in one; else None.

    Raises:
        TorchfuncError: a pdf or gif, and Graphviz is not installed.
        UnknownNameError: a format that is none of these; an option that does not exist, with the one that was meant.

    Example:
        >>> utils.plot_model(model, "model.svg", show_shapes=True)
        >>> "hidden" in open("model.svg").read()
        True
    """
    return plot.plot(
        model.graph, modules_of(model), name=model.name, to_file=to_file,
        show_shapes=show_shapes, show_dtype=show_dtype, show_layer_names=show_layer_names,
        show_layer_activations=show_layer_activations, show_trainable=show_trainable,
        expand_nested=expand_nested, rankdir=rankdir, dpi=dpi, splines=splines, fold_repeats=fold_repeats, **unknown,
    )  # fmt: skip


def model_to_dot(
    model: Model,
    show_shapes: bool = False,
    *,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    expand_nested: bool = False,
    rankdir: Direction = "TB",
    dpi: int = 200,
    splines: Splines = "spline",
    fold_repeats: bool | None = None,
    **unknown: Never,
) -> Any:
    """A model as a `pydot.Dot`, to be changed or drawn further; the arguments are those of `plot_model`.

    Args:
        model: any Model.
        show_shapes: whether each layer shows the shapes of its input and output.
        show_dtype: whether it shows the dtype of its output.
        show_layer_names: whether it shows its name.
        show_layer_activations: whether a layer that has one shows its activation.
        show_trainable: whether a layer with weights shows if they are trained.
        expand_nested: whether nested models show their layers.
        rankdir: which way the graph runs: "TB" is from top to bottom, "LR" from left to right.
        dpi: dots per inch of a picture.
        splines: how the edges are drawn.
        fold_repeats: whether a block of layers that stands several times in a row is drawn once; by default
            where there are more than 100 layers.
        **unknown: an option that does not exist, to be refused.

    Returns:
        A `pydot.Dot`.

    Raises:
        MissingExtraError: pydot is not installed.
        UnknownNameError: an option that does not exist, with the one that was meant.

    Example:
        >>> len(utils.model_to_dot(model).get_edges())  # of six layers in a row
        5
    """
    return plot.model_to_dot(
        model.graph, modules_of(model), name=model.name,
        show_shapes=show_shapes, show_dtype=show_dtype, show_layer_names=show_layer_names,
        show_layer_activations=show_layer_activations, show_trainable=show_trainable,
        expand_nested=expand_nested, rankdir=rankdir, dpi=dpi, splines=splines, fold_repeats=fold_repeats, **unknown,
    )  # fmt: skip
