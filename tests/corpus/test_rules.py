import pytest

from figclip.config import UsageError
from figclip.corpus.rules import (
    CorpusConfig,
    article_objection,
    figure_objection,
)
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
