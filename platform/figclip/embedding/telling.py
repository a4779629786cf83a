"""The flow from `embeddings` and an `encoder` to `image_types`: what kind of image each pair shows.

Each file of embeddings becomes one file of types of the same name, and files that are there are not
made again.
"""

import io
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.embedding.image_types import COLUMN, NAME, SCHEMA, nearest_keywords
from figclip.embedding.taxonomy import NAMES, TAXONOMY, keywords_of
from figclip.embedding.vectors import (
    matrix,
    num_rows,
    read_table,
    refuse_no_numbers,
    split_files,
)
from figclip.log import with_progress
from figclip.schema import SPLITS
from figclip.store import Folder, Manifest, Store
from figclip.store.resume import keep_own_files
from figclip.tasks import Workers, run_tasks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Keywords:
    """The taxonomy as an encoder sees it."""

    words: tuple[str, ...]
    types: tuple[str, ...]
    """Of each word the name of its type."""
    vectors: Float[np.ndarray, "k dim"]


def embedded_keywords(encoder: Encoder) -> Keywords:
    """`UsageError` where the encoder gives no numbers for them."""
    words, places = keywords_of(TAXONOMY)
    vectors = encoder.encode_texts(words).vectors
    if not np.isfinite(vectors).all():
        raise UsageError(
            f"{encoder.name} gives no finite numbers for the keywords: its weights are broken; "
            f"take another checkpoint"
        )
    return Keywords(tuple(words), tuple(NAMES[place] for place in places), vectors)


def assign_types(
    store: Store,
    *,
    embeddings_version: str,
    encoder_version: str,
    version: str,
    workers: Workers,
) -> Manifest:
    """Publish `image_types/{version}`: the type of every embedded pair, and the counts by type.

    `UsageError` where another encoder made the embeddings: its space is another.
    """
    inputs = (f"embeddings@{embeddings_version}", f"encoder@{encoder_version}")
    config = {"taxonomy": {one.name: list(one.keywords) for one in TAXONOMY}}
    if store.already_published(NAME, version, config, inputs):
        return store.manifest(NAME, version)
    if inputs[1] not in store.manifest("embeddings", embeddings_version).inputs:
        raise UsageError(
            f"{inputs[0]} were not made by {inputs[1]}, whose keywords lie in another space: name "
            f"the encoder that they are of"
        )
    embeddings = store.open("embeddings", embeddings_version)
    names = split_files(embeddings, SPLITS)
    with store.publishing(NAME, version, config=config, inputs=inputs, resume=True) as publication:
        target = publication.folder
        keep_own_files(target, {"config": config, "inputs": list(inputs)}, names)
        missing = [name for name in names if not target.exists(name)]
        log.info("%d of %d files are left to tell types of", len(missing), len(names))
        if missing:
            keywords = embedded_keywords(Encoder.open(store.open("encoder", encoder_version)))
            tell = partial(tell_file, embeddings=embeddings, target=target, keywords=keywords)
            done = run_tasks(tell, missing, workers)
            for _ in with_progress(done, what="files of images told", total=len(missing)):
                pass
        counts = counted(target, names)
        if sum(counts.values()) != sum(num_rows(embeddings, name) for name in names):
            raise RuntimeError(f"{target.path} does not have a type for every pair")
        publication.counts.update(num_pairs=sum(counts.values()), types=counts)
    return store.manifest(NAME, version)


def tell_file(name: str, *, embeddings: Folder, target: Folder, keywords: Keywords) -> str:
    """Write the types of one file of embeddings; its name. `UsageError` where one is not of
    numbers."""
    table = read_table(embeddings, name, ["pair_id", "image_embedding"])
    images = matrix(table["image_embedding"])
    origin = f"{embeddings.path}/{name}"
    refuse_no_numbers(images, table["pair_id"].to_pylist(), origin=origin)
    places, cosines = nearest_keywords(images, keywords.vectors)
    columns = [
        table["pair_id"],
        pa.array([keywords.types[place] for place in places], pa.string()),
        pa.array([keywords.words[place] for place in places], pa.string()),
        pa.array(cosines, pa.float32()),
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=SCHEMA), buffer, compression="zstd")
    target.write(name, buffer.getvalue())
    return name


def counted(types: Folder, names: Sequence[str]) -> dict[str, int]:
    """Images of every type of the taxonomy, in its order, those of no image among them."""
    found: Counter[str] = Counter()
    for name in names:
        for row in pc.value_counts(read_table(types, name, [COLUMN])[COLUMN]).to_pylist():
            found[row["values"]] += row["counts"]
    return {name: found[name] for name in NAMES}
