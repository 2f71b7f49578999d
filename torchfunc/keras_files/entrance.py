"""Entrance: the files of Keras by their suffixes, read whole or not at all, and written as atomically as ours.

A file is opened once. What is in it is listed and looked at; the model is made of its config on the meta device,
where weights have shapes and no memory; what its weights are is compared with the file in integers; only then are
numbers read, each of which goes to its weight at once.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torchfunc import registry
from torchfunc.errors import (
    ConfigError,
    CorruptFileError,
    NotATorchfuncFileError,
    SavingError,
    TorchfuncError,
    WeightMismatchError,
    explain,
    shorten,
)
from torchfunc.graph.probing.bounds import importing_if_need_be
from torchfunc.keras_files import compiling, older, slots, writing
from torchfunc.keras_files.from_keras import Reader
from torchfunc.keras_files.hdf5 import Hdf5
from torchfunc.keras_files.places import Order, Weight, by_layers, layers_of, weights_of
from torchfunc.keras_files.zipped import Zipped
from torchfunc.layers.weights import without_initializing
from torchfunc.models.loading import place_what_is_empty, runs_code_of_yours
from torchfunc.models.resuming import restore_training
from torchfunc.saving import formats
from torchfunc.saving.atomic import replace_files
from torchfunc.saving.graph_json import bounded_by
from torchfunc.saving.header import Limits, Room, parse_json
from torchfunc.saving.source import named, open_regular
from torchfunc.schemas import budget

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
WAY_OUT = "Fix: model.save('model.keras') in Keras 3, or load_model of what model.save('model.safetensors') wrote here"
# what Keras keeps beside weights, and nothing here is made of
_BESIDE = ("seed_generator/", "metrics/", "optimizer/", "_metrics/", "compile_metrics/", "vars/idf_weights/")
# how a path began in files of 2.12 and 2.13
_PREFIX = "_layer_checkpoint_dependencies/"


class Opened(NamedTuple):
    """An open file of Keras.

    Attributes:
        where: what errors call it.
        config: that of the model, by the words of Keras 3; None in a file of weights alone.
        keras: the version that wrote it, as numbers.
        weights: the HDF5 file.
        training: the compile configuration, by the words of Keras 3.
        in_layers: whether weights stand by the names of layers, as in the older `.h5` files.
        asset: the bytes of a member under `assets/`, or None.
    """

    where: str
    config: Any
    keras: tuple[int, ...]
    weights: Hdf5
    training: Any
    in_layers: bool
    asset: Callable[[str], bytes | None] = lambda name: None


class Keras:
    """Reads and writes `.keras`, `.h5` and `.weights.h5`; see `torchfunc.saving.formats`."""

    def load_model(
        self, path: Any, custom_objects: Mapping[str, Any] | None, compile: bool, device: Any
    ) -> Any:
        """The model in a file of Keras 3, or of its line 2 from 2.2 on, compiled and with the optimizer's state."""
        path = Path(path)
        with registry.custom_object_scope(custom_objects), _naming(path), _opened(path) as file:
            if file.config is None:
                raise NotATorchfuncFileError(
                    f"{file.where} holds weights and no model. Fix: build the model, then model.load_weights(path)."
                )
            reader, model = _built(file)
            model = _filled(file, model, reader, _placed(file, model, reader))
            if device is not None:
                model.to(device)
            if compile and file.training is not None:
                _resume(file, model)
        return model

    def load_weights(self, model: Any, path: Any, skip_mismatch: bool) -> None:
        """Fill a model with the weights of a file; nothing is changed where they do not fit."""
        path = Path(path)
        _check_layer(model, path)
        with _naming(path), _opened(path) as file:
            weights = _placed(file, model, None, skip_mismatch=skip_mismatch)
            values = [(weight, _read(file, weight, place, None)) for weight, place in weights]
            with torch.no_grad():
                for weight, value in values:
                    weight.tensor.copy_(value)

    def save_model(self, model: Any, path: Any, overwrite: bool) -> None:
        """Write a whole model as Keras 3 reads it: a zip archive, or for `.h5` the older form."""
        path = Path(path)
        _check_overwrite(path, overwrite)
        _check_layer(model, path)
        if path.suffix.lower() == ".keras":
            replace_files({path: [writing.keras_file(model)]})
        elif path.name.lower().endswith(".weights.h5"):
            fix = f"model.save_weights({str(path)!r}), or model.save({path.name.split('.')[0] + '.keras'!r})"
            got = f"'{path}', which is named as weights alone"
            raise SavingError(explain("Model.save", got=got, expected="'.keras' or '.h5'", fix=fix))
        else:
            replace_files({path: [writing.older_file(model)]})

    def save_weights(self, model: Any, path: Any, overwrite: bool) -> None:
        """Write the weights alone as Keras 3 reads them."""
        path = Path(path)
        _check_overwrite(path, overwrite)
        _check_layer(model, path)
        if not path.name.lower().endswith(".weights.h5"):
            stem = path.name.split(".")[0]
            raise SavingError(
                explain(
                    "save_weights",
                    got=f"'{path}'",
                    expected="a name that ends in '.weights.h5', by which Keras knows such a file",
                    fix=f"save_weights({str(path.with_name(stem + '.weights.h5'))!r})",
                )
            )
        replace_files({path: [writing.weights_file(model)]})


