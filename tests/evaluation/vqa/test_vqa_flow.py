"""Questions put to encoders from start to table; workers of Ray Train learn as one process does."""

import hashlib
import json
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from foreign_models import OfOpenClip
from lessons import CONFIG, lesson, material_of
from tiny import publish_tiny_encoder
from transformers import SiglipConfig, SiglipModel

from figclip.config import UsageError
from figclip.evaluation.measures import EvaluationReport, of_vqa
from figclip.evaluation.vqa.alone import learn_alone
from figclip.evaluation.vqa.answers import IN_VOCABULARY
from figclip.evaluation.vqa.asking import VqaConfig, VqaResult, ask, run_of
from figclip.evaluation.vqa.learning import Learned, Lesson
from figclip.evaluation.vqa.reading import (
    asked_pictures,
    marks_asked,
    read_questions,
    sets_to_ask,
)
from figclip.evaluation.vqa.stand_ins import write_question_stand_ins
from figclip.evaluation.vqa.vqa_report import evaluate_vqa
from figclip.evaluation.vqa.workers import learn_with_workers
from figclip.evaluation.whole import WholeConfig, answered, evaluate_whole
from figclip.pictures.fingerprint import PLAIN
from figclip.schema import PAIR_SCHEMA
from figclip.store import Store
from jobs.labelled_sets import all_sets

QUICK = VqaConfig().with_overrides(
    {"epochs": 2, "fusion.num_pairs": 1, "num_resamples": 20, "batch_size": 16}
)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_two_workers_learn_what_one_process_learns(ray_cluster: None, tmp_path: Path):
    """Without dropout, whose masks are each rank's own; the last batch is of an odd size."""
    config = CONFIG.with_overrides({"epochs": 3, "batch_size": 9, "checkpoint_every_steps": 1})
    material = material_of(10)
    alone = learn_alone(lesson(tmp_path / "alone", material, config))
    task = lesson(tmp_path / "shared", material, config)
    both = learn_with_workers(task, num_workers=2)
    assert both.losses == pytest.approx(alone.losses, rel=1e-3)
    right = sum(a == b for a, b in zip(both.answers, alone.answers, strict=True))
    assert right >= 0.9 * len(alone.answers)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_loss_that_is_no_number_ends_the_workers_with_what_to_do(
    ray_cluster: None, tmp_path: Path
):
    config = CONFIG.with_overrides({"epochs": 2, "optim.lr": 1e30})
    with pytest.raises(UsageError, match=r"lower --optim\.lr"):
        learn_with_workers(lesson(tmp_path, material_of(5), config), max_failures=0)


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Store, str]:
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")
    OfOpenClip(tmp_path / "openai")
    write_question_stand_ins(tmp_path / "data", num_pictures=10)
    return store, str(tmp_path / "data")


def test_encoders_are_taught_and_stand_side_by_side_with_every_answer(
    drawn: tuple[Store, str], tmp_path: Path
):
    store, data = drawn
    encoders = ("tiny", str(tmp_path / "openai"))
    asked = partial(
        evaluate_vqa,
        store,
        encoders=encoders,
        data=data,
        sets=sets_to_ask(data, ()),
        version="vqa",
        config=QUICK,
        command="c",
    )
    manifest = asked(learn=learn_alone)
    folder = store.open("evaluation", "vqa")
    told = json.loads(folder.read("vqa.json"))
    assert {*told} == {*encoders}
    for found in told.values():
        rad, slake = found
        assert [rad["set"]["name"], slake["set"]["name"]] == ["vqa_rad_drawn", "slake_drawn"]
        assert rad["num_unreadable"] == 2
        assert {*rad["unreadable"]} == {f"VQA_RAD Image Folder/synpic{n}.jpg" for n in (1, 2)}
        right = [one["answer"] == one["truth"] for one in rad["answers"]]
        assert rad["values"]["accuracy, overall"] == pytest.approx(sum(right) / len(right))
        assert len(rad["answers"]) == rad["num_questions"] == 10
        assert rad["values"][IN_VOCABULARY] < 1.0
        low, high = rad["intervals"]["accuracy, overall"]
        assert low <= rad["values"]["accuracy, overall"] <= high
    text = folder.read("vqa.md").decode()
    assert "accuracy, open (%) | accuracy, closed (%) | accuracy, overall (%)" in text
    assert "words between blanks" in text
    for name in ("vqa_rad_drawn", "slake_drawn"):
        light, dark = (folder.read(f"{name}{end}.png") for end in ("", "-dark"))
        assert light[:4] == dark[:4] == b"\x89PNG"
        assert light != dark
    assert not run_of(store, "vqa").files()

    def never(lesson: Lesson) -> Learned:
        raise AssertionError("it is published already")

    assert asked(learn=never) == manifest


