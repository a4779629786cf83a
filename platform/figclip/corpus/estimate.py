"""What all of PubMed Central would take, from measured rates: hours, requests, bytes, dollars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, ValidationError

from figclip.config import Config, UsageError

OPEN_ACCESS_ARTICLES = 8_203_807
LICENSED_ARTICLES = {
    "CC BY": 5_242_023,
    "CC0": 169_017,
    "CC BY-NC": 995_888,
    "CC BY-NC-ND": 1_076_046,
    "CC BY-NC-SA": 301_732,
    "CC BY-ND": 11_976,
    "CC BY-SA": 2_102,
}
COUNTS_SOURCE = "open-access articles of PMC by licence, counted on 2026-09-07"

INVENTORY_GETS = 6
INVENTORY_BYTES = 245e6
INVENTORY_LISTS = 1
INVENTORY_SOURCE = "PMC's inventory of 2026-09-04: a listing, the manifest and 5 parts, 245 MB"

PAIRS_PER_ARTICLE = 3.47
PAIRS_SOURCE = "15,282,336 pairs of 4.4 million articles: BiomedCLIP, arXiv 2303.00915"

GETS_PER_S = 5_500.0
GETS_SOURCE = "S3 answers at least 5,500 GETs a second per partitioned prefix: S3 User Guide"

BYTES_PER_PUT = 10e6
FILES_PER_SHARD = 4

Bound = Literal["CPUs", "network", "requests"]


class MeasuredRates(Config):
    """What a machine was measured to do, and what the articles it did it on were like."""

    articles_per_cpu_s: PositiveFloat
    """Articles a CPU-second: metadata, XML, parsing and writing; all but the pictures."""
    images_per_cpu_s: PositiveFloat
    """Pictures a CPU-second: fetched, verified, decoded, resized and encoded."""
    figures_per_article: NonNegativeFloat = PAIRS_PER_ARTICLE
    """Pictures that the figures of an article name: so many are fetched, and become pairs."""
    media_bytes: NonNegativeFloat
    """Of a picture as the source holds it, on average."""
    xml_bytes: NonNegativeFloat
    """Of an article's XML."""
    metadata_bytes: NonNegativeFloat
    """Of an article's metadata JSON."""
    stored_bytes: NonNegativeFloat
    """Of a pair as it is stored: picture, caption and the rest."""
    licensed_share: float = Field(default=1.0, ge=0, le=1)
    """Of all listed articles those under a wanted licence: only their XML and pictures are read."""
    network_mb_s: PositiveFloat = 500.0
    """Megabytes (10^6) a second that a node reads."""
    overhead: float = Field(default=1.0, ge=1)
    """CPU time of the whole job over that of its bare work."""

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Self:
        """The rates among the figures of a benchmark; what else it measured is left alone.

        `UsageError` names a rate that is missing or impossible.
        """
        known = {name: float(figures[name]) for name in cls.model_fields if name in figures}
        try:
            return cls(**known)
        except ValidationError as error:
            faults = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
            raise UsageError(
                f"these figures are no measurement to plan by ({faults}); take those that "
                f"`python -m jobs.benchmark ingest` prints"
            ) from error


class Prices(Config):
    """List prices of AWS in us-east-1, where PMC's bucket is."""

    usd_per_gib_month: NonNegativeFloat = 0.023
    """Of S3 Standard, its first 50 TB."""
    usd_per_1000_puts: NonNegativeFloat = 0.005
    """Of S3 Standard."""
    usd_per_node_hour: NonNegativeFloat | None = None
    """Of one node; unset: its CPUs at the price of a c5.4xlarge's, $0.68 an hour for 16."""


USD_PER_CPU_HOUR = 0.68 / 16


@dataclass(frozen=True)
class Assumption:
    """A number or a claim that the estimate rests on, and who says so."""

    text: str
    source: str


