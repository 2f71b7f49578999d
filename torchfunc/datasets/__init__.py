"""Datasets: `(x_train, y_train), (x_test, y_test)` as NumPy arrays, with Keras's shapes."""

import typing as _typing

from torchfunc.datasets import california_housing as california_housing
from torchfunc.datasets import cifar10 as cifar10
from torchfunc.datasets import cifar100 as cifar100
from torchfunc.datasets import digits as digits
from torchfunc.datasets import fashion_mnist as fashion_mnist
from torchfunc.datasets import imdb as imdb
from torchfunc.datasets import mnist as mnist
from torchfunc.datasets import reuters as reuters

if not _typing.TYPE_CHECKING:
    from torchfunc.rooms import asking as _asking

    __getattr__ = _asking(__name__)
