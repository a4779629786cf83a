"""The sides that the benchmarks compare, each in processes of its own: server, job, plain loops."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from figclip.config import UsageError
from figclip.corpus.rules import CorpusConfig
from figclip.sources.miniature import BUCKET
from jobs.benchmarks.plain import Work
from jobs.benchmarks.processes import Family

CPUS = 2
"""What the job's Ray believes to have."""

SAMPLE_EVERY_S = 2.0
"""Of a worker that ends, at most so much CPU time is missed; a sample takes some itself."""

REST_S, REST_CPU_S, MOST_RESTS = 2.0, 0.3, 15
"""At rest is who takes less CPU than that in so long; it is not waited for for ever."""


def python(module: str, *args: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"jobs.benchmarks.{module}", *map(str, args)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **options)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The endpoint of a server of a bucket that lies in a folder."""
    server = python("object_server", folder, BUCKET)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.terminate()
        server.communicate()


def plain(
    source: str, folder: Path, config: CorpusConfig, *, processes: int = 1, endpoint: str = ""
) -> tuple[float, list[Work]]:
    """Wall seconds of the plain loop on so many processes (their imports apart), and their work."""
    folder.mkdir(parents=True)
    asked = [endpoint] if endpoint else []
    loops = [
        python("plain", source, folder, share, processes, *asked) for share in range(processes)
    ]
    for loop in loops:  # all have to wait for their config, so that they begin together
        assert loop.stdout is not None
        loop.stdout.readline()
    start = time.monotonic()
    for loop in loops:
        assert loop.stdin is not None
        loop.stdin.write(config.to_json())
        loop.stdin.close()
    works = [Work(**_answer(loop, "the plain loop")) for loop in loops]
    wall_s = time.monotonic() - start
    for loop in loops:
        loop.wait()
    return wall_s, works


class RayJob:
    """Ingestion on a Ray of its own, and what all of its processes take."""

    def __init__(self, store: Path) -> None:
        start = time.monotonic()
        self._process = python("on_ray", store, CPUS)
        self.family = Family(self._process.pid, every_s=SAMPLE_EVERY_S)
        self._told("")
        self.start_s = time.monotonic() - start
        self._wait_until_at_rest()

    def ingest(
        self,
        source: str,
        version: str,
        config: CorpusConfig,
        *,
        tasks: int,
        endpoint: str | None = None,
        pmcids: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """`wall_s` and `counts` of a corpus, published."""
        task = {"source": source, "endpoint": endpoint, "version": version, "tasks": tasks}
        given = {"corpus": config.model_dump(mode="json"), "pmcids": pmcids and list(pmcids)}
        return self._told(json.dumps(task | given) + "\n")

    def _wait_until_at_rest(self) -> None:
        """Ray goes on starting its dashboard and its workers when `ray.init` has returned."""
        for _ in range(MOST_RESTS):
            before = self.family.cpu_s()
            time.sleep(REST_S)
            if self.family.cpu_s() - before < REST_CPU_S:
                return

    def _told(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return _answer(self._process, "the job")

    def stop(self) -> float:
        """End Ray and the job; seconds that this takes."""
        start = time.monotonic()
        assert self._process.stdin is not None
        self._process.stdin.close()
        while self._process.poll() is None:
            self.family.sample()
            time.sleep(0.1)
        return time.monotonic() - start

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextmanager
def ray_job(store: Path) -> Iterator[RayJob]:
    """A job for the body, which ends with it, however."""
    job = RayJob(store)
    try:
        with job.family:
            yield job
            job.stop()
    finally:
        job.end()


def _answer(process: subprocess.Popen[str], who: str) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise UsageError(f"{who} of the benchmark ended with exit code {process.wait()}")
    return json.loads(line)
