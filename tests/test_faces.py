"""Faces: a public namespace holds names of this library alone, and a signature shows what it takes."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

import pytest
from typing_extensions import Never, Self, Unpack, get_type_hints

from torchfunc import Model, Sequential, layers, optimizers
from torchfunc.callbacks import Callback, LambdaCallback
from torchfunc.errors import CompileError, GraphError, UnknownNameError

NAMESPACES = (
    "torchfunc", *(f"torchfunc.{name}" for name in (
        "activations applications backend callbacks constraints datasets dtype_policies errors initializers interop layers "
        "losses metrics mixed_precision models ops ops.image ops.linalg ops.nn ops.numpy optimizers preprocessing random "
        "regularizers saving schedules training tree utils utils.bounding_boxes vis wrappers "
        "datasets.cifar10 datasets.cifar100 datasets.digits datasets.fashion_mnist datasets.mnist datasets.imdb "
        "datasets.reuters datasets.california_housing preprocessing.image preprocessing.sequence "
        "applications.convnext applications.densenet applications.efficientnet applications.efficientnet_v2 "
        "applications.imagenet_utils applications.inception_resnet_v2 applications.inception_v3 "
        "applications.mobilenet applications.mobilenet_v2 applications.mobilenet_v3 applications.nasnet "
        "applications.resnet applications.resnet50 applications.resnet_v2 applications.vgg16 applications.vgg19 "
        "applications.xception"
    ).split()),
)  # fmt: skip

# A `*` or `**` of a public function or method that is right: what it takes is for somebody else to say.
JUSTIFIED = {
    "call": "the arguments of the function that is called",
    "export": "the options of torch.export or torch.onnx, which change with PyTorch",
    "check_input": "the shape of each argument of a call",
    "native_form": "the symbols, as the layer's own `call` takes them",
    "symbolic_call": "the arguments of the user's own `call`",
    "compute_output_spec": "the arguments of the user's own `call`",
    "result_type": "any number of dtypes, as in Keras",
    "TorchModuleWrapper": "those of every layer, after a name by place as Keras has it",
    "Torch.forward": "the arguments of the module inside",
    "Metric.__call__": "the arguments of a subclass's `update_state`",
    "MeanMetricWrapper": "the arguments of the function that is averaged",
    "CallbackList": "the params of a training, whose names are the user's, as in Keras",
    "_Estimator.fit": "the arguments of `Model.fit`",
    "_Estimator.set_params": "the arguments of the constructor, by scikit-learn's protocol",
    "SKLearnTransformer.fit_transform": "the arguments of `Model.fit`",
    "CallbackList.call": "the arguments of an event",
    "einsum": "as many operands as the subscripts name",
    "meshgrid": "as many vectors as the grid has axes",
    "map_structure": "structures of one form, as many as the user's function takes",
    "map_structure_up_to": "structures of one form, as many as the user's function takes",
    "map_with_path": "trees of one form, as many as the function takes",
    "rearrange": "the names of axes in the user's pattern",
    "Convolution.native_convolution": "what else the module of PyTorch is made with",
    "switch": "the operands of the user's functions",
    "save_img": "the options of PIL.Image.Image.save, which are those of each format",
    "compile": "with the keywords of torch.compile it is `nn.Module.compile`",
}

each_namespace = pytest.mark.parametrize("namespace", NAMESPACES)


def public(module: ModuleType) -> dict[str, Any]:
    return {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}


def home(value: Any) -> str:
    """The module that a thing comes from; an object without one comes from where its class does."""
    if isinstance(value, ModuleType):
        return value.__name__
    return str(getattr(value, "__module__", type(value).__module__))


@each_namespace
def test_a_public_namespace_holds_names_of_this_library_alone(namespace: str) -> None:
    names = public(importlib.import_module(namespace))
    assert {
        name: home(value) for name, value in names.items() if not home(value).startswith("torchfunc")
    } == {}


FOR_TYPES = "_typing.TYPE_CHECKING"
AT_RUN_TIME = {
    "_typing.TYPE_CHECKING": """
from torchfunc.rooms import lazily as _lazily
__getattr__, __dir__, __all__ = _lazily(__name__)
""",
    "not _typing.TYPE_CHECKING": """
from torchfunc.rooms import asking as _asking
__getattr__ = _asking(__name__)
""",
}


def names_in(lines: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The lines of a face, those for type checkers too, without those that answer for names at run time."""
    for line in lines:
        if isinstance(line, ast.If):
            test = ast.unparse(line.test)
            types, run = (line.body, line.orelse) if test == FOR_TYPES else ([], line.body)
            assert "\n".join(map(ast.unparse, run)) == AT_RUN_TIME[test].strip()
            yield from types
        elif ast.unparse(line) != "import typing as _typing":
            yield line


@each_namespace
def test_a_public_namespace_has_one_line_a_name_and_no_list_beside_it(namespace: str) -> None:
    path = Path(importlib.import_module(namespace).__file__ or "")
    docstring, *lines = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    for line in names_in(lines):
        assert isinstance(line, (ast.ImportFrom, ast.Assign)), f"line {line.lineno}: code in a face"
        assert line.lineno == line.end_lineno
        if isinstance(line, ast.Assign):
            assert ast.unparse(line.targets[0]) != "__all__"
        elif path.name == "__init__.py":
            assert [alias.asname for alias in line.names] == [line.names[0].name], f"line {line.lineno}"


