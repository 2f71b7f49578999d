"""Objects whose config, repr and name follow from their constructor's arguments."""

from __future__ import annotations

import numpy as np
import pytest

from torchfunc import config
from torchfunc.config import Configurable
from torchfunc.errors import ConfigError, SavingError
from torchfunc.registry import Registry, custom_object_scope


class Shade(Configurable):
    def __init__(self, depth=1, **rest):
        if rest:
            raise TypeError(f"unknown {rest}")
        self.depth = depth


class Hue(Shade):
    def __init__(self, angle, name="hue", **rest):
        super().__init__(**rest)
        self.angle, self.name = angle, name


@pytest.fixture
def shades():
    registry = Registry("shade")
    registry.add(Shade, "Shade", "shade")
    registry.add(Hue)
    return registry


def test_a_config_holds_the_arguments_of_parents_where_they_are_handed_on():
    hue = Hue(np.float32(0.5), depth=np.arange(3))
    assert hue.get_config() == {"angle": 0.5, "name": "hue", "depth": [0, 1, 2]}
    assert repr(hue) == "Hue(angle=0.5, name='hue', depth=[0, 1, 2])"
    assert Hue.from_config(hue.get_config()).get_config() == hue.get_config()


def test_what_was_serialized_is_found_again(shades):
    written = config.serialize(Hue(0.5, depth=(1, 2)), shades)
    assert written == {"class_name": "Hue", "config": {"angle": 0.5, "name": "hue", "depth": [1, 2]}}
    assert config.find(written, shades).get_config() == written["config"]
    assert config.serialize(None, shades) is None
    assert config.serialize(Shade, shades) == "Shade"
    assert config.find("shade", shades).depth == 1


def test_a_class_of_ones_own_is_written_and_read_under_its_name(shades):
    class Tint(Shade):
        pass

    written = config.serialize(Tint(3), shades)
    assert written["class_name"] == "Tint"
    with custom_object_scope({"Tint": Tint}):
        assert type(config.find(written, shades)) is Tint


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (7, "shade: expected a name or a dict with 'class_name', got 7"),
        ({"class_name": 3}, "expected a name or a dict with 'class_name'"),
        ({"class_name": "Shade", "config": [1]}, r"shade 'Shade': expected a dict of arguments, got \[1\]"),
        ({"class_name": "Hue", "config": {}}, "shade 'Hue': got .*missing 1 required positional argument"),
        ({"class_name": "Shade", "config": {"size": 1}}, "shade 'Shade': got {'size': 1}. Unknown"),
    ],
)
def test_a_config_that_says_nothing_valid_is_an_error_of_the_config(shades, written, words):
    with pytest.raises(ConfigError, match=words):
        config.deserialize(written, shades)


def test_what_has_no_name_cannot_be_written(shades):
    with pytest.raises(SavingError, match="The shade <function .*lambda.* something without a name"):
        config.serialize(lambda: 0, shades)
