"""Counts of a corpus beside plain loops over its rows, and the law that parts add up."""

import json
import math
import statistics
from collections import Counter, defaultdict
from functools import reduce
from operator import add

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_pairs

from figclip.schema import LEDGER_SCHEMA, PAIR_SCHEMA, Entry, table_of
from figclip.statistics.summary import (
    LARGEST_SIDE,
    SMALLEST_SIDE,
    Statistics,
    added,
    bin_edges,
    counters,
    duplicate_statistics,
    from_counters,
    ledger_statistics,
    mean,
    most_frequent,
    pair_statistics,
    quantile,
    reasons,
    share_from,
    share_up_to,
    size_bin,
    summary,
)
from figclip.statistics.words import count_words, unit_of

NO_IMAGES = pa.schema([field for field in PAIR_SCHEMA if field.name != "image"])


def letters(texts):
    return [len(text) for text in texts]


def rows_of(pairs: list[dict]) -> pa.Table:
    """Rows with the given values; what is not given is null."""
    empty = dict.fromkeys(NO_IMAGES.names)
    return pa.Table.from_pylist([empty | pair for pair in pairs], schema=NO_IMAGES)


words = st.sampled_from(["", "a", "b b", "ccc"]) | st.none()
sides = st.integers(1, 100_000)
article = st.fixed_dictionaries(
    {
        "version": st.integers(1, 2),
        "license": words,
        "journal": words,
        "article_type": words,
        "year": st.integers(1990, 2026) | st.none(),
        "split": st.sampled_from(["train", "validation", "test"]),
        "pmid": st.integers(1, 9) | st.none(),
        "doi": words,
    }
)
figure = st.fixed_dictionaries(
    {
        "figure_id": st.sampled_from(["f1", "f2", "f3"]),
        "caption": words,
        "label": words,
        "alt_text": words,
        "figure_license": words,
        "figure_attribution": words,
        "mentions": st.lists(st.just("so"), max_size=2) | st.none(),
        "original_width": sides,
        "original_height": sides,
    }
)
corpora = st.lists(st.tuples(article, st.lists(figure, min_size=1, max_size=4)), max_size=6).map(
    lambda found: [
        [{"pmcid": f"PMC{n}"} | shared | own for own in figures]
        for n, (shared, figures) in enumerate(found)
    ]
)
"""Articles, each a list of rows."""


@settings(max_examples=40, deadline=None)
@given(corpora, st.integers(1, 5))
def test_the_statistics_of_all_articles_are_the_sum_of_those_of_each(corpus, size):
    """And a file may be read a few rows at a time."""
    rows = rows_of([row for rows in corpus for row in rows])
    whole = pair_statistics([rows], letters)
    starts = [sum(map(len, corpus[:n])) for n in range(len(corpus))]
    articles = [rows.slice(start, len(a)) for start, a in zip(starts, corpus, strict=True)]
    parts = [pair_statistics([article], letters) for article in articles]
    assert added(parts) == whole
    assert added(reversed(parts)) == whole
    assert reduce(add, parts, Statistics()) == whole
    assert pair_statistics(rows.to_batches(max_chunksize=size), letters) == whole


@settings(max_examples=40, deadline=None)
@given(corpora)
def test_every_counter_is_that_of_a_plain_loop(corpus):
    found = pair_statistics([rows_of([row for rows in corpus for row in rows])], letters)
    plain = defaultdict(Counter)
    for rows in corpus:
        for row in rows:
            width, height = row["original_width"], row["original_height"]
            plain["widths"][width] += 1
            plain["heights"][height] += 1
            plain["shorter_sides"][min(width, height)] += 1
            plain["tokens"][len(row["caption"] or "")] += 1
            plain["licenses"][row["license"] or ""] += 1
            plain["journals"][row["journal"] or ""] += 1
            plain["article_types"][row["article_type"] or ""] += 1
            plain["years"][row["year"]] += 1
            plain["splits"][row["split"]] += 1
            for name in ("pmid", "doi", "label", "alt_text", "figure_license", "mentions"):
                plain["stated"][name] += bool(row[name])
            plain["stated"]["figure_attribution"] += bool(row["figure_attribution"])
        plain["articles_by_split"][rows[0]["split"]] += 1
        plain["pairs_per_article"][len(rows)] += 1
        plain["figures_per_article"][len({row["figure_id"] for row in rows})] += 1
    for name, counter in plain.items():
        assert getattr(found, name) == counter, name
    assert found.num_pairs == sum(map(len, corpus))
    assert found.num_articles == len(corpus)
    assert found.sizes.total() == found.num_pairs
    assert from_counters(json.loads(json.dumps(counters(found)))) == found