@dataclass(frozen=True)
class Estimate:
    """What a run would take."""

    num_articles: int
    num_articles_read: float
    num_pairs: float
    lists: float
    inventory_gets: float
    metadata_gets: float
    xml_gets: float
    media_gets: float
    puts: float
    bytes_read: float
    bytes_stored: float
    cpu_hours: float
    hours_by_bound: dict[Bound, float]
    storage_usd_month: float
    requests_usd: float
    compute_usd: float
    num_nodes: int
    cpus_per_node: float
    assumptions: tuple[Assumption, ...]

    @property
    def gets(self) -> float:
        return self.inventory_gets + self.metadata_gets + self.xml_gets + self.media_gets

    @property
    def bound(self) -> Bound:
        """What the run would wait for."""
        return max(self.hours_by_bound, key=lambda bound: self.hours_by_bound[bound])

    @property
    def hours(self) -> float:
        return self.hours_by_bound[self.bound]


def licensed_share(licenses: Sequence[str] | None) -> float:
    """Of PMC's open-access articles those under some licences; `None` is all of them."""
    if licenses is None:
        return 1.0
    return sum(LICENSED_ARTICLES.get(code, 0) for code in set(licenses)) / OPEN_ACCESS_ARTICLES


def estimate(
    rates: MeasuredRates,
    *,
    num_articles: int = OPEN_ACCESS_ARTICLES,
    num_nodes: int,
    cpus_per_node: float,
    articles_per_shard: int = 200,
    prices: Prices | None = None,
) -> Estimate:
    """What the pairs of `num_articles` would take on so many nodes, read within us-east-1.

    The three bounds overlap (while some shards wait for the network others decode), so that the
    slowest one alone gives the hours.
    """
    prices = prices or Prices()
    num_read = num_articles * rates.licensed_share
    num_pairs = num_read * rates.figures_per_article
    bytes_read = (
        INVENTORY_BYTES
        + num_articles * rates.metadata_bytes
        + num_read * rates.xml_bytes
        + num_pairs * rates.media_bytes
    )
    bytes_stored = num_pairs * rates.stored_bytes
    cpu_s = num_articles / rates.articles_per_cpu_s + num_pairs / rates.images_per_cpu_s
    cpu_hours = cpu_s * rates.overhead / 3600
    gets = INVENTORY_GETS + num_articles + num_read + num_pairs
    hours: dict[Bound, float] = {
        "CPUs": cpu_hours / (num_nodes * cpus_per_node),
        "network": bytes_read / (num_nodes * rates.network_mb_s * 1e6) / 3600,
        "requests": gets / GETS_PER_S / 3600,
    }
    puts = ceil(num_articles / articles_per_shard) * FILES_PER_SHARD + bytes_stored / BYTES_PER_PUT
    node_hour = prices.usd_per_node_hour
    node_usd = cpus_per_node * USD_PER_CPU_HOUR if node_hour is None else node_hour
    return Estimate(
        num_articles=num_articles,
        num_articles_read=num_read,
        num_pairs=num_pairs,
        lists=INVENTORY_LISTS,
        inventory_gets=INVENTORY_GETS,
        metadata_gets=num_articles,
        xml_gets=num_read,
        media_gets=num_pairs,
        puts=puts,
        bytes_read=bytes_read,
        bytes_stored=bytes_stored,
        cpu_hours=cpu_hours,
        hours_by_bound=hours,
        storage_usd_month=bytes_stored / 2**30 * prices.usd_per_gib_month,
        requests_usd=puts / 1000 * prices.usd_per_1000_puts,
        compute_usd=max(hours.values()) * num_nodes * node_usd,
        num_nodes=num_nodes,
        cpus_per_node=cpus_per_node,
        assumptions=_assumptions(rates, num_articles, articles_per_shard, prices, node_usd),
    )


