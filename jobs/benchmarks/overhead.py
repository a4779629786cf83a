"""What the whole job costs beside a plain loop, and what a second worker gains beside a second
process: the same articles, the same pictures, the same files written."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from figclip.config import UsageError
from figclip.corpus.rules import CorpusConfig
from figclip.sources.miniature import BUCKET, ELIGIBLE_LICENSES
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.sides import plain, ray_job, served

log = logging.getLogger(__name__)

ROUNDS = 2
"""In each both sides take turns, so that what disturbs the machine disturbs both."""

CONFIG = CorpusConfig(licenses=ELIGIBLE_LICENSES, longest_side=512, articles_per_shard=50)

TASKS = 2

WORKER = "ray::"
"""What the titles of Ray's workers begin with, at work or not."""

MOST_NAMED, TITLE_CHARS = 12, 80
"""Of the processes of a job those that are told of, and how much of their titles."""


@dataclass(frozen=True)
class Round:
    """One job on a Ray that has just started, beside one plain loop."""

    job_cpu_s: float
    plain_cpu_s: float
    start_cpu_s: float
    """Of Ray and the job before it, with all imports."""
    stop_cpu_s: float
    start_s: float
    stop_s: float
    worker_rss: int
    num_pairs: int

    @property
    def overhead(self) -> float:
        return self.job_cpu_s / self.plain_cpu_s


def overhead(miniature: Path, folder: Path) -> Figures:
    """CPU time of the whole job over that of the loop, both fetching from one server over HTTP.

    That of the job is the sum of all its processes, from Ray's start to the published corpus.
    """
    rounds = [_round(miniature, folder / f"round{n}") for n in range(ROUNDS)]
    ratios = [one.overhead for one in rounds]
    return {
        "overhead": round(median(ratios), 3),
        "overhead_least": round(min(ratios), 3),
        "overhead_most": round(max(ratios), 3),
        "job_cpu_s": round(median(one.job_cpu_s for one in rounds), 1),
        "plain_cpu_s": round(median(one.plain_cpu_s for one in rounds), 1),
        "ray_start_s": round(median(one.start_s for one in rounds), 1),
        "ray_start_cpu_s": round(median(one.start_cpu_s for one in rounds), 1),
        "ray_stop_s": round(median(one.stop_s for one in rounds), 1),
        "ray_stop_cpu_s": round(median(one.stop_cpu_s for one in rounds), 1),
        "pairs_of_overhead": rounds[0].num_pairs,
        "worker_rss_mb_miniature": round(max(one.worker_rss for one in rounds) / 2**20, 1),
    }


def _round(miniature: Path, folder: Path) -> Round:
    source = f"s3://{BUCKET}"
    with served(miniature) as endpoint:
        _, (work,) = plain(source, folder / "plain", CONFIG, endpoint=endpoint)
        with ray_job(folder / "store") as job:
            before, started = job.family.cpu_s_by_process(), job.family.cpu_s()
            found = job.ingest(source, "ray", CONFIG, tasks=TASKS, endpoint=endpoint)
            published = job.family.cpu_s()
            after = job.family.cpu_s_by_process()
            worker_rss = job.family.peak_rss_of(WORKER)
            stop_s = job.stop()
            ended = job.family.cpu_s()
    check_same(found["counts"]["num_pairs"], work.num_pairs)
    done = Round(
        job_cpu_s=published - started,
        plain_cpu_s=work.cpu_s,
        start_cpu_s=started,
        stop_cpu_s=ended - published,
        start_s=job.start_s,
        stop_s=stop_s,
        worker_rss=worker_rss,
        num_pairs=work.num_pairs,
    )
    log.info("%s: overhead %.3f", done, done.overhead)
    spent = {title: seconds - before.get(title, 0.0) for title, seconds in after.items()}
    for title, seconds in sorted(spent.items(), key=lambda item: -item[1])[:MOST_NAMED]:
        log.info("%6.2f CPU s: %s", seconds, title[-TITLE_CHARS:])
    return done


def check_same(ours: int, theirs: int) -> None:
    if ours != theirs:
        raise UsageError(
            f"the job found {ours} pairs, the plain loop {theirs}: they do not do the same work, "
            f"so that no ratio of theirs says anything; mend jobs/benchmarks/plain.py"
        )


def workers(miniature: Path, folder: Path) -> Figures:
    """What the job gains in wall time from a second worker, beside what a plain process gains.

    The workers are warm, and the articles lie in a local folder: a server would need the very CPU
    that the second worker is to have. While the plain loops run there is no Ray.
    """
    found: dict[str, list[float]] = {"job1": [], "job2": [], "plain1": [], "plain2": []}
    for n in range(ROUNDS):
        for name, seconds in _walls(miniature, folder / f"round{n}").items():
            found[name].append(seconds)
        log.info("wall seconds so far: %s", found)
    best = {name: min(seconds) for name, seconds in found.items()}
    job, pure = best["job1"] / best["job2"], best["plain1"] / best["plain2"]
    return {
        "two_worker_efficiency": round(job / pure, 3),
        "two_worker_gain": round(job, 3),
        "two_process_gain": round(pure, 3),
        **{f"{name}_wall_s": round(seconds, 1) for name, seconds in best.items()},
    }


def _walls(miniature: Path, folder: Path) -> dict[str, float]:
    walls = {}
    with ray_job(folder / "store") as job:
        job.ingest(str(miniature), "warm", CONFIG, tasks=2, pmcids=_some(miniature))
        for tasks in (1, 2):
            done = job.ingest(str(miniature), f"tasks{tasks}", CONFIG, tasks=tasks)
            walls[f"job{tasks}"] = done["wall_s"]
    for processes in (1, 2):
        place = folder / f"plain{processes}"
        walls[f"plain{processes}"], _ = plain(str(miniature), place, CONFIG, processes=processes)
    return walls


def _some(miniature: Path) -> Sequence[str]:
    """Articles for two shards: enough to start both workers."""
    names = sorted(path.name for path in miniature.glob("PMC*"))
    articles = list(dict.fromkeys(name.partition(".")[0] for name in names))
    return articles[: 2 * CONFIG.articles_per_shard]
