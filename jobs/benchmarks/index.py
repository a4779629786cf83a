"""The index on 200,000 hard vectors: what it finds, how fast, and what it costs to build.

`python -m jobs.benchmark index` prints the figures with a bound (`recall_at_10` ≥ 0.98 at `p95_ms`
≤ 50, `filtered_recall` ≥ 0.95, `page_p95_ms` < 1,000; `untuned_recall` ≤ 0.7 says that the vectors
are hard) and below them what they are made of. Recall is of the ten that brute force in numpy finds
among the embeddings, the mean over queries by held-out figures and by captions through the text
tower, the worse of which is `text_recall` or `image_recall`. Times are of whole searches, the ten
figures' rows read, one after another in one process. `python -m jobs.benchmarks.index
build|search FOLDER` is one measurement in this very process.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.embedding.index.build import build_index
from figclip.embedding.index.filters import EVERYTHING, Filters
from figclip.embedding.index.lance import COLUMNS
from figclip.embedding.index.opened import FigureIndex, open_index
from figclip.embedding.index.place import place_of
from figclip.embedding.index.probe import NEAREST, Found, Nearest, recall_of
from figclip.embedding.index.tuning import IndexConfig
from figclip.embedding.vectors import matrix, read_table, split_files
from figclip.schema import SPLITS
from figclip.serving.page.page import search_app
from figclip.serving.protocol import Refusal, Vector
from figclip.serving.routes.limits import Limits
from figclip.serving.search.search import Always, FigureSearch
from figclip.store import Store
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.index_corpus import VERSION, publish
from jobs.benchmarks.processes import peak_rss

NUM_ROWS = 200_000
NUM_TIMED = 3
"""Rounds of all queries whose times count; the first round before them warms the caches."""
UNTUNED_MOST = 0.7
CONFIG = IndexConfig()
FILTERS: dict[str, Filters] = {
    "CC BY": Filters(licenses=("CC BY",)),
    "CC0 or CC BY-NC": Filters(licenses=("CC0", "CC BY-NC")),
    "the last two years": Filters(first_year=2024),
    "one type": Filters(image_types=("X-ray",)),
    "case reports of CC BY, five years": Filters(
        licenses=("CC BY",), article_types=("case-report",), first_year=2021
    ),
    "one journal": Filters(journals=("Journal 40",)),
}
"""From half of all figures down to a few hundred."""


@dataclass(frozen=True)
class Queries:
    """By held-out figures and by captions, float32 unit vectors [q, dim]; the captions' words."""

    image: np.ndarray
    text: np.ndarray
    words: list[str]

    @classmethod
    def of(cls, store: Store) -> "Queries":
        with np.load(Path(store.url, "queries.npz")) as found:
            return cls(found["image"], found["text"], found["words"].tolist())


def index(folder: Path, shared: Path | None, *, num_rows: int = NUM_ROWS) -> Figures:
    """`UsageError` where the vectors turn out too easy to tell anything."""
    publish(Store(folder), num_rows, shared)
    built = _fresh("build", folder)
    found = _fresh("search", folder)
    if (found["untuned_recall"] or 0) > UNTUNED_MOST:
        raise UsageError(
            f"an index that nobody tuned finds {found['untuned_recall']:.2f} of the ten nearest: "
            f"these vectors are too easy to measure on (at most {UNTUNED_MOST}); spread them more"
        )
    return {**found, **built, "rows": float(num_rows)}


