"""Corpora as they are written on a command line, and their row groups and texts as they lie."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import small_pairs
from hypothesis import given
from hypothesis import strategies as st

from figclip.config import UsageError, config_from_args
from figclip.inputs.corpora import (
    Corpus,
    CorpusShare,
    all_texts,
    mixed_row_groups,
    open_corpora,
    row_groups,
    share_of,
    words_of,
)
from figclip.store import Store
from jobs import pretrain


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return small_pairs.publish_pairs(tmp_path_factory.mktemp("store"), num_train=50)


@pytest.fixture(scope="module")
def rows(store) -> list[dict]:
    """All training rows as they lie in the files."""
    files = sorted(Path(store.open("pairs", "small").path, "train").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


shares = st.builds(
    CorpusShare,
    pairs=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]*", fullmatch=True),
    weight=st.floats(1e-9, 1e9),
    text=st.sampled_from(["caption", "mentions", "caption_and_mentions"]),
)


@given(shares)
def test_the_words_of_a_share_are_read_back(share):
    assert share_of(words_of(share)) == share


def test_what_is_not_said_of_a_share_is_once_an_epoch_and_the_caption():
    assert share_of("2026.12") == CorpusShare(pairs="2026.12", weight=1.0, text="caption")
    assert share_of("a=0.5") == CorpusShare(pairs="a", weight=0.5)
    assert share_of("a:mentions") == CorpusShare(pairs="a", text="mentions")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a:b:c", "write VERSION, VERSION:TEXT"),
        ("", "is no corpus"),
        ("a=half", "'half' is no number"),
        ("a=0", "greater than 0"),
        ("a:alt_text", "'caption', 'mentions' or 'caption_and_mentions'"),
    ],
)
def test_words_that_are_no_share_name_the_remedy(words, message):
    with pytest.raises(UsageError, match=message):
        share_of(words)


def test_corpora_are_read_from_the_command_line_and_from_the_config_they_make(tmp_path):
    words = ["tiny", "--corpora", "pmc", "pmc-panels=0.5", "pmc:mentions=0.25"]
    config = config_from_args(pretrain.PRESETS, words, "pretrain")
    assert [words_of(share) for share in config.corpora] == [
        "pmc:caption=1.0",
        "pmc-panels:caption=0.5",
        "pmc:mentions=0.25",
    ]
    kept = tmp_path / "config.json"
    kept.write_text(config.to_json())
    assert config_from_args(pretrain.PRESETS, [str(kept)], "pretrain") == config


def test_row_groups_are_those_of_the_files(store):
    pairs = store.open("pairs", "small")
    groups = row_groups(pairs, "train", corpus=2)
    assert [group.num_rows for group in groups] == [8] * 5 + [8, 2]
    assert {group.file for group in groups} == {"train/00000.parquet", "train/00001.parquet"}
    assert {group.corpus for group in groups} == {2}
    assert row_groups(pairs, "test") == ()


def test_each_corpus_gives_its_weight_of_rows(store):
    parts = [CorpusShare(pairs="small", weight=weight) for weight in (1.0, 0.3, 2.5)]
    groups = mixed_row_groups(open_corpora(store, parts), parts, "train")
    taken = [sum(group.taken for group in groups if group.corpus == n) for n in range(3)]
    assert taken == [50, 15, 125]


def test_texts_come_as_they_lie_and_of_all_corpora(store, rows):
    pairs = store.open("pairs", "small")
    corpora = (Corpus(pairs), Corpus(pairs, "mentions"))
    groups = [*row_groups(pairs, "train"), *row_groups(pairs, "train", corpus=1)]
    said = [text for row in rows for text in row["mentions"] or [row["caption"]]]
    assert list(all_texts(corpora, groups)) == [row["caption"] for row in rows] + said
