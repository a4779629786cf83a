"""Two encoders, or trials of a sweep, side by side: `python -m jobs.sweep compare A B`."""

import logging
from pathlib import Path

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from tyro.conf import Positional

from figclip.config import UsageError
from figclip.embedding.bulk import embed
from figclip.embedding.vectors import Embeddings, split_files
from figclip.evaluation.beside import held_out
from figclip.evaluation.compare import compare_table, compared
from figclip.evaluation.forest import draw_differences
from figclip.schema import Split
from figclip.store import Store
from figclip.tuning.record import TrialRecord
from jobs.entry import joined_ray
from jobs.recorded import RecordedJob, given
from jobs.sweep_trials import trial_embeddings

log = logging.getLogger(__name__)


class CompareJob(RecordedJob):
    """Two encoders on the same held-out pairs: recall both ways, and the difference's interval."""

    first: Positional[str] = ""
    """Version of an encoder artifact, or `SWEEP:NUMBER` for a trial: its encoder, or its last
    checkpoint where none was published of it."""
    second: Positional[str] = ""
    """The other one."""
    pairs: str = "pmc"
    """Version of the pairs artifact."""
    split: Split = "test"
    ks: tuple[PositiveInt, ...] = (1, 5, 10)
    """Recall among the first so many."""
    num_resamples: PositiveInt = 10_000
    """Of the pairs, for the intervals."""
    seed: NonNegativeInt = 0
    """Draws them."""
    out: str | None = None
    """Folder for `compare.md` and `compare.png`; unset: `{first}-beside-{second}` here."""
    batch_size: PositiveInt = 64
    """Pairs that go through the towers at once, where they are not embedded yet."""
    cpus_per_actor: PositiveFloat = 1.0
    """CPUs that Ray sets aside for embedding."""
    use_gpu: bool = False
    """Embed on a GPU."""


def compare(config: CompareJob) -> Path:
    names = (given(config.first, "compare A B"), given(config.second, "compare A B"))
    found = compared(
        *(embeddings_of(config, name) for name in names),
        ks=config.ks,
        num_resamples=config.num_resamples,
        seed=config.seed,
    )
    text = compare_table(found, names)
    folder = Path(config.out or "-beside-".join(name.replace(":", "-") for name in names))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.md").write_text(f"{text}\n")
    (folder / "compare.png").write_bytes(draw_differences(found, names))
    print(text, flush=True)
    log.info("wrote %s", folder)
    return folder


def embeddings_of(config: CompareJob, name: str) -> Embeddings:
    """Of an encoder artifact, or of a trial: of its encoder, or of its checkpoint without one."""
    store = Store(config.store)
    sweep, is_trial, _ = name.rpartition(":")
    encoder = name.removeprefix("encoder@")
    if is_trial:
        trial = trial_of(config, name)
        if not trial.encoder:
            return trial_embeddings(
                store,
                config.recorded,
                sweep,
                trial,
                pairs=config.pairs,
                split=config.split,
                batch_size=config.batch_size,
                device="cuda" if config.use_gpu else "cpu",
            )
        encoder = trial.encoder.partition("@")[2]
    version = embedded_version(store, config, encoder)
    return held_out(store, version, config.pairs, config.split)


def trial_of(config: CompareJob, name: str) -> TrialRecord:
    """`SWEEP:7` → its trial 7."""
    sweep, _, number = name.rpartition(":")
    trials = {str(trial.number): trial for trial in config.read(sweep).trials}
    if number not in trials:
        raise UsageError(f"the sweep {sweep} has no trial {number}; it has {len(trials)}")
    return trials[number]


def embedded_version(store: Store, config: CompareJob, encoder: str) -> str:
    """The version of the encoder's embeddings of the split, made where they are not there."""
    store.manifest("encoder", encoder)  # its complaint names those that are there
    wanted = (f"pairs@{config.pairs}", f"encoder@{encoder}")
    for version in store.versions("embeddings"):
        is_theirs = store.manifest("embeddings", version).inputs == wanted
        if is_theirs and split_files(store.open("embeddings", version), [config.split]):
            return version
    version = f"{encoder}-on-{config.pairs}-{config.split}"
    with joined_ray(config):
        embed(
            store,
            pairs_version=config.pairs,
            encoder_version=encoder,
            version=version,
            splits=(config.split,),
            batch_size=config.batch_size,
            num_actors=1,
            cpus_per_actor=config.cpus_per_actor,
            gpus_per_actor=1.0 if config.use_gpu else 0.0,
        )
    return version
