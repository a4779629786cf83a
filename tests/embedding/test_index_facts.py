"""Filters, counts and folding in memory, beside plain loops over rows."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.embedding.index.facts import SHOWN_VALUES, read_facts
from figclip.embedding.index.filters import FACETS, Filters

VALUES = {
    "license": ("CC BY", "CC0", ""),
    "journal": ("Annals", 'it\'s "odd"', "Zoë", ""),
    "image_type": ("PET", "X-ray"),
    "article_type": ("research-article", "case-report"),
    "part": ("figure", "panel"),
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: st.sampled_from(values) for name, values in VALUES.items()}
        | {"year": st.none() | st.integers(2000, 2004), "picture": st.integers(0, 5)}
    ),
    max_size=30,
)
FILTERS = st.builds(
    Filters,
    licenses=st.lists(st.sampled_from([*VALUES["license"], "none"]), max_size=2).map(tuple),
    journals=st.lists(st.sampled_from([*VALUES["journal"], "none"]), max_size=2).map(tuple),
    image_types=st.lists(st.sampled_from(VALUES["image_type"]), max_size=1).map(tuple),
    article_types=st.lists(st.sampled_from(VALUES["article_type"]), max_size=1).map(tuple),
    parts=st.lists(st.sampled_from(VALUES["part"]), max_size=2).map(tuple),
    first_year=st.none() | st.integers(1999, 2005),
    last_year=st.none() | st.integers(1999, 2005),
)


def batches(rows: list[dict], size: int = 7) -> list[pa.RecordBatch]:
    schema = pa.schema(
        [(name, pa.int32() if name == "year" else pa.string()) for name in FACETS]
        + [("picture", pa.int64()), ("_rowid", pa.uint64())]
    )
    numbered = [{**row, "_rowid": 1_000 - i} for i, row in enumerate(rows)]
    return pa.Table.from_pylist(numbered, schema=schema).to_batches(max_chunksize=size)


def passes(row: dict, filters: Filters, but: str = "") -> bool:
    """The definition, one condition after another."""
    if but != "year":
        first, last = filters.first_year, filters.last_year
        if first is not None and (row["year"] is None or row["year"] < first):
            return False
        if last is not None and (row["year"] is None or row["year"] > last):
            return False
    wanted = {
        "license": filters.licenses,
        "journal": filters.journals,
        "image_type": filters.image_types,
        "article_type": filters.article_types,
        "part": filters.parts,
    }
    return all(name == but or not some or row[name] in some for name, some in wanted.items())


@settings(max_examples=100, deadline=None)
@given(ROWS, FILTERS)
def test_filters_and_counts_are_those_of_plain_loops(rows: list[dict], filters: Filters):
    facts = read_facts(batches(rows), FACETS)
    matching = facts.matching(filters)
    expected = [i for i, row in enumerate(rows) if passes(row, filters)]
    found = np.arange(len(rows)) if matching.mask is None else np.flatnonzero(matching.mask)
    assert found.tolist() == expected
    assert matching.num_figures == len(expected)
    assert matching.num_pictures == len({rows[i]["picture"] for i in expected})
    for facet in facts.facets(filters):
        texts = ["" if row[facet.name] is None else str(row[facet.name]) for row in rows]
        mine = Counter(
            text
            for text, row in zip(texts, rows, strict=True)
            if passes(row, filters, but=facet.name)
        )
        assert {value.value: value.count for value in facet.values} == dict(mine)


def test_a_facet_shows_its_largest_values_and_whatever_was_chosen():
    names = [f"J{n:02d}" for n in range(40) for _ in range(40 - n)]
    rows = [
        dict.fromkeys(VALUES, "") | {"journal": name, "year": 2000 + i % 3, "picture": i}
        for i, name in enumerate(names)
    ]
    facts = read_facts(batches(rows, 100), FACETS)
    _, year, journal, *_ = facts.facets(Filters(journals=("J39",)))
    assert [value.value for value in year.values] == [str(2000 + (len(names) - 1) % 3)]
    shown = [value.value for value in journal.values]
    assert shown == [f"J{n:02d}" for n in range(SHOWN_VALUES)] + ["J39"]
    assert [value.value for value in journal.values if value.is_chosen] == ["J39"]
    assert journal.num_more == 40 - SHOWN_VALUES - 1
    everything = facts.facets(Filters())[1]
    assert all(one.value > other.value for one, other in pairwise(everything.values))


def test_a_row_id_leads_to_its_place():
    rows = [dict.fromkeys(VALUES, "") | {"year": None, "picture": i} for i in range(20)]
    facts = read_facts(batches(rows), FACETS)
    places = np.array([3, 0, 19, 7])
    assert facts.places_of(facts.row_ids[places]).tolist() == places.tolist()


@pytest.mark.parametrize("name", FACETS)
def test_a_value_of_a_facet_is_a_filter_for_it(name):
    value = "2001" if name == "year" else VALUES[name][0]
    filters = Filters.only(name, value)
    assert filters.columns() == (name,)
    assert filters.chooses(name, value)
    assert not filters.admits(name, "1999" if name == "year" else "another")
