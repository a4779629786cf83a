"""Pairs in the forms that other people's tools read: JSON lines, WebDataset tars, Parquet.

Every function goes from tables of pairs, in their order, to the bytes of a file. The same pairs
give the same bytes on every machine.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import PositiveInt

from figclip.config import Config, UsageError
from figclip.schema import PAIR_SCHEMA, SPLITS, Split

Format = Literal["jsonl", "webdataset", "parquet"]


class ExportConfig(Config):
    """What an export holds, and how it is cut into files."""

    format: Format = "jsonl"
    """`jsonl`: an article a line, pictures as files beside; `webdataset`: tars that open_clip
    trains from; `parquet`: tables that datasets, pandas and DuckDB open, pictures inside."""
    splits: tuple[Split, ...] = SPLITS
    """Which parts of the pairs."""
    rows_per_file: PositiveInt = 1000
    """Pairs of a tar or a Parquet file. Of JSON lines each file has the articles of one shard."""
    with_images: bool = True
    """Of JSON lines: write the pictures beside them. They are one file each."""


EXPORT_SCHEMA = PAIR_SCHEMA.append(pa.field("cluster_id", pa.string()))
"""A pair, and the cluster of like pictures that it belongs to; null where it is alone."""

ARTICLE_COLUMNS = (
    "pmcid",
    "version",
    "doi",
    "title",
    "journal",
    "date",
    "year",
    "license",
    "article_type",
    "split",
)
"""What a line of JSON says once, of the article, beside `pmid`."""

FIGURE_COLUMNS = tuple(
    name
    for name in EXPORT_SCHEMA.names
    if name not in {*ARTICLE_COLUMNS, "pmid", "image", "caption", "figure_id", "label", "pair_id"}
)
"""What it says of every figure, after the four fields that have other names there."""

Record = tuple[dict[str, Any], bytes]
"""All of a pair that JSON can hold, and its picture."""


def with_clusters(pairs: pa.Table, clusters: pa.Table | None) -> pa.Table:
    """Pairs as `EXPORT_SCHEMA`; `clusters` has a `cluster_id` for some `pair_id`s."""
    if clusters is None:
        found = pa.nulls(pairs.num_rows, pa.string())
    else:
        # Clusters may be as many as pairs: look through them once, for the few that are here.
        ours = clusters.filter(pc.is_in(clusters["pair_id"], value_set=_array(pairs["pair_id"])))
        rows = pc.index_in(pairs["pair_id"], value_set=_array(ours["pair_id"]))
        found = ours["cluster_id"].cast(pa.string()).take(rows)
    return pairs.select(PAIR_SCHEMA.names).append_column(EXPORT_SCHEMA.field("cluster_id"), found)


def _array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def records(pairs: pa.Table) -> Iterator[Record]:
    """The rows of `EXPORT_SCHEMA`, one after the other."""
    texts = pairs.drop_columns(["image"]).to_pylist()
    for values, image in zip(texts, pairs["image"], strict=True):
        values["image_fingerprint"] = values["image_fingerprint"].hex()
        yield values, image.as_py()


def key_of(pair_id: str) -> str:
    """A name for files: of letters, digits and dashes, other for every pair of a corpus.

    It has no dot, for WebDataset ends a sample's key at the first one, and at most 100 characters
    with a suffix, which every tar can hold.
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "-", pair_id)[:72]
    return f"{readable}-{hashlib.sha256(pair_id.encode()).hexdigest()[:12]}"


def picture_name(pair_id: str, image: bytes) -> str:
    """`{key}.jpg` or `{key}.png`; `UsageError` where the picture is neither."""
    if image.startswith(b"\xff\xd8\xff"):
        return f"{key_of(pair_id)}.jpg"
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return f"{key_of(pair_id)}.png"
    raise UsageError(
        f"the image of {pair_id} is neither JPEG nor PNG: these pairs are damaged, ingest them "
        f"anew under a new version"
    )


def article_folder(part: str, values: Mapping[str, Any]) -> str:
    """Where the pictures of a pair's article lie, from the root of the export."""
    return f"images/{part}/{values['pmcid']}.{values['version']}"