def test_drawn_pairs_give_the_numbers_that_they_were_drawn_with():
    pairs = tiny_pairs(8)
    told = summary(pair_statistics([table_of(pairs, PAIR_SCHEMA)], count_words))
    assert (told["num_pairs"], told["num_figures"], told["num_articles"]) == (8, 8, 4)
    assert told["num_journals"] == 2
    assert told["splits"]["validation"] == {"articles": 1, "pairs": 2}
    assert told["share_with"]["pmid"] == 0.75
    assert told["share_with"]["alt_text"] == 0
    assert told["share_with"]["mentions"] == 1
    # "A red disc of 10 µm on the left." has nine words and a full stop.
    assert told["caption_tokens"]["quantile_0.5"] == 10 + 2
    assert told["width"]["largest"] == 64
    assert told["share_of_captions_within"] == {"77": 1.0, "256": 1.0}


def test_an_empty_corpus_has_no_shares_and_no_quantiles():
    told = summary(Statistics())
    assert told["num_pairs"] == 0
    assert told["share_with"]["doi"] is None
    assert told["width"]["quantile_0.5"] is None
    assert told["share_of_captions_within"]["77"] is None
    assert pair_statistics([], letters) == pair_statistics([rows_of([])], letters)
    json.dumps(told, allow_nan=False)


def test_lines_of_the_ledger_are_counted_by_what_they_speak_of():
    entries = [
        Entry("PMC1", 1, "", "", "published", "", "", 3, 2),
        Entry("PMC2", 1, "", "", "rejected", "no_figures", "", 0, 0),
        Entry("PMC3", 1, "", "", "failed", "unreachable", "timed out"),
        Entry("PMC1", 1, "f1", "", "rejected", "no_caption", ""),
        Entry("PMC1", 1, "f2", "a.jpg", "published", "", ""),
        Entry("PMC1", 1, "f2", "b.jpg", "rejected", "missing_media", ""),
        Entry("PMC1", 1, "f3", "c.jpg", "rejected", "missing_media", ""),
    ]
    table = table_of(entries, LEDGER_SCHEMA)
    found = ledger_statistics([table])
    assert reasons(found) == [
        ("graphic", "rejected", "missing_media", 2),
        ("article", "failed", "unreachable", 1),
        ("article", "rejected", "no_figures", 1),
        ("figure", "rejected", "no_caption", 1),
    ]
    assert found.ledger.total() == len(entries)
    assert from_counters(json.loads(json.dumps(counters(found)))) == found
    parsed = summary(found)["parsed"]
    assert parsed == {"article_versions": 2, "figures": 3, "figures_with_caption": 2}
    assert added(ledger_statistics([table[n : n + 1]]) for n in range(len(entries))) == found


def test_duplicates_are_counted_by_kind_and_by_the_size_of_their_cluster():
    rows = [("c1", "exact"), ("c1", "exact"), ("c2", "near"), ("c2", "exact"), ("c2", "near")]
    table = pa.table({"cluster_id": [c for c, _ in rows], "kind": [k for _, k in rows]})
    found = duplicate_statistics(table)
    assert found.cluster_sizes == {2: 1, 3: 1}
    assert found.duplicate_kinds == {"exact": 3, "near": 2}
    assert summary(found)["duplicates"] == {"clusters": 2, "pairs_in_clusters": 5}


@given(st.lists(st.integers(1, 50), min_size=1), st.integers(1, 50), st.floats(0.01, 1))
def test_quantiles_shares_and_means_are_those_of_the_sorted_values(values, limit, share):
    counter, ordered = Counter(values), sorted(values)
    assert quantile(counter, 0.5) == statistics.median_low(values)
    place = next(n for n in range(1, len(ordered) + 1) if n >= share * len(ordered))
    assert quantile(counter, share) == ordered[place - 1]
    assert mean(counter) == pytest.approx(statistics.fmean(values))
    assert share_up_to(counter, limit) == sum(v <= limit for v in values) / len(values)
    assert share_from(counter, limit) == sum(v >= limit for v in values) / len(values)


@given(st.integers(0, 10**9))
def test_a_side_lies_between_the_edges_of_its_bin(pixels):
    edges, place = bin_edges(), size_bin(pixels)
    kept = min(max(pixels, SMALLEST_SIDE), LARGEST_SIDE)
    assert edges[place] <= kept
    assert kept < edges[place + 1] or (kept == LARGEST_SIDE and place == len(edges) - 2)
    assert math.isclose(edges[-1], LARGEST_SIDE)


def test_equally_frequent_names_come_in_their_order():
    assert most_frequent(Counter(b=2, a=2, c=3, d=0), 9) == [("c", 3), ("a", 2), ("b", 2)]
    assert most_frequent(Counter(b=2, a=2, c=3), 2) == [("c", 3), ("a", 2)]


def test_words_are_counted_as_berts_tokenizer_splits_them():
    texts = ["", "A CT-scan (left), 5 µm.", "naïve", "細胞 x"]
    # a ct - scan ( left ) , 5 µm .  |  naive  |  細 胞 x
    assert count_words(texts) == [2, 11 + 2, 1 + 2, 3 + 2]


def test_a_unit_names_its_tokenizer_and_says_that_special_tokens_count():
    assert "+ 2" in unit_of("words")
    assert unit_of("org/bert") == "tokens of org/bert ([CLS], [SEP] counted)"
    assert len(unit_of("/long" * 40)) < 100
