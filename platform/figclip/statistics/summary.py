"""What a corpus of pairs holds, in counters: of each file alone, and added up of all of them.

Lengths and sizes are counted by their exact value, so that quantiles of millions of pairs are exact
and a sum of counters is the counter of the sum.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from figclip.schema import SPLITS

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text, special tokens included, none cut."""

K = TypeVar("K")

CONTEXTS = (77, 256)
"""Tokens that the text towers of CLIP and of BiomedCLIP read."""

SIDES = (224, 336, 384, 512)
"""Pixels that the sides of image towers' inputs have."""

BINS_PER_OCTAVE = 8
SMALLEST_SIDE, LARGEST_SIDE = 2**4, 2**16
"""Pixels. What is smaller or larger is counted in the first or the last bin of the joint sizes."""

STATED_COLUMNS = ("pmid", "doi", "label", "alt_text", "figure_license", "figure_attribution")
"""Columns of pairs that may be null or empty."""

PAIR_COLUMNS = (
    "pmcid",
    "version",
    "figure_id",
    "caption",
    "original_width",
    "original_height",
    "license",
    "year",
    "journal",
    "article_type",
    "mentions",
    "split",
    *STATED_COLUMNS,
)
"""All that the statistics need of a pair: not the picture."""

LEDGER_COLUMNS = (
    "figure_id",
    "graphic",
    "state",
    "reason",
    "num_figures",
    "num_figures_with_caption",
)

DUPLICATE_COLUMNS = ("cluster_id", "kind")


