"""A sweep as tables: its result in the layout of the paper's, what it took, and every trial."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from figclip.statistics.wording import markdown
from figclip.tuning.effects import measure_words, number_of, value_words
from figclip.tuning.levels import Level, levels, measured, measures, slug, spread_of
from figclip.tuning.record import PaperTable, SweepRecord, TrialRecord

STATES = ("complete", "pruned", "failed", "running", "planned")
MOST_ROWS = 20
"""Of a search's result; the trials' own table has them all."""


@dataclass(frozen=True)
class Table:
    """Cells as text; the first row is the head."""

    rows: Sequence[Sequence[str]]
    note: str = ""

    def as_markdown(self) -> str:
        text = markdown([[_plain(cell) for cell in row] for row in self.rows])
        return f"{text}\n\n{self.note}" if self.note else text


def result_table(record: SweepRecord) -> Table:
    """Mean ± deviation over seeds, in the paper's columns with its rows below, else best first."""
    if record.paper is None:
        return _ranked(record)
    head = ["", *record.paper.columns, "seeds"]
    ours = [["ours", *cells] for cells in _rows_as_in(record.paper, record)]
    theirs = [["paper", *map(_printed, row), ""] for row in record.paper.rows]
    note = f"paper: {record.paper.source} of BiomedCLIP (arXiv 2303.00915). {SPREADS}"
    return Table([head, *ours, *theirs], note)


SPREADS = "Ours: mean ± standard deviation over the seeds, after the last epoch."


def _rows_as_in(paper: PaperTable, record: SweepRecord) -> list[list[str]]:
    """Our settings in the paper's columns; a setting without a column of its own is spelt out in
    the first one."""
    rows, columns = levels(record), measures(record)
    by_column = {measure.column: measure for measure in columns}
    units = {
        one.metric: found.mean if rows and (found := spread_of(rows[0], one.metric, record)) else 1
        for one in columns
        if one.kind == "time"
    }
    own = _own_columns(paper, record)
    table = []
    for level in rows:
        cells = []
        for number, column in enumerate(paper.columns):
            if (measure := by_column.get(column)) is not None:
                found = spread_of(level, measure.metric, record)
                cells.append(measure_words(measure, found, units.get(measure.metric, 1.0)))
            else:
                cells.append(_setting_cell(level, own, column, is_first=number == 0))
        table.append([*cells, str(len(level.complete))])
    return table


def _own_columns(paper: PaperTable, record: SweepRecord) -> Mapping[str, str]:
    """What is varied → the paper's column of that name, where there is one."""
    found = {}
    for name in record.varied:
        ending = slug(name.rpartition(".")[2])
        same = [c for c in paper.columns if slug(c) == ending]
        if same and same[0] not in found.values():
            found[name] = same[0]
    if not found and len(record.varied) == 1:
        return {record.varied[0]: paper.columns[0]}
    return found


def _setting_cell(level: Level, own: Mapping[str, str], column: str, *, is_first: bool) -> str:
    words = [value_words(v) for name, v in level.params.items() if own.get(name) == column]
    if is_first:
        words += [f"{name} {value_words(v)}" for name, v in level.params.items() if name not in own]
    return ", ".join(words) or "–"


def _ranked(record: SweepRecord) -> Table:
    """The best setting first, by the first objective; settings without a finished trial last."""
    columns = measures(record)
    metric, way = record.objectives[0]
    sign = -1 if way == "maximize" else 1

    def place(level: Level) -> tuple[bool, float, int]:
        found = spread_of(level, metric, record)
        return found is None, sign * found.mean if found else 0.0, level.trials[0].number

    listed = sorted(levels(record), key=place)
    rows = [
        [
            *(value_words(level.params[name]) if name in level.params else "–" for name in varied),
            *(measure_words(one, spread_of(level, one.metric, record)) for one in columns),
            str(len(level.complete)),
        ]
        for varied in [record.varied]
        for level in listed[:MOST_ROWS]
    ]
    head = [*record.varied, *(_head(one.column, one.kind) for one in columns), "seeds"]
    left = len(listed) - len(rows)
    more = f" {left:,} settings more are in the trials' table." if left > 0 else ""
    return Table([head, *rows], f"The best by {metric} first. {SPREADS}{more}")


def _head(column: str, kind: str) -> str:
    return f"{column} (%)" if kind == "share" and "%" not in column else column


