"""Batches for a training rank: Ray Data reads, decodes and tokenizes ahead, in the exact order."""

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial

import ray.data
from ray.data._internal.execution.execution_callback import ExecutionCallback

from figclip.inputs.order import Share, WorkItem, remaining_items
from figclip.inputs.reader import Batch, Columns, Reader, batch_of

BLOCK_BYTES = 4 * 2**20
"""A reading task hands on its rows in blocks of about this size, so that the first come early."""

PAUSE_S = 0.02


class Paced(ExecutionCallback):
    """Lets the control loop of Ray Data rest between its rounds.

    While every task waits for its output to be consumed, the loop of Ray 2.60 goes round without a
    pause; in the process of a training rank it then takes CPU, and the interpreter's lock, from the
    model.
    """

    def on_execution_step(self, executor: object) -> None:
        time.sleep(PAUSE_S)


def quieten_ray_data() -> None:
    """Keep from the log what says nothing to the reader of a training run.

    Ray Data 2.60 divides the CPUs that training leaves among the ranks' pipelines in whole numbers
    (`amount // len(type_eligible)` in its autoscaling coordinator). With fewer of them than ranks
    each is told that it has none, and warns after a minute that it "may hang forever"; it does not,
    for a pipeline with nothing under way may always start one task.
    """
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    for told_in_vain in ("execution.resource_manager", "progress"):
        logging.getLogger(f"ray.data._internal.{told_in_vain}").setLevel(logging.ERROR)


def train_batches(
    reader: Reader,
    share: Share,
    *,
    num_epochs: int,
    steps_done: int,
    cpus_per_read: float,
    max_reads: int,
) -> Iterator[Batch]:
    """This rank's batches after `steps_done` steps, over all epochs that are left.

    One pipeline serves all of them, so the next epoch is read while one ends. `max_reads` tasks of
    `cpus_per_read` CPUs read ahead; they wait where the object store holds enough.
    """
    items = list(remaining_items(reader.order, share, num_epochs=num_epochs, steps_done=steps_done))
    if not items:
        return
    rows = [asdict(item) for item in items]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        partial(_read_items, reader=reader),
        batch_size=None,
        num_cpus=cpus_per_read,
        compute=ray.data.TaskPoolStrategy(size=max_reads),
    )
    dataset.context.execution_options.preserve_order = True
    dataset.context.target_max_block_size = BLOCK_BYTES
    dataset.context.enable_progress_bars = False
    dataset.context.custom_execution_callback_classes = [Paced]
    for columns in dataset.iter_batches(batch_size=share.batch_size, batch_format="numpy"):
        yield batch_of(columns)


def _read_items(items: Columns, reader: Reader) -> Iterator[Columns]:
    for row in zip(*items.values(), strict=True):
        yield from reader(WorkItem(**{k: int(v) for k, v in zip(items, row, strict=True)}))
