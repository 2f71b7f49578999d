"""Schemas: what constructors take from a file, each argument by kind, length and size, before any of them runs.

The kinds are those that the constructors' own signatures state; what these leave open stands in the tables
below. What an argument makes a constructor repeat or list is paid for from a budget, in integers.
"""

from __future__ import annotations

import difflib
import inspect
import re
import types
from collections import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import numpy as np
import torch
from torch import Tensor, nn

from torchfunc import native
from torchfunc.errors import ConfigError, LimitError, explain, shorten
from torchfunc.signatures import hints_of

_SIZE = 2**40
_TEXT = 1024
_LEVELS = 100_000
_DEPTH = 100
_MODULES = 4096
# control characters, halves of surrogate pairs, and marks that turn the direction of a text
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = (type(None), bool, int, float, str, list, tuple, dict)


class Argument(NamedTuple):
    """What one argument may be: a test of plain values, and the words for it."""

    fits: Callable[[Any], bool]
    expected: str


_ANYTHING = Argument(lambda value: True, "anything")
_NOTHING = Argument(lambda value: value is None, "None")
# 0 and 1 are what older files and PyTorch hold for truth values
_TRUTH = Argument(lambda value: isinstance(value, (bool, int)) and value in (0, 1), "True or False")
_INTEGER = Argument(lambda value: type(value) is int and abs(value) < _SIZE, "an integer below 2**40")
_SEED = Argument(lambda value: type(value) is int and abs(value) < 2**64, "an integer below 2**64")
_NUMBER = Argument(
    lambda value: type(value) is float or (type(value) is int and abs(value) < 2**64), "a number"
)
_WORDS = Argument(
    lambda value: isinstance(value, str) and len(value) <= _TEXT and not _HIDDEN.search(value),
    f"a text of at most {_TEXT} printable characters",
)
_OBJECT = Argument(
    lambda value: isinstance(value, (str, Mapping)), "a name or a dict with 'class_name' and 'config'"
)
_MAPPING = Argument(lambda value: isinstance(value, Mapping), "a dict")
_HINTS = {
    type(None): _NOTHING, None: _NOTHING, bool: _TRUTH, int: _INTEGER, float: _NUMBER, str: _WORDS,
    dict: _MAPPING, abc.Callable: _OBJECT,
}  # fmt: skip


def _list_of(item: Argument) -> Argument:
    """A list of such items, of any length."""
    return Argument(
        lambda value: isinstance(value, (list, tuple)) and all(_fits(item, each) for each in value),
        f"a list (each {item.expected})",
    )


def _tuple_of(items: Sequence[Argument]) -> Argument:
    """A list of as many items as there are here, each of its kind."""
    kinds = list(dict.fromkeys(each.expected for each in items))
    return Argument(
        lambda value: (
            isinstance(value, (list, tuple)) and len(value) == len(items) and all(map(_fits, items, value))
        ),
        f"a list of {len(items)} (each {' or '.join(kinds)})",
    )


def _fits(argument: Argument, value: Any) -> bool:
    """Whether a value is taken; what no file can hold is the caller's own, and the constructor judges it."""
    value = value.item() if isinstance(value, np.generic) else value
    return type(value) not in _PLAIN or argument.fits(value)


def _one_of(choices: Iterable[Argument]) -> Argument:
    kept = list(dict.fromkeys(choices))
    tests = [each.fits for each in kept]
    return Argument(
        lambda value: any(fits(value) for fits in tests), " or ".join(each.expected for each in kept)
    )


_SIZES = _one_of((_INTEGER, _list_of(_INTEGER), _NOTHING))


def _is_array(value: Any) -> bool:
    return all(map(_is_array, value)) if isinstance(value, (list, tuple)) else _NUMBER.fits(value)


