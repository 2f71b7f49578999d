"""Whatever a forward does to its module while it is tried, the module is as before, and soon compared."""

from __future__ import annotations

import dataclasses
import random
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc.errors import GraphError
from torchfunc.interop import torchvision


class Recent(OrderedDict[str, Any]):
    """The cache that Python's documentation shows: what is read or written moves to the end."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.hits = 0

    def __getitem__(self, key: str) -> Any:
        self.hits += 1
        value = super().__getitem__(key)
        self.move_to_end(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self.size:
            del self[next(iter(self))]


class Bunch(dict[str, Any]):
    """A dict whose keys are its attributes, one of them called as a method of dicts."""

    def __init__(self, **items: Any) -> None:
        super().__init__(items)
        self.__dict__ = self


@dataclasses.dataclass
class Book:
    pages: int = 0
    notes: list[Any] = dataclasses.field(default_factory=list)


class Holding(nn.Module):
    """A module that holds something of every kind, and changes it in the way that it is told."""

    def __init__(self, change: Callable[[Any, Tensor], Any], end: str = "returns") -> None:
        super().__init__()
        self.change = [change]
        self.end = end
        self.deep = ([{"a": [{"b": [1, 2]}]}],)
        self.kinds = {"a", "b"}
        self.line = deque([1, 2, 3], maxlen=3)
        self.book = Book(notes=[Book()])
        self.space = types.SimpleNamespace(inner=types.SimpleNamespace(last=0))
        self.cache = Recent(2)
        self.cache["a"], self.cache["b"] = 1, 2
        self.ordered = OrderedDict(a=1, b=2)
        self.bunch = Bunch(values=[1], b=2)
        self.counter = Counter("aab")
        self.groups = defaultdict(list, a=[1])
        self.left, self.right = [object(), object()], [object()]
        self.long = [object() for _ in range(300)]
        self.number = 1
        self.linear = nn.Linear(3, 3)
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("kept_out", torch.zeros(3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        if self.end == "fails in the second world" and len(x) < 100:
            return y
        self.change[0](self, x)
        if self.end.startswith("fails"):
            raise KeyError("in the middle")
        return y * 2 if self.end == "looks at values" and y.sum().item() > 0 else y


def picture(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """What a value holds, and which objects these are."""
    if id(value) in seen:
        return id(value)
    seen = (*seen, id(value))
    held = [id(value), type(value)]
    if isinstance(value, OrderedDict):
        held += [(id(key), picture(each, seen)) for key, each in OrderedDict.items(value)]
    elif isinstance(value, dict):
        held += [(id(key), picture(each, seen)) for key, each in dict.items(value)]
    elif isinstance(value, (list, tuple, deque)):
        held += [picture(each, seen) for each in value]
    elif isinstance(value, set):
        held += sorted(map(id, value))
    if not isinstance(value, (type, Tensor, types.FunctionType)) and hasattr(value, "__dict__"):
        held.append(picture(value.__dict__, seen))
    return held


def numbers() -> Any:
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[union-attr]


def replaced_by_an_equal_one(module: Any, x: Tensor) -> None:
    module.line[0] = True
    module.number = 1.0


def swapped(module: Any, x: Tensor) -> None:
    module.ordered["a"], module.ordered["b"] = module.ordered["b"], module.ordered["a"]


def changed_together(module: Any, x: Tensor) -> None:
    module.deep[0][0]["a"].append(x)
    module.deep = module.kinds = None
    module.cache["c"] = x
    del module.book, module.linear


CHANGES: dict[str, Callable[[Any, Tensor], Any]] = {
    "a list deep within": lambda m, x: m.deep[0][0]["a"][0]["b"].append(x),
    "a dict deep within": lambda m, x: m.deep[0][0]["a"][0].update(c=x),
    "a set gains": lambda m, x: m.kinds.add(x),
    "a set loses": lambda m, x: m.kinds.discard("a"),
    "a set is emptied": lambda m, x: m.kinds.clear(),
    "a deque turns": lambda m, x: m.line.rotate(),
    "a deque drops its first": lambda m, x: m.line.append(x),
    "a field of a dataclass": lambda m, x: setattr(m.book, "pages", 7),
    "a dataclass in the list of a dataclass": lambda m, x: setattr(m.book.notes[0], "pages", 7),
    "a new field of a dataclass": lambda m, x: setattr(m.book, "author", x),
    "a namespace in a namespace": lambda m, x: setattr(m.space.inner, "last", x),
    "a cache is written": lambda m, x: m.cache.update(c=x),
    "a cache is read": lambda m, x: m.cache["a"],
    "an ordered dict turns": lambda m, x: m.ordered.move_to_end("a"),
    "values are swapped": swapped,
    "an attribute of a dict": lambda m, x: setattr(m.bunch, "b", x),
    "a list in a dict that is its own attributes": lambda m, x: m.bunch["values"].append(x),
    "a counter counts": lambda m, x: m.counter.update("abc"),
    "a default is made": lambda m, x: m.groups["b"].append(x),
    "an object moves from one list to the next": lambda m, x: m.right.insert(0, m.left.pop()),
    "a long list is reversed": lambda m, x: m.long.reverse(),
    "an attribute is added": lambda m, x: setattr(m, "made", x),
    "an attribute is deleted": lambda m, x: delattr(m, "number"),
    "an attribute is deleted and made again": lambda m, x: (delattr(m, "number"), setattr(m, "number", 1)),
    "an equal object": replaced_by_an_equal_one,
    "a mode": lambda m, x: m.train(not m.training),
    "a hook": lambda m, x: m.linear.register_forward_hook(lambda *args: None),
    "a module is added": lambda m, x: setattr(m, "second", nn.Linear(3, 3)),
    "a module is deleted": lambda m, x: delattr(m, "linear"),
    "a module is replaced": lambda m, x: setattr(m, "linear", nn.Linear(3, 3)),
    "a buffer is added": lambda m, x: m.register_buffer("made", torch.zeros(2)),
    "a buffer is replaced": lambda m, x: setattr(m, "total", m.total + 1),
    "a buffer becomes persistent": lambda m, x: m.register_buffer("kept_out", m.kept_out),
    "a parameter is replaced": lambda m, x: setattr(m.linear, "weight", nn.Parameter(torch.ones(3, 3))),
    "many at once": changed_together,
    "numbers are drawn": lambda m, x: (torch.rand(2), np.random.rand(), random.random()),
}
ENDS = ("returns", "looks at values", "fails", "fails in the second world")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_forward_changes_is_as_before(change: Callable[[Any, Tensor], Any], end: str) -> None:
    module = Holding(change, end)
    state = {name: (value, value._version, value.clone()) for name, value in module.state_dict().items()}
    before, drawn = picture(module), numbers()
    if end.startswith("fails"):
        with pytest.raises(GraphError, match="'in the middle'"):
            module(tf.Input((3,)))
    else:
        assert module(tf.Input((3,))).shape == (None, 3)
    assert picture(module) == before and numbers() == drawn
    for name, value in module.state_dict().items():
        assert value._version == state[name][1] and torch.equal(value, state[name][2])


def test_a_change_in_one_world_is_not_seen_in_the_next() -> None:
    seen: list[Any] = []

    def change(module: Any, x: Tensor) -> None:
        seen.append((len(x), list(module.line), len(module.deep[0]), hasattr(module, "made")))
        module.line.append(4)
        module.deep[0].append(4)
        module.made = 4

    Holding(change)(tf.Input((3,)))
    assert seen == [(size, [1, 2, 3], 1, False) for size in (96, 192, 1)]


def draw(*args: Any) -> None:
    random.random()
    np.random.rand()


def noisy(x: Tensor) -> Tensor:
    draw()
    return x


def with_a_hook(module: nn.Module) -> nn.Module:
    module.register_forward_pre_hook(draw)
    return module


def with_a_forward_of_its_own(module: nn.Module) -> nn.Module:
    module.forward = noisy  # type: ignore[method-assign]
    return module


DRAWING: dict[str, Callable[[], nn.Module]] = {
    "a hook": lambda: with_a_hook(nn.Linear(4, 4)),
    "a hook inside": lambda: nn.Sequential(nn.Sequential(with_a_hook(nn.Linear(4, 4)))),
    "a forward": lambda: with_a_forward_of_its_own(nn.Linear(4, 4)),
    "an activation": lambda: nn.TransformerEncoderLayer(4, 2, 8, activation=noisy),
    "a parametrization": lambda: nn.utils.parametrize.register_parametrization(
        nn.Linear(4, 4), "weight", Noisy()
    ),
}


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return noisy(x)


@pytest.mark.parametrize("make", DRAWING.values(), ids=DRAWING)
def test_code_that_was_given_to_a_module_of_pytorch_leaves_every_random_number_alone(
    make: Callable[[], nn.Module],
) -> None:
    module = make()
    x = tf.Input((5, 4))
    drawn = numbers()
    module(x)
    assert numbers() == drawn


def calls(build: Callable[[], Any]) -> int:
    """How many calls of torchfunc's own Python it takes."""
    home = str(Path(tf.__file__).parent)
    count = 0

    def watch(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(home)

    build()
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        build()
    finally:
        sys.setprofile(before)
    return count


def encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)


FEW: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "linear": (lambda: nn.Linear(784, 64), (784,), 185),
    "block": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()), (3, 16, 16), 300),
    "encoder": (encoder, (7, 16), 600),
    "resnet": (lambda: torchvision.load().models.resnet18(weights=None), (3, 64, 64), 3000),
}


@pytest.mark.parametrize(("make", "shape", "most"), FEW.values(), ids=FEW)
def test_a_native_module_is_tried_in_few_calls(
    make: Callable[[], nn.Module], shape: tuple[int, ...], most: int
) -> None:
    module, x = make(), tf.Input(shape)
    assert 0 < calls(lambda: module(x)) <= most
