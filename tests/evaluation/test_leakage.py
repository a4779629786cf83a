"""Pictures to be judged by that were learned from: planted copies, judged by plain loops."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps
from test_zero_shot import SeesColours
from tiny import publish_tiny_embeddings, publish_tiny_encoder, unit_vectors

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation import leakage
from figclip.evaluation.datasets.captioned import CaptionedSet
from figclip.evaluation.datasets.declaration import Class, Dataset, Folders
from figclip.evaluation.datasets.opening import opened, sets_in
from figclip.evaluation.leakage import Leaks, Learned, leaked, learned_by
from figclip.evaluation.marks import Marks, marks_of
from figclip.evaluation.measures import EvaluationReport, of_probe, of_retrieval
from figclip.evaluation.probe_report import ProbeConfig, probe
from figclip.evaluation.zero_shot import zero_shot
from figclip.inputs.pixels import decode
from figclip.pictures.fingerprint import NEAR_BITS, PLAIN, fingerprint
from figclip.schema import PAIR_SCHEMA
from figclip.store import Store
from jobs.evaluate import AllJob, ProbeJob, ZeroShotJob, main

QUICK = {"zero_shot.num_resamples": 20, "probe.num_resamples": 20, "probe.num_seeds": 2}


def levels(seed: int) -> Image.Image:
    """Blots, large and small, of which no two are alike."""
    random = np.random.default_rng(seed)
    large, small = (
        Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))
        for side in (9, 40)
    )
    size = (180, 160)
    return Image.blend(large.resize(size), small.resize(size), 0.4)


def saved(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def publish_pairs(
    store: Store, version: str, pictures: Sequence[bytes], *, rows_per_file: int = 3
) -> None:
    """In the train split; one more picture, seed 999, is in the test split."""
    empty = dict.fromkeys(PAIR_SCHEMA.names)
    with store.publishing("pairs", version, config={}) as publication:
        for split, some in (("train", pictures), ("test", [saved(levels(999))])):
            for start in range(0, len(some), rows_per_file):
                rows = [
                    empty
                    | {
                        "pair_id": f"{split}{start + n}",
                        "split": split,
                        "image_sha256": hashlib.sha256(data).hexdigest(),
                        "image_fingerprint": fingerprint(Image.open(io.BytesIO(data))),
                    }
                    for n, data in enumerate(some[start : start + rows_per_file])
                ]
                path = Path(publication.folder.path, split, f"{start:05d}.parquet")
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.Table.from_pylist(rows, PAIR_SCHEMA), path)


LEARNED = [saved(levels(seed)) for seed in range(7)]
WHITE = Image.new("RGB", (90, 90), "white")
CASES = {
    "the very file": (LEARNED[1], True),
    "a small jpeg of it": (saved(levels(2).resize((113, 100)), "JPEG", quality=60), True),
    "a larger one": (saved(levels(3).resize((400, 355))), True),
    "in grey": (saved(levels(4).convert("L")), True),
    "flipped": (saved(ImageOps.mirror(levels(5))), False),
    "turned": (saved(levels(6).rotate(90, expand=True)), False),
    "a part of it": (saved(levels(6).crop((40, 40, 180, 160))), False),
    "another picture": (saved(levels(77)), False),
    "of the test split": (saved(levels(999)), False),
    "the very file, though plain": (saved(WHITE), True),
    "another plain picture": (saved(WHITE.resize((80, 80))), False),
}


def set_of(folder: Path, pictures: dict[str, bytes]) -> Dataset:
    """Two classes in turn."""
    for number, (name, data) in enumerate(pictures.items()):
        path = folder / "scans" / "test" / "ab"[number % 2] / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Dataset(
        name="scans",
        title="Scans",
        files=Folders(folder="test"),
        classes=(Class(label="a", words="red"), Class(label="b", words="blue")),
        templates=("a photo of {}",),
    )


def marks_of_set(dataset: Dataset, data: Path) -> Marks:
    with opened(dataset, str(data)) as examples:
        return marks_of(examples)


def test_a_copy_is_known_by_its_file_or_by_what_it_shows_and_nothing_else_is(tmp_path: Path):
    store = Store(tmp_path / "store")
    publish_pairs(store, "p", [*LEARNED, saved(WHITE)])
    dataset = set_of(tmp_path, {name: data for name, (data, _) in CASES.items()})
    marks = marks_of_set(dataset, tmp_path)
    found = leaked(marks, [store.open("pairs", "p")])
    told = {Path(name).stem: bool(one) for name, one in zip(marks.names, found, strict=True)}
    assert told == {name: is_leaked for name, (_, is_leaked) in CASES.items()}


def some_marks(prints: list[bytes], files: list[str]) -> Marks:
    words = leakage.fingerprint_words(prints)
    return Marks(tuple(map(str, range(len(files)))), tuple(files), words)


def changed(one: bytes, num_bits: int) -> bytes:
    mask = sum(1 << (37 * bit % 256) for bit in range(num_bits))
    return (int.from_bytes(one) ^ mask).to_bytes(32)


@pytest.mark.parametrize("rows_at_once", [1, 5, 1 << 18])
@pytest.mark.parametrize("each_with_each", [0, 10**9])
def test_what_has_leaked_is_what_plain_loops_find_however_the_pairs_are_read(
    rows_at_once: int, each_with_each: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(leakage, "ROWS_AT_ONCE", rows_at_once)
    monkeypatch.setattr("figclip.corpus.leakage.EACH_WITH_EACH", each_with_each)
    random = np.random.default_rng(0)
    theirs: list[bytes | None] = [random.bytes(32) for _ in range(40)]
    theirs[7:10] = [None, PLAIN, theirs[3]]
    empty = dict.fromkeys(PAIR_SCHEMA.names)
    rows = [
        empty | {"pair_id": str(n), "image_sha256": f"{n:064x}", "image_fingerprint": one}
        for n, one in enumerate(theirs)
    ]
    rows[20]["image_sha256"], rows[21]["image_sha256"] = None, ""
    store = Store(tmp_path)
    with store.publishing("pairs", "p", config={}) as publication:
        for number, part in enumerate((rows[:11], rows[11:])):
            path = Path(publication.folder.path, "train", f"{number:05d}.parquet")
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(part, PAIR_SCHEMA), path)
    known = [one for one in theirs if one]
    ours = [changed(known[n], num_bits) for n in (0, 12, 30) for num_bits in (0, 13, 14, 15, 16)]
    ours += [PLAIN, random.bytes(32), random.bytes(32)]
    files = ["", "", f"{5:064x}", "f" * 64, *[""] * (len(ours) - 5), f"{39:064x}"]
    expected = [
        any(file and file == row["image_sha256"] for row in rows)
        or any(
            PLAIN not in (one, theirs)
            and (int.from_bytes(one) ^ int.from_bytes(theirs)).bit_count() <= NEAR_BITS
            for theirs in known
        )
        for one, file in zip(ours, files, strict=True)
    ]
    found = leaked(some_marks(ours, files), [store.open("pairs", "p")])
    assert found.tolist() == expected
    assert 9 < sum(expected) < len(expected)


def test_the_number_without_leaked_pictures_is_that_of_a_set_without_them(tmp_path: Path):
    colours = {"a": (200, 20, 10), "b": (20, 30, 210), "wrong": (10, 220, 0)}
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    for number, (name, colour) in enumerate([*colours.items()] * 4):
        data = saved(Image.new("RGB", (20 + number, 20), colour))
        dataset = set_of(whole, {f"{name}{number}": data, f"{name}{number}b": data})
        if number > 4:
            set_of(rest, {f"{name}{number}": data, f"{name}{number}b": data})
    with opened(dataset, str(whole)) as examples:
        names = [*examples.names]
    kept = {path.name for path in rest.rglob("*.png")}
    gone = frozenset(name for name in names if Path(name).name not in kept)
    found = zero_shot(SeesColours(), dataset, str(whole), leaked=gone)
    expected = zero_shot(SeesColours(), dataset, str(rest))
    assert found.num_leaked == len(gone) == 10
    assert found.unleaked == pytest.approx(expected.values)
    assert found.values != pytest.approx(expected.values), "a case that could go wrong"
    nothing = zero_shot(SeesColours(), dataset, str(whole), leaked=frozenset())
    assert (nothing.num_leaked, nothing.unleaked) == (0, {})
    everything = zero_shot(SeesColours(), dataset, str(whole), leaked=frozenset(names))
    assert (everything.num_leaked, everything.unleaked) == (24, {})
    unknown = zero_shot(SeesColours(), dataset, str(whole))
    assert unknown.num_leaked is None


def test_a_probe_without_leaked_pictures_is_judged_by_the_others(
    tmp_path: Path,
):
    """The same classifiers, judged by fewer pictures."""
    for part, seeds in (("test", range(40)), ("train", range(100, 124))):
        for seed in seeds:
            path = tmp_path / "scans" / part / "ab"[seed % 2] / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(saved(levels(seed)))
    dataset = set_of(tmp_path, {}).model_copy(update={"train": Folders(folder="train")})
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")
    encoder = Encoder.open(store.open("encoder", "tiny"))
    config = ProbeConfig(shares=(0.5, 1.0), num_seeds=2, num_resamples=5)
    gone = frozenset(f"test/{'ab'[seed % 2]}/{seed}.png" for seed in range(13))
    found = probe(encoder, dataset, str(tmp_path), config, leaked=gone)
    for name in gone:
        (tmp_path / "scans" / name).unlink()
    expected = probe(encoder, dataset, str(tmp_path), config)
    assert found.num_leaked == 13
    for ours, theirs in zip(found.shares, expected.shares, strict=True):
        assert ours.unleaked == pytest.approx(theirs.values)
        assert ours.values != pytest.approx(theirs.values), "a case that could go wrong"


def test_test_pictures_that_the_training_part_has_as_well_are_counted_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Of forty, two are there as the very file and one as a small JPEG; a probe has seen them."""
    data, store = tmp_path / "data", Store(tmp_path / "store")
    for part, seeds in (("test", range(40)), ("train", range(100, 124))):
        for seed in seeds:
            path = data / "scans" / part / "ab"[seed % 2] / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(saved(levels(seed)))
    copies = {"x.png": saved(levels(6)), "y.png": saved(levels(8))}
    copies["z.jpg"] = saved(levels(20).resize((113, 100)), "JPEG", quality=60)
    for name, picture in copies.items():
        (data / "scans" / "train" / "a" / name).write_bytes(picture)
    dataset = set_of(data, {}).model_copy(update={"train": Folders(folder="train")})
    (data / "scans" / "dataset.json").write_text(dataset.to_json())
    publish_tiny_encoder(store, "tiny")
    job = ProbeJob(store=store.url, encoder="tiny", data=str(data), num_resamples=5, num_seeds=1)
    job = job.with_overrides({"shares": (1.0,), "version": "v"})
    main(job)
    (found,) = json.loads(store.open("evaluation", "v").read("probe.json"))["tiny"]
    assert (found["num_repeated"], found["num_leaked"]) == (3, None)
    assert "| repeated |" in capsys.readouterr().out
    for seed in (6, 8, 20):
        (data / "scans" / "test" / "ab"[seed % 2] / f"{seed}.png").unlink()
    encoder = Encoder.open(store.open("encoder", "tiny"))
    expected = probe(encoder, dataset, str(data), job.part(ProbeConfig))
    assert expected.num_repeated == 0
    for ours, theirs in zip(found["shares"], expected.shares, strict=True):
        assert ours["unleaked"] == pytest.approx(theirs.values)
        assert ours["values"] != pytest.approx(theirs.values), "a case that could go wrong"
    assert {one.num_repeated for one in of_probe(expected, of="tiny")} == {0}


