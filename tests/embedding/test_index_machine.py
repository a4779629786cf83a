"""An index through any life of appends, withdrawals and searches, beside plain lists."""

import tempfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from tiny import publish_these_pairs, publish_tiny_embeddings, tiny_pairs, unit_vectors

from figclip.embedding.index.build import build_index
from figclip.embedding.index.filters import Filters
from figclip.embedding.index.opened import FigureIndex, open_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.schema import SPLITS, Pair
from figclip.store import Store

DIM, NUM = 8, 24
ALL = tiny_pairs(NUM)
VECTORS = dict(zip([p.pair_id for p in ALL], unit_vectors(NUM, DIM), strict=True))
NUMBERS = st.integers(0, NUM - 1)
FILTERS = st.builds(
    Filters,
    licenses=st.lists(st.sampled_from(["CC BY", "CC0", "CC BY-ND"]), max_size=2).map(tuple),
    journals=st.lists(st.sampled_from(["Drawn Things", "None"]), max_size=1).map(tuple),
    first_year=st.none() | st.integers(2009, 2020),
    last_year=st.none() | st.integers(2009, 2020),
)


class Life(RuleBasedStateMachine):
    """Every version is built upon the one before it; `pairs` is what it must hold."""

    @initialize(numbers=st.sets(NUMBERS, min_size=1))
    def begin(self, numbers: set[int]) -> None:
        self.home = tempfile.TemporaryDirectory(prefix="figclip-test-")
        self.store = Store(self.home.name)
        self.pairs = {n: ALL[n] for n in numbers}
        self.version = 0
        self.publish(None)

    def teardown(self) -> None:
        if hasattr(self, "home"):
            self.home.cleanup()

    def publish(self, base: str | None) -> None:
        self.version += 1
        name = str(self.version)
        pairs = [self.pairs[n] for n in sorted(self.pairs)]
        publish_these_pairs(self.store, name, pairs)
        in_files = [p.pair_id for split in SPLITS for p in pairs if p.split == split]
        vectors = np.stack([VECTORS[pair_id] for pair_id in in_files])
        publish_tiny_embeddings(self.store, name, name, vectors, vectors)
        build_index(
            self.store,
            embeddings_version=name,
            pairs_version=name,
            version=name,
            base_version=base,
            config=IndexConfig(num_probes=3, few_rows=4),
        )
        self.index: FigureIndex = open_index(self.store, name)

    @rule(
        new=st.sets(NUMBERS, max_size=6),
        gone=st.sets(NUMBERS, max_size=6),
        changed=st.sets(NUMBERS, max_size=3),
    )
    def follow(self, new: set[int], gone: set[int], changed: set[int]) -> None:
        pairs = {n: pair for n, pair in self.pairs.items() if n not in gone}
        pairs |= {n: ALL[n] for n in new - pairs.keys()}
        for n in changed & pairs.keys():
            pairs[n] = replace(pairs[n], license="CC BY-ND")
        self.pairs = pairs or self.pairs
        self.publish(str(self.version))

    def passing(self, filters: Filters) -> list[Pair]:
        return [
            pair
            for pair in self.pairs.values()
            if (not filters.licenses or pair.license in filters.licenses)
            and (not filters.journals or pair.journal in filters.journals)
            and (filters.first_year is None or (pair.year or 0) >= filters.first_year)
            and (filters.last_year is None or (pair.year or 0) <= filters.last_year)
        ]

    @rule(seed=st.integers(0, 99), k=st.integers(1, NUM), filters=FILTERS)
    def search(self, seed: int, k: int, filters: Filters) -> None:
        query = unit_vectors(1, DIM, seed=seed)[0]
        scored = [(float(VECTORS[p.pair_id] @ query), p.pair_id) for p in self.passing(filters)]
        best = sorted(scored, reverse=True)[:k]
        hits = self.index.search(query, k=k, filters=filters)
        assert [hit.pair_id for hit in hits] == [name for _, name in best]
        np.testing.assert_allclose([hit.score for hit in hits], [s for s, _ in best], atol=1e-5)

    @rule(filters=FILTERS)
    def count(self, filters: Filters) -> None:
        passing = self.passing(filters)
        matching = self.index.matching(filters)
        assert matching.num_figures == len(passing)
        licenses = self.index.facets(filters)[0]
        others = self.passing(replace(filters, licenses=()))
        assert {one.value: one.count for one in licenses.values} == Counter(
            pair.license for pair in others
        )

    @rule(word=st.sampled_from(["disc", "square", "bar", "ring"]), filters=FILTERS)
    def words(self, word: str, filters: Filters) -> None:
        found = self.index.worded([word], k=NUM, filters=filters)
        names = {row["pair_id"] for row in self.index.rows(found.places)}
        assert names == {p.pair_id for p in self.passing(filters) if f" {word} " in p.caption}

    @invariant()
    def every_pair_is_had_by_its_id_and_no_other(self) -> None:
        if not hasattr(self, "index"):
            return
        for n, pair in enumerate(ALL):
            row = self.index.get(pair.pair_id)
            assert (row and row["license"]) == (self.pairs[n].license if n in self.pairs else None)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=4,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestLife.pytestmark = [pytest.mark.timeout(200)]
