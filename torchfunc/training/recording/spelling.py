"""Spelling: the lines of a step as Python, over the plain functions of torch, which cost least to call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torchfunc.graph.emit import Code
from torchfunc.graph.text import identifier, written_constant
from torchfunc.training.recording.lines import Line, Lines, Value
from torchfunc.tree import is_branch, leaves

# Kernels that functions of torch call with the same arguments and the same defaults, which cost least to call. Others go
# without Python: `torch.binary_cross_entropy_with_logits` has another default than its kernel.
_FUNCTIONS = frozenset(
    """
    _addmm_activation
    _log_softmax _log_softmax_backward_data _softmax _softmax_backward_data abs add addcdiv addcmul addmm all amax amin
    any arange argmax argmin as_strided bmm cat ceil clamp clamp_max clamp_min clone convolution cos cumsum div eq erf exp
    expm1 eye floor full ge gt index_select log log1p logical_and logical_not logical_or lt le masked_fill maximum mean
    minimum mkldnn_rnn_layer mm mul native_batch_norm native_dropout native_group_norm native_layer_norm ne neg ones
    permute pow reciprocal relu relu_ rsqrt rsub scalar_tensor select sigmoid sigmoid_ sign sin sqrt square squeeze stack
    sub sum t tanh tanh_ transpose unbind unsafe_split unsqueeze where zeros
    """.split()
)
_METHODS = frozenset("add_ copy_ div_ expand index_add_ masked_fill_ mul_ sub_ view zero_".split())


def spelled(lines: Lines, *, aliases: bool = True) -> Code:
    """The step as a function of the tensors of a batch, which returns what `lines.returned` names.

    Its globals are aliases of tensors, or these themselves, which nothing tells from a tensor that nobody else has.
    """
    return _Speller(lines, aliases=aliases).code()


class _Speller:
    """One text: the names in it, and the objects that they stand for."""

    def __init__(self, lines: Lines, *, aliases: bool) -> None:
        self.lines, self.aliases = lines, aliases
        self.names: dict[Any, str] = {}
        self.taken: set[str] = {"torch", "forward", "F"}
        self.globals: dict[str, Any] = {}

    def code(self) -> Code:
        batch = [self._name(each) for each in self.lines.batch]
        before = [self._line(line) for line in self.lines.before]
        body = list(self._body())
        body.append(f"return {self._written(self.lines.returned)}")
        text = "\n".join([*before, f"def forward({', '.join(batch)}):", *(f"    {each}" for each in body)])
        return Code(text, text + "\n", self.globals)

    def _body(self) -> Iterator[str]:
        """The lines of the function; each value is let go of after its last use."""
        lasting = {each for line in self.lines.before for each in line.makes()}
        lasting |= {each for each in leaves(self.lines.returned) if isinstance(each, Value)}
        lasting |= {each for line in self.lines.lines if line.out is not None for each in line.makes()}
        last: dict[Value, int] = {}
        for at, line in enumerate(self.lines.lines):
            for value in (*line.takes(), *line.makes()):
                if value.kind == "made" and value not in lasting:
                    last[value] = at
        ends: dict[int, list[Value]] = {}
        for value, at in last.items():
            ends.setdefault(at, []).append(value)
        for at, line in enumerate(self.lines.lines):
            yield self._line(line)
            gone = [self.names[each] for each in ends.get(at, ()) if each in self.names]
            if gone:
                yield f"del {', '.join(gone)}"

    def _line(self, line: Line) -> str:
        call = self._call(line)
        if line.out is not None:
            self.names[line.results] = self._name(line.out)
            return call
        made = list(line.makes())
        if not made or all(value in self.names for value in made):  # written into what is there
            return call
        return f"{self._target(line.results)} = {call}"

    def _target(self, results: Any) -> str:
        if isinstance(results, Value):
            return self._name(results)
        parts = [self._target(each) if each is not None else "_" for each in results]
        return ", ".join(parts) + ("," if len(parts) == 1 else "")

    def _call(self, line: Line) -> str:
        """A call of a function of torch, a method, or the kernel itself where Python has no name for it."""
        given = [self._written(each) for each in line.args]
        given += [f"{key}={self._written(value)}" for key, value in line.kwargs.items()]
        if line.out is not None:
            given.append(f"out={self._name(line.out)}")
        name = line.name
        if name in _FUNCTIONS:
            return f"torch.{name}({', '.join(given)})"
        if name in _METHODS:
            return f"{given[0]}.{name}({', '.join(given[1:])})"
        return f"{self._kernel(line)}({', '.join(given)})"

    def _kernel(self, line: Line) -> str:
        """A global name for a kernel, without the Python around it."""
        return self._global(line.function._op, f"aten_{line.name}")

    def _global(self, value: Any, stem: str) -> str:
        if id(value) not in self.names:
            self.names[id(value)] = self._new(stem)
            self.globals[self.names[id(value)]] = value
        return self.names[id(value)]

    def _name(self, value: Value) -> str:
        if value not in self.names:
            self.names[value] = self._new(value.name)
            if value.tensor is not None and value.kind != "batch":
                self.globals[self.names[value]] = value.tensor.detach() if self.aliases else value.tensor
        return self.names[value]

    def _new(self, stem: str) -> str:
        name = stem = identifier(stem)
        count = 1
        while name in self.taken:
            count, name = count + 1, f"{stem}_{count + 1}"
        self.taken.add(name)
        return name

    def _written(self, given: Any) -> str:
        if isinstance(given, Value):
            return self._name(given)
        if isinstance(given, Mapping):
            return "{" + ", ".join(f"{key!r}: {self._written(each)}" for key, each in given.items()) + "}"
        if is_branch(given) and isinstance(given, Sequence):
            parts = ", ".join(map(self._written, given))
            return f"[{parts}]" if isinstance(given, list) else f"({parts}{',' * (len(given) == 1)})"
        text = written_constant(given)
        return text if text is not None else self._global(given, "constant")