_ARRAY = Argument(_is_array, "a number or a list of such")
# a token of a vocabulary may hold any character: it is data, and names nothing
_TOKEN = Argument(
    lambda value: (
        value is None
        or (type(value) is int and abs(value) < 2**63)
        or (type(value) is str and len(value) <= 2**16)
    ),
    "a text or an integer",
)
_WINDOWS = _one_of((_INTEGER, _list_of(_one_of((_INTEGER, _list_of(_INTEGER))))))
_NAMED_OBJECT = _one_of((_OBJECT, _NOTHING))
_DTYPES = frozenset(
    "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128".split()
)
_DTYPE = Argument(lambda value: isinstance(value, str) and value in _DTYPES, "the name of a dtype")
# what signatures of ours leave open
_OURS: dict[str, Argument] = {
    **dict.fromkeys(("kernel_size", "strides", "dilation_rate"), _SIZES),
    **dict.fromkeys(("activation", "recurrent_activation", "mask"), _NAMED_OBJECT),
    **dict.fromkeys(("decay_steps", "first_decay_steps", "warmup_steps"), _NUMBER),
    **dict.fromkeys(("size", "cropping"), _WINDOWS),
    "padding": _one_of((_WORDS, _WINDOWS)),
    "alpha": _one_of((_NUMBER, _list_of(_NUMBER))),  # as in Keras, one for each class
    "target_shape": _one_of((_INTEGER, _list_of(_INTEGER))),
    "seed": _one_of((_SEED, _NOTHING)),
    "value": _ARRAY,
    # never a path, which only the caller gives
    "vocabulary": _one_of((_list_of(_TOKEN), _NOTHING)),
    "idf_weights": _one_of((_list_of(_NUMBER), _NOTHING)),
    "dtype": _one_of((_DTYPE, _NOTHING)),
    "output_shape": _one_of((_INTEGER, _list_of(_one_of((_INTEGER, _NOTHING))), _NOTHING)),
}
_OBJECTS = ("_initializer", "_regularizer", "_constraint", "activity_regularizer")
# what signatures of PyTorch leave open
_RATIO = Argument(lambda value: type(value) in (int, float) and 0 <= value <= 1, "a number from 0 to 1")
_TORCHS: dict[str, Argument] = {
    **dict.fromkeys("input_size hidden_size num_layers proj_size embed_dim num_heads".split(), _INTEGER),
    **dict.fromkeys(("kdim", "vdim"), _one_of((_INTEGER, _NOTHING))),
    **dict.fromkeys("bias batch_first bidirectional add_bias_kv add_zero_attn".split(), _TRUTH),
    "dropout": _RATIO,
    "nonlinearity": _WORDS,
    "momentum": _one_of((_NUMBER, _NOTHING)),
}
_LEAST: dict[str, int] = {
    **dict.fromkeys(
        "in_features out_features in1_features in2_features in_channels out_channels num_features num_channels "
        "num_embeddings embedding_dim input_size hidden_size proj_size embed_dim kdim vdim d_model "
        "dim_feedforward num_parameters normalized_shape".split(),
        0,
    ),
    **dict.fromkeys(
        "num_layers num_heads nhead groups num_groups kernel_size stride dilation upscale_factor "
        "downscale_factor".split(),
        1,
    ),
}  # fmt: skip
# what a constructor does as often as an argument says, or lists that many of
_COSTS = {"num_layers": "repeats", "num_thresholds": "levels", "num_classes": "levels"}
# what a base class of ours leaves out of a config of Keras
_LEFT_OUT = frozenset(("dtype", "loss_scale_factor", "gradient_accumulation_steps"))


@dataclass
class _Budget:
    """What may still be repeated and listed, how deep the reading is, and how much each object adds."""

    repeats: int
    levels: int = 10 * _LEVELS
    depth: int = 0
    each: int = 0


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


@contextmanager
def budget(tensors: int | None = None) -> Iterator[None]:
    """Within it, all that is made is paid for together.

    Args:
        tensors: how many tensors the file holds, where there is one: each repeat of a layer with weights
            needs some of them. Without a file each object may ask for a few, and all for a thousand.
    """
    if tensors is None and _budget.get() is not None:
        yield
        return
    token = _budget.set(_Budget(1000, each=16) if tensors is None else _Budget(max(64, tensors)))
    try:
        yield
    finally:
        _budget.reset(token)


