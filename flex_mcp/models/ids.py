"""Ids: a prefix and 12 characters of a-z2-7 (60 random bits), short enough to copy.

Prefixes: t_ trajectory, e_ experience, r_ retrieval, b_ brief.
"""

import base64
import secrets


def new_id(prefix: str) -> str:
    """A fresh id such as `e_k3x5u2m7qa4c`: 60 random bits."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(10)).decode().lower()[:12]}"
