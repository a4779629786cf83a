"""Runs of two ranks, killed at any step: they go on as two, or as one, where they would have been.

The ranks are processes that meet by gloo and read their batches themselves; what Ray adds to that
is shown in `tests/flows` and `tests/cluster`.
"""

from pathlib import Path
from typing import Any

import pytest
import small_pairs
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from small_runs import ALONE, CONFIG, task

from figclip.inputs.reader import Batch
from figclip.store import Store
from figclip.training.alone import LoneRank
from figclip.training.checkpoint import Progress
from figclip.training.learner import Learner
from figclip.training.loop import Worker
from figclip.training.recipe import PretrainConfig
from figclip.training.task import Task

pytestmark = pytest.mark.timeout(280)

NUM_PAIRS, BATCH, NUM_STEPS = 27, 8, 6
STEPS = range(1, NUM_STEPS + 1)
SHORT = {"optim.warmup_steps": 2, "checkpoint_every_steps": 2, "precision": "fp32"}
"""Two epochs of three steps; checkpoints after steps 2, 3, 5 and 6."""
DROPS = CONFIG.with_overrides({**SHORT, "ema_decay": 0.9, "micro_batch_size": 3})
STILL = ALONE.with_overrides(SHORT)
"""Nothing is drawn that would depend on the rank."""
KILLED_AT = 4


class Killed(Exception):
    pass


class OneOfRanks(LoneRank):
    """Reads its own part of every batch; the first rank keeps the checkpoints."""

    def __init__(self, task: Task, number: int, num_ranks: int) -> None:
        super().__init__(task, lambda progress: None, torch.device("cpu"))
        self.number, self.num_ranks = number, num_ranks

    def report(self, metrics: dict[str, Any], learner: Learner, progress: Progress) -> None:
        if self.number == 0:
            super().report(metrics, learner, progress)
        if self.num_ranks > 1:
            dist.barrier()


def trained(its_task: Task, rank: int, num_ranks: int, *, killed_at: int = 0) -> dict[str, Any]:
    """`steps`: what was taken, as the step's number, ids [n, length] and loss; `state` at the end.

    From the last checkpoint to the end, or until the step `killed_at` is taken.
    """
    worker = Worker(its_task, OneOfRanks(its_task, rank, num_ranks))
    learner, step, steps = worker.learner, worker.learner.step, []

    def observed(batch: Batch, **options: Any) -> Any:
        metrics = step(batch, **options)
        steps.append((worker.progress.steps_done + 1, batch.ids, metrics.loss.item()))
        if steps[-1][0] == killed_at:
            raise Killed
        return metrics

    learner.step = observed
    try:
        worker.train()
    except Killed:
        return {"steps": steps}
    finally:
        worker.close()
    average = learner.average.state_dict() if learner.average else {}
    weights = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    return {"steps": steps, "state": weights | {f"mean {k}": v for k, v in average.items()}}


def one_of_two(rank: int, folder: Path) -> None:
    """All that two ranks do, run by run, in one pair of processes."""
    torch.set_num_threads(1)
    place = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
    store = Store(folder)

    def run(name: str, config: PretrainConfig, **options: int) -> dict[str, Any]:
        return trained(task(store, name, config), rank, 2, **options)

    found = {"whole": run("whole", DROPS), "grown": run("grown", STILL)}
    for step in STEPS:
        first = run(f"killed-{step}", DROPS, killed_at=step)
        rest = run(f"killed-{step}", DROPS)
        found[f"killed-{step}"] = {**rest, "steps": first["steps"] + rest["steps"]}
    found["shrunk"] = run("shrunk", STILL, killed_at=KILLED_AT)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, list[dict[str, Any]]]:
    """Name → what each rank did; of `grown` and `shrunk`, first the part before the kill."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ranks")
    store = small_pairs.publish_pairs(folder, num_train=NUM_PAIRS)
    for name in ("whole", *(f"killed-{step}" for step in STEPS)):
        task(store, name, DROPS)  # keeps the tokenizer, which two ranks must not write at once
    alone = trained(task(store, "alone", STILL), 0, 1)
    before = trained(task(store, "grown", STILL), 0, 1, killed_at=KILLED_AT)
    task(store, "shrunk", STILL)
    mp.spawn(one_of_two, args=(folder,), nprocs=2)
    ranks = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    found = {name: [rank[name] for rank in ranks] for name in ranks[0]}
    after = trained(task(store, "shrunk", STILL), 0, 1)
    found["grown"] = [before, *found["grown"]]
    return found | {"alone": [alone], "shrunk": [*found["shrunk"], after]}


@pytest.mark.parametrize("killed_at", STEPS)
def test_two_ranks_killed_at_any_step_end_bit_for_bit_like_two_that_were_not(runs, killed_at):
    """With dropout, patch dropout, gradients in parts and an average; the steps since the last
    checkpoint are taken again, on the same pairs in the same order."""
    for whole, killed in zip(runs["whole"], runs[f"killed-{killed_at}"], strict=True):
        expected = {step: (ids, loss) for step, ids, loss in whole["steps"]}
        last = max(kept for kept in (0, 2, 3, 5) if kept < killed_at)
        taken = [step for step, *_ in killed["steps"]]
        assert taken == [*range(1, killed_at + 1), *range(last + 1, NUM_STEPS + 1)]
        for step, ids, loss in killed["steps"]:
            assert torch.equal(ids, expected[step][0])
            assert loss == expected[step][1]
        assert killed["state"].keys() == whole["state"].keys()
        for name, tensor in whole["state"].items():
            assert torch.equal(killed["state"][name], tensor), name


@pytest.mark.parametrize(
    ("run", "parts"),
    [("shrunk", [[0, 1], [2]]), ("grown", [[0], [1, 2]])],
)
def test_a_run_goes_on_with_fewer_or_more_ranks_as_if_it_had_been_alone(runs, run, parts):
    """The same pairs in every step, each once an epoch; losses apart by the rounding of sums."""
    [alone] = runs["alone"]
    taken = []
    for ranks in parts:
        for steps in zip(*(runs[run][rank]["steps"] for rank in ranks), strict=True):
            assert len({(step, loss) for step, _, loss in steps}) == 1, "ranks agree"
            taken.append((steps[0][0], torch.cat([ids for _, ids, _ in steps]), steps[0][2]))
    assert [step for step, *_ in taken] == [1, 2, 3, 4, 4, 5, 6]
    expected = {step: (ids, loss) for step, ids, loss in alone["steps"]}
    for step, ids, loss in taken:
        assert torch.equal(ids, expected[step][0])
        assert loss == pytest.approx(expected[step][1], rel=1e-5)
    for epoch in ((1, 2, 3), (4, 5, 6)):
        shown = {tuple(row.tolist()) for step in epoch for row in expected[step][0]}
        assert len(shown) == len(epoch) * BATCH
    assert expected[1][1] != expected[NUM_STEPS][1], "the weights moved"