class one_deeper:
    """Within it, one object of a config is made; a class, for there are as many of these as a file has objects.

    Raises:
        LimitError: it stands in too many others.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._first: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        held = _budget.get()
        if held is None:
            self._first = budget()
            self._first.__enter__()
            held = _budget.get()
            assert held is not None
        if held.depth >= _DEPTH:
            way = "nest models and layers less deeply"
            raise LimitError(
                explain(self._place, got=f"objects in more than {_DEPTH} others", expected="fewer", fix=way)
            )
        held.depth += 1
        held.repeats += held.each
        self._held = held

    def __exit__(self, *error: Any) -> None:
        self._held.depth -= 1
        if self._first is not None:
            self._first.__exit__(None, None, None)


def is_reading() -> bool:
    """Whether a config is being read, whose parts are checked one by one."""
    return _budget.get() is not None


def _spend(what: str, number: int, place: str) -> None:
    held = _budget.get()
    if held is None:
        return
    left = getattr(held, what)
    most = min(left, _LEVELS)
    if number > most:
        why = (
            "that is all that the tensors of the file can be weights of"
            if what == "repeats" and not held.each
            else "a config may ask for no more, with all else that it asks for"
        )
        raise LimitError(explain(place, got=f"{number:,}", expected=f"at most {most:,}", why=why))
    setattr(held, what, left - max(number, 0))


def check(kind: type, arguments: Mapping[str, Any], place: str, where: str) -> None:
    """Refuse what a constructor does not take, and what it would repeat more often than the budget allows.

    Args:
        kind: a class of ours or of PyTorch; one of the user's own is his own code, and sees to itself.
        arguments: what a file gives it, by name.
        place: where they stand in the config.
        where: how a message about all of them begins.

    Raises:
        ConfigError: an argument of another name, kind, length or size.
        LimitError: more repeats than the file can hold weights for.
    """
    schema, of_torch = _schema(kind), native.name_of(kind) is not None
    for name, value in arguments.items():
        if (type(value) in _SHORT or (type(value) is str and len(value) <= 64)) and _is_taken(
            kind, name, value
        ):
            continue
        argument = schema.get(name)
        if argument is None:
            if not of_torch and _takes_any(kind):
                continue
            raise _unknown(name, schema, where)
        expected = "" if _fits(argument, value) else argument.expected
        if of_torch and name in _LEAST and any(each < _LEAST[name] for each in _integers(value)):
            expected = f"at least {_LEAST[name]}"
        if expected:
            raise ConfigError(explain(f"{place}.config.{name}", got=shorten(value), expected=expected))
        if name in _COSTS and isinstance(value, int):
            _spend(_COSTS[name], value, f"{place}.config.{name}")


_SHORT = (type(None), bool, int)


@lru_cache(maxsize=4096, typed=True)
def _is_taken(kind: type, name: str, value: Any) -> bool:
    """Whether an argument is a value that asks for nothing but to be of its kind, which most of a file repeat."""
    argument = _schema(kind).get(name)
    return argument is not None and name not in _LEAST and name not in _COSTS and _fits(argument, value)


def _integers(value: Any) -> Iterator[int]:
    for each in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(each, int):
            yield each


@cache
def _takes_any(kind: Any) -> bool:
    """Whether a class or a function hands on what it does not know."""
    return any(each.kind is each.VAR_KEYWORD for each in _stated(kind).values())


def _stated(kind: Any) -> Mapping[str, inspect.Parameter]:
    """What a class or function states that it takes; `inspect` would parse text to say that `object` takes nothing."""
    takes_nothing = isinstance(kind, type) and kind.__init__ is object.__init__  # type: ignore[misc]
    return {} if takes_nothing else inspect.signature(kind).parameters


def _unknown(name: Any, known: Iterable[str], where: str) -> ConfigError:
    names = [each for each in known if each not in _LEFT_OUT]
    close = difflib.get_close_matches(str(name)[:64], names, n=1)
    return ConfigError(
        explain(
            where,
            got=shorten(name),
            expected=f"arguments among {shorten(names, 400)}",
            fix=f"write {close[0]!r}" if close else "",
        )
    )


@cache
def _schema(kind: type) -> dict[str, Argument]:
    """What each argument of a constructor may be, by name."""
    hints, of_torch = _hints(kind), native.name_of(kind) is not None
    names = native.argument_names(kind) if of_torch else [*_stated(kind), *_LEFT_OUT]
    table = _TORCHS if of_torch else _OURS
    return {name: table.get(name) or _argument(name, hints.get(name, Any)) for name in names}


def _hints(kind: type) -> dict[str, Any]:
    """The types that the constructors of a class and of its bases state, by the arguments' names."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base):
            found.update(hints_of(vars(base)["__init__"]))
    return found


def _argument(name: str, hint: Any) -> Argument:
    if hint is Any and name.endswith(_OBJECTS):
        return _NAMED_OBJECT
    return _meaning(hint)


