"""The ingestion of a bucket of real articles, beside counts that were made by hand."""

import io
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pyarrow.dataset as pads
import pytest
from PIL import Image

from figclip.corpus.ingest import ingest
from figclip.corpus.rules import CorpusConfig
from figclip.schema import SPLITS
from figclip.sources.source import open_source
from figclip.store import Store
from figclip.tasks import Workers

pytestmark = [
    pytest.mark.real,
    pytest.mark.ray,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("ray_cluster"),
]


FORMULA = "\ue000"
"""A character of nobody's, where a formula stood."""


@pytest.fixture(scope="module")
def truth(shared_folder):
    rows = json.loads(shared_folder("pmc-oa-opendata.truth.json").read_text())
    return {row["version"]: row for row in rows}


@pytest.fixture(scope="module")
def corpus(shared_folder, ray_cluster, tmp_path_factory):
    """Manifest, pairs, and the entries of what gave none."""
    source = str(shared_folder("pmc-oa-opendata"))
    store = Store(tmp_path_factory.mktemp("store"))
    manifest = ingest(
        open_source(source),
        store,
        "real",
        CorpusConfig(articles_per_shard=8),
        workers=Workers(0.5, 2),
    )
    folder = store.open("pairs", "real").path
    splits = [f"{folder}/{split}" for split in ("train", "validation", "test")]
    pairs = [row for split in splits for row in pads.dataset(split).to_table().to_pylist()]
    files = [f"{folder}/{name}" for name in manifest.files if name.startswith("_ledger/")]
    entries = pads.dataset(files).to_table().to_pylist()
    named = [row for row in entries if row["reason"] not in ("", "no_pairs")]
    return manifest, pairs, named


def test_the_totals_are_those_of_the_bucket(corpus):
    counts = corpus[0].counts
    assert (counts["num_articles"], counts["num_figures"], counts["num_pairs"]) == (31, 134, 96)
    assert counts["num_figures_with_caption"] == 134


def test_every_graphic_that_resolves_is_a_pair_and_no_other(corpus, truth):
    pairs = Counter(f"{row['pmcid']}.{row['version']}" for row in corpus[1])
    assert {name: pairs[name] for name in truth} == {
        name: row["num_graphics_resolved"] for name, row in truth.items()
    }


def named_figures(path):
    """Every `<fig>` with its id, or its number in the document where it has none."""
    figures = enumerate(ElementTree.parse(path).iter("fig"), start=1)
    return [(fig.get("id") or f"fig-{n}", fig) for n, fig in figures]


def test_every_figure_is_a_pair_or_has_one_rejection_with_its_reason(corpus, truth, shared_folder):
    """Of these articles no figure is both: those with a picture that is lost have that one only."""
    _, pairs, rejections = corpus
    assert all(row["reason"] and row["detail"] for row in rejections)
    assert Counter(row["reason"] for row in rejections) == corpus[0].counts["rejections"]
    for version, row in truth.items():
        path = shared_folder("pmc-oa-opendata") / version / f"{version}.xml"
        figures = sorted(name for name, _ in named_figures(path))
        assert len(figures) == row["num_figs"]
        pmcid = version.partition(".")[0]
        paired = {pair["figure_id"] for pair in pairs if pair["pmcid"] == pmcid}
        refused = [fault for fault in rejections if fault["pmcid"] == pmcid]
        lost = [f["figure_id"] for f in refused if f["reason"] == "missing_media"]
        assert sorted([*paired, *lost]) == figures
        others = {f["reason"] for f in refused} - {"missing_media", "kind_not_wanted"}
        assert others == (set() if figures else {"no_figures"})


def test_each_split_has_an_article_and_no_article_has_two_splits(corpus):
    splits = {row["pmcid"]: row["split"] for row in corpus[1]}
    assert set(splits.values()) == {"train", "validation", "test"}
    assert all(splits[row["pmcid"]] == row["split"] for row in corpus[1])


def test_captions_are_verbatim(corpus, shared_folder):
    """Every caption is that of the figure which names the pair's picture, formulas apart."""
    expected = {}
    num_formulas = 0
    for path in shared_folder("pmc-oa-opendata").glob("PMC*/*.xml"):
        for name, fig in named_figures(path):
            for graphic in fig.iter("graphic"):
                expected[path.stem, name, href(graphic)] = outside_formulas(fig)
    for row in corpus[1]:
        pieces = expected[f"{row['pmcid']}.{row['version']}", row["figure_id"], row["graphic"]]
        pattern = r"\S*?".join(map(re.escape, pieces))
        assert re.fullmatch(pattern, "".join(row["caption"].split()))
        num_formulas += len(pieces) > 1
    assert (len(corpus[1]), num_formulas) == (96, 13)


def outside_formulas(fig) -> list[str]:
    """A caption's text without white space, cut where it holds a formula."""
    caption = "".join(map(outside_tags, fig.findall("caption")))
    return ["".join(piece.split()) for piece in caption.split(FORMULA)]


def outside_tags(element) -> str:
    if element.tag.endswith(("math", "formula")):
        return FORMULA
    inner = (outside_tags(child) + (child.tail or "") for child in element)
    return (element.text or "") + "".join(inner)


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


def rows_of(source: str, folder) -> tuple[list[dict], list[dict]]:
    """Pairs and ledger of a corpus of that source, in the order of their names."""
    store = Store(folder)
    ingest(open_source(source), store, "one", CorpusConfig(), workers=Workers(0.5, 2))
    place = Path(store.open("pairs", "one").path)
    pairs = [
        row
        for split in SPLITS
        if (place / split).exists()
        for row in pads.dataset(place / split).to_table().to_pylist()
    ]
    ledger = pads.dataset(sorted(map(str, (place / "_ledger").iterdir()))).to_table().to_pylist()
    return (
        sorted(pairs, key=lambda row: row["pair_id"]),
        sorted(ledger, key=lambda row: (row["figure_id"], row["graphic"])),
    )


def test_an_old_package_gives_the_rows_of_its_cloud_form(shared_folder, tmp_path):
    """All columns of all rows, with the same picture bytes, and the same ledger."""
    bucket = tmp_path / "bucket"
    cloud = shared_folder("pmc-oa-opendata")
    for path in cloud.rglob("PMC3003633.1*"):
        target = bucket / path.relative_to(cloud)
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    of_package = rows_of(str(shared_folder("legacy-packages")), tmp_path / "legacy")
    of_cloud = rows_of(str(bucket), tmp_path / "cloud")
    assert len(of_cloud[0]) == 3
    assert of_package == of_cloud
