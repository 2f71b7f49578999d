"""Weight constraints by Keras's names: functions of a weight that are applied after every step."""

from torchfunc.constraints.constraint import Constraint as Constraint
from torchfunc.constraints.constraint import MaxNorm as MaxNorm
from torchfunc.constraints.constraint import MinMaxNorm as MinMaxNorm
from torchfunc.constraints.constraint import NonNeg as NonNeg
from torchfunc.constraints.constraint import UnitNorm as UnitNorm
from torchfunc.constraints.constraint import deserialize as deserialize
from torchfunc.constraints.constraint import get as get
from torchfunc.constraints.constraint import max_norm as max_norm
from torchfunc.constraints.constraint import min_max_norm as min_max_norm
from torchfunc.constraints.constraint import non_neg as non_neg
from torchfunc.constraints.constraint import serialize as serialize
from torchfunc.constraints.constraint import unit_norm as unit_norm
