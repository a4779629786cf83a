"""The generated PubMed Central, drawn on Ray and opened as a source of articles."""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import pyarrow.fs as pafs
import ray

from figclip.sources.miniature import MiniatureConfig, write_miniature
from figclip.sources.source import Source, open_source
from figclip.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")


def open_miniature(
    store: Store, version: str, config: MiniatureConfig, *, num_cpus: float
) -> Source:
    """`miniature/{version}` as a source of articles; it is drawn where it is not published yet."""
    made = config.model_dump(mode="json")
    if not store.already_published("miniature", version, made):
        log.info("drawing a PubMed Central of %d articles", config.num_articles)
        with (
            store.publishing("miniature", version, config=made) as publication,
            publication.folder.built_locally() as folder,
        ):
            mapped = partial(map_on_ray, num_cpus=num_cpus)
            publication.counts.update(write_miniature(folder, config, mapped=mapped))
    path = store.folder("miniature", version).path
    if isinstance(store.root.fs, pafs.LocalFileSystem):
        return open_source(path)
    query = parse_qs(urlsplit(store.url).query)
    host = query.get("endpoint_override", [None])[0]
    endpoint = f"{query.get('scheme', ['https'])[0]}://{host}" if host else None
    return open_source(f"s3://{path}", endpoint=endpoint, anonymous=False)


def map_on_ray(
    function: Callable[[int], T], items: Iterable[int], *, num_cpus: float, chunk: int = 8
) -> Iterator[T]:
    """Like `map`, in tasks of `chunk` items that reserve `num_cpus` each."""

    @ray.remote(num_cpus=num_cpus)
    def values(some: list[int]) -> list[T]:
        return [function(item) for item in some]

    listed = list(items)
    tasks = [values.remote(listed[start : start + chunk]) for start in range(0, len(listed), chunk)]
    for task in tasks:
        yield from ray.get(task)
