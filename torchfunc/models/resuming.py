"""Resuming: what a file says of training, the arguments of `compile` and the state, checked before it is used."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import Tensor

from torchfunc import losses, metrics, optimizers
from torchfunc.config import plain
from torchfunc.distributed.fully_sharded import load_whole
from torchfunc.errors import (
    ConfigError,
    LimitError,
    TorchfuncError,
    UnknownNameError,
    WeightMismatchError,
    explain,
    shorten,
)
from torchfunc.fields import item, number, refused, whole
from torchfunc.optimizers.memory import check_arguments
from torchfunc.saving import archive
from torchfunc.training.objective import LOSSES_BY_SHAPE, METRICS_BY_SHAPE, is_identifier
from torchfunc.training.options.compiled import NAMES, Options
from torchfunc.training.trainer import Trainer, backups
from torchfunc.tree import map_with_path

COMPILED = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "steps_per_execution")
MOST = 10_000  # losses or metrics of one model
LONGEST = 256  # characters of a name
DEEPEST = 4  # levels of lists and dicts around them

Found = TypeVar("Found")


def restore_training(model: Any, compiled: Any, state: Any, tensors: Mapping[str, Tensor]) -> None:
    """Compile a model as a file says, and have its training go on where it was saved.

    Args:
        model: with its weights.
        compiled: what `Trainer.get_config` gave, as plain data.
        state: the plain part of what `split` made of `Trainer.state_dict`; None for a training that begins.
        tensors: the other part.

    Raises:
        ConfigError: something that `save` does not write, with its place.
        UnknownNameError: a loss, a metric or an optimizer that nobody knows.
        WeightMismatchError: tensors that do not fit the parameters.
    """
    arguments = checked_arguments(compiled, "$.compile")
    if model._overrides("compile"):
        warnings.warn(
            f"{type(model).__name__} was not compiled, for its `compile` is its own. Fix: model.compile(...) after loading.",
            stacklevel=4,
        )
        return
    # by name and with an optimizer, so that it is Keras's compile, and never that of nn.Module
    placed(lambda: model.compile(**arguments), "$.compile")
    if state is not None:
        model.trainer.load_state_dict(joined(state, tensors), place="$.training")


_BACKUP = "optimizer/"


def write_backup(trainer: Trainer, filepath: archive.Place) -> None:
    """Write the weights of a module and the state of its training to a file."""
    state, slots = split(trainer.state_dict())
    weights = {name: each.detach() for name, each in trainer.module.state_dict().items()}
    archive.write(
        filepath, {"training": state}, weights | {_BACKUP + name: each for name, each in slots.items()}
    )


def read_backup(trainer: Trainer, filepath: archive.Place) -> None:
    """Have a module and its trainer be as `write_backup` found them.

    Raises:
        CorruptFileError: a damaged file.
        ConfigError: a file without the state of such a training.
        WeightMismatchError: tensors that do not fit the module.
    """
    found, module = archive.read(filepath), trainer.module
    slots = {
        name.removeprefix(_BACKUP): each for name, each in found.tensors.items() if name.startswith(_BACKUP)
    }
    weights = {name: each for name, each in found.tensors.items() if not name.startswith(_BACKUP)}
    held = {name: tuple(each.shape) for name, each in module.state_dict().items()}
    if {name: tuple(each.shape) for name, each in weights.items()} != held:
        fix = "delete it, where the model was changed since"
        raise WeightMismatchError(
            explain(f"The backup {filepath}", got="other weights", expected="those of the model", fix=fix)
        )
    trainer.load_state_dict(joined(found.config.get("training"), slots), place="$.training")
    load_whole(module, weights)


backups.update(write=write_backup, read=read_backup)


def checked_arguments(compiled: Any, place: str) -> dict[str, Any]:
    """The arguments of `compile` that a file gives, each looked at for itself, and the optimizer made of its config.

    Raises:
        ConfigError: another argument, or one that `save` does not write so.
        UnknownNameError: a loss, a metric or an optimizer that nobody knows.
    """
    if not isinstance(compiled, dict):
        raise refused(place, compiled, "an object")
    unknown = sorted(compiled.keys() - {*COMPILED, *NAMES})
    if unknown:  # above all no keyword of torch.compile, whose options may name a program to start
        raise ConfigError(f"{place}: expected the keys {', '.join(COMPILED)}, got {shorten(unknown)}.")
    found = dict.fromkeys(COMPILED) | compiled
    found["optimizer"] = _optimizer(found["optimizer"], f"{place}.optimizer")
    _check_named(found["loss"], f"{place}.loss", losses.get, LOSSES_BY_SHAPE)
    for name in ("metrics", "weighted_metrics"):
        _check_named(found[name], f"{place}.{name}", metrics.get, METRICS_BY_SHAPE)
    _check_weights(found["loss_weights"], f"{place}.loss_weights")
    if found["steps_per_execution"] is not None:
        whole(found["steps_per_execution"], f"{place}.steps_per_execution", 1, 2**31)
    options = {name: compiled[name] for name in NAMES if name in compiled}
    placed(lambda: Options(**options), place)
    return found


def placed(make: Callable[[], Found], place: str) -> Found:
    """What is made at a place of a file; an error begins with the place, and a mistake in the file is a ConfigError."""
    try:
        return make()
    except TorchfuncError as error:
        text = str(error) if str(error).startswith("$") else f"{place}: {error}"
        text = text if len(text) <= 500 else f"{text[:300]} ... {text[-100:]}"
        if not isinstance(error, (ConfigError, LimitError, UnknownNameError)):
            raise ConfigError(text) from error
        error.args = (text,)
        raise


def _optimizer(given: Any, place: str) -> Any:
    if given is None:
        return "rmsprop"
    _check_object(given, place)
    made = placed(lambda: optimizers.get(given), place)
    check_arguments(made, f"{place}.config" if isinstance(given, dict) else place)
    return made


def _check_object(given: Any, place: str) -> None:
    """Refuse what is neither a name nor `{"class_name": ..., "config": ...}`."""
    if isinstance(given, dict):
        config = given.get("config", {})
        if isinstance(given.get("class_name"), str) and (config is None or isinstance(config, (dict, str))):
            return
    elif isinstance(given, str):
        return
    raise refused(place, given, "a name, or an object with 'class_name' and 'config'")


def _check_named(
    given: Any, place: str, look_up: Callable[[Any], Any], chosen_later: tuple[str, ...]
) -> None:
    """Refuse what is no name or object, and no list or dict of such, one of which nobody knows."""
    waiting: list[tuple[Any, str, int]] = [(given, place, 0)]
    for count, (each, where, depth) in enumerate(waiting):
        branch = isinstance(each, list) or (isinstance(each, dict) and not is_identifier(each))
        if count > MOST or (branch and depth == DEEPEST):
            raise LimitError(
                f"{where}: expected at most {MOST} names in {DEEPEST} levels of lists, got more."
            )
        if isinstance(each, list):
            waiting += [(one, f"{where}[{index}]", depth + 1) for index, one in enumerate(each)]
        elif branch:
            waiting += [(one, item(where, name), depth + 1) for name, one in each.items()]
        elif each is not None and each not in chosen_later:
            _check_object(each, where)
            found = placed(lambda each=each: look_up(each), where)  # type: ignore[misc]
            if not isinstance(found.name, str) or len(found.name) > LONGEST:
                raise refused(f"{where}.config.name", found.name, f"a name of at most {LONGEST} characters")


def _check_weights(given: Any, place: str) -> None:
    items: Any = [(place, given)]
    if isinstance(given, dict):
        items = [(item(place, name), each) for name, each in given.items()]
    elif isinstance(given, list):
        items = [(f"{place}[{index}]", each) for index, each in enumerate(given)]
    for where, each in items:
        if each is not None:
            number(each, where, -1e30, 1e30)


def split(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """Nested state as plain data, and the tensors in it by their places."""
    tensors: dict[str, Tensor] = {}

    def taken(path: tuple[Any, ...], leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        place = "/".join(map(str, path))
        tensors[place] = leaf.detach()
        return {"tensor": place}

    return plain(map_with_path(taken, state)), tensors


def joined(state: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Nested state with its tensors put back: the opposite of `split`.

    Raises:
        ConfigError: a tensor that is not there, or one that the state does not mention.
    """
    left = set(tensors)

    def filled(each: Any) -> Any:
        if isinstance(each, dict):
            if set(each) == {"tensor"} and isinstance(each["tensor"], str):
                if each["tensor"] not in tensors:
                    raise ConfigError(f"$.training: the tensor {shorten(each['tensor'])} is missing.")
                left.discard(each["tensor"])
                return tensors[each["tensor"]]
            return {key: filled(value) for key, value in each.items()}
        return [filled(value) for value in each] if isinstance(each, list) else each

    whole_state = filled(state)
    if left:
        got = f"the tensor {shorten(min(left))}"
        raise ConfigError(explain("$.training", got=got, expected="only tensors that it mentions"))
    return whole_state
