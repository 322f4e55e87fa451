"""Maintenance: whether all is sound, and which embedder a library uses."""
