"""Sequences made ready."""

from torchfunc.utils.padding import pad_sequences as pad_sequences
