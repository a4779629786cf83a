"""A real index of a few rows, built without artifacts; and the rows."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from serving_fakes import row_of, unit

from figclip.embedding.index.opened import FigureIndex, opened
from figclip.embedding.index.place import TABLE, Place
from figclip.embedding.index.rows import keys_of
from figclip.embedding.vectors import vector_column
from figclip.serving.search.search import Always

FILLED = {
    "version": 1,
    "pmid": None,
    "date": "2020",
    "figure_attribution": "",
    "article_type": "research-article",
    "figure_id": "F1",
    "width": 40,
    "height": 30,
    "split": "train",
    "part": "figure",
    "figure_pair_id": "",
    "panel_label": "",
}


def small_index(rows: list[dict[str, Any]], *, has_words: bool = False) -> FigureIndex:
    """Rows as `serving_fakes.row_of` gives them; a figure's vector is `unit` of its `pair_id`.

    `picture`, where a row has one, says which rows are near-duplicates.
    """
    from lancedb.index import FTS

    ids = [row["pair_id"] for row in rows]
    keys = dict(zip(ids, keys_of(pa.array(ids, pa.string())).tolist(), strict=True))
    filled = [{**FILLED, "picture": keys[row["pair_id"]], **row} for row in rows]
    example = [{**FILLED, "picture": 0, **row_of(0)}]
    table = pa.Table.from_pylist(filled or example)[: len(rows)]
    vectors = np.stack([unit(pair_id.encode()) for pair_id in [*ids, "one more"]])[:-1]
    for name in ("image_embedding", "text_embedding"):
        table = table.append_column(name, vector_column(vectors))
    folder = Path(tempfile.mkdtemp(prefix="figclip-test-"))
    made = Place(str(folder)).database().create_table(TABLE, data=table)
    if has_words:
        for name in ("caption", "title"):
            made.create_index(name, config=FTS())
    return opened(made, {}, few_rows=0)


def always(rows: list[dict[str, Any]], **options: Any) -> Always:
    return Always(small_index(rows, **options), "small")
