"""The report of a whole evaluation: JSON, Markdown, and a page with its plots."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from figclip.evaluation.bootstrap import Interval
from figclip.evaluation.classification import METRIC_WORDS
from figclip.evaluation.compare import signed
from figclip.evaluation.leakage import LEAKED, REPEATED, leaked_cell
from figclip.evaluation.measures import Comparison, EvaluationReport, Measure, Verdict
from figclip.evaluation.quoted import SOURCE, quoted_for
from figclip.statistics.report_page import Picture, report_page
from figclip.statistics.tables import Table
from figclip.statistics.themes import DARK, LIGHT, Theme, drawing, png_of
from figclip.statistics.wording import per_cent

JSON_FILE, TABLE_FILE, PAGE_FILE = "report.json", "report.md", "index.html"
TITLES = {
    "retrieval": "Cross-modal retrieval",
    "zero_shot": "Zero-shot classification",
    "probe": "Probing",
    "vqa": "Visual question answering",
    "proxy": "Public figures in place of private pictures",
}
SHORT = {
    "retrieval": "retrieval",
    "zero_shot": "zero-shot",
    "probe": "probing",
    "vqa": "questions",
    "proxy": "proxies",
}
"""In tables of many numbers."""
VERDICTS: Sequence[Verdict] = ("fell", "other data", "not measured", "held")
"""Those to look at come first."""
NOTES = {
    "retrieval": "Recall@k (%) among all pairs of the set, exact; a tie counts by its expected "
    "value. Laid out as the paper's Fig. 2A.",
    "zero_shot": "Per cent, each set by its own measure. Laid out as the paper's Table 5.",
    "probe": "Per cent; mean ± standard deviation over the seeds' subsets. Logistic regression "
    "goes without saying. Laid out as the paper's Fig. 3 C and D.",
    "vqa": "Per cent of the test part's questions: answered letter by letter, and the tokens that "
    "an answer shares with the true one. Laid out as the paper's Fig. 4A, whose bars have no "
    "numbers.",
    "proxy": "Per cent, by finding (Fig. 5B); private pictures were read by a process without a "
    "network. The paper's numbers are of its own 980 radiographs, read by CheXbert.",
}
BESIDES = (
    "Cut texts: prompts or captions beyond the encoder's context, whose ends it did not read. "
    "Pictures: the first digits of the SHA-256 of names, labels and pixels."
)
MOST_COLUMNS = 5
"""That a page shows beside each other."""
MARKED = "† The encoder has learned from some of these pictures: see every number."
CAPTION = (
    "{}: each encoder's number and its 95 % interval, from the pictures drawn anew with return."
)


def report_files(report: EvaluationReport, compared: Sequence[Comparison] = ()) -> dict[str, bytes]:
    """File name → its bytes. The same report gives the same bytes."""
    pictures = [
        Picture(TITLES[part], CAPTION.format(TITLES[part]), *(drawn(part, report, t) for t in BOTH))
        for part in parts_of(report)
    ]
    images = zip(parts_of(report), pictures, strict=True)
    return {
        JSON_FILE: (report.to_json() + "\n").encode(),
        TABLE_FILE: markdown_report(report, compared).encode(),
        PAGE_FILE: page(report, compared, pictures).encode(),
        **{f"{part}.png": picture.light for part, picture in images},
    }


BOTH = (LIGHT, DARK)


def parts_of(report: EvaluationReport) -> list[str]:
    """In the order of the paper's results."""
    there = {one.task for one in report.measures}
    return [part for part in TITLES if part in there]


def markdown_report(report: EvaluationReport, compared: Sequence[Comparison] = ()) -> str:
    texts = [f"# {report.encoder}", f"**{answer(report, compared)}**"]
    for part in parts_of(report):
        texts += [f"## {TITLES[part]}", part_table(part, report).as_markdown()]
        texts += [f"![{TITLES[part]}]({part}.png)"]
    for title, table in other_tables(report, compared):
        texts += [f"## {title}", table.as_markdown()]
    texts += ["## Where it comes from"]
    texts += ["\n".join(f"- {name}: {value}" for name, value in origin(report))]
    return "\n\n".join(texts) + "\n"


