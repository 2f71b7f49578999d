"""NASNetLarge and NASNetMobile: their images have values from -1 to 1."""

from torchfunc.applications.families import NASNetLarge as NASNetLarge
from torchfunc.applications.families import NASNetMobile as NASNetMobile
from torchfunc.applications.modes.unit_range import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
