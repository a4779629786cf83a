"""One trial, without Ray and without a storage: what it tells, and how it goes on."""

from pathlib import Path

import pytest
import small_pairs
import torch
from small_runs import ALONE
from small_sweeps import as_it_is

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation.retrieval import validate
from figclip.inputs.corpora import CorpusShare
from figclip.store import Store
from figclip.training.checkpoint import newest_checkpoint, read_checkpoint
from figclip.training.rank import CHECKPOINTS
from figclip.training.recipe import PretrainConfig
from figclip.tuning.news import News
from figclip.tuning.trial import Setup, run_trial

BASE = ALONE.with_overrides({"epochs": 3, "checkpoint_every_steps": 2})


class Killed(BaseException):
    """As a signal would end it: nothing of the code answers to it."""


def publish(root: Path) -> Store:
    return small_pairs.publish_pairs(root, num_train=40, num_validation=16, num_test=9)


def setup_in(store: Store, base: PretrainConfig = BASE) -> Setup:
    return Setup(
        store=store.url,
        folder="runs/sweep",
        corpora=(CorpusShare(pairs="small"),),
        base=base,
        fit=as_it_is,
        validate=validate,
    )


def weights(setup: Setup) -> dict[str, torch.Tensor]:
    place = setup.run(0) / CHECKPOINTS
    newest = newest_checkpoint(place)
    assert newest is not None
    return read_checkpoint(Path(place.path, newest))["model"]


def what_seeds_fix(news: News) -> list[tuple[int, dict[str, float]]]:
    return [
        (point.samples_seen, {k: v for k, v in point.metrics.items() if k != "epoch_seconds"})
        for point in news.curve
    ]


def test_a_trial_tells_every_epoch_and_is_judged_on_the_test_split_at_its_end(tmp_path: Path):
    heard: list[News] = []
    run_trial(setup_in(publish(tmp_path)), 0, {"batch_size": 8}, 3, heard.append)
    assert [len(news.curve) for news in heard] == [1, 2, 3, 3]
    assert [news.is_over for news in heard] == [False, False, False, True]
    last = heard[-1]
    assert [point.samples_seen for point in last.curve] == [40, 80, 120]
    assert ["test_mean_recall" in point.metrics for point in last.curve] == [False, False, True]
    assert last.curve[-1].metrics["test_chance_at_1"] == pytest.approx(1 / 9)
    spent = sum(point.metrics["epoch_seconds"] for point in last.curve)
    assert heard[2].seconds == pytest.approx(spent)
    assert last.seconds > spent, "the judgement at the end takes its time"


def test_a_trial_that_is_killed_goes_on_and_ends_like_an_undisturbed_one(tmp_path: Path):
    calm, killed = setup_in(publish(tmp_path / "calm")), setup_in(publish(tmp_path / "killed"))
    expected: list[News] = []
    run_trial(calm, 0, {}, 0, expected.append)
    before: list[News] = []

    def kill(news: News) -> None:
        before.append(news)
        if len(news.curve) == 2:
            raise Killed

    with pytest.raises(Killed):
        run_trial(killed, 0, {}, 0, kill)
    heard: list[News] = []
    run_trial(killed, 0, {}, 0, heard.append)
    assert what_seeds_fix(heard[0]) == what_seeds_fix(before[-1]), "first, where it goes on from"
    assert what_seeds_fix(heard[-1]) == what_seeds_fix(expected[-1])
    assert heard[-1].seconds > before[-1].seconds
    found, other = weights(killed), weights(calm)
    assert all(torch.equal(found[name], other[name]) for name in other)
    again: list[News] = []
    run_trial(killed, 0, {}, 0, again.append)
    assert what_seeds_fix(again[-1]) == what_seeds_fix(expected[-1]), "nothing is left to train"


def test_a_trials_encoder_is_judged_at_its_end_and_only_then(tmp_path: Path):
    judged: list[Encoder] = []

    def downstream(encoder: Encoder) -> dict[str, float]:
        judged.append(encoder)
        return {"zero_shot_shapes": 0.5}

    setup = Setup(**{**vars(setup_in(publish(tmp_path))), "downstream": downstream})
    heard: list[News] = []
    run_trial(setup, 0, {}, 0, heard.append)
    found = [news.curve[-1].metrics.get("zero_shot_shapes") for news in heard]
    assert found == [None, None, None, 0.5]
    (encoder,) = judged
    learned = weights(setup)["logit_scale"].exp()
    assert encoder.scale == pytest.approx(float(learned))
    assert Store(setup.store).versions("encoder") == [], "nothing was published of it"


@pytest.mark.parametrize("name", ["validation", "memory"])
def test_a_fault_that_would_come_again_is_told(name: str, tmp_path: Path):
    def bad(*_: object) -> dict[str, float]:
        raise MemoryError if name == "memory" else UsageError("a table is missing")

    found = setup_in(publish(tmp_path))
    heard: list[News] = []
    run_trial(Setup(**{**vars(found), "validate": bad}), 0, {}, 0, heard.append)
    expected = "out of memory" if name == "memory" else "a table is missing"
    assert [news.fault for news in heard] == [expected]
    assert not heard[0].is_over


def test_a_trial_that_diverges_says_so(tmp_path: Path):
    heard: list[News] = []
    run_trial(setup_in(publish(tmp_path)), 0, {"optim.lr": 1e30}, 0, heard.append)
    assert "diverged" in heard[-1].fault
    assert not heard[-1].is_over


def test_another_checkpoint_that_is_given_is_gone_on_from(tmp_path: Path):
    setup = setup_in(publish(tmp_path))
    run_trial(setup, 0, {}, 0, lambda news: None)
    place = setup.run(0) / CHECKPOINTS
    newest = newest_checkpoint(place)
    assert newest is not None
    setup.give(1, Path(place.path, newest))
    heard: list[News] = []
    run_trial(setup, 1, {}, 0, heard.append)
    assert [len(news.curve) for news in heard] == [3, 3], "there is nothing left to train"


def test_a_value_that_the_corpus_cannot_take_is_refused_not_changed(tmp_path: Path):
    def halved(config: PretrainConfig, num_pairs: int) -> PretrainConfig:
        return config.with_overrides({"batch_size": min(config.batch_size, num_pairs // 8 * 4)})

    found = setup_in(publish(tmp_path))
    setup = Setup(**{**vars(found), "fit": halved})
    setup.check({"batch_size": 20})
    with pytest.raises(UsageError, match="batch_size 40 does not fit 40 training pairs, 20 would"):
        setup.check({"batch_size": 40})
