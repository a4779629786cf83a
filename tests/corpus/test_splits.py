from collections import Counter
from itertools import count

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from figclip.corpus.splits import (
    PAPER_TEST_FRACTION,
    PAPER_VALIDATION_FRACTION,
    moved_articles,
    split_of,
)
from figclip.schema import SPLITS, Split

SHARES = {"seed": 0, "validation_fraction": 0.2, "test_fraction": 0.2}

ARTICLES = st.sets(st.integers(1, 10**7).map("PMC{}".format), max_size=40).map(sorted)


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    """Articles, and which of them have a picture in which cluster."""
    pmcids = draw(ARTICLES)
    if not pmcids:
        return [], []
    entry = st.tuples(st.sampled_from(pmcids), st.integers(0, 12).map(str))
    return pmcids, draw(st.lists(entry, max_size=25))


LONERS = [
    next(pmcid for n in count(10**9) if split_of(pmcid := f"PMC{n}", **SHARES) == split)
    for split in SPLITS
]
"""An article for each split, outside of those that are drawn."""

settled_corpora = corpora().map(lambda corpus: ([*corpus[0], *LONERS], corpus[1]))
"""Corpora in which no split is empty, so that none is mended."""


def splits_of(
    pmcids: list[str], shared: list[tuple[str, str]], **changes: object
) -> dict[str, Split]:
    shares = {**SHARES, **changes}
    moved = moved_articles(pmcids, shared, **shares)
    assert all(split != split_of(pmcid, **shares) for pmcid, split in moved.items())
    return {pmcid: moved.get(pmcid, split_of(pmcid, **shares)) for pmcid in pmcids}


def families_of(pmcids: list[str], shared: list[tuple[str, str]]) -> list[set[str]]:
    """Sets of articles that clusters connect, merged one entry at a time."""
    families = [({pmcid}, {c for p, c in shared if p == pmcid}) for pmcid in pmcids]
    merged: list[tuple[set[str], set[str]]] = []
    for members, clusters in families:
        touching = [family for family in merged if family[1] & clusters]
        merged = [family for family in merged if not family[1] & clusters]
        merged.append(
            (members.union(*(f[0] for f in touching)), clusters.union(*(f[1] for f in touching)))
        )
    return [members for members, _ in merged]


@settings(deadline=None)
@given(corpora())
def test_what_clusters_connect_is_in_one_split(corpus):
    splits = splits_of(*corpus)
    assert all(len({splits[p] for p in family}) == 1 for family in families_of(*corpus))


@settings(deadline=None)
@given(settled_corpora)
def test_a_family_goes_to_train_if_any_says_so_else_to_validation(corpus):
    families = families_of(*corpus)
    hashed = [[split_of(p, **SHARES) for p in sorted(family)] for family in families]
    expected = [min(splits, key=SPLITS.index) for splits in hashed]
    splits = splits_of(*corpus)
    assert [splits[min(family)] for family in families] == expected


@settings(deadline=None)
@given(corpora(), st.randoms())
def test_order_repetition_and_names_of_clusters_change_nothing(corpus, random):
    pmcids, shared = corpus
    names = {cluster: f"other {n}" for n, cluster in enumerate(sorted({c for _, c in shared}))}
    again = [(pmcid, names[cluster]) for pmcid, cluster in [*shared, *shared[:3]]]
    shuffled = list(pmcids)
    random.shuffle(shuffled)
    random.shuffle(again)
    assert splits_of(shuffled, again) == splits_of(pmcids, shared)


@settings(deadline=None)
@given(settled_corpora, st.integers(10**8, 10**9 - 1))
def test_an_unrelated_article_moves_nobody_where_no_split_is_empty(corpus, number):
    pmcids, shared = corpus
    before = splits_of(pmcids, shared)
    after = splits_of([*pmcids, f"PMC{number}"], [*shared, (f"PMC{number}", "its own")])
    assert {pmcid: after[pmcid] for pmcid in pmcids} == before


