"""The statistics of a corpus as one HTML page, which needs no script and loads nothing."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from figclip.schema import SPLITS
from figclip.statistics.plots import HEIGHT_IN, PANELS, WIDTH_IN
from figclip.statistics.shares import FEATURES
from figclip.statistics.style import DPI
from figclip.statistics.summary import (
    CONTEXTS,
    SIDES,
    Statistics,
    mean,
    most_frequent,
    quantile,
    reasons,
    share_from,
    share_up_to,
    weighted_sum,
)
from figclip.statistics.wording import percent, plain

TEMPLATES = Path(__file__).parent / "templates"
MOST_ROWS = 30
"""Of a table; the JSON beside the page has them all."""


@dataclass(frozen=True)
class Grid:
    """A table of the page: a head, and rows whose first column is words and the rest numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A plot and the numbers behind it."""

    name: str
    title: str
    picture: str
    """A `data:` address."""
    tables: Sequence[Grid]


def statistics_page(
    totals: Statistics, pictures: Mapping[str, bytes], *, corpus: str, unit: str
) -> str:
    """HTML with the PNGs of `plots` inside; `corpus` names the pairs, `unit` what captions are
    measured in."""
    tables = _tables(totals)
    page = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("statistics.html")
    return page.render(
        corpus=corpus,
        unit=unit,
        facts=_facts(totals),
        width=round(WIDTH_IN * DPI),
        height=round(HEIGHT_IN * DPI),
        overview=_address(pictures["overview.png"]),
        within=[(limit, percent(share_up_to(totals.tokens, limit))) for limit in CONTEXTS],
        sections=[
            Section(
                panel.name,
                panel.title,
                _address(pictures[f"{panel.name}.png"]),
                tables[panel.name],
            )
            for panel in PANELS
        ],
    )


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _facts(totals: Statistics) -> list[tuple[str, str]]:
    """The numbers at the head of the page."""
    return [
        (f"{totals.num_pairs:,}", "pairs"),
        (f"{totals.num_figures:,}", "figures"),
        (f"{totals.num_articles:,}", "articles"),
        (f"{len(totals.journals.keys() - {''}):,}", "journals"),
        (_number(quantile(totals.tokens, 0.5)), "median caption length"),
        (_median_size(totals), "median width × height (pixels)"),
    ]


def _median_size(totals: Statistics) -> str:
    sides = (totals.widths, totals.heights)
    return " × ".join(_number(quantile(side, 0.5)) for side in sides)


def _tables(totals: Statistics) -> dict[str, list[Grid]]:
    """By the name of the panel."""
    pairs = totals.num_pairs
    stated = {words: _share(totals.stated[name], pairs) for name, words in FEATURES.items()}
    return {
        "image_sizes": [
            _quantiles({"width": totals.widths, "height": totals.heights}, "pixels"),
            Grid(
                ("Both sides at least", "Pairs"),
                [(f"{side} px", percent(share_from(totals.shorter_sides, side))) for side in SIDES],
            ),
        ],
        "caption_lengths": [
            _quantiles({"length": totals.tokens}, "captions"),
            Grid(
                ("Captions of at most", "Pairs"),
                [(str(limit), percent(share_up_to(totals.tokens, limit))) for limit in CONTEXTS],
            ),
        ],
        "years": [_years(totals)],
        "per_article": [
            _quantiles(
                {"figures": totals.figures_per_article, "pairs": totals.pairs_per_article},
                "per article",
            )
        ],
        "licenses": [_counted("Licence", totals.licenses)],
        "article_types": [_counted("Article type", totals.article_types)],
        "journals": [_counted("Journal", totals.journals)],
        "features": [Grid(("Pairs with", "Share"), [*stated.items()])],
        "objections": [_objections(totals), _parsed(totals)],
        "splits": [
            Grid(
                ("Split", "Articles", "Pairs", "Share of pairs"),
                [
                    (
                        split,
                        f"{totals.articles_by_split[split]:,}",
                        f"{totals.splits[split]:,}",
                        _share(totals.splits[split], pairs),
                    )
                    for split in SPLITS
                ],
            )
        ],
        "duplicates": [_counted("Duplicates", totals.duplicate_kinds, of=pairs)],
    }


def _quantiles(counters: Mapping[str, Mapping[int, int]], what: str) -> Grid:
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    rows = []
    for name, counter in counters.items():
        average = mean(counter)
        numbers = [_number(quantile(counter, share)) for share in shares]
        middle = "–" if average is None else f"{average:,.1f}"
        rows.append((name, middle, *numbers, _number(max(counter, default=None))))
    return Grid((what, "mean", "5 %", "25 %", "median", "75 %", "95 %", "largest"), rows)


def _counted(what: str, counter: Mapping[str, int], *, of: int | None = None) -> Grid:
    total = sum(counter.values()) if of is None else of
    shown = most_frequent(counter, MOST_ROWS)
    rows = [(name or "none stated", f"{number:,}", _share(number, total)) for name, number in shown]
    left = sum(number > 0 for number in counter.values()) - len(shown)
    return Grid((what, "Pairs", "Share"), rows, _note(left))


def _years(totals: Statistics) -> Grid:
    """The newest first."""
    total = totals.years.total()
    listed = sorted(totals.years.items(), key=lambda item: -(item[0] or 0))
    rows = [
        ("none stated" if year is None else str(year), f"{number:,}", _share(number, total))
        for year, number in listed
    ]
    return Grid(("Year", "Pairs", "Share"), rows)


def _objections(totals: Statistics) -> Grid:
    listed = reasons(totals)
    rows = [
        (f"{plain(reason)} ({subject})", state, f"{number:,}")
        for subject, state, reason, number in listed[:MOST_ROWS]
    ]
    return Grid(("Reason", "State", "Number"), rows, _note(len(listed) - len(rows)))


def _parsed(totals: Statistics) -> Grid:
    rows = [
        ("article versions that were parsed", f"{totals.stated_figures.total():,}"),
        ("their <fig> elements", f"{weighted_sum(totals.stated_figures):,}"),
        ("of these with a caption", f"{weighted_sum(totals.stated_captioned):,}"),
        ("figures that gave pairs", f"{totals.num_figures:,}"),
    ]
    return Grid(("Ledger", "Number"), rows)


def _note(left: int) -> str:
    return f"and {left:,} more, in statistics.json" if left > 0 else ""


def _share(number: int, total: int) -> str:
    return percent(number / total if total else None)


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
