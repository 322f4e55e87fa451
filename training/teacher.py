"""The teacher's vectors of texts, kept in a folder: a run that was broken off goes on there."""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARD = 2_048  # texts between two checkpoints
BATCH = 16  # small ones stay in the processor's cache
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def parser(about: str) -> argparse.ArgumentParser:
    """The options of a training that learns from a teacher."""
    made = argparse.ArgumentParser(description=about.partition("\n")[0])
    add = made.add_argument
    add("texts", nargs="*", type=Path, metavar="TEXTS", help="folders or files of texts")
    add("--held-out", nargs="+", type=Path, default=[], metavar="DIR", help="not to train on")
    add("--teacher", default=MINILM, help="a model of fastembed, or a folder")
    cache = Path(tempfile.gettempdir()) / "flex-mcp-teacher"
    add("--cache", type=Path, default=cache, help="keeps what is done: a run goes on there")
    add("--workers", type=int, default=2, help="threads")
    add("--seed", type=int, default=1)
    add("--version", default="1", help="of what is made")
    add("--out", type=Path, required=True, metavar="PATH", help="where it is put")
    return made


def embed(
    texts: Sequence[str], model: Callable[[], Any], cache: Path, *, workers: int
) -> NDArray[np.float16]:
    """The teacher's vectors of all texts, unit length; those in the cache are not made again.

    Args:
        texts: all different.
        model: opens the teacher; each worker has its own.
        cache: a folder for the vectors of one teacher.
        workers: how many work at once, on one thread each.
    """
    cache.mkdir(parents=True, exist_ok=True)
    known = cached(cache)
    missing = [text for text in texts if key(text) not in known]
    order: list[int] = (
        np.random.default_rng(1).permutation(len(missing)).tolist()
    )  # what is done is a fair sample
    shards = [
        sorted((missing[at] for at in order[start : start + SHARD]), key=len)
        for start in range(0, len(missing), SHARD)
    ]
    print(f"{len(missing):,} of {len(texts):,} texts to embed", flush=True)
    began = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        turns = [pool.submit(_some, shards[one::workers], model, cache) for one in range(workers)]
        made = sum(turn.result() for turn in turns)
    print(f"{made:,} texts embedded in {time.monotonic() - began:.0f} s", flush=True)
    known = cached(cache)
    return np.stack([known[key(text)] for text in texts])


def cached(cache: Path) -> dict[int, NDArray[np.float16]]:
    """The vectors that are there, by the keys of their texts."""
    found: dict[int, NDArray[np.float16]] = {}
    for path in sorted(cache.glob("*.npz")):
        with np.load(path) as shard:
            found.update(zip(shard["keys"].tolist(), shard["vectors"], strict=True))
    return found


def opened(name: str, *, fast: bool = False) -> Callable[[], Any]:
    """How to open a model of fastembed, or MiniLM's files in a folder (`fast`: in PyTorch)."""
    if fast:
        from minilm import MiniLM

        return lambda: MiniLM(Path(name))
    from fastembed import TextEmbedding

    if Path(name).is_dir():
        return lambda: TextEmbedding(MINILM, specific_model_path=name, threads=1)
    return lambda: TextEmbedding(name, threads=1)


def named(name: str) -> str:
    """What to call a teacher in the file of vectors."""
    return MINILM if Path(name).is_dir() else name


def key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _some(shards: Sequence[Sequence[str]], model: Callable[[], Any], cache: Path) -> int:
    """One worker's shards, each kept as soon as it is made."""
    teacher, done = model(), 0
    for shard in shards:
        vectors = np.stack(list(teacher.embed(shard, batch_size=BATCH))).astype(np.float16)
        keys = np.array([key(text) for text in shard], np.uint64)
        np.savez(cache / f"{keys[0]:016x}.npz", keys=keys, vectors=vectors)
        done += len(shard)
        print(f"{done:,} texts of a worker embedded", flush=True)
    return done
