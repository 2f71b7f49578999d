"""Mixed precision by Keras's older names: the global policy, and scaled losses."""

from torchfunc.dtype_policies.policy import DTypePolicy as DTypePolicy
from torchfunc.dtype_policies.policy import Policy as Policy
from torchfunc.dtype_policies.policy import dtype_policy as dtype_policy
from torchfunc.dtype_policies.policy import global_policy as global_policy
from torchfunc.dtype_policies.policy import set_dtype_policy as set_dtype_policy
from torchfunc.dtype_policies.policy import set_global_policy as set_global_policy
from torchfunc.optimizers.scaling import LossScaleOptimizer as LossScaleOptimizer
