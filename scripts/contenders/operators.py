"""The operators that a torchvision of another build than torch's lacks; without them Lightning's metrics fail to import."""

from __future__ import annotations

import importlib.util

import torch

if importlib.util.find_spec("torchvision"):
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        _HERE = torch.library.Library("torchvision", "DEF")
        for _schema in (
            "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        ):
            _HERE.define(_schema)