def page(
    report: EvaluationReport, compared: Sequence[Comparison], pictures: Sequence[Picture]
) -> str:
    mine = [one for one in report.measures if one.of == report.encoder]
    return report_page(
        kind="Evaluation",
        title=report.encoder,
        question="What is this encoder worth, beside the others?",
        facts=[
            (f"{len(encoders_of(report))}", "encoders"),
            (f"{len({(one.task, one.set) for one in mine})}", "sets and tasks"),
            (f"{len(report.measures):,}", "numbers"),
        ],
        results=[part_table(part, report) for part in parts_of(report)],
        answer=[answer(report, compared)],
        pictures=pictures,
        others=other_tables(report, compared),
        origin=origin(report),
    )


def answer(report: EvaluationReport, compared: Sequence[Comparison]) -> str:
    """Whether a stored number fell; without one, how much was measured."""
    if not compared:
        num = len({(one.task, one.set) for one in report.measures})
        return f"{len(report.measures):,} numbers of {num} tasks; every one has its interval below."
    fell = [one for one in compared if one.verdict == "fell"]
    judged = sum(one.verdict in ("held", "fell") for one in compared)
    unjudged = len(compared) - judged
    rest = f" {unjudged} could not be compared." if unjudged else ""
    if not fell:
        return f"None of {judged} numbers fell below the stored interval.{rest}"
    named = "; ".join(f"{one.stored.set}, {one.stored.measure}" for one in fell)
    return f"{len(fell)} of {judged} numbers fell below the stored interval: {named}.{rest}"


def encoders_of(report: EvaluationReport) -> list[str]:
    return list(dict.fromkeys(one.of for one in report.measures))


def part_table(part: str, report: EvaluationReport) -> Table:
    """A line an encoder, a column for each set's main measure; turned where these are many."""
    shown = [one for one in report.measures if one.task == part and one.is_main]
    columns = list(dict.fromkeys((one.set, one.measure) for one in shown))
    cells = {(one.of, one.set, one.measure): one for one in shown}
    rows = [[TITLES[part], *(f"{title}, {words(measure)}" for title, measure in columns)]]
    rows += [
        [name, *(cell(cells.get((name, *column))) for column in columns)]
        for name in encoders_of(report)
    ]
    theirs = {(one.set, one.measure): one.paper for one in shown}
    if any(value is not None for value in theirs.values()):
        rows.append(["BiomedCLIP (the paper's)", *(per_cent(theirs[column]) for column in columns)])
    if len(columns) > MOST_COLUMNS:
        rows = [list(row) for row in zip(*rows, strict=True)]
    is_marked = any(one.num_leaked for one in shown)
    return Table(rows, f"{NOTES[part]} {MARKED}" if is_marked else NOTES[part])


def detail_table(measures: Sequence[Measure]) -> Table:
    """A line for every number, with all that it depends on."""
    head = ["task", "set", "measure", "encoder", "version", "%", "95 % interval", "n"]
    head += ["unreadable", "leaked", "repeated", "% without"]
    rows = [[*head, "cut texts", "pictures"]]
    for one in measures:
        named = [SHORT[one.task], one.set, words(one.measure), one.of, one.encoder]
        sums = " + ".join(part[:12] for part in one.checksum.split("+"))
        numbers = [number(one), interval(one), f"{one.n:,}", f"{one.num_unreadable:,}"]
        again = "–" if one.num_repeated is None else f"{one.num_repeated:,}"
        known = [leaked_cell(one.num_leaked), again, per_cent(one.unleaked)]
        rows.append([*named, *numbers, *known, f"{one.num_cut:,}", sums])
    return Table(rows, f"{LEAKED} {REPEATED} {BESIDES}")


def compared_table(compared: Sequence[Comparison]) -> Table:
    rows = [["task", "set", "measure", "stored %", "95 % interval", "now %", "change", "verdict"]]
    for one in sorted(compared, key=lambda one: VERDICTS.index(one.verdict)):
        now = ["–", "–"]
        if one.now is not None:
            now = [f"{100 * one.now.value:.2f}", signed(one.now.value - one.stored.value)]
        named = [SHORT[one.stored.task], one.stored.set, words(one.stored.measure)]
        rows.append(
            [*named, f"{100 * one.stored.value:.2f}", interval(one.stored), *now, one.verdict]
        )
    return Table(rows, "A number fell where it lies below the stored interval.")


