"""The command line: what a file holds, as a table, a picture or another file.

    python -m torchfunc inspect model.safetensors
    python -m torchfunc summary model.safetensors
    python -m torchfunc plot model.safetensors model.png
    python -m torchfunc view model.safetensors model.html
    python -m torchfunc convert model.safetensors model.onnx

Exit codes: 0 done, 1 the file or the model does not allow it, 2 the command line cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torchfunc as tf
from torchfunc.errors import SavingError, TorchfuncError, explain

EXPORTED = {".onnx": "onnx", ".pt2": "torch"}
SAVED = (".safetensors", ".keras", ".h5")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what goes wrong is told in a line, without a traceback.

    Args:
        arguments: those of the process if None.
    """
    options = vars(_parser().parse_args(arguments))
    run: Callable[..., None] = options.pop("run")
    try:
        run(**options)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0
    except (TorchfuncError, ImportError, OSError, RuntimeError) as error:  # the last are PyTorch's
        print(f"torchfunc: {error}", file=sys.stderr)
        return 1
    return 0


def inspect(file: Path) -> None:
    """What the file holds, read from its header: nothing is made."""
    print(tf.inspect(file))


def summary(file: Path, expand_nested: bool, flops: bool) -> None:
    """The table of layers, with output shapes and numbers of parameters."""
    _model(file).summary(expand_nested=expand_nested, show_flops=flops)


def plot(file: Path, picture: Path | None, show_shapes: bool, expand_nested: bool) -> None:
    """Draw the graph into a .png, .svg or .pdf file; beside the model by default."""
    place = picture or file.with_suffix(".png")
    tf.utils.plot_model(_model(file), place, show_shapes=show_shapes, expand_nested=expand_nested)
    print(place)


def view(file: Path, page: Path | None) -> None:
    """Write a page that a browser opens, with the graph, its layers and its code; beside the model by default."""
    place = page or file.with_suffix(".html")
    _model(file).view(place)
    print(place)


def convert(file: Path, to: Path) -> None:
    """Write the model in the format that the ending says: .safetensors, .keras, .h5, .onnx, .pt2, or .py as source."""
    model, ending = _model(file), to.suffix.lower()
    if ending in EXPORTED:
        kind: Any = EXPORTED[ending]
        tf.interop.export(model, to, format=kind)
    elif ending == ".py":
        tf.interop.to_source(model, to)
    elif ending in SAVED:
        model.save(to)
    else:
        expected = ", ".join((*SAVED, *EXPORTED, ".py"))
        raise SavingError(explain("convert", got=f"the ending {to.suffix!r}", expected=expected))
    print(to)


def _model(file: Path) -> Any:
    """The whole model of a file, ready to predict; what it was compiled with is kept where that is possible."""
    return tf.load_model(file).eval()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m torchfunc", description="What a file of a model holds.")
    parser.add_argument("--version", action="version", version=f"torchfunc {tf.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(run: Callable[..., None]) -> argparse.ArgumentParser:
        text = (run.__doc__ or "").strip()
        made = commands.add_parser(run.__name__, help=text, description=text)
        made.add_argument("file", type=Path, metavar="FILE", help="a file, or a folder, of model.save(path)")
        made.set_defaults(run=run)
        return made

    command(inspect)
    nested = "show the layers in layers too"
    table = command(summary)
    table.add_argument("--expand-nested", action="store_true", help=nested)
    table.add_argument("--flops", action="store_true", help="count FLOPs and memory for one sample too")
    drawing = command(plot)
    drawing.add_argument("picture", nargs="?", type=Path, help="where to draw; FILE with .png by default")
    drawing.add_argument("--show-shapes", action="store_true", help="write the shapes of tensors too")
    drawing.add_argument("--expand-nested", action="store_true", help=nested)
    command(view).add_argument(
        "page", nargs="?", type=Path, help="the file to write; FILE with .html by default"
    )
    command(convert).add_argument("to", type=Path, metavar="TO", help="the file to write")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
