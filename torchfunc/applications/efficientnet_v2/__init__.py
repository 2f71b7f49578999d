"""EfficientNetV2B0 to B3, S, M and L: their images have values 0 to 255."""

from torchfunc.applications.families import EfficientNetV2B0 as EfficientNetV2B0
from torchfunc.applications.families import EfficientNetV2B1 as EfficientNetV2B1
from torchfunc.applications.families import EfficientNetV2B2 as EfficientNetV2B2
from torchfunc.applications.families import EfficientNetV2B3 as EfficientNetV2B3
from torchfunc.applications.families import EfficientNetV2L as EfficientNetV2L
from torchfunc.applications.families import EfficientNetV2M as EfficientNetV2M
from torchfunc.applications.families import EfficientNetV2S as EfficientNetV2S
from torchfunc.applications.modes.untouched import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
