"""What a search is worth beside brute force: the exact check, and the choice of settings."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from figclip.embedding.index.filters import Filters

log = logging.getLogger(__name__)

NEAREST = 10
NEAR = 1e-5
"""Cosines of float32 vectors that differ by less may swap their order."""
REFINES = (5, 10, 20, 40, 80, 160)
ROWS_AT_ONCE = 8_192
"""Vectors whose scores are held together."""

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
class Group:
    """Queries of one kind, and what brute force finds for them."""

    name: str
    """`image`, `text`, or what their filter is."""
    queries: np.ndarray
    """float32 unit vectors, [q, dim]."""
    filters: Filters
    exact: list[Found]


@dataclass(frozen=True)
class Choice:
    """The cheapest settings that reach the recall asked for, else the best there are."""

    settings: Settings
    recalls: dict[str, float]
    """Mean recall of each group."""

    @property
    def recall(self) -> float:
        """Of the group that fares worst."""
        return min(self.recalls.values())

    def as_counts(self) -> dict[str, object]:
        recalls = {name: round(recall, 4) for name, recall in self.recalls.items()}
        return {
            **asdict(self.settings),
            "recall_at_10_vs_exact": round(self.recall, 4),
            "recalls": recalls,
        }


class Nearest:
    """The `k` nearest of every query [q, dim], kept up to date as vectors are seen."""

    def __init__(self, queries: np.ndarray, k: int = NEAREST) -> None:
        self._queries = queries.astype(np.float64)
        self._k = k
        self.found: list[Found] = [[] for _ in queries]

    def see(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """Of unit vectors [m, dim]."""
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            scores = self._queries @ vectors[start : start + ROWS_AT_ONCE].T.astype(np.float64)
            top = np.argsort(-scores, axis=1, kind="stable")[:, : self._k]
            for row, order in enumerate(top):
                new = [(ids[start + i], float(scores[row, i])) for i in order]
                best = sorted([*self.found[row], *new], key=lambda found: -found[1])
                self.found[row] = best[: self._k]


def brute_force(
    queries: np.ndarray, blocks: Iterable[tuple[list[str], np.ndarray]], k: int
) -> list[Found]:
    """The `k` nearest of every query [q, dim] among all blocks of (ids, unit vectors [m, dim])."""
    nearest = Nearest(queries, k)
    for ids, vectors in blocks:
        nearest.see(ids, vectors)
    return nearest.found


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
    if mine.shape != truth.shape or (np.abs(mine - truth) > NEAR).any():
        raise RuntimeError(f"the index finds scores {mine}, brute force finds {truth}")
    sure = {name for name, score in exact if score > truth[-1] + NEAR}
    if missing := sure - {name for name, _ in found}:
        raise RuntimeError(f"the index misses {sorted(missing)}, which brute force finds")


Search = Callable[[np.ndarray, Filters, Settings], Found]


def choose_settings(
    search: Search, groups: Sequence[Group], *, num_partitions: int, min_recall: float
) -> Choice:
    """Try settings from the cheapest on until the mean recall of every group is reached."""
    best: Choice | None = None
    for settings in ladder(num_partitions):
        recalls = {group.name: _mean_recall(search, group, settings) for group in groups}
        choice = Choice(settings, recalls)
        log.info("%s: recall at 10 against the exact scan %s", settings, recalls)
        if best is None or choice.recall > best.recall:
            best = choice
        if choice.recall >= min_recall:
            break
    assert best is not None, "the ladder has a first rung"
    if best.recall < min_recall:
        log.warning("no settings reach a recall of %.3f; the best: %s", min_recall, best)
    return best


def _mean_recall(search: Search, group: Group, settings: Settings) -> float:
    found = [search(query, group.filters, settings) for query in group.queries]
    return float(np.mean([recall_of(*both) for both in zip(found, group.exact, strict=True)]))


def ladder(num_partitions: int) -> list[Settings]:
    """Settings in the order of their cost: partitions opened times candidates compared."""
    steps = [4 * 2**i for i in range(20) if 4 * 2**i < num_partitions]
    rungs = [Settings(n, refine) for n in [*steps, num_partitions] for refine in REFINES]
    return sorted(rungs, key=lambda rung: rung.nprobes * rung.refine)
