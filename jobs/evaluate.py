"""What an encoder is worth: recall on held-out articles, classes told by words, and learned.

`python -m jobs.evaluate test --embeddings pmc`, `python -m jobs.evaluate zero_shot --encoder X`,
`python -m jobs.evaluate probe --encoder X --data DIR`, `python -m jobs.evaluate all --encoder X`.
"""

from pathlib import Path

from figclip.config import UsageError
from figclip.evaluation.measures import EvaluationReport
from figclip.evaluation.probe_report import ProbeConfig, evaluate_probe
from figclip.evaluation.report import EvaluationConfig, evaluate
from figclip.evaluation.whole import WholeConfig, evaluate_whole
from figclip.evaluation.whole_report import TABLE_FILE
from figclip.evaluation.zero_shot_report import ZeroShotConfig, evaluate_zero_shot
from figclip.resources import require_device
from figclip.store import Manifest, Store
from jobs.entry import Job, command_of, keep_config, run
from jobs.labelled_sets import all_sets, data_of, named_sets, sets_to_learn


class EvaluateJob(Job, EvaluationConfig):
    """Retrieval over one split; publishes `evaluation/{version}`: a table and a picture."""

    embeddings: str = "pmc"
    """Version of the embeddings artifact."""
    pairs: str = "pmc"
    """Version of the pairs artifact that the embeddings were made from."""
    beside: tuple[str, ...] = ()
    """Versions of other embeddings, of another encoder or of panels, whose recall on the same split
    stands in a second table."""
    trained_on: tuple[str, ...] = ()
    """Versions of the pairs that the encoder has learned from, in which every picture is looked
    for; unset: those of its manifest."""
    version: str = "pmc"
    """Name of the evaluation artifact to publish."""
    device: str = "cpu"
    """Where scores are computed: `cpu` or `cuda`."""


class LabelledJob(Job):
    """Encoders judged by sets of labelled pictures."""

    encoder: str = "biomedclip"
    """Version of an encoder artifact, or a model's folder or name on a hub."""
    beside: tuple[str, ...] = ()
    """Other encoders, whose lines stand in the same table."""
    data: str | None = None
    """Folder of the sets, each in its published layout: `pcam/`, `lc25000/`, `tcga_til/`, `rsna/`,
    and any with a `dataset.json`. Unset: the kinds of the miniature's pictures, drawn."""
    sets: tuple[str, ...] = ()
    """Some of them by name; unset: all that are there, for a probe all that can be learned from."""
    trained_on: tuple[str, ...] = ()
    """Versions of the pairs that the encoder has learned from, in which every picture is looked
    for; unset: those of its manifest, as for the encoders beside it."""
    version: str | None = None
    """Name of the evaluation artifact to publish; unset: `{what is evaluated}-{encoder}`."""
    device: str = "cpu"
    """Where pictures are embedded: `cpu` or `cuda`."""

    @property
    def encoders(self) -> tuple[str, ...]:
        return self.encoder, *self.beside

    def named(self, part: str) -> str:
        return self.version or f"{part}-{self.encoder.replace('/', '-').strip('-.')}"


class ZeroShotJob(LabelledJob, ZeroShotConfig):
    """Classification by prompts alone; publishes `evaluation/{version}`: tables and JSON."""


class ProbeJob(LabelledJob, ProbeConfig):
    """Linear classifiers on the encoder's vectors; publishes `evaluation/{version}`."""


class AllJob(LabelledJob, WholeConfig):
    """Retrieval on folders with a `captions.csv`, zero-shot classification and linear probing on
    sets of labelled pictures; publishes `evaluation/{version}`: JSON, Markdown and a page.

    With `--against` it leaves with code 1 where a number fell below its stored interval."""

    embeddings: str | None = None
    """Version of the encoder's own embeddings, whose pairs of `--split` are searched as well."""
    against: str | None = None
    """File of a stored `report.json`, whose numbers ours are held against."""


PRESETS: dict[str, Job] = {
    "test": EvaluateJob(),
    "validation": EvaluateJob(split="validation"),
    "zero_shot": ZeroShotJob(),
    "probe": ProbeJob(),
    "all": AllJob(),
}


def main(config: Job) -> Manifest:
    match config:
        case EvaluateJob():
            return retrieval(config)
        case ZeroShotJob():
            return zero_shot(config)
        case ProbeJob():
            return probe(config)
        case AllJob():
            return whole(config)
        case _:
            raise TypeError(type(config))


def retrieval(config: EvaluateJob) -> Manifest:
    require_device(config.device)
    store = Store(config.store)
    manifest = evaluate(
        store,
        embeddings_version=config.embeddings,
        pairs_version=config.pairs,
        version=config.version,
        config=config.part(EvaluationConfig),
        beside=config.beside,
        trained_on=config.trained_on,
        device=config.device,
    )
    return told(store, manifest, config, "recall.md")


def zero_shot(config: ZeroShotJob) -> Manifest:
    require_device(config.device)
    store = Store(config.store)
    with data_of(store, config.data) as data:
        manifest = evaluate_zero_shot(
            store,
            encoders=config.encoders,
            data=data,
            datasets=named_sets(data, config.sets),
            version=config.named("zero-shot"),
            config=config.part(ZeroShotConfig),
            trained_on=config.trained_on,
            device=config.device,
        )
    return told(store, manifest, config, "zero_shot.md")


def probe(config: ProbeJob) -> Manifest:
    require_device(config.device)
    store = Store(config.store)
    with data_of(store, config.data) as data:
        manifest = evaluate_probe(
            store,
            encoders=config.encoders,
            data=data,
            datasets=sets_to_learn(data, config.sets),
            version=config.named("probe"),
            config=config.part(ProbeConfig),
            trained_on=config.trained_on,
            device=config.device,
        )
    return told(store, manifest, config, "probe.md")


def whole(config: AllJob) -> Manifest:
    require_device(config.device)
    store = Store(config.store)
    stored = None if config.against is None else stored_report(Path(config.against))
    with data_of(store, config.data) as data:
        captioned, datasets = all_sets(data, config.sets)
        manifest, compared = evaluate_whole(
            store,
            encoders=config.encoders,
            data=data,
            captioned=captioned,
            datasets=datasets,
            version=config.named("all"),
            config=config.part(WholeConfig),
            command=command_of("evaluate", "all", config, AllJob()),
            embeddings=config.embeddings,
            trained_on=config.trained_on,
            stored=stored,
            device=config.device,
        )
    told(store, manifest, config, TABLE_FILE)
    if any(one.verdict == "fell" for one in compared):
        raise SystemExit(1)
    return manifest


def stored_report(path: Path) -> EvaluationReport:
    """`UsageError` where there is no such file, or it is no report."""
    try:
        return EvaluationReport.from_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--against {path}: {error.strerror}; name a report.json") from error
    except UsageError as error:
        raise UsageError(f"--against {path} is no report of jobs.evaluate all: {error}") from error


def told(store: Store, manifest: Manifest, config: Job, table: str) -> Manifest:
    """The artifact's table, printed, with the words that made it kept beside it."""
    keep_config(store, "evaluation", manifest.version, "evaluate", config)
    print(store.open("evaluation", manifest.version).read(table).decode())
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "evaluate")
