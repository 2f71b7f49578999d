"""The arguments that a file may give to a call: what PyTorch's own schemas say, without those that would write.

A listed function can still be told to write into one of its arguments (`out=`, `inplace=`), to use a generator,
or to make a billion numbers out of ten letters. So each call of a file is bound to a signature of its function, as
PyTorch would bind it, and each constant in it has a kind and a range. Nothing is called.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from torchfunc import functions
from torchfunc.errors import ConfigError, LimitError, SavingError, explain, shorten
from torchfunc.graph.graph import Call, Ref, StateRef

CONSTANTS = 1000  # in one call
CHARACTERS = 1000  # in one string
SIZE, NUMBER = 2**31, 2**63  # the largest integer that says a size, and that is a value
DEVICES = ("cpu", "cuda", "mps")

# that write, draw from elsewhere, or make no dense tensor of this process
_NEVER = frozenset("out generator inplace requires_grad pin_memory layout names max_norm".split())
_VALUES = frozenset("low high start end fill_value ignore_index padding_idx data index a b".split())
# the second names that PyTorch knows of an argument
_ALIASES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other"}
_STATISTICS = {"training", "use_input_stats"}

_CAST = "self, *, MemoryFormat? memory_format=None"
# where PyTorch has no schema, or takes more than it says
_METHODS = {
    **dict.fromkeys(
        "bfloat16 bool byte cdouble cfloat chalf char cpu double float half int long short".split(), (_CAST,)
    ),
    **dict.fromkeys(("ndimension", "nelement"), ("self",)),
    "lu": ("self, bool pivot=True, bool get_infos=False",),
    "new_tensor": ("self, t data, *, ScalarType? dtype=None, Device? device=None",),
    "nonzero": ("self, *, bool as_tuple=False",),
    "polygamma": ("self, int n",),
    "size": ("self, int? dim=None",),
    "to": (
        "self, Device? device=None, ScalarType? dtype=None, bool non_blocking=False, bool copy=False, *, "
        "MemoryFormat? memory_format=None",
        "self, ScalarType dtype, bool non_blocking=False, bool copy=False, *, MemoryFormat? memory_format=None",
        "self, Tensor other, bool non_blocking=False, bool copy=False, *, MemoryFormat? memory_format=None",
    ),
    "where": ("self, Tensor condition, Tensor other",),
}
_FUNCTIONS = {
    "torch.lu": ("A, bool pivot=True, bool get_infos=False",),
    "torch.nonzero": ("input, *, bool as_tuple=False",),
    "torch.unique": (
        "input, bool sorted=True, bool return_inverse=False, bool return_counts=False, int? dim=None",
    ),
    "torch.unique_consecutive": (
        "input, bool return_inverse=False, bool return_counts=False, int? dim=None",
    ),
    **{f"operator.{name}": ("Scalar a, Scalar b",) for name in functions.OPERATORS},
    **{f"operator.{name}": ("Scalar a",) for name in (*functions.UNARY, "abs")},
    "operator.getitem": ("Tensor a, t index",),
}
_PREFIXES = {"torch.linalg": "linalg_", "torch.fft": "fft_", "torch.special": "special_"}
_RENAMED = {"F.logsigmoid": "log_sigmoid"}
# what the annotations of `torchfunc/ops/` say
_WORDS_OF_OPS = {
    "Array": "Array",
    "Arrays": "Array",
    "Array | None": "Array",
    "Axis": "ints",
    "Shape": "ints",
    "DType": "DType",
    "int": "int",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        kind: of what a file may give: a key of `_KINDS`.
        default: what it has where nothing is given; `...` where it must be.
        form: "place" (or keyword), "keyword", or "rest" for all that follow.
        may_be_none: whether None says something too.
    """

    name: str
    kind: str
    default: Any = ...
    form: str = "place"
    may_be_none: bool = False

    @property
    def is_allowed(self) -> bool:
        """Whether a file may give it another value than its default."""
        return self.name not in _NEVER and not self.name.startswith("_")


Signature = tuple[Parameter, ...]


