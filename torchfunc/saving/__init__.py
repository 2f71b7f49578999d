"""Saving: a graph as plain JSON, and an archive of JSON and tensors that a stranger may have written."""
