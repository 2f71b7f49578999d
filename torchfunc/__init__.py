"""The Keras functional API as PyTorch itself would have it.

Call layers, any `torch.nn.Module` or any `torch` function on `Input(...)`; `Model(inputs, outputs)` is a
real `nn.Module` whose forward a person could have written.
"""

import typing as _typing

if _typing.TYPE_CHECKING:
    from torchfunc import activations as activations
    from torchfunc import applications as applications
    from torchfunc import backend as backend
    from torchfunc import callbacks as callbacks
    from torchfunc import constraints as constraints
    from torchfunc import datasets as datasets
    from torchfunc import dtype_policies as dtype_policies
    from torchfunc import errors as errors
    from torchfunc import initializers as initializers
    from torchfunc import interop as interop
    from torchfunc import layers as layers
    from torchfunc import losses as losses
    from torchfunc import metrics as metrics
    from torchfunc import mixed_precision as mixed_precision
    from torchfunc import models as models
    from torchfunc import ops as ops
    from torchfunc import optimizers as optimizers
    from torchfunc import preprocessing as preprocessing
    from torchfunc import random as random
    from torchfunc import regularizers as regularizers
    from torchfunc import saving as saving
    from torchfunc import schedules as schedules
    from torchfunc import tree as tree
    from torchfunc import utils as utils
    from torchfunc import wrappers as wrappers
    from torchfunc.backend.asked import device as device
    from torchfunc.dtype_policies import DTypePolicy as DTypePolicy
    from torchfunc.dtype_policies import FloatDTypePolicy as FloatDTypePolicy
    from torchfunc.graph.interception import interception as interception
    from torchfunc.graph.symbolic import Input as Input
    from torchfunc.graph.symbolic import KerasTensor as KerasTensor
    from torchfunc.graph.symbolic import SymbolicTensor as SymbolicTensor
    from torchfunc.graph.symbolic import call as call
    from torchfunc.initializers import Initializer as Initializer
    from torchfunc.keras_files.entrance import _keras as _keras  # known by the suffixes of files
    from torchfunc.layers import InputSpec as InputSpec
    from torchfunc.layers import Layer as Layer
    from torchfunc.losses import Loss as Loss
    from torchfunc.metrics import Metric as Metric
    from torchfunc.models import Model as Model
    from torchfunc.models import Sequential as Sequential
    from torchfunc.models import clone_model as clone_model
    from torchfunc.models import load_model as load_model
    from torchfunc.optimizers import Optimizer as Optimizer
    from torchfunc.registry import custom_object_scope as custom_object_scope
    from torchfunc.registry import register as register
    from torchfunc.regularizers import Regularizer as Regularizer
    from torchfunc.saving import inspect as inspect
    from torchfunc.training.trainer import Trainer as Trainer
    from torchfunc.variables import Variable as Variable
else:
    from torchfunc.rooms import lazily as _lazily

    __getattr__, __dir__, __all__ = _lazily(__name__)

__version__ = "0.2.0"
