"""Dtype policies as data: in which dtype a layer computes, and in which it keeps its weights."""

import typing as _typing

from torchfunc.dtype_policies.policy import DTypePolicy as DTypePolicy
from torchfunc.dtype_policies.policy import DTypePolicyMap as DTypePolicyMap
from torchfunc.dtype_policies.policy import FloatDTypePolicy as FloatDTypePolicy
from torchfunc.dtype_policies.policy import deserialize as deserialize
from torchfunc.dtype_policies.policy import get as get
from torchfunc.dtype_policies.policy import serialize as serialize

if not _typing.TYPE_CHECKING:
    from torchfunc.rooms import asking as _asking

    __getattr__ = _asking(__name__)
