"""What is said on stderr while serving: one line each, and nothing of what clients did wrong."""

import logging
import sys

from flex_mcp.safety.quoting import one_line

LONGEST_SENTENCE = 400  # characters
LOUD = {  # these tell of every bad request
    "mcp.server.runner": logging.ERROR,
    "mcp.server.sse": logging.CRITICAL,
    "mcp.server.streamable_http": logging.CRITICAL,
    "mcp.server.streamable_http_manager": logging.ERROR,
    "uvicorn.error": logging.ERROR,
}


class Sentence(logging.Formatter):
    """What has to be said, in one line: where it went wrong is in no user's code."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        said = record.getMessage() + (f": {type(error).__name__}: {error}" if error else "")
        return f"flex-mcp: {one_line(said)[:LONGEST_SENTENCE]}"


def log_to_stderr() -> None:
    """What has to be said while serving is said there, in one form.

    What a client did wrong is said to that client, not here.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Sentence())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("flex_mcp").setLevel(logging.INFO)
    for name, level in LOUD.items():
        logging.getLogger(name).setLevel(level)
