"""What a service answers for items, read with distrust; and which of them an error speaks of."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from figclip.client.faults import ServiceError

Vectors = NDArray[np.float32]
T = TypeVar("T")

PLACE = re.compile(r"\binput\[(\d{1,6})\]")
OF_ONE_ITEM = (400, 413, 415, 422)


@dataclass(frozen=True)
class Row:
    """An item embedded."""

    vector: Vectors
    """float32 `[dim]`, of length 1."""
    is_truncated: bool = False
    """A text was longer than the model's context, and its end was not read."""


def rows_of(answer: Any, num_items: int) -> list[Row]:
    """The rows of an answer of `/v1/embeddings`; `ServiceError` where they are not such."""
    data = field_of(answer, "data", list)
    try:
        ordered = sorted(data, key=lambda row: row["index"])
        rows = [Row(_vector(row["embedding"]), bool(row.get("truncated"))) for row in ordered]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise bad_answer(f"its data are no embeddings ({error!r})") from error
    if [row["index"] for row in ordered] != list(range(num_items)):
        raise bad_answer(f"{num_items} items were sent, and {len(rows)} came back")
    if len({row.vector.shape for row in rows}) > 1:
        raise bad_answer("its vectors differ in length")
    return rows


def _vector(told: str | Sequence[float]) -> Vectors:
    """Of base64 (little-endian float32), or of numbers, which some services send all the same."""
    if isinstance(told, str):
        vector = np.frombuffer(base64.b64decode(told, validate=True), "<f4").astype(np.float32)
    else:
        vector = np.asarray(told, np.float32)
    if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
        raise ValueError("a vector that is none")
    return vector


def field_of(answer: Any, name: str, kind: type[T] | tuple[type[T], ...]) -> T:
    """A part of an answer; `ServiceError` where it is not there, or of another kind."""
    found = answer.get(name) if isinstance(answer, Mapping) else None
    if not isinstance(found, kind):
        raise bad_answer(f"it has no `{name}`")
    return found


def bad_answer(fault: str) -> ServiceError:
    return ServiceError(
        "bad_answer",
        f"the service answered 200, but {fault}",
        remedy="see whether this is a figclip service, and of this version",
    )


def place_of(error: ServiceError, num_items: int) -> int | None:
    """The item that an error is about, counted from 0; None where it is about no single one."""
    found = PLACE.search(error.param or "")
    place = int(found[1]) if found and error.status in OF_ONE_ITEM else None
    return place if place is not None and place < num_items else None


def renumbered(error: ServiceError, place: int, number: int) -> ServiceError:
    """The error about item `place` of a request, as one about item `number` of a call."""
    old, new = f"input[{place}]", f"items[{number}]"
    return ServiceError(
        error.code,
        error.message.replace(old, new),
        remedy=error.remedy,
        status=error.status,
        param=new,
    )
