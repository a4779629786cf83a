"""Plots of what a corpus consists of: bars over years, licences, journals, reasons."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
)

from figclip.schema import SPLITS
from figclip.statistics.style import (
    BLUE,
    GREEN,
    GREY,
    MOST_SHOWN,
    ORANGE,
    PURPLE,
    SMALL,
)
from figclip.statistics.summary import (
    Statistics,
    most_frequent,
    quantile,
    reasons,
)
from figclip.statistics.wording import cut, percent, plain, scale, short

MAX_BARS = 8
FEWEST_ROWS = 5
"""Room for so many bars, so that a lone one is none the thicker."""

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


def years(axes: Axes, totals: Statistics, unit: str) -> None:
    """Pairs by year; the rare first years are told in words."""
    stated = {year: n for year, n in totals.years.items() if year is not None and n}
    if not stated:
        return
    first = quantile(stated, 1 - MOST_SHOWN) or min(stated)
    shown = {year: n for year, n in stated.items() if year >= first}
    size, unit = scale(max(shown.values()))
    axes.bar(list(shown), [n / size for n in shown.values()], width=0.85, color=BLUE)
    axes.set(ylabel=f"Pairs{unit}", xlim=(min(first, max(shown) - 4) - 0.6, max(shown) + 0.6))
    axes.set_ylim(0, 1.12 * max(shown.values()) / size)
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
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticks(range(len(SPLITS)), ["train", "valid.", "test"])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("Pairs")
    for place, number in enumerate(numbers):
        axes.text(place, max(number, 0.7) * 1.2, short(number), ha="center", fontsize=SMALL)


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
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    total = totals.duplicate_kinds.total()
    lines = [f"{plain(kind)}: {short(n)}" for kind, n in most_frequent(totals.duplicate_kinds, 4)]
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


def _ranking(
    axes: Axes, counter: Mapping[str, int], *, color: str, rest: str = "{:,} others"
) -> None:
    """The most frequent as bars, all others as one, in shares of the whole."""
    total = sum(counter.values())
    if not total:
        return
    ranked = most_frequent(counter, len(counter))
    shown = ranked if len(ranked) <= MAX_BARS else ranked[: MAX_BARS - 1]
    shares = {cut(name) or "none stated": number / total for name, number in shown}
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
