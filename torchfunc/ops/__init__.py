"""`keras.ops`: functions on tensors, arrays, lists and symbols, by Keras's names and arguments."""

from torchfunc.ops.arithmetic import add as add
