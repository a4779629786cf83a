"""Exact recall of 100,000 pairs both ways, beside faiss's flat search one way and then the other.

`python -m jobs.benchmarks.retrieval ours|faiss|matmul|memory cpu|cuda` is one measurement in this
very process.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from math import log2
from statistics import median

import numpy as np
import torch

from figclip.evaluation.ranking import SIDE, TIE, Ranking, rank_both_ways
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.processes import peak_rss

NUM_PAIRS, DIM, NUM_FOUND = 100_000, 512, 10
GPU = "cuda"
PAPER_PAIRS = 725_739
"""Of the paper's test split (BiomedCLIP, Table 1)."""
NUM_CHECKED = 400
"""Queries each way whose ranks are counted again, by whole rows of float64 scores."""
ROUNDS = 3


def retrieval(device: str) -> Figures:
    """The two sides in turn, each in a fresh process with all cores; wall seconds, medians.

    On a GPU the paper's test split, ours alone.
    """
    if device != "cpu":
        return on_gpu(device)
    found: dict[str, list[dict[str, float]]] = {"ours": [], "faiss": [], "matmul": []}
    for _ in range(ROUNDS):
        for side, figures in found.items():
            figures.append(_fresh(side, device))
    of = {
        f"{side}_{name}": median(figures[name] for figures in rounds)
        for side, rounds in found.items()
        for name in rounds[0]
    }
    rate = 2 * NUM_PAIRS**2 * DIM / of["matmul_s"]
    whole_s = of["ours_s"] * (PAPER_PAIRS / NUM_PAIRS) ** 2
    halves = [_fresh("ours", device, num_pairs=NUM_PAIRS // 2)["s"] for _ in range(ROUNDS)]
    ratios = [mine["s"] / his["s"] for mine, his in zip(found["ours"], found["faiss"], strict=True)]
    return {
        "faiss_ratio": median(ratios),
        "faiss_cpu_ratio": of["ours_cpu_s"] / of["faiss_cpu_s"],
        **of,
        "matmul_gflops": rate / 1e9,
        "growth_exponent": log2(of["ours_s"] / median(halves)),
        "s_per_million_squared": of["ours_s"] * (1e6 / NUM_PAIRS) ** 2,
        "whole_test_split_s": whole_s,
        "whole_over_flop_time": whole_s / (2 * 2 * PAPER_PAIRS**2 * DIM / rate),
        **_fresh("memory", device),
        f"{GPU}_s": None,
    }


def on_gpu(device: str) -> Figures:
    """Nothing is measured where there is none."""
    if not torch.cuda.is_available():
        return dict.fromkeys((f"{device}_s", "rss_mb", "recall_at_1", "wrong_ranks"))
    return {**_fresh("memory", device, num_pairs=PAPER_PAIRS)}


def _fresh(measurement: str, device: str, *, num_pairs: int = NUM_PAIRS) -> dict[str, float]:
    command = [sys.executable, "-m", "jobs.benchmarks.retrieval", measurement, device]
    done = subprocess.run([*command, str(num_pairs)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def vectors(num_pairs: int, dim: int = DIM) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors as a trained encoder's: pairs of one subject lie near each other, and about half
    of all queries find their own first."""
    rng = np.random.default_rng(0)
    images, texts = (np.empty((num_pairs, dim), dtype=np.float32) for _ in range(2))
    subjects = rng.standard_normal((num_pairs // 50, dim), dtype=np.float32)
    for start in range(0, num_pairs, SIDE):
        here = slice(start, min(start + SIDE, num_pairs))
        num = here.stop - start
        own = rng.standard_normal((num, dim), dtype=np.float32)
        meant = subjects[rng.integers(0, len(subjects), num)] + 0.5 * own
        for side in (images, texts):
            seen = meant + 1.4 * rng.standard_normal((num, dim), dtype=np.float32)
            side[here] = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    return images, texts


def ours(images: np.ndarray, texts: np.ndarray) -> tuple[Ranking, Ranking]:
    return rank_both_ways(images, texts, groups=np.arange(len(images)))


def his(images: np.ndarray, texts: np.ndarray) -> list[np.ndarray]:
    """The ten nearest of each, which answers recall up to 10 and leaves ties to chance."""
    import faiss

    found = []
    for queries, candidates in ((images, texts), (texts, images)):
        index = faiss.IndexFlatIP(candidates.shape[1])
        index.add(candidates)
        found.append(index.search(queries, NUM_FOUND)[1])
    return found


def products(images: np.ndarray, texts: np.ndarray) -> None:
    """Nothing but the scores, once: the least that an exact search can do."""
    image, text = torch.from_numpy(images), torch.from_numpy(texts)
    scores = torch.empty(SIDE, SIDE)
    for rows in image.split(SIDE):
        for columns in text.split(SIDE):
            torch.mm(rows, columns.T, out=scores[: len(rows), : len(columns)])


SIDES: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "ours": ours,
    "faiss": his,
    "matmul": products,
}


def timed(side: str, num_pairs: int) -> dict[str, float]:
    images, texts = vectors(num_pairs)
    SIDES[side](images[:SIDE], texts[:SIDE])  # threads and libraries are there
    start, cpu = time.perf_counter(), time.process_time()
    SIDES[side](images, texts)
    return {"s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}


def memory(device: str, num_pairs: int) -> dict[str, float]:
    """MB above what the imports hold, vectors included; recall@1; wrong ranks of those checked."""
    before = peak_rss(os.getpid())
    images, texts = vectors(num_pairs)
    groups, start = np.arange(num_pairs), time.perf_counter()
    found = rank_both_ways(images, texts, groups=groups, device=device)
    seconds, peak = time.perf_counter() - start, peak_rss(os.getpid())
    return {
        "rss_mb": (peak - before) / 1e6,
        f"{device}_s": seconds,
        "recall_at_1": float((found[0].num_greater == 0).mean()),
        "wrong_ranks": float(wrong_ranks(images, texts, found)),
    }


def wrong_ranks(images: np.ndarray, texts: np.ndarray, found: tuple[Ranking, Ranking]) -> int:
    """Of queries drawn at random, those whose counts are not those of float64."""
    wrong = 0
    chosen = np.random.default_rng(1).integers(0, len(images), NUM_CHECKED)
    for ranking, queries, candidates in (
        (found[0], images, texts),
        (found[1], texts, images),
    ):
        for some in np.split(chosen, 20):
            scores = queries[some].astype(np.float64) @ candidates.astype(np.float64).T
            gap = scores - scores[np.arange(len(some)), some][:, None]
            greater, tied = (gap > TIE).sum(1), (np.abs(gap) <= TIE).sum(1)
            is_wrong = (greater != ranking.num_greater[some]) | (tied != ranking.num_tied[some])
            wrong += int(is_wrong.sum())
    return wrong


if __name__ == "__main__":
    measurement, device, num_pairs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if measurement == "memory":
        print(json.dumps(memory(device, num_pairs)))
    else:
        print(json.dumps(timed(measurement, num_pairs)))
