"""LambdaCallback: a callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchfunc.callbacks.callback import EVENTS, Callback
from torchfunc.errors import UnknownNameError


class LambdaCallback(Callback):
    """Calls a function at each event for which one is given.

    ```python
    LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    ```

    Args:
        functions: by the names of the events; called with what a method of that name would be.

    Raises:
        UnknownNameError: an event that does not exist.
    """

    def __init__(self, **functions: Callable[..., Any] | None) -> None:
        for event, function in functions.items():
            if event not in EVENTS:
                raise UnknownNameError("callback event", event, EVENTS)
            if function is not None:
                setattr(self, event, function)
