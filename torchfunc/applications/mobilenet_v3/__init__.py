"""MobileNetV3Small and MobileNetV3Large: their images have values 0 to 255."""

from torchfunc.applications.families import MobileNetV3Large as MobileNetV3Large
from torchfunc.applications.families import MobileNetV3Small as MobileNetV3Small
from torchfunc.applications.modes.untouched import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
