"""Sizes: what a forward computes from an unknown dimension, as calls on the dimension itself."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch

from torchfunc.graph.spec import WORLDS, Spec

Call = Callable[[Any, tuple[Any, ...]], Any]


def shapes() -> Any:
    """PyTorch's own sizes that are symbols, which it loads with dynamo, and that when it is first asked for."""
    return torch._dynamo and torch.fx.experimental.symbolic_shapes


class UnknownError(Exception):
    """A forward asks for a value that only data have."""


def without_data(fake: Any, spec: Spec, name: str, count: int) -> torch.Tensor:
    """A tensor of this shape whose unknown dimensions are symbols; all batches are one, other dimensions are not.

    Args:
        fake: the mode that makes it.
        spec: its shape and dtype.
        name: what it is called.
        count: how many unknown dimensions there were before.
    """
    sizes, kinds = [], []
    for dim, size in enumerate(spec.shape):
        shared = shapes().DimDynamic.DUCK if dim == 0 else shapes().DimDynamic.DYNAMIC
        kinds.append(shapes().DimDynamic.STATIC if size is not None else shared)
        # a size of its own tells it from other dimensions, and divides by what a module may split it into
        sizes.append(size if size is not None else WORLDS[0] if dim == 0 else WORLDS[0] * (count + dim + 1))
    context: Any = shapes().StatelessSymbolicContext(dynamic_sizes=kinds)
    example = torch.empty(sizes, dtype=spec.dtype)
    made: torch.Tensor = fake.from_tensor(
        example, symbolic_context=context, source=torch._dynamo.source.ConstantSource(name)
    )
    return made


class Sizes:
    """The dimensions of the inputs, and what was computed from them.

    Args:
        environment: what PyTorch knows of them.
        call: makes a call of a function on nodes and numbers.
    """

    def __init__(self, environment: Any, call: Call) -> None:
        self._environment = environment
        self._call = call
        self._known: dict[Any, Any] = {}

    def add(self, tensor: torch.Tensor, node: Any) -> None:
        """The dimensions of an input."""
        for dim, size in enumerate(tensor.shape):
            if isinstance(size, torch.SymInt):
                self._known.setdefault(size.node.expr, (node, dim))

    def written(self, value: Any) -> Any:
        """A size as a node, or as the number that it turned out to be."""
        return self._of(self._environment.replace(value.node.expr))

    def _of(self, size: Any) -> Any:
        if size.is_Integer:
            return int(size)
        if size.is_Number:
            return float(size)
        known = self._known.get(size)
        if isinstance(known, tuple):
            node, dim = known
            known = self._call(operator.getitem, (self._call(getattr, (node, "shape")), dim))
        if known is None:
            known = self._computed(size)
        self._known[size] = known
        return known

    def _computed(self, size: Any) -> Any:
        kind = type(size)
        if kind.__name__ == "Add":
            return self._sum(size)
        if kind.__name__ == "Mul":
            return self._product(size)
        function = _FUNCTIONS.get(kind.__name__)
        if function is None:
            raise UnknownError(
                f"a size is computed from an unknown dimension in a way that is not known: {size}"
            )
        return reduce(lambda a, b: self._call(function, (a, b)), map(self._of, size.args))

    def _sum(self, size: Any) -> Any:
        """A sum, with the differences in it as such."""
        parts = sorted(size.args, key=lambda each: (each.is_number, str(each)))
        total = self._of(parts[0])
        for each in parts[1:]:
            negative = each.could_extract_minus_sign()
            function = operator.sub if negative else operator.add
            total = self._call(function, (total, self._of(-each if negative else each)))
        return total

    def _product(self, size: Any) -> Any:
        number, rest = size.as_coeff_mul()
        product = reduce(lambda a, b: self._call(operator.mul, (a, b)), map(self._of, rest))
        if number.is_Integer:
            return product if number == 1 else self._call(operator.mul, (product, int(number)))
        return self._call(
            operator.floordiv, (self._call(operator.mul, (product, int(number.p))), int(number.q))
        )


_sym_not: Any = torch.sym_not
_FUNCTIONS: dict[str, Any] = {
    "FloorDiv": operator.floordiv,
    "CleanDiv": operator.floordiv,
    "Mod": operator.mod,
    "PythonMod": operator.mod,
    "Max": torch.sym_max,
    "Min": torch.sym_min,
    "IntTrueDiv": operator.truediv,
    "FloatTrueDiv": operator.truediv,
    "Pow": operator.pow,
    "PowByNatural": operator.pow,
    "FloatPow": operator.pow,
}


@contextmanager
def not_asked(is_machinery: Callable[[str], bool]) -> Iterator[None]:
    """Within it code outside of PyTorch cannot ask what an unknown dimension is; one that is known it may."""
    asked = {
        torch.SymBool: ("__bool__",),
        torch.SymInt: ("__bool__", "__int__", "__index__"),
        torch.SymFloat: ("__bool__", "__int__", "__float__"),
    }
    kept = {
        (kind, name): getattr(kind, name)
        for kind, names in asked.items()
        for name in names
        if hasattr(kind, name)
    }
    for (kind, name), original in kept.items():
        setattr(kind, name, _guarded(original, is_machinery))
    try:
        yield
    finally:
        for (kind, name), original in kept.items():
            setattr(kind, name, original)


def _guarded(original: Any, is_machinery: Callable[[str], bool]) -> Any:
    def ask(self: Any) -> Any:
        if is_machinery(sys._getframe(1).f_code.co_filename) or self.node.expr.is_number:
            return original(self)
        if isinstance(self, torch.SymBool):
            for answer, question in ((True, self), (False, _sym_not(self))):
                if shapes().statically_known_true(question):
                    return answer
            raise UnknownError("which way it goes depends on a dimension that may differ from batch to batch")
        if original.__name__ == "__bool__" and shapes().statically_known_true(self != 0):
            return True
        raise UnknownError("a dimension that may differ from batch to batch is used as a number")

    return ask
