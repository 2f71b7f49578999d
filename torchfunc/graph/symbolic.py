"""Symbolic calls: what happens when something is called on a value that does not exist yet."""

from __future__ import annotations

import itertools
import operator
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchfunc.errors import GraphError, TorchfuncError, explain
from torchfunc.functions import ATTRIBUTES
from torchfunc.graph import blame, refusals
from torchfunc.graph.probing.infer import infer
from torchfunc.graph.probing.results import Absent, OtherFormError
from torchfunc.graph.refusals import no_value
from torchfunc.graph.spec import Number, Spec, whole_shape
from torchfunc.graph.spec import dtype_of as dtype_of
from torchfunc.graph.targets import Attribute as Attribute
from torchfunc.graph.targets import Method as Method
from torchfunc.graph.targets import name_of as name_of
from torchfunc.graph.targets import size as size
from torchfunc.graph.targets import snake_case as snake_case
from torchfunc.graph.targets import stated_keywords, target_of
from torchfunc.tree import leaves, map_leaves, map_with_path
from torchfunc.tree.branches import Path

_births = itertools.count()


class Node:
    """One call: a target, and the arguments that it was called on.

    A node is a call and not a layer: a layer called twice makes two nodes, which is how weights are
    shared. A node is made after its inputs exist, so no cycle can form, and sorting nodes by `birth`
    is a topological sort. It knows the specs of what it returns, and the symbols that stand for these
    know it: so a node lives as long as something made from it, and not longer. Once somebody asked, it
    knows the call at or before it where a mask ended.
    """

    __slots__ = (
        "__weakref__", "args", "birth", "is_mask_end_known", "kwargs", "mask_end", "masks", "name", "specs", "target",
    )  # fmt: skip

    def __init__(
        self, target: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, name: str = ""
    ) -> None:
        self.target = target
        self.args = args
        self.kwargs = kwargs or {}
        self.name = name or name_of(target)
        self.birth = next(_births)
        self.specs: Any = None
        self.masks: dict[Path, Any] = {}
        self.mask_end: weakref.ref[Node] | None = None
        self.is_mask_end_known = False

    def inputs(self) -> Iterator[Any]:
        """The symbols among the arguments, in order."""
        found = leaves((self.args, self.kwargs) if self.kwargs else self.args)
        return (leaf for leaf in found if isinstance(leaf, SYMBOLS))

    def returns(self, specs: Any) -> Any:
        """Give the node the specs of what it returns, and return the symbols for them."""
        self.specs = specs
        return self.outputs

    @property
    def outputs(self) -> Any:
        """What the call returns, with a symbol for each tensor and each live number."""
        if type(self.specs) is Spec:
            return SymbolicTensor(self, (), self.specs)
        return map_with_path(self._symbol, self.specs)

    def _symbol(self, path: Path, spec: Any) -> Any:
        if isinstance(spec, Spec):
            return SymbolicTensor(self, path, spec)
        return Dimension.of(self, path, spec) if isinstance(spec, Number) else spec

    def __repr__(self) -> str:
        return f"<Node {self.name}>"


def record(
    target: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, *, name: str = ""
) -> Any:
    """Call `target` symbolically: work out what it returns, and remember the call.

    Returns:
        What the call would return, with a SymbolicTensor for each tensor.

    Raises:
        GraphError: the call cannot be made; ShapeError and DTypeError where that is why.
    """
    args, kwargs = map_leaves(_constant, args), map_leaves(_constant, kwargs or {})
    node = Node(target, args, kwargs, name)
    for leaf in leaves((args, kwargs)):
        if isinstance(leaf, Tensor) and not isinstance(leaf, Dimension) and leaf.grad_fn is not None:
            raise blame.computed_once(node, leaf)
    try:
        specs = infer(target, map_leaves(_spec, args), map_leaves(_spec, kwargs))
    except TorchfuncError:
        raise
    except OtherFormError as error:
        raise blame.without_one_form(node, error) from None
    except Exception as error:
        raise blame.dressed(node, error) from error
    return node.returns(specs)


