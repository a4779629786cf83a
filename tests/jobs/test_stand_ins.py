"""Drawn sets and encoders of random weights, by the commands that a user has, to the report."""

import shlex
import time
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from native_clip import native_clip
from PIL import Image
from tiny import TINY_CLIP, publish_tiny_encoder

from figclip.config import UsageError, config_from_args
from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.captioned import captioned_in, drawn_captions
from figclip.evaluation.datasets.opening import sets_in
from figclip.evaluation.datasets.published import PAPER
from figclip.evaluation.measures import EvaluationReport
from figclip.models.open_clip import read_open_clip
from figclip.store import Store
from jobs import evaluate, stand_ins

SMALL = {
    "biomedclip": TINY_CLIP.with_overrides({"text.vocab_size": 3_000}),
    "openai-clip": native_clip(vocab_size=3_000, context_length=12),
}


def run(module: object, words: str) -> object:
    config = config_from_args(module.PRESETS, shlex.split(words), "job")  # type: ignore[attr-defined]
    return module.main(config)  # type: ignore[attr-defined]


def test_every_set_is_drawn_where_nothing_lies_yet(tmp_path: Path):
    words = f"sets --data {tmp_path / 'data'} --num-per-class 1 --num-captions 2"
    run(stand_ins, words)
    found = {one.name for one in sets_in(str(tmp_path / "data"))}
    assert found == {"drawn_kinds", *(f"{one.name}_drawn" for one in PAPER)}
    (name,) = captioned_in(str(tmp_path / "data"))
    lines = (tmp_path / "data" / name / "captions.csv").read_text().splitlines()
    assert len(lines) == 3
    assert all(caption in line for caption, line in zip(drawn_captions(2), lines[1:], strict=True))
    with pytest.raises(UsageError, match="not empty: name a new folder"):
        run(stand_ins, words)


@torch.no_grad()
def test_both_encoders_are_read_by_open_clip_and_see_what_it_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stand_ins, "SHAPES", {"openai-clip": SMALL["openai-clip"]})
    run(stand_ins, f"encoders --out {tmp_path / 'out'}")
    folder = tmp_path / "out" / "openai-clip"
    peer, _, recipe = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}", context_length=12)
    encoder = Encoder.open(folder)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    texts = ["CT of the chest", "a very long caption " * 9]
    found = encoder.encode_texts(texts)
    assert found.truncated.tolist() == [False, True]
    assert np.abs(found.vectors - peer.encode_text(tokenize(texts), True).numpy()).max() < 1e-5
    seen = peer.eval().encode_image(recipe(picture)[None], True).numpy()
    assert np.abs(encoder.encode_images([picture]) - seen).max() < 1e-5


@pytest.mark.slow
@pytest.mark.timeout(1_500)
def test_everything_is_evaluated_beside_random_weights_of_the_released_shapes(tmp_path: Path):
    data, encoders = tmp_path / "data", tmp_path / "encoders"
    run(stand_ins, f"sets --data {data}")
    run(stand_ins, f"encoders --out {encoders}")
    sizes = {}
    for name in ("biomedclip", "openai-clip"):
        state, _, _ = read_open_clip(encoders / name)
        sizes[name] = sum(tensor.numel() for tensor in state.values())
    assert sizes == {"biomedclip": 195_902_721, "openai-clip": 149_620_737}
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")
    beside = [str(encoders / name) for name in sizes]
    began = time.process_time()
    manifest = run(
        evaluate,
        f"all --store {store.url} --encoder tiny --data {data} --beside {' '.join(beside)}",
    )
    assert time.process_time() - began < 2 * 600, "CPU seconds: ten minutes on two cores"
    file = store.open("evaluation", manifest.version).read("report.json")  # type: ignore[attr-defined]
    found = EvaluationReport.from_json(file).measures
    assert {one.of for one in found} == {"tiny", *beside}
    tasks = {(one.task, one.set) for one in found}
    for encoder in ("tiny", *beside):
        assert {(one.task, one.set) for one in found if one.of == encoder} == tasks
    assert {task for task, _ in tasks} == {"retrieval", "zero_shot", "probe"}
