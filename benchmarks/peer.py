"""One peer of benchmarks/peers.py, run by the Python of its own environment: PEER FOLDER.

FOLDER holds the vectors of the texts and the queries as .npy, and about.json: the texts with their
domains, the queries, some with the domain that they want, and how many hits are wanted. Prints
JSON: the seconds to build, and for the queries without and with a domain the milliseconds and the
numbers of the texts found. Nothing of ours is imported, and a peer's package only by its own class.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np

BATCH = 1_000
WARM_UP = 5  # queries before the clock is looked at, asked again later


class Query(NamedTuple):
    text: str
    vector: Any
    domain: str | None


class Searching(Protocol):
    def search(self, query: Query) -> list[int]:
        """The numbers of the texts found, best first; their text must have come along."""
        ...


class Peer(Searching, Protocol):
    """A store in a new folder."""

    def __init__(self, store: Path, given: "Given") -> None: ...

    def build(self) -> None: ...


class Given:
    """What all peers get."""

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        self.texts: list[str] = about["texts"]
        self.domains: list[str] = about["domains"]
        self.limit: int = about["limit"]
        self.vectors = np.load(folder / "vectors.npy")
        self.dimension = int(self.vectors.shape[1])
        asked = np.load(folder / "asked.npy")
        self.queries = [
            Query(text, vector, domain)
            for (text, domain), vector in zip(about["queries"], asked, strict=True)
        ]

    def batches(self) -> Iterator[range]:
        for start in range(0, len(self.texts), BATCH):
            yield range(start, min(start + BATCH, len(self.texts)))


class Chroma:
    def __init__(self, store: Path, given: Given) -> None:
        chromadb = import_module("chromadb")
        settings = chromadb.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(store), settings=settings)
        space = {"hnsw": {"space": "cosine"}}
        self._collection = client.create_collection(
            "texts", configuration=space, embedding_function=None
        )
        self._given = given

    def build(self) -> None:
        for batch in self._given.batches():
            self._collection.add(
                ids=[str(number) for number in batch],
                embeddings=self._given.vectors[batch.start : batch.stop],
                documents=self._given.texts[batch.start : batch.stop],
                metadatas=[{"domain": self._given.domains[number]} for number in batch],
            )

    def search(self, query: Query) -> list[int]:
        found = self._collection.query(
            query_embeddings=[query.vector],
            n_results=self._given.limit,
            where={"domain": query.domain} if query.domain else None,
            include=["documents", "metadatas", "distances"],
        )
        return [int(id_) for id_ in found["ids"][0]]


class Lance:
    """Its flat scan, with an index on the domain."""

    def __init__(self, store: Path, given: Given) -> None:
        self._database = import_module("lancedb").connect(str(store))
        self._given = given

    def build(self) -> None:
        pyarrow = import_module("pyarrow")
        flat = pyarrow.array(self._given.vectors.ravel())
        columns = {
            "number": list(range(len(self._given.texts))),
            "vector": pyarrow.FixedSizeListArray.from_arrays(flat, self._given.dimension),
            "text": self._given.texts,
            "domain": self._given.domains,
        }
        self._table = self._database.create_table("texts", pyarrow.table(columns))
        self._table.create_scalar_index("domain", index_type="BITMAP")

    def search(self, query: Query) -> list[int]:
        asked = self._table.search(query.vector).distance_type("cosine").limit(self._given.limit)
        if query.domain:
            asked = asked.where(f"domain = '{query.domain}'", prefilter=True)
        found = asked.select(["number", "text", "domain", "_distance"]).to_list()
        return [hit["number"] for hit in found]


class LanceHnsw(Lance):
    """The same with its graph over the vectors."""

    def build(self) -> None:
        super().build()
        self._table.create_index(
            metric="cosine", vector_column_name="vector", index_type="IVF_HNSW_SQ"
        )


class Qdrant:
    """The client's local mode: no server."""

    def __init__(self, store: Path, given: Given) -> None:
        self._package = import_module("qdrant_client")
        self._client = self._package.QdrantClient(path=str(store))
        self._given = given

    def build(self) -> None:
        models = self._package.models
        shape = models.VectorParams(size=self._given.dimension, distance=models.Distance.COSINE)
        self._client.create_collection("texts", vectors_config=shape)
        for batch in self._given.batches():
            points = [
                models.PointStruct(
                    id=number,
                    vector=self._given.vectors[number].tolist(),
                    payload={
                        "text": self._given.texts[number],
                        "domain": self._given.domains[number],
                    },
                )
                for number in batch
            ]
            self._client.upsert("texts", points)

    def search(self, query: Query) -> list[int]:
        wanted = equals(self._package.models, "domain", query.domain)
        found = self._client.query_points(
            "texts", query=query.vector, limit=self._given.limit, query_filter=wanted
        )
        return [point.id for point in found.points]


