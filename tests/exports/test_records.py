import io
import itertools
import json
import tarfile
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import tiny_pairs

from figclip.config import UsageError
from figclip.exports.attribution import readme
from figclip.exports.parts import (
    Part,
    PartCounts,
    Slice,
    even_parts,
    mark_name,
    parts_by_shard,
    plan_parts,
    read_counts,
    read_part,
    shard_sizes,
    total_counts,
    write_part,
)
from figclip.exports.records import (
    EXPORT_SCHEMA,
    ExportConfig,
    key_of,
    parquet_of,
    picture_name,
    tar_of,
    with_clusters,
)
from figclip.schema import PAIR_SCHEMA, Pair, table_of
from figclip.store import Folder, Store


def jpeg(size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (10, 120, 200)).save(buffer, "JPEG")
    return buffer.getvalue()


def odd_pairs(num_pairs: int = 14) -> list[Pair]:
    """Of one split; JPEG beside PNG, ids and texts as they are seen in the wild."""
    pairs = [replace(pair, split="train") for pair in tiny_pairs(num_pairs)]
    unknown = {"pmid": None, "doi": None, "year": None}
    oddities = [
        {"image": jpeg(), "graphic": "a.b-g001.tif"},
        {"figure_id": "fig/1 α", "caption": "line\u2028β-catenin\n10⁻³ µm “x” \U0001f9e0"},
        {**unknown, "section": [], "mentions": []},
        {**unknown, "figure_license": "CC BY-NC", "figure_attribution": "© 1999 A. N. Other"},
        {"image": jpeg(), "graphic": "a.b-g001.png"},
    ]
    pairs[: len(oddities)] = [
        replace(pair, **odd) for pair, odd in zip(pairs, oddities, strict=False)
    ]
    return [
        replace(pair, pair_id=f"{pair.pmcid}.{pair.version}/{pair.figure_id}/{pair.graphic}")
        for pair in pairs
    ]


def write_pairs(folder: Folder, name: str, pairs: list[Pair], *, rows_per_group: int = 3) -> None:
    buffer = io.BytesIO()
    pq.write_table(table_of(pairs, PAIR_SCHEMA), buffer, row_group_size=rows_per_group)
    folder.write(name, buffer.getvalue())


def exported(pairs: list[Pair], clusters: pa.Table | None = None) -> pa.Table:
    return with_clusters(table_of(pairs, PAIR_SCHEMA), clusters)


