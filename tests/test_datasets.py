"""Datasets: small files in the published formats are read by the code that reads the true ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from torchfunc import datasets
from torchfunc.datasets.coarse_classes import COARSE
from torchfunc.errors import DataError, MissingExtraError
from torchfunc.interop import torchvision

Array = npt.NDArray[np.uint8]
MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def images(*shape: int) -> Array:
    return np.random.RandomState(sum(shape)).randint(0, 256, shape).astype(np.uint8)


def labels(count: int, classes: int) -> Array:
    return (np.arange(count) * 7 % classes).astype(np.uint8)


def idx(array: Array) -> bytes:
    """The format of the files of MNIST: a magic number, the sizes in big-endian order, the bytes."""
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(params=["MNIST", "FashionMNIST"])
def mnist(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, list[Array]]:
    """Packed files of 20 and 10 images, as published, and what they hold."""
    arrays = [images(20, 28, 28), labels(20, 10), images(10, 28, 28), labels(10, 10)]
    raw = tmp_path / request.param / "raw"
    raw.mkdir(parents=True)
    for name, array in zip(MNIST_FILES, arrays, strict=True):
        (raw / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    resources = [(f"{name}.gz", md5(raw / f"{name}.gz")) for name in MNIST_FILES]
    monkeypatch.setattr(getattr(torchvision.load().datasets, request.param), "resources", resources)
    return {"MNIST": datasets.mnist, "FashionMNIST": datasets.fashion_mnist}[request.param], arrays


def pack_cifar(
    folder: Path, base: str, batches: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tar file of pickled batches, as published; torchvision is told its checksums."""
    dataset = getattr(torchvision.load().datasets, "CIFAR100" if "100" in base else "CIFAR10")
    sums = {}
    with tarfile.open(folder / dataset.filename, "w:gz") as tar:
        for name, batch in batches.items():
            content = pickle.dumps(batch)
            sums[name] = hashlib.md5(content).hexdigest()
            member = tarfile.TarInfo(f"{base}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(dataset, "tgz_md5", md5(folder / dataset.filename))
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"md5": sums[dataset.meta["filename"]]})
    for field in ("train_list", "test_list"):
        monkeypatch.setattr(dataset, field, [[name, sums[name]] for name, _ in getattr(dataset, field)])


def as_rows(pictures: Array) -> Array:
    """Channel by channel, as CIFAR's files have them."""
    return pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)


def test_mnist_is_read_from_the_files_on_disk(mnist: tuple[Any, list[Array]], tmp_path: Path) -> None:
    module, expected = mnist
    (x_train, y_train), (x_test, y_test) = module.load_data(tmp_path)
    for found, array in zip((x_train, y_train, x_test, y_test), expected, strict=True):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, array)


def test_files_on_disk_need_no_leave_to_download(mnist: tuple[Any, list[Array]], tmp_path: Path) -> None:
    module, expected = mnist
    for _ in ("packed", "unpacked"):
        (x_train, _), _ = module.load_data(tmp_path, download=False)
        np.testing.assert_array_equal(x_train, expected[0])


def test_cifar10_is_read_with_its_channels_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, classes = images(24, 32, 32, 3), labels(24, 10)
    batches: dict[str, dict[str, Any]] = {
        "batches.meta": {"label_names": [str(index) for index in range(10)]}
    }
    for index, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        rows = slice(4 * index, 4 * index + 4)
        batches[name] = {"data": as_rows(pictures[rows]), "labels": classes[rows].tolist()}
    pack_cifar(tmp_path, "cifar-10-batches-py", batches, monkeypatch)
    (x_train, y_train), (x_test, y_test) = datasets.cifar10.load_data(tmp_path, download=False)
    np.testing.assert_array_equal(x_train, pictures[:20])
    np.testing.assert_array_equal(x_test, pictures[20:])
    np.testing.assert_array_equal(y_train, classes[:20, None])
    np.testing.assert_array_equal(y_test, classes[20:, None])
    assert {each.dtype for each in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}


