"""The smallest real artifacts: drawn pairs, and an encoder of random weights."""

import hashlib
import io
import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image, ImageDraw

from figclip.embedding.vectors import embedding_schema, read_table, split_files, vector_column
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.tokens import train_wordpiece
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.models.weights import save_weights
from figclip.schema import PAIR_SCHEMA, Pair, Split, table_of
from figclip.store import Folder, Store

COLORS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "grey": (90, 90, 90)}
SHAPES = ("disc", "square", "bar", "ring")
PLACES = ("left", "right")
LICENSES = ("CC BY", "CC0", "CC BY-NC")
CYCLE: tuple[Split, ...] = ("train", "train", "validation", "train", "test")
ROWS_PER_FILE = 8


def drawn(color: str, shape: str, place: str, *, size: tuple[int, int] = (64, 48)) -> bytes:
    """A PNG of one shape on white."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    left = 6 if place == "left" else size[0] - 34
    box = (left, 8, left + 28, 36)
    match shape:
        case "disc":
            draw.ellipse(box, fill=COLORS[color])
        case "square":
            draw.rectangle(box, fill=COLORS[color])
        case "bar":
            draw.rectangle((left, 18, left + 28, 26), fill=COLORS[color])
        case _:
            draw.ellipse(box, outline=COLORS[color], width=5)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def tiny_pairs(num_pairs: int) -> list[Pair]:
    """Two figures an article; the splits take turns by article, so that each gets some."""
    looks = itertools.cycle(itertools.product(COLORS, SHAPES, PLACES))
    return [_pair(n, *look) for n, look in zip(range(num_pairs), looks, strict=False)]


def _pair(n: int, color: str, shape: str, place: str) -> Pair:
    size = (64, 48) if n % 3 else (48, 96)
    image = drawn(color, shape, place, size=size)
    article = n // 2
    pmcid, figure_id = f"PMC{9_000_000 + article}", f"F{n % 2 + 1}"
    return Pair(
        pair_id=f"{pmcid}.1/{figure_id}/g{n}.png",
        pmcid=pmcid,
        version=1,
        pmid=None if article % 4 == 3 else 30_000_000 + article,
        doi=f"10.1000/tiny.{article}",
        title=f"On shapes, part {article}",
        journal="Journal of Tiny Shapes" if article % 2 else "Drawn Things",
        date=f"{2010 + article % 10}-03",
        year=2010 + article % 10,
        license=LICENSES[article % 3],
        figure_license="",
        figure_attribution="",
        article_type="research-article",
        figure_id=figure_id,
        owner="",
        graphic=f"g{n}.png",
        label=f"Figure {n % 2 + 1}",
        section=["Results"],
        caption=f"A {color} {shape} of {10 + n} µm on the {place}.",
        group_caption="",
        alt_text="",
        mentions=[f"The {shape} is {color} (Figure {n % 2 + 1})."],
        image=image,
        width=size[0],
        height=size[1],
        original_width=size[0],
        original_height=size[1],
        image_sha256=hashlib.sha256(image).hexdigest(),
        image_fingerprint=hashlib.sha256(image).digest(),
        split=CYCLE[article % len(CYCLE)],
    )


def publish_tiny_pairs(store: Store, version: str, n: int) -> None:
    """`pairs/{version}` of `n` drawn pairs, eight rows a file."""
    publish_these_pairs(store, version, tiny_pairs(n))


def publish_these_pairs(store: Store, version: str, pairs: list[Pair]) -> None:
    with store.publishing("pairs", version, config={"tiny": len(pairs)}) as publication:
        counts = {}
        for split in dict.fromkeys(CYCLE):
            rows = [pair for pair in pairs if pair.split == split]
            for number, start in enumerate(range(0, len(rows), ROWS_PER_FILE)):
                table = table_of(rows[start : start + ROWS_PER_FILE], PAIR_SCHEMA)
                _write_parquet(publication.folder, f"{split}/{number:05d}.parquet", table)
            counts[split] = {"articles": len({pair.pmcid for pair in rows}), "pairs": len(rows)}
        publication.counts.update(num_pairs=len(pairs), splits=counts)


TINY_CLIP = ClipConfig(
    vision=VisionConfig(
        timm_model="vit_tiny_patch16_224", image_size=32, width=32, depth=2, heads=2, patch_size=8
    ),
    text=TextConfig(
        vocab_size=600,
        hidden_size=32,
        layers=2,
        heads=2,
        intermediate_size=64,
        max_positions=32,
        context_length=24,
    ),
    embed_dim=16,
)


def publish_tiny_encoder(store: Store, version: str, *, inputs: tuple[str, ...] = ()) -> None:
    """`encoder/{version}`: two small towers of random weights, 32 px, 24 tokens, 16 dimensions."""
    captions = [pair.caption for pair in tiny_pairs(64)]
    torch.manual_seed(0)
    with store.publishing("encoder", version, config={"tiny": True}, inputs=inputs) as publication:
        save_weights(publication.folder, Clip(TINY_CLIP), TINY_CLIP)
        train_wordpiece(captions, vocab_size=TINY_CLIP.text.vocab_size).save(publication.folder)
        PixelConfig(size=TINY_CLIP.vision.image_size).save(publication.folder)
        publication.counts.update(dim=TINY_CLIP.embed_dim)


def unit_vectors(n: int, dim: int, seed: int = 0) -> np.ndarray:
    """Random directions, float32 [n, dim]."""
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def publish_tiny_embeddings(
    store: Store,
    version: str,
    pairs_version: str,
    images: np.ndarray,
    texts: np.ndarray,
    *,
    encoder: str = "none",
) -> None:
    """`embeddings/{version}` of the given vectors [n, dim], in the order of the pairs' files."""
    pairs = store.open("pairs", pairs_version)
    dim, start = images.shape[1], 0
    inputs = (f"pairs@{pairs_version}", f"encoder@{encoder}")
    with store.publishing("embeddings", version, config={}, inputs=inputs) as publication:
        for name in split_files(pairs, ("train", "validation", "test")):
            rows = read_table(pairs, name, ["pair_id", "split"])
            here = slice(start, start := start + rows.num_rows)
            columns = [*rows.columns, vector_column(images[here]), vector_column(texts[here])]
            table = pa.Table.from_arrays(columns, schema=embedding_schema(dim))
            _write_parquet(publication.folder, name, table)
        publication.counts.update(num_pairs=start, dim=dim)


def _write_parquet(folder: Folder, name: str, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=4)
    folder.write(name, buffer.getvalue())
