"""Objects as plain data by Keras's names: registered, serialized, found again; and models by their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torchfunc import registry, rooms
from torchfunc.config import described, plain, revived
from torchfunc.errors import TorchfuncError, explain
from torchfunc.registry import custom_object_scope

T = TypeVar("T")

CustomObjectScope = custom_object_scope
_reader: dict[str, Callable[..., Any]] = {}
_KERASS = ("module", "registered_name", "build_config", "compile_config", "shared_object_id")


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Make a class or function of yours known to files as `package>name`; see `torchfunc.register`.

    Args:
        package: what stands before the name, such as that of your library.
        name: the name; that of the class or function if None.

    Returns:
        A decorator, which gives the class or function back.

    Raises:
        TorchfuncError: a class without `get_config`, or a name that is taken.

    Example:
        >>> @saving.register_keras_serializable("app", name="tenfold")
        ... def tenfold(x):
        ...     return 10 * x
        >>> saving.get_registered_name(tenfold)
        'app>tenfold'
    """

    def known(target: T) -> T:
        thing: Any = target
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            got = f"the class {thing.__name__} without get_config"
            raise TorchfuncError(explain("register_keras_serializable", got=got, fix="define get_config"))
        full = f"{package}>{name or thing.__name__}"
        registry.register(full)(thing)
        get_custom_objects()[full] = thing
        return target

    return known


def get_custom_objects() -> dict[str, Any]:
    """The dict of objects by the names under which configs find them, which may be changed.

    Returns:
        The dict itself, which every thread sees.

    Example:
        >>> def doubled(x):
        ...     return 2 * x
        >>> saving.get_custom_objects()["doubled"] = doubled
        >>> layers.Activation.from_config({"activation": "doubled"}).activation is doubled
        True
        >>> del saving.get_custom_objects()["doubled"]
    """
    return registry.shared


def get_registered_name(obj: Any) -> str:
    """The name under which an object was registered, else its own.

    Args:
        obj: a class or a function.

    Returns:
        Its name in configs.

    Example:
        >>> class Doubled(Layer):
        ...     pass
        >>> saving.get_registered_name(Doubled)
        'Doubled'
        >>> with custom_object_scope({"app>Doubled": Doubled}):
        ...     saving.get_registered_name(Doubled)
        'app>Doubled'
    """
    found = (name for name, value in get_custom_objects().items() if value is obj)
    return str(next(found, None) or registry.custom_name_of(obj) or obj.__name__)


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """What a name stands for: in the scope, among what was registered, in the two dicts; None for nothing.

    Args:
        name: the name.
        custom_objects: objects by their names.
        module_objects: likewise, asked last.

    Returns:
        A class or a function; None where nobody knows the name.

    Example:
        >>> saving.get_registered_object("doubled", custom_objects={"doubled": abs})
        <built-in function abs>
        >>> saving.get_registered_object("tripled") is None
        True
    """
    places = (registry.custom_objects(), custom_objects or {}, module_objects or {})
    return next((each[name] for each in places if name in each), registry.custom_object(name))


def serialize_keras_object(obj: Any) -> Any:
    """An object as `{"class_name": ..., "config": {...}}`, a function as one of the class "function"; data as they are.

    Args:
        obj: a layer, a model, a loss, an optimizer, a function, ..., or lists and dicts of them.

    Returns:
        Plain data, which JSON can hold.

    Raises:
        SavingError: something that no registry has a name for.

    Example:
        >>> saving.serialize_keras_object(losses.Huber(delta=2.0))["class_name"]
        'Huber'
        >>> saving.serialize_keras_object([activations.relu, 3])
        [{'class_name': 'function', 'config': 'relu'}, 3]
    """
    return plain(described(obj, "obj", "serialize_keras_object", marked=True))


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """What `serialize_keras_object` wrote, here or in Keras; nothing is imported or executed, whatever `safe_mode` says.

    Args:
        config: plain data: an object's `{"class_name": ..., "config": {...}}`, or lists and dicts of such.
        custom_objects: classes and functions by the names in the config.
        safe_mode: taken as in Keras.

    Returns:
        The object.

    Raises:
        ConfigError: a config that makes no object.
        UnknownNameError: a class or function that nobody knows.

    Example:
        >>> described = saving.serialize_keras_object(layers.Dense(3, activation="relu"))
        >>> layer = saving.deserialize_keras_object(described)
        >>> type(layer).__name__, layer.units
        ('Dense', 3)
    """
    with custom_object_scope(custom_objects):
        return revived(_without_kerass(config), "config")


def _without_kerass(config: Any) -> Any:
    """A config without what Keras says about where a class stands, and how it was built."""
    if isinstance(config, (list, tuple)):
        return [_without_kerass(each) for each in config]
    if not isinstance(config, Mapping):
        return config
    is_object = isinstance(config.get("class_name"), str) and "config" in config
    if is_object and config["class_name"] == "DTypePolicy":
        return config["config"].get("name") if isinstance(config["config"], Mapping) else config["config"]
    said = {key: each for key, each in config.items() if not (is_object and key in _KERASS)}
    if said.get("quantization_config", 0) is None:
        del said["quantization_config"]
    return {key: _without_kerass(each) for key, each in said.items()}


def reads_models(function: T) -> T:
    """Have `load_model` here be that function, which stands on a floor above."""
    _reader["model"] = function  # type: ignore[assignment]
    return function


def load_model(
    filepath: str | Path,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model in a file; see `torchfunc.load_model`. Nothing in it is executed, whatever `safe_mode` says.

    Args:
        filepath: the file or folder.
        custom_objects: classes and functions of yours by the names in the file.
        compile: whether the model comes back compiled, ready to go on training.
        safe_mode: taken as in Keras.

    Returns:
        The model.

    Example:
        >>> model.save("model.safetensors")
        >>> saving.load_model("model.safetensors").output_shape
        (None, 2)
    """
    return rooms.filled(_reader, "model")(filepath, custom_objects, compile)


def save_model(model: Any, filepath: str | Path, overwrite: bool = True) -> None:
    """Write a whole model; see `Model.save`.

    Args:
        model: a Model.
        filepath: where to; its suffix says how it is written.
        overwrite: whether what stands there may be replaced.

    Example:
        >>> tf.models.save_model(model, "model.safetensors")
        >>> tf.load_model("model.safetensors").output_shape
        (None, 2)
    """
    model.save(filepath, overwrite=overwrite)


def save_weights(model: Any, filepath: str | Path, overwrite: bool = True) -> None:
    """Write the weights of a model; see `Model.save_weights`.

    Args:
        model: the model.
        filepath: where to: `.safetensors`, or `.weights.h5` as Keras has it.
        overwrite: whether a file that exists is written over.

    Example:
        >>> saving.save_weights(model, "weights.safetensors")
        >>> inspect("weights.safetensors").kind
        'weights'
    """
    model.save_weights(filepath, overwrite=overwrite)


def load_weights(model: Any, filepath: str | Path, skip_mismatch: bool = False) -> None:
    """Read the weights of a model; see `Model.load_weights`.

    Args:
        model: the model, whose weights are changed.
        filepath: what `save_weights` wrote.
        skip_mismatch: whether layers whose weights differ in number or shape stay as they are.

    Example:
        >>> saving.save_weights(model, "weights.safetensors")
        >>> other = clone_model(model)
        >>> saving.load_weights(other, "weights.safetensors")
        >>> torch.equal(other.get_layer("head").kernel, model.get_layer("head").kernel)
        True
    """
    model.load_weights(filepath, skip_mismatch=skip_mismatch)