@settings(deadline=None)
@given(corpora(), st.sampled_from([(0.05, 0.05), (0.2, 0.2), (0.0, 0.3), (0.3, 0.0), (0.0, 0.0)]))
def test_no_wanted_split_is_empty_where_there_are_families_enough(corpus, fractions):
    validation, test = fractions
    wanted = {"train"} | ({"validation"} if validation else set()) | ({"test"} if test else set())
    families = families_of(*corpus)
    assume(len(families) >= 3)
    splits = splits_of(*corpus, validation_fraction=validation, test_fraction=test)
    assert set(splits.values()) == wanted
    assert all(len({splits[p] for p in family}) == 1 for family in families)


@settings(deadline=None)
@given(ARTICLES)
def test_without_clusters_splits_are_those_of_single_articles(pmcids):
    assert splits_of(pmcids, [(p, p) for p in pmcids]) == splits_of(pmcids, [])
    alone = {pmcid: split_of(pmcid, **SHARES) for pmcid in pmcids}
    if set(alone.values()) == set(SPLITS):
        assert splits_of(pmcids, []) == alone


@given(st.sets(st.integers(1, 10**8), min_size=3, max_size=40), st.randoms())
def test_three_articles_or_more_leave_no_split_empty_in_any_order(numbers, random):
    pmcids = [f"PMC{number}" for number in sorted(numbers)]
    splits = splits_of(pmcids, [])
    assert set(splits.values()) == set(SPLITS)
    random.shuffle(pmcids)
    assert splits_of(pmcids, []) == splits
    assert len(moved_articles(pmcids, [], **SHARES)) <= 2


def test_with_fewer_articles_or_without_the_wish_nothing_moves():
    assert moved_articles(["PMC1", "PMC2"], [], **SHARES) == {}
    none = {"seed": 0, "validation_fraction": 0.0, "test_fraction": 0.0}
    assert moved_articles(["PMC1", "PMC2", "PMC3"], [], **none) == {}


def test_splits_have_their_shares_and_a_seed_deals_anew():
    pmcids = [f"PMC{n}" for n in range(20_000)]
    deal = [split_of(pmcid, **SHARES) for pmcid in pmcids]
    sizes = Counter(deal)
    assert sizes["validation"] / 20_000 == pytest.approx(0.2, abs=0.01)
    assert sizes["test"] / 20_000 == pytest.approx(0.2, abs=0.01)
    again = [split_of(pmcid, **{**SHARES, "seed": 1}) for pmcid in pmcids]
    assert sum(a != b for a, b in zip(deal, again, strict=True)) > 6_000


def test_a_larger_share_takes_from_training_alone():
    wider = {**SHARES, "validation_fraction": 0.4}
    for pmcid in (f"PMC{n}" for n in range(2_000)):
        before, after = split_of(pmcid, **SHARES), split_of(pmcid, **wider)
        assert before == after or (before, after) == ("train", "validation")


def test_articles_without_pairs_are_passed_over():
    pmcids = [f"PMC{n}" for n in range(50)]
    assert moved_articles(pmcids, [("PMC999", "c"), ("PMC1", "c")], **SHARES) == {}
    held_out = [p for p in pmcids if split_of(p, **SHARES) != "train"]
    trained = next(p for p in pmcids if split_of(p, **SHARES) == "train")
    shared = [(held_out[0], "c"), (trained, "c")]
    assert moved_articles(pmcids, shared, **SHARES) == {held_out[0]: "train"}


def test_the_papers_shares_are_those_of_its_counts():
    """13.9 M, 13.6 k and 726 k pairs: about 1 in 1,076 and 1 in 20."""
    assert pytest.approx(1 / 1076, rel=1e-3) == PAPER_VALIDATION_FRACTION
    assert pytest.approx(0.0496, rel=1e-3) == PAPER_TEST_FRACTION
    shares = {
        "seed": 0,
        "validation_fraction": PAPER_VALIDATION_FRACTION,
        "test_fraction": PAPER_TEST_FRACTION,
    }
    dealt = Counter(split_of(f"PMC{n}", **shares) for n in range(100_000))
    assert dealt["test"] == pytest.approx(4_959, abs=4 * 69)
    assert dealt["validation"] == pytest.approx(93, abs=4 * 10)
