"""The `evaluation` artifact of linear probing: every encoder, set and share in one table."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from figclip.config import Config
from figclip.embedding.encoder import Encoder
from figclip.evaluation.classification import METRIC_WORDS
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.embedded import EmbeddedSet, embed_set, is_among
from figclip.evaluation.leakage import (
    Learned,
    among,
    leaked_cell,
    leaks_of,
    learned_by,
    marks_in,
    said_of,
    versions_of,
)
from figclip.evaluation.probing import ShareResult, probed
from figclip.evaluation.sources import begun, opened_encoders, published_as
from figclip.statistics.wording import markdown, per_cent
from figclip.store import Manifest, Store

log = logging.getLogger(__name__)

TABLE_FILE, JSON_FILE = "probe.md", "probe.json"

Share = Annotated[float, Field(gt=0, le=1)]


class ProbeConfig(Config):
    """How much is learned from, and how it is measured."""

    shares: tuple[Share, ...] = Field(default=(0.01, 0.1, 1.0), min_length=1)
    """Of the training pictures of every class."""
    num_seeds: PositiveInt = 5
    """Subsets of each share, drawn by the seeds from 0 on."""
    max_iterations: PositiveInt = 1_000
    """Of L-BFGS, for each fit."""
    num_resamples: PositiveInt = 2_000
    """Of the test pictures, for the 95 % intervals."""
    batch_size: PositiveInt = 64
    """Pictures that go through the tower at once."""


@dataclass(frozen=True)
class ProbeResult:
    """What can be learned from an encoder's vectors of one set."""

    dataset: Dataset
    encoder: str
    train: EmbeddedSet
    test: EmbeddedSet
    shares: tuple[ShareResult, ...]
    num_leaked: int | None = None
    """Of the test pictures, those that the encoder has learned from; None where not known."""


def probe(
    encoder: Encoder,
    dataset: Dataset,
    data: str,
    config: ProbeConfig,
    *,
    leaked: Collection[str] | None = None,
) -> ProbeResult:
    """Judge an encoder by linear classifiers on a set below the folder `data`; of its test pictures
    it has itself learned from those that `leaked`.

    `UsageError` where files are missing, the set has no part to learn from, no picture of some
    class can be read, or the encoder gives no numbers.
    """
    train, test = (
        embed_set(encoder, part, data, batch_size=config.batch_size)
        for part in (dataset.training, dataset)
    )
    is_leaked = is_among(test.names, leaked or ())
    found = []
    for share in config.shares:
        log.info("%s, %s: learning from %g of it", encoder.name, dataset.title, share)
        found.append(
            probed(
                (train.vectors, train.labels),
                (test.vectors, test.labels),
                share=share,
                seeds=range(config.num_seeds),
                metric=dataset.metric,
                max_iterations=config.max_iterations,
                num_resamples=config.num_resamples,
                left_out=is_leaked,
            )
        )
    num_leaked = None if leaked is None else int(is_leaked.sum())
    return ProbeResult(dataset, encoder.name, train, test, tuple(found), num_leaked)


def evaluate_probe(
    store: Store,
    *,
    encoders: Sequence[str],
    data: str,
    datasets: Sequence[Dataset],
    version: str,
    config: ProbeConfig,
    trained_on: Sequence[str] = (),
    device: str = "cpu",
) -> Manifest:
    """Publish `evaluation/{version}`: `probe.md` and `probe.json`; as `evaluate_zero_shot` does."""
    learned = learned_by(store, encoders, trained_on)
    settings, inputs = begun(
        store, encoders, datasets, data, config, trained_on=versions_of(learned)
    )
    if store.already_published("evaluation", version, settings, inputs):
        return store.manifest("evaluation", version)
    leaks = leaks_of(store, learned, partial(marks_in, data, (), datasets))
    results = {
        name: [
            probe(encoder, one, data, config, leaked=among(leaks[name], one.title))
            for one in datasets
        ]
        for name, encoder in opened_encoders(store, encoders, device=device)
    }
    numbers = {name: [plain_probe(one) for one in found] for name, found in results.items()}
    counts = {name: measures_of(found) for name, found in results.items()}
    files = {TABLE_FILE: probe_text(results, learned), JSON_FILE: json.dumps(numbers, indent=1)}
    return published_as(store, version, settings, inputs, files=files, counts=counts)