def test_what_was_answered_before_a_kill_is_not_learned_again(drawn: tuple[Store, str]):
    store, data = drawn
    rad, slake = sets_to_ask(data, ())

    def asked(one: object, learn: object, config: VqaConfig = QUICK) -> VqaResult:
        place = run_of(store, "v", "tiny", one)  # type: ignore[arg-type]
        return ask(store, "tiny", one, data, config, place, learn)  # type: ignore[arg-type]

    first = asked(rad, learn_alone)

    def killed(lesson: Lesson) -> Learned:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked(slake, killed)
    assert asked(rad, killed) == first
    with pytest.raises(UsageError, match="unfinished run"):
        asked(rad, killed, QUICK.with_overrides({"seed": 5}))


def test_every_score_has_its_interval_and_what_is_asked_stands_for_its_set(
    drawn: tuple[Store, str],
):
    store, data = drawn
    (rad,) = sets_to_ask(data, ["vqa_rad_drawn"])
    place = run_of(store, "v", "tiny", rad)
    result = ask(store, "tiny", rad, data, QUICK, place, learn_alone)
    found = list(of_vqa(result, of="mine"))
    assert {one.measure for one in found if one.is_main} == {
        f"{score}, {kind}"
        for score in ("accuracy", "token F1")
        for kind in ("open", "closed", "overall")
    }
    for one in found:
        assert one.low <= one.value <= one.high
        assert (one.task, one.set, one.of, one.encoder) == (
            "vqa",
            "VQA-RAD (drawn)",
            "mine",
            "encoder@tiny",
        )
        assert (one.n, one.num_unreadable, len(one.checksum)) == (10, 2, 129)
        assert one.paper is None


def test_the_whole_evaluation_asks_the_questions_that_its_data_have(
    drawn: tuple[Store, str], tmp_path: Path
):
    store, data = drawn
    manifest, _ = evaluate_whole(
        store,
        encoders=["tiny"],
        sets=all_sets(data, ()),
        version="all",
        config=WholeConfig(parts=("vqa",), vqa=QUICK),
        command="c",
        learn=learn_alone,
    )
    folder = store.open("evaluation", manifest.version)
    found = EvaluationReport.from_json(folder.read("report.json"))
    assert {one.set for one in found.measures} == {"VQA-RAD (drawn)", "SLAKE (English) (drawn)"}
    assert {one.task for one in found.measures} == {"vqa"}
    assert "## Visual question answering" in folder.read("report.md").decode()
    assert folder.read("vqa.png")[:4] == b"\x89PNG"
    assert not run_of(store, "all").files()
    some = all_sets(data, ["slake_drawn"])
    assert ([one.name for one in some.asked], some.labelled) == (["slake_drawn"], ())


