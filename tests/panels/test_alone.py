"""Anybody's pairs, line by line: whatever stands in a line, one comes out."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_figures import CAPTION, compound
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from figclip.config import UsageError
from figclip.panels.alone import chunks_of, lines_writer, records_of, split_record

KEYS = {"image", "panels", "shared", "notes"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    Image.fromarray(compound("ABCD")[0]).save(folder / "four.jpg", quality=92)
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    frames = [Image.new("RGB", (90, 60), colour) for colour in ("red", "green", "blue")]
    frames[0].save(folder / "moves.gif", save_all=True, append_images=frames[1:])
    (folder / "words.jpg").write_text("words")
    return folder


def test_a_record_gives_panels_as_json(folder: Path) -> None:
    found = split_record({"image": "four.jpg", "caption": CAPTION, "mentions": []}, [folder])
    assert found.keys() == KEYS
    assert json.loads(json.dumps(found)) == found
    assert [panel["label"] for panel in found["panels"]] == list("ABCD")
    for panel in found["panels"]:
        assert panel.keys() == {"label", "box", "label_box", "caption", "mentions", "confidence"}
        assert all(piece in CAPTION for piece in panel["caption"])


RECORDS = {
    "missing_image": {"image": "none.jpg", "caption": "x"},
    "not_an_image": {"image": "words.jpg", "caption": "x"},
    "bad_line: `image`": {"caption": "x"},
    "bad_line: `caption`": {"image": "four.jpg", "caption": 5},
    "bad_line: `mentions`": {"image": "four.jpg", "caption": "x", "mentions": "words"},
    "bad_line: no JSON": {"fault": "bad_line: no JSON"},
}


@pytest.mark.parametrize("reason", RECORDS)
def test_what_is_no_figure_has_a_reason_and_keeps_its_words(folder: Path, reason: str) -> None:
    found = split_record(RECORDS[reason], [folder])
    assert found["panels"] == []
    assert found["notes"][0].startswith(reason)
    assert found["shared"] == (["x"] if RECORDS[reason].get("caption") == "x" else [])


def test_a_picture_of_too_many_pixels_comes_out_whole_by_its_header(folder: Path) -> None:
    found = split_record({"image": "huge.png", "caption": "(A) One. (B) Two."}, [folder])
    assert [panel["box"] for panel in found["panels"]] == [[0, 0, 20_000, 20_000]]
    assert found["panels"][0]["caption"] == ["(A) One. (B) Two."]
    assert found["notes"][0].startswith("huge_image")


def test_of_an_animation_the_first_picture_counts(folder: Path) -> None:
    found = split_record({"image": "moves.gif", "caption": None}, [folder])
    assert [panel["box"] for panel in found["panels"]] == [[0, 0, 90, 60]]


@given(
    st.lists(st.one_of(st.just(b""), st.just(b"{bad"), st.just(b'{"image": "a"}')), max_size=40),
    st.integers(1, 7),
    st.booleans(),
)
def test_chunks_hold_every_line_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], num_lines: int, ends: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "figures.jsonl"
    path.write_bytes(b"\n".join(lines) + (b"\n" if ends and lines else b""))
    chunks = chunks_of(path, num_lines=num_lines)
    found = [record for chunk in chunks for record in records_of(path, chunk)]
    assert [record.get("image") for record in found] == [
        "a" if line != b"{bad" else None for line in lines if line
    ]
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))


def test_parquet_with_bytes_is_read_too(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(stream, "PNG")
    table = pa.table({"image": [stream.getvalue()] * 5, "caption": ["x"] * 5, "more": range(5)})
    pq.write_table(table, tmp_path / "figures.parquet", row_group_size=2)
    chunks = chunks_of(tmp_path / "figures.parquet", num_lines=9)
    found = [
        record for chunk in chunks for record in records_of(tmp_path / "figures.parquet", chunk)
    ]
    assert len(found) == 5
    assert split_record(found[0], [tmp_path])["panels"][0]["box"] == [0, 0, 60, 40]


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.jsonl cannot be read"):
        chunks_of(tmp_path / "none.jsonl", num_lines=3)
    (tmp_path / "words.parquet").write_text("words")
    with pytest.raises(UsageError, match="is no Parquet file"):
        chunks_of(tmp_path / "words.parquet", num_lines=3)
    pq.write_table(pa.table({"picture": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(UsageError, match="needs columns `image`"):
        chunks_of(tmp_path / "other.parquet", num_lines=3)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_what_is_written_is_read_again(folder: Path, tmp_path: Path, suffix: str) -> None:
    found = split_record({"image": "four.jpg", "caption": CAPTION}, [folder])
    path = tmp_path / f"panels.{suffix}"
    with lines_writer(path, is_parquet=suffix == "parquet") as write:
        write([found])
        write([found])
    if suffix == "parquet":
        again = pq.read_table(path).to_pylist()
    else:
        again = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(again) == 2
    assert [panel["box"] for panel in again[1]["panels"]] == [p["box"] for p in found["panels"]]
