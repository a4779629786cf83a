"""The `evaluation` artifact of probing: every encoder, set, share and method in one table."""

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from figclip.config import Config
from figclip.embedding.encoder import Encoder
from figclip.evaluation.classification import METRIC_WORDS
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.embedded import EmbeddedSet, See, is_among, marks_seen, seeing
from figclip.evaluation.fine_tuning import TuneConfig, pictures_of, tuning_learner
from figclip.evaluation.leakage import (
    REPEATED,
    Leaks,
    Learned,
    among,
    leaked_cell,
    learned_by,
    said_of,
    versions_of,
)
from figclip.evaluation.logistic import logistic_learner
from figclip.evaluation.marks import repeated
from figclip.evaluation.probing import Learner, Method, ShareResult, probed
from figclip.evaluation.sgd_probe import sgd_learner
from figclip.evaluation.sources import begun, made_by, opened_encoders, published_as
from figclip.statistics.wording import markdown, per_cent
from figclip.store import Manifest, Store

log = logging.getLogger(__name__)

TABLE_FILE, JSON_FILE = "probe.md", "probe.json"

Share = Annotated[float, Field(gt=0, le=1)]


class ProbeConfig(Config):
    """How much is learned from, by what, and how it is measured."""

    methods: tuple[Method, ...] = Field(default=("lbfgs",), min_length=1)
    """How it is learned: `lbfgs` and `sgd` fit a linear classifier to the vectors, by logistic
    regression or by ELEVATER's recipe; `fine_tune` trains the image tower as well."""
    tune: TuneConfig = TuneConfig()
    """Of `fine_tune`."""
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
    num_repeated: int = 0
    """Of the test pictures, those that are in the training part as well."""


def probe(
    encoder: Encoder,
    dataset: Dataset,
    data: str,
    config: ProbeConfig,
    *,
    see: See | None = None,
    leaked: Collection[str] | None = None,
) -> ProbeResult:
    """Judge an encoder by what learns from it, on a set below the folder `data`, whose pictures
    `see` may know already; of its test pictures it has itself learned from those that `leaked`.

    `UsageError` where files are missing, the set has no part to learn from, no picture of some
    class can be read, or the encoder gives no numbers.
    """
    see = see or seeing(encoder, data, batch_size=config.batch_size)
    train, test = see(dataset.training), see(dataset)
    is_leaked = is_among(test.names, leaked or ())
    is_repeated = repeated(test.marks, train.marks)
    if num_repeated := int(is_repeated.sum()):
        words = "%s: %d of %d test pictures are in the training part, too"
        log.warning(words, dataset.title, num_repeated, len(test.names))
    found = []
    with ExitStack() as open_files:
        learners = _learners(encoder, dataset, data, (train, test), config, open_files)
        for method, learn in learners:
            for share in config.shares:
                log.info("%s, %s: %s of %g of it", encoder.name, dataset.title, method, share)
                found.append(
                    probed(
                        train.labels,
                        test.labels,
                        learn,
                        method=method,
                        share=share,
                        seeds=range(config.num_seeds),
                        num_resamples=config.num_resamples,
                        left_out=is_leaked | is_repeated,
                    )
                )
    num_leaked = None if leaked is None else int(is_leaked.sum())
    return ProbeResult(dataset, encoder.name, train, test, tuple(found), num_leaked, num_repeated)


def _learners(
    encoder: Encoder,
    dataset: Dataset,
    data: str,
    parts: tuple[EmbeddedSet, EmbeddedSet],
    config: ProbeConfig,
    open_files: ExitStack,
) -> Iterator[tuple[Method, Learner]]:
    """`open_files` closes what pictures are read from."""
    (train, test), metric = parts, dataset.metric
    known = train.vectors, train.labels
    for method in config.methods:
        match method:
            case "lbfgs":
                most = config.max_iterations
                learner = logistic_learner(known, test.vectors, metric=metric, max_iterations=most)
            case "sgd":
                learner = sgd_learner(known, test.vectors, metric=metric)
            case "fine_tune":
                pictures = (
                    open_files.enter_context(pictures_of(encoder, part, data, found))
                    for part, found in ((dataset.training, train), (dataset, test))
                )
                size = config.batch_size
                learner = tuning_learner(
                    encoder, *pictures, metric=metric, config=config.tune, at_once=size
                )
        yield method, learner


