"""Recall of several embeddings in one table: other encoders, and other pairs, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from figclip.config import UsageError
from figclip.embedding.vectors import (
    Embeddings,
    check_same_pairs,
    read_embeddings,
    split_files,
)
from figclip.evaluation.retrieval import RetrievalResult
from figclip.statistics.wording import markdown
from figclip.store import Store


@dataclass(frozen=True)
class Line:
    """What one encoder finds among some held-out pairs."""

    pairs: str
    """Version of the pairs that are searched."""
    encoder: str
    learned_from: tuple[str, ...]
    """Versions of the pairs that the encoder was trained on; empty where its store is another."""
    num_samples: int | None
    """Images that it saw in training, one that came again counted again."""
    result: RetrievalResult


def pairs_of(store: Store, embeddings_version: str) -> str:
    """The version of the pairs that were embedded."""
    return _input(store, embeddings_version, "pairs")


def encoder_of(store: Store, embeddings_version: str) -> str:
    """The version of the encoder that made some embeddings."""
    return _input(store, embeddings_version, "encoder")


def held_out(store: Store, embeddings_version: str, pairs_version: str, split: str) -> Embeddings:
    """The embeddings of a split; `UsageError` where they are of other pairs, or of none."""
    if pairs_of(store, embeddings_version) != pairs_version:
        raise UsageError(
            f"embeddings@{embeddings_version} were not made from pairs@{pairs_version}: name the "
            f"pairs they are of"
        )
    pairs = store.open("pairs", pairs_version)
    embeddings = store.open("embeddings", embeddings_version)
    check_same_pairs(pairs, embeddings, split_files(embeddings, [split]))
    return read_embeddings(store, embeddings_version, split)


def line_of(store: Store, embeddings_version: str, result: RetrievalResult) -> Line:
    """The result beside what the manifests say of its encoder."""
    encoder = encoder_of(store, embeddings_version)
    line = Line(pairs_of(store, embeddings_version), encoder, (), None, result)
    if not store.is_published("encoder", encoder):
        return line
    manifest = store.manifest("encoder", encoder)
    learned_from = tuple(name.partition("@")[2] for name in manifest.inputs)
    return Line(line.pairs, encoder, learned_from, manifest.counts.get("samples_seen"), result)


def beside_table(lines: Sequence[Line]) -> str:
    """A line for each encoder and each set of pairs, as Markdown that reads well raw."""
    ks = list(lines[0].result.chance)
    header = ["searched", "encoder", "learned from", "samples"]
    header += [f"{way} @{k}" for way in ("text → image", "image → text") for k in ks]
    rows = [[*header, f"chance @{ks[0]}"]]
    for line in lines:
        result = line.result
        ways = (result.text_to_image, result.image_to_text)
        shares = [way.expected[k] for way in ways for k in ks]
        rows.append(
            [
                f"{result.num_pairs:,} of {line.pairs}",
                line.encoder,
                " + ".join(line.learned_from) or "?",
                f"{line.num_samples:,}" if line.num_samples is not None else "?",
                *(percent(share) for share in (*shares, result.chance[ks[0]])),
            ]
        )
    return markdown(rows)


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _input(store: Store, embeddings_version: str, name: str) -> str:
    """The version of that input of some embeddings."""
    inputs = store.manifest("embeddings", embeddings_version).inputs
    return next(each.partition("@")[2] for each in inputs if each.startswith(f"{name}@"))