def equals(models: Any, key: str, value: str | None) -> Any:
    if value is None:
        return None
    match = models.MatchValue(value=value)
    return models.Filter(must=[models.FieldCondition(key=key, match=match)])


class Vectors:
    """An embedding provider that knows the vector of each text beforehand."""

    def __init__(self, given: Given) -> None:
        self._known = dict(zip(given.texts, given.vectors, strict=True))
        self._known |= {query.text: query.vector for query in given.queries}
        self._dimension = given.dimension

    async def embed_documents(self, documents: Sequence[str]) -> list[list[float]]:
        return [self._known[text].tolist() for text in documents]

    async def embed_query(self, query: str) -> list[float]:
        return self._known[query].tolist()

    def get_vector_name(self) -> str:
        return "static"

    def get_vector_size(self) -> int:
        return self._dimension


class QdrantMcp:
    """The connector of mcp-server-qdrant, which stores one entry at a time, in local mode."""

    def __init__(self, store: Path, given: Given) -> None:
        self._models = import_module("qdrant_client").models
        self._package = import_module("mcp_server_qdrant.qdrant")
        self._connector = self._package.QdrantConnector(
            qdrant_url=None,
            qdrant_api_key=None,
            collection_name="texts",
            embedding_provider=Vectors(given),
            qdrant_local_path=str(store),
        )
        self._given = given
        self._run = asyncio.Runner().run

    def build(self) -> None:
        self._run(self._store())

    async def _store(self) -> None:
        for number, text in enumerate(self._given.texts):
            about = {"number": number, "domain": self._given.domains[number]}
            await self._connector.store(self._package.Entry(content=text, metadata=about))

    def search(self, query: Query) -> list[int]:
        wanted = equals(self._models, "metadata.domain", query.domain)
        asked = self._connector.search(query.text, limit=self._given.limit, query_filter=wanted)
        return [entry.metadata["number"] for entry in self._run(asked)]


PEERS: dict[str, type[Peer]] = {
    "chromadb": Chroma,
    "lancedb, flat": Lance,
    "lancedb, HNSW": LanceHnsw,
    "qdrant-client, local": Qdrant,
    "mcp-server-qdrant": QdrantMcp,
}


def timed(peer: Searching, queries: Sequence[Query]) -> dict[str, Any]:
    taken: list[float] = []
    found: list[list[int]] = []
    for query in (*queries[:WARM_UP], *queries):
        began = perf_counter()
        hits = peer.search(query)
        taken.append(1000 * (perf_counter() - began))
        found.append(hits)
    return {"ms": taken[WARM_UP:], "found": found[WARM_UP:]}


def main(name: str, folder: Path) -> None:
    given = Given(folder)
    began = perf_counter()
    peer = PEERS[name](folder / "store", given)
    peer.build()
    built = perf_counter() - began
    plain = timed(peer, [query for query in given.queries if query.domain is None])
    filtered = timed(peer, [query for query in given.queries if query.domain is not None])
    print(json.dumps({"build s": built, "plain": plain, "filtered": filtered}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
