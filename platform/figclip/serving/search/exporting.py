"""Found figures as a file: JSON for programs, CSV for tables."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import quote

from figclip.serving.search.queries import Found

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would run."""
COLUMNS = (
    *(field.name for field in fields(Found) if field.name != "marks"),
    "article_url",
    "doi_url",
)


def article_url(found: Found) -> str:
    return f"https://pmc.ncbi.nlm.nih.gov/articles/{quote(found.pmcid)}/"


def doi_url(found: Found) -> str | None:
    return f"https://doi.org/{quote(found.doi)}" if found.doi else None


def image_path(found: Found) -> str:
    """Below the application's root."""
    return f"/images/{quote(found.pair_id)}"


def as_json(found: Found) -> dict[str, Any]:
    """A figure as the JSON routes show it."""
    return {
        **asdict(found),
        "article_url": article_url(found),
        "doi_url": doi_url(found),
        "image_path": image_path(found),
    }


def json_file(figures: Sequence[Found], **facts: Any) -> bytes:
    values = {"object": "list", **facts, "results": [as_json(found) for found in figures]}
    return json.dumps(values, ensure_ascii=False, indent=1).encode()


def csv_file(figures: Sequence[Found]) -> bytes:
    """RFC 4180 in UTF-8 with a byte order mark, by which Excel knows it. A text that begins like a
    formula has an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for found in figures:
        row = as_json(found) | {"folded": " ".join(found.folded)}
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
