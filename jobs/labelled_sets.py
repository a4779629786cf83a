"""Sets of labelled pictures for jobs: those of a folder, or drawn ones for any store."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.captioned import captioned_in, write_captions
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.drawn import KIND_SET, write_kinds
from figclip.evaluation.datasets.opening import has_sets, opened, sets_in
from figclip.evaluation.proxy.private import private_in
from figclip.evaluation.sets import Sets
from figclip.evaluation.vqa.reading import question_sets, read_questions
from figclip.evaluation.vqa.stand_ins import write_question_stand_ins
from figclip.evaluation.zero_shot import measures_of, zero_shot
from figclip.store import Folder, Store
from figclip.tuning.judging import Downstream

log = logging.getLogger(__name__)

NAME, DRAWN = "labelled", "miniature"
"""The artifact of the drawn sets."""
QUESTIONS = "questions"
"""The artifact of drawn pictures with questions."""
NUM_PER_CLASS = 20
NUM_CAPTIONS = 130
NUM_ASKED = 20


def named_sets(data: str, names: Sequence[str]) -> tuple[Dataset, ...]:
    """Of a folder; `UsageError` where one of them is not whole."""
    found = sets_in(data, names)
    for dataset in found:
        with opened(dataset, data):
            pass
    return found


def sets_to_learn(data: str, names: Sequence[str]) -> tuple[Dataset, ...]:
    """Those of a folder that have a part to learn from, or those of these names; `UsageError` where
    one is not whole, or none is there."""
    found = tuple(one for one in sets_in(data, names) if names or one.train is not None)
    if not found:
        raise UsageError(f"{data} has no set with a part to learn from: declare one by its `train`")
    for dataset in found:
        for part in (dataset, dataset.training):
            with opened(part, data):
                pass
    return found


def all_sets(data: str, names: Sequence[str]) -> Sets:
    """All that are there, or those of these names; `UsageError` where one is not whole."""
    captioned = tuple(one for one in captioned_in(data) if not names or one in names)
    asked = tuple(one for one in question_sets(data) if not names or one.name in names)
    for one in asked:
        read_questions(one, data)
    private = private_in(data, names)
    known = {*captioned, *(one.name for one in asked), *(one.name for one in private)}
    others = [name for name in names if name not in known]
    is_wanted = bool(others) or (not names and has_sets(data))
    found = Sets(data, captioned, (), asked, private)
    labelled = named_sets(data, others) if is_wanted or found == Sets(data) else ()
    for dataset in labelled:
        if dataset.train is not None:
            sets_to_learn(data, [dataset.name])
    return replace(found, labelled=labelled)


def drawn_sets(store: Store) -> Folder:
    """`labelled/miniature`, drawn where it is not published yet."""
    made: dict[str, object] = {"num_per_class": NUM_PER_CLASS, "classes": list(KIND_SET.labels)}
    made |= {"num_captions": NUM_CAPTIONS}
    if not store.already_published(NAME, DRAWN, made):
        log.info("drawing pictures of %d kinds", len(KIND_SET.classes))
        with (
            store.publishing(NAME, DRAWN, config=made) as publication,
            publication.folder.built_locally() as folder,
        ):
            write_kinds(folder, num_per_class=NUM_PER_CLASS)
            write_captions(folder, num=NUM_CAPTIONS)
            num_images = NUM_PER_CLASS * len(KIND_SET.classes)
            publication.counts.update(num_images=num_images, num_to_learn_from=num_images)
    return store.open(NAME, DRAWN)


@contextmanager
def data_of(store: Store, data: str | None) -> Iterator[str]:
    """The folder of all sets: the one that is named, or that of the drawn ones."""
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="figclip-labelled-") as scratch:
        yield str(drawn_sets(store).download(Path(scratch)))


@contextmanager
def questions_in(store: Store, data: str | None) -> Iterator[str]:
    """The folder of all sets: the one that is named, or that of drawn questions."""
    if data is not None:
        yield data
        return
    made: dict[str, object] = {"num_pictures": NUM_ASKED}
    if not store.already_published(QUESTIONS, DRAWN, made):
        with (
            store.publishing(QUESTIONS, DRAWN, config=made) as publication,
            publication.folder.built_locally() as folder,
        ):
            write_question_stand_ins(folder, num_pictures=NUM_ASKED)
            publication.counts.update(made)
    with tempfile.TemporaryDirectory(prefix="figclip-questions-") as scratch:
        yield str(store.open(QUESTIONS, DRAWN).download(Path(scratch)))


def judge_of(store: Store, data: str | None, datasets: Sequence[Dataset]) -> Downstream | None:
    """Judges any encoder by these sets, of a folder or the drawn ones; None without any."""
    if data is None and datasets:
        drawn_sets(store)
    return (
        partial(judge, store=store.url, data=data, datasets=tuple(datasets)) if datasets else None
    )


def judge(
    encoder: Encoder, *, store: str, data: str | None, datasets: Sequence[Dataset]
) -> dict[str, float]:
    """`zero_shot_…` of each set; runs where the encoder is."""
    with data_of(Store(store), data) as folder:
        return measures_of([zero_shot(encoder, dataset, folder) for dataset in datasets])
