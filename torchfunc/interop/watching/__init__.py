"""Watching: a forward run on tensors without data while the functions of torch that it calls are written down."""
