"""Learning rates by Keras's names: functions of the optimizer's step."""

from torchfunc.schedules.schedule import CosineDecay as CosineDecay
from torchfunc.schedules.schedule import CosineDecayRestarts as CosineDecayRestarts
from torchfunc.schedules.schedule import ExponentialDecay as ExponentialDecay
from torchfunc.schedules.schedule import InverseTimeDecay as InverseTimeDecay
from torchfunc.schedules.schedule import LearningRateSchedule as LearningRateSchedule
from torchfunc.schedules.schedule import PiecewiseConstantDecay as PiecewiseConstantDecay
from torchfunc.schedules.schedule import PolynomialDecay as PolynomialDecay
from torchfunc.schedules.schedule import deserialize as deserialize
from torchfunc.schedules.schedule import get as get
from torchfunc.schedules.schedule import serialize as serialize
