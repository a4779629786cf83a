"""What a search is worth beside brute force: the exact check, and the choice of settings."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

log = logging.getLogger(__name__)

NEAR = 1e-5
"""Cosines of float32 vectors that differ by less may swap their order."""
REFINES = (5, 20, 80)

Found = list[tuple[str, float]]
"""Pair ids and scores, the best first."""


@dataclass(frozen=True)
class Settings:
    """How an IVF_PQ index is searched."""

    nprobes: int
    """Partitions that a search opens."""
    refine: int
    """Candidates, as a multiple of `k`, that are compared anew with their true vectors."""


@dataclass(frozen=True)
class Choice:
    """The cheapest settings that reach the recall asked for, else the best there are."""

    settings: Settings
    recall: float

    def as_counts(self) -> dict[str, float]:
        return {**asdict(self.settings), "recall_at_10_vs_exact": round(self.recall, 4)}


def brute_force(
    queries: np.ndarray, blocks: Iterable[tuple[list[str], np.ndarray]], k: int
) -> list[Found]:
    """The `k` nearest of every query [q, dim] among all blocks of (ids, unit vectors [m, dim])."""
    best: list[Found] = [[] for _ in queries]
    for ids, vectors in blocks:
        scores = queries.astype(np.float64) @ vectors.T.astype(np.float64)
        top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        for row, order in enumerate(top):
            merged = best[row] + [(ids[i], float(scores[row, i])) for i in order]
            best[row] = sorted(merged, key=lambda found: -found[1])[:k]
    return best


def recall_of(found: Found, exact: Found) -> float:
    """Share of the exact nearest that was found; another figure of the same score is as good."""
    if not exact:
        return 1.0
    least = exact[-1][1] - NEAR
    return sum(score >= least for _, score in found) / len(exact)


def check_exact(found: Found, exact: Found) -> None:
    """`RuntimeError` where a scan that claims to be exact differs from brute force.

    Scores must agree place by place, and every figure that is clearly among the nearest be there.
    """
    mine = np.array([score for _, score in found])
    truth = np.array([score for _, score in exact])
    sure = {name for name, score in exact if score > truth[-1] + NEAR}
    if mine.shape != truth.shape or (np.abs(mine - truth) > NEAR).any():
        raise RuntimeError(f"the index finds scores {mine}, brute force finds {truth}")
    if missing := sure - {name for name, _ in found}:
        raise RuntimeError(f"the index misses {sorted(missing)}, which brute force finds")


def choose_settings(
    search: Callable[[np.ndarray, Settings], Found],
    queries: np.ndarray,
    exact: list[Found],
    *,
    num_partitions: int,
    min_recall: float,
) -> Choice:
    """Try settings from the cheapest on until the mean recall of the queries is reached."""
    best: Choice | None = None
    for settings in ladder(num_partitions):
        found = [search(query, settings) for query in queries]
        recall = float(np.mean([recall_of(*both) for both in zip(found, exact, strict=True)]))
        log.info("%s: recall at 10 against the exact scan %.4f", settings, recall)
        if best is None or recall > best.recall:
            best = Choice(settings, recall)
        if recall >= min_recall:
            break
    assert best is not None, "the ladder has a first rung"
    if best.recall < min_recall:
        log.warning("no settings reach a recall of %.3f; the best: %s", min_recall, best)
    return best


def ladder(num_partitions: int) -> list[Settings]:
    """Settings in the order of their cost: partitions opened times candidates compared."""
    steps = [4 * 2**i for i in range(20) if 4 * 2**i < num_partitions]
    rungs = [Settings(n, refine) for n in [*steps, num_partitions] for refine in REFINES]
    return sorted(rungs, key=lambda rung: rung.nprobes * rung.refine)
