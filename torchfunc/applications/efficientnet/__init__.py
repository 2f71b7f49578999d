"""EfficientNetB0 to EfficientNetB7: their images have values 0 to 255."""

from torchfunc.applications.families import EfficientNetB0 as EfficientNetB0
from torchfunc.applications.families import EfficientNetB1 as EfficientNetB1
from torchfunc.applications.families import EfficientNetB2 as EfficientNetB2
from torchfunc.applications.families import EfficientNetB3 as EfficientNetB3
from torchfunc.applications.families import EfficientNetB4 as EfficientNetB4
from torchfunc.applications.families import EfficientNetB5 as EfficientNetB5
from torchfunc.applications.families import EfficientNetB6 as EfficientNetB6
from torchfunc.applications.families import EfficientNetB7 as EfficientNetB7
from torchfunc.applications.modes.untouched import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
