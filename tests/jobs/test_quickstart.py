"""The walk's own rules: what a small corpus allows, and tasks in order."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from figclip.inputs.order import RowGroup, weighted
from figclip.training.recipe import check_sizes
from jobs.miniature import map_on_ray
from jobs.presets import DEMO
from jobs.recipes import fitted, mixed


@pytest.mark.parametrize("num_pairs", [2, 3, 19, 63, 64, 70, 96, 640, 3_000])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_recipe_fits_every_corpus_of_two_pairs_and_more(num_pairs: int, num_workers: int):
    train = fitted(DEMO, num_pairs, num_workers)
    assert train.batch_size % num_workers == 0
    assert train.batch_size <= num_pairs
    check_sizes(train, num_rows=num_pairs, workers=range(num_workers, num_workers + 1))


def test_a_corpus_that_is_large_enough_changes_nothing():
    assert fitted(DEMO, 2_319, 2) is DEMO


@given(
    st.lists(st.tuples(st.integers(8, 40), st.integers(1, 4)), min_size=1, max_size=30),
    st.floats(0.2, 0.8),
)
@example([(8, 4), (8, 1), (8, 3)], 0.21875)  # a group's share is rounded to nothing
def test_figures_and_panels_mix_to_the_samples_of_the_figures(groups, share):
    """Row groups of figures, each beside one of its figures' panels."""
    figures = [RowGroup("f", i, num) for i, (num, _) in enumerate(groups)]
    panels = [RowGroup("p", i, num * each, 1) for i, (num, each) in enumerate(groups)]
    num_figures, num_panels = (sum(g.num_rows for g in side) for side in (figures, panels))
    shares = mixed("f", "p", share, num_figures, num_panels)
    sides = zip((figures, panels), shares, strict=True)
    taken = [sum(g.taken for g in weighted(side, one.weight)) for side, one in sides]
    assert sum(taken) == num_figures
    assert taken[1] == pytest.approx(share * num_figures, abs=0.6)


@pytest.mark.ray
@pytest.mark.timeout(60)
def test_tasks_on_ray_give_what_map_gives(ray_cluster: None):
    def square(item: int) -> int:
        return item * item

    found = list(map_on_ray(square, range(19), num_cpus=0.5, chunk=4))
    assert found == list(map(square, range(19)))
