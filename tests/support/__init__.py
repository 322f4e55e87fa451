"""What the tests share: clients, terminals, processes, stand-ins, and programs that they start."""
