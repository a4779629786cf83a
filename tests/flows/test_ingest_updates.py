"""A corpus that follows another one: the rows of a fresh one, for the work of what has changed."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_bucket import article_xml, figure_xml, picture, write_article, write_bucket

from figclip.config import UsageError
from figclip.corpus.ingest import CHANGES, ingest
from figclip.corpus.rules import CorpusConfig
from figclip.pictures.duplicates import DUPLICATES
from figclip.sources.source import open_source
from figclip.store import Store
from figclip.tasks import Workers

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180), pytest.mark.usefixtures("ray_cluster")]

CONFIG = CorpusConfig(articles_per_shard=3, validation_fraction=0.2, test_fraction=0.3)


def run(folder: Path, store: Store, version: str, *, config: CorpusConfig = CONFIG, **options):
    source = open_source(str(folder))
    return ingest(source, store, version, config, workers=Workers(0.5, 2), **options)


def rows(store: Store, version: str) -> list[dict]:
    """Every pair of a version, by id, beside the folder that it lies in."""
    folder = store.open("pairs", version)
    found = [
        {**row, "folder": name.partition("/")[0]}
        for name in folder.files()
        if not name.startswith("_")
        for row in pq.read_table(folder.open(name)).to_pylist()
    ]
    return sorted(found, key=lambda row: row["pair_id"])


def ledger(store: Store, version: str) -> list[str]:
    folder = store.open("pairs", version)
    names = [name for name in folder.files() if name.startswith("_ledger/")]
    return sorted(repr(row) for n in names for row in pq.read_table(folder.open(n)).to_pylist())


def duplicates(store: Store, version: str) -> pa.Table:
    return pq.read_table(store.open("pairs", version).open(DUPLICATES))


def write(folder: Path, pmcid: str, seed: int, *, version: int = 1, **metadata: object) -> None:
    """An article of one figure, whose picture the seed draws."""
    xml = article_xml(pmcid, figure_xml("F1", f"The only figure of {pmcid}.", ["a.jpg"]))
    write_article(folder, f"{pmcid}.{version}", xml, {"a.jpg": picture(seed)}, **metadata)


def remove(folder: Path, version_id: str) -> None:
    shutil.rmtree(folder / version_id)
    (folder / "metadata" / f"{version_id}.json").unlink()


@pytest.fixture(scope="module")
def two_days(tmp_path_factory):
    """A bucket, ingested; then changed in every way, and ingested after the first and afresh."""
    root = tmp_path_factory.mktemp("two_days")
    folder, store = root / "bucket", Store(root / "store")
    write_bucket(folder, num_articles=14)
    for n, seed in ((100, 10), (101, 5001), (102, 5002)):  # 100 has the picture of PMC1
        write(folder, f"PMC{n}", seed)
    first = run(folder, store, "day1")

    write(folder, "PMC101", 6001)  # replaced in place
    write(folder, "PMC102", 5002, is_retracted=True)
    write(folder, "PMC2", 6002, version=2)  # superseded
    for version_id in ("PMC4.1", "PMC13.1", "PMC14.1"):  # withdrawn; the last two: a whole shard
        remove(folder, version_id)
    remove(folder, "PMC100.1")  # what PMC1 shared its picture with
    for n, seed in ((200, 70), (201, 6003), (202, 6004), (203, 110)):  # as PMC7's and PMC11's
        write(folder, f"PMC{n}", seed)
    second = run(folder, store, "day2", base="day1")
    afresh = run(folder, store, "afresh")
    return folder, store, (first, second, afresh)


def test_an_update_has_the_very_rows_of_a_fresh_corpus(two_days):
    _, store, (_, second, afresh) = two_days
    assert rows(store, "day2") == rows(store, "afresh")
    assert all(row["folder"] == row["split"] for row in rows(store, "day2"))
    assert ledger(store, "day2") == ledger(store, "afresh")
    assert duplicates(store, "day2").equals(duplicates(store, "afresh"))
    same = {key: value for key, value in second.counts.items() if key != "changes"}
    assert same == afresh.counts


def test_the_report_says_what_changed(two_days):
    _, store, (first, second, _) = two_days
    report = json.loads(store.open("pairs", "day2").read(CHANGES))
    articles = report["articles"]
    assert articles["new"] == ["PMC200", "PMC201", "PMC202", "PMC203"]
    assert articles["changed"] == ["PMC101", "PMC102", "PMC2"]
    assert articles["removed"] == ["PMC100", "PMC13", "PMC14", "PMC4"]
    assert (articles["retried"], articles["num_kept"]) == ([], 10)
    assert report["pairs_before"] == first.counts["num_pairs"]
    assert report["pairs_now"] == second.counts["num_pairs"] == len(rows(store, "day2"))
    assert second.counts["changes"]["files_shared"] == len(second.shared) > 0


def test_only_what_has_changed_is_read(two_days, tmp_path):
    """Every other article's files are gone from the bucket, and the update does not miss them."""
    folder, store, _ = two_days
    bucket = tmp_path / "bucket"
    shutil.copytree(folder, bucket)
    report = json.loads(store.open("pairs", "day2").read(CHANGES))
    wanted = {*report["articles"]["new"], *report["articles"]["changed"]}
    for article in bucket.glob("PMC*"):
        if article.name.partition(".")[0] not in wanted:
            shutil.rmtree(article)
    copy = Store(tmp_path / "store")
    shutil.copytree(f"{store.folder('pairs', 'day1').path}", copy.folder("pairs", "day1").path)
    manifest = json.loads(copy.folder("pairs", "day1").read("_manifest.json"))
    manifest["config"]["source"] = str(open_source(str(bucket)))
    copy.folder("pairs", "day1").write("_manifest.json", json.dumps(manifest).encode())
    run(bucket, copy, "day2", base="day1")
    assert rows(copy, "day2") == rows(store, "day2")


