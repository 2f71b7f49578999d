"""Every kind of data, alone, listed, by name and nested, is fitted, measured and predicted from as plain arrays are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pandas
import pytest
import scipy.sparse
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

import torchfunc as tf
from torchfunc import layers
from torchfunc.tree import leaves, map_leaves
from torchfunc.utils import PyDataset

SAMPLES, SIZE, EPOCHS = 60, 12, 2
_RNG = np.random.default_rng(7)
# truth values, which every dtype has
A, B, C = (_RNG.integers(0, 2, (SAMPLES, 5)).astype("float32") for _ in range(3))
Y = (A.sum(1) + 2 * B.sum(1) + C.sum(1)).astype("int64") % 3

FORMS: dict[str, Any] = {
    "one": A,
    "list": [A, B],
    "dict": {"a": A, "b": B},
    "nested": {"p": [A, B], "q": {"c": C}},
}


def model(form: str) -> tf.Model:
    """A model whose inputs have that form."""
    torch.manual_seed(3)
    names = iter("abc")
    inputs = map_leaves(lambda _: tf.Input((5,), name=next(names)), FORMS[form])
    summed = sum(factor * each for factor, each in enumerate(leaves(inputs), 1))
    made = tf.Model(inputs, layers.Dense(3, activation="softmax", name="kind")(summed))
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def did(form: str, make: Callable[[], tuple[Any, ...]], **options: Any) -> dict[str, Any]:
    """What each verb gives with data, new ones for each of them."""
    made = model(form)
    options = {"verbose": 0, "batch_size": SIZE, **options}
    logs = made.fit(*make(), epochs=EPOCHS, shuffle=False, **options).history
    limit = {"steps": options.pop("steps_per_epoch")} if "steps_per_epoch" in options else {}
    return {
        "fit": [logs["loss"], logs["accuracy"]],
        "evaluate": made.evaluate(*make(), **options, **limit),
        "predict": made.predict(make()[0], **options, **limit),
    }


class OwnArray:
    """An array of another library, as NumPy sees it."""

    def __init__(self, values: Any) -> None:
        self.values, self.shape = values, values.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.values, dtype)

    def __len__(self) -> int:
        return len(self.values)


def mapped(array: Any, folder: Path) -> Any:
    path = folder / f"{len(list(folder.iterdir()))}.dat"
    made = np.memmap(path, array.dtype, "w+", shape=array.shape)
    made[:] = array
    return np.memmap(path, array.dtype, "r", shape=array.shape)


DTYPES = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split()
TENSORS = "float16 bfloat16 float64 int8 int32 int64 uint8 uint16 bool".split()
MAPPED = "float32 float64 uint8".split()
# how an array of features is written down
ARRAYS: dict[str, Callable[[Any, Path], Any]] = {
    **{f"numpy {name}": lambda each, _, name=name: each.astype(name) for name in DTYPES},
    **{f"torch {name}": lambda each, _, name=name: torch.from_numpy(each).to(getattr(torch, name)) for name in TENSORS},
    **{f"memmap {name}": lambda each, folder, name=name: mapped(each.astype(name), folder) for name in MAPPED},
    "big-endian": lambda each, _: each.astype(">f8"),
    "fortran": lambda each, _: np.asfortranarray(each),
    "strided": lambda each, _: np.repeat(each, 2, 0)[::2],
    "objects": lambda each, _: each.astype(object),
    "lists": lambda each, _: each.tolist(),
    "tuples of rows": lambda each, _: [tuple(row) for row in each.tolist()],
    "list of arrays": lambda each, _: list(each),
    "frame": lambda each, _: pandas.DataFrame(each),
    "frame of mixed columns": lambda each, _: pandas.DataFrame(each).astype({0: "int8", 1: "bool", 2: "float64"}),
    "csr": lambda each, _: scipy.sparse.csr_matrix(each),
    "coo array": lambda each, _: scipy.sparse.coo_array(each),
    "csc of integers": lambda each, _: scipy.sparse.csc_array(each.astype("int8")),
    "column": lambda each, _: datasets.Dataset.from_dict({"c": each.tolist()})["c"],
    "torch column": lambda each, _: datasets.Dataset.from_dict({"c": each.tolist()}).with_format("torch")["c"],
    "another library's": lambda each, _: OwnArray(each),
}  # fmt: skip


@pytest.fixture(scope="module")
def expected() -> Callable[[str], dict[str, Any]]:
    known: dict[str, Any] = {}

    def of(form: str) -> dict[str, Any]:
        if form not in known:
            known[form] = did(form, lambda: (FORMS[form], Y))
        return known[form]

    return of


def check(got: dict[str, Any], wanted: dict[str, Any]) -> None:
    for verb, values in wanted.items():
        np.testing.assert_allclose(got[verb], values, atol=1e-6, err_msg=verb)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_every_kind_in_every_form(kind: str, form: str, tmp_path: Path, expected: Any) -> None:
    x = map_leaves(lambda each: ARRAYS[kind](each, tmp_path), FORMS[form])
    check(did(form, lambda: (x, Y)), expected(form))


def at(form: str, rows: Any) -> tuple[Any, Any]:
    return map_leaves(lambda each: each[rows], FORMS[form]), Y[rows]


def parts(form: str) -> Iterator[tuple[Any, Any]]:
    return (at(form, slice(start, start + SIZE)) for start in range(0, SAMPLES, SIZE))


class Rows(Dataset[Any]):
    def __init__(self, form: str) -> None:
        self.form = form

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Any:
        return at(self.form, index)


class Flow(IterableDataset[Any]):
    """Rows one by one; of several workers each yields every other batch."""

    def __init__(self, form: str) -> None:
        self.form = form

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        mine, all_ = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return (at(self.form, row) for row in range(SAMPLES) if row // SIZE % all_ == mine)


class Batches(PyDataset):
    def __init__(self, form: str, **options: Any) -> None:
        super().__init__(**options)
        self.form = form

    def __len__(self) -> int:
        return SAMPLES // SIZE

    def __getitem__(self, index: int) -> Any:
        return at(self.form, slice(index * SIZE, (index + 1) * SIZE))


class Indexed:
    """What has a length and an index, and nothing else."""

    def __init__(self, form: str) -> None:
        self.form = form

    def __len__(self) -> int:
        return SAMPLES // SIZE

    def __getitem__(self, index: int) -> Any:
        return at(self.form, slice(index * SIZE, (index + 1) * SIZE))


class Eager:
    """A tensor of another library, such as TensorFlow's."""

    def __init__(self, values: Any) -> None:
        self._values, self.shape, self.dtype = values, values.shape, values.dtype

    def numpy(self) -> Any:
        return self._values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._values

    def __len__(self) -> int:
        return len(self._values)


