"""The MCP door: tools, resources and prompts over the protocol."""
