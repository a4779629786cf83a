"""All that was measured, in one form: a number, its interval, and everything that it depends on."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from figclip.config import Config, UsageError
from figclip.embedding.vectors import Embeddings
from figclip.evaluation.bootstrap import bootstrap
from figclip.evaluation.compare import hits
from figclip.evaluation.datasets.captioned import CaptionedSet
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.published import BIOMEDCLIP_224, PAPER
from figclip.evaluation.embedded import is_among
from figclip.evaluation.probe_report import WORDS, ProbeResult
from figclip.evaluation.proxy.agreement import MEAN, PAPER_RECALL
from figclip.evaluation.proxy.analysis import ProxyResult
from figclip.evaluation.ranking import SIDE
from figclip.evaluation.vqa.answers import IN_VOCABULARY
from figclip.evaluation.vqa.asking import VqaResult
from figclip.evaluation.zero_shot import ZeroShotResult

Task = Literal["retrieval", "zero_shot", "probe", "vqa", "proxy"]
Verdict = Literal["held", "fell", "other data", "not measured"]


class Measure(Config):
    """One number. Shares, not per cent."""

    task: Task
    set: str
    """The set's title."""
    measure: str
    """`accuracy`, `accuracy at 10 %`, `text → image @1`."""
    of: str
    """The encoder, as the command named it."""
    encoder: str
    """As it names itself: a published one by its version."""
    value: float
    low: float
    high: float
    """Ends of the 95 % interval."""
    deviation: float | None = None
    """Between the seeds of a probe."""
    n: int
    """Pictures, pairs or questions that it was measured by."""
    num_unreadable: int
    """That were left out."""
    num_leaked: int | None = None
    """Of the n, those that the encoder has learned from; None where that is not known."""
    num_repeated: int | None = None
    """Of the n, those that the set's own training part has as well; None where nothing is learned
    from it."""
    unleaked: float | None = None
    """The value without them (of a probe, without repeated ones either), where there are some and
    others are left."""
    num_cut: int = 0
    """Prompts or captions beyond the encoder's context, whose ends it did not read."""
    checksum: str
    """SHA-256 of what was measured by, and of what was learned from."""
    paper: float | None = None
    """What the paper's encoder reached, where the set is one of its own as it declares it; of the
    proxy analysis on the paper's own private pictures, which nobody else has."""
    is_main: bool
    """It stands for its set in the table of all encoders."""


class Confusion(Config):
    """Who was taken for whom, of one encoder and set."""

    set: str
    of: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """Row: the true class; column: what it was taken for."""


class EvaluationReport(Config):
    """What `python -m jobs.evaluate all` found."""

    command: str
    """That made it."""
    encoder: str
    """The one that the report is about; the others stand beside it."""
    revision: str
    """Of the code."""
    compared_with: dict[str, str] = Field(default_factory=dict)
    """Encoder → the training pairs that our pictures were looked for in, or why in none."""
    measures: tuple[Measure, ...]
    confusions: tuple[Confusion, ...] = ()
    """Of zero-shot classification."""
    image_types: dict[str, int] = Field(default_factory=dict)
    """Type → embedded images of it; empty where they were not told."""


@dataclass(frozen=True)
class Comparison:
    """A stored number and what became of it."""

    stored: Measure
    now: Measure | None
    verdict: Verdict


def of_retrieval(
    found: CaptionedSet,
    *,
    of: str,
    encoder: str,
    num_resamples: int,
    ks: Sequence[int] = (1, 5, 10),
    leaked: Collection[str] | None = None,
    device: str = "cpu",
) -> Iterator[Measure]:
    """Recall@k both ways, exact; a tie counts by its expected value.

    Pairs whose pictures have `leaked` are no queries of the number without them, but candidates.
    """
    pairs = Embeddings([*found.names], found.images, found.texts)
    yield from of_hits(
        hits(pairs, ks=ks, tile=SIDE, device=device),
        title=found.name,
        names=found.names,
        of=of,
        encoder=encoder,
        checksum=found.checksum,
        num_resamples=num_resamples,
        num_unreadable=found.num_unreadable,
        num_cut=found.num_cut,
        leaked=leaked,
    )


def of_hits(
    each: Mapping[str, Float[np.ndarray, " n"]],
    *,
    title: str,
    names: Sequence[str],
    of: str,
    encoder: str,
    checksum: str,
    num_resamples: int,
    num_unreadable: int = 0,
    num_cut: int = 0,
    leaked: Collection[str] | None = None,
) -> Iterator[Measure]:
    """Of what `hits` tells of n pairs, by their names."""
    gains = np.stack([*each.values()], axis=1)
    intervals = bootstrap(gains, num_resamples=num_resamples, seed=0)
    is_new = ~is_among(names, leaked or ())
    for (name, gain), interval in zip(each.items(), intervals, strict=True):
        yield Measure(
            task="retrieval",
            set=title,
            measure=name,
            of=of,
            encoder=encoder,
            value=float(gain.mean()),
            low=interval.low,
            high=interval.high,
            n=len(gain),
            num_unreadable=num_unreadable,
            num_cut=num_cut,
            num_leaked=None if leaked is None else int((~is_new).sum()),
            unleaked=float(gain[is_new].mean()) if 0 < is_new.sum() < len(gain) else None,
            checksum=checksum,
            is_main=True,
        )


