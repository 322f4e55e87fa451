"""The server process over HTTP."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support.patience import PATIENCE

HANDSHAKE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "codex", "version": "0.169.0"},
}


class Served:
    """A server process, the address it said it listens at, and that of its page, if it has one."""

    def __init__(
        self, process: subprocess.Popen[str], library: Path, *, has_page: bool = False
    ) -> None:
        assert process.stderr is not None
        self.process = process
        self.library = library
        self.said = process.stderr.readline()
        self.url = self.said.removeprefix("listening on ").strip()
        self.port: int = urlsplit(self.url).port or 0
        said = process.stderr.readline() if has_page else ""
        self.page = said.removeprefix("the page: ").strip()

    @contextmanager
    def asked(
        self, path: str, method: str = "GET", body: Any = None, **headers: str | None
    ) -> Generator[http.client.HTTPResponse]:
        """The answer while its connection is open; a header that is None is not sent."""
        sent = {"Host": f"127.0.0.1:{self.port}", "Accept": "application/json, text/event-stream"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**sent, **named}.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in named:
                body = json.dumps(body).encode()
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def status(self, path: str, **more: Any) -> int:
        with self.asked(path, **more) as response:
            return response.status


@contextmanager
def served(
    folder: Path, *options: str, transport: str = "http", settings: Mapping[str, str] | None = None
) -> Generator[Served]:
    library = folder / "library.db"
    command = serving("--library", str(library), *options, transport=transport)
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=variables({"HOME": str(folder), **(settings or {})}),
    ) as process:
        try:
            yield Served(process, library, has_page=transport == "http")
        finally:
            process.kill()


def serving(*options: str, transport: str = "http") -> list[str]:
    command = [sys.executable, "-P", "-m", "flex_mcp", "serve", "--transport", transport]
    return [*command, *(() if "--port" in options else ("--port", "0")), *options]


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Of the machine's variables those that are not ours, and these settings."""
    kept = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251  to leave out what is set for us
        if not name.startswith(("FLEX_MCP_", "ANTHROPIC_", "XDG_"))
    }
    return {**kept, **settings}


def handshake(server: Served, **headers: str) -> str:
    """The session that a client of the handshake era opened."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}
    with server.asked("/mcp", "POST", body, **headers) as response:
        assert response.status == 200
        session = response.headers["Mcp-Session-Id"]
    done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert server.status("/mcp", method="POST", body=done, Mcp_Session_Id=session, **headers) == 202
    return session
