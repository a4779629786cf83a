"""The whole proxy analysis on drawn radiographs: shut off, judged by a plain walk, and silent."""

import hashlib
import io
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny import publish_tiny_embeddings, publish_tiny_encoder, publish_tiny_pairs, unit_vectors

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.embedding.vectors import read_embeddings, read_table, split_files
from figclip.evaluation.measures import EvaluationReport
from figclip.evaluation.proxy.analysis import ProxyConfig, ProxyResult, analysed
from figclip.evaluation.proxy.findings import FINDINGS, positive
from figclip.evaluation.proxy.private import private_in
from figclip.evaluation.proxy.proxy_report import PLOTTED
from figclip.evaluation.proxy.rules import Rules
from figclip.evaluation.proxy.stand_in import write_ward
from figclip.pictures.fingerprint import fingerprint
from figclip.schema import PAIR_SCHEMA, SPLITS
from figclip.store import Store
from jobs.evaluate import AllJob, ProxyJob, main

N, DIM = 60, 16
CANARY = "CANARY-Erika-Mustermann-1964"
QUICK = {"num_candidates": 40, "share_kept": 0.5, "num_resamples": 50}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Pairs, an encoder, and vectors that are none of its."""
    store = Store(tmp_path / "store")
    publish_tiny_pairs(store, "p", N)
    publish_tiny_encoder(store, "tiny")
    images, texts = unit_vectors(N, DIM), unit_vectors(N, DIM, seed=1)
    publish_tiny_embeddings(store, "e", "p", images, texts, encoder="tiny")
    return store


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A ward; every name of a picture and every picture's own bytes have the canary."""
    data = tmp_path / "private"
    write_ward(data, num=12, num_seeds=5)
    images = data / "ward_drawn" / "images"
    for path in images.glob("patient*.png"):
        path.rename(path.with_name(path.name.replace("patient", CANARY)))
    table = data / "ward_drawn" / "labels.csv"
    table.write_text(table.read_text().replace("patient", CANARY))
    return data


def like_the_ward(store: Store, data: Path) -> None:
    """`embeddings/near`: figures as far from the private pictures as these from each other."""
    images = sorted((data / "ward_drawn" / "images").glob(f"{CANARY}*"))
    encoder = Encoder.open(store.open("encoder", "tiny"))
    mine = encoder.encode_images([Image.open(path) for path in images])
    noise = unit_vectors(N, DIM, seed=2) * np.linalg.norm(mine - mine.mean(axis=0), axis=1).mean()
    figures = mine[np.arange(N) % len(mine)] + noise
    figures /= np.linalg.norm(figures, axis=1, keepdims=True)
    texts = unit_vectors(N, DIM, seed=1)
    publish_tiny_embeddings(store, "near", "p", figures, texts, encoder="tiny")


def walked(store: Store, data: Path) -> np.ndarray:
    """Findings of the nearest figures' captions, step by step by loops in fp64."""
    root = data / "ward_drawn"
    encoder = Encoder.open(store.open("encoder", "tiny"))
    seeds = encoder.encode_images([Image.open(p) for p in sorted((root / "seeds").iterdir())])
    names = [line.split(",")[0] for line in (root / "labels.csv").read_text().splitlines()[1:-1]]
    mine = encoder.encode_images([Image.open(root / "images" / name) for name in names])
    parts = [read_embeddings(store, "near", split) for split in SPLITS]
    images = np.concatenate([part.images for part in parts]).astype(np.float64)
    texts = np.concatenate([part.texts for part in parts]).astype(np.float64)
    pairs = store.open("pairs", "p")
    captions = [
        caption
        for name in split_files(pairs, SPLITS)
        for caption in read_table(pairs, name)["caption"].to_pylist()
    ]
    near = sorted(range(N), key=lambda n: -max(float(images[n] @ one) for one in seeds))[:40]
    kept = sorted(near, key=lambda n: -float(images[n] @ texts[n]))[:20]
    found = [max(kept, key=lambda n: float(images[n] @ one)) for one in mine]
    return positive(Rules().label([captions[n] for n in found]))


