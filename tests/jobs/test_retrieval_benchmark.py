"""The benchmark of exact ranking, in little: both sides find the same, and faults are found out."""

import dataclasses

import numpy as np
import pytest
import torch

from jobs.benchmark import BenchmarkJob, main
from jobs.benchmarks.retrieval import NUM_FOUND, his, memory, ours, timed, vectors, wrong_ranks

N = 2_500


def test_both_sides_answer_the_same_question():
    images, texts = vectors(N)
    own = np.arange(N)
    for ranking, nearest in zip(ours(images, texts), his(images, texts), strict=True):
        assert nearest.shape == (N, NUM_FOUND)
        place = np.where(nearest == own[:, None], np.arange(NUM_FOUND), NUM_FOUND).min(axis=1)
        expected = np.minimum(ranking.num_greater, NUM_FOUND)
        assert (place == expected).mean() > 0.999, "but for scores that differ by rounding"
        assert 0.2 < (place == 0).mean() < 0.9, "neither trivial nor hopeless"


def test_a_wrong_rank_is_found_out():
    images, texts = vectors(300, 16)
    forth, back = ours(images, texts)
    assert wrong_ranks(images, texts, (forth, back)) == 0
    shifted = dataclasses.replace(back, num_greater=back.num_greater + 1)
    assert wrong_ranks(images, texts, (forth, shifted)) == 400


def test_a_side_is_timed_and_its_memory_and_ranks_are_told():
    assert timed("matmul", 50)["s"] > 0
    found = memory("cpu", 300)
    assert {*found} == {"rss_mb", "cpu_s", "recall_at_1", "wrong_ranks"}
    assert found["wrong_ranks"] == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured_and_the_table_says_so(
    capsys: pytest.CaptureFixture[str],
):
    main(BenchmarkJob(benchmark="retrieval", device="cuda"))
    said = capsys.readouterr().out
    assert "cuda_s       not measured" in said
    assert '"cuda_s": null' in said.splitlines()[-1]
