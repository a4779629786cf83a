"""Fine-tuning of a small tower of random weights on pictures whose answer is known."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import publish_tiny_encoder
from torch import nn
from torch.nn import functional as F

from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.declaration import Class, Dataset, Folders
from figclip.evaluation.embedded import EmbeddedSet, embed_set
from figclip.evaluation.fine_tuning import TuneConfig, pictures_of, probed_head, tuning_learner
from figclip.evaluation.logistic import logistic_learner
from figclip.evaluation.probing import Learned
from figclip.store import Store

STRIPES = Dataset(
    name="stripes",
    title="Stripes",
    files=Folders(folder="test"),
    train=Folders(folder="train"),
    classes=(Class(label="lying", words="lying"), Class(label="standing", words="standing")),
    templates=("{} stripes",),
)
"""Of any colours and any place: only their direction tells the classes apart."""
NUM = {"train": 60, "test": 40}


def stripes(random: np.random.Generator, *, standing: bool) -> Image.Image:
    dark, light = random.integers(0, 90, 3), random.integers(166, 256, 3)
    shift = int(random.integers(4))
    is_light = (np.arange(32) + shift) // 2 % 2 == 0
    rows = np.where(is_light[:, None, None], light, dark).astype(np.uint8)
    field = np.broadcast_to(rows, (32, 32, 3))
    return Image.fromarray(np.ascontiguousarray(field.swapaxes(0, 1) if standing else field))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for part, num in NUM.items():
        for label in STRIPES.labels:
            folder = root / "stripes" / part / label
            folder.mkdir(parents=True)
            for number in range(num):
                image = stripes(random, standing=label == "standing")
                image.save(folder / f"{number:03d}.png")
    return str(root)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    store = Store(tmp_path_factory.mktemp("store"))
    publish_tiny_encoder(store, "tiny")
    return Encoder.open(store.open("encoder", "tiny"))


@pytest.fixture(scope="module")
def parts(encoder: Encoder, data: str) -> tuple[EmbeddedSet, EmbeddedSet]:
    sets = (STRIPES.training, STRIPES)
    train, test = (embed_set(encoder, one, data, batch_size=64) for one in sets)
    return train, test


def tuned(
    encoder: Encoder, data: str, parts: tuple[EmbeddedSet, EmbeddedSet], config: TuneConfig, **more
) -> Learned:
    train, test = parts
    chosen = more.pop("chosen", np.arange(len(train.labels)))
    with (
        pictures_of(encoder, STRIPES.training, data, train) as learned_from,
        pictures_of(encoder, STRIPES, data, test) as judged_by,
    ):
        learn = tuning_learner(
            encoder, learned_from, judged_by, metric="accuracy", config=config, **more
        )
        return learn(chosen, 0)


def share_right(learned: Learned, labels: np.ndarray) -> float:
    return float((learned.scores.argmax(1) == labels).mean())


def test_a_tower_learns_what_its_frozen_vectors_do_not_tell_and_the_encoder_stays_as_it_is(
    encoder: Encoder, data: str, parts: tuple[EmbeddedSet, EmbeddedSet]
):
    train, test = parts
    known = train.vectors, train.labels
    learn = logistic_learner(known, test.vectors, metric="accuracy", max_iterations=1_000)
    frozen = share_right(learn(np.arange(len(train.labels)), 0), test.labels)
    config = TuneConfig(lr=3e-3, tower_lr=3e-3, batch_size=16, num_epochs=30, patience=30)
    found = tuned(encoder, data, parts, config)
    print(frozen, share_right(found, test.labels), found.settings)
    assert share_right(found, test.labels) >= 0.95 > 0.9 > frozen
    assert found.settings["epochs"] > 0
    again = embed_set(encoder, STRIPES, data, batch_size=64)
    assert np.array_equal(again.vectors, test.vectors)


def test_a_tower_that_does_not_learn_leaves_its_head_alone_with_the_vectors(
    encoder: Encoder, data: str, parts: tuple[EmbeddedSet, EmbeddedSet]
):
    """The head by torch's own AdamW on the frozen vectors, in a plain loop."""
    train, test = parts
    chosen = np.array([0, 1, 2, 3, 4, 60])  # one class has a lone picture: nothing is held out
    config = TuneConfig(lr=0.01, tower_lr=0.0, batch_size=4, num_epochs=5, warmup_steps=1)
    found = tuned(encoder, data, parts, config, chosen=chosen, at_once=3)
    with pictures_of(encoder, STRIPES.training, data, train) as pictures:
        head = probed_head(pictures, chosen, metric="accuracy", seed=0)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.01, weight_decay=0.1)
    order = np.random.default_rng(0)
    for epoch in range(5):
        shuffled = order.permutation(chosen)
        for number, rows in enumerate((shuffled[:4], shuffled[4:])):
            step = 2 * epoch + number
            rate = 1.0 if step == 0 else 0.5 * (1 + math.cos(math.pi * (step - 1) / 9))
            optimizer.param_groups[0]["lr"] = 0.01 * rate
            optimizer.zero_grad()
            logits = head(torch.from_numpy(train.vectors[rows]))
            F.cross_entropy(logits, torch.from_numpy(train.labels[rows])).backward()
            nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
    with torch.no_grad():
        expected = head(torch.from_numpy(test.vectors)).numpy()
    assert found.scores == pytest.approx(expected, abs=1e-4)
    assert found.settings == {"epochs": 5}
    assert np.ptp(expected) > 0.1


