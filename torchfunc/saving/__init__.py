"""Saving: a graph as plain JSON, and an archive of JSON and tensors that a stranger may have written."""

import typing as _typing

from torchfunc.registry import custom_object_scope as custom_object_scope
from torchfunc.saving.contents import Contents as Contents
from torchfunc.saving.contents import Stored as Stored
from torchfunc.saving.contents import inspect as inspect
from torchfunc.saving.objects import CustomObjectScope as CustomObjectScope
from torchfunc.saving.objects import deserialize_keras_object as deserialize_keras_object
from torchfunc.saving.objects import get_custom_objects as get_custom_objects
from torchfunc.saving.objects import get_registered_name as get_registered_name
from torchfunc.saving.objects import get_registered_object as get_registered_object
from torchfunc.saving.objects import load_model as load_model
from torchfunc.saving.objects import load_weights as load_weights
from torchfunc.saving.objects import register_keras_serializable as register_keras_serializable
from torchfunc.saving.objects import save_model as save_model
from torchfunc.saving.objects import save_weights as save_weights
from torchfunc.saving.objects import serialize_keras_object as serialize_keras_object

if not _typing.TYPE_CHECKING:
    from torchfunc.rooms import asking as _asking

    __getattr__ = _asking(__name__)