def test_every_picture_is_decoded_once_for_all_that_is_asked_of_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store, data = Store(tmp_path / "store"), tmp_path / "data"
    dataset = set_of(data, {f"{seed}": saved(levels(seed)) for seed in range(6)})
    for seed in range(6):
        path = data / "scans" / "train" / "ab"[seed % 2] / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(saved(levels(300 + seed)))
    dataset = dataset.model_copy(update={"train": Folders(folder="train")})
    (data / "scans" / "dataset.json").write_text(dataset.to_json())
    (data / "said").mkdir()
    (data / "said" / "said.png").write_bytes(saved(levels(50)))
    (data / "said" / "captions.csv").write_text("image,caption\nsaid.png,no 50\n")
    publish_pairs(store, "p", LEARNED)
    publish_tiny_encoder(store, "mine", inputs=("pairs@p",))
    decoded: list[str] = []

    def counted(picture: bytes) -> Image.Image:
        decoded.append(hashlib.sha256(picture).hexdigest())
        return decode(picture)

    monkeypatch.setattr("figclip.evaluation.datasets.pictures.decode", counted)
    pictures = [path.read_bytes() for path in data.rglob("*.png")]
    expected = sorted(hashlib.sha256(one).hexdigest() for one in pictures)
    whole = AllJob(store=store.url, encoder="mine", data=str(data)).with_overrides(QUICK)
    report = store.open("evaluation", main(whole).version).read("report.json")
    assert {one.num_leaked for one in EvaluationReport.from_json(report).measures} == {6, 0}
    assert sorted(decoded) == expected
    for kind in (ZeroShotJob, ProbeJob):
        decoded.clear()
        one = kind(store=store.url, encoder="mine", data=str(data), version=kind.__name__)
        main(one.with_overrides({"num_resamples": 20}))
        parts = ("test", "train") if kind is ProbeJob else ("test",)
        asked = [path for part in parts for path in (data / "scans" / part).rglob("*.png")]
        assert sorted(decoded) == sorted(hashlib.sha256(p.read_bytes()).hexdigest() for p in asked)


