"""Digits: the 1,797 handwritten digits of 8x8 pixels that scikit-learn carries, where there is no network."""

from torchfunc.datasets.scikit import load_data as load_data
