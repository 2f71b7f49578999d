"""Recording: a training step written down once as calls of PyTorch, cleaned by small passes, and repeated."""
