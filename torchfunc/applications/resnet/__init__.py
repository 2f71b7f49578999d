"""ResNet101, ResNet152 and ResNet50: their images are BGR less the mean of ImageNet."""

from torchfunc.applications.families import ResNet50 as ResNet50
from torchfunc.applications.families import ResNet101 as ResNet101
from torchfunc.applications.families import ResNet152 as ResNet152
from torchfunc.applications.modes.reversed_colours import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