def record_stated(
    target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], shape_of: Callable[..., Any], dtype: Any
) -> Any:
    """As `record`, for a call on one tensor whose result's shape is stated: `shape_of(shape) -> shape`."""
    node = Node(target, args, kwargs)
    first: Spec = args[0].spec if type(args[0]) is SymbolicTensor else next(node.inputs()).spec
    shapes = [tuple(shape_of(shape)) for shape in first.worlds[:2]]
    shapes += [shape for shape in _stated(shape_of, first.worlds[2:]) if len(shape) == len(shapes[0])]
    return node.returns(_alike(dtype or first.dtype, tuple(shapes)))


@lru_cache(maxsize=1024)
def _alike(dtype: torch.dtype, worlds: tuple[tuple[int, ...], ...]) -> Spec:
    """A spec: one object for all calls that return the same."""
    return Spec(dtype, worlds)


def _stated(shape_of: Callable[..., Any], last_world: tuple[Any, ...]) -> list[tuple[int, ...]]:
    """The stated shape in the last world, where a layer may not fit."""
    try:
        found = [tuple(shape_of(shape)) for shape in last_world]
    except Exception:
        return []
    return [shape for shape in found if all(each >= 0 for each in shape)]


def _spec(leaf: Any) -> Any:
    return leaf.spec if isinstance(leaf, SYMBOLS) else leaf


def _constant(leaf: Any) -> Any:
    """An argument as it is recorded: an array becomes a tensor, a lone NumPy number a Python one."""
    if isinstance(leaf, Absent):
        raise GraphError(
            explain(
                "An argument",
                got=f"the {leaf.kind} that another call returned",
                expected="tensors, numbers and strings",
                why="a graph carries nothing else from call to call",
                fix="make both calls inside one Layer",
            )
        )
    if isinstance(leaf, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(leaf)).clone()
    return leaf.item() if isinstance(leaf, np.generic) else leaf