def check_call(kind: str, name: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: str) -> None:
    """Refuse a call of a file that gives what a file may not give.

    Args:
        kind: the kind of the call: "function", "method" or "attribute"; others pass with their constants counted.
        name: what is called, as the file says it; a name that is not listed is the caller's own function.
        args: the arguments, with a Ref or StateRef for each tensor.
        kwargs: those by keyword.
        place: where the call stands in the file, for messages.

    Raises:
        ConfigError: an argument that is not allowed, missing, or of a wrong kind.
        LimitError: more constants than a call may have.
    """
    count = sum(not isinstance(leaf, (Ref, StateRef)) for leaf in _leaves([args, kwargs]))
    if count > CONSTANTS:
        raise LimitError(
            f"{place}: expected at most {CONSTANTS:,} constants in one call, got {count:,}. Fix: keep them in a tensor."
        )
    found = problem(kind, name, args, kwargs)
    if found:
        raise ConfigError(f"{place}: {found}.")


def check_saved(call: Call, name: Any) -> None:
    """Refuse to write a call that no file may hold, in words for who made the model.

    Raises:
        SavingError: the call, what is wrong with it, and the way out.
    """
    listed = {"method": functions.METHODS, "attribute": functions.ATTRIBUTES}.get(call.kind, (name,))
    why = functions.WITHHELD.get(
        f"x.{name}", "a file holds calls that change nothing, with arguments of known kinds"
    )
    try:
        if name not in listed:
            raise ConfigError(f"{name!r} is no {call.kind} that a file may name")
        check_call(call.kind, name, call.args, call.kwargs, "as a file says it")
    except (ConfigError, LimitError) as error:
        text = explain(
            f"The call {call.name!r}",
            got=str(error).rstrip("."),
            expected="a call that a file may hold",
            why=why,
            fix="put the call inside a Layer, or keep the weights alone with save_weights",
        )
        raise SavingError(text) from None


