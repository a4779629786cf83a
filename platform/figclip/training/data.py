"""What a run trains on: its corpora, its tokenizer, and the task made of them for its workers."""

from collections.abc import Sequence
from dataclasses import dataclass

from figclip.config import UsageError
from figclip.inputs.corpora import (
    Corpus,
    CorpusShare,
    all_texts,
    mixed_row_groups,
    open_corpora,
    row_groups,
)
from figclip.inputs.order import RowGroup, SampleOrder
from figclip.inputs.tokens import FILE as TOKENIZER_FILE
from figclip.inputs.tokens import Tokenizer, open_tokenizer, train_wordpiece
from figclip.models.opening import Opened
from figclip.store import Folder, Store
from figclip.training.initial import initial_tokenizer, keep_initial
from figclip.training.recipe import PretrainConfig
from figclip.training.task import LoopConfig, Task, Validate
from figclip.training.trackers import TrackerConfig


@dataclass(frozen=True)
class Data:
    """What runs on the same corpora have in common."""

    corpora: tuple[Corpus, ...]
    train: tuple[RowGroup, ...]
    validation: tuple[RowGroup, ...]
    """Of the first corpus, like the next."""
    test: tuple[RowGroup, ...]

    @property
    def num_rows(self) -> int:
        """That an epoch shows."""
        return SampleOrder(self.train, 0, 1).num_rows


def open_data(store: Store, corpora: Sequence[CorpusShare]) -> Data:
    """`UsageError` where one of them is not published."""
    opened = open_corpora(store, corpora)
    return Data(
        corpora=opened,
        train=mixed_row_groups(opened, corpora, "train"),
        validation=row_groups(opened[0].pairs, "validation"),
        test=row_groups(opened[0].pairs, "test"),
    )


def task_of(
    data: Data,
    config: PretrainConfig,
    run: Folder,
    *,
    initial: Opened | None,
    validate: Validate | None,
    cpus_per_read: float = 0.0,
    reads_per_worker: int = 1,
    trackers: TrackerConfig,
) -> Task:
    """What a run's workers are handed; tokenizer and initial weights are kept in its folder.

    `UsageError`, before anything is kept, where the tokenizer does not fit the model.
    """
    tokenizer = _tokenizer(run, config, data.corpora, data.train, initial)
    keep_initial(run, initial)
    return Task(
        config=config.part(LoopConfig),
        corpora=data.corpora,
        train=data.train,
        validation=data.validation,
        tokenizer=tokenizer,
        run=run,
        validate=validate,
        cpus_per_read=cpus_per_read,
        reads_per_worker=reads_per_worker,
        trackers=trackers,
    )


def _tokenizer(
    run: Folder,
    config: PretrainConfig,
    corpora: Sequence[Corpus],
    train: tuple[RowGroup, ...],
    initial: Opened | None,
) -> Tokenizer:
    """The given one, that of the initial model, or one trained on the texts.

    The run's folder keeps it for a resumption.
    """
    if run.exists(TOKENIZER_FILE):
        return Tokenizer.load(run)
    vocab_size = config.model.text.settled().vocab_size
    if config.tokenizer is not None:
        tokenizer = open_tokenizer(config.tokenizer)
    elif initial is not None:
        tokenizer = initial_tokenizer(initial)
    else:
        tokenizer = train_wordpiece(all_texts(corpora, train), vocab_size=vocab_size)
    if tokenizer.vocab_size > vocab_size:
        given = config.init or config.model.text.hf_name
        remedy = (
            f"name the one that {given} was trained with, --tokenizer {given}"
            if given
            else f"set --model.text.vocab-size {tokenizer.vocab_size}"
        )
        raise UsageError(
            f"the tokenizer's {tokenizer.vocab_size} tokens exceed the model's {vocab_size}: "
            f"{remedy}"
        )
    tokenizer.save(run)
    return tokenizer
