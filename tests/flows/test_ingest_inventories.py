"""Updates by the inventories of two days, and by those that are not to be trusted."""

import json
import shutil
from pathlib import Path

import pytest
from corpora import assert_same_corpus
from tiny_bucket import article_xml, figure_xml, picture, write_article, write_inventory

from figclip.config import UsageError
from figclip.corpus.ingest import CHANGES, ingest
from figclip.corpus.rules import CorpusConfig
from figclip.sources.source import open_source
from figclip.store import Manifest, Store
from figclip.tasks import Workers

pytestmark = [pytest.mark.ray, pytest.mark.timeout(120), pytest.mark.usefixtures("ray_cluster")]

CONFIG = CorpusConfig(articles_per_shard=10)


def run(folder: Path, store: Store, version: str, **options) -> Manifest:
    source = open_source(str(folder))
    workers = Workers(0.5, 2)
    return ingest(source, store, version, CONFIG, workers=workers, name="PMC", **options)


def write(folder: Path, version_id: str, seed: int) -> None:
    pmcid = version_id.partition(".")[0]
    xml = article_xml(pmcid, figure_xml("F1", f"The figure of {version_id}.", ["a.jpg"]))
    # Like the real service's, the JSON tells of every change: it holds the md5 of the picture.
    write_article(folder, version_id, xml, {"a.jpg": picture(seed)})


def withdraw(folder: Path, version_id: str) -> None:
    shutil.rmtree(folder / version_id)
    (folder / "metadata" / f"{version_id}.json").unlink()


@pytest.fixture(scope="module")
def two_days(tmp_path_factory) -> tuple[Path, Store]:
    """A bucket of the second day, and the corpora of the first and of the second."""
    root = tmp_path_factory.mktemp("days")
    folder, store = root / "bucket", Store(root / "store")
    for n in range(1, 26):
        write(folder, f"PMC{n}.1", n)
    write_inventory(folder, "2026-11-20")
    run(folder, store, "day1")
    write(folder, "PMC2.1", 102)
    write(folder, "PMC3.2", 103)
    withdraw(folder, "PMC4.1")
    write(folder, "PMC77.1", 177)
    write_inventory(folder, "2026-11-21")
    run(folder, store, "day2", base="day1")
    return folder, store


def copy_of(two_days: tuple[Path, Store], place: Path) -> tuple[Path, Store]:
    folder, store = two_days
    shutil.copytree(folder, place / "bucket")
    shutil.copytree(Path(store.folder("pairs", "day1").path).parents[1], place / "store")
    return place / "bucket", Store(place / "store")


def test_an_update_reads_what_the_newer_inventory_lists_otherwise(two_days, tmp_path):
    folder, store = copy_of(two_days, tmp_path)
    run(folder, store, "afresh")
    for path in folder.glob("PMC*"):
        if path.name not in ("PMC2.1", "PMC3.1", "PMC3.2", "PMC77.1"):
            shutil.rmtree(path)
            (folder / "metadata" / f"{path.name}.json").unlink()
    run(folder, store, "again", base="day1")
    assert_same_corpus((tmp_path / "store", "again"), (tmp_path / "store", "afresh"))
    articles = json.loads(store.open("pairs", "again").read(CHANGES))["articles"]
    assert articles == {
        "new": ["PMC77"],
        "changed": ["PMC2", "PMC3"],
        "removed": ["PMC4"],
        "retried": [],
        "num_kept": 22,
    }


def test_an_update_by_an_inventory_older_than_the_bases_is_refused(two_days, tmp_path):
    folder, store = copy_of(two_days, tmp_path)
    newest = folder / "inventory-reports/pmc-oa-opendata/metadata/2026-11-21T01-00Z/manifest.json"
    manifest = newest.read_text()
    newest.write_text(manifest[:-9])
    said = r"of 2026-11-20T01:00Z, and pairs@day2 .* of 2026-11-21T01:00Z; wait for the next"
    for allow_removals in (False, True):
        with pytest.raises(UsageError, match=said):
            run(folder, store, "day3", base="day2", allow_removals=allow_removals)
    assert not Path(store.folder("pairs", "day3").path).exists()
    newest.write_text(manifest)
    same = run(folder, store, "day3", base="day2")
    assert same.counts["changes"]["kept"] == 25
    # The date goes on from version to version, also where nothing is listed.
    run(folder, store, "day4", base="day3", retry_failed=True)
    newest.unlink()
    with pytest.raises(UsageError, match=said.replace("day2", "day4")):
        run(folder, store, "day5", base="day4")


def test_an_update_that_would_remove_much_is_refused_unless_that_is_allowed(two_days, tmp_path):
    folder, store = copy_of(two_days, tmp_path)
    for n in range(10, 21):
        withdraw(folder, f"PMC{n}.1")
    write_inventory(folder, "2026-11-22")
    with pytest.raises(UsageError, match=r"11 of the 25 articles of .*--allow-removals"):
        run(folder, store, "day3", base="day2")
    manifest = run(folder, store, "day3", base="day2", allow_removals=True)
    assert manifest.counts["changes"]["removed"] == 11
    run(folder, store, "afresh")
    assert_same_corpus((tmp_path / "store", "day3"), (tmp_path / "store", "afresh"))


def test_a_list_of_ids_may_grow_and_holds_little_place(two_days, tmp_path):
    folder, store = copy_of(two_days, tmp_path)
    ids = [f"PMC{n}" for n in range(5, 17)]
    first = run(folder, store, "some", pmcids=ids)
    assert first == run(folder, store, "some", pmcids=[*reversed(ids), "PMC5"])
    assert first.config["pmcids"]["num"] == 12
    more = run(folder, store, "more", base="some", pmcids=[*ids[1:], "PMC1", "PMC2"])
    changes = json.loads(store.open("pairs", "more").read(CHANGES))["articles"]
    assert (changes["new"], changes["removed"], changes["num_kept"]) == (
        ["PMC1", "PMC2"],
        ["PMC5"],
        11,
    )
    assert more.config["pmcids"]["sha256"] != first.config["pmcids"]["sha256"]
    with pytest.raises(UsageError, match="another config"):
        run(folder, store, "some", pmcids=ids[1:])
    for n in range(5, 16):  # asked for by name, they are listed as unknown
        withdraw(folder, f"PMC{n}.1")
    with pytest.raises(UsageError, match="11 of the 12 articles of pairs@some"):
        run(folder, store, "less", base="some", pmcids=ids)
