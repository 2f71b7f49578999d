"""The list of functions that emission writes and files may mention holds what computes, and nothing else."""

from __future__ import annotations

import ast
import inspect
import operator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import get_overridable_functions

from torchfunc import functions


def test_each_function_has_one_name_and_each_name_its_function() -> None:
    for name, function in functions.by_spelling().items():
        assert callable(function)
        assert functions.by_spelling()[functions.spelling_of(function)] is function, name  # type: ignore[index]
    assert functions.by_name()["torch.cat"] is torch.cat and functions.name_of(torch.cat) == "torch.cat"
    assert functions.name_of(torch.nn.functional.gelu) == "F.gelu"
    assert functions.name_of(operator.add) == "operator.add"


@pytest.mark.parametrize(
    "thing", [print, exec, torch.load, torch.save, torch.compile, len, object(), None, []]
)
def test_what_is_not_listed_has_no_name(thing: Any) -> None:
    assert functions.name_of(thing) is None


FORBIDDEN = (
    "load save from_file compile set_num_threads set_default_dtype set_default_device manual_seed seed "
    "use_deterministic_algorithms import_ir_module _import_dotted_name classproperty hub os sys builtins jit "
    "utils ops library set_flush_denormal set_printoptions set_rng_state autocast no_grad frombuffer from_numpy"
).split()


def test_nothing_that_reads_files_or_changes_settings_is_listed() -> None:
    listed = functions.by_name()
    for name in FORBIDDEN:
        assert f"torch.{name}" not in listed and f"F.{name}" not in listed
        assert name not in functions.METHODS


def test_nothing_that_works_in_place_is_listed() -> None:
    words = [name.rpartition(".")[2] for name in functions.by_name()]
    allowed = {"and_", "or_"}
    assert not [word for word in (*words, *functions.METHODS) if word.endswith("_") and word not in allowed]
    assert (
        not {"set", "apply", "map", "data_ptr", "numpy", "tolist", "backward", "register_hook"}
        & functions.METHODS
    )


def test_only_tensors_and_numbers_come_in_from_names_of_a_known_form() -> None:
    for name in functions.by_name():
        prefix, _, word = name.rpartition(".")
        assert prefix.split(".")[0] in ("torch", "F", "operator", "ops", "random")
        assert word.isidentifier() and not word.startswith("_")


def test_every_method_and_attribute_is_one_of_a_tensor() -> None:
    assert all(callable(getattr(Tensor, name)) for name in functions.METHODS)
    assert not any(callable(getattr(Tensor, name)) for name in functions.ATTRIBUTES)
    assert not any(name.startswith("_") for name in functions.METHODS | functions.ATTRIBUTES)


def test_most_of_what_pytorch_lets_others_override_is_listed() -> None:
    found = get_overridable_functions()
    listed = set(map(id, functions.by_name().values()))
    for home, share in (
        (torch.nn.functional, 0.95),
        (torch.linalg, 0.9),
        (torch.fft, 0.9),
        (torch.special, 0.9),
    ):
        public = [each for each in found[home] if not each.__name__.startswith("_")]
        covered = sum(id(each) in listed for each in public)
        assert covered >= share * len(public), (home, covered, len(public))


def test_the_lists_are_sorted_and_without_doubles() -> None:
    for text in (functions.TORCH, functions.FUNCTIONAL, functions.LINALG, functions.FFT, functions.SPECIAL):
        words = text.split()
        assert words == sorted(set(words))


def test_every_operator_has_its_sign() -> None:
    for name, sign in functions.OPERATORS.items():
        assert ast.parse(f"a {sign} b")
        assert getattr(operator, name)(5, 3) == eval(f"5 {sign} 3") if name != "matmul" else True
    for name, sign in functions.UNARY.items():
        assert getattr(operator, name)(5) == eval(f"{sign}5")


def test_the_names_stand_in_the_file_one_by_one() -> None:
    source = inspect.getsource(functions)
    assert "vars(torch)" not in source and "dir(torch" not in source and "eval" not in source


def test_what_is_withheld_is_written_by_emission_and_named_by_no_file() -> None:
    for name in functions.WITHHELD:
        home, _, word = name.rpartition(".")
        if home == "x":
            assert callable(getattr(Tensor, word)) and word not in functions.METHODS
            continue
        function = functions.by_spelling()[name]
        assert functions.spelling_of(function) == name and functions.name_of(function) is None
        assert name not in functions.by_name()
