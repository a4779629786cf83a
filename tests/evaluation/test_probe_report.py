"""The artifact of linear probing, by a small encoder on drawn pictures."""

import json
from pathlib import Path

import pytest
from tiny import publish_tiny_encoder

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.drawn import write_kinds
from figclip.evaluation.datasets.opening import opened, sets_in
from figclip.evaluation.datasets.published import LC25000_LUNG, PAPER
from figclip.evaluation.datasets.stand_ins import write_stand_ins
from figclip.evaluation.embedded import seeing
from figclip.evaluation.measures import of_probe
from figclip.evaluation.probe_report import ProbeConfig, probe
from figclip.store import Store
from jobs.evaluate import ProbeJob, main


def test_a_probe_learns_from_the_training_part_of_every_set_that_has_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    store, data = Store(tmp_path / "store"), tmp_path / "data"
    publish_tiny_encoder(store, "tiny")
    write_stand_ins(data, num_per_class=6)
    job = ProbeJob(
        store=store.url,
        encoder="tiny",
        data=str(data),
        shares=(0.1, 1.0),
        num_seeds=2,
        num_resamples=20,
    )
    manifest = main(job)
    said = capsys.readouterr().out
    assert "PCam (drawn), 10 %: accuracy (%)" in said
    assert "TCGA-TIL (drawn), 100 %: AUROC (%)" in said
    numbers = json.loads(store.open("evaluation", manifest.version).read("probe.json"))["tiny"]
    by_name = {one["set"]["name"]: one for one in numbers}
    assert {*by_name} == {"pcam_drawn", "tcga_til_drawn", "rsna_drawn"}
    pcam = by_name["pcam_drawn"]
    assert pcam["train"]["num_images"] == pcam["test"]["num_images"] == 12
    assert pcam["train"]["checksum"] != pcam["test"]["checksum"]
    assert [fit["num_train"] for fit in pcam["shares"][0]["fits"]] == [2, 2]
    assert [fit["num_train"] for fit in pcam["shares"][1]["fits"]] == [12, 12]
    whole = pcam["shares"][1]
    name = "probe_pcam_drawn_at_1"
    assert manifest.counts["tiny"][name] == whole["values"]["accuracy"]
    low, high = whole["intervals"]["accuracy"]
    assert low <= whole["values"]["accuracy"] <= high

    assert main(job) == manifest
    with pytest.raises(UsageError, match=r"Lung.*declares no part to learn from"):
        main(job.with_overrides({"sets": ("lc25000_lung_drawn",), "version": "lung"}))


def test_pictures_that_cannot_be_read_are_counted_in_both_parts_and_left_out(tmp_path: Path):
    store, data = Store(tmp_path / "store"), tmp_path / "data"
    publish_tiny_encoder(store, "tiny")
    write_stand_ins(data, num_per_class=4)
    (til,) = sets_in(str(data), ["tcga_til_drawn"])
    for part, num in (("train", 2), ("test", 1)):
        folder = data / "tcga_til" / "TCGA-TILs" / "images-tcga-tils" / "luad" / part
        for path in sorted((folder / "til-negative").iterdir())[:num]:
            path.write_bytes(path.read_bytes()[:50])
    encoder = Encoder.open(store.open("encoder", "tiny"))
    config = ProbeConfig(shares=(1.0,), num_seeds=1, num_resamples=5)
    found = probe(encoder, til, str(data), config)
    assert (found.train.num_unreadable, found.test.num_unreadable) == (2, 1)
    assert (len(found.train.labels), len(found.test.labels)) == (18, 19)
    (one, *_) = of_probe(found, of="tiny")
    assert (one.n, one.num_unreadable) == (19, 3)


def test_no_radiograph_is_learned_from_that_is_judged_by(tmp_path: Path):
    write_stand_ins(tmp_path, num_per_class=4)
    (rsna,) = sets_in(str(tmp_path), ["rsna_drawn"])
    with opened(rsna, str(tmp_path)) as test, opened(rsna.training, str(tmp_path)) as train:
        assert not {*test.names} & {*train.names}
        assert len(train.names) > 3 * len(test.names)


def test_of_the_papers_sets_all_but_one_archive_have_a_part_to_learn_from():
    assert [one.name for one in PAPER if one.train is None] == ["lc25000_lung", "lc25000_colon"]
    with pytest.raises(UsageError, match="declares no part"):
        assert LC25000_LUNG.training


def test_every_method_of_learning_has_its_columns_in_the_same_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    store, data = Store(tmp_path / "store"), tmp_path / "data"
    publish_tiny_encoder(store, "tiny")
    write_kinds(data, num_per_class=2)
    methods = ("lbfgs", "sgd", "fine_tune")
    job = ProbeJob(
        store=store.url,
        encoder="tiny",
        data=str(data),
        methods=methods,
        shares=(1.0,),
        num_seeds=1,
        num_resamples=20,
    ).with_overrides({"tune.num_epochs": 2})
    manifest = main(job)
    said = capsys.readouterr().out
    for words in ("100 %: accuracy", "100 %, SGD: accuracy", "100 %, fine-tuned: accuracy"):
        assert f"drawn kinds, {words} (%)" in said
    assert "weight decay" in said
    numbers = json.loads(store.open("evaluation", manifest.version).read("probe.json"))["tiny"]
    shares = numbers[0]["shares"]
    assert tuple(one["method"] for one in shares) == methods
    assert [*shares[1]["fits"][0]["settings"]] == ["lr", "weight decay"]
    assert {*manifest.counts["tiny"]} == {
        f"{name}_drawn_kinds_at_1" for name in ("probe", "sgd", "fine_tune")
    }
    (kinds,) = sets_in(str(data))
    measures = of_probe(
        probe(Encoder.open(store.open("encoder", "tiny")), kinds, str(data), job.part(ProbeConfig)),
        of="tiny",
    )
    names = [one.measure for one in measures if one.is_main]
    assert names == ["accuracy at 100 %", "accuracy at 100 %, SGD", "accuracy at 100 %, fine-tuned"]


def test_pictures_that_are_asked_for_twice_are_embedded_once(tmp_path: Path):
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")
    write_kinds(tmp_path / "data", num_per_class=1)
    (kinds,) = sets_in(str(tmp_path / "data"))
    encoder = Encoder.open(store.open("encoder", "tiny"))
    asked = []
    encode = encoder.encode_images
    encoder.encode_images = lambda images, **words: asked.append(len(images)) or encode(images)
    see = seeing(encoder, str(tmp_path / "data"), batch_size=64)
    first, train = see(kinds), see(kinds.training)
    assert see(kinds) is first
    assert see(kinds.training) is train
    assert first.checksum != train.checksum
    assert asked == [13, 13]
