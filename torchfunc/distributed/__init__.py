"""Several processes on PyTorch's own engine: `torchrun script.py` trains on shared data, and nothing in it changes."""
