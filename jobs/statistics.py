"""Pairs → their statistics as plots and numbers: `python -m jobs.statistics --pairs pmc`."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pydantic import PositiveFloat, PositiveInt

from figclip.statistics.describe import describe
from figclip.statistics.summary import CountTokens
from figclip.statistics.words import WORDS, count_words
from figclip.store import Manifest, Store
from jobs.entry import Job, joined_ray, keep_config, run

if TYPE_CHECKING:
    from figclip.inputs.tokens import Tokenizer

ENCODER = "encoder@"


class StatisticsJob(Job):
    """Count what `pairs/{pairs}` holds and publish `statistics/{version}`."""

    pairs: str = "pmc"
    """Version of the pairs artifact."""
    version: str | None = None
    """Name of the statistics artifact to publish; unset: that of the pairs."""
    tokenizer: str = WORDS
    """In whose tokens captions are measured: a `vocab.txt`, `tokenizer.json`, folder or hub name,
    or `encoder@VERSION` for that of an encoder artifact. `words` needs none of them: BERT's split
    into words and punctuation marks, of which its tokens are as many or more."""
    cpus_per_task: PositiveFloat = 1.0
    """CPUs that Ray sets aside for one task that counts files."""
    max_tasks: PositiveInt = 8
    """Such tasks at once, at the most."""


PRESETS = {"cpu": StatisticsJob()}


def token_counter(tokenizer: str, store: Store) -> CountTokens:
    """What measures captions, by its name as in the job's config."""
    if tokenizer == WORDS:
        return count_words
    from figclip.inputs.tokens import Tokenizer, open_tokenizer  # seconds, where none is wanted

    if tokenizer.startswith(ENCODER):
        found = Tokenizer.load(store.open("encoder", tokenizer.removeprefix(ENCODER)))
    else:
        found = open_tokenizer(tokenizer)
    return partial(count_tokens, tokenizer=found)


def count_tokens(texts: Sequence[str], *, tokenizer: "Tokenizer") -> list[int]:
    """Of the whole texts, [CLS] and [SEP] among them."""
    return tokenizer(texts, context_length=2).num_tokens.tolist()


def main(config: StatisticsJob) -> Manifest:
    store = Store(config.store)
    version = config.version or config.pairs
    counter = token_counter(config.tokenizer, store)
    with joined_ray(config):
        manifest = describe(
            store,
            config.pairs,
            version,
            tokenizer=config.tokenizer,
            count_tokens=counter,
            num_cpus_per_task=config.cpus_per_task,
            max_tasks=config.max_tasks,
        )
    keep_config(store, "statistics", version, "statistics", config)
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "statistics")
