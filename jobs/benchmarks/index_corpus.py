"""200,000 hard neighbours: pairs, embeddings and types that an index is measured on.

Figures (drawn ones, and those of real articles where they are at hand) and captions are embedded by
a small encoder of random weights. Such a one sees little but brightness and length, so its
directions are evened out (their strengths fall as 1/√k) and captions are turned to where their
figures lie, as far as a rotation can; images and captions stay apart, as a trained encoder has
them. All but some that are held out are then perturbed many times over, along
the directions in which figures differ: the copies of a figure lie as far from one another as
figures do, so that the ten nearest of a query are hardly nearer than the next hundred.
"""

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from figclip.embedding.encoder import Encoder
from figclip.embedding.image_types import NAME as TYPES
from figclip.embedding.image_types import SCHEMA as TYPE_SCHEMA
from figclip.embedding.taxonomy import NAMES
from figclip.embedding.vectors import embedding_schema, vector_column
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.tokens import train_wordpiece
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.models.weights import save_weights
from figclip.schema import PAIR_SCHEMA
from figclip.sources.synthetic.captions import plain
from figclip.sources.synthetic.figures import draw_figure, plan_figure
from figclip.store import Store

VERSION = "bench"
DIM, ROWS_PER_FILE = 512, 10_000
NUM_DRAWN, NUM_HELD_OUT = 400, 100
SPREAD = 1.0
"""Of the copies of a figure, over that of the figures."""
APART = 0.6
"""Share of a unit vector that all images have in common, and all captions."""
LICENSES = ("CC BY", "CC BY-NC", "CC BY-NC-ND", "CC0", "CC BY-NC-SA")
LICENSE_SHARES = (0.5, 0.2, 0.15, 0.1, 0.05)
ARTICLE_TYPES = ("research-article", "review-article", "case-report", "brief-report")
ARTICLE_TYPE_SHARES = (0.75, 0.12, 0.1, 0.03)
NUM_JOURNALS = 400
FIGURES_PER_ARTICLE = 5
MODEL = ClipConfig(
    vision=VisionConfig(
        timm_model="vit_tiny_patch16_224", image_size=64, width=192, depth=2, heads=3, patch_size=8
    ),
    text=TextConfig(
        vocab_size=2_000,
        hidden_size=192,
        layers=2,
        heads=3,
        intermediate_size=384,
        max_positions=128,
        context_length=128,
    ),
    embed_dim=DIM,
)


@dataclass(frozen=True)
class Seen:
    """Figures and captions as the encoder sees them, float32 unit vectors [n, 512]."""

    images: np.ndarray
    texts: np.ndarray
    captions: list[str]


def publish(store: Store, num_rows: int, shared: Path | None) -> None:
    """`encoder`, `pairs`, `embeddings` and `image_types` of one version, and `queries.npz`."""
    drawn = [plan_figure(random.Random(seed)) for seed in range(NUM_DRAWN)]
    captions = [plain(plan.caption.markup) for plan in drawn]
    pictures = [draw_figure(plan) for plan in drawn] + list(real_pictures(shared))
    encoder = published_encoder(store, captions)
    said, silent = np.split(np.random.default_rng(2).permutation(NUM_DRAWN), [NUM_HELD_OUT])
    images, texts = evened(
        encoder.encode_images(pictures), encoder.encode_texts(captions).vectors, fitted=silent
    )
    seen = Seen(images, texts, captions)
    order = np.random.default_rng(1).permutation(len(pictures))
    held_out, kept = order[:NUM_HELD_OUT], order[NUM_HELD_OUT:]
    np.savez(
        Path(store.url, "queries.npz"),
        image=perturbed(seen.images, held_out, np.random.default_rng(3), among=seen.images[kept]),
        text=seen.texts[said],
        words=np.array([captions[i] for i in said]),
    )
    _publish_rows(store, Seen(seen.images[kept], seen.texts[silent], captions), num_rows)


def published_encoder(store: Store, captions: list[str]) -> Encoder:
    torch.manual_seed(0)
    with store.publishing("encoder", VERSION, config={}) as publication:
        save_weights(publication.folder, Clip(MODEL), MODEL)
        tokenizer = train_wordpiece(captions, vocab_size=MODEL.text.vocab_size)
        tokenizer.save(publication.folder)
        PixelConfig(size=MODEL.vision.image_size).save(publication.folder)
        publication.counts.update(dim=DIM)
    return Encoder.open(store.open("encoder", VERSION))


def real_pictures(shared: Path | None) -> Iterator[Image.Image]:
    """Of the articles that lie there; none where nothing does."""
    folder = None if shared is None else shared / "pmc-oa-opendata"
    for path in sorted(folder.rglob("*.jpg")) if folder else ():
        with Image.open(path) as image:
            image.draft("RGB", (256, 256))
            yield image.convert("RGB")


