"""Which way a sweep's question was answered, here and in the paper, in a sentence each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from scipy.stats import ttest_ind_from_stats

from figclip.statistics.tables import NUMBER
from figclip.tuning.levels import (
    Level,
    Measure,
    Spread,
    levels,
    measures,
    objectives_of,
    papers_of,
    spread_of,
)
from figclip.tuning.record import PaperTable, SweepRecord

SURE = 0.05
"""Of chances: a difference that seeds make less often is one."""

Verdict = Literal["agree", "disagree", "undecided"]


@dataclass(frozen=True)
class Effect:
    """What one measure does from the first row of a table to its last."""

    measure: Measure
    first: Spread
    last: Spread
    monotone: bool
    """No row between turns back."""
    paper: tuple[float, float] | None
    """The paper's first and last rows, as printed."""
    source: str = ""
    """The paper's table."""

    @property
    def difference(self) -> float:
        return self.last.mean - self.first.mean

    @property
    def chance(self) -> float | None:
        """That seeds alone part the two as far (Welch's test); None where a row has one seed."""
        first, last = self.first, self.last
        if first.deviation is None or last.deviation is None:
            return None
        if first.deviation == last.deviation == 0:
            return float(self.difference == 0)
        ends = (last.mean, last.deviation, last.num, first.mean, first.deviation, first.num)
        return float(ttest_ind_from_stats(*ends, equal_var=False).pvalue)

    @property
    def is_clear(self) -> bool:
        """More than seeds do; where a row has one seed nobody can tell."""
        return self.chance is not None and self.chance < SURE

    @property
    def verdict(self) -> Verdict | None:
        """None where the paper has no number."""
        if self.paper is None:
            return None
        theirs = self.paper[1] - self.paper[0]
        if not self.is_clear or theirs == 0:
            return "undecided"
        return "agree" if (self.difference > 0) == (theirs > 0) else "disagree"


def effects(record: SweepRecord) -> list[Effect]:
    """From the first to the last setting with a finished trial, for every measure of the tables."""
    papers = papers_of(record)
    found = [
        _effect(measure, paper, record) for paper in papers for measure in measures(paper, record)
    ]
    if not papers and len(record.varied) == 1:
        found = [_effect(measure, None, record) for measure in objectives_of(record)]
    return [effect for effect in found if effect is not None]


def _effect(measure: Measure, paper: PaperTable | None, record: SweepRecord) -> Effect | None:
    spreads = [spread_of(level, measure.metric, record) for level in finished(record)]
    known = [spread for spread in spreads if spread is not None]
    if len(known) < 2:
        return None
    steps = [after.mean - before.mean for before, after in pairwise(known)]
    monotone = all(step >= 0 for step in steps) or all(step <= 0 for step in steps)
    ends = None if paper is None else paper_ends(paper, measure.column)
    source = "" if paper is None else paper.source
    return Effect(measure, known[0], known[-1], monotone, ends, source)


def finished(record: SweepRecord) -> list[Level]:
    """Settings with a finished trial."""
    return [level for level in levels(record) if level.complete]


def paper_ends(paper: PaperTable, column: str) -> tuple[float, float] | None:
    """The first and the last number of one of its columns; None where it does not have two."""
    if column not in paper.columns:
        return None
    place = paper.columns.index(column)
    numbers = [number_of(row[place]) for row in paper.rows]
    if len(numbers) < 2 or numbers[0] is None or numbers[-1] is None:
        return None
    return numbers[0], numbers[-1]


def number_of(cell: str | float) -> float | None:
    """`1.92x` → 1.92; None of words."""
    if isinstance(cell, int | float):
        return float(cell)
    found = NUMBER.match(cell.strip())
    return float(found[0]) if found else None


def sentences(record: SweepRecord) -> list[str]:
    """The answer first, then a line for each measure."""
    found = effects(record)
    if not found:
        return []
    rows = finished(record)
    ends = f"from {', '.join(level_label(rows[0]))} to {', '.join(level_label(rows[-1]))}"
    return [_answer(found), *(_sentence(effect, ends) for effect in found)]


def level_label(level: Level) -> tuple[str, ...]:
    """In the words of the paper's first columns; without them, every name and value."""
    label = next((trial.label for trial in level.trials if trial.label), ())
    named = ", ".join(f"{name} {value_words(value)}" for name, value in level.params.items())
    return tuple(map(value_words, label)) or (named or "–",)


def value_words(value: object) -> str:
    match value:
        case bool() | None:
            return {True: "yes", False: "no", None: "none"}[value]
        case float():
            return f"{value:.4g}"
        case list() | tuple():
            return " → ".join(value_words(part) for part in value)
        case _:
            return str(value)


def _answer(found: Sequence[Effect]) -> str:
    verdicts = [effect.verdict for effect in found if effect.verdict is not None]
    if not verdicts:
        clear = sum(effect.is_clear for effect in found)
        return f"{clear} of {len(found)} measures differ by more than seeds do."
    told = ", ".join(
        f"{verdicts.count(verdict)} {words}" for verdict, words in COUNTED if verdict in verdicts
    )
    return f"Of {len(verdicts)} measures beside the paper’s: {told}."


COUNTED: tuple[tuple[Verdict, str], ...] = (
    ("agree", "with the same direction"),
    ("disagree", "with the opposite one"),
    ("undecided", "undecided"),
)


def _sentence(effect: Effect, ends: str) -> str:
    unit = effect.first.mean if effect.measure.kind == "time" else 1.0
    first, last = (measure_words(effect.measure, end, unit) for end in (effect.first, effect.last))
    seeds = sorted({effect.first.num, effect.last.num})
    of_seeds = f"{' and '.join(map(str, seeds))} seed{'s' if seeds != [1] else ''}"
    words = f"{effect.measure.column}: {_way(effect.difference)} {ends}, {first} → {last}"
    words += f" ({of_seeds}{'' if effect.monotone else '; not at every step'})"
    if effect.chance is None:
        words += "; with one seed nobody knows how much of it is noise"
    elif not effect.is_clear:
        words += f"; seeds alone do as much (Welch's test, p = {effect.chance:.2f})"
    if effect.paper is None:
        return f"{words}."
    theirs = effect.paper[1] - effect.paper[0]
    before, after = (f"{number:.{effect.measure.digits}f}" for number in effect.paper)
    words += f". {effect.source}: {_way(theirs)}, {before} → {after}"
    verdicts = {
        "agree": "the two agree",
        "disagree": "the two disagree",
        "undecided": "whether the two agree is not decided here",
    }
    return f"{words}: {verdicts[effect.verdict or 'undecided']}."


def _way(difference: float) -> str:
    return "rises" if difference > 0 else "falls" if difference < 0 else "stays"


def measure_words(measure: Measure, found: Spread | None, unit: float = 1.0) -> str:
    """`82.90 ± 0.12` (per cent of a share); `unit` is what a time is a multiple of."""
    if found is None:
        return "–"
    factor = {"share": 100.0, "number": 1.0, "time": 1.0 / unit}[measure.kind]
    digits = measure.digits
    deviation = "" if found.deviation is None else f" ± {found.deviation * factor:.{digits}f}"
    ending = "x" if measure.kind == "time" else ""
    return f"{found.mean * factor:.{digits}f}{deviation}{ending}"
