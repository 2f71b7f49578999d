"""What a network for ImageNet has seen, in words."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from torchfunc.errors import DataError, ShapeError, explain
from torchfunc.interop import torchvision

_IDS = Path(__file__).with_name("imagenet_ids.txt")


def decode_predictions(
    preds: Any, top: int = 5, class_index: str | Path | None = None
) -> list[list[tuple[str, str, float]]]:
    """The likeliest classes of ImageNet for each image.

    Args:
        preds: scores (batch, 1000): an array or tensor.
        top: how many classes an image.
        class_index: Keras's file `imagenet_class_index.json`; by default torchvision's names of the classes.

    Returns:
        For each image a list of (WordNet id, name, score), the highest score first.

    Raises:
        ShapeError: scores of another shape; DataError: a file that does not name 1000 classes.
        MissingExtraError: torchvision is not installed, and there is no file.

    Example:
        >>> [[(synset, name, score)]] = decode_predictions(np.eye(1000)[[0]], top=1)
        >>> synset, name, float(score)
        ('n01440764', 'tench', 1.0)
    """
    scores = preds.detach().cpu().float().numpy() if isinstance(preds, Tensor) else np.asarray(preds)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ShapeError(
            explain(
                "decode_predictions",
                got=f"scores {scores.shape}",
                expected="(batch, 1000)",
                why="ImageNet has 1000 classes",
            )
        )
    names = _own_names() if class_index is None else _read(Path(class_index))
    likeliest = np.argsort(scores, axis=1)[:, ::-1][:, :top]
    return [
        [(*names[place], row[place]) for place in places]
        for row, places in zip(scores, likeliest, strict=True)
    ]


@cache
def _own_names() -> list[tuple[str, str]]:
    categories = torchvision.load().models.ResNet50_Weights.DEFAULT.meta["categories"]
    ids = _IDS.read_text(encoding="ascii").split()
    return [(each, name.replace(" ", "_")) for each, name in zip(ids, categories, strict=True)]


def _read(path: Path) -> list[tuple[str, str]]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return [(str(one), str(name)) for one, name in (table[str(place)] for place in range(1000))]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            explain(
                "decode_predictions",
                got=f"class_index={str(path)!r}",
                expected='{"0": ["n01440764", "tench"], ...} with 1000 classes',
            )
        ) from error