def callables(thing: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """A function itself; a class, and its public methods; the methods of an object."""
    if inspect.isroutine(thing):
        yield thing.__name__, thing
        return
    if isinstance(thing, type) and not issubclass(thing, Exception):
        yield thing.__name__, thing
    for base in (thing if isinstance(thing, type) else type(thing)).__mro__:
        for name, value in vars(base).items():
            is_public = not name.startswith("_") or name == "__call__"
            if is_public and inspect.isfunction(value) and home(value).startswith("torchfunc"):
                yield f"{base.__name__}.{name}", value


def hidden(function: Callable[..., Any]) -> list[str]:
    """The `*` and `**` in a signature that do not say what they take."""
    parameters = [each for each in inspect.signature(function).parameters.values() if "VAR" in each.kind.name]
    if not parameters or isinstance(function, type):
        return [str(each) for each in parameters]
    hints = get_type_hints(function)
    return [
        str(each)
        for each in parameters
        if hints[each.name] is not Never and get_origin(hints[each.name]) is not Unpack
    ]


def test_no_public_signature_hides_arguments_that_are_known() -> None:
    things = [value for each in NAMESPACES for value in public(importlib.import_module(each)).values()]
    called = dict(pair for each in things if not isinstance(each, ModuleType) for pair in callables(each))
    found = {name: parameters for name, each in called.items() if (parameters := hidden(each))}
    assert {name for name in found if name not in JUSTIFIED and name.split(".")[-1] not in JUSTIFIED} == set()


# a description of inputs, an input, and a wrapper with Keras's name by place
OTHERS = (layers.InputSpec, layers.InputLayer, layers.TorchModuleWrapper)
LAYERS = [kind for kind in public(layers).values() if isinstance(kind, type) and kind not in OTHERS]
OPTIMIZERS = [
    kind
    for kind in public(optimizers).values()
    if isinstance(kind, type) and issubclass(kind, optimizers.Optimizer)
    # whose arguments are those of the ones inside
    if kind not in (optimizers.LossScaleOptimizer, optimizers.MultiOptimizer)
]


@pytest.mark.parametrize("kind", [*LAYERS, Model, Sequential], ids=lambda kind: kind.__name__)
def test_a_layer_shows_the_arguments_that_all_layers_have(kind: type) -> None:
    parameters = inspect.signature(kind).parameters
    common = {
        "name": None,
        "trainable": True,
        "dtype": None,
        "activity_regularizer": None,
        "input_shape": None,
    }
    if kind is layers.ActivityRegularization:
        del common["activity_regularizer"]  # which is what it makes
    assert {name: parameters[name].default for name in common} == common
    assert list(parameters)[-1] in ("input_shape", "weights")


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_an_optimizer_shows_the_arguments_that_all_optimizers_have(kind: type) -> None:
    parameters = inspect.signature(kind).parameters
    common = {"clipnorm": None, "clipvalue": None, "use_ema": False, "ema_momentum": 0.99, "name": None}
    assert {name: parameters[name].default for name in common} == common
    assert "weight_decay" in parameters


def test_a_signature_is_written_out_to_the_end() -> None:
    shown = [
        str(each.replace(annotation=each.empty))
        for each in inspect.signature(layers.Dropout).parameters.values()
    ]
    assert ", ".join(shown) == (
        "rate, noise_shape=None, seed=None, name=None, trainable=True, dtype=None, activity_regularizer=None, "
        "input_shape=None"
    )


def test_an_editor_looks_at_the_constructor_of_a_layer() -> None:
    """By the typing rules for constructors `__init__` counts only where `__new__` returns an object of the class."""
    assert get_type_hints(layers.Layer.__new__)["return"] is Self


def test_a_lambda_callback_shows_every_event() -> None:
    events = {name for name in dir(Callback) if name.startswith("on_")}
    assert set(inspect.signature(LambdaCallback).parameters) == events


def test_a_class_of_the_users_shows_what_it_says_itself() -> None:
    class Scale(layers.Layer):
        def __init__(self, factor: float, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    assert list(inspect.signature(Scale).parameters) == ["factor", "kwargs"]


def test_an_object_that_is_called_shows_the_arguments_of_its_call() -> None:
    assert "units" not in inspect.signature(layers.Dense(2)).parameters


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (
            lambda: layers.Dense(2, trianable=False),
            GraphError,
            "Dense has no argument 'trianable'. Did you mean 'trainable'?",
        ),
        (lambda: layers.LSTM(2, unts=3), GraphError, "LSTM has no argument 'unts'. Did you mean 'units'?"),
        (lambda: Model(nmae="m"), GraphError, "Model has no argument 'nmae'. Did you mean 'name'?"),
        (
            lambda: optimizers.SGD(momentun=0.9),
            CompileError,
            "SGD: got unknown argument 'momentun'. Fix: write momentum.",
        ),
        (
            lambda: LambdaCallback(on_epoch_ends=print),
            UnknownNameError,
            "Unknown callback event 'on_epoch_ends'. Did you mean 'on_epoch_end'?",
        ),
    ],
)
def test_a_misspelt_argument_is_told_the_one_that_was_meant(
    make: Callable[[], Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value) == words
