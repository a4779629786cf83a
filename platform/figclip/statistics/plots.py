"""The statistics of a corpus as figures: an overview like Fig. 1A of BiomedCLIP, and its panels."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from figclip.schema import SPLITS
from figclip.statistics.summary import (
    CONTEXTS,
    LARGEST_SIDE,
    SIDES,
    SMALLEST_SIDE,
    Statistics,
    bin_edges,
    most_frequent,
    num_size_bins,
    quantile,
    reasons,
    share_from,
    share_up_to,
)

# Blue, orange, green and purple of Okabe and Ito, told apart with any colour vision:
# https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
INK, GREY, PALE = "#1a1c21", "#6b7078", "#dfe3e8"
DENSITY = LinearSegmentedColormap.from_list(
    "density", ["#eaf3fa", "#a9cfe8", "#4b9bcb", "#0b5c95", "#062c4f"]
)
STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 7,
    "axes.titlelocation": "left",
    "axes.titlesize": 7.5,
    "axes.titlepad": 6,
    "axes.labelsize": 7,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,  # a journal's or a licence's name may hold dollar signs
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "legend.handlelength": 1.2,
}
DPI = 300
SMALL = 6.2
MAX_BARS = 8
MAX_CHARS = 30
LINE_CHARS = 70
FEWEST_ROWS = 5
"""Room for so many bars, so that a lone one is none the thicker."""

WIDTH_IN, HEIGHT_IN = 7.2, 8.6
"""A page's width in two columns."""

OVERVIEW_PADS = {"w_pad": 0.09, "h_pad": 0.13, "wspace": 0.03, "hspace": 0.0}
"""Between the panels: inches, and shares of a panel."""

MOST_SHOWN = 0.99
"""Of a long-tailed distribution this share is drawn; what lies beyond is told in words."""

FEATURES = {
    "doi": "DOI",
    "pmid": "PubMed id",
    "label": "Label",
    "mentions": "Mentions in the text",
    "alt_text": "Alt text",
    "figure_license": "Licence of its own",
    "figure_attribution": "Attribution of its own",
}
"""Columns of pairs that may be empty → what people call them."""


@dataclass(frozen=True)
class Panel:
    """A figure of its own, and a part of the overview."""

    name: str
    """Of the file, without its suffix."""
    title: str
    draw: Callable[[Axes, Statistics, str], None]
    """On empty axes; the text says in what captions are measured."""
    size: tuple[float, float] = (3.5, 2.6)
    """Inches, where it stands alone."""


def plots(totals: Statistics, *, unit: str) -> dict[str, bytes]:
    """File name → PNG: `overview.png`, and a file for every panel of it."""
    drawn = {"overview.png": overview(totals, unit=unit)}
    for panel in PANELS:
        drawn[f"{panel.name}.png"] = single(panel, totals, unit=unit)
    return drawn


def overview(totals: Statistics, *, unit: str) -> bytes:
    """All panels, lettered as in a paper."""
    with _figure(WIDTH_IN, HEIGHT_IN, **OVERVIEW_PADS) as figure:
        rows: Any = figure.subfigures(len(ROWS), 1, height_ratios=[height for height, _ in ROWS])
        panels = iter(PANELS)
        placed = []
        for row, (_, widths) in zip(rows, ROWS, strict=True):
            for axes in row.subplots(1, len(widths), width_ratios=widths):
                _draw(next(panels), axes, totals, unit)
                placed.append((axes, axes.set_title(" ")))
        figure.draw_without_rendering()
        for letter, panel, (axes, title) in zip("abcdefghijk", PANELS, placed, strict=True):
            _put_title(axes, title, letter, panel.title)
        return _png(figure)


def single(panel: Panel, totals: Statistics, *, unit: str) -> bytes:
    with _figure(*panel.size) as figure:
        axes = figure.add_subplot()
        _draw(panel, axes, totals, unit)
        title = axes.set_title(" ")
        figure.draw_without_rendering()
        _put_title(axes, title, "", panel.title)
        return _png(figure)


@contextmanager
def _figure(width: float, height: float, **pads: Any) -> Iterator[Figure]:
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # Signs that the font lacks, in names of journals, are drawn as boxes: nothing to mend.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield Figure(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(**pads))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw(panel: Panel, axes: Axes, totals: Statistics, unit: str) -> None:
    panel.draw(axes, totals, unit)
    if not axes.has_data():
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=GREY)


