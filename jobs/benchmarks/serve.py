"""The embeddings service beside infinity: the same checkpoint, requests and client, in turn.

    {kind}_ratio_c{n} = our requests/s / infinity's, at n clients of one item a request
    {kind}_p99_ratio_c{n} = our 99th percentile / infinity's

Cache and deduplication are off, and what they give is told apart. Texts are so short that infinity
reads them whole: it cuts CLIP's at 20 tokens. `tiny_…` is the same with a model of next to no work:
what the servers themselves cost. All CPU time of a server's process tree counts; client and servers
share the machine. Our words of `serve run` are `OURS`.

Infinity runs in a virtual environment of its own, whose python is `--infinity`, with

    infinity-emb[all]==0.0.78 transformers<4.50 optimum==1.24.0 click<8.2 typer<0.16
    datasets==3.2.0 pyarrow<20 numpy<2

and without telemetry. What needs it is not measured without it.
"""

import asyncio
import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from figclip.config import UsageError
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.serve_load import overload, soak, text_bodies
from jobs.benchmarks.serve_parity import parity
from jobs.benchmarks.serve_sides import Server, infinity, ours

log = logging.getLogger(__name__)

LEVELS = (1, 8, 32, 64)
"""Clients at once."""
KINDS = ("image", "text")
PARTS = ("speed", "tiny", "cache", "overload", "soak", "parity")
WORDS = 6
"""Of a text; with its number at most 20 tokens."""
OURS: dict[str, Any] = {
    "backend": "bf16",
    "threads": 2,
    "cache_mb": 0,
    "share": False,
}
OVERLOAD_CLIENTS = 32
SOAK_CLIENTS = 8
WARM_S = 2.0


def serve(
    folder: Path,
    shared: Path,
    *,
    peer: Path | None,
    parts: Sequence[str],
    seconds: float,
    soak_s: float,
) -> Figures:
    """`seconds` of each level of clients; `soak_s` of the soak."""
    if unknown := set(parts) - set(PARTS):
        raise UsageError(f"{', '.join(sorted(unknown))}: no part; parts are {', '.join(PARTS)}")
    bench = Bench(folder, shared / "bench" / "serve_bench.py", peer, seconds)
    figures: Figures = {}
    if "speed" in parts:
        figures |= bench.compared("b32", "")
    if "tiny" in parts:
        figures |= bench.compared("tiny", "tiny_")
    if "cache" in parts:
        figures |= bench.cache_gain()
    if "overload" in parts:
        figures |= bench.overloaded()
    if "soak" in parts:
        figures |= bench.soaked(soak_s)
    if "parity" in parts:
        figures |= parity()
    return {name: None if value is None else round(value, 4) for name, value in figures.items()}