def speaking(store: Store) -> None:
    """Captions of the pairs that tell findings, put in place of those of shapes."""
    folder = store.folder("pairs", "p")
    said = ("The heart is enlarged.", "A pacemaker and an opacity.", "No opacity.")
    manifest = json.loads(folder.read("_manifest.json"))
    for name in split_files(folder, SPLITS):
        table = read_table(folder, name)
        texts = [said[n % 3] for n in range(table.num_rows)]
        at = table.schema.get_field_index("caption")
        table = table.set_column(at, table.schema.field(at), pa.array(texts))
        pq.write_table(table, (folder / name).path)
        manifest["files"][name] = folder.files()[name]
    folder.write("_manifest.json", json.dumps(manifest).encode())


@pytest.mark.timeout(300)
def test_the_analysis_finds_what_a_plain_walk_finds_and_tells_nothing_of_any_picture(
    store: Store,
    data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    speaking(store)
    like_the_ward(store, data)
    caplog.set_level(logging.DEBUG)
    job = ProxyJob(store=store.url, embeddings="near", encoder="tiny", data=str(data))
    job = job.with_overrides(QUICK)
    manifest = main(job)
    folder = store.open("evaluation", manifest.version)
    (plain,) = json.loads(folder.read("proxy.json"))["near"]
    found = ProxyResult.from_json(json.dumps(plain))
    assert (found.num_figures, found.num_candidates, found.num_pool) == (N, 40, 20)
    assert (found.num_images, found.num_unreadable, found.unreadable_lines) == (12, 1, (14,))
    told = walked(store, data)
    hearts = np.arange(12) % 2 == 1
    hardware = np.arange(12) // 2 % 2 == 1
    truth = {"Cardiomegaly": hearts, "Support Devices": hardware, "Lung Opacity": np.ones(12, bool)}
    for place, (name, one) in enumerate(zip(FINDINGS, found.agreements, strict=False)):
        mine = truth.get(name, np.zeros(12, bool))
        assert (one.finding, one.num_true) == (name, mine.sum())
        assert one.num_told == told[:, place].sum()
        assert one.num_both == (told[:, place] & mine).sum()
        if name in truth:
            assert one.recall is not None
            assert one.recall.value == pytest.approx((told[:, place] & mine).sum() / mine.sum())
            assert one.recall.low <= one.recall.value <= one.recall.high
    assert found.num_distinct > 3
    assert len({tuple(row) for row in told.tolist()}) > 1

    out, err = capfd.readouterr()
    assert "captions read by rules" in out
    assert "88.80" in out
    assert "95.04" in out
    assert "all that left it are the numbers below" in out
    secrets = [CANARY.encode(), b"patient"]
    pictures = [p.read_bytes() for p in (data / "ward_drawn" / "images").iterdir()]
    secrets += [one[60:120] for one in pictures if len(one) > 200]
    written = [path.read_bytes() for path in Path(store.url).rglob("*") if path.is_file()]
    for text in (*written, out.encode(), err.encode(), caplog.text.encode()):
        assert not [secret for secret in secrets if secret in text]
    for name in PLOTTED:
        assert folder.read(f"ward_drawn{name}.png").startswith(b"\x89PNG")
    assert main(job) == manifest


@pytest.mark.timeout(300)
def test_private_pictures_are_looked_for_in_what_the_encoder_has_learned_from(
    store: Store, data: Path, capsys: pytest.CaptureFixture[str]
):
    """Two of twelve, one as the very file and one as a small JPEG, and no name comes out."""
    paths = sorted((data / "ward_drawn" / "images").glob(f"{CANARY}*"))
    again = io.BytesIO()
    with Image.open(paths[5]) as image:
        image.resize((80, 80)).save(again, "JPEG", quality=80)
    publish_learned(store, "q", [paths[2].read_bytes(), again.getvalue()])
    speaking(store)
    like_the_ward(store, data)
    job = ProxyJob(store=store.url, embeddings="near", data=str(data), trained_on=("q",))
    manifest = main(job.with_overrides(QUICK | {"version": "v"}))
    assert "pairs@q" in manifest.inputs
    (plain,) = json.loads(store.open("evaluation", "v").read("proxy.json"))["near"]
    assert plain["num_leaked"] == 2
    told, others = walked(store, data), np.isin(np.arange(12), [2, 5], invert=True)
    hearts = np.arange(12) % 2 == 1
    both = told[:, FINDINGS.index("Cardiomegaly")] & hearts
    expected = both[others].sum() / hearts[others].sum()
    assert plain["unleaked"]["recall: Cardiomegaly"] == pytest.approx(expected)
    said = capsys.readouterr().out
    assert "leaked | % without" in said
    assert "- tiny: compared with pairs@q" in said
    assert "Made by `python -m jobs.evaluate proxy" in said
    assert CANARY not in said + json.dumps(plain)

    whole = AllJob(store=store.url, encoder="tiny", data=str(data), embeddings="near")
    whole = whole.with_overrides({"parts": ("proxy",), "trained_on": ("q",), "version": "w"})
    quick = {f"proxy.{name}": value for name, value in QUICK.items()}
    folder = store.open("evaluation", main(whole.with_overrides(quick)).version)
    report = EvaluationReport.from_json(folder.read("report.json"))
    assert {one.task for one in report.measures} == {"proxy"}, "no other part was asked for"
    assert {one.num_leaked for one in report.measures} == {2}
    alone = {one.measure: one.unleaked for one in report.measures}
    assert alone["recall: Cardiomegaly"] == pytest.approx(expected)


def publish_learned(store: Store, version: str, pictures: list[bytes]) -> None:
    """Training pairs of these pictures."""
    rows = [
        dict.fromkeys(PAIR_SCHEMA.names)
        | {
            "pair_id": str(number),
            "split": "train",
            "image_sha256": hashlib.sha256(picture).hexdigest(),
            "image_fingerprint": fingerprint(Image.open(io.BytesIO(picture))),
        }
        for number, picture in enumerate(pictures)
    ]
    with store.publishing("pairs", version, config={}) as publication:
        path = Path(publication.folder.path, "train", "00000.parquet")
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, PAIR_SCHEMA), path)


