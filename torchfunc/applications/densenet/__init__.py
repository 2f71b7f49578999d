"""DenseNet121, DenseNet169 and DenseNet201: their images are less the mean and over the deviation of ImageNet."""

from torchfunc.applications.families import DenseNet121 as DenseNet121
from torchfunc.applications.families import DenseNet169 as DenseNet169
from torchfunc.applications.families import DenseNet201 as DenseNet201
from torchfunc.applications.modes.standardized import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
