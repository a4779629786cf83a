"""A picture of the proxy analysis: recall and F1 of every finding, after Fig. 5B of BiomedCLIP."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from figclip.evaluation.proxy.agreement import MEAN, PAPER_RECALL, Agreement, Share
from figclip.evaluation.proxy.analysis import ProxyResult
from figclip.statistics.themes import Theme, drawing, png_of


def draw_agreement(results: Mapping[str, ProxyResult], theme: Theme) -> bytes:
    """A PNG: recall at the left, F1 at the right, a row a finding, in it a line an encoder; the
    paper's recall as a hollow diamond. Findings that no picture has are left out."""
    of = {f"{name} ({one.labeller})": one.agreements for name, one in results.items()}
    first = next(iter(of.values()))
    shown = [place for place, one in enumerate(first) if one.num_true]
    height = 1.5 + len(shown) * (0.22 + 0.09 * len(of))
    with drawing(theme, 7.0, height) as figure:
        recalls, f1s = figure.subplots(1, 2, sharey=True)
        for number, (name, found) in enumerate(of.items()):
            colour = theme.colours[number % len(theme.colours)]
            offset = (number - (len(of) - 1) / 2) * 0.7 / len(of)
            these = [found[place] for place in shown]
            _points(recalls, [one.recall for one in these], offset, colour, name)
            _points(f1s, [one.f1 for one in these], offset, colour, None)
        _quoted(recalls, [first[place] for place in shown], theme)
        for axes, what in ((recalls, "recall"), (f1s, "F1")):
            axes.set_xlim(-3, 103)
            axes.grid(axis="x", color=theme.quiet, alpha=0.25, linewidth=0.5)
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0)
            axes.set_xlabel(f"{what}, % (95 % interval)")
        names = [_named(first[place]) for place in shown]
        recalls.set_yticks(range(len(shown)), names)
        recalls.set_ylim(len(shown) - 0.4, -0.6)
        figure.legend(loc="outside upper left", frameon=False, ncols=2)
        return png_of(figure)


def _named(one: Agreement) -> str:
    return one.finding if one.finding == MEAN else f"{one.finding} ({one.num_true:,})"


def _points(
    axes: Axes, shares: Sequence[Share | None], offset: float, colour: str, name: str | None
) -> None:
    known = [(place + offset, one) for place, one in enumerate(shares) if one is not None]
    for place, one in known:
        ends = (100 * one.low, 100 * one.high)
        axes.plot(ends, (place, place), color=colour, linewidth=2, solid_capstyle="butt")
    values, places = [100 * one.value for _, one in known], [place for place, _ in known]
    axes.plot(values, places, "o", color=colour, markersize=5, label=name)


def _quoted(axes: Axes, shown: Sequence[Agreement], theme: Theme) -> None:
    found = [
        (100 * PAPER_RECALL[one.finding], place)
        for place, one in enumerate(shown)
        if one.finding in PAPER_RECALL
    ]
    if found:
        values, places = zip(*found, strict=True)
        axes.plot(
            values,
            places,
            "D",
            markersize=5,
            markerfacecolor="none",
            markeredgecolor=theme.ink,
            label="BiomedCLIP, quoted (CheXbert)",
        )
