"""The `evaluation` artifact: recall as a table and as JSON, and the grid of figures found."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from figclip.config import Config
from figclip.embedding.vectors import Embeddings, num_rows, read_table, split_files
from figclip.evaluation.approximate import ApproximateRecall, Graph, approximate_recall
from figclip.evaluation.beside import (
    Line,
    beside_table,
    encoder_of,
    held_out,
    line_of,
    pairs_of,
    percent,
)
from figclip.evaluation.grid import GridRow, draw_grid
from figclip.evaluation.leakage import Learned, leaks_of, learned_by, marks_of_pairs
from figclip.evaluation.ranking import SIDE, rank_both_ways
from figclip.evaluation.retrieval import Rank, RetrievalResult, caption_groups, recall
from figclip.schema import Split
from figclip.statistics.wording import markdown
from figclip.store import Folder, Manifest, Store

log = logging.getLogger(__name__)

TABLE_FILE, JSON_FILE, GRID_FILE = "recall.md", "recall.json", "grid.png"


class EvaluationConfig(Config):
    """What is measured, and what is shown."""

    split: Split = "test"
    ks: tuple[PositiveInt, ...] = (1, 5, 10)
    """Recall among the first so many."""
    tile: PositiveInt = SIDE
    """Scores are computed in squares of this side."""
    num_queries: PositiveInt = 6
    """Rows of the grid."""
    num_shown: PositiveInt = 4
    """Figures in a row of the grid."""
    seed: NonNegativeInt = 0
    """Chooses the grid's captions."""
    with_graph: bool = False
    """Search a graph of near neighbours as well, and say what that loses."""
    graph: Graph = Graph()


def evaluate(
    store: Store,
    *,
    embeddings_version: str,
    pairs_version: str,
    version: str,
    config: EvaluationConfig,
    beside: Sequence[str] = (),
    trained_on: Sequence[str] = (),
    device: str = "cpu",
    rank: Rank = rank_both_ways,
) -> Manifest:
    """Publish `evaluation/{version}`: `recall.md`, `recall.json` and `grid.png`.

    `beside` are versions of other embeddings, of other encoders or of other pairs, whose recall on
    the same split stands in a second table; `rank` searches. The split's pictures are looked for in
    the pairs that the encoder has learned from: `trained_on`, else those of its manifest.
    `UsageError` where the split holds no pair, or the embeddings are of other pairs.
    """
    others = [f"embeddings@{other}" for other in beside]
    encoder = encoder_of(store, embeddings_version)
    learned = learned_by(store, (encoder,), trained_on)
    looked_in = [one for one in learned[encoder].pairs if one != pairs_version]
    inputs = (f"embeddings@{embeddings_version}", f"pairs@{pairs_version}", *others)
    inputs += tuple(f"pairs@{one}" for one in looked_in)
    settings = config.model_dump(mode="json") | {"trained_on": [*learned[encoder].pairs]}
    if store.already_published("evaluation", version, settings, inputs):
        return store.manifest("evaluation", version)
    found = held_out(store, embeddings_version, pairs_version, config.split)
    pairs = store.open("pairs", pairs_version)
    captions = split_captions(pairs, config.split)
    ranked_by = partial(recall, ks=config.ks, tile=config.tile, device=device, rank=rank)
    results = {
        name: ranked_by(found.images, found.texts, groups=right)
        for name, right in (("of_pairs", None), ("of_captions", caption_groups(captions)))
    }
    leaks = leaks_of(store, learned, lambda: {"": marks_of_pairs(pairs, config.split)})[encoder]
    num_leaked = None if leaks is None else len(leaks[""])
    lines = [line_of(store, embeddings_version, results["of_pairs"])]
    for other in beside:
        theirs = held_out(store, other, pairs_of(store, other), config.split)
        lines.append(line_of(store, other, ranked_by(theirs.images, theirs.texts)))
    short = None
    if config.with_graph:
        own, exact = np.arange(len(found.pair_ids)), results["of_pairs"]
        short = approximate_recall(found.images, found.texts, exact, groups=own, graph=config.graph)
    with store.publishing("evaluation", version, config=settings, inputs=inputs) as publication:
        text = report_text(results["of_pairs"], results["of_captions"], split=config.split)
        text += "" if short is None else f"\n{approximate_text(short)}\n"
        text += f"\n{leakage_text(num_leaked, learned[encoder])}\n"
        if beside:
            text += f"\nRecall@k beside other encoders and pairs:\n\n{beside_table(lines)}\n"
        publication.folder.write(TABLE_FILE, text.encode())
        numbers: dict[str, Any] = {name: asdict(result) for name, result in results.items()}
        numbers["approximate"] = None if short is None else asdict(short)
        numbers["num_leaked"] = num_leaked
        numbers["beside"] = [asdict(line) for line in lines]
        publication.folder.write(JSON_FILE, json.dumps(numbers, indent=1).encode())
        ranked = grid_ranking(found, captions, config)
        images = split_images(pairs, config.split, {n for row in ranked for n in row.shown})
        rows = [_grid_row(row, captions, images) for row in ranked]
        publication.folder.write(GRID_FILE, draw_grid(rows))
        publication.counts.update(_counts(results["of_pairs"]))
        if beside:
            publication.counts["beside"] = [_line_counts(line) for line in lines]
    return store.manifest("evaluation", version)


