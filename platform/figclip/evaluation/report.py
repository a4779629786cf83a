"""The `evaluation` artifact: recall as a table and as JSON, and the grid of figures found."""

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from figclip.config import Config
from figclip.embedding.vectors import Embeddings
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
from figclip.evaluation.compare import hits_of
from figclip.evaluation.grid import draw_grid
from figclip.evaluation.grid_rows import (
    RankedQuery,
    grid_queries,
    grid_ranking,
    grid_rows,
    split_captions,
)
from figclip.evaluation.leakage import (
    Leaks,
    Learned,
    among,
    learned_by,
    marks_of_pairs,
)
from figclip.evaluation.marks import Marks
from figclip.evaluation.measures import Measure, of_hits
from figclip.evaluation.ranking import SIDE, rank_both_ways
from figclip.evaluation.retrieval import (
    Rank,
    RetrievalResult,
    caption_groups,
    check_vectors,
    recall,
    result_of,
)
from figclip.evaluation.sources import made_by, pairs_digest
from figclip.evaluation.whole_report import detail_table
from figclip.schema import Split
from figclip.statistics.wording import markdown
from figclip.store import Manifest, Store

log = logging.getLogger(__name__)

TABLE_FILE, JSON_FILE, GRID_FILE = "recall.md", "recall.json", "grid.png"
DETAILS = "## Every number"
"""What follows it in the table's file is all that each number depends on."""


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
    num_resamples: PositiveInt = 2_000
    """Of the pairs, for the 95 % intervals."""
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
    command: str,
    beside: Sequence[str] = (),
    trained_on: Sequence[str] = (),
    device: str = "cpu",
    rank: Rank = rank_both_ways,
) -> Manifest:
    """Publish `evaluation/{version}`: `recall.md`, `recall.json` and `grid.png`.

    `beside` are versions of other embeddings, of other encoders or of other pairs, whose recall on
    the same split stands in a second table; `rank` searches. The split's pictures are looked for in
    the pairs that each encoder has learned from: `trained_on` of the first, else those of its
    manifest. `UsageError` where the split holds no pair, or the embeddings are of other pairs.
    """
    versions = (embeddings_version, *beside)
    encoders = [*dict.fromkeys(encoder_of(store, one) for one in versions)]
    learned = learned_by(store, encoders, trained_on)
    looked_in = dict.fromkeys(pairs for one in learned.values() for pairs in one.pairs)
    others = [f"embeddings@{one}" for one in beside]
    others += [f"pairs@{one}" for one in looked_in if one != pairs_version]
    inputs = (f"embeddings@{embeddings_version}", f"pairs@{pairs_version}", *others)
    settings = config.model_dump(mode="json") | {"trained_on": [*learned[encoders[0]].pairs]}
    if store.already_published("evaluation", version, settings, inputs):
        return store.manifest("evaluation", version)
    found = held_out(store, embeddings_version, pairs_version, config.split)
    pairs = store.open("pairs", pairs_version)
    captions = split_captions(pairs, config.split)
    ranked_by = partial(recall, ks=config.ks, tile=config.tile, device=device, rank=rank)
    of_captions = ranked_by(found.images, found.texts, groups=caption_groups(captions))
    queries = grid_queries(captions, num=config.num_queries, seed=config.seed)
    leaks = Leaks(store, learned)
    marks = partial(_marks, store, {pairs_of(store, one) for one in versions}, config.split)
    lines, measures, shown = [], list[Measure](), dict[str, list[RankedQuery]]()
    for one in versions:
        place = pairs_of(store, one)
        held = found if one == embeddings_version else held_out(store, one, place, config.split)
        leaked = among(leaks.of(encoder_of(store, one), marks), place)
        line, numbers = _searched(store, one, held, leaked, config, device=device, rank=rank)
        lines.append(line)
        measures += numbers
        if place == pairs_version:
            shown[line.encoder] = grid_ranking(held, queries, num_shown=config.num_shown)
    own, exact = np.arange(len(found.pair_ids)), lines[0].result
    short = (
        approximate_recall(found.images, found.texts, exact, groups=own, graph=config.graph)
        if config.with_graph
        else None
    )
    report = Report(exact, of_captions, short, lines, measures, learned[encoders[0]], command)
    with store.publishing("evaluation", version, config=settings, inputs=inputs) as publication:
        publication.folder.write(TABLE_FILE, whole_text(report, config.split).encode())
        publication.folder.write(JSON_FILE, json.dumps(_plain(report), indent=1).encode())
        rows = grid_rows(shown, pairs, config.split, captions)
        publication.folder.write(GRID_FILE, draw_grid(rows))
        publication.counts.update(_counts(exact))
        if beside:
            publication.counts["beside"] = [_line_counts(line) for line in lines]
    return store.manifest("evaluation", version)


@dataclass(frozen=True)
class Report:
    """All that an evaluation found."""

    of_pairs: RetrievalResult
    of_captions: RetrievalResult
    approximate: ApproximateRecall | None
    lines: Sequence[Line]
    """Of all embeddings, the first of which it is about."""
    measures: Sequence[Measure]
    """Of all of them, number by number."""
    learned: Learned
    """What is known of the pictures that the first encoder has learned from."""
    command: str


def _marks(store: Store, versions: Collection[str], split: Split) -> dict[str, Marks]:
    """Of the pairs that are searched, by their versions."""
    return {one: marks_of_pairs(store.open("pairs", one), split) for one in sorted(versions)}


def _searched(
    store: Store,
    version: str,
    held: Embeddings,
    leaked: Collection[str] | None,
    config: EvaluationConfig,
    *,
    device: str,
    rank: Rank,
) -> tuple[Line, list[Measure]]:
    """What some embeddings find among their own pairs, of whose pictures some have `leaked`."""
    place = pairs_of(store, version)
    check_vectors(held.images, held.texts)
    own = np.arange(len(held.pair_ids))
    forth, back = rank(held.images, held.texts, groups=own, tile=config.tile, device=device)
    line = line_of(store, version, result_of(forth, back, groups=own, ks=config.ks))
    measures = of_hits(
        hits_of(forth, back, ks=config.ks),
        title=f"{place}, {config.split}",
        names=held.pair_ids,
        of=version,
        encoder=f"encoder@{line.encoder}",
        checksum=pairs_digest(store.open("pairs", place), config.split),
        num_resamples=config.num_resamples,
        leaked=leaked,
    )
    return line, [*measures]


def whole_text(report: Report, split: str) -> str:
    """As Markdown: recall, what ties and a graph make of it, and all that each number depends
    on."""
    parts = [report_text(report.of_pairs, report.of_captions, split=split)]
    parts += [f"{approximate_text(report.approximate)}\n"] if report.approximate else []
    parts += [f"{leakage_text(report.measures[0].num_leaked, report.learned)}\n"]
    if len(report.lines) > 1:
        table = beside_table(report.lines)
        parts += [f"Recall@k beside other encoders and pairs:\n\n{table}\n"]
    details = detail_table(report.measures).as_markdown()
    return "\n".join([*parts, f"{DETAILS}\n\n{details}\n\n{made_by(report.command)}\n"])


def _plain(report: Report) -> dict[str, Any]:
    """As JSON has it."""
    short = report.approximate
    return {
        "of_pairs": asdict(report.of_pairs),
        "of_captions": asdict(report.of_captions),
        "approximate": None if short is None else asdict(short),
        "num_leaked": report.measures[0].num_leaked,
        "beside": [asdict(line) for line in report.lines],
        "measures": [one.model_dump(mode="json") for one in report.measures],
        "command": report.command,
    }


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
