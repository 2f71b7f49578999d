"""Settings of a process, by Keras's names: the usual dtype, the order of axes of images, epsilon, how much is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from torchfunc.errors import DTypeError, GraphError, TorchfuncError, explain, shorten

DataFormat = Literal["channels_last", "channels_first"]

_settings: dict[str, Any] = {
    "image_data_format": "channels_last",
    "epsilon": 1e-7,
    "dtype_policy": None,
    "is_interactive_logging_enabled": True,
    "is_traceback_filtering_enabled": True,
}


def floatx() -> str:
    """The usual floating dtype, which is PyTorch's: "float32" unless it was set.

    Returns:
        The name of `torch.get_default_dtype()`.

    Example:
        >>> tf.backend.floatx()
        'float32'
    """
    return str(torch.get_default_dtype()).removeprefix("torch.")


def set_floatx(value: str) -> None:
    """Set the usual floating dtype, of PyTorch too: "float16", "bfloat16", "float32" or "float64".

    Args:
        value: the name of a dtype.

    Raises:
        DTypeError: another one.

    Example:
        >>> tf.backend.set_floatx("float64")
        >>> tf.layers.Dense(2)(tf.Input((3,))).dtype, torch.zeros(1).dtype
        (torch.float64, torch.float64)
        >>> tf.backend.set_floatx("float32")
    """
    if value not in ("float16", "bfloat16", "float32", "float64"):
        expected = "'float16', 'bfloat16', 'float32' or 'float64'"
        raise DTypeError(explain("set_floatx", got=repr(value), expected=expected))
    torch.set_default_dtype(getattr(torch, value))
    _settings["dtype_policy"] = None


def epsilon() -> float:
    """What losses, metrics and constraints add to a divisor, or hold logarithms off zero by: 1e-7 unless set.

    Returns:
        A small number.

    Example:
        >>> tf.backend.epsilon()
        1e-07
    """
    number: float = _settings["epsilon"]
    return number


def set_epsilon(value: float) -> None:
    """Set `epsilon`.

    Args:
        value: a number of at least 0.

    Raises:
        TorchfuncError: no number, or one below 0.

    Example:
        >>> tf.backend.set_epsilon(1e-5)
        >>> tf.backend.epsilon()
        1e-05
        >>> tf.backend.set_epsilon(1e-7)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise TorchfuncError(explain("set_epsilon", got=repr(value), expected="a number of at least 0"))
    _settings["epsilon"] = float(value)


def image_data_format() -> DataFormat:
    """The order of axes where a layer is not told: "channels_last" unless it was set.

    Returns:
        "channels_last", (batch, height, width, channels), or "channels_first", (batch, channels, height, width).

    Example:
        >>> tf.backend.image_data_format()
        'channels_last'
    """
    chosen: DataFormat = _settings["image_data_format"]
    return chosen


def set_image_data_format(data_format: DataFormat) -> None:
    """Set the order of axes that layers made from now on have where they are not told.

    Args:
        data_format: "channels_last" or "channels_first".

    Raises:
        GraphError: another order.

    Example:
        >>> tf.backend.set_image_data_format("channels_first")
        >>> tf.layers.Conv2D(4, 3)(tf.Input((3, 8, 8))).shape
        (None, 4, 6, 6)
        >>> tf.backend.set_image_data_format("channels_last")
    """
    chosen = data_format.lower() if isinstance(data_format, str) else data_format
    if chosen not in ("channels_last", "channels_first"):
        expected, got = "'channels_last' or 'channels_first'", f"data_format={data_format!r}"
        raise GraphError(explain("set_image_data_format", got=got, expected=expected))
    _settings["image_data_format"] = chosen


def chosen_policy() -> Any:
    """The global dtype policy, if one was set."""
    return _settings["dtype_policy"]


def choose_policy(policy: Any) -> None:
    """Keep a global dtype policy; see `dtype_policies`."""
    _settings["dtype_policy"] = policy


def backend() -> str:
    """Which library does the mathematics: "torch".

    Returns:
        "torch", whatever the variable KERAS_BACKEND says.

    Example:
        >>> tf.backend.backend()
        'torch'
    """
    return "torch"


def enable_interactive_logging() -> None:
    """Have progress shown as a bar where nothing else is said.

    Example:
        >>> utils.enable_interactive_logging()
        >>> utils.is_interactive_logging_enabled()
        True
    """
    _settings["is_interactive_logging_enabled"] = True


def disable_interactive_logging() -> None:
    """Have progress shown as a line an epoch where nothing else is said.

    Example:
        >>> utils.disable_interactive_logging()
        >>> utils.is_interactive_logging_enabled()
        False
        >>> utils.enable_interactive_logging()
    """
    _settings["is_interactive_logging_enabled"] = False


def is_interactive_logging_enabled() -> bool:
    """Whether progress is shown as a bar where nothing else is said.

    Returns:
        True unless `disable_interactive_logging` was called.

    Example:
        >>> utils.is_interactive_logging_enabled()
        True
    """
    return bool(_settings["is_interactive_logging_enabled"])


def enable_traceback_filtering() -> None:
    """Taken as in Keras; tracebacks here are whole, with or without it."""
    _settings["is_traceback_filtering_enabled"] = True


def disable_traceback_filtering() -> None:
    """Taken as in Keras; tracebacks here are whole, with or without it."""
    _settings["is_traceback_filtering_enabled"] = False


def is_traceback_filtering_enabled() -> bool:
    """What was asked for last; tracebacks here are whole, with or without it."""
    return bool(_settings["is_traceback_filtering_enabled"])


def compute_dtype(dtype: Any) -> str | None:
    """The dtype that is computed in, by its name, of a dtype, its name, a policy or the config of one; None stays None.

    Raises:
        DTypeError: something that is none of these.
    """
    if isinstance(dtype, Mapping):
        held = dtype.get("config")
        dtype = held.get("name") if isinstance(held, Mapping) else dtype
    name = getattr(dtype, "compute_dtype", dtype)
    name = str(name).removeprefix("torch.").removeprefix("mixed_") if dtype is not None else None
    if name is not None and not isinstance(getattr(torch, name, None), torch.dtype):
        raise DTypeError(
            explain(
                "dtype", got=shorten(dtype), expected="the name of a dtype such as 'float32', or a policy"
            )
        )
    return name
