"""Loggers: what a training said, as pictures."""
