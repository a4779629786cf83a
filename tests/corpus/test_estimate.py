import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.config import UsageError
from figclip.corpus.estimate import (
    LICENSED_ARTICLES,
    OPEN_ACCESS_ARTICLES,
    PAIRS_PER_ARTICLE,
    MeasuredRates,
    Prices,
    estimate,
    licensed_share,
    table,
)

ROUND = {
    "articles_per_cpu_s": 100.0,
    "images_per_cpu_s": 50.0,
    "figures_per_article": 4.0,
    "media_bytes": 200_000.0,
    "xml_bytes": 100_000.0,
    "metadata_bytes": 2_000.0,
    "stored_bytes": 50_000.0,
    "licensed_share": 0.5,
    "network_mb_s": 1_000.0,
    "overhead": 1.2,
}
RATES = MeasuredRates(**ROUND)


def test_a_known_answer_by_hand():
    found = estimate(
        RATES,
        num_articles=1_000_000,
        num_nodes=2,
        cpus_per_node=10,
        articles_per_shard=1_000,
        prices=Prices(usd_per_gib_month=0.02, usd_per_1000_puts=0.01, usd_per_node_hour=3.0),
    )
    assert (found.num_articles_read, found.num_pairs) == (500_000, 2_000_000)
    assert (found.metadata_gets, found.xml_gets, found.media_gets) == (
        1_000_000,
        500_000,
        2_000_000,
    )
    assert (found.inventory_gets, found.lists) == (6, 1)
    # 245 MB + a million times 2 kB + half a million times 100 kB + two million times 200 kB
    assert found.bytes_read == pytest.approx(245e6 + 2e9 + 50e9 + 400e9)
    assert found.bytes_stored == pytest.approx(100e9)
    # 10,000 s for articles and 40,000 s for pictures, and a fifth more; twenty CPUs
    assert found.cpu_hours == pytest.approx(60_000 / 3600)
    assert found.hours_by_bound["CPUs"] == pytest.approx(3_000 / 3600)
    assert found.hours_by_bound["network"] == pytest.approx(452.245 / 2 / 3600)
    assert found.hours_by_bound["requests"] == pytest.approx(3_500_006 / 5_500 / 3600)
    assert (found.bound, found.hours) == ("CPUs", pytest.approx(3_000 / 3600))
    assert found.puts == pytest.approx(1_000 * 4 + 10_000)
    assert found.requests_usd == pytest.approx(0.14)
    assert found.storage_usd_month == pytest.approx(100e9 / 1024**3 * 0.02)
    assert found.compute_usd == pytest.approx(2 * 3.0 * 3_000 / 3600)


@given(st.integers(1, 500), st.floats(1, 128), st.floats(1, 1e5))
def test_twice_the_nodes_take_half_the_hours_until_the_bucket_binds(nodes, cpus, network):
    rates = RATES.with_overrides({"network_mb_s": network})
    one = estimate(rates, num_nodes=nodes, cpus_per_node=cpus)
    two = estimate(rates, num_nodes=2 * nodes, cpus_per_node=cpus)
    assert two.hours == pytest.approx(max(one.hours / 2, one.hours_by_bound["requests"]))
    assert two.cpu_hours == one.cpu_hours
    assert (two.gets, two.bytes_read, two.bytes_stored) == (
        one.gets,
        one.bytes_read,
        one.bytes_stored,
    )


def test_more_cpus_do_not_help_where_the_network_binds():
    rates = RATES.with_overrides({"network_mb_s": 1.0})
    few = estimate(rates, num_nodes=3, cpus_per_node=4)
    many = estimate(rates, num_nodes=3, cpus_per_node=400)
    assert few.bound == many.bound == "network"
    assert few.hours == many.hours
    assert estimate(rates, num_nodes=6, cpus_per_node=4).hours == pytest.approx(few.hours / 2)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_two_corpora_take_what_both_take_but_for_the_inventory(some, more):
    sizes = (some, more, some + more)
    a, b, both = (
        estimate(RATES, num_articles=n * 200, num_nodes=4, cpus_per_node=8) for n in sizes
    )
    for name in ("num_pairs", "metadata_gets", "xml_gets", "media_gets", "puts", "bytes_stored"):
        assert getattr(both, name) == pytest.approx(getattr(a, name) + getattr(b, name))
    assert both.cpu_hours == pytest.approx(a.cpu_hours + b.cpu_hours)
    assert both.bytes_read + 245e6 == pytest.approx(a.bytes_read + b.bytes_read)


def test_all_of_pmc_is_the_default_and_the_nodes_price_goes_by_their_cpus():
    found = estimate(RATES, num_nodes=10, cpus_per_node=16)
    assert found.num_articles == OPEN_ACCESS_ARTICLES == 8_203_807
    assert found.compute_usd == pytest.approx(found.hours * 10 * 0.68)


def test_shares_of_licences_are_those_of_the_counts():
    assert licensed_share(None) == 1
    assert licensed_share(["CC BY", "CC0", "CC BY"]) == (5_242_023 + 169_017) / 8_203_807
    assert licensed_share(["TDM"]) == 0
    assert licensed_share(list(LICENSED_ARTICLES)) < 1  # others state no licence


def test_rates_are_taken_from_among_the_figures_of_a_benchmark():
    figures = {**ROUND, "xml_ratio": 4.1, "worker_rss_mb": 700}
    assert MeasuredRates.of(figures) == RATES
    del figures["figures_per_article"]
    assert MeasuredRates.of(figures).figures_per_article == PAIRS_PER_ARTICLE == 3.47
    assert MeasuredRates.of({**ROUND, "xml_bytes": 90_000}).xml_bytes == 90_000.0


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"articles_per_cpu_s": 0}, "articles_per_cpu_s: Input should be greater than 0"),
        ({"licensed_share": 1.5}, "licensed_share: Input should be less than or equal to 1"),
        ({"overhead": 0.9}, "overhead: Input should be greater than or equal to 1"),
    ],
)
def test_impossible_rates_are_named(change, fault):
    with pytest.raises(UsageError, match=fault):
        MeasuredRates.of({**ROUND, **change})


def test_missing_rates_are_named_with_the_command_that_measures_them():
    with pytest.raises(UsageError, match=r"xml_bytes: Field required.*jobs\.benchmark ingest"):
        MeasuredRates.of({name: value for name, value in ROUND.items() if name != "xml_bytes"})


def test_the_table_says_every_number_and_its_source():
    found = estimate(RATES, num_articles=1_000_000, num_nodes=2, cpus_per_node=10)
    text = table(found)
    for words in (
        "hours            0.8 (bound by CPUs: CPUs 0.8, network 0.1, requests 0.2)",
        "GET metadata   1,000,000",
        "bytes read       0.45 TB",
        "bytes stored     0.10 TB",
        "storage          $2.14 a month",
        "50.0% of them under a wanted licence",
        "$0.425 an hour for a node [AWS, c5.4xlarge on demand",
    ):
        assert words in text
    numbers, notes = text.split("\n\nassuming\n")
    (total,) = re.findall(r"^requests +([\d,]+)$", numbers, re.MULTILINE)
    parts = re.findall(r"^  \w.+? ([\d,]+)$", numbers, re.MULTILINE)
    assert int(total.replace(",", "")) == sum(int(part.replace(",", "")) for part in parts)
    assert all(re.fullmatch(r"- .+ \[.+\]", note) for note in notes.splitlines())
    assert len(notes.splitlines()) == len(found.assumptions)