def test_recall_without_leaked_pictures_asks_the_others_among_all():
    images, texts = unit_vectors(30, 8), unit_vectors(30, 8) + 1.5 * unit_vectors(30, 8, seed=1)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    names = tuple(f"{n}.png" for n in range(30))
    found = CaptionedSet("s", images, texts, 0, 0, "c", names)
    gone = {f"{n}.png" for n in range(0, 30, 4)}
    measures = {
        one.measure: one
        for one in of_retrieval(found, of="e", encoder="e", num_resamples=5, leaked=gone)
    }
    scores = images.astype(float) @ texts.T.astype(float)
    asked = [n for n in range(30) if n % 4]
    hits = [n in np.argsort(-scores[n])[:5] for n in asked]
    one = measures["image → text @5"]
    assert (one.num_leaked, one.unleaked) == (8, pytest.approx(sum(hits) / len(hits)))
    assert one.unleaked != pytest.approx(one.value)


def test_the_pairs_of_a_published_encoder_are_those_of_its_manifest(tmp_path: Path):
    store = Store(tmp_path / "store")
    publish_pairs(store, "p", LEARNED)
    publish_pairs(store, "q", LEARNED[:2])
    publish_tiny_encoder(store, "mine", inputs=("pairs@p", "pairs@q"))
    publish_tiny_encoder(store, "lost", inputs=("pairs@gone",))
    publish_tiny_encoder(store, "alone")
    encoders = ("mine", "lost", "alone", "OWNER/NAME")
    found = learned_by(store, encoders, ())
    assert found["mine"] == Learned(("p", "q"))
    assert found["mine"].in_words == "compared with pairs@p and pairs@q"
    assert not any(found[name].pairs for name in encoders[1:])
    assert "gone" in found["lost"].unknown
    assert "name them with --trained-on" in found["alone"].in_words
    assert "not trained here" in found["OWNER/NAME"].in_words
    named = learned_by(store, ("OWNER/NAME", "mine", "alone"), ("q",))
    assert [one.pairs for one in named.values()] == [("q",), ("p", "q"), ()]
    with pytest.raises(UsageError, match="pairs@none"):
        learned_by(store, ("OWNER/NAME",), ("none",))

    def never() -> dict[str, Marks]:
        raise AssertionError("nothing to compare with, nothing to read")

    assert Leaks(store, {"x": replace(found["alone"])}).of("x", never) is None


