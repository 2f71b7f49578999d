"""Saving and loading: a model as one archive of its config, its weights and the state of its training."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.utils._device  # what `torch.device("meta")` would import
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from torchfunc import native, registry, rooms
from torchfunc.config import described, in_either_order, made, plain
from torchfunc.errors import (
    ConfigError,
    NotATorchfuncFileError,
    SavingError,
    WeightMismatchError,
    explain,
    shorten,
)
from torchfunc.graph.probing.bounds import importing_if_need_be
from torchfunc.graph.spec import Spec
from torchfunc.layers.layer import Layer
from torchfunc.layers.weights import without_initializing
from torchfunc.models.resuming import restore_training, split
from torchfunc.saving import archive
from torchfunc.saving.formats import format_of
from torchfunc.saving.graph_json import bounded_by, build_inner, built_config, in_a_file
from torchfunc.saving.objects import reads_models
from torchfunc.schemas import budget
from torchfunc.tree import map_leaves

OPTIMIZER = "optimizer/"
KEYS = {"model": None, "build": None, "built": None, "frozen": None, "compile": None, "training": None}.keys()


def save_model(
    model: Any, filepath: archive.Place, *, overwrite: bool = True, shard_bytes: int | None = None
) -> None:
    """Write a whole model; see `Model.save`."""
    if (other := format_of(filepath)) is not None:
        other.save_model(model, filepath, overwrite)
        return
    rooms.everything()  # so that a name means here what it means to who reads it, and no reader has to import a room
    with in_a_file():
        config: dict[str, Any] = {"model": described(model, model.name), "build": _build_config(model)}
    if config["build"] is not None:
        config["built"] = built_config({"model": model}, themselves=True)
    if not _says_what_is_trained(model):
        parameters = model.named_parameters(remove_duplicate=False)
        config["frozen"] = [name for name, each in parameters if not each.requires_grad]
    tensors = dict(_contiguous(model.state_dict()))
    if model.trainer is not None:
        config["compile"] = model.trainer.get_config()
        state, slots = split(model.trainer.state_dict())
        config["training"] = state
        tensors.update({OPTIMIZER + name: tensor for name, tensor in slots.items()})
    archive.write(filepath, config, tensors, overwrite=overwrite, shard_bytes=shard_bytes)


@reads_models
def load_model(
    filepath: archive.Place,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    *,
    device: torch.device | str | None = None,
) -> Any:
    """The model in a file: architecture, weights, compile configuration, optimizer state.

    The file is data: nothing in it is executed, and it can name only torchfunc's own layers, the
    functions that torchfunc lists, and what the caller gives in `custom_objects`.

    Args:
        filepath: what `Model.save` wrote: a `.safetensors` file, a directory, or an open binary file such as
            `io.BytesIO`, which is read from where it stands and left right behind the model.
        custom_objects: your own classes and functions by the names in the file.
        compile: whether the model comes back compiled, ready to go on training.
        device: where the weights are put; the CPU by default.

    Returns:
        A Model, a Sequential, or an object of your class.

    Raises:
        NotATorchfuncFileError: a file of another kind.
        CorruptFileError: a damaged or incomplete file.
        UnsupportedVersionError: a file of a newer torchfunc.
        ConfigError: a config that says no valid model.
        UnknownNameError: a class or function that nobody knows.
        WeightMismatchError: tensors that are not the ones that the model needs.

    Example:
        >>> model.save("model.safetensors")
        >>> again = load_model("model.safetensors")
        >>> images = torch.rand(2, 8, 8, 3)
        >>> torch.equal(again.eval()(images), model.eval()(images))
        True
    """
    if (other := format_of(filepath)) is not None:
        return other.load_model(filepath, custom_objects, compile, device)
    made = _FromFile(filepath, with_training=compile)
    with registry.custom_object_scope(custom_objects), in_a_file(), _drawing_elsewhere():
        found = archive.read(filepath, check=made.check)
        model = made.filled(found.tensors)
        _freeze(model, found.config.get("frozen"))
        if device is not None:
            model.to(device)
        if compile and found.config.get("compile") is not None:
            _restore_training(model, found)
    return model


class _FromFile:
    """The model that a file holds: made without data, compared with the header of the file, and then filled.

    Its weights are the tensors of the file. A model that runs code of yours when it is made, of which nobody
    knows what it does without data, is made once more with data, when it is known that these fit.
    """

    def __init__(self, filepath: Any, *, with_training: bool) -> None:
        self.filepath = filepath
        self.with_training = with_training
        self.config: dict[str, Any] = {}
        self.model: Any = None

    def check(self, config: dict[str, Any], specs: Mapping[str, Any]) -> list[str] | None:
        """Compare the tensors that the config needs with those in the header, before any is allocated.

        Returns:
            The names of those to read; None for all.
        """
        if not config:
            raise NotATorchfuncFileError(
                f"'{self.filepath}' holds weights and no model. Fix: build the model, then model.load_weights(path)."
            )
        if set(config) - KEYS or "model" not in config:
            raise ConfigError(f"$: expected the keys {', '.join(KEYS)}, got {shorten(sorted(config))}.")
        self.config = config
        with torch.device("meta"), bounded_by(config), budget(len(specs)):
            self.model = importing_if_need_be(lambda: _made(config))
        state = self.model.state_dict(keep_vars=True)
        lazy = {name for name, each in state.items() if is_lazy(each)}
        expected = {name: (tuple(each.shape), each.dtype) for name, each in state.items() if name not in lazy}
        stored = {
            name: spec for name, spec in specs.items() if not name.startswith(OPTIMIZER) and name not in lazy
        }
        # floats come in the dtype in which the model was saved, as after `model.double()`
        for name, (shape, dtype) in expected.items():
            if name in stored and dtype.is_floating_point and stored[name][1].is_floating_point:
                expected[name] = (shape, stored[name][1])
        _compare(expected, stored)
        _freeze(self.model, config.get("frozen"))
        return None if self.with_training else [name for name in specs if not name.startswith(OPTIMIZER)]

    def filled(self, tensors: Mapping[str, Tensor]) -> Any:
        """The model with these tensors."""
        weights = {name: each for name, each in tensors.items() if not name.startswith(OPTIMIZER)}
        if runs_code_of_yours(self.model):
            with bounded_by(self.config), budget(len(tensors)):
                self.model = importing_if_need_be(lambda: _made(self.config))
            take_dtypes(self.model, weights)
            fill(self.model, weights)
        else:
            fill(self.model, weights, assign=True)
            place_what_is_empty(self.model)
        _tie(self.model, weights)
        return self.model


def _weight_of(model: nn.Module, name: str) -> Any:
    path, _, last = name.rpartition(".")
    owner: Any = model
    for part in path.split(".") if path else ():
        owner = None if owner is None else owner._modules.get(part)
    return None if owner is None else {**owner._parameters, **owner._buffers}.get(last)


def runs_code_of_yours(model: nn.Module) -> bool:
    """Whether a class is neither of torchfunc nor of PyTorch, or a module keeps numbers that no file has."""
    for module in model.modules():
        if not type(module).__module__.startswith(("torchfunc.", "torch.")):
            return True
        kept = [module._buffers[each] for each in module._non_persistent_buffers_set]
        if any(issubclass(kind, Tensor) for kind in set(map(type, vars(module).values()))):
            kept += vars(module).values()
        if any(isinstance(each, Tensor) and each.is_meta and each.numel() for each in kept):
            return True
    return False


def place_what_is_empty(model: nn.Module) -> None:
    """Have the tensors on the CPU that hold no number and only say a dtype."""
    for module in model.modules():
        for name in module._non_persistent_buffers_set:
            if (buffer := module._buffers[name]) is not None and buffer.is_meta:
                module._buffers[name] = torch.empty_like(buffer, device="cpu")


def _drawing_elsewhere() -> AbstractContextManager[Any]:
    """Within it no random number is drawn from the generator of the process, as only constructors of yours would."""
    return _DrawnElsewhere() if registry.has_custom_objects() else nullcontext()


class _DrawnElsewhere(TorchFunctionMode):
    """Within it no random number is drawn from the generator of the process, which a load leaves as it is.

    Weights without data are not drawn at all: PyTorch would import its compiler to say what that gives.
    """

    def __init__(self) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(0)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        weight = args[0] if args else kwargs.get("tensor")
        if name in _INITIALIZING and isinstance(weight, Tensor) and weight.is_meta:
            return weight
        if name in _DRAWING and kwargs.get("generator") is None and torch.get_default_device().type == "cpu":
            kwargs = {**kwargs, "generator": self._generator}
        return func(*args, **kwargs)


_INITIALIZING = frozenset(
    "normal_ uniform_ trunc_normal_ orthogonal_ fill_ zero_ ones_ zeros_ constant_ erfinv_ clamp_ mul_ add_".split()
)
_DRAWING = frozenset(
    "bernoulli bernoulli_ cauchy_ exponential_ geometric_ log_normal_ multinomial normal normal_ poisson "
    "rand randint randn random_ randperm uniform_".split()
)


def take_dtypes(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Turn each weight to the dtype that it was saved in."""
    for prefix, module in model.named_modules(remove_duplicate=False):
        own = {**module._parameters, **module._buffers}
        for name, tensor in own.items():
            stored = tensors.get(f"{prefix}.{name}" if prefix else name)
            if tensor is not None and stored is not None and tensor.dtype != stored.dtype:
                tensor.data = tensor.data.to(stored.dtype)


