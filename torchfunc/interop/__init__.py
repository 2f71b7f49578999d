"""Interop: functions above the model that reach other libraries, each imported when it is asked for."""

from torchfunc.interop.deploy.inference import optimize_for_inference as optimize_for_inference
from torchfunc.interop.deploy.stages import split as split
from torchfunc.interop.export import export as export
from torchfunc.interop.fx import from_module as from_module
from torchfunc.interop.fx import to_fx as to_fx
from torchfunc.interop.surgery import cut as cut
from torchfunc.interop.surgery import freeze as freeze
from torchfunc.interop.surgery import insert as insert
from torchfunc.interop.surgery import remove as remove
from torchfunc.interop.surgery import replace as replace
from torchfunc.interop.to_source import to_source as to_source
from torchfunc.interop.to_torch import to_torch as to_torch
from torchfunc.interop.to_torch import weights_from_torch as weights_from_torch