def test_the_first_head_gives_the_logits_of_the_probe(
    encoder: Encoder, data: str, parts: tuple[EmbeddedSet, EmbeddedSet]
):
    train, test = parts
    everything = np.arange(len(train.labels))
    learn = logistic_learner(
        (train.vectors, train.labels), test.vectors, metric="accuracy", max_iterations=1_000
    )
    with pictures_of(encoder, STRIPES.training, data, train) as pictures:
        head = probed_head(pictures, everything, metric="accuracy", seed=0)
    with torch.no_grad():
        found = head(torch.from_numpy(test.vectors)).softmax(1).numpy()
    expected = torch.softmax(torch.from_numpy(learn(everything, 0).scores), 1).numpy()
    assert found == pytest.approx(expected, abs=1e-4)


def test_training_ends_where_nothing_gets_better(
    encoder: Encoder, data: str, parts: tuple[EmbeddedSet, EmbeddedSet]
):
    """A rate that destroys the tower: the probe before the first epoch is what is left."""
    config = TuneConfig(lr=30.0, tower_lr=30.0, weight_decay=0.0, patience=2, num_epochs=50)
    found = tuned(encoder, data, parts, config, chosen=np.r_[0:20, 60:80])
    assert found.settings["epochs"] < 50
    assert np.isfinite(found.scores).all()


def test_pictures_are_those_of_the_vectors_though_some_cannot_be_read(
    encoder: Encoder, tmp_path: Path
):
    random = np.random.default_rng(1)
    for part in NUM:
        for label in STRIPES.labels:
            folder = tmp_path / "stripes" / part / label
            folder.mkdir(parents=True)
            for number in range(3):
                stripes(random, standing=label == "standing").save(folder / f"{number}.png")
    (tmp_path / "stripes" / "train" / "lying" / "1.png").write_bytes(b"cut")
    train = embed_set(encoder, STRIPES.training, str(tmp_path), batch_size=2)
    assert train.kept.tolist() == [0, 2, 3, 4, 5]
    with pictures_of(encoder, STRIPES.training, str(tmp_path), train) as pictures:
        seen = pictures[np.arange(5)]
        assert torch.equal(pictures[np.array([3])], seen[3:4]), "held, and asked again"
    assert encoder.encode_pixels(seen) == pytest.approx(train.vectors, abs=1e-6)
