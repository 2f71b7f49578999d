"""What networks for ImageNet take and give: images in one of three forms, and classes by name."""

from torchfunc.applications.pixels import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
