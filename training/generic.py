"""Make `flex_mcp/search/vectors/generic.safetensors`: what `ours` makes of the generic queries.

    python training/generic.py

A search needs them, and embedding them takes seconds. They are made anew after the encoder, or
words/generic_queries.txt, has changed: a test says when.
"""

from pathlib import Path

import numpy as np
import student

from flex_mcp.search import background, baseline
from flex_mcp.search.embedder import OurEmbedder

TARGET = Path(baseline.__file__).parent / "vectors" / "generic.safetensors"


def main() -> None:
    embedder = OurEmbedder()
    rows = [
        np.frombuffer(embedder.query(text), np.float32) for text in background.generic_queries()
    ]
    student.write(TARGET, np.stack(rows), {"maker": baseline.maker(embedder)})


if __name__ == "__main__":
    main()
