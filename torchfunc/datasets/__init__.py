"""Datasets: `(x_train, y_train), (x_test, y_test)` as NumPy arrays, with Keras's shapes."""

from torchfunc.datasets import boston_housing as boston_housing
from torchfunc.datasets import california_housing as california_housing
from torchfunc.datasets import cifar10 as cifar10
from torchfunc.datasets import cifar100 as cifar100
from torchfunc.datasets import digits as digits
from torchfunc.datasets import fashion_mnist as fashion_mnist
from torchfunc.datasets import imdb as imdb
from torchfunc.datasets import mnist as mnist
from torchfunc.datasets import reuters as reuters
