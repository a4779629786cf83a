"""Plots of how sizes and lengths are spread: Fig. 1A of BiomedCLIP."""

from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
)

from figclip.statistics.style import BLUE, DENSITY, GREY, INK, LINE_CHARS, MOST_SHOWN, ORANGE, SMALL
from figclip.statistics.summary import (
    CONTEXTS,
    LARGEST_SIDE,
    SIDES,
    SMALLEST_SIDE,
    Statistics,
    bin_edges,
    num_size_bins,
    quantile,
    share_from,
    share_up_to,
)
from figclip.statistics.wording import percent


def image_sizes(axes: Axes, totals: Statistics, unit: str) -> None:
    """Joint density of width and height on logarithmic axes, and the sizes that towers read."""
    if not totals.sizes:
        return
    shares = np.zeros((num_size_bins(),) * 2)
    for (column, row), number in totals.sizes.items():
        shares[row, column] = 100 * number / totals.sizes.total()
    first, last = _shown_sides(totals)
    edges = bin_edges()
    mesh = axes.pcolormesh(
        edges,
        edges,
        np.ma.masked_equal(shares, 0),
        cmap=DENSITY,
        norm=LogNorm(vmin=min(max(shares.max() / 1e3, 1e-4), 0.1), vmax=shares.max()),
        rasterized=True,
    )
    for set_scale, set_limits, axis in (
        (axes.set_xscale, axes.set_xlim, axes.xaxis),
        (axes.set_yscale, axes.set_ylim, axes.yaxis),
    ):
        set_scale("log", base=2)
        set_limits(first, last)
        axis.set_major_locator(FixedLocator([4.0**n for n in range(2, 9)]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_box_aspect(1)
    axes.set(xlabel="Width (pixels)", ylabel="Height (pixels)")
    _mark_sides(axes, totals, first)
    _color_bar(axes, mesh, f"% of {totals.sizes.total():,} pairs per cell")


def _shown_sides(totals: Statistics) -> tuple[float, float]:
    """From the shortest to the longest side but for a thousandth of them, and all marks."""
    sides = totals.widths + totals.heights
    low, high = quantile(sides, 0.0005) or 0, quantile(sides, 0.9995) or 0
    first = min(max(SMALLEST_SIDE, low / 1.2), 64)
    return first, min(LARGEST_SIDE, max(4096, high * 1.2))


def _mark_sides(axes: Axes, totals: Statistics, first: float) -> None:
    """Squares of the inputs of image towers, and how many pictures are at least as large."""
    words: dict[str, Any] = {
        "transform": axes.transAxes,
        "ha": "right",
        "va": "center",
        "fontsize": SMALL,
    }
    backing = Rectangle((0.6, 0.015), 0.4, 0.325, transform=axes.transAxes, color="white")
    backing.set(alpha=0.85, linewidth=0)
    axes.add_patch(backing)
    axes.text(0.98, 0.30, "both sides at least", **words)
    for row, side in enumerate(SIDES):
        level = 0.24 - 0.06 * row
        axes.plot([first, side, side], [side, side, first], color=ORANGE, linewidth=0.7)
        axes.annotate(
            "",
            (side, level),
            xycoords=("data", "axes fraction"),
            xytext=(0.67, level),
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": ORANGE, "linewidth": 0.5, "shrinkB": 0},
        )
        axes.text(0.80, level, f"{side} px", **words)
        share = share_from(totals.shorter_sides, side)
        axes.text(0.98, level, percent(share), **words)


def _color_bar(axes: Axes, mesh: Any, words: str) -> None:
    inner = axes.inset_axes((0.04, 0.895, 0.42, 0.026))
    bar = axes.figure.colorbar(mesh, cax=inner, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=5.5, size=1.5, pad=1)
    bar.ax.xaxis.set_major_locator(LogLocator(numticks=4))
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.xaxis.set_minor_formatter(NullFormatter())
    bar.ax.minorticks_off()
    bar.ax.set_title(words, fontsize=5.5, pad=2.5)


def caption_lengths(axes: Axes, totals: Statistics, unit: str) -> None:
    """Histogram, cumulative share, and what the contexts of CLIP and BiomedCLIP cover."""
    if not totals.tokens:
        return
    last = max(1.25 * max(CONTEXTS), 1.1 * (quantile(totals.tokens, MOST_SHOWN) or 0))
    step = max(1, round(last / 80))
    shares = np.bincount(
        [min(tokens, int(last) + step) // step for tokens in totals.tokens],
        weights=[100 * number / totals.tokens.total() for number in totals.tokens.values()],
    )
    axes.bar(np.arange(len(shares)) * step, shares, width=step, align="edge", color=BLUE, alpha=0.5)
    axes.set(xlim=(0, last), ylim=(0, 1.12 * shares[: int(last / step)].max()))
    axes.set(
        xlabel=fill(f"Length in {unit}", LINE_CHARS, break_on_hyphens=False),
        ylabel=f"Pairs (%), in steps of {step}",
    )
    cumulative = axes.twinx()
    cumulative.spines["right"].set_visible(True)
    cumulative.set(ylim=(0, 112), ylabel="Cumulative share (%)")
    cumulative.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 100]))
    values = sorted(totals.tokens)
    rising = np.cumsum([totals.tokens[value] for value in values]) / totals.tokens.total()
    cumulative.step(
        [0, *values, 2 * last], [0, *(100 * rising), 100], where="post", color=INK, lw=1
    )
    for limit in CONTEXTS:
        _mark_context(cumulative, totals, limit)
    if beyond := 1 - (share_up_to(totals.tokens, int(last)) or 0):
        note = f"{percent(beyond)} are longer than {int(last)} (the longest: {values[-1]:,})"
        cumulative.text(last, 104, note, ha="right", fontsize=SMALL, color=GREY)


def _mark_context(axes: Axes, totals: Statistics, limit: int) -> None:
    """A mark on the curve, and its words where they leave both free."""
    share = share_up_to(totals.tokens, limit) or 0
    axes.plot([limit, limit], [0, 100 * share], color=ORANGE, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.plot([limit], [100 * share], "o", color=ORANGE, markersize=3.2)
    is_far = limit > 0.65 * axes.get_xlim()[1]
    axes.annotate(
        f"{percent(share)} within {limit}",
        (limit, 100 * share),
        xytext=(-5 if is_far else 5, -9 if share > 0.6 else -3),
        textcoords="offset points",
        ha="right" if is_far else "left",
        color=ORANGE,
        fontweight="bold",
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8},
    )
