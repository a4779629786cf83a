"""Which split an article belongs to: by its id, and by the pictures that it shares with others."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from figclip.schema import SPLITS, Split

FEWEST_ARTICLES = len(SPLITS)
"""With fewer articles no split can be left without one."""

PAPER_PAIRS = {"train": 13.9e6, "validation": 13.6e3, "test": 726e3}
"""Pairs of PMC-15M by split: BiomedCLIP (https://arxiv.org/abs/2303.00915), Table 1,
row "Cross-Modal Retrieval"."""

PAPER_VALIDATION_FRACTION = PAPER_PAIRS["validation"] / sum(PAPER_PAIRS.values())
PAPER_TEST_FRACTION = PAPER_PAIRS["test"] / sum(PAPER_PAIRS.values())


def split_of(pmcid: str, *, seed: int, validation_fraction: float, test_fraction: float) -> Split:
    """An article's split: a pure function of its id, so that no corpus moves it and none leaks."""
    place = _place(pmcid, seed)
    if place < test_fraction:
        return "test"
    return "validation" if place < test_fraction + validation_fraction else "train"


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
    places = np.fromiter((_place(pmcid, seed) for pmcid in articles), float, len(articles))
    limits = [test_fraction, test_fraction + validation_fraction]
    own = _BY_PLACE[np.searchsorted(limits, places, side="right")]
    families = _families(articles, shared)
    splits = own.copy()
    for family in families:
        splits[family] = own[family].min()
    if len(articles) >= FEWEST_ARTICLES:
        _mend(splits, places, families, _wanted(validation_fraction, test_fraction))
    return {articles[i]: SPLITS[splits[i]] for i in np.flatnonzero(splits != own).tolist()}


_BY_PLACE = np.array([SPLITS.index("test"), SPLITS.index("validation"), SPLITS.index("train")])
"""Numbers of splits in the order in which they lie on [0, 1); that of train is the least."""


def _families(articles: Sequence[str], shared: Iterable[tuple[str, str]]) -> list[np.ndarray]:
    """Numbers of the articles that clusters connect: families of two and more, in order."""
    owners, clusters = _numbered(articles, shared)
    if not len(owners):
        return []
    # Only here: every worker imports this module, for the split of an article alone.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = len(articles) + int(clusters.max()) + 1
    edges = (owners, clusters + len(articles))
    graph = coo_array((np.ones(len(owners), bool), edges), (size, size)).tocsr()
    _, labels = connected_components(graph, directed=False)
    members = np.unique(owners)
    members = members[np.argsort(labels[members], kind="stable")]
    families = np.split(members, np.flatnonzero(np.diff(labels[members])) + 1)
    return sorted((family for family in families if len(family) > 1), key=lambda f: int(f[0]))


def _numbered(
    articles: Sequence[str], shared: Iterable[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of article and cluster of each entry; articles that have no pairs are left out."""
    entries = list(shared)
    wanted = pa.array((pmcid for pmcid, _ in entries), pa.string())
    owners = pc.index_in(wanted, pa.array(articles, pa.string()))
    clusters = pa.array((cluster for _, cluster in entries), pa.string()).dictionary_encode()
    known = owners.is_valid().to_numpy(zero_copy_only=False)
    return (
        owners.fill_null(0).to_numpy().astype(np.int64)[known],
        clusters.indices.to_numpy().astype(np.int64)[known],
    )


def _wanted(validation_fraction: float, test_fraction: float) -> list[Split]:
    shares: Mapping[Split, float] = {"validation": validation_fraction, "test": test_fraction}
    return ["train", *(split for split, share in shares.items() if share > 0)]


def _mend(
    splits: np.ndarray, places: np.ndarray, families: Sequence[np.ndarray], wanted: Sequence[Split]
) -> None:
    """Give every wanted split that is empty a family of another; a lone article is one too."""
    sizes = np.bincount(splits, minlength=len(SPLITS))
    if all(sizes[SPLITS.index(split)] for split in wanted):
        return
    alone = np.ones(len(splits), bool)
    for family in families:
        alone[family] = False
    everyone = [*families, *np.flatnonzero(alone)[:, None]]
    for empty in map(SPLITS.index, wanted):
        held: list[list[np.ndarray]] = [[] for _ in SPLITS]
        for family in everyone:
            held[splits[family[0]]].append(family)
        givers = [number for number, theirs in enumerate(held) if len(theirs) > 1]
        if held[empty] or not givers:
            continue
        giver = max(givers, key=lambda number: sum(map(len, held[number])))
        least = min(held[giver], key=lambda family: (len(family), places[family].min()))
        splits[least] = empty


def _place(pmcid: str, seed: int) -> float:
    """A fixed point of [0, 1) for every article, evenly spread."""
    return int.from_bytes(sha256(f"{seed}/{pmcid}".encode()).digest()[:7]) / 2**56
