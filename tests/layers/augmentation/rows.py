"""Every image layer with arguments, and images to call it on."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from torchfunc import layers

ROWS: dict[str, dict[str, Any]] = {
    "Resizing": {"height": 5, "width": 6},
    "CenterCrop": {"height": 5, "width": 6},
    "RandomCrop": {"height": 5, "width": 6},
    "RandomFlip": {},
    "RandomRotation": {"factor": 0.2},
    "RandomZoom": {"height_factor": 0.2, "width_factor": (-0.3, 0.1)},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": (0.1, 0.3)},
    "RandomShear": {"x_factor": 0.3, "y_factor": (0.1, 0.2)},
    "RandomPerspective": {"factor": (1.0, 1.0), "scale": 0.5},
    "RandomElasticTransform": {"factor": (1.0, 1.0)},
    "RandomContrast": {"factor": 0.3},
    "RandomBrightness": {"factor": 0.3},
    "RandomHue": {"factor": 0.3},
    "RandomSaturation": {"factor": 0.8},
    "RandomColorJitter": {
        "brightness_factor": 0.2,
        "contrast_factor": 0.2,
        "saturation_factor": (0.2, 0.7),
        "hue_factor": 0.2,
    },
    "RandomColorDegeneration": {"factor": 0.4},
    "RandomGrayscale": {},
    "RandomInvert": {},
    "RandomPosterization": {"factor": 4},
    "RandomSharpness": {"factor": 0.7},
    "RandomGaussianBlur": {"factor": (1.0, 1.0), "kernel_size": (3, 5)},
    "RandomErasing": {},
    "AutoContrast": {},
    "Equalization": {},
    "Solarization": {"threshold_factor": 0.5},
    "ContrastLimitedAdaptiveHistogramEqualization": {"tile_grid_size": (2, 2)},
    "CutMix": {},
    "MixUp": {},
    "AugMix": {},
    "RandAugment": {},
    "MaxNumBoundingBoxes": {"max_number": 3},
}
ALWAYS = ("Resizing", "CenterCrop", "RandomCrop", "AutoContrast", "MaxNumBoundingBoxes")
ALWAYS += ("ContrastLimitedAdaptiveHistogramEqualization",)
SEEDED = [kind for kind in ROWS if "seed" in inspect.signature(getattr(layers, kind)).parameters]
# what they do is drawn once for a batch, or mixes its images
OF_BATCHES = ("RandomCrop", "RandomGaussianBlur", "CutMix", "MixUp")
FORMATS = ("channels_last", "channels_first")


def made(kind: str, **more: Any) -> Any:
    """The layer of a row, with a seed where it takes one."""
    seed = {"seed": 3} if kind in SEEDED else {}
    return getattr(layers, kind)(**{**ROWS[kind], **seed, **more})


def images(number: int = 3, height: int = 8, width: int = 9, data_format: str = "channels_last") -> Tensor:
    """Images of values from 0 to 255."""
    drawn = torch.rand(number, height, width, 3) * 255
    return drawn if data_format == "channels_last" else drawn.permute(0, 3, 1, 2).contiguous()


def everything(kind: str, data_format: str = "channels_last") -> dict[str, Any]:
    """Images and all that may belong to them."""
    given = images(data_format=data_format)
    shape = (3, 8, 9, 1) if data_format == "channels_last" else (3, 1, 8, 9)
    data = {
        "images": given,
        "labels": torch.eye(3),
        "segmentation_masks": torch.randint(4, shape),
        "weights": torch.ones(3),
    }
    if kind != "CutMix":
        boxes = torch.tensor([[[1.0, 1, 4, 5], [2, 2, 8, 3]]]).repeat(3, 1, 1)
        data["bounding_boxes"] = {"boxes": boxes, "labels": torch.ones(3, 2)}
    return data
