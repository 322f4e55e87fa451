"""Storage: what a library asks of a store, and the stores."""
