"""Labels name the panels whose corner they stand at; the judge tries all corners and orders."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.panels.labels.matching import match_labels
from figclip.panels.parts import Label
from figclip.schema import Box

GRID: list[Box] = [(x, y, x + 190, y + 140) for y in (0, 160, 320) for x in (0, 210, 420)]


def label(text: str, x: int, y: int, size: int = 12) -> Label:
    return Label(text, (x, y, x + size, y + size), 0.9)


PLACES = {
    "inside, above left": lambda box: (box[0] + 4, box[1] + 4),
    "inside, above right": lambda box: (box[2] - 16, box[1] + 4),
    "inside, below left": lambda box: (box[0] + 4, box[3] - 16),
    "inside, below right": lambda box: (box[2] - 16, box[3] - 16),
    "beside, above left": lambda box: (box[0] - 16, box[1] - 6),
    "below, in the middle": lambda box: ((box[0] + box[2]) // 2, box[3] + 3),
    "above, in the middle": lambda box: ((box[0] + box[2]) // 2, box[1] - 14),
}


@pytest.mark.parametrize("place", PLACES)
def test_labels_of_a_grid_find_their_panels_at_every_corner(place: str) -> None:
    labels = [label(chr(65 + n), *PLACES[place](box)) for n, box in enumerate(GRID)]
    named = match_labels(GRID, labels)
    assert [panel.label for panel in named] == labels
    assert [panel.box for panel in named] == GRID


def test_panels_without_label_are_kept() -> None:
    labels = [label("B", *PLACES["inside, above left"](GRID[4]))]
    named = match_labels(GRID, labels)
    assert [panel.label is not None for panel in named] == [n == 4 for n in range(9)]
    assert [panel.box for panel in match_labels(GRID, [])] == GRID


def test_a_label_that_stands_clear_makes_a_panel_surer_than_one_between_two() -> None:
    two: list[Box] = [(0, 0, 100, 100), (200, 0, 300, 100)]
    clear, between = (match_labels(two, [label("A", x, 2)])[0] for x in (0, 60))
    assert clear.confidence > between.confidence


def test_more_labels_than_panels_leave_some_out() -> None:
    labels = [label("A", 4, 4), label("B", 214, 4), label("C", 90, 90)]
    assert [panel.label for panel in match_labels(GRID[:2], labels)] == labels[:2]
    assert match_labels([], labels) == []


boxes = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    *(st.integers(0, 90), st.integers(0, 90), st.integers(0, 60), st.integers(0, 60)),
)


@settings(deadline=None)
@given(st.lists(boxes, max_size=6), st.lists(boxes, max_size=6))
def test_no_label_names_two_panels_and_as_many_are_named_as_can_be(
    panels: list[Box], prints: list[Box]
) -> None:
    labels = [Label(chr(65 + n), box, 0.9) for n, box in enumerate(prints)]
    named = match_labels(panels, labels)
    assert [panel.box for panel in named] == panels
    used = [panel.label.text for panel in named if panel.label is not None]
    assert len(set(used)) == len(used) == min(len(panels), len(labels))
    assert all(0 <= panel.confidence <= 1 for panel in named)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(GRID), min_size=1, max_size=5, unique=True), st.randoms())
def test_no_other_order_lies_closer_to_the_corner(panels: list[Box], chance: object) -> None:
    labels = [
        label(chr(65 + n), x + chance.randrange(60), y + chance.randrange(40))
        for n, (x, y, _, _) in enumerate(panels)
    ]

    def far(order: tuple[int, ...]) -> float:
        return sum(
            ((panel[0] - labels[n].box[0]) ** 2 + (panel[1] - labels[n].box[1]) ** 2) ** 0.5
            for panel, n in zip(panels, order, strict=True)
        )

    best = min(permutations(range(len(panels))), key=far)
    named = match_labels(panels, labels)
    assert [panel.label for panel in named] == [labels[n] for n in best]
