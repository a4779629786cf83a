"""The service's calls as methods: embed, zero_shot, similarity, search."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from figclip.client.batches import batches, side_by_side
from figclip.client.faults import ServiceError
from figclip.client.finding import Neighbours, blended, neighbours_of
from figclip.client.patience import Patience
from figclip.client.pictures import Picture, data_uri, picture_bytes, uri_bytes
from figclip.client.private import LocalEncoder
from figclip.client.rows import Row, Vectors, bad_answer, field_of, place_of, renumbered, rows_of
from figclip.client.sending import Clock, Sender
from figclip.embedding.classes import ensemble, logits, probabilities

TOO_LARGE = 413
_NAMES = {"figure": "pair_id"}
"""Parts of a query that `/api/search` calls otherwise."""
Item = str | Picture
Numbered = tuple[int, str | bytes]
"""An item ready to be sent, and its place in the call."""


@dataclass(frozen=True)
class Embedded:
    """Items as vectors, in their order."""

    vectors: Vectors
    """float32 unit vectors, `[n, dim]`."""
    truncated: NDArray[np.bool_]
    """`[n]`: a text was longer than the model's context, and its end was not read."""


class Client:
    """A service of figclip's, or any that speaks OpenAI's `/v1/embeddings` with data: images.

    With `encoder` (the folder of an encoder artifact, of open_clip's or transformers' CLIP, or a
    name on the hub) pictures and texts are embedded on this machine by that model, and the service
    is sent vectors alone. Any number of threads may use a client at once.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        model: str | None = None,
        encoder: str | Path | None = None,
        patience: Patience | None = None,
        concurrency: int = 4,
        batch_items: int = 32,
        batch_bytes: int = 8 * 2**20,
        clock: Clock | None = None,
    ) -> None:
        """`concurrency` requests at once, each of `batch_items` items and `batch_bytes` at most.

        `model` is asked of the service where it is not named.
        """
        self._sender = Sender(
            url, key=key, patience=patience or Patience(), num_connections=concurrency, clock=clock
        )
        self._model = model
        self._local = LocalEncoder(encoder) if encoder is not None else None
        self._concurrency = concurrency
        self._most, self._most_bytes = batch_items, batch_bytes
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="figclip-client")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._sender.close()

    def models(self) -> list[dict[str, Any]]:
        """The service's models, as `/v1/models` lists them."""
        return field_of(self._sender.get("/v1/models"), "data", list)

    @property
    def model(self) -> str:
        """The model that embeds: of the service, or of this machine."""
        if self._local is not None:
            return self._local.name
        with self._lock:
            if self._model is None:
                listed = self.models()
                if not listed:
                    raise bad_answer("it lists no model")
                self._model = field_of(listed[0], "id", str)
            return self._model

    def embed(self, items: Iterable[Item]) -> Embedded:
        """Texts (`str`) and pictures (`Path`, bytes, Pillow's images), in the order given.

        `ServiceError` names the first that is refused by its place: `items[3]`.
        """
        rows: list[Row] = []
        for row in self.embed_each(items):
            if isinstance(row, ServiceError):
                raise row
            rows.append(row)
        if not rows:
            return Embedded(np.empty((0, 0), np.float32), np.empty(0, bool))
        cut = np.array([row.is_truncated for row in rows])
        return Embedded(np.stack([row.vector for row in rows]), cut)

    def embed_each(self, items: Iterable[Item]) -> Iterator[Row | ServiceError]:
        """As `embed`, one after the other, for more items than the memory holds.

        One that is refused, or cannot be read, gives its error in its place, and costs no other.
        """
        grouped = batches(
            enumerate(map(_ready, items)), _bytes_of, most=self._most, most_bytes=self._most_bytes
        )
        for rows in side_by_side(self._pool, self._embed, grouped, at_once=2 * self._concurrency):
            yield from rows

    def zero_shot(
        self,
        pictures: Iterable[Picture],
        classes: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        templates: Sequence[str] = ("{}",),
    ) -> NDArray[np.float64]:
        """How probable each class is, `[pictures, classes]`, the sum of each row 1.

        `classes` are names, or names with templates of their own; `{}` in a template
        (`"a photo of {}."`) stands for the name. As `/v1/zero-shot` has it, but every prompt is
        embedded once, however many pictures there are.
        """
        own = classes if isinstance(classes, Mapping) else dict.fromkeys(classes, templates)
        prompts = [[one.replace("{}", name) for one in own[name]] for name in own]
        found = iter(self.embed([text for of_class in prompts for text in of_class]).vectors)
        vectors = [np.stack([next(found) for _ in of_class]) for of_class in prompts]
        units = np.concatenate([ensemble(of_class[None]) for of_class in vectors])
        return probabilities(logits(self.embed(pictures).vectors, units, self._scale()))

    def _scale(self) -> float:
        """The model's inverse temperature."""
        if self._local is not None:
            return self._local.scale
        [facts] = [one for one in self.models() if one.get("id") == self.model] or [{}]
        return float(field_of(facts, "logit_scale", (float, int)))

    def similarity(self, left: Iterable[Item], right: Iterable[Item]) -> NDArray[np.float32]:
        """Cosines of every left with every right item, float32 `[left, right]`."""
        return self.embed(left).vectors @ self.embed(right).vectors.T

    def search(
        self,
        text: str = "",
        *,
        image: Picture | None = None,
        figure: str = "",
        vector: Sequence[float] | Vectors | None = None,
        weights: Mapping[str, float] | None = None,
        filters: Mapping[str, Any] | None = None,
        hybrid: bool = False,
        page: int = 1,
        size: int = 24,
    ) -> Neighbours:
        """Figures by words, a picture, a figure of the index (`pair_id`), a vector, or several.

        `weights` of `text`, `image`, `figure` and `vector` (1 where not named), `filters` as
        `/api/search` has them: `{"licenses": ["CC BY"], "first_year": 2015}`. Of a client with an
        encoder, that of the index, neither the words nor the picture leave this machine.
        """
        parts: dict[str, Any] = {
            "text": text or None,
            "image": None if image is None else picture_bytes(image),
            "figure": figure or None,
            "vector": None if vector is None else np.asarray(vector, np.float32),
        }
        given = {name: part for name, part in parts.items() if part is not None}
        weighed = dict(weights or {})
        if self._local is not None:
            given, weighed = self._private(given, weighed, hybrid=hybrid)
        body = {
            **dict(filters or {}),
            **{_NAMES.get(name, name): _sendable(part) for name, part in given.items()},
            "weights": {_NAMES.get(name, name): weighed[name] for name in weighed if name in given},
            "hybrid": hybrid,
            "page": page,
            "k": size,
        }
        return neighbours_of(self._sender.post("/api/search", body))

    def _private(
        self, given: Mapping[str, Any], weights: Mapping[str, float], *, hybrid: bool
    ) -> tuple[dict[str, Any], dict[str, float]]:
        """The query with words, picture and vector in one vector, that weighs as they did."""
        if hybrid:
            raise ServiceError(
                "private", "hybrid search would send the words", remedy="leave hybrid out"
            )
        local = {name: given[name] for name in ("text", "image") if name in given}
        rest = {name: part for name, part in given.items() if name == "figure"}
        parts = dict(zip(local, self.embed(local.values()).vectors, strict=True)) if local else {}
        if "vector" in given:
            parts["vector"] = given["vector"] / np.linalg.norm(given["vector"])
        if not parts:
            return rest, dict(weights)
        vector, weight = blended(parts, weights)
        return {**rest, "vector": vector}, {"figure": weights.get("figure", 1.0), "vector": weight}

    def _embed(
        self, batch: Sequence[tuple[int, str | bytes | ServiceError]]
    ) -> list[Row | ServiceError]:
        """Texts and pictures are asked apart, for a text may look like a picture's address."""
        found: dict[int, Row | ServiceError] = {}
        for kind, modality in ((str, "text"), (bytes, "image")):
            some = [(n, item) for n, item in batch if isinstance(item, kind)]
            answers = self._answers(some, modality) if some else []
            found |= zip([n for n, _ in some], answers, strict=True)
        return [item if isinstance(item, ServiceError) else found[n] for n, item in batch]

    def _answers(self, items: Sequence[Numbered], modality: str) -> list[Row | ServiceError]:
        """Of one kind of items, halved as often as the service finds them too large together."""
        try:
            if self._local is not None:
                return [*self._local.rows([item for _, item in items])]
            return [
                *rows_of(
                    self._sender.post("/v1/embeddings", self._body(items, modality)), len(items)
                )
            ]
        except ServiceError as error:
            place = place_of(error, len(items))
            if place is not None:
                rest = [*items[:place], *items[place + 1 :]]
                rows = self._answers(rest, modality) if rest else []
                return [*rows[:place], renumbered(error, place, items[place][0]), *rows[place:]]
            if error.status == TOO_LARGE and len(items) > 1:
                middle = len(items) // 2
                parts = (items[:middle], items[middle:])
                return [row for part in parts for row in self._answers(part, modality)]
            raise

    def _body(self, items: Sequence[Numbered], modality: str) -> dict[str, Any]:
        values = [data_uri(item) if isinstance(item, bytes) else item for _, item in items]
        return {
            "model": self.model,
            "input": values,
            "modality": modality,
            "encoding_format": "base64",
        }


def _sendable(part: str | bytes | Vectors) -> str | list[float]:
    if isinstance(part, bytes):
        return data_uri(part)
    return part.tolist() if isinstance(part, np.ndarray) else part


def _ready(item: Item) -> str | bytes | ServiceError:
    if isinstance(item, str):
        return item
    try:
        return picture_bytes(item)
    except OSError as error:
        return ServiceError(
            "unreadable_file",
            f"{item!r} cannot be read ({error.strerror or error})",
            remedy="see that the file is there, and that you may read it",
        )


def _bytes_of(numbered: tuple[int, str | bytes | ServiceError]) -> int:
    match numbered[1]:
        case str() as text:
            return 4 * len(text)
        case bytes() as data:
            return uri_bytes(data)
        case _:
            return 0
