"""What a search has gained: its best recipe beside its base, on seeds that chose neither."""

import math
import statistics
from dataclasses import dataclass

from scipy.stats import ttest_ind

from figclip.tuning.record import SweepRecord, TrialRecord
from figclip.tuning.spaces import Params, Point

LEVEL = 0.95


@dataclass(frozen=True)
class Gain:
    """The first objective by the best recipe and by the base, a value a fresh seed."""

    metric: str
    params: Params
    """The best recipe's, as far as the search varies them."""
    found: tuple[float, ...]
    base: tuple[float, ...]
    num_samples: tuple[int, int]
    """Seen by each trial: of the recipe, of the base."""
    higher_is_better: bool

    @property
    def difference(self) -> float:
        """Recipe − base, of the means."""
        return statistics.fmean(self.found) - statistics.fmean(self.base)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the difference, at `LEVEL`, by Welch's t: seeds alone make no more."""
        if len({*self.found}) == len({*self.base}) == 1:
            return self.difference, self.difference
        test = ttest_ind(self.found, self.base, equal_var=False)
        ends = test.confidence_interval(LEVEL)
        return float(ends.low), float(ends.high)

    @property
    def is_clear(self) -> bool:
        low, high = self.interval
        return low > 0 if self.higher_is_better else high < 0


def gain(record: SweepRecord) -> Gain | None:
    """None where no search has had its best confirmed beside its base, with two seeds or more.

    The first trial is the base; the trials of the first seed chose, so they do not count.
    """
    first = next((trial for trial in record.trials if trial.number == 0), None)
    if first is None:
        return None
    fresh: dict[str, list[TrialRecord]] = {}
    for trial in record.trials:
        if trial.seed > 0:
            fresh.setdefault(_setting(trial), []).append(trial)
    others = fresh.keys() - {_setting(first)}
    is_search = bool({_setting(trial) for trial in record.trials} - fresh.keys())
    if not is_search or _setting(first) not in fresh or len(others) != 1:
        return None
    ours, base = _complete(fresh[others.pop()]), _complete(fresh[_setting(first)])
    if min(len(ours), len(base)) < 2:
        return None
    metric, way = record.objectives[0]
    return Gain(
        metric,
        ours[0].params,
        tuple(trial.values[0] for trial in ours),
        tuple(trial.values[0] for trial in base),
        (max(t.samples_seen for t in ours), max(t.samples_seen for t in base)),
        way == "maximize",
    )


def _setting(trial: TrialRecord) -> str:
    return Point(trial.params, 0).identity


def _complete(trials: list[TrialRecord]) -> list[TrialRecord]:
    return [
        trial for trial in trials if trial.state == "complete" and math.isfinite(trial.values[0])
    ]


def gain_sentence(found: Gain) -> str:
    """`On 3 fresh seeds the best recipe has mean_recall 0.5634 and the base 0.5178, at 20,160 …`"""
    low, high = found.interval
    seeds = sorted({len(found.found), len(found.base)})
    ours, base = statistics.fmean(found.found), statistics.fmean(found.base)
    samples = " and ".join(f"{number:,}" for number in dict.fromkeys(found.num_samples))
    beats = "beats its base" if found.is_clear else "is not told from its base"
    return (
        f"On {' and '.join(map(str, seeds))} fresh seeds the best recipe {beats}: {found.metric} "
        f"{ours:.4f} beside {base:.4f}, at {samples} samples each; the difference is "
        f"{found.difference:+.4f}, {LEVEL:.0%} interval {low:+.4f} to {high:+.4f} (Welch's t)."
    ).replace("%", " %")