def _put_title(axes: Axes, title: Text, letter: str, words: str) -> None:
    """Over the left end of all that the panel holds; the blank `title` has kept room for it."""
    box = axes.get_tightbbox()
    left = box.x0 if box else 0.0
    place: dict[str, Any] = {
        "xycoords": "figure pixels",
        "textcoords": "offset points",
        "annotation_clip": False,
    }
    level = title.get_window_extent().y0
    for text, right, size in ((letter, 0, 9.5), (words, 12 if letter else 0, 7.5)):
        note = axes.annotate(
            text, (left, level), xytext=(right, 0), fontweight="bold", fontsize=size, **place
        )
        note.set_in_layout(False)


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


def years(axes: Axes, totals: Statistics, unit: str) -> None:
    """Pairs by year; the rare first years are told in words."""
    stated = {year: n for year, n in totals.years.items() if year is not None and n}
    if not stated:
        return
    first = quantile(stated, 1 - MOST_SHOWN) or min(stated)
    shown = {year: n for year, n in stated.items() if year >= first}
    scale, unit = _scale(max(shown.values()))
    axes.bar(list(shown), [n / scale for n in shown.values()], width=0.85, color=BLUE)
    axes.set(ylabel=f"Pairs{unit}", xlim=(min(first, max(shown) - 4) - 0.6, max(shown) + 0.6))
    axes.set_ylim(0, 1.12 * max(shown.values()) / scale)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    if before := sum(n for year, n in stated.items() if year < first):
        note = f"before {first}: {percent(before / sum(stated.values()))}"
        axes.text(0.02, 0.97, note, transform=axes.transAxes, va="top", fontsize=SMALL, color=GREY)


def per_article(axes: Axes, totals: Statistics, unit: str) -> None:
    """Figures and pairs per article, of articles that have any."""
    if not totals.pairs_per_article:
        return
    both = {"figures": totals.figures_per_article, "pairs": totals.pairs_per_article}
    last = max(10, max(quantile(counter, MOST_SHOWN) or 0 for counter in both.values()))
    for (name, counter), color in zip(both.items(), (ORANGE, BLUE), strict=True):
        heights = [100 * counter[n] / counter.total() for n in range(1, last + 1)]
        middle = quantile(counter, 0.5)
        axes.stairs(
            heights,
            np.arange(len(heights) + 1) + 0.5,
            baseline=None,
            color=color,
            linewidth=1.1,
            label=f"{name} (median {middle})",
        )
    axes.set(xlim=(0.5, last + 0.5), ylabel="Articles (%)", xlabel="Number per article")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.legend(loc="upper right", borderaxespad=0)


def licenses(axes: Axes, totals: Statistics, unit: str) -> None:
    _ranking(axes, totals.licenses, color=BLUE)


def journals(axes: Axes, totals: Statistics, unit: str) -> None:
    _ranking(axes, totals.journals, color=BLUE, rest="{:,} other journals")


def article_types(axes: Axes, totals: Statistics, unit: str) -> None:
    _ranking(axes, totals.article_types, color=BLUE)


def features(axes: Axes, totals: Statistics, unit: str) -> None:
    """Shares of pairs that have what not every pair has."""
    if not totals.num_pairs:
        return
    shares = {words: totals.stated[name] / totals.num_pairs for name, words in FEATURES.items()}
    _bars(axes, shares, color=GREEN)


def objections(axes: Axes, totals: Statistics, unit: str) -> None:
    """The ledger's lines that became no pair, by reason, on a logarithmic axis."""
    found = reasons(totals)[: MAX_BARS + 2]
    if not found:
        return
    names = [
        f"{plain(reason)} ({subject}{', failed' if state == 'failed' else ''})"
        for subject, state, reason, _ in found
    ]
    numbers = [number for *_, number in found]
    colors = [PURPLE if state == "failed" else BLUE for _, state, _, _ in found]
    rows = range(len(found))
    axes.barh(rows, numbers, color=colors, height=0.68)
    axes.set_xscale("log")
    axes.set_xlim(0.7, 6 * max(numbers))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    for row, number in enumerate(numbers):
        axes.text(number * 1.15, row, f"{number:,}", va="center", fontsize=SMALL)
    _name_rows(axes, names)
    axes.set_xlabel("Number, on a logarithmic scale")


def splits(axes: Axes, totals: Statistics, unit: str) -> None:
    """Pairs of each split on a logarithmic axis: the held-out parts are small."""
    if not totals.num_pairs:
        return
    numbers = [totals.splits[split] for split in SPLITS]
    axes.bar(range(len(SPLITS)), numbers, width=0.62, color=BLUE)
    axes.set_yscale("log")
    axes.set_ylim(0.7, 8 * max(numbers))
    axes.set_xlim(-0.6, len(SPLITS) - 0.4)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticks(range(len(SPLITS)), ["train", "valid.", "test"])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("Pairs")
    for place, number in enumerate(numbers):
        axes.text(place, max(number, 0.7) * 1.2, _short(number), ha="center", fontsize=SMALL)


