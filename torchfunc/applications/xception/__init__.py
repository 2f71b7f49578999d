"""Xception: its images have values from -1 to 1."""

from torchfunc.applications.families import Xception as Xception
from torchfunc.applications.modes.unit_range import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
