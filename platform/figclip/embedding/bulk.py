"""The flow from `pairs` and an `encoder` to `embeddings`: actors embed file by file.

Each file of pairs becomes one file of embeddings of the same name, written whole or not at all. A
run that was cut off is continued by the same call: files that are there are not made again.
"""

import io
import logging
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder, Precision
from figclip.embedding.vectors import (
    embedding_schema,
    num_rows,
    read_batches,
    read_table,
    split_files,
    vector_column,
)
from figclip.inputs.pixels import UnreadableImage
from figclip.log import with_progress
from figclip.resources import is_joined_cluster, require_resources
from figclip.schema import SPLITS
from figclip.store import Folder, Manifest, Store
from figclip.store.resume import keep_own_files

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_DEATHS = 3
"""Of an actor's process or machine at one file, before the run is given up."""


def embed(
    store: Store,
    *,
    pairs_version: str,
    encoder_version: str,
    version: str,
    splits: Sequence[str] = SPLITS,
    batch_size: int = 64,
    num_actors: int,
    cpus_per_actor: float,
    gpus_per_actor: float = 0,
    precision: Precision = "fp32",
) -> Manifest:
    """Publish `embeddings/{version}`: the vectors of every pair of the splits, in the pairs' order.

    An image that cannot be decoded stops the run and is named; nothing is published then. The
    cluster must hold `num_actors * cpus_per_actor` CPUs.
    """
    inputs = (f"pairs@{pairs_version}", f"encoder@{encoder_version}")
    config = {"splits": list(splits), "precision": precision}
    if store.already_published("embeddings", version, config, inputs):
        return store.manifest("embeddings", version)
    pairs, encoder = store.open("pairs", pairs_version), store.open("encoder", encoder_version)
    names = split_files(pairs, splits)
    if not names:
        raise UsageError(f"{inputs[0]} holds no pair of the splits {', '.join(splits)}")
    with store.publishing(
        "embeddings", version, config=config, inputs=inputs, resume=True
    ) as publication:
        target = publication.folder
        keep_own_files(target, {"config": config, "inputs": list(inputs)}, names)
        missing = [name for name in names if not target.exists(name)]
        log.info("%d of %d files are left to embed", len(missing), len(names))
        if missing:
            num_actors = min(num_actors, len(missing))
            require_resources(
                {"CPU": num_actors * cpus_per_actor, "GPU": num_actors * gpus_per_actor},
                ray.cluster_resources(),
                remedies={
                    "CPU": "set --num-actors or --cpus-per-actor lower",
                    "GPU": "set --num-actors or --gpus-per-actor lower (0 embeds on the CPU)",
                },
                can_grow=is_joined_cluster(os.environ),
            )
            task = FileTask(pairs, encoder, target, batch_size, precision)
            _run(
                task,
                missing,
                num_actors=num_actors,
                cpus_per_actor=cpus_per_actor,
                gpus_per_actor=gpus_per_actor,
            )
        publication.counts.update(_checked_counts(pairs, target, names))
    return store.manifest("embeddings", version)


@dataclass(frozen=True)
class FileTask:
    """What an actor must know to embed any file."""

    pairs: Folder
    encoder: Folder
    target: Folder
    batch_size: int
    precision: Precision


class FileEmbedder:
    """An actor: holds one encoder, and embeds the files it is handed."""

    def __init__(self, task: FileTask, *, device: str, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        self._task = task
        self._device = device
        self._num_threads = num_threads

    @cached_property
    def _encoder(self) -> Encoder:
        """Opened when it is first asked for, so that its faults are those of a file."""
        task = self._task
        return Encoder.open(task.encoder, device=self._device, precision=task.precision)

    def write(self, name: str) -> tuple[str, int]:
        """Embed a file; what is wrong with it (nothing: an empty text) and the system's number.

        Faults that a person can mend come back as values: an exception would reach the driver
        wrapped in a traceback of this process.
        """
        task = self._task
        try:
            table = embedded_file(
                self._encoder,
                task.pairs,
                name,
                batch_size=task.batch_size,
                num_threads=self._num_threads,
            )
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression="zstd")
            task.target.write(name, buffer.getvalue())
        except UsageError as error:
            return str(error), 0
        except OSError as error:
            if error.errno is None:
                raise
            return str(error), error.errno
        return "", 0


