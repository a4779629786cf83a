"""The ingestion of a bucket of real articles, beside counts that were made by hand."""

import io
import json
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict

import pyarrow.dataset as pads
import pytest
from PIL import Image

from figclip.corpus.ingest import ingest
from figclip.corpus.rules import CorpusConfig
from figclip.sources.pmc_cloud import open_bucket
from figclip.store import Store

pytestmark = [
    pytest.mark.real,
    pytest.mark.ray,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("ray_cluster"),
]


@pytest.fixture(scope="module")
def truth(shared):
    rows = json.loads((shared / "pmc-oa-opendata.truth.json").read_text())
    return {row["version"]: row for row in rows}


@pytest.fixture(scope="module")
def corpus(shared, ray_cluster, tmp_path_factory):
    """Manifest, pairs without images, and rejections."""
    source = str(shared / "pmc-oa-opendata")
    store = Store(tmp_path_factory.mktemp("store"))
    manifest = ingest(
        open_bucket(source),
        store,
        "real",
        CorpusConfig(articles_per_shard=8),
        source=source,
        num_cpus_per_task=0.5,
        max_tasks=2,
    )
    folder = store.open("pairs", "real").path
    splits = [f"{folder}/{split}" for split in ("train", "validation", "test")]
    pairs = [row for split in splits for row in pads.dataset(split).to_table().to_pylist()]
    files = [f"{folder}/{name}" for name in manifest.files if name.startswith("_rejections/")]
    return manifest, pairs, pads.dataset(files).to_table().to_pylist()


def test_the_totals_are_those_of_the_bucket(corpus):
    counts = corpus[0].counts
    assert (counts["num_articles"], counts["num_figures"], counts["num_pairs"]) == (31, 134, 96)
    assert counts["num_figures_with_caption"] == 134


def test_every_graphic_that_resolves_is_a_pair_and_no_other(corpus, truth):
    pairs = Counter(f"{row['pmcid']}.{row['version']}" for row in corpus[1])
    assert {name: pairs[name] for name in truth} == {
        name: row["num_graphics_resolved"] for name, row in truth.items()
    }


def test_every_figure_is_a_pair_or_has_a_rejection_with_its_reason(corpus, truth):
    _, pairs, rejections = corpus
    assert all(row["reason"] and row["detail"] for row in rejections)
    assert Counter(row["reason"] for row in rejections) == corpus[0].counts["rejections"]
    for version, row in truth.items():
        pmcid = version.partition(".")[0]
        paired = {pair["figure_id"] for pair in pairs if pair["pmcid"] == pmcid}
        refused = [fault for fault in rejections if fault["pmcid"] == pmcid]
        lost = {f["figure_id"] for f in refused if f["reason"] != "kind_not_wanted"} - {""}
        assert len(paired | lost) == row["num_figs"]
        assert paired or refused


def test_each_split_has_an_article_and_no_article_has_two_splits(corpus):
    splits = {row["pmcid"]: row["split"] for row in corpus[1]}
    assert set(splits.values()) == {"train", "validation", "test"}
    assert all(splits[row["pmcid"]] == row["split"] for row in corpus[1])


def test_captions_are_verbatim(corpus, shared):
    """Every caption is that of the figure which names the pair's picture."""
    expected = defaultdict(set)
    for path in (shared / "pmc-oa-opendata").glob("PMC*/*.xml"):
        for fig in ElementTree.parse(path).iter("fig"):
            caption = fig.find("caption")
            has_formula = any(part.tag.endswith(("math", "formula")) for part in caption.iter())
            text = None if has_formula else "".join("".join(caption.itertext()).split())
            for graphic in fig.iter("graphic"):
                expected[path.stem, href(graphic)].add(text)
    compared = 0
    for row in corpus[1]:
        texts = expected[f"{row['pmcid']}.{row['version']}", row["graphic"]]
        assert texts
        assert None in texts or "".join(row["caption"].split()) in texts
        compared += None not in texts
    assert compared > 70


def href(graphic) -> str:
    return graphic.get("{http://www.w3.org/1999/xlink}href").rpartition("/")[2]


def test_the_stored_pictures_are_rgb_of_the_stated_size(corpus):
    for row in corpus[1]:
        image = Image.open(io.BytesIO(row["image"]))
        assert image.mode == "RGB"
        assert image.format in ("JPEG", "PNG")
        assert image.size == (row["width"], row["height"])
        assert max(image.size) <= 1024


def test_pair_ids_are_unique_and_facts_are_there(corpus):
    ids = [row["pair_id"] for row in corpus[1]]
    assert len(set(ids)) == len(ids)
    assert all(row["license"] in ("CC BY", "CC0") and row["title"] for row in corpus[1])
