"""Pages drawn by hand: white paper, photographs of noise, framed plots, labels."""

import numpy as np

from figclip.panels.parts import Label
from figclip.schema import Box


def paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (height, width, 3), dtype=np.uint8)


def with_photographs(page: np.ndarray, boxes: list[Box]) -> np.ndarray:
    for seed, (x0, y0, x1, y1) in enumerate(boxes):
        page[y0:y1, x0:x1] = noise(y1 - y0, x1 - x0, seed)
    return page


def with_plots(page: np.ndarray, boxes: list[Box]) -> np.ndarray:
    """Two axes and a line that rises."""
    for x0, y0, x1, y1 in boxes:
        page[y0:y1, x0 : x0 + 2] = 0
        page[y1 - 2 : y1, x0:x1] = 0
        for x in range(x0, x1):
            y = y1 - 1 - (x - x0) * (y1 - y0 - 1) // (x1 - x0)
            page[y, x] = (200, 0, 0)
    return page


def grid(rows: int, columns: int, height: int, width: int, gutter: int) -> list[Box]:
    """Equal boxes in order of reading."""
    return [
        (x, y, x + width, y + height)
        for y in range(0, rows * (height + gutter), height + gutter)
        for x in range(0, columns * (width + gutter), width + gutter)
    ]


def size_of(boxes: list[Box]) -> tuple[int, int]:
    return max(box[3] for box in boxes), max(box[2] for box in boxes)


def label(text: str, box: Box) -> Label:
    """At the top left of a panel."""
    return Label(text, (box[0] + 5, box[1] + 5, box[0] + 20, box[1] + 25), 0.9)
