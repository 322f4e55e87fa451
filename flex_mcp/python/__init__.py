"""The Python face: the library for code that calls it, also without blocking."""
