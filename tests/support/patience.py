"""The deadline of whatever a test waits for: long, since a machine may be busy."""

PATIENCE = 120  # seconds; what does not come in this time never does
