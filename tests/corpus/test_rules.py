from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.config import UsageError
from figclip.corpus.rules import (
    CorpusConfig,
    article_objection,
    figure_objection,
)
from figclip.corpus.splits import mended_splits, split_of
from figclip.schema import Article, Figure

SHARES = {"seed": 0, "validation_fraction": 0.05, "test_fraction": 0.05}


def figure(**changes) -> Figure:
    values = {
        "figure_id": "F1",
        "kind": "fig",
        "label": "",
        "caption": "A lung.",
        "group_caption": "",
        "graphics": ("a.jpg",),
        "alt_text": "",
        "license": "",
        "attribution": "",
        "owner": "",
        "section": (),
        "mentions": (),
    }
    return Figure(**{**values, **changes})


def article(article_type: str = "research-article") -> Article:
    return Article("PMC1", 1, None, None, "", "", "", article_type, "", ())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"kind": "scheme"}, None),
        ({"kind": "table"}, "kind_not_wanted: table"),
        ({"caption": ""}, "no_caption: neither its own nor its group's"),
        ({"caption": "", "group_caption": "Both."}, None),
        ({"caption": "\u00a0"}, "no_caption: neither its own nor its group's"),
        ({"caption": "x" * 100_000}, "long_caption: 100000 > 50000 characters"),
        ({"caption": "x"}, None),
    ],
)
def test_a_figure_is_kept_or_the_reason_is_given(changes, reason):
    assert figure_objection(figure(**changes), CorpusConfig()) == reason


@pytest.mark.parametrize("kind", ["retraction", "correction", "expression-of-concern"])
def test_notes_about_other_articles_are_left_out(kind):
    assert article_objection(article(kind), "CC BY", CorpusConfig()) == f"article_type: {kind}"


def test_the_licence_decides_unless_any_will_do():
    assert article_objection(article(), "TDM", CorpusConfig()) == "license_not_allowed: TDM"
    assert article_objection(article(), "", CorpusConfig()) == "license_not_allowed: none stated"
    assert article_objection(article(), "", CorpusConfig(licenses=None)) is None


def test_fractions_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(UsageError, match="below 1"):
        CorpusConfig().with_overrides({"validation_fraction": 0.5, "test_fraction": 0.5})


def test_the_config_runs_again_from_its_json():
    config = CorpusConfig(licenses=("CC0",), longest_side=None, kinds=("fig",))
    assert CorpusConfig.from_json(config.to_json()) == config


def test_splits_have_their_shares_and_a_seed_deals_anew():
    pmcids = [f"PMC{n}" for n in range(20_000)]
    deal = [split_of(pmcid, **SHARES) for pmcid in pmcids]
    sizes = Counter(deal)
    assert sizes["validation"] / 20_000 == pytest.approx(0.05, abs=0.005)
    assert sizes["test"] / 20_000 == pytest.approx(0.05, abs=0.005)
    again = [split_of(pmcid, **{**SHARES, "seed": 1}) for pmcid in pmcids]
    assert sum(a != b for a, b in zip(deal, again, strict=True)) > 2_000


def test_a_larger_share_takes_from_training_alone():
    pmcids = [f"PMC{n}" for n in range(2_000)]
    wider = {**SHARES, "validation_fraction": 0.2}
    for pmcid in pmcids:
        before, after = split_of(pmcid, **SHARES), split_of(pmcid, **wider)
        assert before == after or (before, after) == ("train", "validation")


@given(st.sets(st.integers(1, 10**8), min_size=3, max_size=40), st.randoms())
def test_three_articles_or_more_leave_no_split_empty_in_any_order(numbers, random):
    pmcids = [f"PMC{number}" for number in sorted(numbers)]
    splits = mended_splits(pmcids, **SHARES)
    assert set(splits.values()) == {"train", "validation", "test"}
    shuffled = list(pmcids)
    random.shuffle(shuffled)
    assert mended_splits(shuffled, **SHARES) == splits
    moved = [pmcid for pmcid in pmcids if splits[pmcid] != split_of(pmcid, **SHARES)]
    assert len(moved) <= 2


def test_with_fewer_articles_or_without_the_wish_nothing_moves():
    two = ["PMC1", "PMC2"]
    assert mended_splits(two, **SHARES) == {p: split_of(p, **SHARES) for p in two}
    none = {"seed": 0, "validation_fraction": 0.0, "test_fraction": 0.0}
    assert set(mended_splits(["PMC1", "PMC2", "PMC3"], **none).values()) == {"train"}
