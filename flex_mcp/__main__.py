"""`python -m flex_mcp`."""

from flex_mcp.cli import main

main()
