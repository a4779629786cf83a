"""Which way a sweep's question was answered, here and in the paper, in a sentence each."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from figclip.tuning.levels import Level, Measure, Spread, levels, measures, spread_of
from figclip.tuning.record import PaperTable, SweepRecord

NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
SURE = 2.0
"""Standard errors that a difference must exceed to be one."""

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

    @property
    def difference(self) -> float:
        return self.last.mean - self.first.mean

    @property
    def standard_error(self) -> float | None:
        """Of the difference; None where a row has one seed."""
        first, last = self.first.standard_error, self.last.standard_error
        return None if first is None or last is None else math.hypot(first, last)

    @property
    def is_clear(self) -> bool:
        """Beyond what seeds do; where a row has one seed nothing is."""
        error = self.standard_error
        return error is not None and abs(self.difference) > SURE * error

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
    """Of every measure that the first and last setting have; none where a search was asked."""
    rows = levels(record)
    if record.paper is None and len(record.varied) != 1:
        return []
    found = [_effect(measure, rows, record) for measure in measures(record)]
    return [effect for effect in found if effect is not None]


def _effect(measure: Measure, rows: Sequence[Level], record: SweepRecord) -> Effect | None:
    spreads = [spread_of(level, measure.metric, record) for level in rows]
    if len(spreads) < 2 or spreads[0] is None or spreads[-1] is None:
        return None
    means = [spread.mean for spread in spreads if spread is not None]
    steps = [after - before for before, after in zip(means, means[1:], strict=False)]
    monotone = all(step >= 0 for step in steps) or all(step <= 0 for step in steps)
    ends = None if record.paper is None else paper_ends(record.paper, measure.column)
    return Effect(measure, spreads[0], spreads[-1], monotone, ends)


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
    rows = levels(record)
    ends = f"from {setting_words(rows[0])} to {setting_words(rows[-1])}"
    return [_answer(found, record), *(_sentence(effect, ends, record) for effect in found)]


def setting_words(level: Level) -> str:
    """`batch_size 16`, `pixels.size 96, model.vision.image_size 96`."""
    return ", ".join(f"{name} {value_words(value)}" for name, value in level.params.items())


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


def _answer(found: Sequence[Effect], record: SweepRecord) -> str:
    verdicts = [effect.verdict for effect in found if effect.verdict is not None]
    if record.paper is None or not verdicts:
        clear = sum(effect.is_clear for effect in found)
        return f"{clear} of {len(found)} measures differ by more than seeds do."
    counts = [(verdicts.count("agree"), "agree with the paper")]
    counts += [(verdicts.count("disagree"), "disagree"), (verdicts.count("undecided"), UNDECIDED)]
    told = ", ".join(f"{number} {words}" for number, words in counts if number)
    return f"Of {len(verdicts)} measures beside {record.paper.source}: {told}."


UNDECIDED = "cannot be told from what seeds do"


def _sentence(effect: Effect, ends: str, record: SweepRecord) -> str:
    unit = effect.first.mean if effect.measure.kind == "time" else 1.0
    first, last = (measure_words(effect.measure, end, unit) for end in (effect.first, effect.last))
    seeds = sorted({effect.first.num, effect.last.num})
    of_seeds = f"{' and '.join(map(str, seeds))} seed{'s' if seeds != [1] else ''}"
    words = f"{effect.measure.column}: {_way(effect.difference)} {ends}, {first} → {last}"
    words += f" ({of_seeds}{'' if effect.monotone else '; not at every step'})"
    if effect.standard_error is None:
        words += "; with one seed nobody knows how much of it is noise"
    elif not effect.is_clear:
        words += f"; no more than {SURE:g} standard errors of the difference"
    if effect.paper is None or record.paper is None:
        return f"{words}."
    theirs = effect.paper[1] - effect.paper[0]
    words += f". {record.paper.source}: {_way(theirs)}, {effect.paper[0]:g} → {effect.paper[1]:g}"
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
    digits = 2 if measure.kind != "number" or abs(found.mean) >= 100 else 4
    deviation = "" if found.deviation is None else f" ± {found.deviation * factor:.{digits}f}"
    ending = "x" if measure.kind == "time" else ""
    return f"{found.mean * factor:.{digits}f}{deviation}{ending}"
