"""A sweep as tables: its result in the layout of the paper's, what it took, and every trial."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from figclip.statistics.tables import Table
from figclip.tuning.effects import level_label, measure_words, value_words
from figclip.tuning.levels import (
    Level,
    free_names,
    levels,
    measured,
    measures,
    objectives_of,
    papers_of,
    spread_of,
)
from figclip.tuning.record import PaperTable, SweepRecord, TrialRecord

STATES = ("complete", "pruned", "failed", "running", "planned")
MOST_ROWS = 20
"""Of a search's result; the trials' own table has them all."""


def result_tables(record: SweepRecord) -> list[Table]:
    """One for each of the paper's tables of the question, laid out as it is; else the ranking."""
    return [beside_paper(paper, record) for paper in papers_of(record)] or [ranking(record)]


def beside_paper(paper: PaperTable, record: SweepRecord) -> Table:
    """Our rows over the paper's, in its columns: mean ± deviation over the seeds."""
    head = ["", *paper.columns, "seeds"]
    ours = [["ours", *cells] for cells in _rows_as_in(paper, record)]
    theirs = [["paper", *row, ""] for row in _printed(paper)]
    cells = zip(*paper.rows, strict=True)
    own = [name for name, column in zip(paper.columns, cells, strict=True) if {*column} == {"–"}]
    alone = f" Of {', '.join(own)} the paper has nothing." if own else ""
    note = f"paper: BiomedCLIP (arXiv 2303.00915), {paper.source}. {SPREADS}{alone}"
    return Table([head, *ours, *theirs], note)


SPREADS = "Ours: mean ± standard deviation over the seeds, after the last epoch."


def _rows_as_in(paper: PaperTable, record: SweepRecord) -> list[list[str]]:
    """Our settings in the paper's columns: labelled, then measured."""
    rows, columns = levels(record), measures(paper, record)
    by_column = {measure.column: measure for measure in columns}
    units = {
        one.metric: found.mean
        for one in columns
        for found in [spread_of(rows[0], one.metric, record) if rows else None]
        if one.kind == "time" and found is not None
    }
    table = []
    for level in rows:
        labels = dict(zip(paper.columns, level_label(level), strict=False))
        cells = []
        for column in paper.columns:
            if (measure := by_column.get(column)) is not None:
                found = spread_of(level, measure.metric, record)
                cells.append(measure_words(measure, found, units.get(measure.metric, 1.0)))
            else:
                cells.append(labels.get(column, "–"))
        table.append([*cells, str(len(level.complete))])
    return table


def ranking(record: SweepRecord) -> Table:
    """The best setting first, by the first objective; settings without a finished trial last."""
    columns, names = objectives_of(record), free_names(record)
    metric, way = record.objectives[0]
    sign = -1 if way == "maximize" else 1

    def place(level: Level) -> tuple[bool, float, int]:
        found = spread_of(level, metric, record)
        return found is None, sign * found.mean if found else 0.0, level.trials[0].number

    listed = sorted(levels(record), key=place)
    rows = []
    for level in listed[:MOST_ROWS]:
        setting = [_value(level.params, name) for name in names]
        found = [measure_words(one, spread_of(level, one.metric, record)) for one in columns]
        rows.append([*setting, *found, str(len(level.complete))])
    head = [*names, *(_head(one.column, one.kind) for one in columns), "seeds"]
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
    """Samples and hours of each setting, all its trials counted; of many settings only the sum."""
    rows = [["setting", "trials", "samples seen", "GPU-hours", "CPU-hours", "training seconds"]]
    listed = levels(record) if len(levels(record)) <= MOST_ROWS else ()
    groups = [(", ".join(level_label(level)), level.trials) for level in listed]
    for name, trials in [*groups, ("all", record.trials)]:
        rows.append([name, f"{len(trials):,}", *_sums(trials)])
    return Table(rows)


def _sums(trials: Sequence[TrialRecord]) -> list[str]:
    return [
        f"{sum(trial.samples_seen for trial in trials):,}",
        hours(sum(trial.gpu_hours for trial in trials)),
        hours(sum(trial.cpu_hours for trial in trials)),
        f"{sum(trial.seconds for trial in trials):,.1f}",
    ]


def hours(number: float) -> str:
    return f"{number:,.1f}" if number >= 10 else f"{number:.3f}" if number else "0"


def trial_table(record: SweepRecord) -> Table:
    """A line a trial, in the order of their numbers."""
    objectives = [name for name, _ in record.objectives]
    others = {name for trial in record.trials for name in trial.params} - {*record.varied}
    names = [*record.varied, *sorted(others)]
    head = ["trial", "state", *names, "seed", *objectives, "samples", "GPU-h", "CPU-h", "encoder"]
    rows = [
        [
            str(trial.number),
            trial.state,
            *(_value(trial.params, name) for name in names),
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


def _distinct(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word)) or "–"


def _value(params: Mapping[str, Any], name: str) -> str:
    return value_words(params[name]) if name in params else "–"


def _printed(paper: PaperTable) -> list[list[str]]:
    """The rows as they are printed there: a column's numbers have equally many decimals."""
    columns = [_decimals(column) for column in zip(*paper.rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def _decimals(column: Sequence[str | float]) -> list[str]:
    places = [len(repr(cell).partition(".")[2]) for cell in column if isinstance(cell, float)]
    digits = max(places, default=0)
    return [f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell) for cell in column]
