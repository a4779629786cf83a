"""What `jobs.sweep` refuses before it starts anything, and what `jobs.pretrain best-of:` finds."""

from pathlib import Path
from typing import Any

import pytest
import sweeps

from figclip.config import UsageError
from figclip.evaluation.datasets.drawn import KIND_SET, write_kinds
from figclip.inputs.corpora import CorpusShare
from figclip.store import Store
from jobs.pretrain import BEST_FILE, PRESETS, presets_for
from jobs.sweep import ending, main, refuse_emptiness
from jobs.sweep_question import SweepJob


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"budget": "huge"}, r"no budget 'huge'.*tiny, paper"),
        ({"space": "batch_sizes"}, r"no question 'batch_sizes'.*batch_size"),
        ({"base": "tinny"}, r"no base 'tinny'.*tiny"),
        ({"cost": 3.0}, r"--price-per-hour"),
        ({"storage": "postgresql://u:secret@127.0.0.1:1/x"}, r"127\.0\.0\.1:1/x.*no trial"),
        ({"storage": "mysql://x"}, r"no storage of sweeps"),
        ({"data": "/nowhere"}, r"/nowhere holds no set of labelled pictures.*pcam/"),
        ({"sets": ("pcam",)}, r"name it with --data"),
    ],
)
def test_what_a_person_can_mend_is_said_before_anything_starts(
    said: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def started(_: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("jobs.sweep.joined_ray", started)
    with pytest.raises(UsageError, match=words):
        main(SweepJob(**{"space": "batch_size", "store": str(tmp_path), **said}))


def test_a_store_in_a_bucket_needs_a_storage_elsewhere(monkeypatch: pytest.MonkeyPatch):
    from jobs.sweep_question import storage_of

    job = SweepJob(space="batch_size", store="s3://bucket/prefix")
    with pytest.raises(UsageError, match="--storage"):
        storage_of(job, Store("."))


def test_a_sweep_without_a_finished_trial_ends_with_the_reason():
    failed = [sweeps.trial(0, {"batch_size": 16}, state="failed", reason="out of memory")]
    record = sweeps.sweep(failed)
    with pytest.raises(UsageError, match=r"1 failed.*trial 0 failed: out of memory.*--name"):
        refuse_emptiness(record)
    with pytest.raises(UsageError, match=r"1 planned.*--hours"):
        refuse_emptiness(sweeps.sweep([sweeps.trial(0, {"batch_size": 16}, state="planned")]))
    done = sweeps.sweep([sweeps.trial(0, {"batch_size": 16})])
    refuse_emptiness(done)
    assert "1 complete" in ending(done)


def test_best_of_is_the_recipe_beside_the_newest_encoder_of_the_sweep(tmp_path: Path):
    store = Store(tmp_path)
    for number, name in enumerate(("mine", "other", "mine")):
        version = f"{name}-{number}"
        config = {"sweep": {"name": name, "trial": number}}
        with store.publishing("encoder", version, config=config) as publication:
            recipe = PRESETS["tiny"].with_overrides({"seed": number})
            publication.folder.write(BEST_FILE, recipe.to_json().encode())
    found = presets_for(["best-of:mine", "--store", str(tmp_path), "--epochs", "3"])
    assert next(iter(found)) == "best-of:mine"
    assert found["best-of:mine"].seed == 2
    with pytest.raises(UsageError, match="nothing"):
        presets_for(["best-of:nothing", f"--store={tmp_path}"])
    assert presets_for(["tiny"]) is PRESETS


def test_only_the_miniature_is_judged_by_drawn_pictures_where_no_others_are_named(tmp_path: Path):
    from jobs.sweep_question import open_space, sets_of

    resolution, batch_size = open_space("resolution"), open_space("batch_size")
    job = SweepJob(space="resolution", store=str(tmp_path))
    assert [one.name for one in sets_of(resolution, job)] == ["drawn_kinds"]
    assert sets_of(batch_size, job) == ()
    assert sets_of(resolution, job.with_overrides({"pairs": "mine"})) == ()
    write_kinds(tmp_path / "data", num_per_class=1)
    named = job.with_overrides({"data": str(tmp_path / "data"), "pairs": "mine"})
    assert [one.name for one in sets_of(batch_size, named)] == ["drawn_kinds"]


def test_another_set_of_pictures_is_another_question(tmp_path: Path):
    from jobs.sweep_question import base_of, budget_of, open_space, question_of

    space, job = open_space("resolution"), SweepJob(space="resolution")
    budget = budget_of(space, job)
    asked = [
        question_of(space, budget, base_of(budget, job), (CorpusShare(pairs="p"),), sets, job)
        for sets in ((), (KIND_SET,), (KIND_SET,))
    ]
    assert "zero_shot" not in asked[0].setting
    assert asked[1].plain() == asked[2].plain() != asked[0].plain()
