"""An index of panels knows which of its rows are panels, of what figure, and by what label."""

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import publish_tiny_embeddings, tiny_pairs, unit_vectors

from figclip.embedding.index.build import build_index
from figclip.embedding.index.filters import Filters
from figclip.embedding.index.opened import FigureIndex, open_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.schema import PANEL_PAIR_SCHEMA
from figclip.store import Store

DIM = 8
NUM_PANELS = (3, 1, 2, 1)
"""Of each figure."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> FigureIndex:
    store = Store(tmp_path_factory.mktemp("store"))
    rows = []
    for pair, num in zip(tiny_pairs(4), NUM_PANELS, strict=True):
        for number in range(num):
            rows.append(
                asdict(pair)
                | dict.fromkeys(PANEL_PAIR_SCHEMA.names[-7:])
                | {
                    "pair_id": f"{pair.pair_id}/{number + 1}",
                    "figure_pair_id": pair.pair_id,
                    "panel_label": "ABC"[number] if num > 1 else "",
                    "image_fingerprint": bytes([len(rows)] * 32),
                    "split": "train",
                }
            )
    with store.publishing("pairs", "p", config={}) as publication:
        path = Path(publication.folder.path, "train", "00000.parquet")
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, PANEL_PAIR_SCHEMA), path)
    vectors = unit_vectors(len(rows), DIM)
    publish_tiny_embeddings(store, "e", "p", vectors, vectors)
    build_index(
        store,
        embeddings_version="e",
        pairs_version="p",
        version="i",
        config=IndexConfig(num_probes=3),
    )
    return open_index(store, "i")


def test_parts_of_compound_figures_are_panels_and_single_ones_figures(index: FigureIndex):
    panels = index.search(unit_vectors(1, DIM)[0], k=9, filters=Filters(parts=("panel",)))
    figures = index.search(unit_vectors(1, DIM)[0], k=9, filters=Filters(parts=("figure",)))
    assert sorted(hit.row["panel_label"] for hit in panels) == ["A", "A", "B", "B", "C"]
    assert [hit.row["panel_label"] for hit in figures] == ["", ""]
    for hit in [*panels, *figures]:
        assert hit.pair_id.rpartition("/")[0] == hit.row["figure_pair_id"]
    [part] = [facet for facet in index.facets(Filters()) if facet.name == "part"]
    assert {value.value: value.count for value in part.values} == {"panel": 5, "figure": 2}


def test_panels_of_one_file_are_different_pictures(index: FigureIndex):
    """All have the sha256 of the figure they were cut from."""
    assert index.matching(Filters(parts=("panel",))).num_pictures == 5
