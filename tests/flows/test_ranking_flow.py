import numpy as np
import pytest

from figclip.evaluation.ranking import rank_both_ways
from figclip.evaluation.spread import cuts, rank_on_ray
from figclip.tasks import Workers

pytestmark = [pytest.mark.ray, pytest.mark.timeout(120)]


def test_tasks_count_what_one_process_counts(ray_cluster: None):
    rng = np.random.default_rng(0)
    images, texts = (rng.integers(-1, 2, (301, 9)) + 0.01 for _ in range(2))  # ties abound
    images, texts = (
        (side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32)
        for side in (images, texts)
    )
    groups = rng.integers(0, 200, 301)
    expected = rank_both_ways(images, texts, groups=groups)
    found = rank_on_ray(images, texts, groups=groups, tile=16, workers=Workers(0.5, 2))
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.num_greater, other.num_greater)
        np.testing.assert_array_equal(mine.num_tied, other.num_tied)
        np.testing.assert_array_equal(mine.num_right_tied, other.num_right_tied)


@pytest.mark.parametrize(("n", "num", "tile"), [(1, 8, 16), (33, 2, 16), (301, 8, 16), (64, 4, 16)])
def test_shares_cover_all_images_once_in_whole_tiles(n: int, num: int, tile: int):
    found = cuts(n, num, tile)
    assert [row for share in found for row in range(n)[share]] == list(range(n))
    assert all(share.start % tile == 0 for share in found)
    assert len(found) <= num
