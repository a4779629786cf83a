"""What an encoder is worth: recall on held-out articles, classes told by words, and learned.

`python -m jobs.evaluate test --embeddings pmc`, `python -m jobs.evaluate zero_shot --encoder X`,
`python -m jobs.evaluate probe --encoder X --data DIR`, `python -m jobs.evaluate vqa --encoder X`,
`python -m jobs.evaluate proxy --embeddings pmc --data DIR`,
`python -m jobs.evaluate types --embeddings pmc`,
`python -m jobs.evaluate all --encoder X --data DIR`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from figclip.config import UsageError
from figclip.embedding.telling import assign_types
from figclip.evaluation.beside import encoder_of
from figclip.evaluation.measures import EvaluationReport
from figclip.evaluation.probe_report import ProbeConfig, evaluate_probe
from figclip.evaluation.proxy.analysis import ProxyConfig
from figclip.evaluation.proxy.proxy_report import TABLE_FILE as PROXY_FILE
from figclip.evaluation.proxy.proxy_report import evaluate_proxy
from figclip.evaluation.ranking import rank_both_ways
from figclip.evaluation.report import EvaluationConfig, evaluate
from figclip.evaluation.retrieval import Rank
from figclip.evaluation.spread import rank_on_ray
from figclip.evaluation.type_report import TABLE_FILE as TYPES_FILE
from figclip.evaluation.type_report import report_types
from figclip.evaluation.vqa.asking import VqaConfig
from figclip.evaluation.vqa.learning import Learn
from figclip.evaluation.vqa.reading import sets_to_ask
from figclip.evaluation.vqa.vqa_report import evaluate_vqa
from figclip.evaluation.vqa.workers import learn_with_workers
from figclip.evaluation.whole import WholeConfig, evaluate_whole
from figclip.evaluation.whole_report import TABLE_FILE
from figclip.evaluation.zero_shot_report import ZeroShotConfig, evaluate_zero_shot
from figclip.resources import require_device
from figclip.store import Manifest, Store
from figclip.tasks import Workers
from jobs.entry import Job, command_of, joined_ray, keep_config, run
from jobs.labelled_sets import all_sets, data_of, named_sets, questions_in, sets_to_learn
from jobs.private_sets import private_data_of, private_sets


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
    num_tasks: NonNegativeInt = 0
    """Of Ray, among which the images are dealt out; 0 ranks in this process, by all its threads."""
    cpus_per_task: PositiveFloat = 1.0
    """CPUs that Ray sets aside for each."""


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


class TaughtJob(LabelledJob):
    """Encoders that are taught by workers of Ray Train before they are judged."""

    num_workers: PositiveInt = 1
    """Processes that learn together."""
    cpus_per_worker: PositiveFloat = 1.0

    @property
    def learn(self) -> Learn:
        """`--device cuda` gives each worker a GPU."""
        return partial(
            learn_with_workers,
            num_workers=self.num_workers,
            cpus_per_worker=self.cpus_per_worker,
            use_gpu=self.device == "cuda",
        )


class VqaJob(TaughtJob, VqaConfig):
    """Visual question answering on VQA-RAD and SLAKE; publishes `evaluation/{version}`: tables,
    JSON, and pictures of questions with what each encoder answers.

    `--data` holds `vqa_rad/` and `slake/`, each as it is published, and any with a
    `questions.json`; unset: drawn pictures with questions. With `--device cuda` each worker has a
    GPU."""


class AllJob(TaughtJob, WholeConfig):
    """Retrieval on folders with a `captions.csv`, zero-shot classification and linear probing on
    sets of labelled pictures, visual question answering on sets of questions, and of the encoder's
    own embeddings the types of their images; publishes `evaluation/{version}`: JSON, Markdown and a
    page.

    With `--against` it leaves with code 1 where a number fell below its stored interval."""

    embeddings: str | None = None
    """Version of the encoder's own embeddings, whose pairs of `--split` are searched as well, and
    stand for the pictures of private sets (`proxy.json`) below `--data`."""
    against: str | None = None
    """File of a stored `report.json`, whose numbers ours are held against."""


class ProxyJob(Job, ProxyConfig):
    """Public figures in place of private pictures: what the nearest one's caption tells. Private
    pictures are read by a process without a network; publishes `evaluation/{version}`."""

    embeddings: str = "pmc"
    """Version of the embeddings of the public figures."""
    encoder: str | None = None
    """Version of the encoder that made them; unset: the one that their manifest names."""
    beside: tuple[str, ...] = ()
    """Versions of other embeddings, each judged by its own encoder, in the same tables."""
    data: str | None = None
    """Folder of the private sets, each a folder with a `proxy.json`. Unset: drawn radiographs."""
    sets: tuple[str, ...] = ()
    """Some of them by name; unset: all that are there."""
    trained_on: tuple[str, ...] = ()
    """Versions of the pairs that the encoder has learned from, in which every picture is looked
    for; unset: those of its manifest, as for the encoders beside it."""
    version: str | None = None
    """Name of the evaluation artifact to publish; unset: `proxy-{embeddings}`."""
    device: str = "cpu"
    """Where pictures are embedded: `cpu` or `cuda`."""


class TypesJob(Job):
    """What kind of image every embedded pair shows; publishes `image_types/{version}`, by which an
    index can be filtered, and `evaluation/types-{version}`: the counts and their bar chart."""

    embeddings: str = "pmc"
    """Version of the embeddings artifact."""
    encoder: str | None = None
    """Version of the encoder that made them; unset: the one that their manifest names."""
    version: str | None = None
    """Name of the artifact of types to publish; unset: that of the embeddings."""
    cpus_per_task: PositiveFloat = 1.0
    """CPUs that Ray sets aside for one task that tells the types of a file."""
    max_tasks: PositiveInt = 8
    """Such tasks at once, at the most."""


PRESETS: dict[str, Job] = {
    "test": EvaluateJob(),
    "validation": EvaluateJob(split="validation"),
    "zero_shot": ZeroShotJob(),
    "probe": ProbeJob(),
    "vqa": VqaJob(),
    "proxy": ProxyJob(),
    "types": TypesJob(),
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
        case VqaJob():
            return vqa(config)
        case ProxyJob():
            return proxy(config)
        case TypesJob():
            return types(config)
        case AllJob():
            return whole(config)
        case _:
            raise TypeError(type(config))


def retrieval(config: EvaluateJob) -> Manifest:
    require_device(config.device)
    store = Store(config.store)
    with ranked_by(config) as rank:
        manifest = evaluate(
            store,
            embeddings_version=config.embeddings,
            pairs_version=config.pairs,
            version=config.version,
            config=config.part(EvaluationConfig),
            command=said("test", config),
            beside=config.beside,
            trained_on=config.trained_on,
            device=config.device,
            rank=rank,
        )
    return told(store, manifest, config, "recall.md")


@contextmanager
def ranked_by(config: EvaluateJob) -> Iterator[Rank]:
    if not config.num_tasks:
        yield rank_both_ways
        return
    with joined_ray(config):
        yield partial(rank_on_ray, workers=Workers(config.cpus_per_task, config.num_tasks))


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
            command=said("zero_shot", config),
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
            command=said("probe", config),
            trained_on=config.trained_on,
            device=config.device,
        )
    return told(store, manifest, config, "probe.md")


def vqa(config: VqaJob) -> Manifest:
    store = Store(config.store)
    with questions_in(store, config.data) as data:
        sets = sets_to_ask(data, config.sets)
        with joined_ray(config):
            manifest = evaluate_vqa(
                store,
                encoders=config.encoders,
                data=data,
                sets=sets,
                version=config.named("vqa"),
                config=config.part(VqaConfig),
                command=said("vqa", config),
                learn=config.learn,
                trained_on=config.trained_on,
            )
    return told(store, manifest, config, "vqa.md")


def proxy(config: ProxyJob) -> Manifest:
    require_device(config.device)
    store = Store(config.store)
    with private_data_of(config.data) as data:
        manifest = evaluate_proxy(
            store,
            embeddings=(config.embeddings, *config.beside),
            data=data,
            private=private_sets(data, config.sets),
            version=config.version or f"proxy-{config.embeddings}",
            config=config.part(ProxyConfig),
            command=said("proxy", config),
            encoder=config.encoder,
            trained_on=config.trained_on,
            device=config.device,
        )
    return told(store, manifest, config, PROXY_FILE)


def types(config: TypesJob) -> Manifest:
    store, version = Store(config.store), config.version or config.embeddings
    with joined_ray(config):
        manifest = assign_types(
            store,
            embeddings_version=config.embeddings,
            encoder_version=config.encoder or encoder_of(store, config.embeddings),
            version=version,
            workers=Workers(config.cpus_per_task, config.max_tasks),
        )
    keep_config(store, manifest.name, version, "evaluate", config)
    report = report_types(
        store, types_version=version, version=f"types-{version}", command=said("types", config)
    )
    told(store, report, config, TYPES_FILE)
    return manifest


def whole(config: AllJob) -> Manifest:
    require_device(config.device)
    store = Store(config.store)
    stored = None if config.against is None else stored_report(Path(config.against))
    with data_of(store, config.data) as data:
        sets = all_sets(data, config.sets).only(config.parts)
        embeddings = config.embeddings if "types" in config.parts else None
        with joined_ray(config) if sets.asked or embeddings else nullcontext():
            types_version = None if embeddings is None else typed(store, embeddings, config)
            manifest, compared = evaluate_whole(
                store,
                encoders=config.encoders,
                sets=sets,
                version=config.named("all"),
                config=config.part(WholeConfig),
                command=said("all", config),
                learn=config.learn,
                embeddings=config.embeddings,
                image_types=types_version,
                trained_on=config.trained_on,
                stored=stored,
                device=config.device,
            )
    told(store, manifest, config, TABLE_FILE)
    if any(one.verdict == "fell" for one in compared):
        raise SystemExit(1)
    return manifest


def said(preset: str, config: Job) -> str:
    """The words that run it again."""
    return command_of("evaluate", preset, config, PRESETS[preset])


def typed(store: Store, embeddings: str, config: AllJob) -> str:
    """The version of the types of these embeddings, told where they are not."""
    manifest = assign_types(
        store,
        embeddings_version=embeddings,
        encoder_version=encoder_of(store, embeddings),
        version=embeddings,
        workers=Workers(config.cpus_per_worker, TypesJob().max_tasks),
    )
    return manifest.version


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
