"""Compiling: the arguments of `compile` as Keras's files have them, and as ours take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchfunc import losses, metrics, optimizers, registry
from torchfunc.config import plain
from torchfunc.keras_files import dialect
from torchfunc.keras_files.from_keras import own_name
from torchfunc.models.resuming import COMPILED
from torchfunc.registry import Registry
from torchfunc.tree import map_leaves

# what the shapes of a model's outputs choose among
_KEPT = ("accuracy", "acc", "crossentropy", "ce")


def arguments(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The arguments of our `compile` that a config of Keras's says, for `resuming.checked_arguments`.

    Raises:
        ConfigError: something that stands for code.
    """
    found: dict[str, Any] = {key: config[key] for key in COMPILED if config.get(key) is not None}
    if found.get("steps_per_execution") == 1:
        del found["steps_per_execution"]
    for key in ("loss", "metrics", "weighted_metrics"):
        if key in found:
            found[key] = _by_own_names(_objects(found[key], f"{place}.{key}"))
    if "loss_weights" in found:
        found["loss_weights"] = _by_own_names(found["loss_weights"])
    if dialect.is_object(found.get("optimizer")):
        optimizer = found["optimizer"]
        arguments = dialect.arguments(
            optimizer["class_name"], optimizer["config"] or {}, f"{place}.optimizer.config"
        )
        found["optimizer"] = {"class_name": dialect.named(optimizer), "config": arguments}
    return found


def _objects(value: Any, place: str) -> Any:
    """Losses or metrics as they are nested, each as a name or as `{"class_name": ..., "config": ...}`."""
    if isinstance(value, list):
        return [_objects(each, f"{place}[{index}]") for index, each in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if not dialect.is_object(value):
        return {key: _objects(each, f"{place}.{key}") for key, each in value.items()}
    if value["class_name"] == "function":
        return dialect.function_name(value, place)
    found = dialect.plain(value, place)
    if found["class_name"] == "MeanMetricWrapper" and isinstance(found["config"].get("fn"), Mapping):
        found["config"]["fn"] = found["config"]["fn"].get("config")
    found["config"].pop("fn", None) if found["class_name"] != "MeanMetricWrapper" else None
    return found


def _by_own_names(value: Any) -> Any:
    """A dict by outputs with the names that these have here."""
    if isinstance(value, Mapping) and not dialect.is_object(value):
        return {own_name(key): each for key, each in value.items()}
    return value


def for_keras(model: Any) -> dict[str, Any]:
    """The `compile_config` of a model's file.

    Raises:
        SavingError: a loss, a metric or an optimizer that Keras has not.
    """
    trainer = model.trainer
    optimizer = optimizers.serialize(trainer.optimizer)
    if isinstance(optimizer, str) or not dialect.is_object(optimizer):
        raise dialect.not_kerass("The optimizer", str(optimizer))
    weights = trainer.loss_weights
    return {
        "optimizer": dialect.object_for_keras(
            optimizer["class_name"], optimizer["config"], registry.optimizers, "The optimizer"
        ),
        "loss": _named(trainer.loss, losses, registry.losses),
        "loss_weights": None if weights is None else plain(map_leaves(float, weights)),
        "metrics": _named(trainer.metrics, metrics, registry.metrics),
        "weighted_metrics": _named(trainer.weighted_metrics, metrics, registry.metrics),
        "run_eagerly": False,
        "steps_per_execution": trainer.step.steps_per_execution,
        "jit_compile": False,
    }


def _named(given: Any, home: Any, known: Registry) -> Any:
    """Losses or metrics as they are nested, as Keras writes them: as objects, since it reads not all names from `.h5`."""
    written = plain(given, lambda each, name: home.serialize(each))

    def one(value: Any) -> Any:
        if isinstance(value, str) and value not in _KEPT:
            value = home.serialize(home.get(value))
        if isinstance(value, list):
            return [one(each) for each in value]
        if isinstance(value, Mapping) and not dialect.is_object(value):
            return {key: one(each) for key, each in value.items()}
        if isinstance(value, Mapping):
            own = next((each for each in registry.registries() if each.kind == value.get("kind")), known)
            return dialect.object_for_keras(value["class_name"], value["config"], own, f"The {known.kind}")
        if isinstance(value, str) and value not in _KEPT:
            raise dialect.not_kerass(f"The {known.kind}", repr(value))
        return value

    return one(written)