class SymbolicTensor(refusals.WithoutValues):
    """A tensor that is not computed yet: its shape, its dtype, and the call that will make it.

    Every operator, every method of `torch.Tensor` and every function of `torch` works on it and is
    recorded. What would need a value (`if x:`, `float(x)`, `for row in x`) is refused.

    Args:
        node: the call that makes it.
        path: where among what the call returns: () for the whole, (0,) for the first of several.
        spec: its shape and dtype; `Input` and calls give it.

    Example:
        >>> x = tf.Input((3,))
        >>> y = torch.relu(x) + 1
        >>> y.shape, y.dtype, tf.Model(x, y)(torch.tensor([[-1.0, 0.0, 2.0]]))
        ((None, 3), torch.float32, tensor([[1., 1., 3.]]))
    """

    __slots__ = {
        "__weakref__": "",
        "node": """The call that makes it.

        Example:
            >>> layers.Dense(2, name="head")(Input((3,))).node.name
            'head'
        """,
        "path": """Where it stands among what the call returns: () where it is the whole.

        Example:
            >>> torch.max(Input((3,)), dim=1).indices.path
            (1,)
        """,
        "spec": """Its shape and dtype as data.

        Example:
            >>> Input((3,)).spec.shape
            (None, 3)
        """,
    }

    __array_ufunc__ = None  # NumPy leaves `array + symbol` to the symbol

    def __init__(self, node: Node, path: Path, spec: Spec) -> None:
        self.node = node
        self.path = path
        self.spec = spec

    @property
    def key(self) -> tuple[int, Path]:
        """What it is: two symbols with one key stand for the same value.

        Example:
            >>> x = tf.Input((3,))
            >>> first, second = torch.relu(x), torch.relu(x)  # two calls
            >>> first.key == second.key
            False
        """
        return id(self.node), self.path

    @property
    def name(self) -> str:
        """The name of the call that makes it: of an Input its own, of a layer's output the layer's.

        Example:
            >>> tf.Input((3,), name="age").name, tf.layers.Dense(2, name="head")(tf.Input((3,))).name
            ('age', 'head')
        """
        return self.node.name

    @property
    def dtype(self) -> torch.dtype:
        """The `torch.dtype` that its values will have.

        Example:
            >>> (tf.Input((3,)) > 0).dtype
            torch.bool
        """
        return self.spec.dtype

    @property
    def shape(self) -> tuple[Any, ...]:
        """A tuple of its lengths, with the batch.

        One that is unknown compares and prints as None; where it is used, the number is taken of each batch anew.

        Example:
            >>> x = tf.Input((None, 4))
            >>> x.shape, x.reshape(x.shape[0], x.shape[1] * 4).shape
            ((None, None, 4), (None, None))
            >>> tf.Model(x, x / x.shape[1])(torch.ones(1, 2, 4)).flatten()[0]
            tensor(0.5000)
        """
        known = self.spec.shape
        return tuple(self._dimension(dim) if size is None else size for dim, size in enumerate(known))

    def _dimension(self, dim: int) -> Any:
        return Node(size, (self, dim)).returns(Number(tuple(shape[dim] for shape in self.spec.worlds)))

    @property
    def ndim(self) -> int:
        """How many dimensions it has, with the batch.

        Example:
            >>> tf.Input((3, 4)).ndim
            3
        """
        return len(self.spec.worlds[0])

    @property
    def mask(self) -> Any:
        """The symbolic mask that belongs to it, True where a step counts; None where there is none. It may be set.

        Example:
            >>> x = tf.layers.Embedding(10, 4, mask_zero=True)(tf.Input((5,), dtype="int64"))
            >>> x.mask.shape, x.mask.dtype, tf.Input((5,)).mask
            ((None, 5), torch.bool, None)
        """
        return self.node.masks.get(self.path)

    @mask.setter
    def mask(self, mask: Any) -> None:
        self.node.masks[self.path] = mask

    @property
    def itemsize(self) -> int:
        """How many bytes an element takes.

        Example:
            >>> Input((3,)).itemsize
            4
        """
        return self.dtype.itemsize

    @property
    def layout(self) -> torch.layout:
        """`torch.strided`: no symbol stands for a sparse tensor.

        Example:
            >>> Input((3,)).layout
            torch.strided
        """
        return torch.strided

    @property
    def is_sparse(self) -> bool:
        """False: a symbol stands for a dense tensor of plain numbers.

        Example:
            >>> x = Input((3,))
            >>> x.is_sparse, x.is_quantized, x.is_nested, x.is_mkldnn
            (False, False, False, False)
        """
        return False

    is_quantized = is_nested = is_mkldnn = is_sparse

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its length along a dimension.

        Args:
            dim: a dimension, from 0, or from -1 backwards; None for all.

        Returns:
            A tuple, or a number, which is symbolic where it is unknown.

        Example:
            >>> tf.Input((3, 4)).size(), tf.Input((3, 4)).size(-1)
            ((None, 3, 4), 4)
        """
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """How many dimensions it has.

        Returns:
            A number, known while the graph is drawn.

        Example:
            >>> tf.Input((3, 4)).dim()
            3
        """
        return self.ndim

    ndimension = dim

    def element_size(self) -> int:
        """How many bytes an element takes.

        Returns:
            A number of bytes.

        Example:
            >>> tf.Input((3,), dtype="float64").element_size()
            8
        """
        return self.dtype.itemsize

    def is_floating_point(self) -> bool:
        """Whether its numbers are floats.

        Returns:
            True or False.

        Example:
            >>> tf.Input((3,)).is_floating_point(), tf.Input((3,), dtype="int64").is_floating_point()
            (True, False)
        """
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether its numbers are complex.

        Returns:
            True or False.

        Example:
            >>> tf.Input((3,)).is_complex(), torch.fft.fft(tf.Input((3,))).is_complex()
            (False, True)
        """
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether its numbers may be negative.

        Returns:
            True or False.

        Example:
            >>> tf.Input((3,)).is_signed(), tf.Input((3,), dtype="uint8").is_signed()
            (True, False)
        """
        return self.dtype.is_signed

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(Tensor, name):
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
            )
        if name == "data":
            return record(Method("detach"), (self,))
        if name in ATTRIBUTES:
            return record(Attribute(name), (self,))
        if not callable(getattr(Tensor, name)):
            raise refusals.no_attribute(self, name)
        method = Method(name)
        return refusals.refusing(self, name) or (
            lambda *args, **kwargs: record(method, (self, *args), kwargs)
        )

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _handed_over(func, args, kwargs or {})

    def __getitem__(self, key: Any) -> Any:
        return record(operator.getitem, (self, key))

    def __len__(self) -> int:
        return self._known_length("`len(x)`")

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self._known_length("a loop over it")))

    def _known_length(self, what: str) -> int:
        if not self.ndim:
            raise GraphError(f"{self!r} has no dimensions, so {what} has no meaning.")
        length = self.spec.shape[0]
        if length is None:
            raise GraphError(
                no_value(self, what, "write it inside a Layer, or give Input a batch_size", "length")
            )
        return length

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<SymbolicTensor {self.node.name} {self.spec}>"

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *(name for name in dir(Tensor) if not name.startswith("_"))})

    def __copy__(self) -> SymbolicTensor:
        return self

    def __deepcopy__(self, memo: Any) -> SymbolicTensor:
        return self


class Dimension(Tensor):
    """An unknown dimension, live where it is used: a number that each batch brings.

    It prints and compares as None, counts (`n // 2`), and stands wherever a size may stand. It is a
    subclass of Tensor only so that `torch.zeros(x.shape[0], 4)` is recorded: PyTorch asks no other
    class there.
    """

    node: Node
    path: Path
    spec: Number

    __array_ufunc__ = None

    @staticmethod
    def of(node: Node, path: Path, spec: Number) -> Dimension:
        """The number that a call returns at `path`."""
        dtype = torch.int64 if isinstance(spec.worlds[0], int) else torch.float64
        with torch._C.DisableTorchFunction():
            self: Dimension = Tensor._make_subclass(Dimension, torch.empty((), dtype=dtype, device="meta"))
        self.node, self.path, self.spec = node, path, spec
        return self

    @property
    def key(self) -> tuple[int, Path]:
        return id(self.node), self.path

    @property
    def name(self) -> str:
        return self.node.name

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") == "__get__":
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        return _handed_over(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        raise GraphError(
            "PyTorch reads this argument at once, and an unknown dimension has no value while the graph is "
            "being built. Fix: record the call by hand, as in `torchfunc.call(torch.arange, x.shape[1])`."
        )

    def __eq__(self, other: Any) -> Any:
        return other is None or isinstance(other, Dimension)

    def __ne__(self, other: Any) -> Any:
        return not self == other

    def __hash__(self) -> int:
        return hash(None)

    def __index__(self) -> int:
        raise GraphError(
            "An unknown dimension has no value while the graph is being built. Fix: use it as a size "
            "(`x.view(n, -1)`), give Input that dimension, or write the code inside a Layer."
        )

    def __float__(self) -> float:
        raise GraphError(
            "An unknown dimension has no value while the graph is being built. Fix: count with it as it is "
            "(`n ** 0.5`, `torch.sym_float(n)`), give Input that dimension, or write the code inside a Layer."
        )

    def _rounded(self, *args: Any) -> Any:
        raise GraphError(
            "An unknown dimension has no value while the graph is being built, and Python rounds only numbers. "
            "Fix: divide whole numbers (`n // 2`, and `-(-n // 2)` to round up), or `torch.sym_int(n / 2)`."
        )

    def _compared(self, other: Any) -> Any:
        raise GraphError(
            "An unknown dimension cannot be compared while the graph is being built: the answer would be "
            "the same for every batch. Fix: `torch.sym_max(n, 1)` or `torch.sym_min(n, 1)` for the larger or "
            "smaller of two, give Input that dimension, or write the branch inside a Layer."
        )

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    __int__ = __bool__ = __len__ = __complex__ = __index__  # type: ignore[assignment]
    __round__ = __floor__ = __ceil__ = __trunc__ = _rounded
    __lt__ = __le__ = __gt__ = __ge__ = _compared

    def __repr__(self, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
        return "None"

    def __format__(self, spec: str) -> str:
        return format("None", spec)

    def __copy__(self) -> Dimension:
        return self

    def __deepcopy__(self, memo: Any) -> Dimension:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise GraphError(
            "An unknown dimension is part of a graph that is being built; save the Model instead."
        )


SYMBOLS = (SymbolicTensor, Dimension)
KerasTensor = SymbolicTensor  # as Keras calls it


def has_symbol(*trees: Any) -> bool:
    """Whether anything in the nested arguments is symbolic."""
    return any(isinstance(leaf, SYMBOLS) for leaf in leaves(trees))


def _handed_over(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a function that PyTorch hands over, in the form that leaves its arguments as they are."""
    if kwargs.get("out") is not None:
        raise GraphError(refusals.in_place("`out=...`", getattr(func, "__name__", "")))
    if kwargs.get("inplace"):
        kwargs = {**kwargs, "inplace": False}
    target = target_of(func)
    if isinstance(target, Method) and len(args) == 2 and not kwargs:
        target = _SIGNS.get(target.name, target)  # what `real * symbol` arrives as
    return record(target, args, stated_keywords(func, kwargs))


