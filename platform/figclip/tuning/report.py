"""The report of a sweep: one page that loads nothing, its tables as Markdown, its pictures.

The same record gives the same bytes. `results.md` holds only what the seeds decide (and, where the
paper's table has it, the training time), so that two runs of one sweep can be held side by side.
"""

import json
from dataclasses import asdict

from figclip.statistics.report_page import Picture, report_page
from figclip.statistics.tables import Table
from figclip.statistics.themes import DARK, LIGHT
from figclip.tuning.effects import sentences, value_words
from figclip.tuning.gains import gain, gain_sentence
from figclip.tuning.plots import pictures
from figclip.tuning.ranking import importance
from figclip.tuning.record import SweepRecord
from figclip.tuning.tables import (
    cost_table,
    facts,
    origin,
    result_tables,
    state_table,
    trial_table,
)

PAGE, REPORT, RESULTS, TRIALS = "index.html", "report.md", "results.md", "trials.json"

CAPTIONS = {
    "curves": "What each trial had reached after how many samples; trials compare at equal ones. "
    "Where settings are many, the stronger the colour the better the trial ended.",
    "pareto": "What each finished trial reached, and what it took. The line is Pareto's front: no "
    "trial on it is beaten in both.",
    "importance": "How much each thing varied says about the first objective",
}
TITLES = {"curves": "Curves", "pareto": "Quality and cost", "importance": "Importance"}


def report_files(record: SweepRecord) -> dict[str, bytes]:
    """File name → its bytes: the page, the Markdown, the trials as JSON and the pictures."""
    light, dark = pictures(record, LIGHT), pictures(record, DARK)
    return {
        PAGE: page(record, light, dark).encode(),
        REPORT: report_markdown(record, [*light]).encode(),
        RESULTS: results_markdown(record).encode(),
        TRIALS: json.dumps(asdict(record), indent=1, ensure_ascii=False).encode(),
        **{f"{name}.png": png for name, png in light.items()},
    }


def results_markdown(record: SweepRecord) -> str:
    """The tables in the paper's layout, and the direction of the effect."""
    return "\n\n".join([f"# {record.name}", record.question, *_results(record)]) + "\n"


def report_markdown(record: SweepRecord, shown: list[str]) -> str:
    """All that the page says, with the pictures as files beside it."""
    parts = [f"# {record.name}", record.question, *_results(record)]
    parts += [f"![{TITLES[name]}]({name}.png)\n\n{caption(name, record)}" for name in shown]
    for title, table in _other_tables(record):
        parts += [f"## {title}", table.as_markdown()]
    parts += ["## Where it comes from"]
    parts += ["\n".join(f"- {name}: {value}" for name, value in origin(record))]
    return "\n\n".join(parts) + "\n"


def page(record: SweepRecord, light: dict[str, bytes], dark: dict[str, bytes]) -> str:
    """HTML for both themes, the PNGs of each inside."""
    return report_page(
        kind="Sweep",
        title=record.name,
        question=record.question,
        facts=facts(record),
        results=result_tables(record),
        answer=answer(record),
        pictures=[
            Picture(TITLES[name], caption(name, record), light[name], dark[name]) for name in light
        ],
        others=_other_tables(record),
        origin=origin(record),
    )


def answer(record: SweepRecord) -> list[str]:
    """What was found, or why nothing can be said yet; the first sentence stands for all."""
    if not any(trial.state == "complete" for trial in record.trials):
        begun = "" if record.trials else " None has begun."
        return [f"No trial is complete yet, so there is nothing to compare.{begun}"]
    told = gain(record)
    gained = [gain_sentence(told)] if told else []
    return [*gained, *(sentences(record) or [_best(record)])]


def caption(name: str, record: SweepRecord) -> str:
    found = importance(record)
    if name == "importance" and found is not None:
        return f"{CAPTIONS[name]} ({found.method})."
    return CAPTIONS[name]


def _best(record: SweepRecord) -> str:
    metric, way = record.objectives[0]
    finished = [trial for trial in record.trials if trial.state == "complete"]
    pick = max if way == "maximize" else min
    best = pick(finished, key=lambda trial: trial.values[0])
    settings = ", ".join(f"{name} {value_words(value)}" for name, value in best.params.items())
    of = f"Trial {best.number} is the best of {len(finished)}" if len(finished) > 1 else "One trial"
    return f"{of}: {metric} {best.values[0]:.4f} with {settings}."


def _results(record: SweepRecord) -> list[str]:
    first, *others = answer(record)
    told = [f"**{first}**", *(["\n".join(f"- {words}" for words in others)] if others else [])]
    return [*(table.as_markdown() for table in result_tables(record)), *told]


def _other_tables(record: SweepRecord) -> list[tuple[str, Table]]:
    found = [
        ("How the trials ended", state_table(record)),
        ("What it took", cost_table(record)),
        ("Every trial", trial_table(record)),
    ]
    return found if record.trials else []