class Bench:
    """A folder with checkpoints, and the load test that all servers are measured by."""

    def __init__(self, folder: Path, script: Path, peer: Path | None, seconds: float) -> None:
        if not script.is_file():
            raise UsageError(f"no {script}: name the folder of the load test with --shared")
        self._folder = folder
        self._script = script.resolve()
        self._peer = peer
        self._seconds = seconds

    def compared(self, size: str, prefix: str) -> Figures:
        """Both servers in turn, and their ratios."""
        model = self._model(size)
        peer = None
        if self._peer is not None:
            peer = self._measured(infinity(self._peer, model, self._log("infinity")))
        mine = self._measured(self._ours(model, **OURS))
        return {f"{prefix}{name}": value for name, value in compared(mine, peer).items()}

    def cache_gain(self) -> Figures:
        """One image, asked again and again, with the cache and without."""
        words = {name: value for name, value in OURS.items() if name not in ("cache_mb", "share")}
        options = ("--distinct-images", "1", "--levels", "8", "--kinds", "image")
        model = self._model("b32")
        without = self._measured(self._ours(model, **OURS), *options)
        kept = self._measured(self._ours(model, **words), *options)
        return {"cache_gain_image_c8": kept["image"][8]["rps"] / without["image"][8]["rps"]}

    def overloaded(self) -> Figures:
        with self._ours(self._model("b32"), **OURS) as server:
            found = asyncio.run(
                overload(
                    f"{server.url}/v1/embeddings",
                    text_bodies(server.model, texts()),
                    clients=OVERLOAD_CLIENTS,
                    seconds=self._seconds,
                )
            )
        return {**found}

    def soaked(self, seconds: float) -> Figures:
        """Texts with the model of next to no work: as many requests as can be."""
        with self._ours(self._model("tiny"), **OURS) as server:
            found = asyncio.run(
                soak(
                    f"{server.url}/v1/embeddings",
                    text_bodies(server.model, texts()),
                    clients=SOAK_CLIENTS,
                    seconds=seconds,
                    pid=server.pid,
                )
            )
        return {**found}

    def _ours(self, model: Path, **words: Any) -> AbstractContextManager[Server]:
        return ours(model, self._folder / "serve", self._log("ours"), **words)

    def _measured(self, side: AbstractContextManager[Server], *options: str) -> "Levels":
        """Kind → clients → what `serve_bench.py` found."""
        out = self._folder / "measured.json"
        with side as server:
            self._run(
                *("bench", "--url", server.url, "--api", server.api, "--model", server.model),
                *("--pid", str(server.pid), "--words", str(WORDS), "--out", str(out)),
                *("--seconds", str(self._seconds), "--warm", str(WARM_S)),
                *("--levels", ",".join(map(str, LEVELS)), "--kinds", ",".join(KINDS)),
                *options,
            )
        results = json.loads(out.read_bytes())["results"]
        for kind, rows in results.items():
            if not isinstance(rows, list):
                raise UsageError(f"{kind} was answered with HTTP {rows['error']}")
        return {kind: {row["concurrency"]: row for row in rows} for kind, rows in results.items()}

    def _model(self, size: str) -> Path:
        """A checkpoint of random weights; made by the peer's own library where there is one."""
        path = self._folder / size
        if not path.exists():
            python = str(self._peer or sys.executable)
            words = ("make-model", str(path), "--size", size, "--bpe", str(merges()))
            self._run(*words, python=python)
        return path

    def _run(self, *words: str, python: str = sys.executable) -> None:
        environment = {**os.environ, "PYTHONPATH": ""} if python != sys.executable else None
        done = subprocess.run([python, str(self._script), *words], env=environment, check=False)
        if done.returncode:
            raise UsageError(f"{self._script.name} {words[0]} ended with {done.returncode}")

    def _log(self, who: str) -> Path:
        return self._folder / f"{who}.log"


Levels = dict[str, dict[int, dict[str, Any]]]


def compared(mine: Levels, peer: Levels | None) -> Figures:
    """Ratios first, then what they were made of."""
    figures: Figures = {}
    for kind, levels in mine.items():
        for clients, row in levels.items():
            other = peer[kind][clients] if peer is not None else None
            for name, key in (("ratio", "rps"), ("p99_ratio", "p99_ms")):
                figures[f"{kind}_{name}_c{clients}"] = (
                    row[key] / other[key] if other and other[key] and row[key] else None
                )
    for who, sides in (("", mine), ("infinity_", peer)):
        for kind, levels in (sides or {}).items():
            for clients, row in levels.items():
                at = f"{who}{kind}_c{clients}"
                figures[f"{at}_rps"] = row["rps"]
                figures[f"{at}_p99_ms"] = row["p99_ms"]
                figures[f"{at}_cpu_ms"] = row.get("server_cpu_ms_per_req")
                figures[f"{at}_errors"] = row["errors"]
    return figures


def merges() -> Path:
    """CLIP's byte pairs, as open_clip brings them."""
    found = importlib.util.find_spec("open_clip")
    if found is None or found.origin is None:
        raise UsageError("open_clip is not installed, whose byte pairs the checkpoints take")
    return Path(found.origin).parent / "bpe_simple_vocab_16e6.txt.gz"


def texts() -> list[str]:
    return [f"Axial CT of the left lung, number {number}" for number in range(500)]
