"""Which labels are believed, and how many panels they imply."""

import pytest

from figclip.panels.layout.names import axes_of, num_named, place_of, readings_of, run_of
from figclip.panels.parts import Label


def read(names: str, confidence: float = 0.9) -> list[Label]:
    return [Label(name, (i, 0, i + 1, 1), confidence) for i, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "run"),
    [
        ("ABC", "abc"),
        ("abd", "abcd"),  # a reader misses one sooner than it invents the right one
        ("ABM", "ab"),
        ("A", ""),
        ("QX", ""),
        ("123", "123"),
        ("", ""),
        ("中文", ""),
    ],
)
def test_a_run_of_labels_begins_at_the_first_and_has_few_gaps(names, run):
    assert "".join(run_of(read(names))) == run


def test_a_caption_says_which_labels_there_are_and_how_many():
    readings = readings_of(read("ABX"), ["A", "B", "C"])
    assert [[label.text for label in reading] for reading in readings] == [["A", "B"]]
    assert num_named(readings[0], ["A", "B", "C"]) == 3


def test_of_two_labels_with_one_name_the_one_in_the_figures_case_comes_first():
    small, large = Label("a", (0, 0, 1, 1), 0.99), Label("A", (5, 5, 6, 6), 0.6)
    assert readings_of([small, large], ["A"]) == [(large,), (small,)]


def test_without_labels_there_is_one_empty_reading():
    assert readings_of([], ["A", "B"]) == [()]
    assert readings_of([], []) == [()]
    assert num_named((), []) == 0


def test_a_caption_in_another_order_does_not_change_the_places_of_letters():
    assert [place_of(name, ["A", "B", "D", "C"]) for name in "ABCD"] == [0, 1, 2, 3]
    assert place_of("Aii", ["B", "Ai", "Aii"]) == 2


def test_many_doubles_give_few_readings():
    assert len(readings_of(read("ABCDEFGH" * 40), list("ABCDEFGH"))) <= 4


@pytest.mark.parametrize(
    ("expected", "axes"),
    [
        (["left", "right"], (0,)),
        (["Top", "middle", "Bottom"], (1,)),
        (["upper left", "upper right"], (0, 1)),
        (["middle"], (0, 1)),
        (["A", "B"], ()),
        (["A", "left"], ()),
        ([], ()),
        ([""], ()),
    ],
)
def test_places_tell_along_which_axes_panels_follow(expected, axes):
    assert axes_of(expected) == axes
