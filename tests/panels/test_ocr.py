"""Labels are found in drawn pictures, and nothing in pictures without; no picture is too much."""

from collections.abc import Sequence

import numpy as np
import pytest
from lettering import is_near, lettered

from figclip.panels.labels.nested import MOST_WORDS
from figclip.panels.labels.ocr import find_labels
from figclip.panels.labels.reader import Reader, shared_reader
from figclip.panels.labels.search import MOST_READ

PLACES = {"A": (10, 10), "B": (460, 10), "C": (10, 310), "D": (460, 310)}


class CountingReader(Reader):
    """A reader that counts what it is asked."""

    def __init__(self) -> None:
        self.num_read = 0

    def read(self, crops: Sequence[np.ndarray]) -> list[tuple[str, float]]:
        self.num_read += len(crops)
        return shared_reader().read(crops)


@pytest.mark.parametrize("form", ["{}", "({})", "{})", "{}."])
@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_expected_labels_are_found_in_any_form_and_either_case(form: str, case) -> None:
    places = {case(letter): place for letter, place in PLACES.items()}
    picture = lettered({form.format(letter): place for letter, place in places.items()})
    labels = find_labels(picture, list(places))
    assert [label.text for label in labels] == list(places)
    assert all(is_near(label.box, places[label.text]) for label in labels)


@pytest.mark.parametrize(("ink", "ground"), [("white", "black"), ("yellow", "navy")])
@pytest.mark.parametrize("size", [11, 30, 60])
def test_labels_of_many_sizes_and_colours_are_found(size: int, ink: str, ground: str) -> None:
    picture = lettered(PLACES, size=size, ink=ink, ground=ground)
    assert [label.text for label in find_labels(picture, "ABCD")] == list("ABCD")


def test_a_caption_in_capitals_names_small_print() -> None:
    places = {letter.lower(): place for letter, place in PLACES.items()}
    labels = find_labels(lettered(places, name="STIXGeneralBol", size=30), "ABCD")
    assert [label.text for label in labels] == list("ABCD")


@pytest.mark.parametrize("form", ["{}", "({})", "{}."])
@pytest.mark.parametrize(
    "names", [("A1", "A2", "B1", "B2"), ("Ai", "Aii", "Bi", "Bii"), ("a1", "a2", "b", "c")]
)
def test_nested_labels_are_found_where_the_caption_names_them(
    names: tuple[str, ...], form: str
) -> None:
    places = dict(zip(names, PLACES.values(), strict=True))
    other = {"control": (200, 400), "12": (300, 500), "B2 cells": (600, 400)}
    picture = lettered({form.format(name): place for name, place in places.items()} | other)
    labels = find_labels(picture, names)
    assert [label.text for label in labels] == list(names)
    assert all(is_near(label.box, places[label.text]) for label in labels)
    assert find_labels(lettered(other), names) == []


def test_words_and_numbers_are_no_labels() -> None:
    texts = {"ABCD": (60, 60), "CAB": (400, 200), "100": (20, 300), "DAD": (500, 500)}
    assert find_labels(lettered(texts), "ABCD") == []
    assert find_labels(lettered(texts), ()) == []


def test_a_letter_of_an_axis_is_not_taken_for_the_label() -> None:
    picture = lettered(PLACES, size=26)
    small = lettered({"B": (300, 560), "A": (120, 560)}, size=14)
    labels = find_labels(np.minimum(picture, small), "ABCD")
    assert [label.text for label in labels] == list("ABCD")
    assert all(is_near(label.box, PLACES[label.text]) for label in labels)


def test_a_run_is_found_that_no_caption_names() -> None:
    assert [label.text for label in find_labels(lettered(PLACES), ())] == list("ABCD")
    assert find_labels(lettered({"B": (10, 10), "C": (460, 10)}), ()) == []
    assert find_labels(lettered({"A": (10, 10)}), ()) == []


def test_where_no_pair_of_letters_looks_like_labels_nothing_is_read() -> None:
    reader = CountingReader()
    plot = lettered({"Time (s)": (400, 560), "0.5": (20, 300), "1.0": (20, 20)})
    assert find_labels(plot, (), reader=reader) == []
    assert reader.num_read == 0


def test_no_picture_is_read_without_end() -> None:
    reader = CountingReader()
    picture = np.concatenate([lettered({"H I T F " * 8: (10, 2)}, height=30, size=20)] * 20)
    find_labels(
        picture, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz12345678", reader=reader
    )
    assert reader.num_read <= MOST_READ
    reader.num_read = 0
    find_labels(picture, ("A1", "A2"), reader=reader)
    assert reader.num_read <= MOST_WORDS


NOISE = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
HOSTILE = {
    "one pixel": NOISE[:1, :1],
    "one row": NOISE[:1],
    "one column": np.repeat(NOISE[:, :1], 5, axis=0),
    "all white": np.full((300, 400, 3), 255, np.uint8),
    "all black": np.zeros((300, 400, 3), np.uint8),
    "noise": NOISE,
    "coarse noise": np.kron(NOISE[:40, :50], np.ones((12, 12, 1), np.uint8)),
}


@pytest.mark.parametrize("expected", ["", "AB", "ABCDEF"])
@pytest.mark.parametrize("name", HOSTILE)
def test_pictures_without_labels_give_none(name: str, expected: str) -> None:
    assert find_labels(HOSTILE[name], expected) == []


def test_labels_that_cannot_be_printed_alone_are_passed_over() -> None:
    expected = ["", "Ai", "字", "ا", "A" * 100_000, "A", "B", "C", "D"]
    assert [label.text for label in find_labels(lettered(PLACES), expected)] == list("ABCD")


def test_a_reader_reads_many_crops_as_it_reads_each() -> None:
    reader = shared_reader()
    crops = [lettered({text: (8, 4)}, width=60, height=40) for text in ("A", "(b)", "Q", "7")]
    together = reader.read(crops)
    assert [text for text, _ in together] == ["A", "(b)", "Q", "7"]
    assert [text for text, _ in together] == [reader.read([crop])[0][0] for crop in crops]
    assert reader.read([]) == []
