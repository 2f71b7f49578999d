"""Recurrent layers: a cell, and the steps of a sequence that pass through it."""