def state_table(record: SweepRecord) -> Table:
    """How many trials ended how, and why those that did not finish did not."""
    states = Counter(trial.state for trial in record.trials)
    rows = [["trials", "number", "why"]]
    for state in STATES:
        reasons = Counter(
            (trial.reason.strip() or "no reason kept") if state in ("pruned", "failed") else ""
            for trial in record.trials
            if trial.state == state
        )
        for reason, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            rows.append([state, f"{number:,}", reason])
    missing = record.planned - states.total()
    if missing > 0:
        rows.append(["not begun", f"{missing:,}", ""])
    return Table(rows, f"{states['complete']:,} of {record.planned:,} planned trials are complete.")


def cost_table(record: SweepRecord) -> Table:
    """Samples and hours of each setting, all its trials counted, and where they come from."""
    rows = [["setting", "trials", "samples seen", "GPU-hours", "CPU-hours", "training seconds"]]
    groups = [(level_name(level), level.trials) for level in levels(record)]
    for name, trials in [*groups, ("all", record.trials)]:
        rows.append([name, f"{len(trials):,}", *_sums(trials)])
    return Table(rows)


def level_name(level: Level) -> str:
    return ", ".join(f"{name} {value_words(value)}" for name, value in level.params.items()) or "–"


def _sums(trials: Sequence[TrialRecord]) -> list[str]:
    return [
        f"{sum(trial.samples_seen for trial in trials):,}",
        hours(sum(trial.gpu_hours for trial in trials)),
        hours(sum(trial.cpu_hours for trial in trials)),
        f"{sum(trial.seconds for trial in trials):,.1f}",
    ]


def hours(number: float) -> str:
    return f"{number:,.1f}" if number >= 10 else f"{number:.3f}"


def trial_table(record: SweepRecord) -> Table:
    """A line a trial, in the order of their numbers."""
    objectives = [name for name, _ in record.objectives]
    names = sorted({name for trial in record.trials for name in trial.params}, key=_varied(record))
    head = ["trial", "state", *names, "seed", *objectives, "samples", "GPU-h", "CPU-h", "encoder"]
    rows = [
        [
            str(trial.number),
            trial.state,
            *(value_words(trial.params[name]) if name in trial.params else "–" for name in names),
            str(trial.seed),
            *(f"{found[name]:.4f}" if name in found else "–" for name in objectives),
            f"{trial.samples_seen:,}",
            hours(trial.gpu_hours),
            hours(trial.cpu_hours),
            trial.encoder or "–",
        ]
        for trial in sorted(record.trials, key=lambda trial: trial.number)
        for found in [measured(trial, record)]
    ]
    return Table([head, *rows])


def facts(record: SweepRecord) -> list[tuple[str, str]]:
    """What stands at the head of the page: value, and what it is of."""
    states = Counter(trial.state for trial in record.trials)
    trials = record.trials
    told = [(f"{states['complete']:,} of {record.planned:,}", "trials complete")]
    told += [(f"{states[state]:,}", state) for state in ("pruned", "failed")]
    told += [(f"{sum(trial.samples_seen for trial in trials):,}", "samples seen")]
    gpu, cpu = (sum(getattr(t, name) for t in trials) for name in ("gpu_hours", "cpu_hours"))
    told += [(hours(gpu), "GPU-hours"), (hours(cpu), "CPU-hours")]
    return told


def origin(record: SweepRecord) -> list[tuple[str, str]]:
    """What a reader must know to do it again: name, and value."""
    revisions = _distinct(trial.revision for trial in record.trials)
    pairs = _distinct(trial.pairs for trial in record.trials)
    seeds = _distinct(str(trial.seed) for trial in sorted(record.trials, key=lambda t: t.seed))
    objectives = ", ".join(f"{way} {name}" for name, way in record.objectives)
    return [
        ("space", record.space),
        ("base", record.base),
        ("objectives", objectives),
        ("varied", ", ".join(record.varied)),
        ("seeds", seeds),
        ("pairs", pairs),
        ("revision", revisions),
    ]


def _distinct(words: Sequence[str] | object) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word)) or "–"  # type: ignore[attr-defined]


def _varied(record: SweepRecord):  # type: ignore[no-untyped-def]
    order = {name: number for number, name in enumerate(record.varied)}
    return lambda name: (order.get(name, len(order)), name)


def _printed(cell: str | float) -> str:
    """A number of the paper's as it is printed there, as far as a float keeps it."""
    return cell if isinstance(cell, str) else f"{cell:g}"


def _plain(cell: str) -> str:
    """One line that does not end its cell."""
    return re.sub(r"\s+", " ", cell).replace("|", "\\|")


__all__ = ["number_of"]
