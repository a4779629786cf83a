"""A small pretraining run, and what it leaves: weights, curve, checkpoints."""

import json
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from figclip.inputs.corpora import CorpusShare
from figclip.inputs.pixels import PixelConfig
from figclip.models.clip import ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.models.weights import load_clip
from figclip.store import Store
from figclip.training.data import open_data, task_of
from figclip.training.optim import OptimConfig
from figclip.training.recipe import PretrainConfig
from figclip.training.task import Task
from figclip.training.trackers import TrackerConfig

STEPS_PER_EPOCH = 20
CONFIG = PretrainConfig(
    model=ClipConfig(
        vision=VisionConfig(
            timm_model="vit_tiny_patch16_224",
            image_size=32,
            width=32,
            depth=2,
            heads=2,
            patch_dropout=0.25,
        ),
        text=TextConfig(
            vocab_size=300,
            hidden_size=32,
            layers=2,
            heads=2,
            intermediate_size=64,
            max_positions=32,
            context_length=16,
        ),
        embed_dim=16,
    ),
    pixels=PixelConfig(size=32),
    optim=OptimConfig(lr=1e-3, warmup_steps=5),
    batch_size=8,
    lanes=4,
    epochs=2,
    checkpoint_every_steps=6,
    groups_per_window=2,
    log_every_s=0.5,
)


ALONE = CONFIG.with_overrides(
    {"precision": "fp32", "model.text.dropout": 0.0, "model.vision.patch_dropout": 0.0}
)
"""Nothing is drawn that would depend on the rank."""


def task(store: Store, run: str, config: PretrainConfig) -> Task:
    """Of a run on the `small` pairs that nothing validates."""
    return task_of(
        open_data(store, (CorpusShare(pairs="small"),)),
        config,
        store.root / "runs" / run,
        initial=None,
        validate=None,
        trackers=TrackerConfig(),
    )


def weights(store: Store, version: str) -> dict[str, torch.Tensor]:
    return load_clip(store.open("encoder", version))[0].state_dict()


def losses_by_sample(store: Store, version: str) -> list[tuple[int, float]]:
    """The training curve as TensorBoard shows it."""
    folder = store.open("encoder", version) / "_tensorboard"
    reader = EventAccumulator(folder.path, size_guidance={"scalars": 0})
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars("train/loss")]


def registered_steps(store: Store, version: str) -> list[int]:
    """Steps of the checkpoints that Ray Train would resume from."""
    path = Path(store.root.path, "runs", f"encoder-{version}", "train")
    snapshot = path / "checkpoint_manager_snapshot.json"
    if not snapshot.exists():
        return []
    results = json.loads(snapshot.read_text())["checkpoint_results"]
    return [result["metrics"]["steps"] for result in results]
