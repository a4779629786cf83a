"""A label that touches something is read in line with the others; nothing is read elsewhere."""

import numpy as np
from lettering import lettered

from figclip.panels.labels.in_line import MOST_PLACES, with_those_in_line
from figclip.panels.labels.ocr import find_labels
from figclip.panels.labels.reader import shared_reader
from figclip.panels.parts import Label

PLACES = {"A": (10, 10), "B": (460, 10), "C": (10, 310), "D": (460, 310)}


def crossed(picture: np.ndarray) -> np.ndarray:
    """A line from the edge into the foot of the D."""
    picture[333:335, 300:900] = 0
    return picture


def test_a_label_that_a_line_touches_is_found() -> None:
    labels = find_labels(crossed(lettered(PLACES)), "ABCD")
    assert [label.text for label in labels] == list("ABCD")


def test_what_stands_in_line_and_is_another_letter_is_not_taken() -> None:
    found = [Label(text, (*PLACES[text], 30, 34), 1.0) for text in "A"]
    found += [Label("B", (460, 10, 480, 34), 1.0), Label("C", (10, 310, 30, 334), 1.0)]
    picture = lettered(PLACES | {"D": (460, 310)})
    assert with_those_in_line(picture, found, "ABCE", shared_reader()) == found
    assert [each.text for each in with_those_in_line(picture, found, "ABCD", shared_reader())] == [
        *"ABCD"
    ]


def test_few_places_are_read_however_many_labels_there_are() -> None:
    num_read = 0

    class Counting:
        def read(self, crops: list) -> list[tuple[str, float]]:
            nonlocal num_read
            num_read += len(crops)
            return [("", 0.0)] * len(crops)

    found = [Label(chr(65 + n), (30 * n, 20 * n, 30 * n + 9, 20 * n + 9), 1.0) for n in range(20)]
    names = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert with_those_in_line(lettered({}), found, names, Counting()) == found
    assert 0 < num_read <= MOST_PLACES
    assert with_those_in_line(lettered({}), [], names, Counting()) == []
