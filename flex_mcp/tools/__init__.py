"""The seven tools, resources and prompts behind every door: arguments in, answers out."""
