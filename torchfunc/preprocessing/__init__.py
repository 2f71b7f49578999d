"""Data made ready, by Keras's older names."""

from torchfunc.preprocessing import sequence as sequence