@dataclass(frozen=True)
class Statistics:
    """Counts of pairs, of the ledger's lines and of duplicates; `+` adds the counts of other rows.

    Articles are counted right where all pairs of an article are counted in one go.
    """

    widths: Counter[int] = field(default_factory=Counter)
    """Pairs by the original width of their picture, in pixels."""
    heights: Counter[int] = field(default_factory=Counter)
    shorter_sides: Counter[int] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Pairs by the bins (`bin_edges`) of width and height."""
    tokens: Counter[int] = field(default_factory=Counter)
    """Pairs by the length of their caption."""
    licenses: Counter[str] = field(default_factory=Counter)
    """Pairs by the article's licence; the empty word stands for none stated, here and below."""
    years: Counter[int | None] = field(default_factory=Counter)
    journals: Counter[str] = field(default_factory=Counter)
    article_types: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    stated: Counter[str] = field(default_factory=Counter)
    """Pairs that have the column's value, or any `mentions`, by the column's name."""
    articles_by_split: Counter[str] = field(default_factory=Counter)
    pairs_per_article: Counter[int] = field(default_factory=Counter)
    """Articles by the number of their pairs."""
    figures_per_article: Counter[int] = field(default_factory=Counter)
    """Articles by the number of their figures that gave pairs."""
    ledger: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Lines by what they speak of (`article`, `figure`, `graphic`), state and reason."""
    stated_figures: Counter[int] = field(default_factory=Counter)
    """Parsed article versions by the number of their `<fig>`s."""
    stated_captioned: Counter[int] = field(default_factory=Counter)
    """The same, of `<fig>`s with a caption."""
    duplicate_kinds: Counter[str] = field(default_factory=Counter)
    """Pairs in clusters of duplicates, by what made them one."""
    cluster_sizes: Counter[int] = field(default_factory=Counter)
    """Clusters by the number of their pairs."""

    def __add__(self, other: "Statistics") -> "Statistics":
        names = [found.name for found in fields(self)]
        return Statistics(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def num_pairs(self) -> int:
        return self.splits.total()

    @property
    def num_articles(self) -> int:
        """Articles that have pairs."""
        return self.pairs_per_article.total()

    @property
    def num_figures(self) -> int:
        """Figures that gave pairs."""
        return weighted_sum(self.figures_per_article)


def added(parts: Iterable[Statistics]) -> Statistics:
    """The sum of many, in the time of one pass over their counters."""
    totals = Statistics()
    for part in parts:
        for name in (found.name for found in fields(Statistics)):
            getattr(totals, name).update(getattr(part, name))
    return totals


def pair_statistics(
    batches: Iterable[pa.RecordBatch | pa.Table], count_tokens: CountTokens
) -> Statistics:
    """Of rows with `PAIR_COLUMNS`, which are whole articles; a few rows at a time are enough."""
    totals = Statistics()
    articles: Counter[tuple[str, int, str]] = Counter()
    figures: set[tuple[str, int, str, str]] = set()
    for rows in batches:
        _count_pictures(totals, rows)
        _count_words(totals, rows, count_tokens)
        names = [rows[name].to_pylist() for name in ("pmcid", "version", "split", "figure_id")]
        articles.update(zip(*names[:3], strict=True))
        figures.update(zip(*names, strict=True))
    totals.pairs_per_article.update(articles.values())
    totals.figures_per_article.update(Counter(figure[:3] for figure in figures).values())
    totals.articles_by_split.update(split for _, _, split in articles)
    return totals


def _count_pictures(totals: Statistics, rows: pa.RecordBatch | pa.Table) -> None:
    """Pictures of which no size is told are left out."""
    columns = [rows[f"original_{side}"].to_pylist() for side in ("width", "height")]
    sizes = Counter(pair for pair in zip(*columns, strict=True) if None not in pair)
    for (width, height), number in sizes.items():
        totals.widths[width] += number
        totals.heights[height] += number
        totals.shorter_sides[min(width, height)] += number
        totals.sizes[size_bin(width), size_bin(height)] += number


def _count_words(
    totals: Statistics, rows: pa.RecordBatch | pa.Table, count_tokens: CountTokens
) -> None:
    totals.tokens.update(count_tokens([text or "" for text in rows["caption"].to_pylist()]))
    totals.licenses.update(_values(rows["license"]))
    totals.journals.update(_values(rows["journal"]))
    totals.article_types.update(_values(rows["article_type"]))
    totals.splits.update(_values(rows["split"]))
    totals.years.update(rows["year"].to_pylist())
    for name in STATED_COLUMNS:
        totals.stated[name] += _num_stated(rows[name])
    lengths = pc.fill_null(pc.list_value_length(rows["mentions"]), 0)
    totals.stated["mentions"] += pc.sum(pc.greater(lengths, 0)).as_py() or 0


def _values(column: pa.Array | pa.ChunkedArray) -> list[str]:
    return pc.fill_null(column, "").to_pylist()


def _num_stated(column: pa.Array | pa.ChunkedArray) -> int:
    present = pc.is_valid(column)
    if pa.types.is_string(column.type):
        present = pc.not_equal(pc.fill_null(column, ""), "")
    return pc.sum(present).as_py() or 0


def ledger_statistics(batches: Iterable[pa.RecordBatch | pa.Table]) -> Statistics:
    """Of rows with `LEDGER_COLUMNS`."""
    totals = Statistics()
    for rows in batches:
        columns = [_values(rows[name]) for name in ("figure_id", "graphic", "state", "reason")]
        totals.ledger.update(
            (_subject(figure_id, graphic), state, reason)
            for figure_id, graphic, state, reason in zip(*columns, strict=True)
        )
        totals.stated_figures.update(rows["num_figures"].drop_null().to_pylist())
        totals.stated_captioned.update(rows["num_figures_with_caption"].drop_null().to_pylist())
    return totals


def _subject(figure_id: str, graphic: str) -> str:
    if graphic:
        return "graphic"
    return "figure" if figure_id else "article"


def duplicate_statistics(rows: pa.Table) -> Statistics:
    """Of all rows with `DUPLICATE_COLUMNS`: a row is a pair that has a duplicate."""
    totals = Statistics()
    totals.duplicate_kinds.update(_values(rows["kind"]))
    sizes = pc.value_counts(rows["cluster_id"]).field("counts")
    totals.cluster_sizes.update(sizes.to_pylist())
    return totals


def size_bin(pixels: int) -> int:
    """The bin of `bin_edges` that holds a side: from its lower edge on, up to its upper edge."""
    octaves = math.log2(min(max(pixels, SMALLEST_SIDE), LARGEST_SIDE) / SMALLEST_SIDE)
    return min(int(octaves * BINS_PER_OCTAVE), num_size_bins() - 1)


def num_size_bins() -> int:
    return round(math.log2(LARGEST_SIDE / SMALLEST_SIDE) * BINS_PER_OCTAVE)


def bin_edges() -> list[float]:
    """Of the joint sizes, in pixels: equal ratios, `BINS_PER_OCTAVE` for every doubling."""
    return [SMALLEST_SIDE * 2 ** (n / BINS_PER_OCTAVE) for n in range(num_size_bins() + 1)]


def weighted_sum(counter: Mapping[int, int]) -> int:
    """The sum of all values that were counted."""
    return sum(value * number for value, number in counter.items())


def mean(counter: Mapping[int, int]) -> float | None:
    total = sum(counter.values())
    return weighted_sum(counter) / total if total else None


def quantile(counter: Mapping[int, int], share: float) -> int | None:
    """The smallest value that at least `share` of those counted do not exceed; `None` of none."""
    total, below = sum(counter.values()), 0
    for value in sorted(counter):
        below += counter[value]
        if below >= share * total:
            return value
    return None


def share_up_to(counter: Mapping[int, int], limit: int) -> float | None:
    """The share of values that are at most `limit`; `None` of none."""
    total = sum(counter.values())
    return sum(n for value, n in counter.items() if value <= limit) / total if total else None


def share_from(counter: Mapping[int, int], limit: int) -> float | None:
    """The share of values that are at least `limit`; `None` of none."""
    total = sum(counter.values())
    return sum(n for value, n in counter.items() if value >= limit) / total if total else None


def most_frequent(counter: Mapping[K, int], number: int) -> list[tuple[K, int]]:
    """The first of them, the most frequent first, equally frequent ones by name."""
    order = sorted(counter.items(), key=lambda item: (-item[1], str(item[0])))
    return [item for item in order if item[1]][:number]


def reasons(totals: Statistics) -> list[tuple[str, str, str, int]]:
    """What became no pair: subject, state, reason and number of lines, the most frequent first."""
    lost = {key: number for key, number in totals.ledger.items() if key[1] != "published"}
    return [(*key, number) for key, number in most_frequent(lost, len(lost))]


QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def summary(totals: Statistics) -> dict[str, Any]:
    """The numbers that people ask for, for JSON; shares are of all pairs, `None` of an empty
    corpus."""
    pairs = totals.num_pairs
    return {
        "num_pairs": pairs,
        "num_figures": totals.num_figures,
        "num_articles": totals.num_articles,
        "num_journals": len(totals.journals.keys() - {""}),
        "splits": {
            split: {"articles": totals.articles_by_split[split], "pairs": totals.splits[split]}
            for split in SPLITS
        },
        "width": _described(totals.widths),
        "height": _described(totals.heights),
        "share_with_both_sides_at_least": {
            str(side): share_from(totals.shorter_sides, side) for side in SIDES
        },
        "caption_tokens": _described(totals.tokens),
        "share_of_captions_within": {
            str(limit): share_up_to(totals.tokens, limit) for limit in CONTEXTS
        },
        "pairs_per_article": _described(totals.pairs_per_article),
        "figures_per_article": _described(totals.figures_per_article),
        "share_with": {
            name: totals.stated[name] / pairs if pairs else None
            for name in (*STATED_COLUMNS, "mentions")
        },
        "parsed": {
            "article_versions": totals.stated_figures.total(),
            "figures": weighted_sum(totals.stated_figures),
            "figures_with_caption": weighted_sum(totals.stated_captioned),
        },
        "duplicates": {
            "clusters": totals.cluster_sizes.total(),
            "pairs_in_clusters": weighted_sum(totals.cluster_sizes),
        },
    }


def _described(counter: Mapping[int, int]) -> dict[str, float | None]:
    quantiles = {f"quantile_{share:g}": quantile(counter, share) for share in QUANTILES}
    return {"mean": mean(counter), **quantiles, "largest": max(counter, default=None)}


def counters(totals: Statistics) -> dict[str, list[list[Any]]]:
    """Every counter as rows `[value, ..., number]` for JSON, in the order of the values."""
    return {found.name: _rows(getattr(totals, found.name)) for found in fields(totals)}


def _rows(counter: Mapping[Any, int]) -> list[list[Any]]:
    flat = [
        [*(value if isinstance(value, tuple) else (value,)), number]
        for value, number in counter.items()
        if number
    ]
    return sorted(flat, key=lambda row: [(value is not None, value) for value in row])


def from_counters(rows: Mapping[str, Sequence[Sequence[Any]]]) -> Statistics:
    """What `counters` wrote: the statistics again, to plot or to add to."""
    values: dict[str, Any] = {
        name: Counter({(tuple(value) if len(value) > 1 else value[0]): n for *value, n in listed})
        for name, listed in rows.items()
    }
    return Statistics(**values)
