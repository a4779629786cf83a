"""What a run has learned → an encoder artifact with its card."""

import json
from collections import Counter
from typing import Any

from figclip.inputs.order import RowGroup
from figclip.models.adapting import plain
from figclip.models.clip import Clip
from figclip.models.model_card import FILE as CARD_FILE
from figclip.models.model_card import model_card
from figclip.models.weights import clip_with, save_weights
from figclip.store import Manifest, Publication, Store
from figclip.training.task import LoopConfig, Task

NAME = "encoder"
LEFT_OUT_FILE = "left_out.json"
"""Pairs of the train split that gave nothing: pair id → why."""


def publish_encoder(
    store: Store,
    version: str,
    task: Task,
    state: dict[str, Any],
    *,
    values: dict[str, Any],
    inputs: tuple[str, ...],
) -> Manifest:
    """What a checkpoint's `state` has learned, as `encoder@version` with its card."""
    with store.publishing(NAME, version, config=values, inputs=inputs) as publication:
        _write_encoder(publication, task, state)
        card = model_card(
            f"{NAME}@{version}",
            task.config.model.settled(),
            inputs=inputs,
            run=values,
            counts=publication.counts,
        )
        publication.folder.write(CARD_FILE, card.encode())
    return store.manifest(NAME, version)


def learned_clip(config: LoopConfig, state: dict[str, Any]) -> Clip:
    """What a checkpoint's `state` has learned: the average of its weights, where it keeps one."""
    learned = state["model"] | state["others"].get("average", {})
    weights = plain(learned, config.model, config.adapt)
    clip: Clip = clip_with(weights, config.model, origin="the last checkpoint")
    return clip


def _write_encoder(publication: Publication, task: Task, state: dict[str, Any]) -> None:
    config, folder, progress = task.config, publication.folder, state["progress"]
    clip = learned_clip(config, state)
    save_weights(folder, clip, config.model)
    task.tokenizer.save(folder)
    config.pixels.save(folder)
    folder.write("history.json", json.dumps(progress["history"], indent=1).encode())
    curves = task.run / "tensorboard"
    for name in curves.files():
        (folder / "_tensorboard").write(name, curves.read(name))
    left_out: dict[str, str] = progress["left_out"]
    folder.write(LEFT_OUT_FILE, json.dumps(left_out, indent=1).encode())
    last = dict(progress["history"][-1])
    publication.counts.update(
        num_train_pairs=_num_rows(task.train),
        num_validation_pairs=_num_rows(task.validation),
        num_parameters=sum(parameter.numel() for parameter in clip.parameters()),
        num_steps=progress["steps_done"],
        num_epochs=last.pop("epoch"),
        samples_seen=last.pop("samples"),
        final_loss=last.pop("loss"),
        left_out=dict(Counter(why.partition(":")[0] for why in left_out.values())),
        validation=last,
    )


def _num_rows(groups: tuple[RowGroup, ...]) -> int:
    return sum(group.num_rows for group in groups)
