"""A registry knows classes and functions by name, and says which name was meant."""

from __future__ import annotations

import threading

import pytest

import torchfunc as tf
from torchfunc import registry
from torchfunc.errors import TorchfuncError, UnknownNameError
from torchfunc.registry import Registry, custom_name_of, custom_object, custom_object_scope


class Relu:
    pass


def test_a_name_leads_to_its_object_and_the_first_name_back() -> None:
    known = Registry("shape")
    assert known.add(Relu, "relu", "ReLU") is Relu
    assert known.lookup("relu") is known.lookup("ReLU") is Relu
    assert known.name_of(Relu) == "relu" and known.name_of(object()) is None
    assert "relu" in known and "elu" not in known and list(known) == ["relu", "ReLU"] and len(known) == 2


def test_without_a_name_an_object_has_its_own() -> None:
    known = Registry("shape")

    @known.register()
    class Square:
        pass

    assert known.lookup("Square") is Square
    assert known.register("again")(Square) is Square


def test_a_name_stands_for_one_thing() -> None:
    known = Registry("shape")
    known.add(Relu, "relu")
    known.add(Relu, "relu")
    with pytest.raises(
        TorchfuncError, match=r"The shape name 'relu' already stands for .*Choose another name"
    ):
        known.add(object(), "relu")


def test_an_unknown_name_comes_with_the_nearest() -> None:
    known = Registry("loss")
    known.add(Relu, "binary_crossentropy")
    with pytest.raises(UnknownNameError) as caught:
        known.lookup("binary_crossentopy", fix="Or register it.")
    assert str(caught.value) == (
        "Unknown loss 'binary_crossentopy'. Did you mean 'binary_crossentropy'? Or register it."
    )
    assert caught.value.kind == "loss" and caught.value.name == "binary_crossentopy"


def test_names_are_compared_whole_and_never_walked() -> None:
    for name in ("torch.os", "os.system", "layers.Dense", "__class__", "dense", "", " Dense"):
        with pytest.raises(UnknownNameError):
            registry.layers.lookup(name)


def test_custom_objects_are_known_within_their_scope_and_never_hide_ours() -> None:
    known = Registry("shape")
    known.add(Relu, "relu")
    mine = object()
    with custom_object_scope({"mine": mine, "relu": mine}):
        assert known.lookup("mine") is mine and known.lookup("relu") is Relu and "mine" in known
        assert custom_name_of(mine) == "mine" and custom_object("mine") is mine
        with custom_object_scope({"inner": Relu}):
            assert known.lookup("inner") is Relu and known.lookup("mine") is mine
        with custom_object_scope(None), pytest.raises(UnknownNameError, match=r"Did you mean 'mine'\?"):
            known.lookup("mina")
        assert "inner" not in known
    assert "mine" not in known and custom_name_of(mine) is None and custom_object("mine") is None


def test_a_scope_is_left_after_an_error_and_unseen_by_other_threads() -> None:
    seen: list[object] = []
    with pytest.raises(KeyError), custom_object_scope({"mine": 1}):
        thread = threading.Thread(target=lambda: seen.append(custom_object("mine")))
        thread.start()
        thread.join()
        raise KeyError
    assert seen == [None] and custom_object("mine") is None


def test_a_class_of_ones_own_is_registered_by_a_decorator() -> None:
    @tf.register("TestOnlyLayer")
    class Layer(tf.layers.Layer):
        pass

    assert registry.layers.lookup("TestOnlyLayer") is Layer
