"""What the corpus reads of a miniature, beside the truth that the miniature tells of itself."""

import json
from collections import Counter, defaultdict

import pytest

from figclip.corpus.articles import ReadArticle, read_articles
from figclip.corpus.rules import CorpusConfig
from figclip.sources.miniature import ELIGIBLE_LICENSES, MiniatureConfig, write_miniature
from figclip.sources.source import open_source


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("miniature") / "bucket"
    write_miniature(folder, MiniatureConfig(num_articles=45))
    return folder


@pytest.fixture(scope="module")
def shard(folder):
    source = open_source(str(folder))
    ids = source.list_versions()["version_id"].to_pylist()
    config = CorpusConfig(licenses=ELIGIBLE_LICENSES)
    together = ReadArticle("")
    for article in read_articles(source, ids, config, num_threads=2):
        for pair in article.pairs:
            together.pairs.add(pair)
        together.entries += article.entries
    return together


@pytest.fixture(scope="module")
def figures(folder):
    """The figures of versions that may be read, by `(version, figure id)`."""
    summaries = json.loads((folder / "truth.json").read_text())
    eligible = {row["version"] for row in summaries if row["is_eligible"]}
    rows = map(json.loads, (folder / "truth.jsonl").read_text().splitlines())
    return {(row["version"], row["figure_id"]): row for row in rows if row["version"] in eligible}


def version_of(pair) -> str:
    return f"{pair.pmcid}.{pair.version}"


def test_every_figure_gives_the_pairs_that_it_should(shard, figures):
    found = Counter((version_of(pair), pair.figure_id) for pair in shard.pairs)
    assert found == {key: row["num_pairs"] for key, row in figures.items() if row["num_pairs"]}


def test_captions_labels_and_owners_are_the_true_ones(shard, figures):
    for pair in shard.pairs:
        row = figures[version_of(pair), pair.figure_id]
        assert (pair.label, pair.owner) == (row["label"], row["owner"])
        assert pair.caption == row["caption"]
        assert pair.graphic in row["graphics"]


def test_what_gives_no_pair_gives_a_reason(shard, figures, folder):
    told = defaultdict(set)
    for row in (*shard.pairs, *shard.entries):
        told[version_of(row)].add(row.figure_id)
    summaries = json.loads((folder / "truth.json").read_text())
    assert set(told) == {row["version"] for row in summaries}
    for version, figure_id in figures:
        assert figure_id in told[version]
    refused = [entry for entry in shard.entries if entry.state != "published"]
    assert all(entry.reason and entry.detail for entry in refused)
