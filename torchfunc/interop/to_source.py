"""To source: a model as a file that a person could have written, which imports torch alone."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchfunc import native
from torchfunc.errors import GraphError, explain
from torchfunc.graph.emit import Code, emit
from torchfunc.graph.graph import Graph, Names, Ref
from torchfunc.graph.text import quoted, state, written_constant
from torchfunc.interop.folding import Stretch, folded
from torchfunc.interop.rolling import rolled
from torchfunc.interop.to_torch import PlainModule, to_torch
from torchfunc.interop.wrapping import wrapped
from torchfunc.tree import leaves

_MOST_NUMBERS = 1000  # of a constant that is written out


def to_source(model: Any, path: str | Path | None = None) -> str:
    """A file with the model as a class of `torch.nn` modules: `__init__`, `forward` and the shapes.

    It imports torch alone, and `load_state_dict(interop.to_torch(model).state_dict())` fits it.

    Args:
        model: a model that is a graph.
        path: where to write it; nowhere if None.

    Returns:
        The text of the file.

    Raises:
        GraphError: a layer without a form in torch.nn, or a module or function whose text is not known.

    Example:
        >>> text = tf.interop.to_source(model, "plain.py")
        >>> "import torchfunc" in text, "self.head = nn.Linear(" in text
        (False, True)
    """
    plain = to_torch(model)
    assert isinstance(plain, PlainModule)
    text = _File().text(plain)
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


class _File:
    """A file while it is written: its imports, and its functions and classes in the order of their use."""

    def __init__(self) -> None:
        self.imports = {"from torch import Tensor, nn"}
        self.parts: list[str] = []
        self._names = Names("torch", "Tensor", "nn", "F", "operator", "math", *dir(builtins))
        self._copied: dict[Any, str] = {}
        self._classes: dict[tuple[str, str], str] = {}
        self._blocks: dict[str, str] = {}

    def text(self, plain: PlainModule) -> str:
        name = self.class_of(plain)
        title = f'"""{name}: a network in PyTorch."""'
        imports = "\n".join(sorted(self.imports, key=_order_of_imports))
        body = "\n\n\n".join(part.rstrip() for part in self.parts)
        return f"{title}\n\nfrom __future__ import annotations\n\n{imports}\n\n\n{body}\n"

    def class_of(self, plain: PlainModule) -> str:
        """The name of the class for a module; equal modules have one."""
        body = self._body(plain)
        key = type(plain).__name__, body
        if key not in self._classes:
            name = self._names.new(type(plain).__name__)
            self._classes[key] = name
            self.parts.append(f"class {name}(nn.Module):\n{body}")
        return self._classes[key]

    def _body(self, plain: PlainModule) -> str:
        lines = [line for name, module in plain._modules.items() for line in self._made(name, module)]
        lines += self._state(plain)
        doc = _docstring(plain.graph)
        init = [
            "def __init__(self) -> None:",
            "    super().__init__()",
            *(f"    {line}" for line in rolled(lines)),
        ]
        forward = self._forward(plain)
        blocks = [[doc], [*init], forward]
        text = "\n\n".join("\n".join(each) for each in blocks)
        return textwrap.indent("\n".join(_wrapped_lines(text, 4)), "    ")

    def _forward(self, plain: PlainModule) -> list[str]:
        names, lines = self._lines(emit(folded(plain.graph, plain._modules)))
        one = len(plain.graph.output_names) == 1 and isinstance(plain.graph.outputs, Ref)
        taken = ", ".join(["self", *(f"{name}: Tensor" for name in names)])
        return [f"def forward({taken}){' -> Tensor' if one else ''}:", *lines]

    def _lines(self, code: Code) -> tuple[list[str], list[str]]:
        """The arguments of a forward, and its lines, with what they use imported or copied."""
        first, *lines = code.source.rstrip().split("\n")
        text = re.sub(r"(?<=\d)e\+(?=\d)", "e", "\n".join(lines))  # 1e+38 as 1e38
        for name, value in code.globals.items():
            text = re.sub(rf"\b{name}\(", f"{self._named(name, value)}(", text)
        for word, line in (
            ("F", "from torch.nn import functional as F"), ("torch", "import torch"), ("operator", "import operator"),
        ):  # fmt: skip
            if re.search(rf"\b{word}\.", text):
                self.imports.add(line)
        names = [name.strip() for name in first[first.index("(") + 1 : -2].split(",")[1:]]
        return names, _with_short_end(rolled(text.split("\n")))

    def _named(self, name: str, value: Any) -> str:
        """The name in this file of something that a forward calls."""
        if not isinstance(value, Stretch):
            return self._copy(name, value)
        names, lines = self._lines(value.code)
        taken = [*(f"{each}: Tensor" for each in names), *(f"{each}: nn.Module" for each in value.modules)]
        rest = "\n".join([f"({', '.join(taken)}) -> Tensor:", *lines])
        if rest not in self._blocks:
            self._blocks[rest] = self._names.new("block")
            self.parts.append("\n".join(_wrapped_lines(f"def {self._blocks[rest]}{rest}", 0)))
        return self._blocks[rest]

    def _made(self, name: str, module: nn.Module | None) -> Iterator[str]:
        """The lines that make a submodule as it is."""
        assert module is not None
        place = state(name)
        text = self.expression(module, name)
        yield (
            f"{place} = {text}"
            if not place.startswith("getattr")
            else f"self.add_module({quoted(name)}, {text})"
        )
        if isinstance(module, PlainModule):
            return
        with torch.device("meta"):
            made = _again(module)
        for key, parameter in made._parameters.items():
            if parameter is not None and module._parameters.get(key) is None:
                yield f"{place}.register_parameter({quoted(key)}, None)"
        trained = {parameter.requires_grad for parameter in module.parameters()}
        if trained == {False}:
            yield f"{place}.requires_grad_(False)"
        for key, parameter in module.named_parameters():
            if not parameter.requires_grad:
                yield from _frozen(f"{place}.{key}", parameter, whole=trained == {False})

    def expression(self, module: nn.Module, name: str) -> str:
        """The call that makes a module."""
        if isinstance(module, PlainModule):
            return f"{self.class_of(module)}()"
        if isinstance(module, nn.Sequential) and type(module) is nn.Sequential:
            return f"nn.Sequential({', '.join(self.expression(each, name) for each in module)})"
        arguments = _arguments(module)
        unknown = [key for key, value in arguments.items() if _constant(value) is None]
        if unknown or not _is_like(module):
            what = f"the module {name!r}, a {type(module).__name__}"
            why = (
                f"its argument {unknown[0]!r} has no text"
                if unknown
                else "its arguments do not make it again"
            )
            fix = "modules of torch.nn, or your own that keep their arguments as attributes"
            raise GraphError(explain(f"to_source: {what}", got="no way to write it", why=why, fix=fix))
        return f"{self._class_name(type(module))}({_written_arguments(type(module), arguments)})"

    def _class_name(self, kind: type) -> str:
        if getattr(nn, kind.__name__, None) is kind:
            return f"nn.{kind.__name__}"
        return self._copy(kind.__name__, kind)

    def _state(self, plain: PlainModule) -> Iterator[str]:
        """The lines that make the tensors of the module itself."""
        for name, parameter in plain._parameters.items():
            self.imports.add("import torch")
            frozen = "" if parameter is None or parameter.requires_grad else ", requires_grad=False"
            yield f"{state(name)} = nn.Parameter({_zeros(parameter)}{frozen})"
        for name, buffer in plain._buffers.items():
            self.imports.add("import torch")
            kept = name not in plain._non_persistent_buffers_set
            value = _zeros(buffer) if kept else _written_tensor(name, buffer)
            yield f"self.register_buffer({quoted(name)}, {value}{'' if kept else ', persistent=False'})"

    def _copy(self, name: str, value: Any) -> str:
        """A function or class off PyTorch as it stands in its file, and what it uses."""
        if value in self._copied:
            return self._copied[value]
        if not isinstance(value, (FunctionType, type)):
            got = f"{type(value).__name__} in the forward"
            raise GraphError(explain("to_source", got=got, expected="functions, numbers and names"))
        if not value.__module__.startswith(("torchfunc.", "__main__")):
            self.imports.add(f"from {value.__module__} import {value.__name__}")
            return self._copied.setdefault(value, value.__name__)
        try:
            text = textwrap.dedent(inspect.getsource(value))
        except (OSError, TypeError):
            fix = "write it in a file"
            raise GraphError(
                explain("to_source", got=f"{value.__name__}, whose text is not known", fix=fix)
            ) from None
        if not isinstance(value, type) and value.__name__ == "<lambda>":
            raise GraphError(
                explain("to_source", got="a lambda", expected="a function with a name", fix="def")
            )
        self._copied[value] = self._names.new(value.__name__)
        self._import_for(value, text)
        self.parts.append("\n".join(_wrapped_lines(text, 0)))
        return self._copied[value]

    def _import_for(self, value: Any, text: str) -> None:
        """Import or copy what the text of a function or class uses."""
        spaces = vars(inspect.getmodule(value)) if isinstance(value, type) else value.__globals__
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Name) or node.id not in spaces or node.id == value.__name__:
                continue
            used = spaces[node.id]
            if used is F:
                self.imports.add("from torch.nn import functional as F")
            elif isinstance(used, ModuleType) and used is not nn:
                alias = "" if used.__name__ == node.id else f" as {node.id}"
                self.imports.add(f"import {used.__name__}{alias}")
            elif used is Any:
                self.imports.add("from typing import Any")
            elif isinstance(used, (FunctionType, type)) and used is not Tensor:
                self._copy(node.id, used)


def _with_short_end(lines: list[str]) -> list[str]:
    """`return f(x)` for `x = f(x)` and `return x`."""
    before, _, made = lines[-2].partition(" = ") if len(lines) > 1 else ("", "", "")
    if made and lines[-1] == f"    return {before.removeprefix('    ')}":
        return [*lines[:-2], f"    return {made}"]
    return lines


def _order_of_imports(line: str) -> tuple[bool, bool, str]:
    """Python's own first, `import` before `from`, as ruff sorts them."""
    return "torch" in line, line.startswith("from"), line


