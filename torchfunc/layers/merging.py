"""Layers that make one tensor of several: sums, products, extremes, joined and multiplied ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import GraphError, explain, shorten
from torchfunc.graph.symbolic import SymbolicTensor
from torchfunc.layers.layer import Common, Layer

Shape = tuple[int | None, ...]


def _listed(layer: Layer, shapes: Any, at_least: int = 1, at_most: int | None = None) -> list[Shape]:
    """The shapes of the tensors that a layer was called on.

    Raises:
        ShapeError: it was called on one tensor, or on too few or too many.
    """
    expected = "a list of tensors" if at_most is None else f"a list of {at_most} tensors"
    if not isinstance(shapes, (list, tuple)) or not shapes or not isinstance(shapes[0], (list, tuple)):
        raise layer.wrong(shapes, expected, fix=f"{type(layer).__name__}()([a, b])")
    if len(shapes) < at_least or (at_most is not None and len(shapes) > at_most):
        raise layer.wrong(_written(shapes), expected)
    return [tuple(shape) for shape in shapes]


def _several(layer: Layer, inputs: Any) -> None:
    """Check that a layer is called on a list, for the rows of one tensor could be taken for it.

    Raises:
        ShapeError: it was called on one tensor, or on none.
    """
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise layer.wrong(
            tuple(getattr(inputs, "shape", inputs)),
            "a list of tensors",
            fix=f"{type(layer).__name__}()([a, b])",
        )


def _written(shapes: Sequence[Any]) -> str:
    return ", ".join(map(str, shapes))


class _Merge(Layer):
    """A layer that is called on a list of tensors, and works element by element.

    Tensors of fewer dimensions get dimensions of length 1 behind the batch, and what has length 1 is
    repeated to fit the others.
    """

    supports_masking: bool = True
    _makes_mask = _uses_up_mask = False
    tensors: ClassVar[int | None] = None

    def check_input(self, *shapes: Any) -> None:
        listed = _listed(self, shapes[0], self.tensors or 1, self.tensors)
        rank = max(map(len, listed))
        aligned = [(*shape[:1], *(1,) * (rank - len(shape)), *shape[1:]) for shape in listed]
        for axis in range(rank):
            sizes = {each for each in (shape[axis] for shape in aligned) if each is not None} - (
                {1} if axis else set()
            )
            if len(sizes) > 1:
                raise self.wrong(
                    _written(listed),
                    "shapes that are equal, or 1 where they differ",
                    why=f"on dimension {axis} the inputs have {' and '.join(map(str, sorted(sizes)))}",
                    fix="a Dense or Conv of equal width before it, or Concatenate",
                )

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def _states_output(self, args: tuple[Any, ...]) -> bool:
        """Where all are floats of one shape and dtype, so is the output."""
        first, *others = (each.spec if isinstance(each, SymbolicTensor) else None for each in args[0])
        alone = len(args) == 1 and first is not None and first.dtype.is_floating_point
        return alone and all(each == first for each in others)

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        """One tensor of several that have equal numbers of dimensions."""
        raise NotImplementedError(f"{type(self).__name__} must say how it merges.")

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        _several(self, inputs)
        rank = inputs[0].ndim
        for each in inputs:
            if each.ndim != rank:
                return self.merge(_aligned(inputs))
        return self.merge(inputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """A step counts where any of the inputs counts it; none is masked where one input has no mask."""
        if not isinstance(mask, (list, tuple)) or any(each is None for each in mask):
            return None
        return reduce(torch.logical_or, mask)


class _MaskedMerge(_Merge):
    """A merging layer for which what is masked in one input leaves the others as they are, as in Keras."""

    _wants_mask = False

    def merge_masked(self, inputs: Sequence[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
        """As `merge`; a mask has as many dimensions as its input, or is None."""
        raise NotImplementedError(f"{type(self).__name__} must say how it merges.")

    def forward(self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None) -> Tensor:
        _several(self, inputs)
        if mask is None:
            return super().forward(inputs)
        rank = max(each.ndim for each in inputs)
        # Keras forgets the mask of a tensor that it gives more dimensions
        kept = [None if x.ndim < rank else each for x, each in zip(inputs, mask, strict=True)]
        aligned = _aligned(inputs)
        return self.merge_masked(aligned, [_widened(*pair) for pair in zip(kept, aligned, strict=True)])


def _widened(mask: Tensor | None, x: Tensor) -> Tensor | None:
    return mask if mask is None else mask.bool().view(*mask.shape, *(1,) * (x.ndim - mask.ndim))


def _extreme(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], masks: Sequence[Tensor | None]
) -> Tensor:
    """The extremes of what is not masked: the source is `_apply_merge_op_and_or_mask` in Keras."""
    output, kept = inputs[0], masks[0]
    for x, mask in zip(inputs[1:], masks[1:], strict=True):
        x = x if mask is None else torch.where(mask, x, output)
        output = output if kept is None else torch.where(kept, output, x)
        kept = None if mask is None or kept is None else mask | kept
        output = function(output, x)
    return output


def _aligned(inputs: Sequence[Tensor]) -> list[Tensor]:
    """The tensors with dimensions of length 1 behind the batch, so that all have as many."""
    rank = max(each.ndim for each in inputs)
    return [each.reshape(each.shape[0], *(1,) * (rank - each.ndim), *each.shape[1:]) for each in inputs]


@registry.layers.register()
class Add(_Merge):
    """The sum of a list of tensors, element by element.

    Args:
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Add()([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])])
        tensor([4., 6.])
    """

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return sum(inputs[1:], start=inputs[0])


@registry.layers.register()
class Subtract(_Merge):
    """The first of two tensors less the second, element by element.

    Args:
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Subtract()([torch.tensor([3.0, 4.0]), torch.tensor([1.0, 1.0])])
        tensor([2., 3.])
    """

    tensors = 2

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return inputs[0] - inputs[1]


@registry.layers.register()
class Multiply(_MaskedMerge):
    """The product of a list of tensors, element by element.

    A masked step counts as 1; where every input is masked, the product is 0.

    Args:
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Multiply()([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])])
        tensor([3., 8.])
    """

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(torch.mul, inputs)

    def merge_masked(self, inputs: Sequence[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
        pairs = zip(inputs, masks, strict=True)
        product = self.merge([x if mask is None else torch.where(mask, x, 1) for x, mask in pairs])
        known = [mask for mask in masks if mask is not None]
        return (
            product if len(known) < len(masks) else torch.where(reduce(torch.logical_or, known), product, 0)
        )


@registry.layers.register()
class Average(_Merge):
    """The mean of a list of tensors, element by element.

    Args:
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Average()([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])])
        tensor([2., 3.])
    """

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return sum(inputs[1:], start=inputs[0]) / len(inputs)


@registry.layers.register()
class Maximum(_MaskedMerge):
    """The largest of a list of tensors, element by element, without what is masked.

    Args:
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Maximum()([torch.tensor([1.0, 4.0]), torch.tensor([3.0, 2.0])])
        tensor([3., 4.])
    """

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(torch.maximum, inputs)

    def merge_masked(self, inputs: Sequence[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
        return _extreme(torch.maximum, inputs, masks)


@registry.layers.register()
class Minimum(_MaskedMerge):
    """The smallest of a list of tensors, element by element, without what is masked.

    Args:
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Minimum()([torch.tensor([1.0, 4.0]), torch.tensor([3.0, 2.0])])
        tensor([1., 2.])
    """

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(torch.minimum, inputs)

    def merge_masked(self, inputs: Sequence[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
        return _extreme(torch.minimum, inputs, masks)


@registry.layers.register()
class Concatenate(Layer):
    """A list of tensors joined along one dimension; the others must be equal.

    Args:
        axis: the dimension along which they are joined.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Concatenate()([torch.ones(2, 3), torch.ones(2, 4)]).shape
        torch.Size([2, 7])
    """

    _makes_mask = _uses_up_mask = False

    def __init__(self, axis: int = -1, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.axis = axis

    def check_input(self, *shapes: Any) -> None:
        listed = _listed(self, shapes[0])
        rank = len(listed[0])
        if any(len(shape) != rank for shape in listed) or not -rank <= self.axis < rank:
            raise self.wrong(
                _written(listed), f"tensors of equal numbers of dimensions that have axis {self.axis}"
            )
        for axis in range(rank):
            sizes = {shape[axis] for shape in listed if shape[axis] is not None}
            if axis != self.axis % rank and len(sizes) > 1:
                raise self.wrong(
                    _written(listed),
                    f"equal shapes but for axis {self.axis}",
                    why=f"the inputs differ on dimension {axis}: {' and '.join(map(str, sorted(sizes)))}",  # type: ignore[type-var]
                    fix=f"Concatenate(axis={axis}), or layers before it that make these equal",
                )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        _several(self, inputs)
        return torch.cat(tuple(inputs), self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The masks joined, true where an input has none; along the features, where any counts the step."""
        if not isinstance(mask, (list, tuple)) or all(each is None for each in mask):
            return None
        whole = [_spread(x, each) for x, each in zip(inputs, mask, strict=True)]
        return torch.cat(whole, self.axis).any(-1)