def recall_table(result: RetrievalResult) -> str:
    """Recall both ways beside chance, as a table that reads well raw and as Markdown."""
    header = ["", "text → image", "image → text", "chance", "text → image", "image → text"]
    rows = [header]
    for k, chance in result.chance.items():
        ways = [way.expected[k] for way in (result.text_to_image, result.image_to_text)]
        times = [f"{share / chance:.1f} × chance" for share in ways]
        rows.append([f"recall@{k}", *map(percent, ways), percent(chance), *times])
    return markdown(rows)


def report_text(of_pairs: RetrievalResult, of_captions: RetrievalResult, *, split: str) -> str:
    """The table, and what ties and repeated captions make of it."""
    ways = {"text → image": of_pairs.text_to_image, "image → text": of_pairs.image_to_text}
    first = min(of_pairs.chance)
    lines = [f"{of_pairs.num_pairs:,} pairs of the {split} split, each searched among all of them."]
    lines += ["", recall_table(of_pairs), ""]
    for name, way in ways.items():
        line = f"{name}: median rank {way.median_rank:g}"
        if way.num_tied_queries:
            low, high = percent(way.pessimistic[first]), percent(way.optimistic[first])
            line += (
                f"; {way.num_tied_queries:,} queries tie (their expected value is counted; "
                f"recall@{first} lies between {low} and {high})"
            )
        lines.append(f"{line}.")
    if of_captions.chance != of_pairs.chance:
        shares = (of_captions.text_to_image, of_captions.image_to_text)
        lines.append(
            f"With every figure of an identical caption counted as right, recall@{first} is "
            f"{percent(shares[0].expected[first])} text → image and "
            f"{percent(shares[1].expected[first])} image → text."
        )
    return "\n".join(lines) + "\n"


def approximate_text(found: ApproximateRecall) -> str:
    """A sentence: what a graph of near neighbours finds, and what it loses."""
    each = [
        f"recall@{k} {percent(found.text_to_image[k])} text → image and "
        f"{percent(found.image_to_text[k])} image → text, at most {100 * loss:.2f} points below"
        for k, loss in found.loss.items()
    ]
    return f"A graph of near neighbours (HNSW) finds {'; '.join(each)} the exact search."


def leakage_text(num_leaked: int | None, learned: Learned) -> str:
    if num_leaked is None:
        return f"Pictures were {learned.in_words}."
    return f"The encoder has learned from {num_leaked:,} of these pictures ({learned.in_words})."


@dataclass(frozen=True)
class RankedQuery:
    """A caption, by its number, and the numbers of the figures nearest to it."""

    query: int
    shown: tuple[int, ...]
    scores: tuple[float, ...]
    rank: int
    """Place of its own figure, from 1; of equal scores the lower number comes first."""


def grid_ranking(
    found: Embeddings, captions: Sequence[str], config: EvaluationConfig
) -> list[RankedQuery]:
    """Some captions, no two alike, drawn by the seed, and the figures nearest to each."""
    _, distinct = np.unique(captions, return_index=True)
    num = min(config.num_queries, len(distinct))
    chosen = np.random.default_rng(config.seed).choice(np.sort(distinct), num, replace=False)
    ranked = []
    for query in map(int, chosen):
        scores = found.images.astype(np.float64) @ found.texts[query].astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        shown = order[: config.num_shown]
        rank = int(np.flatnonzero(order == query)[0]) + 1
        ranked.append(
            RankedQuery(query, tuple(shown.tolist()), tuple(scores[shown].tolist()), rank)
        )
    return ranked


def split_captions(pairs: Folder, split: str) -> list[str]:
    """Every caption of a split, in the order of its pairs."""
    names = split_files(pairs, [split])
    return [text for name in names for text in read_table(pairs, name, ["caption"])[0].to_pylist()]


def split_images(pairs: Folder, split: str, numbers: set[int]) -> dict[int, bytes]:
    """The images of some pairs of a split, by their numbers; other files are not read."""
    images: dict[int, bytes] = {}
    start = 0
    for name in split_files(pairs, [split]):
        end = start + num_rows(pairs, name)
        here = sorted(number for number in numbers if start <= number < end)
        if here:
            column = read_table(pairs, name, ["image"])[0]
            images |= {number: column[number - start].as_py() for number in here}
        start = end
    return images


def _grid_row(row: RankedQuery, captions: Sequence[str], images: Mapping[int, bytes]) -> GridRow:
    """A figure whose caption reads the same is right as well."""
    caption = captions[row.query]
    return GridRow(
        caption=caption,
        images=tuple(images[number] for number in row.shown),
        scores=row.scores,
        is_right=tuple(captions[number] == caption for number in row.shown),
        rank=row.rank,
        num_candidates=len(captions),
    )


def _counts(result: RetrievalResult) -> dict[str, Any]:
    ways = {"text_to_image": result.text_to_image, "image_to_text": result.image_to_text}
    counts: dict[str, Any] = {"num_pairs": result.num_pairs}
    for k, chance in result.chance.items():
        counts |= {f"{name}_recall_at_{k}": way.expected[k] for name, way in ways.items()}
        counts[f"chance_at_{k}"] = chance
        lesser = min(way.expected[k] for way in ways.values())
        counts[f"recall_at_{k}_over_chance"] = lesser / chance
    return counts


def _line_counts(line: Line) -> dict[str, Any]:
    names = {"pairs": line.pairs, "encoder": line.encoder, "learned_from": line.learned_from}
    return names | {"samples_seen": line.num_samples} | _counts(line.result)