def _wrapped_lines(text: str, indent: int) -> Iterator[str]:
    for line in text.split("\n"):
        yield from wrapped(line, 88 - indent)


def _arguments(module: nn.Module) -> dict[str, Any]:
    """The arguments that make such a module, without those that are their defaults."""
    parameters = inspect.signature(type(module)).parameters
    found: dict[str, Any] = {}
    for name, value in native.arguments_of(module).items():
        value = _simple(name, value)
        default = parameters[name].default if name in parameters else _RECURRENT.get(name)
        if name == "bias" and not getattr(module, "affine", True):
            continue  # said by the one word, and PyTorch 2.11 knows no other
        if name == "stride" and value == found.get("kernel_size") and default is None:
            continue
        if value is default or (type(value) is type(default) and value == default):
            continue
        found[name] = value
    weight = next((each for each in module.parameters(recurse=False)), None)
    if weight is not None and weight.dtype is not torch.float32 and "dtype" in parameters:
        found["dtype"] = weight.dtype
    return found


# the defaults of nn.LSTM and its like, whose signatures do not say them
_RECURRENT = {
    "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False, "proj_size": 0,
    "nonlinearity": "tanh",
}  # fmt: skip


def _simple(name: str, value: Any) -> Any:
    """One number for equal ones in all dimensions."""
    if name == "normalized_shape" and isinstance(value, (tuple, list)) and len(value) == 1:
        return value[0]
    alike = isinstance(value, tuple) and value and all(each == value[0] for each in value)
    return value[0] if alike and name != "normalized_shape" else value


