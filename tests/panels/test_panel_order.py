"""The order in which labels are read."""

from figclip.panels.layout.order import Mark, reading_order
from figclip.panels.parts import Label


def marks(*places: tuple[int, int, int]) -> list[Mark]:
    """Index and centre of each."""
    return [
        Mark(i, (x - 1, y - 1, x + 1, y + 1), Label("?", (0, 0, 1, 1), 1.0)) for i, x, y in places
    ]


def test_labels_in_rows_are_read_row_by_row():
    found = marks((0, 0, 0), (1, 50, 2), (2, 0, 50), (3, 50, 51))
    order = reading_order(found, (100, 100), 0.05)
    assert order is not None
    assert order.axis == 1
    assert order.follows((99, 0), found) == 1
    assert order.follows((20, 50), found) == 2
    assert order.follows((0, 20), found) == 1


def test_labels_in_columns_are_read_column_by_column():
    found = marks((0, 0, 0), (1, 0, 50), (2, 50, 0), (3, 50, 50))
    order = reading_order(found, (100, 100), 0.05)
    assert order is not None
    assert order.axis == 0
    assert order.follows((0, 99), found) == 1


def test_labels_without_an_order_have_none():
    assert reading_order(marks((0, 50, 50), (1, 0, 0), (2, 50, 0)), (100, 100), 0.05) is None
    assert reading_order([], (100, 100), 0.05) is None


def test_nothing_comes_before_the_first():
    found = marks((0, 10, 10), (1, 50, 10))
    order = reading_order(found, (100, 100), 0.05)
    assert order is not None
    assert order.follows((0, 10), found) == -1