def _tie(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Make one parameter of those that were saved as one tensor under several names."""
    first: dict[int, nn.Parameter] = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, each in module._parameters.items():
            stored = tensors.get(f"{prefix}.{name}" if prefix else name)
            if each is not None and stored is not None:
                module._parameters[name] = first.setdefault(id(stored), each)


def _says_what_is_trained(module: nn.Module, above: bool = True) -> bool:
    """Whether a config says of each parameter whether it is trained: by the `trainable` of layers and models."""
    trained = above and (not isinstance(module, Layer) or module._trainable)
    graph = getattr(module, "_live", None) is not None
    own = [each.requires_grad for each in module._parameters.values() if each is not None]
    if graph:  # what is the model's own stands with the table
        return (trained or not any(own)) and all(
            _says_what_is_trained(each, trained) for each in module._modules.values() if each is not None
        )
    children = [each for each in module.modules() if each is not module]
    if children:  # in how far a `trainable` of its reaches them is its own affair
        layers = [each for each in (module, *children) if isinstance(each, Layer)]
        every = {each.requires_grad for each in module.parameters()} | {each._trainable for each in layers}
        return every <= {above}
    return all(each is trained for each in own)


def _freeze(model: nn.Module, names: Any) -> None:
    """Train every parameter but these, where a file says so.

    Raises:
        ConfigError: something else than names of parameters.
    """
    if names is None:
        return
    parameters = dict(model.named_parameters(remove_duplicate=False))
    if not isinstance(names, list) or not all(isinstance(each, str) and each in parameters for each in names):
        raise ConfigError(f"$.frozen: expected names of parameters, got {shorten(names)}.")
    frozen = set(names)
    for name, each in parameters.items():
        each.requires_grad_(name not in frozen)


def _compare(expected: Mapping[str, Any], stored: Mapping[str, Any], fix: str = "") -> None:
    problems = [f"{name!r} is missing" for name in expected if name not in stored]
    problems += [f"{shorten(name)} is unknown" for name in stored if name not in expected]
    problems += [
        f"{name!r} is {_spec(stored[name])} instead of {_spec(expected[name])}"
        for name in expected
        if name in stored and expected[name] != stored[name]
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        way = f" Fix: {fix}." if fix else ""
        raise WeightMismatchError(f"The tensors do not fit the model: {'; '.join(problems[:5])}{more}.{way}")


def _spec(spec: Any) -> str:
    shape, dtype = spec
    return f"{tuple(shape)} {plain(dtype)}"


def _made(config: dict[str, Any]) -> Any:
    """The model that a config says, with its weights made for the shapes that it was built for, without values."""
    with without_initializing():
        return in_either_order(lambda: _made_so(config))


def _made_so(config: dict[str, Any]) -> Any:
    model = made(config["model"], "$.model")
    if not isinstance(model, Layer) or not hasattr(model, "_build_from"):
        raise ConfigError(f"$.model: expected a model, got {type(model).__name__}.")
    build, built = config.get("build"), config.get("built")
    if build is not None and not model.built:
        shapes = map_leaves(_Shaped.of, build)
        if built is None:
            build_from: Any = model._build_from
            build_from(shapes)
        else:
            build_inner({"model": model}, built, "$.built")
            model.built_for = map_leaves(lambda each: Spec.of(each.shape, each.dtype), shapes)
    return model


class _Shaped:
    """A shape and a dtype, standing for the data that a model without a graph was built for."""

    def __init__(self, shape: list[Any], dtype: str) -> None:
        self.shape = (None, *shape[1:])
        self.dtype = (
            getattr(torch, dtype)
            if dtype in ("float32", "float64", "int32", "int64", "float16", "bfloat16")
            else None
        )

    @classmethod
    def of(cls, text: Any) -> _Shaped:
        try:
            dtype, *sizes = str(text).split()
            return cls([None if each == "None" else int(each) for each in sizes], dtype)
        except ValueError:
            raise ConfigError(f"$.build: expected a dtype and sizes, got {shorten(text)}.") from None


def _build_config(model: Any) -> Any:
    """What a model without a graph was built for, as `"float32 None 784"` at each leaf; None for others."""
    if model.graph is not None or model.built_for is None:
        return None
    return map_leaves(
        lambda spec: " ".join([plain(spec.dtype), *map(str, (None, *spec.shape[1:]))]),
        model.built_for,
    )


def _restore_training(model: Any, found: archive.Archive) -> None:
    tensors = {
        name.removeprefix(OPTIMIZER): each
        for name, each in found.tensors.items()
        if name.startswith(OPTIMIZER)
    }
    restore_training(model, found.config["compile"], found.config.get("training"), tensors)


def _contiguous(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in state.items() if isinstance(tensor, Tensor)}


def save_weights(
    model: nn.Module, filepath: archive.Place, *, overwrite: bool = True, shard_bytes: int | None = None
) -> None:
    """Write the weights of any module alone; see `Model.save_weights`."""
    if (other := format_of(filepath)) is not None:
        other.save_weights(model, filepath, overwrite)
        return
    weights = _contiguous(model.state_dict())
    archive.write(filepath, {}, weights, overwrite=overwrite, shard_bytes=shard_bytes)


def load_weights(
    model: nn.Module,
    filepath: archive.Place,
    *,
    skip_mismatch: bool = False,
    skipped: Collection[nn.Module] = (),
) -> None:
    """Read the weights of any module from any safetensors file; see `Model.load_weights`."""
    if (other := format_of(filepath)) is not None:
        if skipped:
            why, fix = (
                "only .safetensors files are read in part",
                "load the whole file, and then the old weights anew",
            )
            got = f"objects_to_skip with {str(filepath)!r}"
            raise SavingError(
                explain("load_weights", got=got, expected="no objects_to_skip", why=why, fix=fix)
            )
        other.load_weights(model, filepath, skip_mismatch)
        return
    homes = tuple(f"{name}." for name, each in model.named_modules() if each in skipped)
    expected = {
        name: (tuple(each.shape), each.dtype)
        for name, each in model.state_dict().items()
        if not name.startswith(homes)
    }

    def wanted(specs: Mapping[str, Any]) -> list[str]:
        stored = {
            name: (tuple(shape), dtype)
            for name, (shape, dtype) in specs.items()
            if not name.startswith((OPTIMIZER, *homes))
        }
        if not expected and stored:
            raise WeightMismatchError(
                explain(
                    "load_weights",
                    got=f"{len(stored)} tensors",
                    expected="none",
                    why="the model has no weights until it is called",
                    fix="call the model once, or build it",
                )
            )
        if skip_mismatch:
            return _fitting(expected, stored)
        way = "load_weights(path, skip_mismatch=True) leaves the layers that differ as they are"
        _compare(expected, stored, way)
        return list(stored)

    fill(model, archive.read_tensors(filepath, check=wanted), strict=False)


def _fitting(expected: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """The tensors of the modules of which all fit, with a warning that says which do not."""

    def owner(name: str) -> str:
        return name.rpartition(".")[0]

    differing = {name for name in (*expected, *stored) if expected.get(name) != stored.get(name)}
    left = {owner(name) for name in differing}
    if left:
        names = ", ".join(sorted(each or "the model itself" for each in left))
        warnings.warn(
            f"load_weights left these as they were, since their tensors differ: {names}.", stacklevel=6
        )
    return [name for name in stored if name in expected and owner(name) not in left]


def fill(
    module: nn.Module, tensors: Mapping[str, Tensor], *, strict: bool = True, assign: bool = False
) -> None:
    """`load_state_dict` with all its tensors, known to fit, at a cost linear in their number.

    PyTorch's own looks through all the tensors of a module once for each of its children. So the tensors of
    a graph, and of a container of PyTorch, are dealt out to its children first, and these load their own, by
    whatever hooks they have.
    """
    waiting: list[tuple[nn.Module, Mapping[str, Tensor]]] = [(module, tensors)]
    while waiting:
        owner, given = waiting.pop()
        own: dict[str, Any] = {**owner._parameters, **owner._buffers}
        deals_out = getattr(owner, "_live", None) is not None or _is_plain_container(owner)
        if not deals_out and not (_is_plain_layer(owner) and given.keys() <= own.keys()):
            if assign:
                given = {name: _laid_out_as(_weight_of(owner, name), each) for name, each in given.items()}
            owner.load_state_dict(given, strict=strict, assign=assign)
            continue
        held: dict[str, dict[str, Tensor]] = {}
        for name, tensor in given.items():
            child, _, rest = name.partition(".")
            if rest:
                held.setdefault(child, {})[rest] = tensor
            elif assign:
                homes: Any = owner._parameters if child in owner._parameters else owner._buffers
                tensor = _laid_out_as(own[child], tensor)
                homes[child] = (
                    nn.Parameter(tensor, own[child].requires_grad) if homes is owner._parameters else tensor
                )
            else:
                with torch.no_grad():
                    own[name].copy_(tensor)
        # neither named_children, which drops second names, nor get_submodule, which finds properties first
        waiting += [(owner._modules[child], each) for child, each in held.items()]  # type: ignore[misc]


def _is_plain_container(module: nn.Module) -> bool:
    return type(module) in native.CONTAINERS and not _has_loading_hooks(module)


def _is_plain_layer(module: nn.Module) -> bool:
    """Whether a layer has its weights by now, and no say in how they are loaded."""
    kind = type(module)
    return (
        isinstance(module, Layer)
        and (module.built or not module._has_build())
        and not module._keeps_lists
        and kind.load_state_dict is nn.Module.load_state_dict
        and kind._load_from_state_dict is Layer._load_from_state_dict
        and kind.set_extra_state is nn.Module.set_extra_state
        and not _has_loading_hooks(module)
    )


def _has_loading_hooks(module: nn.Module) -> bool:
    return bool(module._load_state_dict_pre_hooks or module._load_state_dict_post_hooks)


def _laid_out_as(weight: Tensor | None, tensor: Tensor) -> Tensor:
    """The numbers of a tensor in the order in which a weight keeps them in memory."""
    if weight is None or is_lazy(weight) or weight.stride() == tensor.stride():
        return tensor
    return torch.empty_strided(weight.shape, weight.stride(), dtype=tensor.dtype).copy_(tensor)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model whose architecture `Model.to_json` wrote, with new weights.

    Args:
        json_string: the text.
        custom_objects: classes and functions by the names that stand in the text, beside those that are registered.

    Returns:
        A model that is not compiled.

    Raises:
        ConfigError: text that is no JSON, or describes no model.
        UnknownNameError: a class or function that nobody knows.

    Example:
        >>> tf.models.model_from_json(model.to_json()).output_shape
        (None, 2)
    """
    try:
        config = json.loads(json_string)
    except (TypeError, ValueError, RecursionError) as error:
        got = shorten(json_string)
        raise ConfigError(explain("model_from_json", got=got, expected="what Model.to_json wrote")) from error
    with registry.custom_object_scope(custom_objects):
        return made(config, "model_from_json")
