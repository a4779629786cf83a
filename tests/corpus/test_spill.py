"""An article's pairs: the rows that were added, in their order, whatever lies on the disk."""

from dataclasses import replace

import pyarrow as pa
import pytest
from tiny import tiny_pairs

from figclip.corpus import spill
from figclip.corpus.spill import Pairs


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch):
    """Pairs of which a few make a batch, and most do not stay in memory."""
    monkeypatch.setattr(spill, "BATCH_BYTES", 3_000)
    monkeypatch.setattr(spill, "HELD_BYTES", 9_000)
    return [
        replace(pair, pair_id=f"{n}", image=bytes([n]) * 1_000)
        for n, pair in enumerate(tiny_pairs(40))
    ]


def added(rows) -> Pairs:
    pairs = Pairs()
    for row in rows:
        pairs.add(row)
    return pairs


@pytest.mark.parametrize("size", [0, 1, 3, 4, 40])
def test_what_comes_out_is_what_was_added_as_often_as_it_is_asked_for(rows, size):
    pairs = added(rows[:size])
    assert len(pairs) == size
    assert list(pairs) == list(pairs) == rows[:size]


def test_most_of_many_pairs_lies_on_the_disk(rows):
    before = pa.total_allocated_bytes()
    pairs = added([replace(row, image=bytes(100_000)) for row in rows])
    assert pa.total_allocated_bytes() - before < 500_000
    assert sum(len(table) for table in pairs.tables()) == 40


def test_a_row_that_fits_no_column_is_refused_where_the_article_is_read(rows):
    pairs = added([replace(rows[0], year=2**40)])
    with pytest.raises(ValueError, match=r"1099511627776|range|int32"):
        pairs.settle()
