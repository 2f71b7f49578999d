"""InputSpec: what a layer says of the inputs that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchfunc.errors import GraphError, explain


class InputSpec:
    """What the shape of an input must be, for `self.input_spec` of a Layer of yours.

    ```python
    self.input_spec = layers.InputSpec(min_ndim=2, axes={-1: 64})
    ```

    Args:
        dtype: of the input, for who reads it.
        shape: the whole shape with the batch, None where any size does.
        ndim: the number of dimensions.
        max_ndim, min_ndim: its bounds.
        axes: the size of some axes.
        allow_last_axis_squeeze: whether a last axis of size 1 may be missing from, or added to, `shape`.
        name: what the input is called.
        optional: whether it may be None.

    Raises:
        GraphError: axes that are no integers, or that such an input does not have.

    Example:
        >>> class Matrices(tf.Layer):
        ...     input_spec = tf.InputSpec(ndim=3, axes={-1: 4})
        ...     def call(self, x):
        ...         return x
        >>> Matrices()(tf.Input((None, 4))).shape
        (None, None, 4)
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype, self.name, self.optional = dtype, name, optional
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.axes = dict(axes or {})
        most = self.ndim or max_ndim
        wrong = [each for each in self.axes if not isinstance(each, int) or (most and each >= most)]
        if wrong:
            expected = "integers" if most is None else f"integers below {most}"
            raise GraphError(explain("InputSpec", got=f"the axis {wrong[0]!r}", expected=expected))

    def missed_by(self, shape: Any) -> str | None:
        """What was expected where a shape does not fit; None where it does."""
        if shape is None or not isinstance(shape, tuple):
            return None if self.optional or shape is not None else "an input"
        wanted = self.shape
        if wanted is not None and self.allow_last_axis_squeeze and len(shape) != len(wanted):
            wanted = wanted[:-1] if wanted[-1:] == (1,) else wanted
            shape = shape[:-1] if shape[-1:] == (1,) else shape
        ndim = self.ndim if wanted is None else len(wanted)
        if ndim is not None and len(shape) != ndim:
            return f"{ndim} dimensions"
        if self.max_ndim is not None and len(shape) > self.max_ndim:
            return f"at most {self.max_ndim} dimensions"
        if self.min_ndim is not None and len(shape) < self.min_ndim:
            return f"at least {self.min_ndim} dimensions"
        for axis, size in self.axes.items():
            if size is not None and -len(shape) <= axis < len(shape) and shape[axis] not in (size, None):
                return f"size {size} on axis {axis}"
        pairs = zip(shape, wanted or (), strict=False)
        return None if all(None in pair or pair[0] == pair[1] for pair in pairs) else f"shape {wanted}"

    def get_config(self) -> dict[str, Any]:
        """The arguments as plain data."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """What `get_config` described."""
        return cls(**config)