def measures_of(results: Sequence[ProbeResult]) -> dict[str, float]:
    """Flat: `probe_pcam_at_0.01` and so on, of each set's own metric."""
    return {
        f"probe_{result.dataset.name}_at_{share.share:g}": share.values[result.dataset.metric]
        for result in results
        for share in result.shares
    }


def probe_text(results: Mapping[str, Sequence[ProbeResult]], learned: Mapping[str, Learned]) -> str:
    """A table in the layout of the paper's Fig. 3 C and D, and what stands behind each number."""
    parts = ["# Linear probing", probe_table(results), NOTE, probe_detail_table(results)]
    parts += [said_of(learned)]
    return "\n\n".join(parts) + "\n"


NOTE = (
    "Mean ± standard deviation over the seeds' subsets. Logistic regression by L-BFGS; its penalty "
    "is chosen on pictures held out of each subset (five stratified folds, of more than 10,000 "
    "pictures one), then it is fitted to all of the subset."
)


def probe_table(results: Mapping[str, Sequence[ProbeResult]]) -> str:
    """A line an encoder, a column for each set and share, in per cent."""
    first = next(iter(results.values()))
    head = [f"{one.dataset.title}, {share.share:.4g}" for one in first for share in one.shares]
    metrics = [one.dataset.metric for one in first for _ in one.shares]
    rows = [["", *map(_headed, head, metrics)]]
    for name, found in results.items():
        cells = [
            f"{100 * share.values[metric]:.2f} ± {100 * share.deviations[metric]:.2f}"
            for one in found
            for metric in [one.dataset.metric]
            for share in one.shares
        ]
        rows.append([name, *cells])
    return markdown(rows)


def probe_detail_table(results: Mapping[str, Sequence[ProbeResult]]) -> str:
    """A line for each measure of each share, with all that it depends on."""
    head = ["set", "encoder", "learned from", "measure", "%", "deviation", "95 % interval", "n"]
    rows = [
        [*head, "unreadable", "leaked", "% without", "C", "not converged", "learned", "pictures"]
    ]
    for name, found in results.items():
        rows += [
            [one.dataset.title, name, *cells, one.train.checksum[:12], one.test.checksum[:12]]
            for one in found
            for share in one.shares
            for cells in _share_rows(one, share)
        ]
    return markdown(rows)


def plain_probe(result: ProbeResult) -> dict[str, Any]:
    """As JSON has it."""
    parts = {
        name: {
            "num_images": len(part.labels),
            "num_unreadable": part.num_unreadable,
            "unreadable": dict(part.unreadable),
            "checksum": part.checksum,
        }
        for name, part in (("train", result.train), ("test", result.test))
    }
    shares = [
        {
            "share": share.share,
            "values": dict(share.values),
            "deviations": dict(share.deviations),
            "unleaked": dict(share.unleaked),
            "intervals": {name: [one.low, one.high] for name, one in share.intervals.items()},
            "fits": [vars(fit) for fit in share.fits],
        }
        for share in result.shares
    ]
    named = {"set": result.dataset.model_dump(mode="json"), "encoder": result.encoder}
    return named | parts | {"num_leaked": result.num_leaked, "shares": shares}


def _headed(title: str, metric: str) -> str:
    name, _, share = title.rpartition(", ")
    return f"{name}, {100 * float(share):.3g} %: {METRIC_WORDS[metric]} (%)"


def _share_rows(result: ProbeResult, share: ShareResult) -> list[list[str]]:
    sizes = sorted({fit.num_train for fit in share.fits})
    penalties = sorted({fit.c for fit in share.fits})
    ends = " … ".join(f"{c:.2g}" for c in dict.fromkeys((penalties[0], penalties[-1])))
    facts = [f"{len(result.test.labels):,}", f"{result.train.num_unreadable}"]
    facts[1] += f" + {result.test.num_unreadable}"
    facts += [leaked_cell(result.num_leaked)]
    short = sum(not fit.is_converged for fit in share.fits)
    rows = []
    for name, value in share.values.items():
        found = share.intervals.get(name)
        interval = "–" if found is None else found.in_per_cent
        size = f"{100 * share.share:.3g} %: {sizes[0]:,}"
        numbers = [f"{100 * value:.2f}", f"{100 * share.deviations[name]:.2f}", interval]
        facts_of_it = [*facts, per_cent(share.unleaked.get(name))]
        rows.append([size, name, *numbers, *facts_of_it, ends, f"{short} of {len(share.fits)}"])
    return rows
