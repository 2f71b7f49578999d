"""Keras's files, in and out: what stands in them is read as data of a stranger, and written as Keras reads it."""