def embedded_file(
    encoder: Encoder, pairs: Folder, name: str, *, batch_size: int, num_threads: int
) -> pa.Table:
    """The embeddings of one file of pairs, row by row.

    Pictures of the next batch are decoded while the encoder works on this one. `UsageError` names
    the pair whose picture cannot be decoded, or whose vector is none.
    """
    captions = read_table(pairs, name, ["pair_id", "split", "caption"])
    images = []
    with ThreadPoolExecutor(num_threads) as pool:
        batches = read_batches(pairs, name, ["pair_id", "image"], num_rows=batch_size)
        for futures in _one_ahead(_submitted(pool, encoder, batch) for batch in batches):
            images.append(encoder.encode_pixels(torch.cat([future.result() for future in futures])))
    texts = encoder.encode_texts(captions["caption"].to_pylist(), batch_size=batch_size).vectors
    vectors = [np.concatenate([np.empty((0, encoder.dim), np.float32), *images]), texts]
    for found in vectors:
        _check_unit(found, captions["pair_id"], encoder.name)
    columns = [captions["pair_id"], captions["split"], *map(vector_column, vectors)]
    return pa.Table.from_arrays(columns, schema=embedding_schema(encoder.dim))


def _submitted(
    pool: ThreadPoolExecutor, encoder: Encoder, batch: pa.RecordBatch
) -> list[Future[torch.Tensor]]:
    def pixels(pair_id: str, image: bytes) -> torch.Tensor:
        try:
            return encoder.pixels_of([image])
        except UnreadableImage as error:
            raise UsageError(
                f"the image of {pair_id} cannot be decoded ({error}): these pairs are damaged, "
                f"ingest them anew under a new version"
            ) from error

    rows = zip(batch["pair_id"].to_pylist(), batch["image"].to_pylist(), strict=True)
    return [pool.submit(pixels, *row) for row in rows]


def _one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each handed out after the next one was asked for."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


def _check_unit(vectors: np.ndarray, pair_ids: pa.ChunkedArray, encoder_name: str) -> None:
    bad = np.flatnonzero(~(np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3))
    if len(bad):
        raise UsageError(
            f"{encoder_name} has no unit vector for {pair_ids[int(bad[0])]} ({len(bad)} such pairs "
            f"in its file): did its training diverge? Choose another encoder"
        )


def _run(
    task: FileTask,
    names: list[str],
    *,
    num_actors: int,
    cpus_per_actor: float,
    gpus_per_actor: float,
) -> None:
    """Embed the files on a pool of actors; raises the first fault."""
    make: Any = ray.remote(FileEmbedder).options(
        num_cpus=cpus_per_actor,
        num_gpus=gpus_per_actor,
        max_restarts=-1,
        max_task_retries=MOST_DEATHS,
        scheduling_strategy="SPREAD",
    )
    device, num_threads = "cuda" if gpus_per_actor else "cpu", max(1, int(cpus_per_actor))
    actors = [make.remote(task, device=device, num_threads=num_threads) for _ in range(num_actors)]
    try:
        done = _answers(actors, names)
        for fault, number in with_progress(done, what="files embedded", total=len(names)):
            if number:
                raise OSError(number, fault)
            if fault:
                raise UsageError(fault)
    finally:
        for actor in actors:
            ray.kill(actor)


def _answers(actors: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """What the actors say of each file, as they come to its end.

    Plain actors and not those of Ray Data: names go out and nothing comes back, so that there is
    nothing to stream; and that library's executor and its three actors would take a tenth of a CPU
    for as long as the run lasts. An actor is given its first file when it has found its place: on
    a cluster that cannot hold all of them the others do the work.
    """
    left = deque(names)
    awaited = {actor.__ray_ready__.remote(): (actor, False) for actor in actors}
    num_done = 0
    while num_done < len(names):
        (ended,), _ = ray.wait([*awaited], num_returns=1)
        actor, is_answer = awaited.pop(ended)
        answer = ray.get(ended)
        if left:
            awaited[actor.write.remote(left.popleft())] = (actor, True)
        if is_answer:
            num_done += 1
            yield answer


def _checked_counts(pairs: Folder, target: Folder, names: list[str]) -> dict[str, Any]:
    """Counts for the manifest; `RuntimeError` where a file lacks rows of its pairs."""
    splits: Counter[str] = Counter()
    for name in names:
        found, expected = num_rows(target, name), num_rows(pairs, name)
        if found != expected:
            raise RuntimeError(f"{target.path}/{name} has {found} rows for {expected} pairs")
        splits[name.split("/")[0]] += found
    dim = read_table(target, names[0], ["image_embedding"]).schema.field(0).type.list_size
    return {"num_pairs": splits.total(), "dim": dim, "splits": dict(splits)}
