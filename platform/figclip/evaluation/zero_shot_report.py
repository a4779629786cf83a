"""The `evaluation` artifact of zero-shot classification: every encoder and set in one table."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from figclip.config import Config
from figclip.evaluation.bootstrap import Interval
from figclip.evaluation.classification import METRIC_WORDS
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.published import BIOMEDCLIP_224, PAPER
from figclip.evaluation.embedded import marks_seen, seeing
from figclip.evaluation.leakage import (
    Leaks,
    Learned,
    among,
    leaked_cell,
    learned_by,
    said_of,
    versions_of,
)
from figclip.evaluation.sources import begun, made_by, opened_encoders, published_as
from figclip.evaluation.zero_shot import ZeroShotResult, measures_of, zero_shot
from figclip.statistics.wording import markdown, per_cent
from figclip.store import Manifest, Store

TABLE_FILE, JSON_FILE = "zero_shot.md", "zero_shot.json"


class ZeroShotConfig(Config):
    """How it is measured."""

    num_resamples: PositiveInt = 2_000
    """Of the pictures, for the 95 % intervals."""
    seed: NonNegativeInt = 0
    """Draws them."""
    batch_size: PositiveInt = 64
    """Pictures that go through the tower at once."""


def evaluate_zero_shot(
    store: Store,
    *,
    encoders: Sequence[str],
    data: str,
    datasets: Sequence[Dataset],
    version: str,
    config: ZeroShotConfig,
    command: str,
    trained_on: Sequence[str] = (),
    device: str = "cpu",
) -> Manifest:
    """Publish `evaluation/{version}`: `zero_shot.md` and `zero_shot.json`.

    An encoder is a version of the store's, or a folder or `OWNER/NAME` that `Encoder.open` takes.
    Its pictures are looked for in the pairs that it has learned from: `trained_on` for the first,
    where its manifest does not name them. It is not made again where the same encoders, files and
    settings were published under this version.
    """
    learned = learned_by(store, encoders, trained_on)
    settings, inputs = begun(
        store, encoders, datasets, data, config, trained_on=versions_of(learned)
    )
    if store.already_published("evaluation", version, settings, inputs):
        return store.manifest("evaluation", version)
    leaks, results = Leaks(store, learned), dict[str, list[ZeroShotResult]]()
    for name, encoder in opened_encoders(store, encoders, device=device):
        see = seeing(encoder, data, batch_size=config.batch_size)
        leaked = leaks.of(name, partial(marks_seen, see, datasets))
        results[name] = [
            zero_shot(
                encoder,
                dataset,
                data,
                num_resamples=config.num_resamples,
                seed=config.seed,
                see=see,
                leaked=among(leaked, dataset.title),
            )
            for dataset in datasets
        ]
    numbers = {name: [plain_result(one) for one in found] for name, found in results.items()}
    counts = {name: measures_of(found) for name, found in results.items()}
    text = f"{zero_shot_text(results, learned)}\n{made_by(command)}\n"
    files = {TABLE_FILE: text, JSON_FILE: json.dumps(numbers, indent=1)}
    return published_as(store, version, settings, inputs, files=files, counts=counts)


def zero_shot_text(
    results: Mapping[str, Sequence[ZeroShotResult]], learned: Mapping[str, Learned]
) -> str:
    """The paper's table, what stands behind each number, and who was taken for whom."""
    parts = ["# Zero-shot classification", summary_table(results), detail_table(results)]
    parts += [said_of(learned)]
    parts += [
        f"## {result.dataset.title}, {name}\n\n{confusion_table(result)}"
        for name, found in results.items()
        for result in found
    ]
    return "\n\n".join(parts) + "\n"


def summary_table(results: Mapping[str, Sequence[ZeroShotResult]]) -> str:
    """A line an encoder, a column a set, in per cent; below them the paper's own line.

    The paper's numbers stand under its own sets alone, declared as they were there.
    """
    sets = [result.dataset for result in next(iter(results.values()))]
    head = [
        "",
        *(f"{one.title}, {METRIC_WORDS[one.metric]} (%)" for one in sets),
        "mean of the paper's",
    ]
    rows = [head]
    for name, found in results.items():
        mean = measures_of(list(found)).get("zero_shot_mean")
        rows.append([name, *(per_cent(result.value) for result in found), per_cent(mean)])
    theirs = [BIOMEDCLIP_224[one.name] if one in PAPER else None for one in sets]
    if any(number is not None for number in theirs):
        cells = ["–" if number is None else f"{number:.2f}" for number in theirs]
        rows.append(["BiomedCLIP (paper, Table 5)", *cells, f"{BIOMEDCLIP_224['mean']:.2f}"])
    return markdown(rows)


def detail_table(results: Mapping[str, Sequence[ZeroShotResult]]) -> str:
    """A line for each measure of each set and encoder, with all that it depends on."""
    head = ["set", "encoder", "measure", "%", "95 % interval", "n", "unreadable", "leaked"]
    rows = [[*head, "% without", "cut prompts", "pictures"]]
    for name, found in results.items():
        for result in found:
            facts = [f"{result.num_images:,}", f"{result.num_unreadable:,}"]
            facts += [leaked_cell(result.num_leaked)]
            last = [str(result.num_cut_prompts), result.checksum[:12]]
            for measure, value in result.values.items():
                named = [result.dataset.title, name, measure]
                number = [per_cent(value), _interval(result.intervals.get(measure))]
                rows.append(
                    [*named, *number, *facts, per_cent(result.unleaked.get(measure)), *last]
                )
    return markdown(rows)


def confusion_table(result: ZeroShotResult) -> str:
    """A line a true class, a column what it was taken for."""
    labels = result.dataset.labels
    rows = [["", *labels]]
    rows += [
        [label, *(f"{number:,}" for number in line)]
        for label, line in zip(labels, result.confusion.tolist(), strict=True)
    ]
    return markdown(rows)


def plain_result(result: ZeroShotResult) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "set": result.dataset.model_dump(mode="json"),
        "encoder": result.encoder,
        "num_images": result.num_images,
        "num_unreadable": result.num_unreadable,
        "unreadable": dict(result.unreadable),
        "num_leaked": result.num_leaked,
        "unleaked": dict(result.unleaked),
        "num_cut_prompts": result.num_cut_prompts,
        "checksum": result.checksum,
        "values": dict(result.values),
        "intervals": {name: [one.low, one.high] for name, one in result.intervals.items()},
        "confusion": result.confusion.tolist(),
    }


def _interval(found: Interval | None) -> str:
    return "–" if found is None else found.in_per_cent
