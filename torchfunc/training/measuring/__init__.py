"""Measuring: what a module computes without learning, recorded once and repeated with plain calls."""