def test_questions_about_pictures_that_were_learned_from_are_counted_and_left_out(
    drawn: tuple[Store, str], tmp_path: Path
):
    store, data = drawn
    (rad,) = sets_to_ask(data, ["vqa_rad_drawn"])
    place = run_of(store, "v", "tiny", rad)
    asked = asked_pictures(rad, data)
    first = asked.names[0]
    whole = ask(store, "tiny", rad, data, QUICK, place, learn_alone)
    assert (whole.num_leaked, whole.unleaked) == (None, {})
    found = ask(store, "tiny", rad, data, QUICK, place, learn_alone, leaked=[first])
    pairs = list(zip(found.questions, found.answers, strict=True))
    others = [one.answer == answer for one, answer in pairs if one.picture != first]
    assert 0 < len(others) < len(pairs)
    assert found.num_leaked == len(pairs) - len(others)
    assert found.unleaked["accuracy, overall"] == pytest.approx(sum(others) / len(others))
    assert found.values == whole.values
    assert all(one.num_leaked == found.num_leaked for one in of_vqa(found, of="mine"))


def test_asked_alone_leaked_and_repeated_pictures_stand_beside_every_number(
    drawn: tuple[Store, str],
):
    store, data = drawn
    sets = sets_to_ask(data, ())
    (_, slake) = sets
    asked = asked_pictures(slake, data)
    assert asked.paths is not None
    rows = [
        dict.fromkeys(PAIR_SCHEMA.names)
        | {
            "pair_id": path.name,
            "split": "train",
            "image_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "image_fingerprint": PLAIN,
        }
        for path in asked.paths[:1]
    ]
    with store.publishing("pairs", "p", config={}) as publication:
        path = Path(publication.folder.path, "train", "00000.parquet")
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, PAIR_SCHEMA), path)
    manifest = evaluate_vqa(
        store,
        encoders=["tiny"],
        data=data,
        sets=sets,
        version="leaks",
        config=QUICK,
        command="python -m jobs.evaluate vqa",
        learn=learn_alone,
        trained_on=("p",),
    )
    assert "pairs@p" in manifest.inputs
    folder = store.open("evaluation", "leaks")
    of_rad, of_slake = json.loads(folder.read("vqa.json"))["tiny"]
    about = [one["picture"] == asked.names[0] for one in of_slake["answers"]]
    assert of_slake["num_leaked"] == sum(about) > 0
    right = [
        one["answer"] == one["truth"]
        for one, is_leaked in zip(of_slake["answers"], about, strict=True)
        if not is_leaked
    ]
    assert of_slake["unleaked"]["accuracy, overall"] == pytest.approx(sum(right) / len(right))
    assert (of_rad["num_leaked"], of_rad["unleaked"]) == (0, {})
    assert of_rad["num_repeated"] == of_rad["num_questions"], "VQA-RAD asks about the same ones"
    assert of_slake["num_repeated"] == 0
    text = folder.read("vqa.md").decode()
    assert "- tiny: compared with pairs@p" in text
    assert "leaked | repeated | % without" in text
    assert "Made by `python -m jobs.evaluate vqa`, code " in text


def test_pictures_that_are_asked_about_are_known_again(drawn: tuple[Store, str]):
    _, data = drawn
    (rad,) = sets_to_ask(data, ["vqa_rad_drawn"])
    found = marks_asked([rad], data)[rad.title]
    questions = read_questions(rad, data)
    named = {one.picture for one in questions.test}
    assert {*found.names} < named  # one of the drawn ones is broken, one lacks
    for name, digest in zip(found.names, found.sha256, strict=True):
        data_of_it = (questions.root / name).read_bytes()
        assert hashlib.sha256(data_of_it).hexdigest() == digest


def test_a_peer_without_states_is_asked_nothing(
    drawn: tuple[Store, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    store, data = drawn
    tower = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tower["intermediate_size"] = 16
    vision = {**tower, "image_size": 32, "patch_size": 16}
    peer = SiglipModel(SiglipConfig(vision_config=vision, text_config={**tower, "vocab_size": 9}))
    peer.save_pretrained(tmp_path / "peer")
    named, sets = str(tmp_path / "peer"), all_sets(data, ())
    found = list(answered(store, named, sets, "v", QUICK, learn_alone, None))
    assert found == []
    assert "is asked no questions" in caplog.text
