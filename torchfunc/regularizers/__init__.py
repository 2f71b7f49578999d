"""Weight penalties by Keras's names: functions of a weight that are added to the loss."""

from torchfunc.regularizers.regularizer import L1 as L1
from torchfunc.regularizers.regularizer import L1L2 as L1L2
from torchfunc.regularizers.regularizer import L2 as L2
from torchfunc.regularizers.regularizer import OrthogonalRegularizer as OrthogonalRegularizer
from torchfunc.regularizers.regularizer import Regularizer as Regularizer
from torchfunc.regularizers.regularizer import deserialize as deserialize
from torchfunc.regularizers.regularizer import get as get
from torchfunc.regularizers.regularizer import l1 as l1
from torchfunc.regularizers.regularizer import l1_l2 as l1_l2
from torchfunc.regularizers.regularizer import l2 as l2
from torchfunc.regularizers.regularizer import orthogonal_regularizer as orthogonal_regularizer
from torchfunc.regularizers.regularizer import serialize as serialize
from torchfunc.regularizers.regularizer import validate_float_arg as validate_float_arg
