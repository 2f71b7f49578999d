"""Saving: a graph as plain JSON, and an archive of JSON and tensors that a stranger may have written."""

from torchfunc.saving.contents import Contents as Contents
from torchfunc.saving.contents import Stored as Stored
from torchfunc.saving.contents import inspect as inspect
