"""Safety: secrets, orders to the reader, and quoting what comes from outside."""