def members(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {info.name: opened.extractfile(info).read() for info in opened}


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Store(tmp_path).root / "pairs" / "p"


@pytest.fixture
def target(tmp_path) -> Folder:
    return Store(tmp_path).root / "export" / "v"


def lines_of(folder: Folder, target: Folder, part: Part, **options) -> list[dict]:
    write_part(folder, target, part, ExportConfig(format="jsonl", **options), None)
    text = target.read(f"{part.name}.jsonl").decode()
    return [json.loads(line) for line in text.split("\n") if line]


def test_an_article_is_one_line_with_microsofts_names_first(folder, target):
    pair = replace(
        tiny_pairs(2)[0], image=jpeg(), pmid=11178228, pmcid="PMC15015", pair_id="PMC15015.1/F1/g"
    )
    write_pairs(folder, "train/00007.parquet", [pair])
    (part,) = parts_by_shard(["train/00007.parquet"])
    (line,) = lines_of(folder, target, part)
    picture = line["figures"][0]["graphic_ref"]
    assert list(line)[:4] == ["pmid", "pmc", "location", "figures"]
    assert list(line["figures"][0])[:5] == [
        "fig_caption",
        "fig_id",
        "fig_label",
        "graphic_ref",
        "pair_id",
    ]
    assert (line["pmid"], line["pmc"]) == ("11178228", "15015")
    assert line["location"] == "images/train/00007/PMC15015.1"
    assert picture.startswith(f"{line['location']}/PMC15015-1-F1-g-")
    assert picture.endswith(".jpg")
    assert target.read(picture) == pair.image
    assert line["figures"][0]["fig_caption"] == pair.caption
    assert line["figures"][0]["fig_label"] == "Figure 1"
    assert (line["license"], line["doi"], line["split"]) == ("CC BY", "10.1000/tiny.0", "train")
    assert line["figures"][0]["mentions"] == pair.mentions
    assert line["figures"][0]["cluster_id"] is None


def test_json_lines_hold_every_column_of_every_pair(folder, target):
    pairs = odd_pairs()
    write_pairs(folder, "train/00000.parquet", pairs)
    (part,) = parts_by_shard(["train/00000.parquet"])
    lines = lines_of(folder, target, part)
    renamed = {"fig_caption": "caption", "fig_id": "figure_id", "fig_label": "label"}
    found = {}
    for line in lines:
        for figure in line["figures"]:
            article = {k: v for k, v in line.items() if k not in ("figures", "location", "pmc")}
            row = {renamed.get(k, k): v for k, v in {**article, **figure}.items()}
            row["pmid"] = int(row["pmid"]) if row["pmid"] else None
            row["image"] = target.read(row.pop("graphic_ref"))
            row["image_fingerprint"] = bytes.fromhex(row["image_fingerprint"])
            assert row.pop("cluster_id") is None
            found[row["pair_id"]] = Pair(**row)
    assert found == {pair.pair_id: pair for pair in pairs}
    assert [line["pmcid"] for line in lines] == list(dict.fromkeys(p.pmcid for p in pairs))
    assert len({path for path in target.files() if path.startswith("images/")}) == len(pairs)


def test_an_article_cut_by_a_move_or_by_its_neighbours_is_still_one_line(folder, target):
    a, b, c, d = tiny_pairs(4)  # two articles
    write_pairs(folder, "test/00003.parquet", [a, c])
    write_pairs(folder, "test/00003-moved.parquet", [b, d])
    (part,) = parts_by_shard(["test/00003-moved.parquet", "test/00003.parquet"])
    assert part.name == "test/00003"
    lines = lines_of(folder, target, part)
    ids = [[figure["pair_id"] for figure in line["figures"]] for line in lines]
    assert sorted(map(sorted, ids)) == [[a.pair_id, b.pair_id], [c.pair_id, d.pair_id]]


def test_without_images_no_line_names_one(folder, target):
    write_pairs(folder, "train/00000.parquet", odd_pairs())
    (part,) = parts_by_shard(["train/00000.parquet"])
    lines = lines_of(folder, target, part, with_images=False)
    assert {f["graphic_ref"] for line in lines for f in line["figures"]} == {""}
    assert target.files().keys() == {"train/00000.jsonl", mark_name(part)}


def test_shards_without_a_file_of_their_own_keep_their_number():
    files = ["train/00001-moved.parquet", "train/00000.parquet", "train/00000-moved.parquet"]
    assert [(p.name, [s.file for s in p.slices]) for p in parts_by_shard(files)] == [
        ("train/00000", ["train/00000-moved.parquet", "train/00000.parquet"]),
        ("train/00001", ["train/00001-moved.parquet"]),
    ]


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 12))
def test_even_parts_hold_every_row_once_and_in_order(sizes, rows_per_file):
    files = [(f"train/{n:05d}.parquet", size) for n, size in enumerate(sizes)]
    everything = [(file, row) for file, size in files for row in range(size)]
    parts = even_parts("train", files, rows_per_file)
    found = [[(s.file, r) for s in p.slices for r in range(s.start, s.stop)] for p in parts]
    assert list(itertools.chain(*found)) == everything
    assert all(len(rows) == rows_per_file for rows in found[:-1])
    assert all(0 < len(rows) <= rows_per_file for rows in found[-1:])
    assert [part.name for part in parts] == [f"train/{n:05d}" for n in range(len(parts))]
    assert [Part.from_json(part.to_json()) for part in parts] == parts


@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 3), (2, 4), (3, 14), (7, 8), (13, 14)])
def test_a_slice_reads_its_rows_wherever_the_row_groups_end(folder, start, stop):
    pairs = odd_pairs()
    write_pairs(folder, "train/00000.parquet", pairs)
    part = Part("train/00000", (Slice("train/00000.parquet", start, stop),))
    tables = list(read_part(folder, part, None))
    rows = [row for table in tables for row in table["pair_id"].to_pylist()]
    assert rows == [pair.pair_id for pair in pairs[start:stop]]
    assert all(table.num_rows <= 3 for table in tables)  # never more than a row group at once


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 5)))
def test_clusters_are_joined_by_pair(known):
    pairs = tiny_pairs(20)
    clusters = pa.table(
        {
            "pair_id": pa.array([f"pair {n}" for n in known], pa.string()),
            "cluster_id": pa.array(list(known.values()), pa.int64()),
        }
    )
    pairs = [replace(pair, pair_id=f"pair {n}") for n, pair in enumerate(pairs)]
    table = exported(pairs, clusters)
    expected = [str(known[n]) if n in known else None for n in range(20)]
    assert table["cluster_id"].to_pylist() == expected
    assert table.schema.equals(EXPORT_SCHEMA)
    assert table["pair_id"].to_pylist() == [pair.pair_id for pair in pairs]


