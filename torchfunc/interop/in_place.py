"""In place: calls that change a tensor, as calls that make a new one."""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn

from torchfunc.errors import GraphError, explain
from torchfunc.graph import refusals, symbolic
from torchfunc.graph.symbolic import SYMBOLS, Method, SymbolicTensor
from torchfunc.tree import leaves, map_leaves

# what may return its argument, or a view of it
_VIEWS = frozenset(
    """
    alpha_dropout as_strided bfloat16 broadcast_to chunk contiguous cpu cuda data detach diagonal double
    dropout dropout1d dropout2d dropout3d dsplit expand expand_as feature_alpha_dropout flatten float getattr
    getitem half hsplit identity imag moveaxis movedim narrow permute ravel real reshape reshape_as select
    split split_with_sizes squeeze stochastic_depth swapaxes swapdims t tensor_split to transpose type_as
    unbind unflatten unfold unsqueeze view view_as vsplit
    """.split()
)
_PLAIN_OPERATORS = (operator.and_, operator.or_)
_KEEP = "keep the submodule around it one node with leaf="


class Storages:
    """What the tensor of each node holds now.

    The result of a call that changes a tensor and that tensor are one storage, so that later readers of
    either see the change. A view of the tensor would see it too, which a graph cannot say: reading one
    afterwards is refused.
    """

    def __init__(self) -> None:
        self._slots: dict[fx.Node, fx.Node] = {}
        self._values: dict[fx.Node, Any] = {}
        self._families: dict[fx.Node, fx.Node] = {}
        self._stale: dict[fx.Node, fx.Node] = {}
        self._made_by: dict[Any, fx.Node] = {}

    def read(self, node: fx.Node) -> Any:
        """The value of a node, with what was done to it in place since."""
        slot = self._slots[node]
        if slot in self._stale:
            raise GraphError(
                explain(
                    f"`{node.name}`{node.meta['line']}",
                    got=f"a tensor of which another view is changed in place{self._stale[slot].meta['line']}",
                    expected="values that follow from each other",
                    why="it would show the change too",
                    fix=f"write it without calls in place, or {_KEEP}",
                )
            )
        value = self._values[slot]
        return value if isinstance(value, SYMBOLS) else map_leaves(self._now, value)

    def _now(self, leaf: Any) -> Any:
        """A tensor in a container, with what was done to it in place since."""
        slot = self._made_by.get(leaf.key) if isinstance(leaf, SymbolicTensor) else None
        return leaf if slot is None else self.read(slot)

    def write(self, node: fx.Node, value: Any) -> None:
        """The value of a node that changes nothing."""
        if isinstance(value, SymbolicTensor):
            same = self._made_by.setdefault(value.key, node)
            if same is not node:
                # one item of a container, taken out a second time
                self._slots[node] = same
                return
        source = _first_node(node)
        is_view = _word(node) in _VIEWS and _has_tensor(value) and not self._is_part_of_new(source)
        self._slots[node] = node
        self._families[node] = self._families[self._slots[source]] if source is not None and is_view else node
        self._values[node] = value

    def change(self, node: fx.Node, value: Any) -> None:
        """The value of a node that changes the tensor it is called on."""
        changed = self._slots[_first_node(node)]  # type: ignore[index]
        if self._families[changed].op == "get_attr":
            raise GraphError(
                explain(
                    f"`{node.name}`{node.meta['line']}",
                    got="a call that changes a parameter or buffer of the module in place",
                    expected="calls that leave it as it is",
                    fix=f"{_KEEP}, or call all of it as one: module(x)",
                )
            )
        for slot, family in self._families.items():
            if family is self._families[changed] and slot is not changed:
                self._stale[slot] = node
        self._slots[node] = changed
        self._values[changed] = value

    def _is_part_of_new(self, source: fx.Node | None) -> bool:
        """Whether a node holds several tensors that are no views, so that its items are independent."""
        if source is None or _word(source) in _VIEWS:
            return False
        return not isinstance(self._values.get(self._slots[source]), (Tensor, SymbolicTensor))


def _first_node(node: fx.Node) -> fx.Node | None:
    first = node.args[0] if node.args else None
    return first if isinstance(first, fx.Node) else None


def _word(node: fx.Node) -> str:
    target: Any = node.target
    if node.op == "call_module":
        target = str(node.meta.get("kind", ""))
    return target if isinstance(target, str) else str(getattr(target, "__name__", ""))


def _has_tensor(value: Any) -> bool:
    return any(isinstance(leaf, SymbolicTensor) for leaf in leaves(value))


def is_in_place(node: fx.Node, target: Any, owner: Any) -> bool:
    """Whether a call changes the tensor it is called on."""
    if not isinstance(owner, (Tensor, SymbolicTensor)) or _first_node(node) is None:
        return False
    if isinstance(target, nn.Module):
        return getattr(target, "inplace", False) is True
    if target is operator.setitem:
        return True
    name = target.name if isinstance(target, Method) else getattr(target, "__name__", "")
    if name.endswith("_") and not name.endswith("__") and target not in _PLAIN_OPERATORS:
        return True
    return _inplace_argument(target, node.args, dict(node.kwargs))


def _inplace_argument(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if kwargs.get("inplace") is True:
        return True
    names = _parameters(function)
    return "inplace" in names and names.index("inplace") < len(args) and args[names.index("inplace")] is True


@cache
def _parameters(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def out_of_place(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call in place computes, without the change: symbolic tensors in, a new one out."""
    if isinstance(target, Method):
        return _as_before(symbolic.record(_plain_method(target.name), args, kwargs), args[0])
    if target is operator.setitem:
        return symbolic.record(with_items, args, kwargs)
    name = getattr(target, "__name__", "")
    if name.endswith("_"):
        return _as_before(symbolic.record(_plain_function(name), args, kwargs), args[0])
    names = _parameters(target)
    place = names.index("inplace") if "inplace" in names else len(args)
    args = tuple(False if index == place else arg for index, arg in enumerate(args))
    return symbolic.record(target, args, {key: each for key, each in kwargs.items() if key != "inplace"})


def with_items(tensor: Tensor, key: Any, value: Any) -> Tensor:
    """A copy of a tensor with other values under a key: `x[key] = value` without the change."""
    made = tensor.clone()
    made[key] = value
    return made


def _plain_method(name: str) -> Method:
    if hasattr(Tensor, name.rstrip("_")):
        return Method(name.rstrip("_"))
    raise GraphError(refusals.in_place(f"`x.{name}(...)`", name))


def _plain_function(name: str) -> Callable[..., Any]:
    for space in (torch, torch.nn.functional):
        found: Callable[..., Any] | None = getattr(space, name.rstrip("_"), None)
        if found is not None:
            return found
    raise GraphError(refusals.in_place(f"`{name}(x)`", name))


def _as_before(made: Any, changed: Any) -> Any:
    """The result in the dtype of the tensor that was changed, which a call in place keeps."""
    return made if made.dtype is changed.dtype else made.to(changed.dtype)


def twin(module: nn.Module) -> nn.Module:
    """A copy of an activation or dropout that works in place which does not; its hooks stay shared."""
    made = copy.copy(module)
    made.inplace = False  # type: ignore[assignment]
    return made
