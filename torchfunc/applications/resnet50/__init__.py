"""ResNet50: its images are BGR less the mean of ImageNet."""

from torchfunc.applications.families import ResNet50 as ResNet50
from torchfunc.applications.modes.reversed_colours import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