class Pipeline:
    """What tf.data is like: batches of another library's tensors, again and again, and no length."""

    def __init__(self, form: str) -> None:
        self.form, self.element_spec = form, ()

    def __iter__(self) -> Iterator[Any]:
        return ((map_leaves(Eager, x), Eager(y)) for x, y in parts(self.form))


class Pair(NamedTuple):
    x: Any
    y: Any


def named(form: str, x: Any, y: Any) -> dict[str, Any]:
    """A batch that names its inputs and its labels."""
    by_name = x if isinstance(x, dict) else dict(zip("abc", x if isinstance(x, list) else [x], strict=False))
    return {**by_name, "labels": y}


def records(form: str, make: Callable[[dict[str, Any]], Any]) -> list[Any]:
    return [make(named(form, x, y)) for x, y in parts(form)]


def as_dataclass(record: dict[str, Any]) -> Any:
    return make_dataclass("Sample", list(record))(**record)


def as_named_tuple(record: dict[str, Any]) -> Any:
    return NamedTuple("Sample", [(name, Any) for name in record])(**record)  # type: ignore[operator]


def columns(form: str) -> Any:
    """A column holds one array, so that nested inputs lie side by side under their own names."""
    record = named("list", list(leaves(FORMS[form])), Y) if form == "nested" else named(form, FORMS[form], Y)
    return datasets.Dataset.from_dict(
        {**{name: each.tolist() for name, each in record.items()}, "text": ["words"] * SAMPLES}
    )


STEPS = {"steps_per_epoch": SAMPLES // SIZE}
SOURCES: dict[str, Any] = {
    "list of batches": lambda form: list(parts(form)),
    "function": lambda form: lambda: parts(form),
    "generator": lambda form: itertools.chain.from_iterable(parts(form) for _ in range(EPOCHS)),
    "loader": lambda form: DataLoader(Rows(form), SIZE),
    "loader with workers": lambda form: DataLoader(Rows(form), SIZE, num_workers=2),
    "dataset": Rows,
    "iterable dataset": Flow,
    "iterable dataset with workers": lambda form: DataLoader(Flow(form), SIZE, num_workers=2),
    "PyDataset": Batches,
    "PyDataset with workers": lambda form: Batches(form, workers=2),
    "indexed": Indexed,
    "tf.data": Pipeline,
    "named pairs": lambda form: [Pair(x, y) for x, y in parts(form)],
    "dicts": lambda form: records(form, dict),
    "dataclasses": lambda form: records(form, as_dataclass),
    "NamedTuples": lambda form: records(form, as_named_tuple),
    "hugging face": columns,
    "hugging face, torch": lambda form: columns(form).with_format("torch"),
    "hugging face, streamed": lambda form: columns(form).to_iterable_dataset(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", SOURCES)
def test_whatever_yields_batches_in_every_form(kind: str, form: str, expected: Any) -> None:
    sized = kind in ("dataset", "iterable dataset") or kind.startswith("hugging")
    options = {"batch_size": SIZE if sized else None, **(STEPS if kind == "generator" else {})}
    check(did(form, lambda: (SOURCES[kind](form),), **options), expected(form))


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
def test_a_column_of_what_is_nested_is_refused_with_a_way_out(verb: str) -> None:
    rows = [{"p": [A[row], B[row]], "q": {"c": C[row]}, "labels": Y[row]} for row in range(SAMPLES)]
    words = (
        r"x\['p'\]: expected a list with one array for each input in it, got a Tensor. "
        "Fix: nest x as the inputs are, or use a dict by input name: 'a', 'b', 'c'"
    )
    with pytest.raises(tf.errors.DataError, match=words):
        getattr(model("nested"), verb)(datasets.Dataset.from_list(rows), verbose=0)
