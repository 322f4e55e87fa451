"""Search: which lessons fit a task."""
