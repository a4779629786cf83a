"""The check of published pairs, on clean ones and on ones with a planted leak."""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from figclip.config import UsageError
from figclip.corpus import leakage
from figclip.pictures.fingerprint import PLAIN, fingerprint
from figclip.schema import PAIR_SCHEMA
from figclip.store import Store
from jobs.check_leakage import PRESETS, main
from jobs.entry import run

SIZES = {"train": 9, "validation": 3, "test": 4}


def picture(seed: int) -> bytes:
    levels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).resize((90, 80)).save(file, "PNG")
    return file.getvalue()


def clean_rows() -> dict[str, list[dict]]:
    """Rows by the folder in which they lie; no two of one article or alike."""
    empty = {field.name: None for field in PAIR_SCHEMA}
    rows: dict[str, list[dict]] = {split: [] for split in SIZES}
    for number, split in enumerate(split for split, size in SIZES.items() for _ in range(size)):
        image = picture(number)
        rows[split].append(
            empty
            | {
                "pair_id": f"PMC{number}.1/f1/a.png",
                "pmcid": f"PMC{number}",
                "image": image,
                "image_sha256": f"{number:064x}",
                "image_fingerprint": fingerprint(Image.open(io.BytesIO(image))),
                "split": split,
            }
        )
    return rows


def publish(store: Store, rows: dict[str, list[dict]]) -> None:
    with store.publishing("pairs", "v", config={}) as publication:
        for split, some in rows.items():
            for number, part in enumerate((some[:2], some[2:])):
                path = Path(publication.folder.path) / split / f"{number:05d}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.Table.from_pylist(part, PAIR_SCHEMA), path)


def check(store: Store, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of `python -m jobs.check_leakage`."""
    arguments = ["jobs.check_leakage", *words, "--pairs", "v", "--store", store.url]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr("jobs.entry.configure_logging", lambda form: None)
    try:
        run(PRESETS, main, "check_leakage")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def same_article(rows):
    rows["test"][1]["pmcid"] = "PMC3"


def same_file(rows):
    rows["validation"][0]["image_sha256"] = rows["train"][4]["image_sha256"]


def near_in_train(rows):
    rows["test"][2]["image_fingerprint"] = changed(rows["train"][7], 14)


def near_in_both_held_out(rows):
    rows["test"][2]["image_fingerprint"] = changed(rows["validation"][2], 14)


def same_id(rows):
    rows["train"][0]["pair_id"] = rows["train"][5]["pair_id"]


def wrong_folder(rows):
    rows["test"][0]["split"] = "train"


def changed(row: dict, num_bits: int) -> bytes:
    mask = sum(1 << (17 * bit % 256) for bit in range(num_bits))
    return (int.from_bytes(row["image_fingerprint"]) ^ mask).to_bytes(32)


LEAKS = {
    same_article: ("no article in two splits", "PMC3 in train and test"),
    same_file: ("no image file in two splits", f"{4:064x} in train and validation"),
    near_in_train: (
        "no image within 14 bits of another split's",
        "PMC14.1/f1/a.png (test) and PMC7.1/f1/a.png (train)",
    ),
    near_in_both_held_out: (
        "no image within 14 bits of another split's",
        "PMC11.1/f1/a.png (validation) and PMC14.1/f1/a.png (test)",
    ),
    same_id: ("no pair_id twice", "PMC5.1/f1/a.png, 2 times"),
    wrong_folder: ("each row in its split's folder", "PMC12.1/f1/a.png of train in test/"),
}


def lines_of(printed: str) -> dict[str, list[str]]:
    """Promise → how many were compared and found."""
    lines = [line for line in printed.splitlines()[1:] if not line.startswith(" ")]
    return {" ".join(line.split()[:-2]): line.split()[-2:] for line in lines}


@pytest.mark.parametrize("shorter_way", [False, True])
def test_clean_splits_are_called_clean_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, shorter_way
):
    if shorter_way:
        monkeypatch.setattr(leakage, "EACH_WITH_EACH", 0)
    store = Store(tmp_path)
    publish(store, clean_rows())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert check(store, monkeypatch, "decode") == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    found = lines_of(capsys.readouterr().out)
    assert {num_found for _, num_found in found.values()} == {"0"}
    assert [compared for compared, _ in found.values()] == ["16", "16", "16", "16", "75", "16"]


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("shorter_way", [False, True])
def test_a_planted_leak_is_found_and_named(tmp_path, monkeypatch, capsys, leak, shorter_way):
    if shorter_way:
        monkeypatch.setattr(leakage, "EACH_WITH_EACH", 0)
        monkeypatch.setattr(leakage, "BLOCK", 3)
    rows, store = clean_rows(), Store(tmp_path)
    leak(rows)
    publish(store, rows)
    assert check(store, monkeypatch) == 1
    printed = capsys.readouterr().out
    promise, example = LEAKS[leak]
    assert {p: num for p, (_, num) in lines_of(printed).items() if num != "0"} == {promise: "1"}
    assert f"    {example}\n" in printed


def test_one_bit_more_is_another_picture_unless_more_are_allowed(tmp_path, monkeypatch):
    rows, store = clean_rows(), Store(tmp_path)
    rows["test"][0]["image_fingerprint"] = changed(rows["train"][0], 15)
    publish(store, rows)
    assert check(store, monkeypatch) == 0
    assert check(store, monkeypatch, "full", "--max-bits", "15") == 1


def test_plain_pictures_are_near_to_none_but_one_file_still_has_one_split(tmp_path, monkeypatch):
    rows, store = clean_rows(), Store(tmp_path)
    for split in SIZES:
        rows[split][0]["image_fingerprint"] = PLAIN
    publish(store, rows)
    assert check(store, monkeypatch) == 0
    assert check(store, monkeypatch, "decode") == 1  # for these pictures are not plain at all


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("image_fingerprint", picture(99)[:32], "differs in"),
        ("image_fingerprint", PLAIN, "called plain, and is not"),
        ("image", b"no picture", "no picture: UnidentifiedImageError"),
    ],
)
def test_decoding_finds_fingerprints_of_other_pictures(
    tmp_path, monkeypatch, capsys, column, value, words
):
    rows, store = clean_rows(), Store(tmp_path)
    rows["train"][3][column] = value
    publish(store, rows)
    assert check(store, monkeypatch, "full") == 0
    capsys.readouterr()
    assert check(store, monkeypatch, "decode") == 1
    assert f"    PMC3.1/f1/a.png: {words}" in capsys.readouterr().out


def test_three_examples_stand_for_many(tmp_path, monkeypatch, capsys):
    rows, store = clean_rows(), Store(tmp_path)
    for n in range(3):
        rows["validation"][n]["pmcid"] = f"PMC{n}"
    for n in range(4):
        rows["test"][n]["pmcid"] = f"PMC{n + 3}"
    publish(store, rows)
    assert check(store, monkeypatch) == 1
    printed = capsys.readouterr().out
    assert printed.count(" in train and ") == 3
    assert "    and 4 more\n" in printed


def test_pairs_without_the_columns_or_rows_end_in_one_sentence(tmp_path, monkeypatch, capsys):
    store = Store(tmp_path)
    with store.publishing("pairs", "v", config={}) as publication:
        path = Path(publication.folder.path) / "train" / "00000.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"pair_id": ["a"]}), path)
    assert check(store, monkeypatch) == 2
    assert "lacks image_fingerprint, image_sha256, pmcid, split" in capsys.readouterr().err
    with store.publishing("pairs", "none", config={}):
        pass
    with pytest.raises(UsageError, match="holds no pairs"):
        leakage.checks_of(store.open("pairs", "none"), max_bits=14)