def evaluate_probe(
    store: Store,
    *,
    encoders: Sequence[str],
    data: str,
    datasets: Sequence[Dataset],
    version: str,
    config: ProbeConfig,
    command: str,
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
    leaks, results = Leaks(store, learned), dict[str, list[ProbeResult]]()
    for name, encoder in opened_encoders(store, encoders, device=device):
        see = seeing(encoder, data, batch_size=config.batch_size)
        leaked = leaks.of(name, partial(marks_seen, see, datasets))
        results[name] = [
            probe(encoder, one, data, config, see=see, leaked=among(leaked, one.title))
            for one in datasets
        ]
    numbers = {name: [plain_probe(one) for one in found] for name, found in results.items()}
    counts = {name: measures_of(found) for name, found in results.items()}
    text = f"{probe_text(results, learned)}\n{made_by(command)}\n"
    files = {TABLE_FILE: text, JSON_FILE: json.dumps(numbers, indent=1)}
    return published_as(store, version, settings, inputs, files=files, counts=counts)


def measures_of(results: Sequence[ProbeResult]) -> dict[str, float]:
    """Flat: `probe_pcam_at_0.01`, `sgd_pcam_at_0.01` and so on, of each set's own metric."""
    return {
        f"{COUNTED_AS[share.method]}_{result.dataset.name}_at_{share.share:g}": share.values[
            result.dataset.metric
        ]
        for result in results
        for share in result.shares
    }


def probe_text(results: Mapping[str, Sequence[ProbeResult]], learned: Mapping[str, Learned]) -> str:
    """A table in the layout of the paper's Fig. 3 C and D, and what stands behind each number."""
    shares = [share for found in results.values() for one in found for share in one.shares]
    notes = [NOTE, *(NOTES[method] for method in dict.fromkeys(one.method for one in shares))]
    parts = ["# Probing", probe_table(results), " ".join(notes), probe_detail_table(results)]
    parts += [REPEATED, said_of(learned)]
    return "\n\n".join(parts) + "\n"


NOTE = (
    "Mean ± standard deviation over the seeds' subsets. What is chosen is chosen on pictures held "
    "out of each subset (five stratified folds, of more than 10,000 pictures one)."
)
NOTES: Mapping[Method, str] = {
    "lbfgs": "Logistic regression by L-BFGS: its penalty is chosen, then it is fitted to all of "
    "the subset.",
    "sgd": "SGD by ELEVATER's recipe: rate and weight decay are chosen by ten epochs each, then "
    "fifty are run on all of the subset.",
    "fine_tune": "Fine-tuned: image tower and head by AdamW, a fifth of the subset held out to "
    "choose the epoch.",
}
WORDS: Mapping[Method, str] = {"lbfgs": "", "sgd": ", SGD", "fine_tune": ", fine-tuned"}
"""What stands behind the name of a number; logistic regression goes without saying."""
COUNTED_AS: Mapping[Method, str] = {"lbfgs": "probe", "sgd": "sgd", "fine_tune": "fine_tune"}


def probe_table(results: Mapping[str, Sequence[ProbeResult]]) -> str:
    """A line an encoder, a column for each set, method and share, in per cent."""
    first = next(iter(results.values()))
    rows = [["", *(_headed(one.dataset, share) for one in first for share in one.shares)]]
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
        [
            *(*head, "unreadable", "leaked", "repeated", "% without", "chosen", "not converged"),
            "learned",
            "pictures",
        ]
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
            "method": share.method,
            "values": dict(share.values),
            "deviations": dict(share.deviations),
            "unleaked": dict(share.unleaked),
            "intervals": {name: [one.low, one.high] for name, one in share.intervals.items()},
            "fits": [vars(fit) for fit in share.fits],
        }
        for share in result.shares
    ]
    named = {"set": result.dataset.model_dump(mode="json"), "encoder": result.encoder}
    known = {"num_leaked": result.num_leaked, "num_repeated": result.num_repeated}
    return named | parts | known | {"shares": shares}


def _headed(dataset: Dataset, share: ShareResult) -> str:
    metric = METRIC_WORDS[dataset.metric]
    return f"{dataset.title}, {100 * share.share:.3g} %{WORDS[share.method]}: {metric} (%)"


def _chosen(share: ShareResult) -> str:
    """The settings from the least to the greatest of the seeds'."""
    texts = []
    for name in share.fits[0].settings:
        values = sorted(fit.settings[name] for fit in share.fits)
        ends = " … ".join(f"{value:.2g}" for value in dict.fromkeys((values[0], values[-1])))
        texts.append(f"{name} {ends}")
    return ", ".join(texts)


def _share_rows(result: ProbeResult, share: ShareResult) -> list[list[str]]:
    sizes = sorted({fit.num_train for fit in share.fits})
    facts = [f"{len(result.test.labels):,}", f"{result.train.num_unreadable}"]
    facts[1] += f" + {result.test.num_unreadable}"
    facts += [leaked_cell(result.num_leaked), f"{result.num_repeated:,}"]
    short = sum(not fit.is_converged for fit in share.fits)
    rows = []
    for name, value in share.values.items():
        found = share.intervals.get(name)
        interval = "–" if found is None else found.in_per_cent
        size = f"{100 * share.share:.3g} %: {sizes[0]:,}{WORDS[share.method]}"
        numbers = [f"{100 * value:.2f}", f"{100 * share.deviations[name]:.2f}", interval]
        facts_of_it = [*facts, per_cent(share.unleaked.get(name))]
        counted = f"{short} of {len(share.fits)}"
        rows.append([size, name, *numbers, *facts_of_it, _chosen(share), counted])
    return rows
