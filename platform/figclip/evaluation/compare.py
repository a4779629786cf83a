"""Two encoders on the same pairs: what one finds more than the other, and how sure that is.

Both search the same images and captions, so a query that is hard for one is mostly hard for the
other. The pairs are therefore drawn anew together (the paired bootstrap; Efron and Tibshirani 1993,
chapter 16): the interval is of the difference, and narrower than the two intervals apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from figclip.embedding.vectors import Embeddings
from figclip.evaluation.beside import percent
from figclip.evaluation.bootstrap import Interval, bootstrap
from figclip.evaluation.ranking import SIDE, Ranking, rank_both_ways
from figclip.evaluation.retrieval import check_vectors, hit_probability
from figclip.statistics.wording import markdown

WAYS = ("text → image", "image → text")


@dataclass(frozen=True)
class Difference:
    """Of one measure: both encoders' means over the pairs, and B − A with its 95 % interval."""

    measure: str
    first: float
    second: float
    interval: Interval

    @property
    def difference(self) -> float:
        return self.second - self.first

    @property
    def is_clear(self) -> bool:
        """The interval leaves zero out."""
        return self.interval.low > 0 or self.interval.high < 0


def compared(
    first: Embeddings,
    second: Embeddings,
    *,
    ks: Sequence[int] = (1, 5, 10),
    num_resamples: int = 10_000,
    seed: int = 0,
    tile: int = SIDE,
    device: str = "cpu",
) -> list[Difference]:
    """Recall@k both ways of two encoders on the same pairs, in the same order.

    `ValueError` where they are not the same. A tie counts by its expected value, as in `recall`.
    """
    if first.pair_ids != second.pair_ids:
        raise ValueError("the two are not of the same pairs")
    found = [hits(each, ks=ks, tile=tile, device=device) for each in (first, second)]
    gains = np.stack([found[1][name] - found[0][name] for name in found[0]], axis=1)
    intervals = bootstrap(gains, num_resamples=num_resamples, seed=seed)
    return [
        Difference(name, float(found[0][name].mean()), float(found[1][name].mean()), interval)
        for name, interval in zip(found[0], intervals, strict=True)
    ]


def hits(
    found: Embeddings, *, ks: Sequence[int], tile: int, device: str
) -> Mapping[str, Float[np.ndarray, " n"]]:
    """`text → image @1` and so on → for each pair, whether its own was found (between 0 and 1,
    where it ties with others). `ValueError` where a vector is none of length 1."""
    check_vectors(found.images, found.texts)
    own = np.arange(len(found.pair_ids))
    return hits_of(
        *rank_both_ways(found.images, found.texts, groups=own, tile=tile, device=device), ks=ks
    )


def hits_of(
    forth: Ranking, back: Ranking, *, ks: Sequence[int]
) -> Mapping[str, Float[np.ndarray, " n"]]:
    """Of the rankings of images among texts, and of texts among images."""
    rankings = dict(zip(WAYS, (back, forth), strict=True))
    return {
        f"{way} @{k}": hit_probability(k - r.num_greater, r.num_tied, r.num_right_tied)
        for way, r in rankings.items()
        for k in ks
    }


def compare_table(found: Sequence[Difference], names: tuple[str, str]) -> str:
    """A line a measure, as Markdown; the better one is named where the interval leaves zero out."""
    rows = [["recall", *names, "difference", "95 % interval", "better"]]
    for one in found:
        better = (names[1] if one.difference > 0 else names[0]) if one.is_clear else "–"
        interval = f"{signed(one.interval.low)} … {signed(one.interval.high)}"
        shares = (percent(one.first), percent(one.second))
        rows.append([one.measure, *shares, signed(one.difference), interval, better])
    return markdown(rows)


def signed(share: float) -> str:
    """In percentage points: `+1.20`, `−0.40`."""
    return f"{100 * share:+.2f}".replace("-", "−")
