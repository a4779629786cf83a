"""A trial's encoder, out of its checkpoint: looked at, and not published."""

import json
from functools import partial
from pathlib import PurePosixPath

import numpy as np
import optuna
import pyarrow as pa
import torch

from figclip.config import UsageError
from figclip.embedding.bulk import embedded_file
from figclip.embedding.vectors import Embeddings, matrix, split_files
from figclip.evaluation.retrieval import validate
from figclip.inputs.corpora import CorpusShare
from figclip.store import Folder, Store
from figclip.training.checkpoint import newest_checkpoint
from figclip.training.recipe import PretrainConfig
from figclip.training.task import Task
from figclip.tuning.judging import checkpoint_encoder
from figclip.tuning.record import SWEEP, TrialRecord
from figclip.tuning.storage import open_storage
from figclip.tuning.trial import Setup
from jobs.recipes import fitted


def trial_embeddings(
    store: Store,
    storage: str,
    sweep: str,
    trial: TrialRecord,
    *,
    pairs: str,
    split: str,
    batch_size: int,
    device: str,
) -> Embeddings:
    """What a trial's last checkpoint makes of a split, computed here and kept nowhere.

    `UsageError` where the checkpoint is gone, or the split is empty.
    """
    study = optuna.load_study(study_name=sweep, storage=open_storage(storage))
    task = _task_of(store, study.user_attrs[SWEEP], sweep, trial)
    encoder = checkpoint_encoder(task, device=device)
    held = store.open("pairs", pairs)
    tables = [
        embedded_file(
            encoder, held, name, batch_size=batch_size, num_threads=torch.get_num_threads()
        )
        for name in split_files(held, [split])
    ]
    if not tables or not (table := pa.concat_tables(tables)).num_rows:
        raise UsageError(f"pairs@{pairs} holds no pair of the split {split!r}")
    vectors: list[np.ndarray] = [matrix(table[f"{side}_embedding"]) for side in ("image", "text")]
    return Embeddings(table["pair_id"].to_pylist(), *vectors)


def _task_of(store: Store, asked: dict, sweep: str, trial: TrialRecord) -> Task:
    """The trial's run, as its driver made it."""
    gone = UsageError(
        f"trial {trial.number} of {sweep} has no encoder and no checkpoint in {store.url} any more"
    )
    root, kept = PurePosixPath(store.root.path), PurePosixPath(trial.checkpoint or "/")
    if not kept.is_relative_to(root):
        raise gone
    # Of a trial that went on, the very one that was recorded may be gone by now.
    if newest_checkpoint(Folder(store.root.fs, str(kept.parent))) is None:
        raise gone
    setup = Setup(
        store=store.url,
        folder=str(kept.parent.parent.parent.relative_to(root)),
        corpora=tuple(CorpusShare(**share) for share in asked["setting"]["pairs"]),
        base=PretrainConfig.from_json(json.dumps(asked["setting"]["recipe"])),
        fit=partial(fitted, num_workers=1),
        validate=validate,
    )
    return setup.task(trial.number, trial.params, trial.seed)
