"""Ranking on a cluster: each task takes some images and all texts, and counts what they find."""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import ray
from ray import ObjectRef

from figclip.evaluation.ranking import (
    SIDE,
    Answers,
    Counts,
    Groups,
    Ranking,
    Vectors,
    counted,
    rankings,
    right_answers,
)
from figclip.log import with_progress
from figclip.tasks import Workers, run_tasks


class Share(NamedTuple):
    """What one task is handed; the references are taken up once a machine."""

    rows: slice
    images: ObjectRef
    texts: ObjectRef
    answers: ObjectRef


def rank_on_ray(
    images: Vectors,
    texts: Vectors,
    *,
    groups: Groups,
    tile: int = SIDE,
    device: str = "cpu",
    workers: Workers,
) -> tuple[Ranking, Ranking]:
    """`ranking.rank_both_ways`, the images dealt out to tasks; the counts are the same.

    Both matrices travel once to each machine, and 16 bytes a text come back from each share.
    """
    answers = right_answers(images, texts, groups, tile=tile)
    references = [ray.put(each) for each in (images, texts, answers)]
    shares = [Share(rows, *references) for rows in cuts(len(images), 4 * workers.max_tasks, tile)]
    task = partial(_counted, tile=tile, device=device)
    of_images, of_texts = (np.zeros((2, len(images)), dtype=np.int64) for _ in range(2))
    found = run_tasks(task, shares, workers)
    for rows, counts in with_progress(found, what="shares of the images", total=len(shares)):
        of_images[:, rows] = counts.of_images
        of_texts += counts.of_texts
    return rankings(Counts(of_images, of_texts), answers)


def cuts(n: int, num: int, tile: int) -> list[slice]:
    """At most so many shares of like size, in whole tiles."""
    num_tiles = -(-n // tile)
    edges = np.linspace(0, num_tiles, min(num, num_tiles) + 1).round().astype(int) * tile
    return [slice(int(a), min(int(b), n)) for a, b in pairwise(edges)]


def _counted(share: Share, *, tile: int, device: str) -> tuple[slice, Counts]:
    images, texts, answers = ray.get([share.images, share.texts, share.answers])
    assert isinstance(answers, Answers)
    return share.rows, counted(images, texts, answers, share.rows, tile=tile, device=device)