def test_pairs_that_lack_fingerprints_are_named_and_by_provenance_left_alone(tmp_path: Path):
    store = Store(tmp_path / "store")
    with store.publishing("pairs", "old", config={}) as publication:
        path = Path(publication.folder.path, "train", "00000.parquet")
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"pair_id": ["a"], "image_sha256": ["b"]}), path)
    publish_tiny_encoder(store, "mine", inputs=("pairs@old",))
    assert "lacks image_fingerprint" in learned_by(store, ("mine",), ())["mine"].in_words
    with pytest.raises(UsageError, match="lacks image_fingerprint: an older version wrote it"):
        learned_by(store, ("mine",), ("old",))


def test_leaked_pictures_stand_beside_every_number_of_a_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    store, data = Store(tmp_path / "store"), tmp_path / "data"
    pictures = {f"{seed}": saved(levels(seed + 3)) for seed in range(12)}
    dataset = set_of(data, pictures).model_copy(update={"train": Folders(folder="train")})
    for seed in range(8):
        path = data / "scans" / "train" / "ab"[seed % 2] / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(saved(levels(300 + seed)))
    (data / "scans" / "dataset.json").write_text(dataset.to_json())
    lines = ["image,caption", *(f"../scans/test/{'ab'[n % 2]}/{n}.png,no {n}" for n in range(12))]
    (data / "said").mkdir()
    (data / "said" / "captions.csv").write_text("\n".join(lines))
    publish_pairs(store, "p", LEARNED)  # seeds 0 to 6, of which 3 to 6 are judged by
    publish_tiny_encoder(store, "mine", inputs=("pairs@p",))
    vectors = unit_vectors(8, 16)
    publish_tiny_embeddings(store, "e", "p", vectors, vectors, encoder="mine")
    other = str(tmp_path / "store" / "encoder" / "mine")
    assert [one.name for one in sets_in(str(data))] == ["scans"]

    job = AllJob(store=store.url, encoder="mine", beside=(other,), data=str(data), embeddings="e")
    manifest = main(job.with_overrides(QUICK))
    said = capsys.readouterr().out
    folder = store.open("evaluation", manifest.version)
    report = EvaluationReport.from_json(folder.read("report.json"))
    mine = [one for one in report.measures if one.of == "mine"]
    assert {(one.task, one.set) for one in mine} == {
        ("retrieval", "said"),
        ("retrieval", "p, test"),
        ("zero_shot", "Scans"),
        ("probe", "Scans"),
    }
    assert {one.num_leaked for one in mine if one.set != "p, test"} == {4}
    assert {one.num_leaked for one in mine if one.set == "p, test"} == {0}
    assert all(one.unleaked is not None for one in mine if one.set != "p, test")
    assert {one.num_leaked for one in report.measures if one.of == other} == {None}
    assert report.compared_with["mine"] == "compared with pairs@p"
    assert "not trained here" in report.compared_with[other]
    assert "pairs@p" in manifest.inputs
    for text in (said, folder.read("index.html").decode()):
        assert "† The encoder has learned from some of these pictures" in text
        assert "not compared with what it has learned from" in text

    for kind, file in ((ZeroShotJob, "zero_shot"), (ProbeJob, "probe")):
        one = kind(store=store.url, encoder=other, data=str(data), trained_on=("p",), version=file)
        told = main(one.with_overrides({"num_resamples": 20}))
        assert f"- {other}: compared with pairs@p" in capsys.readouterr().out
        found = store.open("evaluation", told.version).read(f"{file}.json").decode()
        assert '"num_leaked": 4' in found
        assert "pairs@p" in told.inputs


