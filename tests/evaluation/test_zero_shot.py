"""Zero-shot classification by small encoders of random weights and by made-up ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import publish_tiny_encoder

from figclip.config import UsageError
from figclip.embedding.classes import ensemble, logits, probabilities
from figclip.embedding.encoder import Encoder, TextEmbeddings
from figclip.evaluation.datasets.declaration import Class, Dataset, Folders
from figclip.evaluation.datasets.drawn import KIND_SET, write_kinds
from figclip.evaluation.datasets.opening import sets_in
from figclip.evaluation.datasets.published import PAPER
from figclip.evaluation.datasets.stand_ins import write_stand_ins
from figclip.evaluation.zero_shot import measures_of, zero_shot
from figclip.store import Store

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}
SET = Dataset(
    name="colours",
    title="Colours",
    files=Folders(),
    classes=tuple(Class(label=name, words=name) for name in COLOURS),
    templates=("a photo of {}", "{} in an image"),
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    store = Store(tmp_path_factory.mktemp("store"))
    publish_tiny_encoder(store, "tiny")
    return Encoder.open(store.open("encoder", "tiny"))


class SeesColours(Encoder):
    """An encoder whose vectors are the mean colour of a picture, and the colour that a text names;
    of a text without a colour, grey."""

    name, dim, scale, context_length = "colours@1", 3, 10.0, 8  # type: ignore[misc, assignment]

    def __init__(self, *, broken: str = "") -> None:
        self._broken = broken

    def encode_images(self, images: Any, *, batch_size: int = 64) -> np.ndarray:
        levels = np.array([np.asarray(image).mean((0, 1)) for image in images], np.float32)
        if self._broken == "images":
            levels[-1] = np.nan
        return levels / np.linalg.norm(levels, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 64) -> TextEmbeddings:
        lengths = np.array([len(text.split()) for text in texts])
        vectors = np.array([self._told(text) for text in texts], np.float32)
        if self._broken == "texts":
            vectors[1] = np.inf
        return TextEmbeddings(vectors, lengths, lengths > 3)

    def _told(self, text: str) -> np.ndarray:
        named = [place for place, name in enumerate(COLOURS) if name in text]
        return np.eye(3)[named[0]] if named else np.full(3, 3**-0.5)


def write_colours(data: Path, *, num: int = 3) -> None:
    for name, levels in COLOURS.items():
        folder = data / "colours" / name
        folder.mkdir(parents=True)
        for number in range(num):
            Image.new("RGB", (20, 30), levels).save(folder / f"{number}.png")


def test_what_is_plain_to_see_is_told_without_an_error(tmp_path: Path):
    write_colours(tmp_path)
    Image.new("RGB", (20, 30), COLOURS["blue"]).save(tmp_path / "colours" / "red" / "wrong.png")
    seer = SeesColours()
    found = zero_shot(seer, SET, str(tmp_path), batch_size=4, num_resamples=200)
    assert found.confusion.tolist() == [[3, 0, 1], [0, 3, 0], [0, 0, 3]]
    assert found.value == found.values["accuracy"] == 0.9
    assert found.intervals["accuracy"].low < 0.9 <= found.intervals["accuracy"].high
    assert found.num_images == 10
    assert found.num_cut_prompts == 6, "every prompt has four words"


def test_pictures_that_cannot_be_read_are_counted_named_and_left_out(tmp_path: Path):
    write_colours(tmp_path)
    (tmp_path / "colours" / "green" / "bad.png").write_bytes(b"no picture")
    seer = SeesColours()
    found = zero_shot(seer, SET, str(tmp_path), batch_size=2)
    assert (found.num_images, found.num_unreadable) == (9, 1)
    assert [*found.unreadable] == ["green/bad.png"]
    assert found.value == 1.0
    for path in (tmp_path / "colours" / "blue").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UsageError, match=r"no picture of 'blue' can be read.*green/bad.png"):
        zero_shot(seer, SET, str(tmp_path))


@pytest.mark.parametrize(("broken", "words"), [("images", "1.png"), ("texts", "red in an image")])
def test_an_encoder_that_gives_no_numbers_is_named_with_what_it_was_given(
    broken: str, words: str, tmp_path: Path
):
    write_colours(tmp_path)
    seer = SeesColours(broken=broken)
    with pytest.raises(UsageError, match=f"colours@1 gives no finite numbers for .*{words}"):
        zero_shot(seer, SET, str(tmp_path), batch_size=2)


def test_the_checksum_is_of_pictures_and_labels(tmp_path: Path):
    seer = SeesColours()
    for name in ("first", "again", "other"):
        write_colours(tmp_path / name)
    changed = tmp_path / "other" / "colours" / "red" / "0.png"
    Image.new("RGB", (20, 30), (249, 0, 0)).save(changed)
    sums = [zero_shot(seer, SET, str(tmp_path / n)).checksum for n in ("first", "again", "other")]
    assert sums[0] == sums[1] != sums[2]


def test_an_ensemble_is_normalised_averaged_and_normalised_again():
    prompts = np.array([[[3.0, 0], [0, 1.0]], [[0, 5.0], [0, 2.0]]])
    half = 2**-0.5
    assert ensemble(prompts) == pytest.approx(np.array([[half, half], [0, 1]]))


def test_probabilities_are_torchs_softmax_at_the_scale_of_the_encoder(encoder: Encoder):
    random = np.random.default_rng(0)
    images, classes = random.normal(size=(5, 4)), random.normal(size=(3, 4))
    scores = logits(images, classes, encoder.scale)
    assert encoder.scale == pytest.approx(1 / 0.07)
    expected = torch.softmax(torch.tensor(images @ classes.T / 0.07), dim=1).numpy()
    assert probabilities(scores) == pytest.approx(expected, rel=1e-5)


def test_a_small_encoder_goes_through_every_drawn_set_in_the_published_layouts(
    encoder: Encoder, tmp_path: Path
):
    write_stand_ins(tmp_path, num_per_class=4)
    write_kinds(tmp_path, num_per_class=2)
    sets = sets_in(str(tmp_path))
    results = [zero_shot(encoder, one, str(tmp_path)) for one in sets]
    by_name = {result.dataset.name: result for result in results}
    assert {*by_name} == {*(f"{one.name}_drawn" for one in PAPER), KIND_SET.name}
    assert all("drawn" in result.dataset.title for result in results)
    assert by_name["lc25000_lung_drawn"].num_unreadable == 1
    assert by_name["pcam_drawn"].confusion.sum(axis=1).tolist() == [4, 4]
    assert by_name["tcga_til_drawn"].confusion.sum(axis=1).tolist() == [16, 4]
    assert by_name["tcga_til_drawn"].value == by_name["tcga_til_drawn"].values["auroc"]
    told = measures_of(results)
    assert told["num_lc25000_lung_drawn_unreadable"] == 1
    assert "zero_shot_mean" not in told, "none of them is one of the paper's"


def test_the_mean_is_that_of_the_papers_five_and_there_where_all_five_are(tmp_path: Path):
    write_colours(tmp_path)
    found = zero_shot(SeesColours(), SET, str(tmp_path))
    theirs = [
        replace(found, dataset=one, values={one.metric: place / 10})
        for place, one in enumerate(PAPER)
    ]
    assert measures_of([found, *theirs])["zero_shot_mean"] == pytest.approx(0.2)
    assert "zero_shot_mean" not in measures_of([found, *theirs[:-1]])


def test_the_drawn_kinds_are_the_same_for_the_same_seed(tmp_path: Path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_kinds(tmp_path / name, num_per_class=1, seed=seed)
    files = {
        name: [path.read_bytes() for path in sorted((tmp_path / name).rglob("*.png"))]
        for name in ("a", "b", "c")
    }
    assert files["a"] == files["b"] != files["c"]
    assert len({*files["a"]}) == 2 * len(KIND_SET.classes), "no test picture is one to learn from"