def _check_overwrite(path: Any, overwrite: bool) -> None:
    if not overwrite and path.exists():
        raise SavingError(f"'{path}' exists already. Fix: another path, or overwrite=True.")


def _check_layer(model: Any, path: Any) -> None:
    if not hasattr(model, "_ordered_weights"):
        raise SavingError(
            explain(
                f"{type(model).__name__}",
                got=f"'{path}', a file of Keras",
                expected="a torchfunc Model or Layer, of which is known how Keras lays out its weights",
                fix=f"{str(path.with_suffix('.safetensors'))!r}",
            )
        )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Within it, an error of ours begins with the name of the file."""
    try:
        yield
    except TorchfuncError as error:
        text, where = str(error), named(path)
        if where not in text:
            error.args = (f"{where}: {text}",)
        raise


@contextmanager
def _opened(path: Any) -> Iterator[Opened]:
    """A file of Keras, its config read and what it holds looked at.

    Raises:
        NotATorchfuncFileError: a file of another kind.
        CorruptFileError: a damaged file, or one that reaches beyond itself.
        LimitError: it asks for more than the limits allow.
        ConfigError: its config is none.
        MissingExtraError: h5py is not installed.
    """
    where, limits = named(path), Limits()
    with open_regular(path) as raw:
        size = raw.seek(0, 2)
        if path.suffix.lower() == ".keras":
            yield from _zipped(raw, size, where, limits)
        else:
            with Hdf5(raw, size, where, limits) as weights:
                yield _older(weights, size, where, limits)


def _zipped(raw: Any, size: int, where: str, limits: Limits) -> Iterator[Opened]:
    archive = Zipped(raw, size, where, limits)
    config: Any = _json(archive.read(CONFIG, limits.header_bytes), f"{CONFIG} in {where}", limits, size)
    about = _json(archive.read(METADATA, 1 << 16), f"{METADATA} in {where}", limits, size)
    if WEIGHTS not in archive.members and "model.weights.npz" in archive.members:
        raise NotATorchfuncFileError(
            f"{where} keeps its weights in NumPy's format, expected {WEIGHTS}. {WAY_OUT}."
        )
    version = _version(about.get("keras_version") if isinstance(about, dict) else None)
    if version < (3,):
        config = older.model_config(config)
    member, length = archive.opened(WEIGHTS)
    with Hdf5(member, length, f"{WEIGHTS} in {where}", limits) as weights:
        training = config.get("compile_config") if isinstance(config, dict) else None

        def asset(name: str) -> bytes | None:
            member = f"assets/{name}"
            return archive.read(member, limits.header_bytes) if member in archive.members else None

        yield Opened(where, config, version, weights, training, False, asset)


def _older(weights: Hdf5, size: int, where: str, limits: Limits) -> Opened:
    """A file of weights by their places, or one of the older form, with a model or without."""
    text = weights.text("", "model_config")
    in_layers = text is not None or weights.texts("", "layer_names") is not None
    home = "model_weights" if "model_weights" in weights.groups else ""
    version = _version(weights.text("", "keras_version") or weights.text(home, "keras_version"))
    config = training = None
    if text is not None:
        config = _json(text.encode(), f"The config in {where}", limits, size)
        about = weights.text("", "training_config")
        if about is not None:
            training = older.training_config(
                _json(about.encode(), f"The training config in {where}", limits, size)
            )
        if version < (3,):
            config = older.model_config(config)
            training = older.compile_config(training) if training is not None else None
    return Opened(where, config, version if in_layers else (3,), weights, training, in_layers)


def _json(raw: bytes, what: str, limits: Limits, size: int) -> Any:
    """JSON of a file of this size, by which its memory is judged."""
    return parse_json(raw, what, limits, ConfigError, Room(size + limits.memory))


def _version(text: Any) -> tuple[int, ...]:
    """The version of Keras that a file names; that of the files before it did is the first of the line 2."""
    numbers = str(text or "2.2").removesuffix("-tf").split(".")[:2]
    return tuple(int(each) if each.isdecimal() and len(each) < 6 else 0 for each in numbers)


def _built(file: Opened) -> tuple[Reader, Any]:
    """The model of a file on the meta device, and what read it."""
    with torch.device("meta"):
        return _made(file)


def _made(file: Opened) -> tuple[Reader, Any]:
    def numbers(path: str) -> torch.Tensor | None:
        with torch.device("cpu"):
            return file.weights.tensor(path) if path in file.weights.entries else None

    def make() -> tuple[Reader, Any]:
        reader = Reader(file.keras[0], file.asset, numbers)
        return reader, reader.model(file.config)

    with without_initializing(), bounded_by(file.config), budget(len(file.weights.entries)):
        return importing_if_need_be(make)


def _filled(file: Opened, model: Any, reader: Reader, weights: Sequence[tuple[Weight, str]]) -> Any:
    """The model with the weights of the file; one that runs code of yours when it is made is made once more, with memory."""
    if runs_code_of_yours(model):
        reader, model = _made(file)
        weights = _placed(file, model, reader)
        with torch.no_grad():
            for weight, place in weights:
                weight.tensor.copy_(_read(file, weight, place, reader))
        return model
    made: dict[int, Any] = {}
    for weight, place in weights:
        held = (
            weight.module._parameters
            if weight.attribute in weight.module._parameters
            else weight.module._buffers
        )
        if id(weight.tensor) not in made:
            value = _read(file, weight, place, reader)
            is_parameter = held is weight.module._parameters
            made[id(weight.tensor)] = (
                nn.Parameter(value, weight.tensor.requires_grad) if is_parameter else value
            )
        held[weight.attribute] = made[id(weight.tensor)]
    _place_counters(model)
    place_what_is_empty(model)
    return model


def _read(file: Opened, weight: Weight, place: str, reader: Reader | None) -> Tensor:
    """The numbers of a weight, as it lies here."""
    value = file.weights.tensor(place)
    was = None if reader is None else older.CUDNN.get(reader.were.get(id(weight.module), ""))
    return weight.from_keras(value if was is None else was.convert(weight.attribute, value))


def _place_counters(model: nn.Module) -> None:
    """Have the counters on the CPU that modules keep and Keras does not."""
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta and name == "num_batches_tracked":
                module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype, device="cpu")


def _placed(
    file: Opened, model: Any, reader: Reader | None, *, skip_mismatch: bool = False
) -> list[tuple[Weight, str]]:
    """Each weight of a model with the path of its numbers in a file, once all are known to fit.

    Raises:
        WeightMismatchError: weights that the file has not, or others, or of other shapes.
    """
    order = None if reader is None else reader.order
    pairs = _by_names(file, model, order) if file.in_layers else _by_places(file, model, order)
    were = {} if reader is None else reader.were
    problems, found = [], []
    for weight, place in pairs:
        problem = _problem(weight, place, file.weights, older.CUDNN.get(were.get(id(weight.module), "")))
        if problem is None and place is not None:
            found.append((weight, place))
        else:
            problems.append((weight, problem))
    if problems and skip_mismatch:
        found = _whole_modules(found, [weight for weight, _ in problems])
    elif problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        told = "; ".join(str(problem) for _, problem in problems[:5])
        way = "a model of the same layers, or load_weights(path, skip_mismatch=True)"
        raise WeightMismatchError(f"The weights do not fit the model: {told}{more}. Fix: {way}.")
    return found


def _whole_modules(found: list[tuple[Weight, str]], left: list[Weight]) -> list[tuple[Weight, str]]:
    """The weights of the modules of which all fit; those of the others stay, with a warning."""
    names = sorted({each.path.partition("vars/")[0].rstrip("/") or "the model itself" for each in left})
    warnings.warn(
        f"load_weights left these as they were, since their weights differ: {', '.join(names)}.", stacklevel=6
    )
    owners = {id(each.module) for each in left}
    return [pair for pair in found if id(pair[0].module) not in owners]


def _problem(weight: Weight, place: str | None, file: Hdf5, was: older.FromCudnn | None) -> str | None:
    if place is None or place not in file.entries:
        return f"{weight.path!r} is missing"
    shape, dtype = file.entries[place]
    expected = weight.shape if was is None else was.shape(weight.attribute, weight.shape)
    floats = dtype.is_floating_point == weight.tensor.dtype.is_floating_point
    if shape != expected or not floats:
        return f"{place!r} is {shape} {dtype} instead of {expected} {weight.tensor.dtype}".replace(
            "torch.", ""
        )
    return None


def _without_underscores(path: str) -> str:
    return path.replace("/_", "/")


def _by_places(file: Opened, model: Any, order: Order | None) -> list[tuple[Weight, str | None]]:
    """The weights by their places, as Keras 3 has them."""
    entries = file.weights.entries
    prefix = _PREFIX if any(name.startswith(_PREFIX) for name in entries) else ""

    def place(path: str) -> str:
        return path.replace("layers/", prefix, 1) if prefix and path.startswith("layers/") else path

    # some layers of Keras called what is inside of them privately once: `_query_dense`
    open_names = Counter(map(_without_underscores, entries))
    private = {_without_underscores(each): each for each in entries if "/_" in each}

    def found(path: str) -> str:
        other = _without_underscores(path)
        return private.get(other, path) if path not in entries and open_names[other] == 1 else path

    pairs: list[tuple[Weight, str | None]] = [
        (each, found(place(each.path))) for each in weights_of(model, order)
    ]
    claimed = {where for _, where in pairs}
    left = [
        each for each in entries if each not in claimed and not any(word in f"{each}/" for word in _BESIDE)
    ]
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise WeightMismatchError(
            f"The file holds {shorten(left[0])}{more}, for which the model has no weight. Fix: a model of the same layers."
        )
    return pairs


def _by_names(file: Opened, model: Any, order: Order | None) -> list[tuple[Weight, str | None]]:
    """The weights layer by layer, as the older `.h5` files have them: those that have some, in their order."""
    home = "model_weights" if "model_weights" in file.weights.groups else ""
    stored = []
    for name in file.weights.texts(home, "layer_names") or []:
        group = f"{home}/{name}" if home else name
        if group not in file.weights.groups:
            raise CorruptFileError(f"{file.where} lists the layer {shorten(name)}, and holds no such group.")
        places = [f"{group}/{each}" for each in file.weights.texts(group, "weight_names") or []]
        if places:
            stored.append((name, places))
    layers = order[id(model)] if order is not None and id(model) in order else layers_of(model)
    wanted = [(layer, weights) for layer, weights in by_layers(layers, order) if weights]
    if len(wanted) != len(stored):
        raise WeightMismatchError(
            f"The file has weights of {len(stored)} layers, and the model {len(wanted)} layers with weights. "
            "Fix: a model of the same layers."
        )
    pairs: list[tuple[Weight, str | None]] = []
    for (layer, weights), (name, places) in zip(wanted, stored, strict=True):
        if len(weights) != len(places):
            raise WeightMismatchError(
                f"The layer {layer.name!r} has {len(weights)} weights, and {shorten(name)} in the file {len(places)}. "
                "Fix: a layer with the same arguments."
            )
        pairs += zip(weights, places, strict=True)
    return pairs


def _resume(file: Opened, model: Any) -> None:
    """Compile a model as its file says, and have its optimizer go on."""
    restore_training(model, compiling.arguments(file.training, "$.compile_config"), None, {})
    places = _optimizer_places(file)
    rule = model.trainer.optimizer
    if not slots.is_known(rule):
        if len(places) > 2:
            slots.warn_of_unknown(type(rule).__name__)
        return
    weights = slots.trained(model)
    if not weights:
        return
    if not places and file.keras < (3,) and not file.in_layers:
        # the .keras files of that time kept the state of its new optimizers, and not of those called legacy
        slots.warn_of_unknown(type(rule).__name__)
        return
    expected = _expected(file, rule, weights, [file.weights.entries[each].shape for each in places])
    if expected is None and len(places) <= 2:  # no step was taken
        return
    if expected is None:
        raise WeightMismatchError(
            explain(
                f"The optimizer {type(rule).__name__}",
                got=f"{len(places)} variables for {len(weights)} weights that are trained",
                expected=f"{len(slots.variables_of(rule, weights))}",
                fix="load_model(path, compile=False), and compile it anew",
            )
        )
    slots.load(model, weights, expected, (file.weights.tensor(each) for each in places))


def _optimizer_places(file: Opened) -> list[str]:
    """Where the variables of the optimizer stand, in their order."""
    if file.in_layers:
        names = (
            file.weights.texts("optimizer_weights", "weight_names")
            if "optimizer_weights" in file.weights.groups
            else None
        )
        places = [f"optimizer_weights/{each}" for each in names or []]
    else:
        numbered = {
            int(each.rpartition("/")[2]): each
            for each in file.weights.entries
            if each.startswith("optimizer/vars/") and each.rpartition("/")[2].isdecimal()
        }
        places = [numbered[number] for number in sorted(numbered)]
    missing = next((each for each in places if each not in file.weights.entries), None)
    if missing is not None:
        raise CorruptFileError(f"{file.where} lists {shorten(missing)}, and does not hold it.")
    return places


def _expected(
    file: Opened, rule: Any, weights: Sequence[Weight], shapes: Sequence[tuple[int, ...]]
) -> list[slots.Variable] | None:
    """The variables of an optimizer as the version that wrote the file listed them; None where none did such."""
    for found in older.optimizer_layouts(file.keras, file.training, rule, weights):
        if len(found) == len(shapes) and all(
            each.shape in (None, shape) for each, shape in zip(found, shapes, strict=True)
        ):
            return found
    return None


_keras = Keras()
formats.register(_keras, *formats.KERAS)