def problem(kind: str, name: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """What a file may not say of a call, or None."""
    if kind == "attribute":
        whole = len(args) == 1 and isinstance(args[0], (Ref, StateRef)) and not kwargs
        return None if whole else f"the attribute {shorten(name)} takes a tensor and nothing else"
    known = signatures(kind, name)
    if not known:
        return None
    is_held = any(isinstance(leaf, (Ref, StateRef)) for leaf in _leaves([args, kwargs]))
    of_first = kind == "method" or name == "operator.getitem"
    if of_first and not (args and isinstance(args[0], (Ref, StateRef))):
        return f"the {kind} {shorten(name)} takes its tensor as the first argument by place"
    if not is_held and (name.startswith("operator.") or all(_takes_tensor(each) for each in known)):
        return f"{shorten(name)} needs a tensor among its arguments"
    first = None
    for signature in known:
        found = _mismatch(signature, kind, args, kwargs)
        if found is None:
            return None
        first = first or found
    return f"{shorten(name)} {first}" + (" (no other form of it fits either)" if len(known) > 1 else "")


def _takes_tensor(signature: Signature) -> bool:
    return any(
        each.kind in ("Tensor", "Tensors", "Array", "any") and each.default is ... for each in signature
    )


def signatures(kind: str, name: str) -> tuple[Signature, ...]:
    """The forms of a listed function or method, as a file may call it; none for what is not listed."""
    is_listed = (
        name in functions.METHODS
        if kind == "method"
        else kind == "function" and functions.named(name) is not None
    )
    return _signatures(kind, name) if is_listed else ()


@cache
def _signatures(kind: str, name: str) -> tuple[Signature, ...]:
    if kind == "method":
        stated, function, schemas = _METHODS.get(name), getattr(torch.Tensor, name), name
    else:
        home, _, word = name.rpartition(".")
        stated, function = _FUNCTIONS.get(name), functions.named(name)
        schemas = _RENAMED.get(name, _PREFIXES.get(home, "") + word)
    if stated:
        # parse_schema wants a type before each name
        texts = (each if " " in each.split(",")[0] else f"Tensor {each}" for each in stated)
        return tuple(
            _of_schema(torch._C.parse_schema(f"aten::{schemas}({each}) -> Tensor")) for each in texts
        )
    if inspect.isfunction(function):
        return (_of_python(function),)
    found = torch._C._jit_get_schemas_for_operator(f"aten::{schemas}")
    return tuple(_of_schema(schema, kind) for schema in found if _is_usable(schema, kind))


def _is_usable(schema: Any, kind: str) -> bool:
    """Whether a schema is one of Python's forms: of tensors, and neither `out` nor TorchScript's own."""
    types = [str(each.real_type) for each in schema.arguments]
    first_is_tensor = bool(types) and types[0] in ("Tensor", "List[Tensor]")
    makes_tensors = [each for each in schema.returns if "Tensor" in str(each.type)] != []
    return (
        not schema.is_mutable
        and not any("Dimname" in each for each in types)
        # of names that are no string but before PyTorch 2.13 say `str`
        and not re.search("[Dd]imname|name[sd]", schema.overload_name)
        and (first_is_tensor or (makes_tensors and kind == "function"))
        and not schema.overload_name.startswith(("prim_", "list_"))
    )


def _of_schema(schema: Any, kind: str = "method") -> Signature:
    return tuple(
        Parameter(
            "input" if each.name == "self" and kind == "function" else each.name,
            _kind(str(each.real_type)),
            each.default_value if each.has_default_value() else ...,
            "keyword" if each.kwarg_only else "place",
            str(each.real_type).startswith("Optional["),
        )
        for each in schema.arguments
    )


def _kind(real: str) -> str:
    """The key of `_KINDS` for a type as PyTorch writes it: `Optional[List[int]]`."""
    real = real.removeprefix("Optional[").rstrip("]")
    if real.startswith("List["):
        inner = real.removeprefix("List[").removeprefix("Optional[")
        return {"Tensor": "Tensors", "int": "ints", "float": "numbers", "number": "numbers"}.get(inner, "any")
    return real if real in _KINDS else "any"


@cache
def _of_python(function: Callable[..., Any]) -> Signature:
    """The parameters of a function written in Python; those of `F.max_pool2d` stand in `F._max_pool2d`."""
    parameters = inspect.signature(function).parameters
    if parameters.keys() == {"args", "kwargs"}:
        parameters = inspect.signature(getattr(nn.functional, f"_{function.__name__}")).parameters
    forms: dict[Any, str] = {
        inspect.Parameter.VAR_POSITIONAL: "rest",
        inspect.Parameter.KEYWORD_ONLY: "keyword",
    }
    return tuple(
        Parameter(
            each.name,
            _kind_in_python(each.name, each.annotation),
            ... if each.default is each.empty else each.default,
            forms.get(each.kind, "place"),
            any(word in str(each.annotation) for word in ("None", "Optional"))
            or each.annotation in (each.empty, "Axis", "DType"),
        )
        for each in parameters.values()
    )


def _kind_in_python(name: str, annotation: Any) -> str:
    """What an annotation says; `BroadcastingList2[int]` is None when it runs, and some lists are called `int`."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    if text in _WORDS_OF_OPS:
        return _WORDS_OF_OPS[text]
    if name == "dtype":
        return "ScalarType"
    if "Callable" in text or "Options" in text:
        return "nothing"
    if "Tensor" in text and "float" not in text:
        return "Tensor"
    words = {"bool": "bool", "str": "str", "float": "numbers", "int": "ints"}
    found = [] if annotation is inspect.Parameter.empty else [word for word in words if word in text]
    return words[found[0]] if len(found) == 1 else "any"


def _mismatch(
    signature: Signature, kind: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> str | None:
    """Why a call does not fit one form of its function, or None."""
    placed = [each for each in signature if each.form == "place"]
    rest = next((each for each in signature if each.form == "rest"), None)
    skipped = 1 if kind == "method" else 0
    if len(placed) == skipped + 1 and placed[-1].kind == "ints" and len(args) > skipped + 1:
        args = (*args[:skipped], args[skipped:])  # x.view(2, 3)
    if rest is None and len(args) > len(placed):
        return f"takes at most {len(placed)} arguments by place, got {len(args)}"
    bound = [*zip(placed, args, strict=False), *((rest, each) for each in args[len(placed) :] if rest)]
    by_name = {each.name: each for each in signature[skipped:] if each.form != "rest"}
    given = {each.name for each, _ in bound}
    for key, value in kwargs.items():
        if key in _NEVER and key not in by_name and (value is None or value is False):
            continue  # every factory takes `requires_grad`, and no schema says so
        word = key if key in by_name else _ALIASES.get(key, key)
        if word not in by_name or word in given:
            return f"takes no {shorten(key)}" + ("" if word not in given else " beside the one by place")
        given.add(word)
        bound.append((by_name[word], value))
    missing = next(
        (
            each.name
            for each in signature
            if each.default is ... and each.form != "rest" and each.name not in given
        ),
        None,
    )
    if missing is not None and missing not in _NEVER:
        return f"needs {missing!r}"
    wrong = next((each for each in bound if not _fits(*each)), None)
    if wrong is not None:
        parameter, value = wrong
        wanted = _KINDS[parameter.kind][0] if parameter.is_allowed else f"its default, {parameter.default!r}"
        return f"takes as {parameter.name!r} {wanted}, got {shorten(value)}"
    values = {parameter.name: value for parameter, value in bound}
    if values.get("running_mean") is not None and any(values.get(each) for each in _STATISTICS):
        return "would change 'running_mean' while training"
    return None


def _fits(parameter: Parameter, value: Any) -> bool:
    if not parameter.is_allowed:
        return (
            value is None
            or value is False
            or (type(value) is type(parameter.default) and value == parameter.default)
        )
    if value is None and (parameter.may_be_none or parameter.default is None):
        return True
    return _KINDS[parameter.kind][1](parameter, value)


def _is_ref(value: Any) -> bool:
    return isinstance(value, (Ref, StateRef))


def _is_tensor(parameter: Parameter, value: Any) -> bool:
    return _is_ref(value)


def _is_int(parameter: Parameter, value: Any) -> bool:
    limit = NUMBER if parameter.name in _VALUES else SIZE
    return _is_ref(value) or (type(value) is int and abs(value) <= limit)


def _is_operand(parameter: Parameter, value: Any) -> bool:
    # `torch.add(x, 1)`, which has no form of its own
    return _is_ref(value) or (parameter.name in ("input", "other") and _is_number(parameter, value))


def _is_number(parameter: Parameter, value: Any) -> bool:
    return _is_ref(value) or isinstance(value, (bool, float)) or (type(value) is int and abs(value) <= NUMBER)


def _is_string(parameter: Parameter, value: Any) -> bool:
    return isinstance(value, str) and len(value) <= CHARACTERS


def _is_list(test: Callable[[Parameter, Any], bool], parameter: Parameter, value: Any) -> bool:
    several = isinstance(value, (list, tuple))
    return all(each is None or test(parameter, each) for each in value) if several else test(parameter, value)


def _is_plain(parameter: Parameter, value: Any) -> bool:
    return all(
        leaf is None
        or leaf is Ellipsis
        or isinstance(leaf, (bool, float, torch.dtype))
        or _is_int(parameter, leaf)
        or (parameter.name not in _VALUES and _is_string(parameter, leaf))
        for leaf in _leaves(value)
    )


def _is_array(parameter: Parameter, value: Any) -> bool:
    return all(_is_number(parameter, leaf) for leaf in _leaves(value))


def _is_dtype(parameter: Parameter, value: Any) -> bool:
    found = getattr(torch, value, None) if isinstance(value, str) and value.isidentifier() else value
    return isinstance(found, torch.dtype)


def _is_device(parameter: Parameter, value: Any) -> bool:
    return isinstance(value, (str, torch.device)) and str(value) in DEVICES


_KINDS: dict[str, tuple[str, Callable[[Parameter, Any], bool]]] = {
    "Tensor": ("a tensor", _is_operand),
    "Tensors": ("tensors", lambda parameter, value: _is_list(_is_tensor, parameter, value)),
    "int": ("an integer below 2**31", _is_int),
    "ints": ("integers below 2**31", lambda parameter, value: _is_list(_is_int, parameter, value)),
    "float": ("a number", _is_number),
    "number": ("a number", _is_number),
    "numbers": ("numbers", lambda parameter, value: _is_list(_is_number, parameter, value)),
    "bool": ("True or False", lambda parameter, value: value in (0, 1) if not _is_ref(value) else True),
    "str": ("a short string", _is_string),
    "Array": ("tensors and numbers", _is_array),
    "DType": ("a dtype", _is_dtype),
    "ScalarType": ("a dtype", lambda parameter, value: isinstance(value, torch.dtype)),
    "MemoryFormat": ("a memory format", lambda parameter, value: isinstance(value, torch.memory_format)),
    "Device": (f"one of {', '.join(DEVICES)}", _is_device),
    "any": ("numbers, strings and tensors", _is_plain),
    "nothing": ("None", lambda parameter, value: value is None),
}


def _leaves(tree: Any) -> Iterator[Any]:
    """The leaves of lists, tuples, dicts and slices, without recursion."""
    stack = [tree]
    while stack:
        value = stack.pop()
        if isinstance(value, (list, tuple)):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, slice):
            stack.extend((value.start, value.stop, value.step))
        else:
            yield value