def _fresh(measurement: str, folder: Path) -> Figures:
    command = [sys.executable, "-m", "jobs.benchmarks.index", measurement, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def build(store: Store) -> Figures:
    """What publishing the index takes: seconds, megabytes on the disk, and of memory above the
    imports."""
    before, start = peak_rss(os.getpid()), time.perf_counter()
    manifest = build_index(
        store,
        embeddings_version=VERSION,
        pairs_version=VERSION,
        types_version=VERSION,
        version=VERSION,
        config=CONFIG,
        num_threads=os.cpu_count() or 1,
    )
    vectors = 2 * 4 * manifest.counts["dim"] * manifest.counts["num_figures"]
    chosen = manifest.counts["search"]["image"]
    return {
        "build_s": time.perf_counter() - start,
        "build_rss_mb": (peak_rss(os.getpid()) - before) / 1e6,
        "index_mb": sum(manifest.files.values()) / 1e6,
        "vectors_mb": vectors / 1e6,
        "nprobes": chosen["nprobes"],
        "refine": chosen["refine"],
        "filtered_nprobes": chosen["filtered"]["nprobes"],
        "filtered_refine": chosen["filtered"]["refine"],
    }


def search(store: Store) -> Figures:
    """Recall and times of the table, of faiss beside it, and of the page."""
    queries = Queries.of(store)
    truth = {name: exact(store, queries, wanted) for name, wanted in asked().items()}
    start = time.perf_counter()
    table = open_index(store, VERSION)
    open_s = time.perf_counter() - start
    untuned = of_queries(untuned_search(store), queries, truth[""])
    return {
        **measured(table, queries, truth),
        "untuned_recall": float(np.mean([*untuned.values()])),
        "open_s": open_s,
        **facet_times(table),
        **page_times(store, table, queries),
        **faiss_row(store, queries, truth),
        "search_rss_mb": peak_rss(os.getpid()) / 1e6,
    }


def asked() -> dict[str, Filters]:
    return {"": EVERYTHING, **FILTERS}


Truth = dict[str, list[Found]]
"""Of the queries by `image` and by `text`."""


def exact(store: Store, queries: Queries, filters: Filters) -> Truth:
    """By brute force over the embeddings; which figures pass is told by the pairs."""
    sides = {"image": Nearest(queries.image), "text": Nearest(queries.text)}
    pairs, embeddings, types = (
        store.open(name, VERSION) for name in ("pairs", "embeddings", "image_types")
    )
    for name in split_files(embeddings, SPLITS):
        told = read_table(pairs, name, ["pair_id", "license", "year", "journal", "article_type"])
        told = told.append_column("image_type", read_table(types, name)["image_type"])
        rows = told.select(filters.columns()).to_pylist()
        passes = [
            all(filters.admits(column, str(row[column])) for column in filters.columns())
            for row in rows
        ] or [True] * told.num_rows
        places = np.flatnonzero(passes)
        ids = told["pair_id"].take(places).to_pylist()
        vectors = matrix(read_table(embeddings, name, [COLUMNS["image"]])[COLUMNS["image"]])
        for side in sides.values():
            side.see(ids, vectors[places])
    return {name: side.found for name, side in sides.items()}


Search = Callable[[np.ndarray], Found]


def of_queries(search: Search, queries: Queries, truth: Truth) -> dict[str, float]:
    """Mean recall at ten of the queries of each kind."""
    return {
        kind: float(
            np.mean(
                [
                    recall_of(search(query), best)
                    for query, best in zip(getattr(queries, kind), truth[kind], strict=True)
                ]
            )
        )
        for kind in ("image", "text")
    }


def measured(index: FigureIndex, queries: Queries, truth: dict[str, Truth]) -> Figures:
    """Recall, and the times of all queries, without filters and with each of them in turn."""
    recalls = {
        name: of_queries(_search(index, wanted), queries, truth[name])
        for name, wanted in asked().items()
    }
    plain, filtered = recalls.pop(""), recalls
    worst = {name: min(one.values()) for name, one in filtered.items()}
    times = timed(index, queries, [EVERYTHING])
    filtered_times = timed(index, queries, [*FILTERS.values()])
    return {
        "recall_at_10": float(np.mean([*plain.values()])),
        "p95_ms": float(np.percentile(times, 95)),
        "filtered_recall": float(np.mean([[*one.values()] for one in filtered.values()])),
        "filtered_p95_ms": float(np.percentile(filtered_times, 95)),
        "image_recall": plain["image"],
        "text_recall": plain["text"],
        "filtered_worst_recall": min(worst.values()),
        "p50_ms": float(np.percentile(times, 50)),
    }


def _search(index: FigureIndex, filters: Filters) -> Search:
    def search(query: np.ndarray) -> Found:
        hits = index.search(query, k=NEAREST, filters=filters)
        return [(hit.pair_id, hit.score) for hit in hits]

    return search


def timed(index: FigureIndex, queries: Queries, filters: list[Filters]) -> list[float]:
    """Milliseconds of each search."""
    times = []
    vectors = np.concatenate([queries.image, queries.text])
    for round_ in range(NUM_TIMED + 1):
        for number, query in enumerate(vectors):
            search = _search(index, filters[number % len(filters)])
            start = time.perf_counter()
            search(query)
            if round_:
                times.append(1_000 * (time.perf_counter() - start))
    return times


def untuned_search(store: Store) -> Search:
    """The IVF_PQ index as LanceDB searches it where nothing is said, without refining."""
    table = place_of(store, store.open("index", VERSION)).table()

    def search(query: np.ndarray) -> Found:
        asked: Any = table.search(query, vector_column_name=COLUMNS["image"])
        shown = ["pair_id", COLUMNS["image"], "_distance"]
        rows = asked.distance_type("cosine").select(shown).limit(NEAREST)
        return [
            (row["pair_id"], float(np.asarray(row[COLUMNS["image"]]) @ query))
            for row in rows.to_list()
        ]

    return search


def facet_times(index: FigureIndex) -> Figures:
    """Milliseconds to count all facets, for filters that are new and for those asked before."""
    new: list[float] = []
    again: list[float] = []
    for year in range(2001, 2021):
        for times in (new, again):
            start = time.perf_counter()
            index.facets(Filters(first_year=year))
            times.append(1_000 * (time.perf_counter() - start))
    return {"facets_p95_ms": float(np.percentile(new, 95)), "facets_again_ms": max(again)}


def page_times(store: Store, index: FigureIndex, queries: Queries) -> Figures:
    """The page and the JSON through the application, the text tower included, filtered and
    hybrid."""
    encoder = Encoder.open(store.open("encoder", VERSION))

    async def embed_texts(texts: list[str]) -> list[Vector]:
        found = await asyncio.to_thread(encoder.encode_texts, texts)
        return [Vector(vector) for vector in found.vectors]

    async def embed_images(images: list[bytes]) -> list[Vector | Refusal]:
        found = await asyncio.to_thread(encoder.encode_images, images)
        return [Vector(vector) for vector in found]

    search = FigureSearch(Always(index, VERSION), embed_texts, embed_images, Limits())
    app = search_app(search, about="", num_results=24)

    async def times(path: str, more: dict[str, str]) -> list[float]:
        found = []
        for words in queries.words:
            start = time.perf_counter()
            await _get(app, path, {"q": words[:200], **more})
            found.append(1_000 * (time.perf_counter() - start))
        return found

    async def all_times() -> Figures:
        await times("/", {})
        page = await times("/", {"license": "CC BY"})
        hybrid = await times("/api/search", {"license": "CC BY", "hybrid": "true"})
        return {
            "page_p95_ms": float(np.percentile(page, 95)),
            "hybrid_p95_ms": float(np.percentile(hybrid, 95)),
        }

    return asyncio.run(all_times())


async def _get(app: Any, path: str, query: dict[str, str]) -> bytes:
    """One request, straight into the application; `RuntimeError` where the answer is no 200."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": urlencode(query).encode(),
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    status, body = 0, bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)
        body.extend(message.get("body", b""))

    await app(scope, receive, send)
    if status != 200:
        raise RuntimeError(f"{path}: {status} {bytes(body[:500])!r}")
    return bytes(body)


def faiss_row(store: Store, queries: Queries, truth: dict[str, Truth]) -> Figures:
    """The same vectors in faiss's memory."""
    names = ("recall_at_10", "p95_ms", "filtered_recall", "filtered_p95_ms")
    try:
        start = time.perf_counter()
        found = open_index(store, VERSION, kind="memory")
    except UsageError:
        return {f"faiss_{name}": None for name in (*names, "open_s")}
    open_s = time.perf_counter() - start
    figures = measured(found, queries, truth)
    return {f"faiss_{name}": figures[name] for name in names} | {"faiss_open_s": open_s}


if __name__ == "__main__":
    measurement, where = sys.argv[1:]
    print(json.dumps({"build": build, "search": search}[measurement](Store(where))))
