"""Which articles and figures become pairs, and which split an article belongs to."""

from collections.abc import Callable, Iterable
from typing import Self

from pydantic import NonNegativeFloat, PositiveInt, model_validator

from figclip.config import Config
from figclip.corpus.splits import FEWEST_ARTICLES as FEWEST_ARTICLES
from figclip.corpus.splits import mended_splits as mended_splits
from figclip.corpus.splits import split_of as split_of
from figclip.schema import Article, Figure, Kind

CREATIVE_COMMONS = (
    "CC0",
    "CC BY",
    "CC BY-SA",
    "CC BY-ND",
    "CC BY-NC",
    "CC BY-NC-SA",
    "CC BY-NC-ND",
)

SKIPPED_TYPES = (
    "retraction",
    "partial-retraction",
    "correction",
    "addendum",
    "corrected-article",
    "expression-of-concern",
    "withdrawal",
    "removal",
)
"""Notes about other articles; a figure in one repeats, or revokes, the other's."""

Rule = Callable[[Figure], str | None]
"""`None` keeps a figure; else `reason: detail`."""


class CorpusConfig(Config):
    """What goes into a corpus of pairs."""

    licenses: tuple[str, ...] | None = CREATIVE_COMMONS
    """Licence codes of articles to take; none named (`None`) takes every open-access article."""
    skipped_article_types: tuple[str, ...] = SKIPPED_TYPES
    """Values of the XML's `article-type` to leave out."""
    kinds: tuple[Kind, ...] = ("fig", "scheme", "boxed")
    """What makes a pair: `fig`, `scheme`, `boxed`, `table` (tables that come as images)."""
    max_caption_chars: PositiveInt = 50_000
    """A longer caption is a damaged file: the longest real ones have some thousand characters."""
    longest_side: PositiveInt | None = 1024
    """Pixels of a stored image's longer side; larger ones are shrunk, `None` keeps all as is."""
    validation_fraction: NonNegativeFloat = 0.05
    """Share of articles held out to watch training."""
    test_fraction: NonNegativeFloat = 0.05
    """Share of articles held out for the final figures."""
    split_seed: int = 0
    """Another seed deals the articles anew."""
    articles_per_shard: PositiveInt = 200
    """Articles that are read, and published, as one piece; a rerun skips finished pieces."""

    @model_validator(mode="after")
    def _some_articles_are_left_to_train_on(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction + test_fraction must be below 1")
        return self


def article_objection(article: Article, license: str, config: CorpusConfig) -> str | None:
    """Why a parsed article gives no pairs, or `None`. `license` is its code, empty if unknown."""
    if article.article_type in config.skipped_article_types:
        return f"article_type: {article.article_type}"
    if config.licenses is not None and license not in config.licenses:
        return f"license_not_allowed: {license or 'none stated'}"
    return None


def figure_objection(figure: Figure, config: CorpusConfig) -> str | None:
    """Why a figure gives no pairs, or `None`: the first objection of the rules."""
    rules = (wanted_kind(config.kinds), has_caption, long_caption(config.max_caption_chars))
    return next((reason for rule in rules if (reason := rule(figure))), None)


def caption_of(figure: Figure) -> str:
    """The words that a pair puts beside the picture: the figure's own, else those of its group."""
    return figure.caption if figure.caption.strip() else figure.group_caption


def wanted_kind(kinds: Iterable[Kind]) -> Rule:
    wanted = frozenset(kinds)

    def rule(figure: Figure) -> str | None:
        return None if figure.kind in wanted else f"kind_not_wanted: {figure.kind}"

    return rule


def has_caption(figure: Figure) -> str | None:
    return None if caption_of(figure).strip() else "no_caption: neither its own nor its group's"


def long_caption(max_chars: int) -> Rule:
    """Words beyond all measure are a damaged file, and would fill a worker's memory."""

    def rule(figure: Figure) -> str | None:
        chars = len(caption_of(figure))
        return f"long_caption: {chars} > {max_chars} characters" if chars > max_chars else None

    return rule