def _assumptions(
    rates: MeasuredRates,
    num_articles: int,
    articles_per_shard: int,
    prices: Prices,
    node_usd: float,
) -> tuple[Assumption, ...]:
    is_all = num_articles == OPEN_ACCESS_ARTICLES
    is_papers = rates.figures_per_article == PAIRS_PER_ARTICLE
    node_source = "AWS, c5.4xlarge on demand: $0.68 an hour for 16 CPUs"
    return (
        Assumption(
            f"{num_articles:,} articles, one version of each", COUNTS_SOURCE if is_all else "asked"
        ),
        Assumption(f"{rates.licensed_share:.1%} of them under a wanted licence", COUNTS_SOURCE),
        Assumption("they are listed by the daily inventory", INVENTORY_SOURCE),
        Assumption(
            f"{rates.figures_per_article:.2f} pictures an article, each becomes a pair",
            PAIRS_SOURCE if is_papers else "measured",
        ),
        Assumption(
            f"{rates.articles_per_cpu_s:,.0f} articles and {rates.images_per_cpu_s:,.0f} pictures "
            f"a CPU-second, times {rates.overhead:.2f} for the whole job",
            "measured; an article that is not read counts in full",
        ),
        Assumption(
            f"{rates.metadata_bytes / 1e3:,.1f} kB of metadata, {rates.xml_bytes / 1e3:,.1f} kB of "
            f"XML, {rates.media_bytes / 1e3:,.1f} kB a picture, {rates.stored_bytes / 1e3:,.1f} kB "
            f"a stored pair",
            "measured",
        ),
        Assumption(
            f"a node reads {rates.network_mb_s:,.0f} MB/s, and writes meanwhile; nothing is "
            f"fetched twice",
            "a setting: see the network of the nodes",
        ),
        Assumption(f"at most {GETS_PER_S:,.0f} GETs a second, whatever the nodes", GETS_SOURCE),
        Assumption(
            "reading PMC's bucket costs nothing: unsigned requests have no payer, and no bytes "
            "leave us-east-1",
            "AWS Open Data; elsewhere the bytes take the way of the internet",
        ),
        Assumption(
            f"{FILES_PER_SHARD} files for every {articles_per_shard} articles, and one PUT more "
            f"for every {BYTES_PER_PUT / 1e6:.0f} MB",
            "the layout of pairs; Arrow's multipart uploads",
        ),
        Assumption(
            f"${prices.usd_per_gib_month:g} a GiB and month, ${prices.usd_per_1000_puts:g} for "
            f"1,000 PUTs",
            "AWS's list prices of S3 Standard, us-east-1; set your own",
        ),
        Assumption(
            f"${node_usd:.3f} an hour for a node",
            node_source if prices.usd_per_node_hour is None else "asked",
        ),
    )


def table(found: Estimate) -> str:
    """The estimate for people: a number a line, then what each rests on and who says so."""
    bounds = ", ".join(f"{name} {hours:,.1f}" for name, hours in found.hours_by_bound.items())
    rows = [
        ("nodes", f"{found.num_nodes:,} of {found.cpus_per_node:g} CPUs"),
        ("hours", f"{found.hours:,.1f} (bound by {found.bound}: {bounds})"),
        ("CPU hours", f"{found.cpu_hours:,.0f}"),
        ("articles listed", f"{found.num_articles:,}"),
        ("articles read", f"{found.num_articles_read:,.0f}"),
        ("pairs", f"{found.num_pairs:,.0f}"),
        ("requests", f"{found.gets + found.lists + found.puts:,.0f}"),
        ("  LIST", f"{found.lists:,.0f}"),
        ("  GET inventory", f"{found.inventory_gets:,.0f}"),
        ("  GET metadata", f"{found.metadata_gets:,.0f}"),
        ("  GET XML", f"{found.xml_gets:,.0f}"),
        ("  GET media", f"{found.media_gets:,.0f}"),
        ("  PUT", f"{found.puts:,.0f}"),
        ("bytes read", f"{found.bytes_read / 1e12:,.2f} TB"),
        ("bytes stored", f"{found.bytes_stored / 1e12:,.2f} TB"),
        ("storage", f"${found.storage_usd_month:,.2f} a month"),
        ("requests paid", f"${found.requests_usd:,.2f}"),
        ("compute", f"${found.compute_usd:,.2f}"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    notes = [f"- {one.text} [{one.source}]" for one in found.assumptions]
    return "\n".join([*lines, "", "assuming", *notes])
