"""Which articles and figures become pairs."""

from collections.abc import Callable, Collection, Iterable
from typing import Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, field_validator, model_validator

from figclip.config import Config
from figclip.pictures.fingerprint import NEAR_BITS
from figclip.schema import Article, Figure, Kind

REVISION = 1
"""To be raised whenever the same articles under the same config give other rows."""

COMMERCIAL = ("CC0", "CC BY", "CC BY-SA", "CC BY-ND")
"""Licences under which PMC lists articles for commercial use."""

NONCOMMERCIAL = (*COMMERCIAL, "CC BY-NC", "CC BY-NC-SA", "CC BY-NC-ND")
"""Those, and the ones for all other use."""

LICENSE_SETS = {"commercial": COMMERCIAL, "noncommercial": NONCOMMERCIAL}

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

    licenses: tuple[str, ...] | None = ("noncommercial",)
    """Licences of articles to take: codes (`"CC BY"`, `CC0`, ...), or the name of a set:
    `commercial` (CC0, CC BY, CC BY-SA, CC BY-ND) or `noncommercial` (those and CC BY-NC, -SA, -ND).
    `None` takes every open-access article."""
    reject_third_party: bool = False
    """Leave out figures that state a licence of their own which is not among `licenses`."""
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
    duplicate_bits: NonNegativeInt = NEAR_BITS
    """Of the 256 bits of two pictures' fingerprints, how many may differ in near duplicates."""
    articles_per_shard: PositiveInt = 200
    """Articles that are read, and published, as one piece; a rerun skips finished pieces."""

    @field_validator("licenses")
    @classmethod
    def _licenses_are_known(cls, licenses: tuple[str, ...] | None) -> tuple[str, ...] | None:
        known = {*NONCOMMERCIAL, *LICENSE_SETS, "TDM"}
        for word in licenses or ():
            if word not in known:
                raise ValueError(f"{word!r} is no licence; known are {', '.join(sorted(known))}")
        return licenses

    @model_validator(mode="after")
    def _some_articles_are_left_to_train_on(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction + test_fraction must be below 1")
        return self

    @property
    def allowed_licenses(self) -> frozenset[str] | None:
        """Codes, the sets spelled out; `None` where any will do."""
        if self.licenses is None:
            return None
        return frozenset(code for word in self.licenses for code in LICENSE_SETS.get(word, (word,)))


def article_objection(article: Article, license: str, config: CorpusConfig) -> str | None:
    """Why a parsed article gives no pairs, or `None`. `license` is its code, empty if unknown."""
    if article.article_type in config.skipped_article_types:
        return f"article_type: {article.article_type}"
    allowed = config.allowed_licenses
    if allowed is not None and license not in allowed:
        return f"license_not_allowed: {license or 'none stated'}"
    return None


def figure_objection(figure: Figure, config: CorpusConfig) -> str | None:
    """Why a figure gives no pairs, or `None`: the first objection of the rules."""
    rules = [wanted_kind(config.kinds), has_caption, long_caption(config.max_caption_chars)]
    if config.reject_third_party and config.allowed_licenses is not None:
        rules.append(own_license(config.allowed_licenses))
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


def own_license(allowed: Collection[str]) -> Rule:
    """A figure under terms of its own is not covered by the article's licence."""

    def rule(figure: Figure) -> str | None:
        stated = figure.license
        return f"third_party: {stated}" if stated and stated not in allowed else None

    return rule


def long_caption(max_chars: int) -> Rule:
    """Words beyond all measure are a damaged file, and would fill a worker's memory."""

    def rule(figure: Figure) -> str | None:
        chars = len(caption_of(figure))
        return f"long_caption: {chars} > {max_chars} characters" if chars > max_chars else None

    return rule
