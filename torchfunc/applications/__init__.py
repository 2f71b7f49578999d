"""Applications: torchvision's networks as graphs, whose every intermediate tensor can be taken out."""

from torchfunc.applications.networks import VGG16 as VGG16
from torchfunc.applications.networks import VGG19 as VGG19
from torchfunc.applications.networks import ConvNeXtTiny as ConvNeXtTiny
from torchfunc.applications.networks import DenseNet121 as DenseNet121
from torchfunc.applications.networks import EfficientNetB0 as EfficientNetB0
from torchfunc.applications.networks import MobileNetV3Large as MobileNetV3Large
from torchfunc.applications.networks import MobileNetV3Small as MobileNetV3Small
from torchfunc.applications.networks import ResNet18 as ResNet18
from torchfunc.applications.networks import ResNet50 as ResNet50
from torchfunc.applications.networks import StochasticDepth as StochasticDepth
from torchfunc.applications.networks import preprocess_input as preprocess_input
