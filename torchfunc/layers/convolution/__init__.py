"""Convolutions: windows of weights that slide over space."""
