"""Capturing: a recorded step as a CUDA graph, which the device repeats without a call from Python for each kernel."""
