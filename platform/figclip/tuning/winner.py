"""A trial's checkpoint → an encoder artifact, with the sweep it comes from in its manifest."""

import tempfile
from pathlib import Path

from figclip.config import UsageError
from figclip.store import Manifest, Store
from figclip.training.checkpoint import newest_checkpoint, read_checkpoint
from figclip.training.publishing import NAME, publish_encoder
from figclip.training.rank import CHECKPOINTS
from figclip.tuning.record import TrialRecord
from figclip.tuning.study import SweepStudy
from figclip.tuning.trial import Setup

FROM_SWEEP = "sweep"
"""In the config of an encoder's manifest."""


def publish_trial(study: SweepStudy, setup: Setup, trial: TrialRecord) -> Manifest:
    """As `encoder@{sweep}`, or `{sweep}-{number}` where another trial has that name."""
    store, name = Store(setup.store), study.study.study_name
    inputs = tuple(dict.fromkeys(share.artifact for share in setup.corpora))
    values = setup.config(trial.params, trial.seed).model_dump(mode="json") | {
        "corpora": [share.model_dump(mode="json") for share in setup.corpora],
        FROM_SWEEP: {"name": name, "trial": trial.number, "id": study.id},
    }
    version = name
    if store.is_published(NAME, name) and store.manifest(NAME, name).config != values:
        version = f"{name}-{trial.number}"
    if not store.already_published(NAME, version, values, inputs):
        task = setup.task(trial.number, trial.params, trial.seed)
        kept = task.run / CHECKPOINTS
        newest = newest_checkpoint(kept)
        if newest is None:
            raise UsageError(f"trial {trial.number} of {name} has no checkpoint in {kept.path}")
        with tempfile.TemporaryDirectory(prefix="figclip-checkpoint-") as copy:
            state = read_checkpoint((kept / newest).download(Path(copy)))
        publish_encoder(store, version, task, state, values=values, inputs=inputs)
    study.name_encoder(trial.number, f"{NAME}@{version}")
    return store.manifest(NAME, version)


def winner_of(store: Store, sweep: str) -> Manifest:
    """The newest encoder that was published as the best of a sweep."""
    for version in reversed(store.versions(NAME)):
        manifest = store.manifest(NAME, version)
        if manifest.config.get(FROM_SWEEP, {}).get("name") == sweep:
            return manifest
    raise UsageError(f"no encoder in {store.url} is the best of a sweep {sweep!r}: run that first")
