"""Preprocessing of text, tables and sound: what stands between raw data and a model, kept in its file."""
