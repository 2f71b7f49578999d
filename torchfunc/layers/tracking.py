"""Tracking: the modules in the lists, tuples and dicts that a layer of yours keeps as attributes.

They are looked for whenever somebody walks through the layer, so that a list stays the plain list that it
is, and what is appended later is found too. Their names are those that `nn.ModuleList` and
`nn.ModuleDict` would give: `blocks.0.weight`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

# what every module and layer keeps for itself
UNTRACKED = frozenset(vars(nn.Module())) | set(
    "built_for input_shape_argument _weight_infos _new_weights _losses _told _nodes _models _config_arguments "
    "_waiting_state _chain _entry".split()
)


class Held(nn.ModuleDict):
    """The modules in a list or a dict, by index or key."""


def follow(layer: nn.Module) -> None:
    """Bring the modules that a layer shows to PyTorch up to date with its lists and dicts."""
    modules = vars(layer).get("_modules")
    # what is traced is as it is; and the dynamo of PyTorch 2.11 does not go through a __dict__
    if modules is None or torch.compiler.is_dynamo_compiling():
        return
    own = {id(each) for each in modules.values() if not isinstance(each, Held)} | {id(layer)}
    for name, value in vars(layer).items():
        if isinstance(value, (list, tuple, dict)) and name not in UNTRACKED:
            _show(modules, name, _found(value, own))


def forget(layer: nn.Module, name: str) -> None:
    """Show the modules of this attribute no more, because it is about to become another."""
    modules = vars(layer).get("_modules", {})  # an attribute may be set before there are any
    if isinstance(modules.get(name), Held):
        del modules[name]


def children_of(module: nn.Module) -> Iterator[nn.Module]:
    """The modules right inside; those in a list or a dict one by one."""
    for each in module.children():
        yield from children_of(each) if isinstance(each, Held) else (each,)


def _found(value: Any, skip: set[int]) -> dict[str, Any]:
    """The modules in a container by name, nested as they are; those that are attributes already are left out."""
    if id(value) in skip:
        return {}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: dict[str, Any] = {}
    for key, item in items:
        name = str(key).replace(".", "_")
        if isinstance(item, nn.Module) and id(item) not in skip:
            found[name] = item
        elif isinstance(item, (list, tuple, dict)):
            inner = _found(item, skip | {id(value)})
            found.update({name: inner} if inner else {})
    return found


def _show(modules: dict[str, Any], name: str, found: dict[str, Any]) -> None:
    """Put what was found under this name, in the container that stands there already if one does."""
    held = modules.get(name)
    if not isinstance(held, Held):
        if not found or held is not None:
            return
        held = modules[name] = Held()
    for key in [key for key in held._modules if key not in found]:
        del held._modules[key]
    for key, each in found.items():
        if isinstance(each, nn.Module):
            held._modules[key] = each
        else:
            _show(held._modules, key, each)
    if not held._modules:
        del modules[name]