_SIGNS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "matmul": operator.matmul,
}


before_input: list[Callable[[], None]] = []  # what has to happen before the first symbol exists


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: torch.dtype | str | None = None,
    name: str | None = None,
    *,
    batch_shape: Sequence[int | None] | None = None,
    optional: bool = False,
) -> SymbolicTensor:
    """The place where data enters a graph.

    Args:
        shape: the shape of one sample; None is a dimension that may differ from batch to batch.
        batch_size: the number of samples in a batch where that is fixed.
        dtype: a `torch.dtype` or its name; PyTorch's default, float32, if None.
        name: what the data are called: a parameter of the model's forward, a key in `fit({...})`.
        batch_shape: the whole shape, with the batch; instead of `shape` and `batch_size`.
        optional: whether the model may be called with None for it, which its layers are given then.

    Returns:
        A symbolic tensor of that shape, with the batch first, and dtype.

    Raises:
        GraphError: a shape that is none.
        DTypeError: an unknown dtype.

    Example:
        >>> tf.Input((28, 28), name="image").shape, tf.Input((None,), dtype="int64").dtype
        ((None, 28, 28), torch.int64)
    """
    if name is not None and (not isinstance(name, str) or not name):
        raise GraphError(explain("Input", got=f"name={name!r}", expected="a non-empty string"))
    spec = Spec.of(whole_shape(shape, batch_size, batch_shape), dtype_of(dtype))
    spec = replace(spec, optional=True) if optional else spec
    return placeholder(spec, name or "input", given=name is not None)


