"""The whole evaluation in one command, by small encoders of random weights on drawn sets."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_models import OfOpenClip
from test_zero_shot_report import result as zero_shot_result
from tiny import publish_tiny_embeddings, publish_tiny_encoder, publish_tiny_pairs, unit_vectors

from figclip.config import UsageError, config_from_args
from figclip.embedding.encoder import Encoder, TextEmbeddings
from figclip.evaluation.beside import held_out, pairs_of
from figclip.evaluation.datasets.captioned import (
    captioned_in,
    embed_captioned,
    write_captions,
)
from figclip.evaluation.datasets.published import PCAM
from figclip.evaluation.datasets.stand_ins import write_stand_ins
from figclip.evaluation.measures import (
    EvaluationReport,
    Measure,
    against,
    of_retrieval,
    of_zero_shot,
)
from figclip.evaluation.retrieval import recall
from figclip.evaluation.whole import WholeConfig, searched
from figclip.evaluation.whole_report import TITLES, limits, part_table, report_files
from figclip.store import Store
from jobs.evaluate import PRESETS, AllJob, main

QUICK = {
    "zero_shot.num_resamples": 20,
    "probe.num_resamples": 20,
    "probe.num_seeds": 2,
    "probe.shares": (0.1, 1.0),
}


def measure(value: float, **changed: object) -> Measure:
    known = {
        "task": "zero_shot",
        "set": "PCam",
        "measure": "accuracy",
        "of": "mine",
        "encoder": "mine@1",
        "value": value,
        "low": value - 0.05,
        "high": value + 0.05,
        "n": 400,
        "num_unreadable": 0,
        "checksum": "abc",
        "is_main": True,
    }
    return Measure(**(known | changed))  # type: ignore[arg-type]


def report(*measures: Measure, encoder: str = "mine") -> EvaluationReport:
    return EvaluationReport(command="c", encoder=encoder, revision="r", measures=measures)


@pytest.mark.parametrize(
    ("now", "expected"),
    [(0.71, "fell"), (0.76, "held"), (0.9, "held")],
)
def test_a_number_fell_where_it_lies_below_the_stored_interval(now: float, expected: str):
    found = against(report(measure(now)), report(measure(0.8)))
    assert [one.verdict for one in found] == [expected]


def test_other_pictures_prove_nothing_and_what_is_missing_is_told():
    stored = report(measure(0.8), measure(0.8, set="RSNA"), measure(0.8, measure="auroc"))
    now = report(measure(0.8), measure(0.1, set="RSNA", checksum="other"))
    assert [one.verdict for one in against(now, stored)] == ["held", "other data", "not measured"]
    with pytest.raises(UsageError, match="no number that was measured here by the same pictures"):
        against(report(measure(0.1, checksum="other")), stored)


def test_a_later_encoder_is_held_against_an_earlier_one_and_others_beside_are_left_alone():
    stored = report(measure(0.8, of="v1"), measure(0.9, of="beside"), encoder="v1")
    now = report(measure(0.7, of="v2"), measure(0.1, of="beside"), encoder="v2")
    assert [(one.stored.of, one.verdict) for one in against(now, stored)] == [("v1", "fell")]


def test_the_page_loads_nothing_and_says_what_fell():
    now, stored = report(measure(0.7)), report(measure(0.8))
    files = report_files(now, against(now, stored))
    page = files["index.html"].decode()
    assert "http" not in page.replace("http-equiv", "")
    assert "1 of 1 numbers fell below the stored interval: PCam, accuracy." in page
    assert "65.00 … 75.00" in page
    assert EvaluationReport.from_json(files["report.json"]) == now
    assert files == report_files(now, against(now, stored))


def test_the_answer_comes_first_then_the_parts_in_the_papers_order_and_what_fell():
    tasks = ("proxy", "vqa", "retrieval", "probe", "zero_shot")
    now = report(*(measure(0.5, task=one) for one in tasks), measure(0.1, set="RSNA"))
    stored = report(*(measure(0.5, task=one) for one in tasks), measure(0.8, set="RSNA"))
    files = report_files(now, against(now, stored))
    page = files["index.html"].decode()
    titles = [page.index(f"<h2>{TITLES[one]}</h2>") for one in TITLES]
    assert titles == sorted(titles)
    assert page.index("1 of 6 numbers fell") < page.index("<table>")
    against_it = page[page.index("Against the stored report") :]
    assert against_it.index("fell</td>") < against_it.index("held</td>")
    table = files["report.md"].decode().partition("## Against the stored report")[2]
    assert "RSNA" in table.splitlines()[4]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [((0.0, 0.0), (-2, 4)), ((1.0, 1.0), (96, 102)), ((0.2, 0.6), (16, 64)), ((0, 1), (-2, 102))],
)
def test_an_axis_holds_all_intervals_and_not_what_cannot_be(
    ends: tuple[float, float], expected: tuple[float, float]
):
    shown = [measure(0.5, low=ends[0], high=ends[0]), measure(0.5, low=ends[1], high=ends[1])]
    assert limits(shown) == pytest.approx(expected)


def test_the_papers_number_stands_below_ours_where_the_set_is_its_own():
    found = report(measure(0.8, paper=0.7341), measure(0.5, set="My own"))
    lines = report_files(found)["report.md"].decode().splitlines()
    assert any(
        "BiomedCLIP (the paper's) |          73.41 |                –" in one for one in lines
    )
    many = report(*(measure(0.1 * n, set=f"S{n}", of=of) for n in range(6) for of in ("a", "b")))
    wide = part_table("zero_shot", report(*(one for one in many.measures if one.set != "S5")))
    turned = part_table("zero_shot", many)
    assert [row[0] for row in wide.rows] == ["Zero-shot classification", "a", "b"]
    assert turned.rows[0] == ["Zero-shot classification", "a", "b"]
    assert turned.rows[3] == ["S2, accuracy", "20.00", "20.00"]
    result = zero_shot_result(PCAM, 0.5)
    assert [one.paper for one in of_zero_shot(result, of="mine")] == [0.7341]
    drawn = PCAM.model_copy(update={"title": "PCam (drawn)"})
    assert [one.paper for one in of_zero_shot(zero_shot_result(drawn, 0.5), of="mine")] == [None]


def test_embedded_pairs_are_searched_as_the_job_of_retrieval_searches_them(tmp_path: Path):
    store = Store(tmp_path)
    publish_tiny_pairs(store, "tiny", 40)
    images = unit_vectors(40, 8)
    texts = images + 0.5 * unit_vectors(40, 8, seed=1)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    publish_tiny_embeddings(store, "tiny", "tiny", images, texts, encoder="mine")
    held = held_out(store, "tiny", pairs_of(store, "tiny"), "test")
    expected = recall(held.images, held.texts)
    config = WholeConfig().with_overrides(QUICK)
    found = searched(store, "mine", "tiny", config)
    values = {one.measure: one.value for one in found}
    for k in (1, 5, 10):
        assert values[f"text → image @{k}"] == pytest.approx(expected.text_to_image.expected[k])
        assert values[f"image → text @{k}"] == pytest.approx(expected.image_to_text.expected[k])
    assert {one.n for one in found} == {expected.num_pairs}
    with pytest.raises(UsageError, match="name its own"):
        searched(store, "other", "tiny", config)


def test_captions_are_searched_as_their_encoder_sees_them_and_a_broken_picture_is_counted(
    tmp_path: Path,
):
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")
    encoder = Encoder.open(store.open("encoder", "tiny"))
    write_captions(tmp_path, num=6)
    assert captioned_in(str(tmp_path)) == ("drawn_captions",)
    root = tmp_path / "drawn_captions"
    (root / "0002.png").write_bytes(b"cut")
    found = embed_captioned(encoder, str(tmp_path), "drawn_captions", batch_size=4)
    assert found.num_unreadable == 1
    kept = [number for number in range(6) if number != 2]
    expected = encoder.encode_images([(root / f"{n:04d}.png").read_bytes() for n in kept])
    np.testing.assert_allclose(found.images, expected, atol=1e-5)
    assert len(found.texts) == 5


class Deaf(Encoder):
    """An encoder that gives no numbers for the one side or the other."""

    broken = "images"

    def encode_images(self, images: Any, *, batch_size: int = 64) -> np.ndarray:
        found = super().encode_images(images, batch_size=batch_size)
        return np.where(self.broken == "images", np.nan, found).astype(np.float32)

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 64) -> TextEmbeddings:
        found = super().encode_texts(texts, batch_size=batch_size)
        vectors = np.where(self.broken == "texts", np.nan, found.vectors).astype(np.float32)
        return replace(found, vectors=vectors)


@pytest.mark.parametrize(("broken", "words"), [("images", r"0001\.png"), ("texts", "drawn words")])
def test_an_encoder_without_numbers_for_a_picture_or_a_caption_is_named_with_it(
    broken: str, words: str, tmp_path: Path
):
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")
    write_captions(tmp_path, num=2)
    (tmp_path / "drawn_captions" / "captions.csv").write_text(
        "image,caption\n0001.png,drawn words\n0000.png,others\n"
    )
    encoder = Deaf.open(store.open("encoder", "tiny"))
    encoder.broken = broken
    with pytest.raises(UsageError, match=f"encoder@tiny gives no finite numbers for '{words}'"):
        embed_captioned(encoder, str(tmp_path), "drawn_captions", batch_size=2)


def test_captions_beyond_the_context_are_counted_beside_the_number(tmp_path: Path):
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")  # whose context is 24 tokens
    write_captions(tmp_path, num=4)
    lines = [f"{n:04d}.png,{'blue ' * (30 if n % 2 else 3)}" for n in range(4)]
    (tmp_path / "drawn_captions" / "captions.csv").write_text("\n".join(["image,caption", *lines]))
    encoder = Encoder.open(store.open("encoder", "tiny"))
    found = embed_captioned(encoder, str(tmp_path), "drawn_captions", batch_size=3)
    measures = [*of_retrieval(found, of="tiny", encoder="tiny", num_resamples=5)]
    assert {one.num_cut for one in measures} == {2}
    text = report_files(report(*measures, encoder="tiny"))["report.md"].decode()
    assert "cut texts" in text


def test_a_table_of_captions_that_is_none_says_what_it_lacks(tmp_path: Path):
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")
    encoder = Encoder.open(store.open("encoder", "tiny"))
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / "captions.csv"
    path.write_text("picture,caption\na.png,words\n")
    with pytest.raises(UsageError, match=r"captions\.csv has no column image"):
        embed_captioned(encoder, str(tmp_path), "mine", batch_size=2)
    path.write_text("image,caption\nnone.png,words\n")
    with pytest.raises(UsageError, match="none of its 1 pictures can be read"):
        embed_captioned(encoder, str(tmp_path), "mine", batch_size=2)


def test_one_command_measures_all_parts_beside_other_encoders_and_tells_a_fall(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    store, data = Store(tmp_path / "store"), tmp_path / "data"
    publish_tiny_encoder(store, "tiny")
    OfOpenClip(tmp_path / "openai")
    write_stand_ins(data, num_per_class=4)
    write_captions(data, num=8)
    beside = (str(tmp_path / "openai"), str(tmp_path / "store" / "encoder" / "tiny"))
    job = AllJob(store=store.url, encoder="tiny", beside=beside, data=str(data)).with_overrides(
        {"sets": ("pcam_drawn", "lc25000_colon_drawn", "drawn_captions"), **QUICK}
    )
    manifest = main(job)
    said = capsys.readouterr().out
    for title in ("Cross-modal retrieval", "Zero-shot classification", "Probing"):
        assert f"## {title}" in said
    folder = store.open("evaluation", manifest.version)
    found = EvaluationReport.from_json(folder.read("report.json"))
    assert {(one.task, one.set) for one in found.measures} == {
        ("retrieval", "drawn_captions"),
        ("zero_shot", "PCam (drawn)"),
        ("zero_shot", "LC25000 (Colon) (drawn)"),
        ("probe", "PCam (drawn)"),
    }
    values: dict[str, list[float]] = {}
    for one in found.measures:
        assert one.low <= one.value <= one.high
        assert one.n >= 8
        assert len(one.checksum) in (64, 129)
        values.setdefault(one.of, []).append(one.value)
    assert {*values} == {"tiny", *beside}
    assert values["tiny"] == values[beside[1]], "the same weights by another name"
    assert found.command in folder.read("index.html").decode().replace("&#39;", "'")
    again = config_from_args(PRESETS, shlex.split(found.command)[3:], "evaluate")
    assert again == job

    raised = json.loads(folder.read("report.json"))
    for one in raised["measures"]:
        one["low"] = 0.0
    (tmp_path / "same.json").write_text(json.dumps(raised))
    alone = job.with_overrides({"beside": (), "version": "again"})
    assert main(alone.with_overrides({"against": str(tmp_path / "same.json")}))
    for one in raised["measures"]:
        one["low"] = one["high"] = one["value"] = 1.01
    (tmp_path / "better.json").write_text(json.dumps(raised))
    fallen = alone.with_overrides({"against": str(tmp_path / "better.json"), "version": "fallen"})
    with pytest.raises(SystemExit) as left:
        main(fallen)
    assert left.value.code == 1
    assert "fell below the stored interval" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(fallen)  # published already, and no better for that
    with pytest.raises(UsageError, match=r"name a report\.json"):
        main(alone.with_overrides({"against": str(tmp_path / "none.json")}))
