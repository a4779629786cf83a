"""Splitting on Ray: pairs give panels of the same splits, and lines come out in their order."""

import errno
import json
import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from drawn_figures import CAPTION, compound, pair, saved
from PIL import Image

from figclip.config import UsageError
from figclip.panels.pieces import PoisonError, run_pieces
from figclip.panels.rows import panel_rows
from figclip.panels.splitting import split_alone, split_panels
from figclip.schema import PAIR_SCHEMA, PANEL_PAIR_SCHEMA
from figclip.store import Store
from figclip.tasks import Workers

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("ray_cluster"),
]

WORKERS = Workers(0.5, 2)


def pairs(split: str, first: int) -> list[dict]:
    """Four figures: of four panels, two, one, and one that is broken."""
    pictures = [compound("ABCD")[0], compound("AB")[0], compound("A")[0]]
    rows = [
        pair(saved(p[::2, ::2], "PNG"), CAPTION, p.shape[1] // 2, p.shape[0] // 2) for p in pictures
    ]
    rows.append(pair(b"no picture", CAPTION, 9, 9))
    return [
        row | {"pair_id": f"PMC{first + n}.1/F1/a", "pmcid": f"PMC{first + n}", "split": split}
        for n, row in enumerate(rows)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    with store.publishing("pairs", "p", config={}) as publication:
        for number, split in enumerate(("train", "train", "test")):
            path = Path(publication.folder.path) / split / f"{number:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            table = pa.Table.from_pylist(pairs(split, 10 * number), PAIR_SCHEMA)
            pq.write_table(table, path, row_group_size=3)
    return store


def rows_of(store: Store, version: str) -> list[dict]:
    folder = store.open("pairs", version)
    names = [name for name in folder.files() if name.endswith(".parquet")]
    return pads.dataset([f"{folder.path}/{name}" for name in names]).to_table().to_pylist()


def test_panels_are_those_of_each_pair_in_its_file_and_order(store: Store) -> None:
    manifest = split_panels(store, pairs_version="p", version="panels", workers=WORKERS)
    expected = [row for one in rows_of(store, "p") for row in panel_rows(one)]
    table = pa.Table.from_pylist(expected, PANEL_PAIR_SCHEMA)
    assert rows_of(store, "panels") == table.to_pylist()
    assert manifest.counts["num_figures"] == 12
    assert manifest.counts["num_pairs"] == len(expected) == 3 * (4 + 2 + 1 + 1)
    assert manifest.counts["num_compound"] == 6
    assert manifest.counts["notes"]["not_an_image"] == 3
    assert manifest.counts["splits"]["test"] == {"pairs": 8, "articles": 4}
    assert manifest.inputs == ("pairs@p",)


def test_a_cut_off_run_goes_on_with_the_files_that_are_missing(store: Store) -> None:
    split_panels(store, pairs_version="p", version="panels", workers=WORKERS)
    folder, whole = store.folder("pairs", "panels"), rows_of(store, "panels")
    for name in ("_manifest.json", "train/00001.parquet"):
        folder.delete(name)
    folder.write("test/strange.parquet", b"of nobody")
    kept = Path(folder.path) / "train/00000.parquet"
    written = kept.stat().st_mtime_ns
    split_panels(store, pairs_version="p", version="panels", workers=WORKERS)
    assert rows_of(store, "panels") == whole
    assert kept.stat().st_mtime_ns == written


def test_a_file_that_cannot_be_read_is_named_and_costs_no_other(store: Store) -> None:
    source = store.folder("pairs", "p")
    good = source.read("train/00001.parquet")
    source.write("train/00001.parquet", good[:-200] + bytes(200))
    with pytest.raises(PoisonError, match=r"1 of 3 .* train/00001.parquet \(.*ArrowInvalid"):
        split_panels(store, pairs_version="p", version="panels", workers=WORKERS)
    done = store.folder("pairs", "panels")
    assert {"train/00000.parquet", "test/00002.parquet"} <= done.files().keys()
    source.write("train/00001.parquet", good)
    manifest = split_panels(store, pairs_version="p", version="panels", workers=WORKERS)
    assert manifest.counts["num_figures"] == 12


def test_a_piece_that_kills_its_process_is_named() -> None:
    def work(name: str) -> None:
        if name == "poison":
            os.kill(os.getpid(), signal.SIGKILL)

    pieces = {name: name for name in ("poison", "one", "two")}
    with pytest.raises(PoisonError, match=r"poison.* killed its process"):
        list(run_pieces(work, pieces, WORKERS))


def test_a_full_disk_is_said_as_it_is() -> None:
    def work(_: str) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with pytest.raises(OSError, match="no space left") as caught:
        list(run_pieces(work, {"one": "one"}, WORKERS))
    assert caught.value.errno == errno.ENOSPC


def test_panels_are_not_split_again(store: Store) -> None:
    split_panels(store, pairs_version="p", version="panels", workers=WORKERS)
    with pytest.raises(UsageError, match="are panels already"):
        split_panels(store, pairs_version="panels", version="again", workers=WORKERS)


def test_lines_come_out_in_order_and_a_cut_off_run_goes_on(tmp_path: Path) -> None:
    Image.fromarray(compound("AB")[0][::4, ::4]).save(tmp_path / "two.png")
    lines = [
        json.dumps({"image": "two.png" if n % 9 else f"none-{n}.png", "caption": f"Word {n}."})
        for n in range(70)
    ]
    lines[40] = "{"
    source, output = tmp_path / "figures.jsonl", tmp_path / "panels.jsonl"
    source.write_text("\n".join(lines))
    counts = split_alone(source, output, workers=WORKERS)
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert counts["figures"] == len(found) == 70
    assert (counts["missing_image"], counts["bad_line"]) == (8, 1)
    for n, one in enumerate(found):
        words = [piece for panel in one["panels"] for piece in panel["caption"]] + one["shared"]
        assert n == 40 or f"Word {n}." in words
    assert [path.name for path in tmp_path.glob("*.parts/*")] == []

    first = output.read_bytes()
    parts = tmp_path / "panels.jsonl.parts"
    parts.mkdir(exist_ok=True)
    again = split_alone(source, output, workers=WORKERS)
    assert (again, output.read_bytes()) == (counts, first)
