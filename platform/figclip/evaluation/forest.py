"""A picture of a comparison: each measure's difference and its interval, beside zero."""

import io
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from figclip.evaluation.compare import Difference
from figclip.statistics.style import BLUE, GREY, ORANGE, STYLE

LARGER = {"font.size": 9, "axes.labelsize": 9, "xtick.labelsize": 8.5, "ytick.labelsize": 9}
MOST_CHARS = 40


def draw_differences(found: Sequence[Difference], names: tuple[str, str]) -> bytes:
    """A PNG: points right of zero are B's gain, those left of it A's; grey ones cross zero."""
    with matplotlib.rc_context(STYLE | LARGER):
        figure = Figure(figsize=(6.6, 1.4 + 0.32 * len(found)), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color=GREY, linewidth=0.8)
        for place, one in enumerate(reversed(found)):
            colour = (BLUE if one.difference > 0 else ORANGE) if one.is_clear else GREY
            ends = (100 * one.interval.low, 100 * one.interval.high)
            axes.plot(ends, (place, place), color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot(100 * one.difference, place, "o", color=colour, markersize=6)
        axes.set_yticks(range(len(found)), [one.measure for one in reversed(found)])
        axes.set_ylim(-0.6, len(found) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.25, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.set_xlabel("difference of recall, percentage points (95 % interval)")
        axes.set_title(f"← {_cut(names[0])} better", color=ORANGE)
        axes.set_title(f"{_cut(names[1])} better →", color=BLUE, loc="right")
        png = io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _cut(name: str) -> str:
    return name if len(name) <= MOST_CHARS else f"…{name[1 - MOST_CHARS :]}"