def evened(
    images: np.ndarray, texts: np.ndarray, *, fitted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both as unit vectors with even directions, the texts turned by what fits the `fitted` pairs
    best (orthogonal Procrustes), and a part of each that all images, or all texts, share."""
    own_images, own_texts = _even(images), _even(texts)
    left, _, right = np.linalg.svd(own_texts[fitted].T @ own_images[fitted])
    return tuple(  # type: ignore[return-value]
        _unit(np.sqrt(1 - APART**2) * own + APART * _unit(side.mean(axis=0)[None]))
        for own, side in ((own_images, images), (own_texts @ left @ right, texts))
    )


def _even(vectors: np.ndarray) -> np.ndarray:
    """About their mean, with strengths of their directions that fall as 1/√k; unit vectors."""
    centred = vectors - vectors.mean(axis=0)
    left, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    is_there = strengths > 1e-4 * strengths[0]
    fallen = is_there / np.sqrt(np.arange(1, len(strengths) + 1))
    return _unit((left * fallen) @ directions)


def perturbed(
    vectors: np.ndarray, which: np.ndarray, rng: np.random.Generator, *, among: np.ndarray
) -> np.ndarray:
    """Copies of some unit vectors, each moved as far as those `among` which they are differ."""
    differences = among - among.mean(axis=0)
    mixture = rng.standard_normal((len(which), len(among)), dtype=np.float32)
    moved = SPREAD / np.sqrt(len(among)) * mixture @ differences
    return _unit(vectors[which] + moved)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def _publish_rows(store: Store, seen: Seen, num_rows: int) -> None:
    """File by file, so that no more than one is held."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "gray").save(picture, "JPEG")
    pairs, vectors = f"pairs@{VERSION}", f"embeddings@{VERSION}"
    made = (pairs, f"encoder@{VERSION}")
    with (
        store.publishing("pairs", VERSION, config={}) as figures,
        store.publishing("embeddings", VERSION, config={}, inputs=made) as embeddings,
        store.publishing(
            TYPES, VERSION, config={}, inputs=(vectors, f"encoder@{VERSION}")
        ) as types,
    ):
        for start in range(0, num_rows, ROWS_PER_FILE):
            numbers = np.arange(start, min(start + ROWS_PER_FILE, num_rows))
            rng = np.random.default_rng(1_000 + start)
            name = f"train/{start // ROWS_PER_FILE:05d}.parquet"
            rows = [_row(int(n), rng, seen.captions, picture.getvalue()) for n in numbers]
            _write(figures.folder.path, name, pa.Table.from_pylist(rows, PAIR_SCHEMA))
            ids = pa.array([row["pair_id"] for row in rows])
            columns = [
                vector_column(
                    perturbed(side, rng.integers(0, len(side), len(numbers)), rng, among=side)
                )
                for side in (seen.images, seen.texts)
            ]
            split = pa.array(["train"] * len(ids))
            table = pa.Table.from_arrays([ids, split, *columns], schema=embedding_schema(DIM))
            _write(embeddings.folder.path, name, table)
            kinds = [NAMES[i] for i in rng.geometric(0.15, len(ids)).clip(max=len(NAMES)) - 1]
            told = [ids, pa.array(kinds), pa.array(kinds), pa.array([0.5] * len(ids), pa.float32())]
            _write(types.folder.path, name, pa.Table.from_arrays(told, schema=TYPE_SCHEMA))
        embeddings.counts.update(num_pairs=num_rows, dim=DIM)


def _row(number: int, rng: np.random.Generator, captions: list[str], picture: bytes) -> dict:
    """A pair of which only what a search filters, finds and shows is told."""
    article = number // FIGURES_PER_ARTICLE
    facts = np.random.default_rng(article)  # equal for all figures of an article
    words = captions[int(rng.integers(len(captions)))]
    return dict.fromkeys(PAIR_SCHEMA.names) | {
        "pair_id": f"PMC{article}.1/F{number}/g{number}.jpg",
        "pmcid": f"PMC{article}",
        "title": f"A study of {' '.join(words.split()[:6])}",
        "journal": f"Journal {min(int(facts.zipf(1.4)), NUM_JOURNALS)}",
        "year": 2025 - int(facts.geometric(0.12)) % 25,
        "license": str(facts.choice(LICENSES, p=LICENSE_SHARES)),
        "figure_license": "",
        "article_type": str(facts.choice(ARTICLE_TYPES, p=ARTICLE_TYPE_SHARES)),
        "label": f"Figure {number % FIGURES_PER_ARTICLE + 1}",
        "caption": words,
        "image": picture,
        "width": 8,
        "height": 8,
        "image_sha256": f"{number:064x}",
        "image_fingerprint": rng.bytes(32),
        "split": "train",
    }


def _write(folder: str, name: str, table: pa.Table) -> None:
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="none")
