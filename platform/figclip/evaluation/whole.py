"""All that can be asked of encoders, in one go: retrieval, zero-shot classification, probing and
visual question answering."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import Field

from figclip.config import Config, UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation.beside import encoder_of, held_out, pairs_of
from figclip.evaluation.datasets.captioned import CaptionedSet, embed_captioned
from figclip.evaluation.embedded import See, marks_seen, seeing
from figclip.evaluation.leakage import (
    Leaked,
    Leaks,
    among,
    learned_by,
    marks_of_pairs,
    versions_of,
)
from figclip.evaluation.marks import Marks
from figclip.evaluation.measures import (
    Comparison,
    Confusion,
    EvaluationReport,
    Measure,
    against,
    confusion_of,
    of_probe,
    of_proxy,
    of_retrieval,
    of_vqa,
    of_zero_shot,
)
from figclip.evaluation.probe_report import ProbeConfig, probe
from figclip.evaluation.proxy.analysis import ProxyConfig, analysed
from figclip.evaluation.sets import Part, Sets
from figclip.evaluation.sources import begun, opened_encoders, pairs_digest, published_as
from figclip.evaluation.vqa.asking import VqaConfig, ask, run_of
from figclip.evaluation.vqa.learning import Learn
from figclip.evaluation.vqa.reading import marks_asked
from figclip.evaluation.whole_report import JSON_FILE, report_files
from figclip.evaluation.zero_shot import ZeroShotResult, zero_shot
from figclip.evaluation.zero_shot_report import ZeroShotConfig
from figclip.models.opening import NotOursError
from figclip.schema import Split
from figclip.store import Manifest, Store
from figclip.store.artifacts import code_revision

log = logging.getLogger(__name__)


class WholeConfig(Config):
    """What is asked, and how it is measured."""

    parts: tuple[Part, ...] = Field(
        default=("retrieval", "zero_shot", "probe", "vqa", "proxy", "types"), min_length=1
    )
    """Of the evaluation."""
    split: Split = "test"
    """Of the embedded pairs, where such are named."""
    zero_shot: ZeroShotConfig = ZeroShotConfig()
    """Its batch size and resamples are those of retrieval as well."""
    probe: ProbeConfig = ProbeConfig()
    vqa: VqaConfig = VqaConfig()
    proxy: ProxyConfig = ProxyConfig()


def evaluate_whole(
    store: Store,
    *,
    encoders: Sequence[str],
    sets: Sets,
    version: str,
    config: WholeConfig,
    command: str,
    learn: Learn,
    embeddings: str | None = None,
    image_types: str | None = None,
    trained_on: Sequence[str] = (),
    stored: EvaluationReport | None = None,
    device: str = "cpu",
) -> tuple[Manifest, list[Comparison]]:
    """Publish `evaluation/{version}`: `report.json`, `report.md`, `index.html` and its plots.

    The report is about the first of the encoders. Sets without a part to learn from are not probed;
    `learn` teaches encoders to answer questions. With a `stored` report each of its numbers is held
    against its own interval. `embeddings` is a version of the first encoder's own, in which its
    pairs are searched, and stand for private pictures; `image_types` of the types of their images,
    which are counted. Every picture is looked for in the pairs
    that an encoder has learned from, which `trained_on` names of the first and a manifest of
    others. `UsageError` where sets or encoders are not whole.
    """
    sets = sets.only(config.parts)
    learned = learned_by(store, encoders, trained_on)
    settings, inputs = begun(
        store, encoders, sets.labelled, sets.data, config, trained_on=versions_of(learned)
    )
    inputs = inputs if embeddings is None else (*inputs, f"embeddings@{embeddings}")
    inputs = inputs if image_types is None else (*inputs, f"image_types@{image_types}")
    settings |= sets.digests()
    settings["against"] = (
        None if stored is None else hashlib.sha256(stored.to_json().encode()).hexdigest()
    )
    if store.already_published("evaluation", version, settings, inputs):
        found = EvaluationReport.from_json(store.open("evaluation", version).read(JSON_FILE))
        compared = [] if stored is None else against(found, stored)
        return store.manifest("evaluation", version), compared
    first, measures = encoders[0], list[Measure]()
    searched_here = None
    if embeddings is not None:
        refuse_anothers(store, first, embeddings)
        searched_here = embeddings if "retrieval" in config.parts else None
        known = learned[first].pairs
        for one in sets.private:
            private = analysed(
                store, embeddings, one, sets.data, config.proxy, trained_on=known, device=device
            )
            measures += of_proxy(private, of=first)
    elif sets.private:
        log.warning("private sets are left out: name the encoder's own --embeddings for them")
    leaks, leaked, confusions = Leaks(store, learned), dict[str, Leaked | None](), list[Confusion]()
    for name, encoder in opened_encoders(store, encoders, device=device):
        seen = Seen.by(encoder, sets, config)
        mine = searched_here if name == first else None
        marks = partial(_marks, store, seen, sets, searched_here, config)
        leaked[name] = leaks.of(name, marks)
        if mine is not None:
            measures += searched(store, name, mine, config, leaked[name], device=device)
        told = classified(encoder, seen, sets, config, leaked[name])
        confusions += [confusion_of(one, of=name) for one in told]
        measures += [measure for one in told for measure in of_zero_shot(one, of=name)]
        measures += measured(encoder, name, seen, sets, config, leaked[name])
    for name in encoders:
        measures += answered(store, name, sets, version, config.vqa, learn, leaked[name])
    types: dict[str, int] = (
        {} if image_types is None else store.manifest("image_types", image_types).counts["types"]
    )
    report = EvaluationReport(
        command=command,
        encoder=first,
        revision=code_revision(),
        compared_with={name: one.in_words for name, one in learned.items()},
        measures=tuple(measures),
        confusions=tuple(confusions),
        image_types=types,
    )
    compared = [] if stored is None else against(report, stored)
    files = report_files(report, compared)
    counts = {"num_numbers": len(measures), "num_encoders": len(encoders)}
    manifest = published_as(store, version, settings, inputs, files=files, counts=counts)
    run_of(store, version).clear()
    return manifest, compared


@dataclass(frozen=True)
class Seen:
    """The sets of a folder as one encoder sees them; every picture is decoded once."""

    captioned: tuple[CaptionedSet, ...]
    see: See

    @classmethod
    def by(cls, encoder: Encoder, sets: Sets, config: WholeConfig) -> "Seen":
        size = config.zero_shot.batch_size
        found = []
        for one in sets.captioned:
            log.info("%s: retrieval on %s", encoder.name, one)
            found.append(embed_captioned(encoder, sets.data, one, batch_size=size))
        return cls(tuple(found), seeing(encoder, sets.data, batch_size=size))

    def marks(self, sets: Sets) -> dict[str, Marks]:
        """By what the pictures that are judged by are known again, by the titles of their sets."""
        found = {one.name: one.marks for one in self.captioned if one.marks is not None}
        return found | marks_seen(self.see, sets.labelled)


def _marks(
    store: Store, seen: Seen, sets: Sets, embeddings: str | None, config: WholeConfig
) -> Mapping[str, Marks]:
    """Of all pictures; those that are asked about are opened for it, for they are few."""
    found = seen.marks(sets)
    found |= marks_asked(sets.asked, sets.data)
    if embeddings is not None:
        pairs = pairs_of(store, embeddings)
        found[pairs_title(pairs, config)] = marks_of_pairs(store.open("pairs", pairs), config.split)
    return found


def pairs_title(pairs: str, config: WholeConfig) -> str:
    return f"{pairs}, {config.split}"


def refuse_anothers(store: Store, encoder: str, embeddings: str) -> None:
    """`UsageError` where another encoder made these embeddings."""
    theirs = encoder_of(store, embeddings)
    if theirs != encoder:
        raise UsageError(
            f"embeddings@{embeddings} are of encoder {theirs}, not of {encoder}: name its own"
        )


def searched(
    store: Store,
    encoder: str,
    embeddings: str,
    config: WholeConfig,
    leaked: Leaked | None = None,
    *,
    device: str = "cpu",
) -> list[Measure]:
    """Recall among the pairs of a split; `UsageError` where another encoder embedded them."""
    refuse_anothers(store, encoder, embeddings)
    pairs = pairs_of(store, embeddings)
    held = held_out(store, embeddings, pairs, config.split)
    checksum = pairs_digest(store.open("pairs", pairs), config.split)
    title, names = pairs_title(pairs, config), tuple(held.pair_ids)
    found = CaptionedSet(title, held.images, held.texts, 0, 0, checksum, names)
    return [
        *of_retrieval(
            found,
            of=encoder,
            encoder=f"encoder@{encoder}",
            num_resamples=config.zero_shot.num_resamples,
            leaked=among(leaked, title),
            device=device,
        )
    ]


def classified(
    encoder: Encoder, seen: Seen, sets: Sets, config: WholeConfig, leaked: Leaked | None
) -> list[ZeroShotResult]:
    """What one encoder makes of every set of labelled pictures."""
    how = config.zero_shot
    return [
        zero_shot(
            encoder,
            dataset,
            sets.data,
            num_resamples=how.num_resamples,
            seed=how.seed,
            see=seen.see,
            leaked=among(leaked, dataset.title),
        )
        for dataset in (sets.labelled if "zero_shot" in config.parts else ())
    ]


def measured(
    encoder: Encoder,
    name: str,
    seen: Seen,
    sets: Sets,
    config: WholeConfig,
    leaked: Leaked | None,
) -> Iterator[Measure]:
    """Numbers of retrieval and probes; the encoder has learned from the pictures that `leaked`."""
    how, data = config.zero_shot, sets.data
    for one in seen.captioned:
        yield from of_retrieval(
            one,
            of=name,
            encoder=encoder.name,
            num_resamples=how.num_resamples,
            leaked=among(leaked, one.name),
            device=str(encoder.device),
        )
    for dataset in sets.labelled if "probe" in config.parts else ():
        if dataset.train is not None:
            here = among(leaked, dataset.title)
            found_here = probe(encoder, dataset, data, config.probe, see=seen.see, leaked=here)
            yield from of_probe(found_here, of=name)


def answered(
    store: Store,
    encoder: str,
    sets: Sets,
    version: str,
    config: VqaConfig,
    learn: Learn,
    leaked: Leaked | None,
) -> Iterator[Measure]:
    """Every number of one encoder that is taught to answer questions; none of a peer's, whose
    towers give one vector and no states."""
    for one in sets.asked:
        log.info("%s: questions of %s", encoder, one.title)
        run, here = run_of(store, version, encoder, one), among(leaked, one.title)
        try:
            told = ask(store, encoder, one, sets.data, config, run, learn, leaked=here)
        except NotOursError as error:
            log.warning("%s is asked no questions: %s", encoder, error)
            return
        yield from of_vqa(told, of=encoder)
