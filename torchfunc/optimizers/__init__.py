"""Optimizers by Keras's names, with Keras's arguments and mathematics, as optimizers of PyTorch."""

import typing as _typing

from torchfunc import schedules as schedules
from torchfunc.optimizers.descent import SGD as SGD
from torchfunc.optimizers.descent import Ftrl as Ftrl
from torchfunc.optimizers.descent import Lion as Lion
from torchfunc.optimizers.matrices import Adafactor as Adafactor
from torchfunc.optimizers.matrices import Muon as Muon
from torchfunc.optimizers.moments import Adam as Adam
from torchfunc.optimizers.moments import Adamax as Adamax
from torchfunc.optimizers.moments import AdamW as AdamW
from torchfunc.optimizers.moments import Lamb as Lamb
from torchfunc.optimizers.moments import Nadam as Nadam
from torchfunc.optimizers.moments import ScheduleFreeAdamW as ScheduleFreeAdamW
from torchfunc.optimizers.multiple import MultiOptimizer as MultiOptimizer
from torchfunc.optimizers.multiple import OptimizerMap as OptimizerMap
from torchfunc.optimizers.named_optimizers import deserialize as deserialize
from torchfunc.optimizers.named_optimizers import get as get
from torchfunc.optimizers.named_optimizers import serialize as serialize
from torchfunc.optimizers.optimizer import Optimizer as Optimizer
from torchfunc.optimizers.scaling import LossScaleOptimizer as LossScaleOptimizer
from torchfunc.optimizers.squares import Adadelta as Adadelta
from torchfunc.optimizers.squares import Adagrad as Adagrad
from torchfunc.optimizers.squares import RMSprop as RMSprop
from torchfunc.optimizers.stepper import Stepper as Stepper
from torchfunc.optimizers.stepper import Update as Update
from torchfunc.optimizers.torch_optimizer import TorchOptimizer as TorchOptimizer

if not _typing.TYPE_CHECKING:
    from torchfunc.rooms import asking as _asking

    __getattr__ = _asking(__name__)
