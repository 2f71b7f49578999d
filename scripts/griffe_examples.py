"""Tells mkdocstrings where examples are, what each argument is by itself, and what else stands elsewhere."""

from __future__ import annotations

import functools
import inspect
import pydoc
import re
import textwrap
from typing import Any

import griffe

import torchfunc


class Examples(griffe.Extension):
    """Named in mkdocs.yml."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        owner = pydoc.locate(cls.path)
        slots = getattr(owner, "__slots__", ())
        for name, member in list(cls.members.items()):
            value = inspect.getattr_static(owner, name, None) if member.is_attribute else None
            if inspect.isfunction(value):
                cls.set_member(name, function_of(name, value))
            elif isinstance(value, property) or (isinstance(slots, dict) and name in slots):
                member.docstring = described(inspect.getdoc(value), member)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if isinstance(obj, griffe.Function):
            write_out(obj)
        if obj.docstring:
            obj.docstring.value = readable(obj.docstring.value)


def described(text: str | None, parent: griffe.Object) -> griffe.Docstring | None:
    """A docstring that is not read from the source, parsed as mkdocs.yml has the others parsed."""
    options = {"warnings": False, "returns_multiple_items": False}
    return text and griffe.Docstring(readable(text), parent=parent, parser="google", parser_options=options)


def readable(text: str) -> str:
    return spelt_out(one_a_row(titled(text)))


def function_of(name: str, value: Any) -> griffe.Function:
    """A method that a call made, such as `fit = as_in(Trainer.fit)`, as if it stood there."""
    signature = inspect.signature(value)
    parameters = griffe.Parameters(*map(parameter_of, signature.parameters.values()))
    made = griffe.Function(name, parameters=parameters, returns=str(signature.return_annotation))
    made.docstring = described(inspect.getdoc(value), made)
    return made


def parameter_of(given: inspect.Parameter) -> griffe.Parameter:
    return griffe.Parameter(
        given.name,
        annotation=None if given.annotation is given.empty else str(given.annotation),
        kind=griffe.ParameterKind(given.kind.description),
        default=None if given.default is given.empty else repr(given.default),
    )


def write_out(function: griffe.Function) -> None:
    """Put the arguments that `**common: Unpack[...]` stands for in its place."""
    last = next((each for each in function.parameters if "Unpack" in str(each.annotation)), None)
    value: Any = pydoc.locate(function.path.removesuffix(".__init__"))
    if last is None or not isinstance(value, type):
        return
    del function.parameters[last.name]
    for each in inspect.signature(value).parameters.values():
        if each.name not in function.parameters:
            function.parameters.add(parameter_of(each))


def titled(text: str) -> str:
    """A docstring with `Examples:`, the title that the site knows, above what is to be run."""
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    return re.sub(
        r"^>>> (?:.+\n?)+",
        lambda found: "Examples:\n" + textwrap.indent(found[0], "    "),
        text,
        flags=re.MULTILINE,
    )


def one_a_row(text: str) -> str:
    """A docstring in which arguments that share a line, `center, scale: ...`, have one each, to be told with their types."""

    def rows(found: re.Match[str]) -> str:
        return "".join(f"{found[1]}{name}{found[3]}" for name in re.split(r",\s+", found[2]))

    told, title, run = text.partition("\nExamples:\n")
    return (
        re.sub(r"^( +)(\w+(?:,\s+\w+)+)(:.*\n?(?:\1 +.*\n?)*)", rows, told, flags=re.MULTILINE) + title + run
    )


def spelt_out(text: str) -> str:
    """A docstring in which `use_bias: as for Dense` says what Dense says of it."""

    def told(found: re.Match[str]) -> str:
        name, owner, besides = found.groups()
        known = arguments_of(owner).get(name)
        return found[0] if known is None else f"    {name}: {known.rstrip().removesuffix('.')}{besides}\n"

    return re.sub(
        r"^    (\w+): as (?:for|in) (?:every )?`?(\w+)`?([,;.].*)\n", told, text, flags=re.MULTILINE
    )


@functools.cache
def arguments_of(name: str) -> dict[str, str]:
    """What a class of the package says of each of its arguments, by the class's name."""
    rooms = (
        torchfunc.layers,
        torchfunc.initializers,
        torchfunc.optimizers,
        torchfunc.losses,
        torchfunc.metrics,
    )
    owner = next((getattr(room, name) for room in rooms if hasattr(room, name)), None)
    text = spelt_out(one_a_row(inspect.getdoc(owner) or "")) + "\n"
    return dict(re.findall(r"^    (\w+): ((?:.*\n)(?:     +.*\n)*)", text, flags=re.MULTILINE))