def _again(module: nn.Module) -> nn.Module:
    """Another such module."""
    if type(module) in native.CONTAINERS:
        return module
    return type(module)(**_arguments(module))


def _is_like(module: nn.Module) -> bool:
    """Whether another such module has the same tensors; those that it has besides are taken away."""
    try:
        with torch.device("meta"):
            made = _again(module)
    except Exception:
        return False
    shapes = {key: each.shape for key, each in made.state_dict().items()}
    return all(shapes.get(key) == each.shape for key, each in module.state_dict().items())


def _written_arguments(kind: type, arguments: dict[str, Any]) -> str:
    """The required arguments by place, the others by name."""
    parameters = inspect.signature(kind).parameters
    required = [name for name, each in parameters.items() if each.default is each.empty]
    if issubclass(kind, nn.RNNBase):
        required = ["input_size", "hidden_size"]
    first = [name for name in required if name in arguments and name != "kernel_size"]
    others = {name: value for name, value in arguments.items() if name not in first}
    return ", ".join(
        [
            *(str(_constant(arguments[name])) for name in first),
            *(f"{n}={_constant(v)}" for n, v in others.items()),
        ]
    )


def _constant(value: Any) -> str | None:
    """A constant as text, tuples and lists of them too."""
    if isinstance(value, (tuple, list)):
        parts = [_constant(each) for each in value]
        if None in parts:
            return None
        inner = ", ".join(map(str, parts))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(parts) == 1 else f"({inner})"
    return written_constant(value)