def duplicates(axes: Axes, totals: Statistics, unit: str) -> None:
    """Clusters of pictures that are alike, by the number of their pairs, on logarithmic axes."""
    if not totals.cluster_sizes:
        return
    sizes = sorted(totals.cluster_sizes)
    axes.scatter(sizes, [totals.cluster_sizes[size] for size in sizes], s=7, color=BLUE)
    axes.set(xscale="log", yscale="log", xlabel="Pairs in a cluster", ylabel="Clusters")
    axes.set_xlim(1.6, max(20, 1.5 * max(sizes)))
    axes.set_ylim(0.7, 4 * max(totals.cluster_sizes.values()))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        axis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    total = totals.duplicate_kinds.total()
    lines = [f"{plain(kind)}: {_short(n)}" for kind, n in most_frequent(totals.duplicate_kinds, 4)]
    share = f"{percent(total / totals.num_pairs)} of pairs" if totals.num_pairs else ""
    axes.text(
        0.98,
        0.98,
        "\n".join([share, *lines]),
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=SMALL,
        linespacing=1.4,
    )


PANELS = (
    Panel("image_sizes", "Image sizes", image_sizes, (3.6, 3.7)),
    Panel("caption_lengths", "Caption lengths", caption_lengths, (4.8, 3.0)),
    Panel("years", "Years of publication", years),
    Panel("per_article", "Figures and pairs per article", per_article),
    Panel("licenses", "Licences (pairs)", licenses),
    Panel("article_types", "Article types (pairs)", article_types),
    Panel("journals", "Journals (pairs)", journals, (4.2, 2.6)),
    Panel("features", "Pairs with …", features),
    Panel("objections", "What became no pair", objections, (4.8, 2.6)),
    Panel("splits", "Splits", splits),
    Panel("duplicates", "Duplicates", duplicates),
)
ROWS = (
    (2.75, (1.0, 1.35)),
    (1.65, (1.0, 1.0, 1.0)),
    (1.7, (1.0, 1.0, 1.0)),
    (2.0, (1.5, 0.8, 1.0)),
)
"""Of the overview: relative heights, and relative widths of the panels in each."""


def _ranking(
    axes: Axes, counter: Mapping[str, int], *, color: str, rest: str = "{:,} others"
) -> None:
    """The most frequent as bars, all others as one, in shares of the whole."""
    total = sum(counter.values())
    if not total:
        return
    ranked = most_frequent(counter, len(counter))
    shown = ranked if len(ranked) <= MAX_BARS else ranked[: MAX_BARS - 1]
    shares = {_cut(name) or "none stated": number / total for name, number in shown}
    others = ranked[len(shown) :]
    _bars(axes, shares, color=color)
    if others:
        share = sum(number for _, number in others) / total
        row = len(shares)
        axes.text(0, row, f" {percent(share)}", va="center", fontsize=SMALL, color=GREY)
        _name_rows(axes, [*shares, rest.format(len(others))])


def _bars(axes: Axes, shares: Mapping[str, float], *, color: str) -> None:
    """With their values beside them, and so without an axis."""
    axes.barh(range(len(shares)), list(shares.values()), color=color, height=0.68)
    for row, share in enumerate(shares.values()):
        axes.text(share, row, f" {percent(share)}", va="center", fontsize=SMALL)
    axes.set_xlim(0, 1.25 * max([*shares.values(), 1e-9]))
    _name_rows(axes, list(shares))
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(names), FEWEST_ROWS) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0, pad=2)


def percent(share: float | None) -> str:
    """Two digits, and never 0 % or 100 % of what is neither."""
    if share is None:
        return "–"
    percent = 100 * share
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %" if percent < 10 or 99 < percent < 100 else f"{percent:.0f} %"


def _short(number: float) -> str:
    """`950`, `13.6 k`, `1.2 M`: three digits and the power of a thousand."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{float(f'{number / size:.3g}'):g} {unit}"
    return f"{number:g}"


def _scale(largest: float) -> tuple[float, str]:
    """By what to divide, and what to say of it beside the name of an axis."""
    for unit, size in ((" (millions)", 1e6), (" (thousands)", 1e3)):
        if largest >= 2 * size:
            return size, unit
    return 1, ""


def plain(word: str) -> str:
    return word.replace("_", " ").replace("-", " ")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 1].rstrip()}…"