def _meaning(hint: Any) -> Argument:
    """What a type means for plain values."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _one_of(_meaning(each) for each in inner if each not in (Tensor, torch.dtype))
    if origin is Literal:
        return _one_of(_meaning(type(each)) for each in inner)
    if origin is tuple and Ellipsis not in inner:
        return _tuple_of([_meaning(each) for each in inner])
    if origin is abc.Sequence and inner[0] is float:
        return _list_of(_ARRAY)
    if origin in (tuple, list, abc.Sequence, abc.Iterable):
        return _list_of(_meaning(inner[0]))
    if hint is torch.Size:
        return _list_of(_INTEGER)
    if isinstance(hint, type) and issubclass(hint, nn.Module):
        return _MAPPING
    return _HINTS.get(origin or hint, _ANYTHING)


def check_keywords(function: Any, arguments: Mapping[str, Any], where: str) -> None:
    """Refuse keywords of a function that it does not state, and anything but numbers and texts for them.

    Raises:
        ConfigError: another keyword, one that is written into, or a value of another kind.
    """
    # a built-in function does not say what it takes, or says it in text that would be parsed
    is_written = isinstance(function, (types.FunctionType, type)) or hasattr(function, "__signature__")
    known = set(_stated(function) if is_written else arguments)
    for name, value in arguments.items():
        if name not in known - {"out", "inplace", "self"}:
            raise _unknown(name, sorted(known), where)
        if not any(each.fits(value) for each in (_NOTHING, _TRUTH, _NUMBER, _WORDS)):
            raise ConfigError(
                explain(f"{where}: {name}", got=shorten(value), expected="a number, a text or None")
            )


def check_size(config: Any, place: str) -> None:
    """Refuse a config whose modules, where they stand in several places, come to far more than what is written.

    A module that is mentioned again is made once, and has its names and its calls at every place: doubled at
    each level, a few lines say a billion of them.

    Raises:
        LimitError: more of them than in proportion to the config.
    """
    found = _Count()
    try:
        places, calls = found.of(config)
    except RecursionError:
        way = "nest models and layers less deeply"
        raise LimitError(explain(place, got="very deep nesting", expected="less of it", fix=way)) from None
    # a module takes some kilobytes, and the shortest that a config writes four items
    if found.modules > _MODULES + found.items // 8:
        raise LimitError(
            explain(
                place, got=f"{found.modules:,} modules", expected=f"at most {_MODULES + found.items // 8:,}"
            )
        )
    for what, number, most in (
        ("modules", places, 10_000 + 64 * found.modules),
        ("calls", calls, 10_000 + 1_000 * found.calls),
    ):
        if number > most:
            raise LimitError(
                explain(
                    place,
                    got=f"{number:,} {what}, counted at every place where they stand",
                    expected=f"at most {most:,}",
                    why="the config writes few of them, each for very many places",
                    fix="nest modules that are used several times less deeply",
                )
            )


@dataclass
class _Count:
    """The modules and calls that a config writes, and what each label comes to."""

    modules: int = 0
    calls: int = 0
    items: int = 0
    labels: dict[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, value: Any) -> tuple[int, int]:
        """In how many places modules stand in what a config says, and how many calls it makes when called."""
        if not isinstance(value, Mapping):
            return self._all_of(value) if isinstance(value, (list, tuple)) else (0, 0)
        label = value.get("shared")
        if len(value) == 1 and "shared" in value:
            return self.labels.get(str(label), (0, 0))
        if "calls" in value and isinstance(value.get("layers"), Mapping):
            places, calls = self._graph(value["layers"], value["calls"])
        else:
            places, calls = self._all_of(value.values())
        if "class_name" in value:
            self.modules += 1
            places += 1
        if isinstance(label, str):
            self.labels[label] = places, calls
        return places, calls

    def _all_of(self, values: Iterable[Any]) -> tuple[int, int]:
        places = calls = 0
        for each in values:
            self.items += 1
            if isinstance(each, (dict, list, tuple)):
                more, further = self.of(each)
                places, calls = min(places + more, _SIZE), min(calls + further, _SIZE)
        return places, calls

    def _graph(self, layers: Mapping[str, Any], calls: Any) -> tuple[int, int]:
        """What a model comes to, which calls a layer as often as its table says."""
        each = {name: self.of(layer) for name, layer in layers.items() if isinstance(layer, Mapping)}
        rows = [row for row in calls if isinstance(row, Mapping)] if isinstance(calls, list) else []
        self.calls += len(rows)
        called = [row["module"] for row in rows if isinstance(row.get("module"), str)]
        number = len(rows) + sum(each[name][1] for name in called if name in each)
        return min(sum(places for places, _ in each.values()), _SIZE), min(number, _SIZE)
