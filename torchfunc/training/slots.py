"""Slots: what is given for several inputs or outputs, found by name or by place, never by a sorted dict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torchfunc.errors import TorchfuncError, UnknownNameError, explain
from torchfunc.tree import leaves


@dataclass(frozen=True)
class Slots:
    """The inputs, or the outputs, of a module in order.

    Attributes:
        kind: "input" or "output", as messages call one of them.
        names: their names.
        keys: other names that a dict may use for them: the keys of the structure that the module returns.
    """

    kind: str
    names: tuple[str, ...]
    keys: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def arrange(
        self, value: Any, what: str, error: type[TorchfuncError], *, partial: bool = False
    ) -> list[Any]:
        """One item for each slot: from a dict by name, from a sequence by place, or the one item there is.

        Args:
            value: what the user gave.
            what: what the user calls it, such as "y" or "loss".
            error: the class of what is raised.
            partial: whether a dict may leave slots out; they get None.

        Raises:
            TorchfuncError: of the class `error`: unknown or missing names, or another number of items.
        """
        if isinstance(value, dict):
            return self._by_name(value, what, error, partial)
        items = list(value) if isinstance(value, (list, tuple)) else [value]
        if len(items) != len(self):
            nested = list(leaves(value))
            if len(nested) != len(self):
                raise error(self._wrong_number(what, len(items)))
            items = nested
        return items

    def _by_name(
        self, given: dict[Any, Any], what: str, error: type[TorchfuncError], partial: bool
    ) -> list[Any]:
        named = {self.keys.get(key, key): item for key, item in given.items()}
        unknown = next((key for key in named if key not in self.names), None)
        if unknown is not None:
            raise error(self._unknown(what, unknown))
        missing = next((name for name in self.names if name not in named), None)
        if missing is not None and not partial:
            expected = f"one for each {self.kind}: {list(self.names)}"
            raise error(explain(what, got=f"no {missing!r} among its keys {list(given)}", expected=expected))
        return [named.get(name) for name in self.names]

    def _unknown(self, what: str, key: Any) -> str:
        close = str(UnknownNameError(self.kind, key, self.names)).partition("Did you mean ")[2]
        hint = f" Did you mean {close}" if close else ""
        return (
            f"{what} has the key {key!r}, which is no {self.kind}. "
            f"{self.kind.title()}s: {', '.join(map(repr, self.names))}.{hint}"
        )

    def _wrong_number(self, what: str, count: int) -> str:
        expected = f"one for each {self.kind}: {', '.join(map(repr, self.names))}"
        fix = f"use a dict by {self.kind} name" if len(self) > 1 else ""
        return explain(what, got=f"{count} item{'s' * (count != 1)}", expected=expected, fix=fix)
