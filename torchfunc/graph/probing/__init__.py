"""Probing: what a call would return, found by trying it, with nothing left behind."""
