"""Ingestion on a Ray of its own, as told line by line: for a benchmark that watches from outside.

`python -m jobs.benchmarks.on_ray STORE CPUS` reads lines `{"source", "endpoint", "version",
"tasks", "corpus", "pmcids"}` and answers each when its corpus is published; the first line says
that Ray has started, the last that it has stopped.
"""

import json
import sys
import time

from figclip.config import UsageError
from figclip.corpus.ingest import ingest
from figclip.corpus.rules import CorpusConfig
from figclip.sources.source import open_source
from figclip.store import Store
from figclip.tasks import Workers
from jobs.entry import Job, joined_ray


def main(store: str, cpus: str) -> None:
    with joined_ray(Job(store=store, local_cpus=int(cpus))):
        say(started=True)
        for line in sys.stdin:
            say(**run(Store(store), **json.loads(line)))
    say(stopped=True)


def run(
    store: Store,
    *,
    source: str,
    endpoint: str | None,
    version: str,
    tasks: int,
    corpus: dict[str, object],
    pmcids: list[str] | None,
) -> dict[str, object]:
    wall = time.monotonic()
    manifest = ingest(
        open_source(source, endpoint=endpoint),
        store,
        version,
        CorpusConfig.from_json(json.dumps(corpus)),
        workers=Workers(num_cpus_per_task=1.0, max_tasks=tasks),
        pmcids=pmcids,
    )
    return {"wall_s": time.monotonic() - wall, "counts": manifest.counts}


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except UsageError as error:
        sys.exit(str(error))
