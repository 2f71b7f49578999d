"""Attention, and the dense layer of several dimensions that it is made of."""
