"""The flow from pairs to statistics: every file once, no picture read, the same however it ran."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import publish_tiny_pairs, tiny_pairs

from figclip.config import UsageError
from figclip.schema import LEDGER_SCHEMA, PAIR_SCHEMA, Entry, table_of
from figclip.statistics.describe import count_file, counted_files, describe
from figclip.statistics.plots import PANELS
from figclip.statistics.summary import Statistics, added, counters, from_counters, pair_statistics
from figclip.statistics.words import count_words
from figclip.store import Folder, Store

N = 48
ENTRIES = [
    Entry("PMC1", 1, "", "", "rejected", "no_figures", "", 0, 0),
    Entry("PMC2", 1, "f1", "", "rejected", "no_caption", ""),
]


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def fill(folder: Folder, pairs: list) -> None:
    """The layout of ingested pairs: splits, a moved article, the ledger, duplicates and a plan."""
    for split in ("train", "validation", "test"):
        rows = [pair for pair in pairs if pair.split == split]
        moved = {rows[0].pmcid}
        for name, part in {
            f"{split}/00000.parquet": [pair for pair in rows if pair.pmcid not in moved],
            f"{split}/00000-moved.parquet": [pair for pair in rows if pair.pmcid in moved],
        }.items():
            folder.write(name, parquet(table_of(part, PAIR_SCHEMA)))
    folder.write("_ledger/00000.parquet", parquet(table_of(ENTRIES, LEDGER_SCHEMA)))
    clusters = pa.table({"pair_id": ["a", "b"], "cluster_id": ["a", "a"], "kind": ["exact"] * 2})
    folder.write("_duplicates.parquet", parquet(clusters))
    folder.write("_plan.parquet", parquet(pa.table({"shard": [0], "version_id": ["PMC1.1"]})))


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "store")
    with store.publishing("pairs", "p", config={}) as publication:
        fill(publication.folder, tiny_pairs(N))
    return store


def statistics_in(folder: Folder) -> Statistics:
    return from_counters(json.loads(folder.read("statistics.json"))["counters"])


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_the_published_statistics_are_those_of_all_rows(store, ray_cluster):
    manifest = describe(store, "p", "s", num_cpus_per_task=0.5, max_tasks=3)
    assert manifest.inputs == ("pairs@p",)
    assert manifest.counts["num_pairs"] == N
    assert manifest.counts["share_of_captions_within"] == {"77": 1.0, "256": 1.0}
    panels = {f"{panel.name}.png" for panel in PANELS}
    assert set(manifest.files) == panels | {"overview.png", "index.html", "statistics.json"}
    found = statistics_in(store.open("statistics", "s"))
    expected = pair_statistics([table_of(tiny_pairs(N), PAIR_SCHEMA)], count_words)
    expected.ledger.update(
        {("article", "rejected", "no_figures"): 1, ("figure", "rejected", "no_caption"): 1}
    )
    expected.stated_figures[0] += 1
    expected.stated_captioned[0] += 1
    expected.cluster_sizes[2] += 1
    expected.duplicate_kinds["exact"] += 2
    assert counters(found) == counters(expected)
    again = describe(store, "p", "s", num_cpus_per_task=0.5, max_tasks=1)
    assert again == manifest
    with pytest.raises(UsageError, match="published already with another config"):
        describe(store, "p", "s", tokenizer="other", num_cpus_per_task=0.5, max_tasks=1)


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_a_fault_in_a_task_is_one_sentence_and_publishes_nothing(store, ray_cluster):
    with store.publishing("pairs", "old", config={}) as publication:
        fill(publication.folder, tiny_pairs(N))
        old = table_of(tiny_pairs(2), PAIR_SCHEMA).drop_columns(["figure_attribution"])
        publication.folder.write("train/00001.parquet", parquet(old))
    with pytest.raises(UsageError, match=r"00001\.parquet has no column figure_attribution"):
        describe(store, "old", "s", num_cpus_per_task=0.5, max_tasks=2)
    with pytest.raises(UsageError, match="set a smaller --cpus-per-task"):
        describe(store, "p", "s", num_cpus_per_task=500, max_tasks=2)
    assert not store.is_published("statistics", "s")


def test_a_corpus_without_a_file_has_empty_statistics(tmp_path):
    store = Store(tmp_path)
    with store.publishing("pairs", "none", config={}):
        pass
    manifest = describe(store, "none", "s", num_cpus_per_task=1, max_tasks=1)
    assert manifest.counts["num_pairs"] == 0
    assert statistics_in(store.open("statistics", "s")) == Statistics()


def test_files_that_another_version_holds_are_counted_too(store):
    with store.publishing("pairs", "next", config={}) as publication:
        names = counted_files(store.open("pairs", "p"))
        publication.shared.update(dict.fromkeys(names, "p"))
    folders = [store.open("pairs", version) for version in ("p", "next")]
    first, second = (
        added(count_file(folder, name, count_words) for name in counted_files(folder))
        for folder in folders
    )
    assert first == second
    assert first.num_pairs == N


def test_no_byte_of_a_picture_is_read(tmp_path):
    store = Store(tmp_path)
    publish_tiny_pairs(store, "p", 8)
    folder = store.open("pairs", "p")
    name = "train/00000.parquet"
    before = count_file(folder, name, count_words)
    data = bytearray(folder.read(name))
    metadata = pq.read_metadata(io.BytesIO(data))
    place = PAIR_SCHEMA.get_field_index("image")
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunk = next(
            group.column(n)
            for n in range(group.num_columns)
            if group.column(n).path_in_schema == PAIR_SCHEMA.field(place).name
        )
        start = min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
        data[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    folder.write(name, bytes(data))
    with pytest.raises(OSError, match=r".+"):
        pq.read_table(folder.locate(name), columns=["image"])
    assert count_file(folder, name, count_words) == before
    assert before.num_pairs > 0
