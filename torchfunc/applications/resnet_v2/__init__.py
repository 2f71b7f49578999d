"""ResNet101V2, ResNet152V2 and ResNet50V2: their images have values from -1 to 1."""

from torchfunc.applications.families import ResNet50V2 as ResNet50V2
from torchfunc.applications.families import ResNet101V2 as ResNet101V2
from torchfunc.applications.families import ResNet152V2 as ResNet152V2
from torchfunc.applications.modes.unit_range import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
