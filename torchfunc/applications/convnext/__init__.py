"""ConvNeXtBase, ConvNeXtLarge, ConvNeXtSmall, ConvNeXtTiny and ConvNeXtXLarge: their images have values 0 to 255."""

from torchfunc.applications.families import ConvNeXtBase as ConvNeXtBase
from torchfunc.applications.families import ConvNeXtLarge as ConvNeXtLarge
from torchfunc.applications.families import ConvNeXtSmall as ConvNeXtSmall
from torchfunc.applications.families import ConvNeXtTiny as ConvNeXtTiny
from torchfunc.applications.families import ConvNeXtXLarge as ConvNeXtXLarge
from torchfunc.applications.modes.untouched import preprocess_input as preprocess_input
from torchfunc.applications.predictions import decode_predictions as decode_predictions
