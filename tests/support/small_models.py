"""Small models that fastembed itself loads: a row of numbers for each word, and a text their mean.

They stand in for fetched ones under the names that fastembed knows. `Hub` serves one as the model
hub does.
"""

import json
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from flex_mcp.search.embedder_choice import QUESTION, RELATED, UNRELATED
from support.fakes import LESSONS

Rows = NDArray[np.float32]
SMALL = "minishlab/potion-base-8M"
WIDE = "minishlab/potion-retrieval-32M"
DIMENSIONS = {SMALL: 256, WIDE: 512}
REVISION = "0" * 40


def write_model(
    folder: Path, name: str = SMALL, *, seed: int = 1, rows: Callable[[Rows], Rows] | None = None
) -> Path:
    """A folder with the files of a small model; `rows` changes what is in its weights."""
    words = " ".join([QUESTION, RELATED, UNRELATED, *LESSONS]).casefold()
    splitter = pre_tokenizers.Whitespace()
    known = dict.fromkeys(word for word, _ in splitter.pre_tokenize_str(words))
    numbers = {str(number): None for number in range(300)}
    vocabulary = {word: place for place, word in enumerate(["[UNK]", *known, *numbers])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106  no secret
    tokenizer.normalizer = normalizers.Lowercase()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = splitter  # pyright: ignore[reportAttributeAccessIssue]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    random = np.random.default_rng(seed)
    values = random.standard_normal((len(vocabulary), DIMENSIONS[name])).astype(np.float32)
    _write_weights(folder / "model.safetensors", values if rows is None else rows(values))
    return folder


def _write_weights(path: Path, rows: Rows) -> None:
    about = {"dtype": "F32", "shape": list(rows.shape), "data_offsets": [0, rows.nbytes]}
    header = json.dumps({"embeddings": about}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + rows.tobytes())


@contextmanager
def hub(model: Path, name: str = SMALL) -> Generator[str]:
    """The address of a hub that has this one model, on loopback."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            file = model / path.rpartition("/")[2]
            if path.startswith("/api/models/"):
                files = [{"rfilename": one.name} for one in model.iterdir()]
                content = json.dumps({"id": name, "sha": REVISION, "siblings": files}).encode()
            elif path.startswith(f"/{name}/resolve/{REVISION}/") and file.is_file():
                content = file.read_bytes()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{len(content)}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's
            pass  # stderr is for what a test asserts on

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
