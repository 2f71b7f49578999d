"""LambdaCallback: a callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from typing_extensions import Unpack

from torchfunc import signatures
from torchfunc.callbacks.callback import Callback
from torchfunc.errors import UnknownNameError

Function = Callable[..., Any] | None


class Events(TypedDict, total=False):
    """What happens in a run, and what is called then; see the methods of Callback."""

    on_train_begin: Function
    on_train_end: Function
    on_epoch_begin: Function
    on_epoch_end: Function
    on_batch_begin: Function
    on_batch_end: Function
    on_train_batch_begin: Function
    on_train_batch_end: Function
    on_test_begin: Function
    on_test_end: Function
    on_test_batch_begin: Function
    on_test_batch_end: Function
    on_predict_begin: Function
    on_predict_end: Function
    on_predict_batch_begin: Function
    on_predict_batch_end: Function


class LambdaCallback(Callback):
    """Calls a function at each event for which one is given.

    Args:
        **functions: `on_train_begin`, `on_train_end`, `on_epoch_begin`, `on_epoch_end`, `on_batch_begin`,
            `on_batch_end`, `on_train_batch_begin`, `on_train_batch_end`, `on_test_begin`, `on_test_end`,
            `on_test_batch_begin`, `on_test_batch_end`, `on_predict_begin`, `on_predict_end`,
            `on_predict_batch_begin`, `on_predict_batch_end`: a function, called with what the method of
            `Callback` of that name would be. What is not called "on_..." becomes a method of the callback
            that nothing calls.

    Raises:
        UnknownNameError: an event that does not exist.

    Example:
        >>> telling = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
        >>> callbacks.CallbackList(telling).on_epoch_end(3, {"loss": 0.5})
        3 0.5
    """

    __signature__ = signatures.WrittenOut()

    def __init__(self, **functions: Unpack[Events]) -> None:
        for event, function in functions.items():
            if event.startswith("on_") and event not in Events.__annotations__:
                raise UnknownNameError("callback event", event, Events.__annotations__)
            if function is not None:
                setattr(self, event, function)
