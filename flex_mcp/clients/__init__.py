"""flex-mcp in the configuration of other programs.

Nothing is imported here: a server is started anew for every client, and the terminal's door needs
only the names in `places` to say what there is.
"""
