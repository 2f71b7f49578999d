"""Averaging: callbacks that make one model of the weights of many epochs."""
