"""Remembered: what callbacks keep of a training, as data, and how those of the next `fit` take it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from torchfunc.callbacks import CallbackList
from torchfunc.errors import SavingError, explain, shorten
from torchfunc.fields import item, listed, record, refused, whole

_STRANGE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # which JSON does not have


def of_callbacks(events: CallbackList) -> dict[str, Any]:
    """What callbacks keep, and of which end of an epoch some of them have not heard yet.

    Raises:
        SavingError: a callback that keeps something that no file holds.
    """
    event, args, told = events.telling or ("", (), 0)
    at_end = event == "on_epoch_end"
    kept = []
    for place, each in enumerate(events.callbacks):
        state = each.state_dict() if hasattr(each, "state_dict") else {}
        if state:
            heard = not at_end or place <= told
            kept.append({"kind": type(each).__name__, "heard": heard, "state": _written(state, type(each))})
    ended = {"epoch": args[0], "logs": _written(dict(args[1] or {}), dict)} if at_end else None
    return {"kept": kept, "ended": ended}


def _written(value: Any, kind: type) -> Any:
    """A value as JSON holds it, but for tensors."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": next(name for name, each in _STRANGE.items() if str(each) == str(value))}
    if value is None or isinstance(value, (bool, int, float, str, Tensor)):
        return value
    if isinstance(value, (list, tuple)):
        return [_written(each, kind) for each in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _written(each, kind) for key, each in value.items()}
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a number of NumPy
        return _written(value.item(), kind)
    raise SavingError(
        explain(
            f"The callback {kind.__name__}",
            got=f"{shorten(value)} in its state_dict()",
            expected="numbers, texts, tensors, and lists and dicts of these",
        )
    )


def _read(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"float"}:
            return _STRANGE[value["float"]]
        return {key: _read(each) for key, each in value.items()}
    return [_read(each) for each in value] if isinstance(value, list) else value


def to_callbacks(state: Mapping[str, Any], events: CallbackList) -> None:
    """Have each callback take what one of its kind kept, and hear of the end of an epoch that it has not heard of.

    Raises:
        ConfigError: values of another kind.
    """
    seen: Counter[str] = Counter()
    kept: dict[tuple[str, int], Mapping[str, Any]] = {}
    for each in state["kept"]:
        kept[each["kind"], seen[each["kind"]]] = each
        seen[each["kind"]] += 1
    seen.clear()
    # one dict for all, for some of them add to it
    logs = None if state["ended"] is None else _read(state["ended"]["logs"])
    for callback in events.callbacks:
        kind = type(callback).__name__
        found = kept.get((kind, seen[kind]))
        seen[kind] += 1
        if found is None:
            continue
        callback.load_state_dict(_read(found["state"]))
        if not found["heard"] and logs is not None:
            callback.on_epoch_end(state["ended"]["epoch"], logs)


def check_callbacks(state: Any, place: str) -> None:
    """Refuse what `of_callbacks` does not give; of what kind each value has to be is for the callback to say.

    Raises:
        ConfigError: with the place of it.
    """
    record(state, place, ("kept", "ended"))
    for index, each in enumerate(listed(state["kept"], f"{place}.kept", 1000, "callbacks")):
        where = f"{place}.kept[{index}]"
        record(each, where, ("kind", "heard", "state"))
        if not isinstance(each["kind"], str) or len(each["kind"]) > 256:
            raise refused(f"{where}.kind", each["kind"], "the name of a class")
        if not isinstance(each["heard"], bool):
            raise refused(f"{where}.heard", each["heard"], "True or False")
        _check(each["state"], f"{where}.state")
    if state["ended"] is not None:
        record(state["ended"], f"{place}.ended", ("epoch", "logs"))
        whole(state["ended"]["epoch"], f"{place}.ended.epoch")
        _check(state["ended"]["logs"], f"{place}.ended.logs")


def _check(state: Any, place: str) -> None:
    if not isinstance(state, Mapping):
        raise refused(place, state, "an object")
    waiting: list[tuple[Any, str, int]] = [(state, place, 0)]
    for each, where, depth in waiting:
        if depth > 8 or len(waiting) > 10_000_000:
            raise refused(where, each, "less than is in it")
        if isinstance(each, Mapping) and "float" in each and depth:
            if set(each) != {"float"} or each["float"] not in _STRANGE:
                raise refused(where, each, "'nan', 'inf' or '-inf' as 'float'")
        elif isinstance(each, Mapping):
            waiting += [(one, item(where, key), depth + 1) for key, one in each.items()]
        elif isinstance(each, list):
            waiting += [(one, where, depth + 1) for one in each]
        elif not (each is None or isinstance(each, (bool, int, float, str, Tensor))):
            raise refused(where, each, "a number, a text or a tensor")