def test_shards_that_stay_as_they_are_are_shared_and_not_copied(two_days):
    _, store, (first, second, _) = two_days
    own = set(store.folder("pairs", "day2").files())
    assert set(second.shared.values()) == {"day1"}
    assert own.isdisjoint(second.shared)
    assert all(second.files[name] == first.files[name] for name in second.shared)
    assert "train/00001.parquet" in second.shared or "train/00002.parquet" in second.shared


def test_a_third_version_shares_what_the_first_still_holds(two_days):
    folder, store, (_, second, _) = two_days
    third = run(folder, store, "day3", base="day2")
    assert rows(store, "day3") == rows(store, "day2")
    assert set(third.shared.values()) == {"day1", "day2"}
    assert all(third.shared[name] == "day1" for name in second.shared)
    own = set(store.folder("pairs", "day3").files())
    assert {name for name in own if not name.startswith("_")} == set()
    assert third.counts["changes"]["kept"] == 17


def test_a_base_of_other_rules_or_another_source_is_refused(two_days, tmp_path):
    folder, store, _ = two_days
    other = CorpusConfig(articles_per_shard=3, longest_side=100)
    with pytest.raises(UsageError, match="made with another corpus"):
        run(folder, store, "x", base="day1", config=other)
    write_bucket(tmp_path, num_articles=2)
    with pytest.raises(UsageError, match="made with another source"):
        run(tmp_path, store, "x", base="day1")
    with pytest.raises(UsageError, match="day0 is not published"):
        run(folder, store, "x", base="day0")


def test_a_list_of_articles_is_read_alone_and_the_unknown_are_told(two_days):
    folder, store, _ = two_days
    manifest = run(folder, store, "some", pmcids=["PMC1", "PMC7", "PMC999"])
    assert {row["pmcid"] for row in rows(store, "some")} == {"PMC1", "PMC7"}
    assert manifest.counts["rejections"]["unknown_article"] == 1


def test_what_failed_is_retried_alone(tmp_path):
    """In a corpus that is published, by a version that follows it."""
    folder, store = tmp_path / "bucket", Store(tmp_path / "store")
    write_bucket(folder, num_articles=7)
    whole = run(folder, store, "whole")
    held = {
        path: path.read_bytes()
        for path in (folder / "PMC1.1" / "PMC1-0.jpg", folder / "PMC6.2" / "PMC6.2.xml")
    }
    for path in held:
        path.unlink()
    failed = run(folder, store, "failed")
    assert failed.counts["num_failed"] == 2
    assert failed.counts["num_pairs"] < whole.counts["num_pairs"]
    for path, data in held.items():
        path.write_bytes(data)
    retried = run(folder, store, "retried", base="failed", retry_failed=True)
    assert retried.counts["changes"]["retried"] == 2
    assert rows(store, "retried") == rows(store, "whole")
    assert ledger(store, "retried") == ledger(store, "whole")


def test_what_failed_in_an_unfinished_version_is_retried_in_its_place(tmp_path):
    folder, store = tmp_path / "bucket", Store(tmp_path / "store")
    write_bucket(folder, num_articles=7)
    whole = run(folder, store, "whole")
    picture_file = folder / "PMC1.1" / "PMC1-0.jpg"
    held = picture_file.read_bytes()
    picture_file.unlink()
    run(folder, store, "v")
    (Path(store.folder("pairs", "v").path) / "_manifest.json").unlink()  # as if killed before
    picture_file.write_bytes(held)
    manifest = run(folder, store, "v", retry_failed=True)
    assert manifest.counts == whole.counts
    assert rows(store, "v") == rows(store, "whole")
    assert ledger(store, "v") == ledger(store, "whole")