@pytest.mark.parametrize("num_pairs", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_training_pairs_pass_by_in_bounded_memory(
    num_pairs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import tracemalloc

    store, per_file = Store(tmp_path), num_pairs // 5
    planted = np.random.default_rng(99).integers(0, 256, (3, 32), dtype=np.uint8)
    with store.publishing("pairs", "p", config={}) as publication:
        (Path(publication.folder.path) / "train").mkdir(parents=True)
        for number in range(5):
            prints = np.random.default_rng(number).integers(0, 256, (per_file, 32), dtype=np.uint8)
            prints[7:10] = planted
            files = [f"{number * per_file + n:064x}" for n in range(per_file)]
            table = pa.table(
                {
                    "image_sha256": files,
                    "image_fingerprint": pa.array([one.tobytes() for one in prints], pa.binary(32)),
                }
            )
            pq.write_table(table, Path(publication.folder.path, "train", f"{number:05d}.parquet"))
            del table, files, prints
    if num_pairs < 10**6:
        monkeypatch.setattr(leakage, "ROWS_AT_ONCE", 4_096)
    ours = [*(one.tobytes() for one in planted), *(n.to_bytes(32) for n in range(1, 501))]
    files = [""] * 502 + [f"{num_pairs - 1:064x}"]
    tracemalloc.start()
    found = leaked(some_marks(ours, files), [store.open("pairs", "p")])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.flatnonzero(found).tolist() == [0, 1, 2, 502]
    assert peak < 600 * leakage.ROWS_AT_ONCE + 20 * 2**20
