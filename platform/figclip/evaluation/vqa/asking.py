"""An encoder is taught to answer a set's questions, asked those of its test part, and judged."""

import hashlib
import json
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from pydantic import PositiveInt

from figclip.embedding.encoder import feeding, name_of
from figclip.evaluation.bootstrap import Interval
from figclip.evaluation.embedded import is_among
from figclip.evaluation.sources import source_of
from figclip.evaluation.vqa.answers import Pieces, Scores, open_pieces, scored
from figclip.evaluation.vqa.learning import Learn, LearnConfig, Learned, Lesson
from figclip.evaluation.vqa.material import Prepared, prepared
from figclip.evaluation.vqa.questions import Question, VqaSet
from figclip.evaluation.vqa.reading import read_questions
from figclip.models.opening import open_model
from figclip.models.weights import save_weights
from figclip.store import Folder, Store
from figclip.training.rank import CHECKPOINTS
from figclip.training.runs import claim, find_run

log = logging.getLogger(__name__)

FILE = "answers.json"
"""In the run's folder, once its questions are answered."""


class VqaConfig(LearnConfig):
    """How an encoder is taught, and how its answers are judged."""

    tokenizer: str | None = None
    """What token F1 counts: GPT-2's `tokenizer.json`, or a folder with it or with `vocab.json` and
    `merges.txt`; unset: words."""
    num_resamples: PositiveInt = 2_000
    """Of the pictures, each with its questions, for the 95 % intervals."""


@dataclass(frozen=True)
class VqaResult:
    """What an encoder answers to the questions of a set's test part."""

    declared: VqaSet
    encoder: str
    questions: tuple[Question, ...]
    """That were asked: those whose pictures can be read."""
    answers: tuple[str, ...]
    """To each of them."""
    values: Mapping[str, float]
    """As `answers.Scores` has them."""
    intervals: Mapping[str, Interval]
    num_leaked: int | None
    """Questions about pictures that the encoder has learned from; None where that is not known."""
    unleaked: Mapping[str, float]
    """The values without them, where there are some and others are left."""
    num_repeated: int
    """Questions about pictures that the training part asks about as well."""
    num_train: int
    """Questions learned from."""
    num_classes: int
    num_unreadable: int
    """Questions left out, of both parts, for their pictures."""
    unreadable: Mapping[str, str]
    num_cut: int
    """Questions longer than what is read of them."""
    checksum: str
    tokenizer: str
    """What token F1 counts."""
    losses: tuple[float, ...]
    """Of the epochs."""


def ask(
    store: Store,
    one: str,
    declared: VqaSet,
    data: str,
    config: VqaConfig,
    run: Folder,
    learn: Learn,
    *,
    leaked: Collection[str] | None = None,
) -> VqaResult:
    """Teach an encoder (a version of the store's, a folder, or `OWNER/NAME`) and judge it; it has
    itself learned from the pictures that `leaked`.

    `run` keeps checkpoints until the questions are answered, and then the answers: called again
    after a kill, it goes on from there. `UsageError` where files are missing, no picture can be
    read, or the encoder cannot be opened.
    """
    pieces = open_pieces(config.tokenizer)
    source = source_of(store, one)
    opened = open_model(source)
    tokenizer, pixels = feeding(opened)
    found = prepared(
        read_questions(declared, data),
        tokenizer,
        pixels,
        context_length=opened.config.text.context_length,
        vocabulary=config.vocabulary,
    )
    log.info("%s: %s, %d answers", one, declared.title, len(found.answers))
    how = config.part(LearnConfig)
    record = {
        "config": how.model_dump(mode="json"),
        "encoder": one,
        "questions": found.checksum,
        "pixels": hashlib.sha256(found.material.pictures.numpy().tobytes()).hexdigest(),
    }
    find_run(run, record)
    if not run.exists(FILE):
        save_weights(run, opened.clip, opened.config)
        found.material.save(run)
        claim(run, record)
        learned = learn(Lesson(run, how, pixels, len(found.answers)))
        plain = {"answers": learned.answers, "losses": learned.losses}
        run.write(FILE, json.dumps(plain).encode())
    told = json.loads(run.read(FILE))
    (run / CHECKPOINTS).clear()
    learned = Learned(tuple(told["answers"]), tuple(told["losses"]))
    return judged(found, learned, declared, name_of(opened, source), config, pieces, leaked)


def judged(
    found: Prepared,
    learned: Learned,
    declared: VqaSet,
    encoder: str,
    config: VqaConfig,
    pieces: Pieces,
    leaked: Collection[str] | None = None,
) -> VqaResult:
    answers = tuple(found.answers[place] for place in learned.answers)
    is_leaked = is_among([one.picture for one in found.test], leaked or ())

    def of(chosen: Int[np.ndarray, " m"], num_resamples: int) -> Scores:
        asked = [found.test[place] for place in chosen]
        _, picture = np.unique([one.picture for one in asked], return_inverse=True)
        return scored(
            [answers[place] for place in chosen],
            [one.answer for one in asked],
            is_closed=np.array([one.is_closed for one in asked]),
            picture=picture,
            vocabulary=found.answers,
            tokenize=pieces.of,
            num_resamples=num_resamples,
        )

    scores = of(np.arange(len(answers)), config.num_resamples)
    some = bool(is_leaked.any() and not is_leaked.all())
    return VqaResult(
        declared=declared,
        encoder=encoder,
        questions=found.test,
        answers=answers,
        values=scores.values,
        intervals=scores.intervals,
        num_leaked=None if leaked is None else int(is_leaked.sum()),
        unleaked=of(np.flatnonzero(~is_leaked), 1).values if some else {},
        num_repeated=sum(one.picture in found.repeated for one in found.test),
        num_train=len(found.material.train.answer),
        num_classes=len(found.answers),
        num_unreadable=found.num_unreadable,
        unreadable=found.unreadable,
        num_cut=found.num_cut,
        checksum=found.checksum,
        tokenizer=pieces.name,
        losses=learned.losses,
    )


def run_of(store: Store, version: str, one: str = "", declared: VqaSet | None = None) -> Folder:
    """Where an unfinished evaluation of that version keeps its state: of all, or of one encoder and
    set."""
    whole = store.root / "runs" / f"vqa-{version}"
    if declared is None:
        return whole
    name = re.sub(r"[^\w.-]+", "-", one).strip("-.")
    return whole / f"{name}-{hashlib.sha256(one.encode()).hexdigest()[:8]}-{declared.name}"
