"""The nouns and their Arrow schemas say the same."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.schema import (
    FINGERPRINT_BYTES,
    LEDGER_SCHEMA,
    PAIR_SCHEMA,
    SPLITS,
    Entry,
    Pair,
    table_of,
)

SCHEMAS = {Pair: PAIR_SCHEMA, Entry: LEDGER_SCHEMA}

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
pixels = st.integers(0, 2**31 - 1)
fingerprints = st.binary(min_size=FINGERPRINT_BYTES, max_size=FINGERPRINT_BYTES)
pairs = st.builds(
    Pair,
    **{field.name: text for field in fields(Pair) if field.type == "str" or field.type is str},
    version=st.integers(1, 99),
    pmid=st.none() | st.integers(1, 2**40),
    doi=st.none() | text,
    year=st.none() | st.integers(1800, 2100),
    section=st.lists(text, max_size=3),
    mentions=st.lists(text, max_size=3),
    image=st.binary(max_size=20),
    image_fingerprint=fingerprints,
    width=pixels,
    height=pixels,
    original_width=pixels,
    original_height=pixels,
    split=st.sampled_from(SPLITS),
)
entries = st.builds(
    Entry,
    *[text],
    version=st.integers(1, 99),
    figure_id=text,
    graphic=text,
    state=st.sampled_from(["published", "rejected", "failed"]),
    reason=text,
    detail=text,
    num_figures=st.none() | pixels,
    image_fingerprint=st.none() | fingerprints,
)


@pytest.mark.parametrize("noun", SCHEMAS)
def test_a_schema_has_the_fields_of_its_noun_in_their_order(noun: Any):
    assert SCHEMAS[noun].names == [field.name for field in fields(noun)]


@given(rows=st.lists(pairs, max_size=3) | st.lists(entries, max_size=3))
@settings(max_examples=30, deadline=None)
def test_rows_come_back_from_a_parquet_file_as_they_were(rows: list[Any]):
    noun = type(rows[0]) if rows else Pair
    sink = pa.BufferOutputStream()
    pq.write_table(table_of(rows, SCHEMAS[noun]), sink)
    table = pq.read_table(pa.BufferReader(sink.getvalue()))
    assert table.schema == SCHEMAS[noun]
    assert [noun(**row) for row in table.to_pylist()] == rows


ENTRY = Entry("PMC1", 1, "", "", "rejected", "reason", "detail")


@pytest.mark.parametrize(
    "row",
    [
        Entry(1, 1, "", "", "rejected", "", ""),  # type: ignore[arg-type]
        Entry("PMC1", 2**31, "", "", "rejected", "", ""),
        Entry("PMC1", "one", "", "", "rejected", "", ""),  # type: ignore[arg-type]
        Entry("\ud800", 1, "", "", "rejected", "", ""),
    ],
)
def test_a_row_that_does_not_fit_is_an_error(row: Any):
    with pytest.raises((ValueError, TypeError)):
        table_of([ENTRY, row], LEDGER_SCHEMA)


def test_a_row_of_another_noun_is_not_filled_up_with_nulls():
    with pytest.raises(ValueError, match="Entry is no row of the schema pair_id"):
        table_of([ENTRY], PAIR_SCHEMA)


def test_nouns_are_frozen():
    with pytest.raises(FrozenInstanceError):
        ENTRY.reason = "other"  # type: ignore[misc]
