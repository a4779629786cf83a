"""Learning to answer: what can be learned is, what cannot is not, and a killed run ends alike."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lessons import CONFIG, NUM_ANSWERS, lesson, material_of
from tiny import TINY_CLIP

from figclip.config import UsageError
from figclip.evaluation.vqa.alone import LoneRank, learn_alone
from figclip.evaluation.vqa.fusion import Fusion, FusionConfig, VqaModel
from figclip.evaluation.vqa.learning import (
    Lesson,
    Pupil,
    VqaOptimConfig,
    answer_losses,
    batches,
    learn,
    optimizer_of,
    rate_factor,
)
from figclip.evaluation.vqa.material import Material, Part
from figclip.models.clip import Clip
from figclip.models.states import States

SHORT = CONFIG.with_overrides({"epochs": 4, "checkpoint_every_steps": 1})


def share_right(answers: Sequence[int], part: Part) -> float:
    return float((torch.tensor(answers) == part.answer).double().mean())


def test_fifty_questions_are_learned_by_heart(tmp_path: Path):
    material = material_of(25)
    assert len(material.train.answer) == 50
    learned = learn_alone(lesson(tmp_path, material))
    assert share_right(learned.answers, material.test) == 1.0
    assert len(learned.losses) == CONFIG.epochs


def test_of_answers_that_were_shuffled_nothing_is_learned_beyond_chance(tmp_path: Path):
    """Five equally frequent answers: a guess is right one time in five, give or take 0.06."""
    material = material_of(50, 50, both=False)
    taught = learn_alone(lesson(tmp_path / "true", material))
    assert share_right(taught.answers, material.test) >= 0.9
    mixed = np.random.default_rng(0).permutation(len(material.train.answer))
    answers = material.train.answer[torch.from_numpy(mixed)]
    shuffled = replace(material, train=replace(material.train, answer=answers))
    learned = learn_alone(lesson(tmp_path / "shuffled", shuffled))
    assert abs(share_right(learned.answers, material.test) - 0.2) < 0.2


class Killed(Exception):
    pass


class MortalRank(LoneRank):
    """Dies once it has kept so many checkpoints."""

    num_left = 2

    def keep(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
        super().keep(metrics, state)
        self.num_left -= 1
        if self.num_left == 0:
            raise Killed


def test_a_killed_run_goes_on_from_its_last_epoch_and_ends_with_the_same_answers(tmp_path: Path):
    """With dropout, whose masks follow from the step."""
    config = SHORT.with_overrides({"fusion.dropout": 0.3})
    material = material_of(7)
    whole = lesson(tmp_path / "whole", material, config)
    expected = learn_alone(whole)
    halved = lesson(tmp_path / "halved", material, config)
    with pytest.raises(Killed):
        learn(halved, MortalRank(halved, torch.device("cpu")))
    assert learn_alone(halved) == expected
    assert learn_alone(halved) == expected, "at its end there is nothing left to learn"
    again = learn_alone(lesson(tmp_path / "again", material, config.with_overrides({"seed": 1})))
    assert again.losses != expected.losses


def test_checkpoints_follow_every_epoch_of_enough_steps_and_the_last(tmp_path: Path):
    """Two steps an epoch, a checkpoint after three at the earliest."""
    config = CONFIG.with_overrides({"epochs": 5, "checkpoint_every_steps": 3})
    task = lesson(tmp_path, material_of(10), config)
    kept = []

    class Listening(LoneRank):
        def keep(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
            kept.append(metrics["epoch"])
            super().keep(metrics, state)

    learn(task, Listening(task, torch.device("cpu")))
    assert kept == [2, 4, 5]


def gradient(task: Lesson, material: Material, number: int, num_ranks: int) -> list[torch.Tensor]:
    pupil = Pupil(task, material, torch.device("cpu"))
    pupil.optimizer.step = lambda: None  # type: ignore[method-assign, assignment]
    pupil.step(np.arange(3), (number, num_ranks), factor=1.0, rng_seed=0)
    return [p.grad for p in pupil.bare.parameters() if p.grad is not None]


@pytest.mark.parametrize("num_ranks", [2, 5])
def test_shares_of_a_batch_give_the_gradient_of_the_whole_even_where_a_rank_has_none(
    num_ranks: int, tmp_path: Path
):
    """The mean over the ranks, as DDP takes it."""
    material = material_of(4)
    task = lesson(tmp_path, material)
    expected = gradient(task, material, 0, 1)
    shares = [gradient(task, material, number, num_ranks) for number in range(num_ranks)]
    for whole, *parts in zip(expected, *shares, strict=True):
        torch.testing.assert_close(sum(parts) / num_ranks, whole, atol=1e-6, rtol=1e-3)


def test_the_loss_is_the_binary_cross_entropy_of_every_answer_by_plain_loops():
    torch.manual_seed(0)
    logits, answers = torch.randn(4, 6).double(), torch.tensor([0, 5, 2, 2])
    expected = []
    for row, answer in zip(logits.tolist(), answers.tolist(), strict=True):
        terms = []
        for place, logit in enumerate(row):
            likely = 1 / (1 + math.exp(-logit))
            terms.append(-math.log(likely if place == answer else 1 - likely))
        expected.append(sum(terms) / len(terms) * len(terms))
    torch.testing.assert_close(answer_losses(logits, answers), torch.tensor(expected).double())


def test_the_rate_climbs_in_a_line_and_falls_in_a_line_to_nothing():
    found = [rate_factor(step, 100, warmup=0.1) for step in range(100)]
    assert np.argmax(found) in (9, 10)
    np.testing.assert_allclose(np.diff(found[:10]), 0.1)
    np.testing.assert_allclose(np.diff(found[10:]), -1 / 90)
    assert found[0] == pytest.approx(0.05)
    assert found[-1] == pytest.approx(0.5 / 90)
    assert rate_factor(0, 10, warmup=0.0) == pytest.approx(0.95)


def test_an_epoch_asks_every_question_once_in_an_order_of_its_own():
    first, second = (list(batches(10, 4, seed=0, epoch=epoch)) for epoch in (0, 1))
    assert [len(batch) for batch in first] == [4, 4, 2]
    for epoch in (first, second):
        assert sorted(np.concatenate(epoch).tolist()) == list(range(10))
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()


def test_towers_fusion_and_head_learn_at_their_own_rates_and_what_projects_does_not(
    tmp_path: Path,
):
    task = lesson(tmp_path, material_of(4))
    pupil = Pupil(task, Material.load(task.run), torch.device("cpu"))
    assert VqaOptimConfig() == VqaOptimConfig(lr=5e-6, fusion_times=5.0, head_times=50.0)
    optimizer, times = optimizer_of(pupil.bare, VqaOptimConfig())
    fast_of = {
        id(parameter): fast
        for group, fast in zip(optimizer.param_groups, times, strict=True)
        for parameter in group["params"]
    }
    for name, parameter in pupil.bare.named_parameters():
        expected = {"fusion": 5.0, "head": 50.0}.get(name.partition(".")[0], 1.0)
        is_unused = name.startswith(("visual.head.", "text.proj."))
        assert fast_of.get(id(parameter)) == (None if is_unused else expected), name


def test_fusion_hides_padding_and_lets_each_sequence_see_the_other():
    torch.manual_seed(0)
    fusion = Fusion(FusionConfig(num_pairs=2, heads=2), image_width=6, text_width=8).eval()
    image = States(torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool))
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.mul_(10)  # new ones are so small that little comes through
    tokens, mask = torch.randn(2, 4, 8), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    with torch.no_grad():
        found = fusion(image, States(tokens, mask))
        assert found.shape == (2, 16)
        alone = fusion(
            States(image.tokens[1:], image.mask[1:]), States(tokens[1:, :2], mask[1:, :2])
        )
        torch.testing.assert_close(found[1:], alone, atol=1e-5, rtol=1e-4)
        other_words, other_picture = tokens.clone(), image.tokens.clone()
        other_words[0, 3] += 1
        other_picture[0, 4] += 1
        by_words = fusion(image, States(other_words, mask))
        by_picture = fusion(States(other_picture, image.mask), States(tokens, mask))
    for changed in (by_words, by_picture):
        for half in (slice(0, 8), slice(8, 16)):
            assert (changed[0, half] - found[0, half]).abs().max() > 1e-4
        torch.testing.assert_close(changed[1], found[1])


def test_six_pairs_of_the_text_towers_width_are_meters_and_heads_must_divide_it():
    model = VqaModel(Clip(TINY_CLIP), FusionConfig(), image_size=32, num_answers=NUM_ANSWERS)
    assert len(model.fusion.image_layers) == len(model.fusion.text_layers) == 6
    assert model.fusion.width == TINY_CLIP.text.hidden_size
    with pytest.raises(UsageError, match=r"5 heads do not divide .* --fusion\.heads"):
        Fusion(FusionConfig(heads=5), image_width=8, text_width=8)


def test_a_run_whose_loss_is_no_number_says_so_and_is_not_kept(tmp_path: Path):
    task = lesson(tmp_path, material_of(4), SHORT.with_overrides({"optim.lr": 1e30}))
    with pytest.raises(UsageError, match=r"no longer finite in epoch \d: lower --optim\.lr"):
        learn_alone(task)