def quoted_table(part: str) -> Table | None:
    """What others published on this task; None where the paper says nothing."""
    found = quoted_for(part)
    if not found:
        return None
    rows = [["model", "set", "measure", "%", "where"]]
    rows += [[one.model, one.set, one.measure, one.value, one.where] for one in found]
    return Table(rows, f"Quoted from {SOURCE}, not measured here; – is drawn there, not written.")


def other_tables(
    report: EvaluationReport, compared: Sequence[Comparison]
) -> list[tuple[str, Table]]:
    first = [("Against the stored report", compared_table(compared))] if compared else []
    quoted = [
        (f"{TITLES[part]}: quoted, not measured here", table)
        for part in parts_of(report)
        if (table := quoted_table(part)) is not None
    ]
    return [*first, *quoted, ("Every number", detail_table(report.measures))]


def origin(report: EvaluationReport) -> list[tuple[str, str]]:
    versions = dict.fromkeys((one.of, one.encoder) for one in report.measures)
    named = ", ".join(f"{of} ({encoder})" for of, encoder in versions)
    learned = [(f"leakage, {name}", said) for name, said in report.compared_with.items()]
    return [("command", report.command), ("encoders", named), *learned, ("code", report.revision)]


def drawn(part: str, report: EvaluationReport, theme: Theme) -> bytes:
    """A PNG: a group of lines a set and measure, in it a line an encoder."""
    shown = [one for one in report.measures if one.task == part and one.is_main]
    columns = list(dict.fromkeys((one.set, one.measure) for one in shown))
    groups = [[one for one in shown if (one.set, one.measure) == column] for column in columns]
    with drawing(theme, 6.6, 1.1 + 0.2 * len(shown) + 0.14 * len(groups)) as figure:
        _draw(figure.add_subplot(), groups, encoders_of(report), theme)
        if len(encoders_of(report)) > 1:
            figure.legend(loc="outside upper left", frameon=False, ncols=2)
        return png_of(figure)


def _draw(
    axes: Axes, groups: Sequence[Sequence[Measure]], encoders: Sequence[str], theme: Theme
) -> None:
    place, ticks = 0.0, []
    named: set[str] = set()
    for group in groups:
        ticks.append((place + (len(group) - 1) / 2, f"{group[0].set}, {words(group[0].measure)}"))
        for one in group:
            colour = theme.colours[encoders.index(one.of) % len(theme.colours)]
            ends = (100 * one.low, 100 * one.high)
            axes.plot(ends, (place, place), color=colour, linewidth=2, solid_capstyle="butt")
            label = None if one.of in named else one.of
            axes.plot(100 * one.value, place, "o", color=colour, markersize=5, label=label)
            named.add(one.of)
            place += 1
        place += 0.7
    axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks])
    axes.set_ylim(place - 0.4, -0.8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=theme.quiet, alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlim(*limits([one for group in groups for one in group]))
    axes.set_xlabel("% (95 % interval)")


def limits(shown: Sequence[Measure]) -> tuple[float, float]:
    """Of an axis in per cent: a little more than all intervals, and not beyond what can be."""
    low, high = 100 * min(one.low for one in shown), 100 * max(one.high for one in shown)
    room = max(4.0, 0.05 * (high - low))
    return max(-2.0, low - room), min(102.0, high + room)


def words(measure: str) -> str:
    name, at, share = measure.partition(" at ")
    return f"{METRIC_WORDS.get(name, name)}{at}{share}"


def cell(one: Measure | None) -> str:
    """Marked where pictures have leaked."""
    return "–" if one is None else f"{number(one)}{' †' if one.num_leaked else ''}"


def number(one: Measure) -> str:
    spread = "" if one.deviation is None else f" ± {100 * one.deviation:.2f}"
    return f"{100 * one.value:.2f}{spread}"


def interval(one: Measure) -> str:
    return Interval(one.low, one.high).in_per_cent