def _frozen(place: str, parameter: Tensor, *, whole: bool) -> Iterator[str]:
    """The lines for a parameter that is not trained: what it is where all of it is one number."""
    if parameter.numel() and bool((parameter == parameter.flatten()[0]).all()):
        yield f"nn.init.constant_({place}, {float(parameter.flatten()[0])})"
    if not whole:
        yield f"{place}.requires_grad_(False)"


def _zeros(tensor: Tensor | None) -> str:
    assert tensor is not None
    dtype = "" if tensor.dtype is torch.float32 else f", dtype={tensor.dtype}"
    sizes = ", ".join(map(str, tensor.shape)) if tensor.ndim else "()"
    return f"torch.zeros({sizes}{dtype})"


def _written_tensor(name: str, tensor: Tensor | None) -> str:
    """A constant, number by number.

    Raises:
        GraphError: it has too many of them.
    """
    assert tensor is not None
    if tensor.numel() > _MOST_NUMBERS:
        got = f"the constant {name!r} of {tensor.numel()} numbers"
        fix = "a buffer of a layer, which is saved with the weights"
        raise GraphError(explain("to_source", got=got, expected=f"at most {_MOST_NUMBERS}", fix=fix))
    dtype = "" if tensor.dtype in (torch.float32, torch.int64, torch.bool) else f", dtype={tensor.dtype}"
    numbers = repr(tensor.tolist()).replace("nan", 'float("nan")').replace("inf", 'float("inf")')
    return f"torch.tensor({numbers}{dtype})"


def _docstring(graph: Graph) -> str:
    """What goes in and what comes out: `img (batch, 784) to softmax (batch, 10)`."""
    inputs, outputs = _shapes(graph)
    line = f'"""{inputs} to {outputs}."""'
    if len(line) <= 84:
        return line
    options: Any = {"width": 80, "subsequent_indent": "    ", "break_long_words": False}
    parts = [
        textwrap.fill(f"{word}: {text}.", **options)
        for word, text in (("Takes", inputs), ("Returns", outputs))
    ]
    return "\n".join(['"""One forward, from named shapes to named shapes.', "", *parts, '"""'])


def _shapes(graph: Graph) -> list[str]:
    """The names and shapes of the inputs, and those of the outputs."""
    sides = []
    for tree in (graph.inputs, graph.outputs):
        refs = list(leaves(tree))
        names = graph.input_names if tree is graph.inputs else graph.output_names
        parts = [f"{name} {_shape(graph.spec(ref).shape)}" for name, ref in zip(names, refs, strict=True)]
        sides.append(", ".join(parts))
    return sides


def _shape(sizes: Any) -> str:
    if not sizes:
        return "()"
    first, *others = sizes
    parts = [
        "batch" if first is None else str(first),
        *("any" if each is None else str(each) for each in others),
    ]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