@given(st.lists(st.text(max_size=120), unique=True, max_size=20))
def test_keys_are_plain_short_and_different(pair_ids):
    keys = [key_of(f"PMC1.1/{pair_id}") for pair_id in pair_ids]
    assert len(set(keys)) == len(keys)
    assert len({key.lower() for key in keys}) == len(keys)  # on a disk that ignores case
    for key in keys:
        assert key.isascii()
        assert key.replace("-", "").isalnum()
        assert len(f"{key}.json") <= 100


def test_a_tar_holds_every_pair_and_nothing_of_the_day_it_was_made():
    pairs = odd_pairs()
    table = exported(pairs)
    tar = tar_of([table])
    assert tar == tar_of([table.slice(0, 5), table.slice(5, 0), table.slice(5)])
    found = members(tar)
    for pair in pairs:
        key = key_of(pair.pair_id)
        suffix = "jpg" if pair.image[:2] == b"\xff\xd8" else "png"
        assert found.pop(f"{key}.{suffix}") == pair.image
        assert found.pop(f"{key}.txt").decode() == pair.caption
        values = json.loads(found.pop(f"{key}.json"))
        assert values.keys() == set(EXPORT_SCHEMA.names) - {"image"}
        values |= {"image": pair.image}
        values["image_fingerprint"] = bytes.fromhex(values["image_fingerprint"])
        assert values.pop("cluster_id") is None
        assert Pair(**values) == pair
    assert not found
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        assert {(i.mtime, i.uid, i.gid, i.uname, i.mode) for i in opened} == {(0, 0, 0, "", 0o644)}


def test_a_parquet_file_holds_every_pair_and_is_the_same_again():
    pairs = odd_pairs()
    table = exported(pairs)
    data = parquet_of([table.slice(0, 5), table.slice(5)])
    assert data == parquet_of([table.slice(0, 5), table.slice(5)])
    file = pq.ParquetFile(io.BytesIO(data))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [5, 9]
    rows = file.read().to_pylist()
    for row in rows:
        picture = row.pop("image")
        assert picture["path"] == picture_name(row["pair_id"], picture["bytes"])
        row["image"] = picture["bytes"]
        assert row.pop("cluster_id") is None
    assert [Pair(**row) for row in rows] == pairs


@pytest.mark.parametrize("image", [b"", b"GIF89a", b"\xff\xd8", b"\x89PNG"])
def test_a_picture_of_another_kind_names_its_pair(image):
    with pytest.raises(UsageError, match=r"PMC1\.1/F1/g is neither JPEG nor PNG: .* ingest"):
        picture_name("PMC1.1/F1/g", image)


@pytest.mark.parametrize("form", ["jsonl", "webdataset", "parquet"])
def test_the_mark_of_a_part_is_written_last(folder, target, form):
    write_pairs(folder, "train/00000.parquet", odd_pairs())
    config = ExportConfig(format=form, rows_per_file=100)
    (part,) = plan_parts(folder, config)
    written = []

    class Watched(type(target)):
        def write(self, name, data):
            written.append(name)
            super().write(name, data)

    counts = write_part(folder, Watched(target.fs, target.path), part, config, None)
    assert written[-1] == "__parts/train/00000.json"
    assert written.count("__parts/train/00000.json") == 1
    assert read_counts(target, [part]) == {"train/00000": counts}
    assert counts == PartCounts(14, {"CC BY": 6, "CC BY-NC": 4, "CC0": 4}, 1)


def test_sizes_are_told_split_by_split_and_licences_all_together():
    counts = {
        "train/00000": PartCounts(1000, {"CC BY": 990, "": 10}, 3),
        "train/00001": PartCounts(40, {"CC BY": 40}, 0),
        "test/00000": PartCounts(7, {"CC0": 7}, 1),
    }
    assert {name: json.loads(data) for name, data in shard_sizes(counts).items()} == {
        "train/sizes.json": {"00000.tar": 1000, "00001.tar": 40},
        "test/sizes.json": {"00000.tar": 7},
    }
    assert total_counts(counts) == PartCounts(1047, {"": 10, "CC BY": 1030, "CC0": 7}, 4)


def test_the_page_names_source_date_and_licences():
    text = readme(
        form="webdataset",
        pairs="pairs@2026.11",
        created="2026-11-23T01:02:03.000004+00:00",
        source="s3://pmc-oa-opendata",
        counts=PartCounts(1047, {"": 10, "CC BY": 1030, "CC0": 7}, 4),
    )
    for words in (
        "PubMed Central (PMC) Open Access Subset",
        "National Library of Medicine",
        "`s3://pmc-oa-opendata`",
        "on 2026-11-23",
        "may be older than PMC",
        "| CC BY | 1,030 |\n| none stated | 10 |\n| CC0 | 7 |",
        "4 pairs show third-party material",
    ):
        assert words in text