def json_lines(figures: Iterable[tuple[dict[str, Any], str]], part: str) -> bytes:
    """One article a line, in the order of their first figures.

    `figures` are the texts of pairs (`records`), each with the path of its picture, which is empty
    where there is none. The fields that Microsoft's BiomedCLIP_data_pipeline writes come first and
    under its names; `pair_id` is ours, for theirs (`{pmid}_{fig_id}`) is one for all figures
    without id of all articles without pmid.
    """
    articles: dict[tuple[str, int], list[tuple[dict[str, Any], str]]] = {}
    for values, path in figures:
        articles.setdefault((values["pmcid"], values["version"]), []).append((values, path))
    return b"".join(_json(_article(rows, part)) + b"\n" for rows in articles.values())


def _article(rows: Sequence[tuple[dict[str, Any], str]], part: str) -> dict[str, Any]:
    first, path = rows[0]
    return {
        "pmid": "" if first["pmid"] is None else str(first["pmid"]),
        "pmc": first["pmcid"].removeprefix("PMC"),
        "location": article_folder(part, first) if path else "",
        "figures": [_figure(*row) for row in rows],
        **{name: first[name] for name in ARTICLE_COLUMNS},
    }


def _figure(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    return {
        "fig_caption": values["caption"],
        "fig_id": values["figure_id"],
        "fig_label": values["label"],
        "graphic_ref": path,
        "pair_id": values["pair_id"],
        **{name: values[name] for name in FIGURE_COLUMNS},
    }


def tar_of(tables: Iterable[pa.Table]) -> bytes:
    """A WebDataset shard: `{key}.json`, `{key}.jpg` or `.png`, and `{key}.txt` for every pair."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for table in tables:
            for values, image in records(table):
                key = key_of(values["pair_id"])
                _add(tar, f"{key}.json", _json(values))
                _add(tar, picture_name(values["pair_id"], image), image)
                _add(tar, f"{key}.txt", values["caption"].encode())
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member of no date and no owner, so that the same pairs give the same bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode()


def parquet_of(tables: Iterable[pa.Table]) -> bytes:
    """A Parquet file, a row group for every table, of `parquet_schema`."""
    buffer = io.BytesIO()
    schema = parquet_schema()
    with pq.ParquetWriter(buffer, schema, compression="zstd", write_page_index=True) as writer:
        for table in tables:
            writer.write_table(_with_picture_structs(table, schema))
    return buffer.getvalue()


def parquet_schema() -> pa.Schema:
    """The columns of an exported Parquet file, the picture as Hugging Face's `Image` has it."""
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    other = {"image": picture, "image_fingerprint": pa.binary()}  # `datasets` has no fixed length
    fields = [(field.name, other.get(field.name, field.type)) for field in EXPORT_SCHEMA]
    features = {name: _feature(name, kind) for name, kind in fields}
    # Where `datasets` looks for what Arrow's types do not tell.
    hint = json.dumps({"info": {"features": features}})
    return pa.schema(fields, metadata={"huggingface": hint})


def _feature(name: str, kind: pa.DataType) -> dict[str, Any]:
    if name == "image":
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        # Called "List" since datasets 4, which still knows this name, as older ones do.
        return {"feature": _feature("", kind.value_type), "_type": "Sequence"}
    return {"dtype": str(kind), "_type": "Value"}


def _with_picture_structs(pairs: pa.Table, schema: pa.Schema) -> pa.Table:
    ids, images = pairs["pair_id"].to_pylist(), pairs["image"]
    names = [picture_name(one, image.as_py()) for one, image in zip(ids, images, strict=True)]
    picture = schema.field("image")
    structs = pa.StructArray.from_arrays(
        [_array(images), pa.array(names, pa.string())], fields=list(picture.type)
    )
    columns = [
        structs if n == "image" else pairs[n].cast(schema.field(n).type) for n in schema.names
    ]
    return pa.Table.from_arrays(columns, schema=schema)