def test_cifar100_has_the_fine_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, classes = images(8, 32, 32, 3), labels(8, 100)
    batches: dict[str, dict[str, Any]] = {"meta": {"fine_label_names": [str(index) for index in range(100)]}}
    for name, rows in (("train", slice(0, 6)), ("test", slice(6, 8))):
        coarse = [0] * len(classes[rows])
        batches[name] = {
            "data": as_rows(pictures[rows]),
            "fine_labels": classes[rows].tolist(),
            "coarse_labels": coarse,
        }
    pack_cifar(tmp_path, "cifar-100-python", batches, monkeypatch)
    (x_train, y_train), (x_test, y_test) = datasets.cifar100.load_data(tmp_path)
    np.testing.assert_array_equal(x_train, pictures[:6])
    np.testing.assert_array_equal(x_test, pictures[6:])
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), classes[:, None])

    (_, coarse_train), (_, coarse_test) = datasets.cifar100.load_data(tmp_path, label_mode="coarse")
    assert coarse_train.shape == y_train.shape and coarse_test.dtype == np.uint8
    monkeypatch.setattr("torchfunc.datasets.images.DEFAULT_FOLDER", tmp_path)
    (_, by_place), _ = datasets.cifar100.load_data("coarse")  # Keras's one argument
    np.testing.assert_array_equal(by_place, coarse_train)
    with pytest.raises(DataError, match="label_mode: expected 'fine' or 'coarse', got 'both'"):
        datasets.cifar100.load_data(tmp_path, label_mode="both")


def test_five_fine_classes_are_one_coarse_class() -> None:
    coarse = COARSE
    assert np.bincount(coarse).tolist() == [5] * 20
    # beaver, dolphin, otter, seal and whale are aquatic mammals; baby, boy, girl, man and woman are people
    assert np.flatnonzero(coarse == 0).tolist() == [4, 30, 55, 72, 95]
    assert np.flatnonzero(coarse == 14).tolist() == [2, 11, 35, 46, 98]


@pytest.mark.parametrize(
    ("module", "place"),
    [
        (datasets.mnist, "MNIST/raw/train-images-idx3-ubyte.gz"),
        (datasets.fashion_mnist, "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz"),
        (datasets.cifar10, "cifar-10-python.tar.gz"),
        (datasets.cifar100, "cifar-100-python.tar.gz"),
    ],
)
@pytest.mark.parametrize("download", [True, False])
def test_data_that_are_nowhere_say_where_they_were_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, place: str, download: bool
) -> None:
    nowhere = (tmp_path / "nowhere").as_uri()
    known = torchvision.load().datasets
    monkeypatch.setattr(known.MNIST, "mirrors", [f"{nowhere}/"])
    monkeypatch.setattr(known.FashionMNIST, "mirrors", [f"{nowhere}/"])
    monkeypatch.setattr(known.CIFAR10, "url", f"{nowhere}/cifar-10-python.tar.gz")
    monkeypatch.setattr(known.CIFAR100, "url", f"{nowhere}/cifar-100-python.tar.gz")
    with pytest.raises(DataError) as caught:
        module.load_data(tmp_path / "data", download=download)
    message = str(caught.value)
    assert f"was not found in '{tmp_path / 'data'}'" in message
    assert f"'{tmp_path / 'data' / place}'" in message
    assert (
        "Fix: put the files there as they are published, or say where they are: load_data(data_dir=...)"
        in message
    )
    assert ("could not be downloaded (" in message) == download


def test_damaged_files_are_not_read(mnist: tuple[Any, list[Array]], tmp_path: Path) -> None:
    module, _ = mnist
    (packed,) = tmp_path.glob("*/raw/t10k-labels*")
    packed.write_bytes(packed.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match="was not found in"):
        module.load_data(tmp_path, download=False)


def test_without_a_folder_the_home_folder_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match=str(tmp_path / ".torchfunc" / "datasets")):
        datasets.mnist.load_data(download=False)
    assert list(tmp_path.iterdir()) == []


def test_the_digits_are_real_images_that_need_no_network() -> None:
    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
    assert (x_train.shape, y_train.shape) == ((1437, 8, 8), (1437,))
    assert (x_test.shape, y_test.shape) == ((360, 8, 8), (360,))
    assert {each.dtype for each in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert (x_train.min(), x_train.max()) == (0, 255)
    assert set(y_train) == set(y_test) == set(range(10))
    assert np.bincount(y_test).min() >= 20


def test_the_digits_come_in_the_same_order_each_time_and_none_is_lost() -> None:
    from sklearn.datasets import load_digits

    first, second = datasets.digits.load_data(), datasets.digits.load_data()
    for one, other in zip(first[0] + first[1], second[0] + second[1], strict=True):
        np.testing.assert_array_equal(one, other)
    found = np.concatenate([first[0][0], first[1][0]]).astype(int).sum(axis=(1, 2))
    theirs = np.rint(load_digits().images * (255 / 16)).astype(int).sum(axis=(1, 2))
    np.testing.assert_array_equal(np.sort(found), np.sort(theirs))
    assert first[0][1][:8].tolist() == [2, 8, 2, 6, 6, 7, 1, 9]


def test_missing_scikit_learn_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(
        MissingExtraError, match=r"'scikit-learn', which is not installed.*torchfunc\[examples\]"
    ):
        datasets.digits.load_data()
