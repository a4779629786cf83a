"""One side of the loaders' comparison, in a process of its own, watched from outside.

`python -m jobs.benchmarks.feeding ours|open_clip FOLDER STEP_S` feeds a trainer that does nothing
for `STEP_S` seconds a step. It says `warm` after a few batches and then, when the batches that
count have come, how many images they held and what share of the time the trainer has waited.
"""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from figclip.inputs.batches import quieten_ray_data, read_batches
from figclip.inputs.corpora import Corpus, row_groups
from figclip.inputs.lanes import Share, training_span
from figclip.inputs.order import SampleOrder
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Reader
from figclip.inputs.tokens import open_tokenizer
from figclip.store import Store
from jobs.entry import Job, joined_ray

BATCH, LENGTH, NUM_WORKERS, EPOCHS = 64, 256, 2, 6
NUM_WARM, NUM_COUNTED = 6, 14
"""Batches."""
GROUPS_PER_WINDOW = 4


def ours(folder: Path, stack: ExitStack) -> Generator[int, None, None]:
    """Images of each batch, read by Ray Data from Parquet, as training reads them."""
    stack.enter_context(joined_ray(Job(store=str(folder), local_cpus=NUM_WORKERS)))
    quieten_ray_data()
    pairs = Store(folder).open("pairs", "loader")
    groups = row_groups(pairs, "train")
    num_rows = sum(group.num_rows for group in groups)
    order = SampleOrder(groups, 0, GROUPS_PER_WINDOW)
    tokenizer = open_tokenizer(folder / "words" / "loader" / "tokenizer.json")
    reader = Reader((Corpus(pairs),), order, tokenizer, LENGTH, PixelConfig(), augment_seed=0)
    spans = [
        training_span(
            Share(0, 1, 1),
            epoch=epoch,
            num_rows=num_rows,
            batch_size=BATCH,
            num_steps=num_rows // BATCH,
            steps_done=0,
        )
        for epoch in range(EPOCHS)
    ]
    for batch in read_batches([reader], spans, cpus_per_read=1, max_reads=NUM_WORKERS):
        yield len(batch.pixels)


def open_clips(folder: Path, _: ExitStack) -> Generator[int, None, None]:
    """The same by open_clip's WebDataset loader, with our tokenizer, which is the faster one."""
    import open_clip
    from open_clip_train.data import get_wds_dataset

    tokenizer = open_tokenizer(folder / "words" / "loader" / "tokenizer.json")
    shards = sorted((folder / "shards").glob("*.tar"))
    options = Namespace(
        train_data="{" + ",".join(map(str, shards)) + "}",
        dataset_resampled=True,
        train_data_upsampling_factors=None,
        train_num_samples=BATCH * 10_000,
        batch_size=BATCH,
        workers=NUM_WORKERS,
        world_size=1,
        seed=0,
    )
    transform = open_clip.image_transform(224, is_train=True)
    data: Any = get_wds_dataset(
        options, transform, is_train=True, tokenizer=lambda text: tokenizer([text], LENGTH).ids
    )
    for images, _texts in data.dataloader:
        yield len(images)


SIDES = {"ours": ours, "open_clip": open_clips}


def main(side: str, folder: str, step_s: str) -> None:
    with ExitStack() as stack:
        stream = SIDES[side](Path(folder), stack)
        for _ in range(NUM_WARM):
            next(stream)
            time.sleep(float(step_s))
        say(warm=True)
        num_images, waited_s, start = 0, 0.0, time.monotonic()
        for _ in range(NUM_COUNTED):
            asked = time.monotonic()
            num_images += next(stream)
            waited_s += time.monotonic() - asked
            time.sleep(float(step_s))
        say(num_images=num_images, wait_share=waited_s / (time.monotonic() - start))
        sys.stdin.readline()  # whoever watches has counted now
        stream.close()


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
