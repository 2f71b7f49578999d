"""Passes: what is left out of a recorded step, put together in it or done once, each from lines to lines."""
