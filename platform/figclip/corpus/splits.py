"""Which split an article belongs to: by its id, and by the pictures that it shares with others."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from figclip.schema import SPLITS, Split

FEWEST_ARTICLES = len(SPLITS)
"""With fewer articles no split can be left without one."""

PAPER_PAIRS = {"train": 13.9e6, "validation": 13.6e3, "test": 726e3}
"""Pairs of PMC-15M by split: BiomedCLIP (https://arxiv.org/abs/2303.00915), the table of its
datasets, row "Cross-Modal Retrieval"."""

PAPER_VALIDATION_FRACTION = PAPER_PAIRS["validation"] / sum(PAPER_PAIRS.values())
PAPER_TEST_FRACTION = PAPER_PAIRS["test"] / sum(PAPER_PAIRS.values())


def split_of(pmcid: str, *, seed: int, validation_fraction: float, test_fraction: float) -> Split:
    """An article's split: a pure function of its id, so that no corpus moves it and none leaks."""
    return _dealt(_place(pmcid, seed), validation_fraction, test_fraction)


def mended_splits(
    pmcids: Iterable[str], *, seed: int, validation_fraction: float, test_fraction: float
) -> dict[str, Split]:
    """The split of every article that has pairs, so that none of the wanted splits is empty.

    A small corpus can leave one without articles. It then gets an article of the largest split,
    the one of smallest hash: with three articles or more the outcome is one each at least, and
    the same whatever the order of `pmcids`. With fewer the splits stay as `split_of` says.
    """
    shares = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    articles = list(dict.fromkeys(pmcids))
    moved = moved_articles(articles, (), seed=seed, **shares)
    return {p: moved.get(p) or split_of(p, seed=seed, **shares) for p in articles}


def moved_articles(
    pmcids: Iterable[str],
    shared: Iterable[tuple[str, str]],
    *,
    seed: int,
    validation_fraction: float,
    test_fraction: float,
) -> dict[str, Split]:
    """Articles whose split is not the one that `split_of` says, with the one that they have.

    `pmcids` are all articles that have pairs; `shared` names (pmcid, cluster) of those with a
    picture in a cluster. Articles that clusters connect, be it by way of others, share one split:
    train if the hash of any of them says train, else validation if any, else test. Then no wanted
    split is left empty: one that is gets a family of connected articles, whole, as few as can be
    and of smallest hash, from the split that has most articles and more than one family. With
    fewer families than splits, or fewer than three articles, some stay empty.

    The outcome is a pure function of the set of articles and of what they share.
    """
    articles = sorted(set(pmcids))
    places = [_place(pmcid, seed) for pmcid in articles]
    own = [_dealt(place, validation_fraction, test_fraction) for place in places]
    families = _families(articles, shared)
    splits = list(own)
    for family in families:
        common = min((own[i] for i in family), key=SPLITS.index)
        for i in family:
            splits[i] = common
    if len(articles) >= FEWEST_ARTICLES:
        _mend(splits, places, families, _wanted(validation_fraction, test_fraction))
    return {p: new for p, old, new in zip(articles, own, splits, strict=True) if old != new}


def _families(articles: Sequence[str], shared: Iterable[tuple[str, str]]) -> list[list[int]]:
    """Numbers of the articles that clusters connect, families of two and more, in order."""
    numbers = {pmcid: number for number, pmcid in enumerate(articles)}
    clusters: dict[str, int] = {}
    edges = {(numbers[p], clusters.setdefault(c, len(clusters))) for p, c in shared if p in numbers}
    if not edges:
        return []
    rows, columns = np.array(sorted(edges)).T
    size = len(articles) + len(clusters)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns + len(articles))), (size, size))
    _, labels = connected_components(graph.tocsr(), directed=False)
    members = defaultdict(list)
    for number in np.unique(rows).tolist():
        members[labels[number]].append(number)
    return [family for family in members.values() if len(family) > 1]


def _wanted(validation_fraction: float, test_fraction: float) -> list[Split]:
    shares: Mapping[Split, float] = {"validation": validation_fraction, "test": test_fraction}
    return ["train", *(split for split, share in shares.items() if share > 0)]


def _mend(
    splits: list[Split],
    places: Sequence[float],
    families: Sequence[list[int]],
    wanted: Sequence[Split],
) -> None:
    """Give every wanted split that is empty a family of another; a lone article is one too."""
    sizes = Counter(splits)
    if all(sizes[split] for split in wanted):
        return
    in_family = {number for family in families for number in family}
    alone = [[number] for number in range(len(splits)) if number not in in_family]
    for empty in wanted:
        held = defaultdict(list)
        for family in [*families, *alone]:
            held[splits[family[0]]].append(family)
        givers = [split for split in SPLITS if len(held[split]) > 1]
        if held[empty] or not givers:
            continue
        giver = max(givers, key=lambda split: sum(map(len, held[split])))
        least = min(held[giver], key=lambda family: (len(family), min(places[i] for i in family)))
        for number in least:
            splits[number] = empty


def _dealt(place: float, validation_fraction: float, test_fraction: float) -> Split:
    if place < test_fraction:
        return "test"
    return "validation" if place < test_fraction + validation_fraction else "train"


def _place(pmcid: str, seed: int) -> float:
    """A fixed point of [0, 1) for every article, evenly spread."""
    digest = hashlib.sha256(f"{seed}/{pmcid}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
