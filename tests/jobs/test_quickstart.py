"""The walk's own rules: what a small corpus allows, and tasks in order."""

import pytest

from figclip.training.pretrain import check_sizes
from jobs.presets import DEMO
from jobs.quickstart import fitted, map_on_ray


@pytest.mark.parametrize("num_pairs", [2, 3, 19, 63, 64, 70, 96, 640, 3_000])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_recipe_fits_every_corpus_of_two_pairs_and_more(num_pairs: int, num_workers: int):
    train = fitted(DEMO, num_pairs, num_workers)
    assert train.batch_size % num_workers == 0
    assert train.batch_size <= num_pairs
    check_sizes(train, num_rows=num_pairs, workers=range(num_workers, num_workers + 1))


def test_a_corpus_that_is_large_enough_changes_nothing():
    assert fitted(DEMO, 2_319, 2) is DEMO


@pytest.mark.ray
@pytest.mark.timeout(60)
def test_tasks_on_ray_give_what_map_gives(ray_cluster: None):
    def square(item: int) -> int:
        return item * item

    found = list(map_on_ray(square, range(19), num_cpus=0.5, chunk=4))
    assert found == list(map(square, range(19)))
