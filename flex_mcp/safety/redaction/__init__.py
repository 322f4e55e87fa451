"""Secrets out of what is kept: each becomes `[redacted:KIND]`, and how many there were is told."""

from flex_mcp.safety.redaction.redactor import (
    Redactor,
    find_secrets,
    redact,
    redaction_note,
    spread_private,
)

__all__ = ["Redactor", "find_secrets", "redact", "redaction_note", "spread_private"]