@pytest.mark.timeout(200)
def test_private_pictures_are_not_read_for_a_store_elsewhere_or_another_encoder(
    store: Store, data: Path, monkeypatch: pytest.MonkeyPatch
):
    (ward,) = private_in(str(data))
    job = ProxyJob(store=store.url, embeddings="e", encoder="other", data=str(data))
    with pytest.raises(UsageError, match="of encoder tiny, not of other: name its own"):
        main(job)
    monkeypatch.setattr(store, "url", "s3://bucket/artifacts")
    with pytest.raises(UsageError, match="without a network: copy encoder, embeddings and pairs"):
        analysed(store, "e", ward, str(data), ProxyConfig())


@pytest.mark.timeout(200)
def test_faults_of_the_set_come_out_of_the_secluded_process_without_its_names(
    store: Store, data: Path
):
    (ward,) = private_in(str(data))
    table = data / "ward_drawn" / "labels.csv"
    table.write_text(table.read_text().replace("-1.0", "often", 1))
    with pytest.raises(UsageError, match=r"line 2 of labels\.csv has a value for Edema") as raised:
        analysed(store, "e", ward, str(data), ProxyConfig())
    assert CANARY not in str(raised.value)


@pytest.mark.timeout(300)
def test_the_whole_evaluation_has_the_proxies_beside_its_other_parts(store: Store, data: Path):
    job = AllJob(
        store=store.url, encoder="tiny", data=str(data), embeddings="e", sets=("ward_drawn",)
    )
    job = job.with_overrides(
        {
            "parts": ("proxy",),
            "zero_shot.num_resamples": 10,
            **{f"proxy.{name}": value for name, value in QUICK.items()},
        }
    )
    folder = store.open("evaluation", main(job).version)
    report = EvaluationReport.from_json(folder.read("report.json"))
    mine = [one for one in report.measures if one.task == "proxy"]
    assert {one.set for one in mine} == {"Ward (drawn), labels by rules"}
    assert {one.measure for one in mine if one.is_main} == {
        "recall: Lung Opacity",
        "recall: mean",
        "F1: mean",
    }
    assert {one.measure: one.paper for one in mine}["recall: Lung Opacity"] == 0.888
    assert all(one.low <= one.value <= one.high for one in mine)
    assert "## Public figures in place of private pictures" in folder.read("report.md").decode()