def of_zero_shot(result: ZeroShotResult, *, of: str) -> Iterator[Measure]:
    for name, value in result.values.items():
        yield Measure(
            task="zero_shot",
            set=result.dataset.title,
            measure=name,
            of=of,
            encoder=result.encoder,
            value=value,
            low=result.intervals[name].low,
            high=result.intervals[name].high,
            n=result.num_images,
            num_unreadable=result.num_unreadable,
            num_cut=result.num_cut_prompts,
            num_leaked=result.num_leaked,
            unleaked=result.unleaked.get(name),
            checksum=result.checksum,
            paper=papers(result.dataset) if name == result.dataset.metric else None,
            is_main=name == result.dataset.metric,
        )


def confusion_of(result: ZeroShotResult, *, of: str) -> Confusion:
    counts = tuple(tuple(row) for row in result.confusion.tolist())
    return Confusion(set=result.dataset.title, of=of, labels=result.dataset.labels, counts=counts)


def papers(dataset: Dataset) -> float | None:
    """Supplementary Table 5, 224 px."""
    return BIOMEDCLIP_224[dataset.name] / 100 if dataset in PAPER else None


def of_probe(result: ProbeResult, *, of: str) -> Iterator[Measure]:
    for share in result.shares:
        for name, value in share.values.items():
            yield Measure(
                task="probe",
                set=result.dataset.title,
                measure=f"{name} at {100 * share.share:.3g} %{WORDS[share.method]}",
                of=of,
                encoder=result.encoder,
                value=value,
                low=share.intervals[name].low,
                high=share.intervals[name].high,
                deviation=share.deviations[name],
                n=len(result.test.labels),
                num_unreadable=result.train.num_unreadable + result.test.num_unreadable,
                num_leaked=result.num_leaked,
                num_repeated=result.num_repeated,
                unleaked=share.unleaked.get(name),
                checksum=f"{result.train.checksum}+{result.test.checksum}",
                is_main=name == result.dataset.metric,
            )


def of_vqa(result: VqaResult, *, of: str) -> Iterator[Measure]:
    for name, value in result.values.items():
        yield Measure(
            task="vqa",
            set=result.declared.title,
            measure=name,
            of=of,
            encoder=result.encoder,
            value=value,
            low=result.intervals[name].low,
            high=result.intervals[name].high,
            n=len(result.questions),
            num_unreadable=result.num_unreadable,
            num_leaked=result.num_leaked,
            num_repeated=result.num_repeated,
            unleaked=result.unleaked.get(name),
            num_cut=result.num_cut,
            checksum=result.checksum,
            is_main=name != IN_VOCABULARY,
        )


def of_proxy(result: ProxyResult, *, of: str) -> Iterator[Measure]:
    """Recall and F1 of every finding of which something can be said, and their means."""
    for one in result.agreements:
        for name, share in (("recall", one.recall), ("F1", one.f1)):
            paper = PAPER_RECALL.get(one.finding) if name == "recall" else None
            if share is not None:
                yield Measure(
                    task="proxy",
                    set=f"{result.title}, labels by {result.labeller}",
                    measure=f"{name}: {one.finding}",
                    of=of,
                    encoder=result.encoder,
                    value=share.value,
                    low=share.low,
                    high=share.high,
                    n=result.num_images,
                    num_unreadable=result.num_unreadable,
                    num_leaked=result.num_leaked,
                    unleaked=result.unleaked.get(f"{name}: {one.finding}"),
                    checksum=result.checksum,
                    paper=paper,
                    is_main=one.finding == MEAN or paper is not None,
                )


def against(now: EvaluationReport, stored: EvaluationReport) -> list[Comparison]:
    """What became of each stored number of the encoder that the report is about.

    A number fell where it lies below the stored interval. Other pictures prove nothing, and what
    was not measured now is told. `UsageError` where no number of the two can be compared.
    """
    mine = {(m.task, m.set, m.measure): m for m in now.measures if m.of == now.encoder}
    found = [
        Comparison(old, new, verdict(old, new))
        for old in stored.measures
        if old.of == stored.encoder
        for new in [mine.get((old.task, old.set, old.measure))]
    ]
    if not any(one.verdict in ("held", "fell") for one in found):
        raise UsageError(
            "the stored report has no number that was measured here by the same pictures: name the "
            "same data, or leave --against out"
        )
    return found


def verdict(stored: Measure, now: Measure | None) -> Verdict:
    if now is None:
        return "not measured"
    if now.checksum != stored.checksum:
        return "other data"
    return "fell" if now.value < stored.low else "held"
