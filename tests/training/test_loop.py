"""The loop of a rank alone in its process: the tail of a run, its scaler, what is not finite."""

from typing import Any

import pytest
import small_pairs
import torch
from small_runs import CONFIG, task

from figclip.store import Store
from figclip.training.alone import LoneRank, Tell
from figclip.training.checkpoint import Progress
from figclip.training.loop import Diverged, Worker
from figclip.training.loss import clip_loss
from figclip.training.recipe import PretrainConfig

CPU = torch.device("cpu")
NUM_STEPS = 8


class Killed(BaseException):
    """As a signal would end it: nothing of the code answers to it."""


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return small_pairs.publish_pairs(tmp_path_factory.mktemp("pairs"), num_train=36)


def recipe(**overrides: Any) -> PretrainConfig:
    """Two epochs of four steps."""
    return CONFIG.with_overrides({"optim.warmup_steps": 2, **overrides})


@pytest.mark.parametrize(("tail", "num_whole"), [(0.0, 0), (0.25, 2), (0.4, 3)])
def test_the_last_samples_of_a_run_are_learned_with_every_patch(store, tail, num_whole):
    """What enters the first block is counted: the class token, and all of four patches or half."""
    config = recipe(**{"model.vision.patch_dropout": 0.5, "unmasked_tail": tail})
    run = task(store, f"tail-{tail}", config)
    worker = Worker(run, LoneRank(run, lambda progress: None, CPU))
    seen: list[tuple[int, int]] = []
    worker.learner.model.visual.trunk.blocks[0].register_forward_hook(
        lambda module, inputs, output: seen.append((len(inputs[0]), inputs[0].shape[1]))
    )
    worker.train()
    worker.close()
    assert seen == [(8, 3)] * (NUM_STEPS - num_whole) + [(8, 5)] * num_whole


State = tuple[dict[str, Any], float, dict[str, torch.Tensor]]
"""After a step: the scaler's state, the loss, the weights."""


def trained(worker: Worker, states: list[State]) -> None:
    """Train to the end, or to a kill, and write down how each step left things."""
    learner, step = worker.learner, worker.learner.step

    def observed(*args: Any, **options: Any) -> Any:
        metrics = step(*args, **options)
        weights = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
        scaler = learner.scaler.state_dict() if learner.scaler else {}
        states.append((scaler, metrics.loss.item(), weights))
        return metrics

    learner.step = observed
    worker.train()
    worker.close()


def kill(progress: Progress) -> None:
    if progress.steps_done == 2:
        raise Killed


@pytest.mark.parametrize(
    ("start", "last"),
    [
        ({"scale": 2.0**8, "growth_interval": 3}, 2.0**10),
        ({"scale": 2.0**60}, 2.0 ** (60 - NUM_STEPS)),
    ],
    ids=["doubles after three good steps", "is halved by every step, which overflows"],
)
def test_a_float16_run_goes_on_with_the_scaler_that_it_had(store, start, last):
    """With a scale or a count of its own, a resumed run would grow later, or take a step that the
    other one leaves out."""
    config = recipe(precision="fp16", checkpoint_every_steps=2)

    def worker(run: str, tell: Tell) -> Worker:
        its_task = task(store, f"{run}-{last}", config)
        return Worker(its_task, LoneRank(its_task, tell, CPU))

    expected: list[State] = []
    found: list[State] = []
    whole, killed = worker("whole", lambda progress: None), worker("killed", kill)
    for one in (whole, killed):
        one.learner.scaler.load_state_dict(one.learner.scaler.state_dict() | start)
    trained(whole, expected)
    with pytest.raises(Killed):
        trained(killed, found)
    resumed = worker("killed", lambda progress: None)
    assert resumed.progress.steps_done == 2
    assert resumed.learner.scaler.state_dict() == expected[1][0]
    trained(resumed, found)

    assert expected[-1][0]["scale"] == last
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[:2] == theirs[:2]
        assert all(torch.equal(ours[2][name], tensor) for name, tensor in theirs[2].items())


def test_a_loss_that_is_not_finite_is_named_by_its_step_and_the_last_checkpoint_goes_on(
    store, monkeypatch
):
    config = recipe(precision="fp32", checkpoint_every_steps=4)

    def worker(run: str) -> Worker:
        its_task = task(store, f"{run}-finite", config)
        return Worker(its_task, LoneRank(its_task, lambda progress: None, CPU))

    calls = 0

    def spoiled_from_the_seventh(*features: torch.Tensor, **options: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return clip_loss(*features, **options) * (torch.nan if calls > 6 else 1.0)

    expected: list[State] = []
    found: list[State] = []
    trained(worker("calm"), expected)
    with monkeypatch.context() as patch:
        patch.setattr("figclip.training.step.clip_loss", spoiled_from_the_seventh)
        with pytest.raises(Diverged, match="no longer finite at step 7"):
            trained(worker("spoiled"), found)
    resumed = worker("spoiled")
    assert resumed.progress.steps_done == 4
    found = found[:4]
    trained(resumed, found)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[1] == theirs[1]
        assert all(torch.equal(ours[2][name], tensor) for name, tensor in theirs[2].items())
