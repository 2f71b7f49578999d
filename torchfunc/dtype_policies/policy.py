"""Dtype policies as data: in which dtype a layer computes, and in which it keeps its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import torch

from torchfunc import settings
from torchfunc.errors import DTypeError, TorchfuncError, explain, shorten

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class DTypePolicy:
    """A pair of dtypes by a name: "float32" for both, or "mixed_bfloat16" for bfloat16 beside weights in float32.

    Args:
        name: The name; that of the global policy if None.

    Raises:
        DTypeError: a name that is no dtype and no mixture.

    Example:
        >>> DTypePolicy("mixed_float16").compute_dtype, DTypePolicy("mixed_float16").variable_dtype
        ('float16', 'float32')
    """

    def __init__(self, name: str | None = None) -> None:
        name = dtype_policy().name if name is None else name
        if not isinstance(name, str) or not isinstance(
            getattr(torch, _MIXED.get(name, name), None), torch.dtype
        ):
            expected = "the name of a dtype, 'mixed_float16' or 'mixed_bfloat16'"
            raise DTypeError(explain("DTypePolicy", got=shorten(name), expected=expected))
        self._name = name

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The dtype that is computed in."""
        return _MIXED.get(self._name, self._name)

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights."""
        return "float32" if self._name in _MIXED else self._name

    @property
    def quantization_mode(self) -> None:
        """None: no policy here quantizes."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The name."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DTypePolicy:
        """The policy that `get_config` described."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and type(other) is type(self) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


FloatDTypePolicy = DTypePolicy


class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """Policies by the paths of layers, or patterns of them, and one for all others.

    Args:
        default_policy: The one for all others; the global policy if None.
        policy_map: Policies by paths.

    Example:
        >>> policies = dtype_policies.DTypePolicyMap("float32", {"encoder/.*": DTypePolicy("mixed_bfloat16")})
        >>> policies["encoder/dense"].compute_dtype, policies["head"].compute_dtype
        ('bfloat16', 'float32')
    """

    def __init__(
        self, default_policy: Any = None, policy_map: Mapping[str, DTypePolicy] | None = None
    ) -> None:
        self._default = None if default_policy is None else get(default_policy)
        super().__init__(self.default_policy.name)
        self._policies = dict(policy_map or {})

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of what no path names."""
        return self._default or dtype_policy()

    def __getitem__(self, key: str) -> DTypePolicy:
        """The policy of the path itself, else of the pattern (a regular expression) that it fits, else the default.

        Raises:
            TorchfuncError: it fits several.
        """
        if key in self._policies:
            return self._policies[key]
        found = [pattern for pattern in self._policies if re.fullmatch(pattern, key)]
        if len(found) > 1:
            got = f"{key!r}, which fits {', '.join(map(repr, found))}"
            raise TorchfuncError(explain("DTypePolicyMap", got=got, expected="one of them alone"))
        return self._policies[found[0]] if found else self.default_policy

    def __setitem__(self, key: str, policy: DTypePolicy) -> None:
        if key in self._policies or not isinstance(policy, DTypePolicy):
            got = f"{shorten(policy)} for {key!r}"
            raise TorchfuncError(
                explain("DTypePolicyMap", got=got, expected="a policy for a path without one")
            )
        self._policies[key] = policy

    def __delitem__(self, key: str) -> None:
        del self._policies[key]

    def __contains__(self, key: object) -> bool:
        return key in self._policies

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicyMap) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(self.default_policy)

    def get_config(self) -> dict[str, Any]:
        """The default and the policies, as their configs."""
        policies = {path: serialize(each) for path, each in self._policies.items()}
        return {"default_policy": self._default and serialize(self._default), "policy_map": policies}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DTypePolicyMap:
        """The policies that `get_config` described."""
        policies = {path: deserialize(each) for path, each in (config.get("policy_map") or {}).items()}
        return cls(config.get("default_policy"), policies)


def dtype_policy() -> DTypePolicy:
    """The global policy: that which was set, else the usual dtype's.

    Returns:
        A policy; "float32" unless something else was set.

    Example:
        >>> dtype_policy()
        <DTypePolicy "float32">
    """
    return settings.chosen_policy() or DTypePolicy(settings.floatx())


def set_dtype_policy(policy: Any) -> None:
    """Set the global policy by its name, its config or an object; that of one dtype sets the usual dtype too.

    A mixed one is what `compile` and `Trainer` take where they are not told a `precision`: what they train, measure
    or predict is computed in halves from then on.

    Args:
        policy: a name such as "mixed_bfloat16", a config, a dtype or a policy; None is the global one itself.

    Raises:
        DTypeError: something that is no policy.

    Example:
        >>> set_dtype_policy("mixed_bfloat16")
        >>> mixed_precision.dtype_policy().compute_dtype, mixed_precision.dtype_policy().variable_dtype
        ('bfloat16', 'float32')
        >>> set_dtype_policy("float32")
    """
    found = get(policy)
    if found.compute_dtype == found.variable_dtype:
        settings.set_floatx(found.compute_dtype)
    settings.choose_policy(found)


def get(identifier: Any) -> DTypePolicy:
    """The policy for a name, a dtype, a config or an object; None is the global one.

    Args:
        identifier: a name, a `torch.dtype`, a config, a policy or None.

    Returns:
        A policy.

    Raises:
        DTypeError: something that is none of these.

    Example:
        >>> dtype_policies.get("mixed_float16"), dtype_policies.get(torch.float64)
        (<DTypePolicy "mixed_float16">, <DTypePolicy "float64">)
    """
    if identifier is None or isinstance(identifier, DTypePolicy):
        return identifier or dtype_policy()
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    return DTypePolicy(
        str(identifier).removeprefix("torch.") if isinstance(identifier, torch.dtype) else identifier
    )


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """A policy as `{"class_name": ..., "config": {...}}`.

    Args:
        dtype_policy: a policy.

    Returns:
        Plain data, which JSON can hold.

    Example:
        >>> dtype_policies.serialize(DTypePolicy("mixed_float16"))
        {'class_name': 'DTypePolicy', 'config': {'name': 'mixed_float16'}}
    """
    return {"class_name": type(dtype_policy).__name__, "config": dtype_policy.get_config()}


def deserialize(config: Mapping[str, Any]) -> DTypePolicy:
    """What `serialize` wrote, here or in Keras.

    Args:
        config: what `serialize` wrote.

    Returns:
        A policy.

    Raises:
        DTypeError: a config of another class, such as of a quantized policy.

    Example:
        >>> dtype_policies.deserialize({"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}})
        <DTypePolicy "mixed_float16">
    """
    kinds: dict[str, type[DTypePolicy]] = {
        "DTypePolicy": DTypePolicy,
        "FloatDTypePolicy": DTypePolicy,
        "DTypePolicyMap": DTypePolicyMap,
    }
    kind, arguments = kinds.get(str(config.get("class_name"))), config.get("config")
    if kind is None or not isinstance(arguments, Mapping):
        raise DTypeError(
            explain("dtype policy", got=shorten(dict(config)), expected="one of " + ", ".join(kinds))
        )
    return kind.from_config(arguments)


# what Keras 2 called them
Policy, global_policy, set_global_policy = DTypePolicy, dtype_policy, set_dtype_policy
