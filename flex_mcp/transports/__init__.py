"""Transports: stdio, HTTP and SSE, and who gets in."""