def placeholder(spec: Spec, name: str, *, given: bool = True) -> SymbolicTensor:
    """An Input of this spec; `given` is whether somebody chose its name."""
    for each in before_input:
        each()
    found: SymbolicTensor = Node(None, (), {"given": given}, name).returns(spec)
    return found


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Record a call of any function as one node of the graph: `call(torch.arange, x.shape[1])`.

    For a function that would look at its arguments before PyTorch hands it over. It is called on real
    tensors when the model runs; without a symbol among the arguments it is called at once.

    Args:
        function: any callable that takes tensors.
        *args: its arguments; symbols may stand in nested lists, tuples and dicts.
        **kwargs: its arguments by name, likewise.

    Returns:
        What the function returns, as symbols if there is a symbol among the arguments.

    Example:
        >>> def clip_norm(x, largest):
        ...     norm = float(x.norm())  # which a symbol has not
        ...     return x * min(1.0, largest / norm) if norm else x
        >>> x = Input((3,))
        >>> clipping = Model(x, call(clip_norm, x, 1.0))
        >>> clipping(torch.tensor([[0.0, 3.0, 4.0]]))
        tensor([[0.0000, 0.6000, 0.8000]])
    """
    return record(function, args, kwargs) if has_symbol(args, kwargs) else function(*args, **kwargs)


def _forwards(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *others: record(function, (self, *others))


def _backwards(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: record(function, (other, self))


def _install_operators() -> None:
    """Give both kinds of symbol the operators of Python, and a tensor its comparisons."""
    for name in "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift".split():
        function, word = getattr(operator, name), name.strip("_")
        for kind in SYMBOLS:
            setattr(kind, f"__{word}__", _forwards(function))
            setattr(kind, f"__r{word}__", _backwards(function))
    for name in ("neg", "invert", "abs", "pos"):
        for kind in SYMBOLS:
            setattr(kind, f"__{name}__", _forwards(getattr(operator, name)))
    SymbolicTensor.__abs__ = _forwards(torch.abs)  # type: ignore[attr-defined]
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(SymbolicTensor, f"__{name}__", _forwards(getattr(operator, name)))


_install_operators()