def _spread(x: Any, mask: Any) -> Any:
    """A mask with one value for each element of `x`."""
    if mask is None:
        return torch.ones_like(x, dtype=torch.bool)
    return mask.unsqueeze(-1) | torch.zeros_like(x, dtype=torch.bool) if mask.ndim < x.ndim else mask


@registry.layers.register()
class Dot(Layer):
    """The products of the vectors of two tensors along one axis each, sample by sample.

    Shapes: the axes that are multiplied and the second batch disappear: (batch, a, n) and (batch, n, b)
    with axes=(2, 1) give (batch, a, b); (batch, n) and (batch, n) give (batch, 1).

    Args:
        axes: the axis of both, or one for each; not 0, the batch.
        normalize: whether vectors are brought to length 1 first: their cosine is what is left.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: axes that are neither an integer nor two.

    Example:
        >>> layers.Dot(axes=1)([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])])
        tensor([[11.]])
        >>> layers.Dot(axes=1, normalize=True)([torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 2.0]])])  # cos 45°
        tensor([[0.7071]])
    """

    _makes_mask = _uses_up_mask = False

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        pair = (axes, axes) if isinstance(axes, int) else axes
        if (
            not isinstance(pair, (list, tuple))
            or len(pair) != 2
            or not all(isinstance(each, int) and each != 0 for each in pair)
        ):
            raise GraphError(
                explain(
                    "Dot",
                    got=f"axes={shorten(axes)}",
                    expected="an integer or two of them, none of them 0 (the batch)",
                )
            )
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize
        self._axes = tuple(pair)

    def check_input(self, *shapes: Any) -> None:
        first, second = _listed(self, shapes[0], 2, 2)
        for shape, axis in ((first, self._axes[0]), (second, self._axes[1])):
            if len(shape) < 2 or not -len(shape) < axis < len(shape):
                raise self.wrong(
                    _written((first, second)), f"tensors of 2 dimensions or more that have axis {axis}"
                )
        sizes = first[self._axes[0]], second[self._axes[1]]
        if None not in sizes and sizes[0] != sizes[1]:
            raise self.wrong(
                _written((first, second)),
                f"equal lengths along axes={self.axes}",
                why=f"they are {sizes[0]} and {sizes[1]}",
                fix="other axes",
            )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        _several(self, inputs)
        first, second = inputs
        if first.dtype is not second.dtype:
            kind = torch.promote_types(first.dtype, second.dtype)
            first, second = first.to(kind), second.to(kind)
        if self.normalize:
            first, second = (
                F.normalize(x, dim=axis, eps=1e-6)
                for x, axis in zip((first, second), self._axes, strict=True)
            )
        left = first.movedim(self._axes[0], -1)
        right = second.movedim(self._axes[1], 1)
        product = torch.matmul(
            left.flatten(1, -2) if left.ndim > 2 else left.unsqueeze(1),
            right.flatten(2) if right.ndim > 2 else right.unsqueeze(2),
        )
        shape = (*left.shape[:-1], *right.shape[2:])
        return product.reshape(shape if len(shape) > 1 else (*shape, 1))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None: what is multiplied belongs to no one step."""


def add(inputs: Sequence[Any], **common: Unpack[Common]) -> Any:
    """`Add()(inputs)`.

    Args:
        inputs: two or more tensors, symbolic or not.
        common: those of every Layer.

    Returns:
        A tensor.

    Example:
        >>> layers.add([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])])
        tensor([4., 6.])
    """
    return Add(**common)(inputs)


def subtract(inputs: Sequence[Any], **common: Unpack[Common]) -> Any:
    """`Subtract()(inputs)`.

    Args:
        inputs: two tensors, symbolic or not.
        common: those of every Layer.

    Returns:
        A tensor.

    Example:
        >>> layers.subtract([torch.tensor([3.0, 4.0]), torch.tensor([1.0, 1.0])])
        tensor([2., 3.])
    """
    return Subtract(**common)(inputs)


def multiply(inputs: Sequence[Any], **common: Unpack[Common]) -> Any:
    """`Multiply()(inputs)`.

    Args:
        inputs: two or more tensors, symbolic or not.
        common: those of every Layer.

    Returns:
        A tensor.

    Example:
        >>> layers.multiply([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])])
        tensor([3., 8.])
    """
    return Multiply(**common)(inputs)


def average(inputs: Sequence[Any], **common: Unpack[Common]) -> Any:
    """`Average()(inputs)`.

    Args:
        inputs: two or more tensors, symbolic or not.
        common: those of every Layer.

    Returns:
        A tensor.

    Example:
        >>> layers.average([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])])
        tensor([2., 3.])
    """
    return Average(**common)(inputs)


def maximum(inputs: Sequence[Any], **common: Unpack[Common]) -> Any:
    """`Maximum()(inputs)`.

    Args:
        inputs: two or more tensors, symbolic or not.
        common: those of every Layer.

    Returns:
        A tensor.

    Example:
        >>> layers.maximum([torch.tensor([1.0, 4.0]), torch.tensor([3.0, 2.0])])
        tensor([3., 4.])
    """
    return Maximum(**common)(inputs)


def minimum(inputs: Sequence[Any], **common: Unpack[Common]) -> Any:
    """`Minimum()(inputs)`.

    Args:
        inputs: two or more tensors, symbolic or not.
        common: those of every Layer.

    Returns:
        A tensor.

    Example:
        >>> layers.minimum([torch.tensor([1.0, 4.0]), torch.tensor([3.0, 2.0])])
        tensor([1., 2.])
    """
    return Minimum(**common)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **common: Unpack[Common]) -> Any:
    """`Concatenate(axis)(inputs)`.

    Args:
        inputs: two or more tensors, symbolic or not.
        axis: the dimension along which they are joined.
        common: those of every Layer.

    Returns:
        A tensor.

    Example:
        >>> layers.concatenate([torch.ones(2, 3), torch.ones(2, 4)]).shape
        torch.Size([2, 7])
    """
    return Concatenate(axis, **common)(inputs)


def dot(
    inputs: Sequence[Any], axes: int | Sequence[int] = -1, normalize: bool = False, **common: Unpack[Common]
) -> Any:
    """`Dot(axes, normalize)(inputs)`.

    Args:
        inputs: two tensors, symbolic or not.
        axes: the axis of both, or one for each; not 0, the batch.
        normalize: whether vectors are brought to length 1 first.
        common: those of every Layer.

    Returns:
        A tensor.

    Example:
        >>> layers.dot([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])], axes=1)
        tensor([[11.]])
    """
    return Dot(axes, normalize, **common)(inputs)
