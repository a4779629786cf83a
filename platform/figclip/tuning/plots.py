"""A sweep as pictures, on white and on dark: importance, what is paid for what, and the curves."""

from collections.abc import Callable

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from figclip.statistics.themes import LIGHT, Theme, drawing, png_of
from figclip.tuning.effects import level_label
from figclip.tuning.levels import Level, levels
from figclip.tuning.ranking import importance, tradeoff
from figclip.tuning.record import SweepRecord

MOST_LABELLED = 6
"""Settings with a colour and a name of their own; more are shaded by how well they ended."""
MOST_CHARS = 34


Draw = Callable[[Axes, SweepRecord, Theme], None]


def pictures(record: SweepRecord, theme: Theme) -> dict[str, bytes]:
    """Name → PNG: `importance`, `pareto`, `curves`. A picture that would be empty is left out."""
    shown: dict[str, tuple[Draw, float]] = {}
    if any(trial.curve for trial in record.trials):
        shown["curves"] = (draw_curves, 3.5)
    if any(trial.state == "complete" for trial in record.trials):
        shown["pareto"] = (draw_tradeoff, 3.5)
    if (found := importance(record)) is not None:
        shown["importance"] = (draw_importance, 1.1 + 0.32 * len(found.shares))
    return {name: _picture(draw, height, record, theme) for name, (draw, height) in shown.items()}


def _picture(draw: Draw, height: float, record: SweepRecord, theme: Theme) -> bytes:
    with drawing(theme, 6.6, height) as figure:
        draw(figure.add_subplot(), record, theme)
        return png_of(figure)


def draw_importance(axes: Axes, record: SweepRecord, theme: Theme) -> None:
    found = importance(record)
    if found is None:
        return
    names = [*found.shares][::-1]
    axes.barh(
        [_cut(name) for name in names],
        [found.shares[n] for n in names],
        0.6,
        color=theme.colours[0],
    )
    for place, name in enumerate(names):
        axes.annotate(
            f"{found.shares[name]:.2f}", (found.shares[name], place), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=8.5,
        )  # fmt: skip
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xlim(0, max(1.0, *found.shares.values()) * 1.08)
    axes.set_xlabel(f"importance for {record.objectives[0][0]}")
    axes.tick_params(axis="y", length=0)


def draw_tradeoff(axes: Axes, record: SweepRecord, theme: Theme) -> None:
    """Every finished trial; the front is a line through those that nothing beats in both."""
    found = tradeoff(record)
    rows, colours = levels(record), _colours(record, theme)
    for level in rows:
        of_it = [point for point in found.points if point.trial in level.trials]
        if of_it:
            label = _cut(_label(level)) if len(rows) <= MOST_LABELLED else None
            axes.scatter(
                [point.cost for point in of_it], [point.quality for point in of_it],
                s=34, color=[colours[point.trial.number] for point in of_it],
                edgecolor=theme.paper, linewidth=0.6, label=label, zorder=3,
            )  # fmt: skip
    costs, qualities = ([getattr(p, name) for p in found.front] for name in ("cost", "quality"))
    axes.step(
        costs, qualities, where="post", color=theme.quiet, linewidth=1.2, zorder=2,
        label="Pareto front", marker="o", markersize=9, markerfacecolor="none",
    )  # fmt: skip
    axes.set_xlabel(found.cost)
    axes.set_ylabel(
        f"{found.quality} ({'higher' if found.is_higher_better else 'lower'} is better)"
    )
    _finish(axes, theme)


def draw_curves(axes: Axes, record: SweepRecord, theme: Theme) -> None:
    """A line a trial over the samples it saw; one that was stopped or failed ends in a mark."""
    metric, colours = curve_metric(record), _colours(record, theme)
    rows = levels(record)
    for level in rows:
        label = _cut(_label(level)) if len(rows) <= MOST_LABELLED else None
        for trial in level.trials:
            points = [point for point in trial.curve if metric in point.metrics]
            if not points:
                continue
            samples = [point.samples_seen for point in points]
            values = [point.metrics[metric] for point in points]
            is_whole = trial.state == "complete"
            axes.plot(
                samples, values, color=colours[trial.number], label=label, linewidth=1.5,
                linestyle="-" if is_whole else (0, (3, 2)), alpha=0.9 if is_whole else 0.7,
                marker="o" if len(points) == 1 else None, markersize=3,
            )  # fmt: skip
            label = None
            if mark := {"pruned": "|", "failed": "x"}.get(trial.state):
                axes.plot(samples[-1], values[-1], mark, color=colours[trial.number], markersize=7)
    for state, mark in (("pruned", "|"), ("failed", "x")):
        if any(trial.state == state and trial.curve for trial in record.trials):
            axes.plot([], [], mark, color=theme.ink, label=state)
    axes.set_xlabel("samples seen")
    axes.set_ylabel(metric)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _finish(axes, theme)


def curve_metric(record: SweepRecord) -> str:
    """The first objective that the curves have, else recall or loss, else what there is."""
    known = {name for trial in record.trials for point in trial.curve for name in point.metrics}
    wanted = [name for name, _ in record.objectives]
    wanted += ["image_to_text_recall_at_1", "validation_loss", "loss", *sorted(known)]
    return next((name for name in wanted if name in known), wanted[0])


def _colours(record: SweepRecord, theme: Theme) -> dict[int, str]:
    """Trial → its colour: a setting's own where they are few, else darker the better it ended."""
    rows = levels(record)
    if len(rows) <= MOST_LABELLED:
        return {t.number: theme.colours[n] for n, level in enumerate(rows) for t in level.trials}
    finished = [trial for trial in record.trials if trial.state == "complete"]
    sign = 1 if record.objectives[0][1] == "maximize" else -1
    finished.sort(key=lambda trial: sign * trial.values[0])
    shades = {trial.number: _shade(n, len(finished), theme) for n, trial in enumerate(finished)}
    return {trial.number: shades.get(trial.number, theme.quiet) for trial in record.trials}


def _shade(place: int, num: int, theme: Theme) -> str:
    """The further from the theme's paper the better."""
    share = 0.3 + 0.65 * place / max(num - 1, 1)
    return to_hex(colormaps["GnBu"](share if theme is LIGHT else 1 - share))


def _finish(axes: Axes, theme: Theme) -> None:
    axes.grid(color=theme.quiet, alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.margins(x=0.05, y=0.08)
    if axes.get_legend_handles_labels()[0]:
        axes.get_figure().legend(loc="outside right upper", frameon=False)  # type: ignore[union-attr]


def _label(level: Level) -> str:
    return ", ".join(level_label(level))


def _cut(text: str) -> str:
    """The end of a long name says most."""
    return text if len(text) <= MOST_CHARS else f"…{text[1 - MOST_CHARS :]}"
