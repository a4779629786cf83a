"""Where the panels of a figure stand, and where their labels are printed."""

import random
from dataclasses import dataclass

from figclip.schema import Box
from figclip.sources.synthetic.canvas import Colour

# Number of panels → counts along the rows; each may also be turned into columns.
ROWS: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((2,), (1, 1)),
    3: ((1, 2), (2, 1)),
    4: ((2, 2), (2, 2), (1, 3), (3, 1), (1, 2, 1)),
    5: ((2, 3), (3, 2), (1, 2, 2)),
    6: ((3, 3), (2, 2, 2), (1, 2, 3)),
}
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class Layout:
    """A figure's canvas, its panels' boxes, and how labels are printed."""

    name: str
    """`single`, `white-gutter`, `thin-gutter`, `dark-gutter` or `stitched`, and `irregular-…`."""
    width: int
    height: int
    background: Colour
    boxes: tuple[Box, ...]
    corner: str
    """`upper left`, `upper right`, `lower left`, `lower right`, or `outside` (above the panel)."""
    label_size: int


def single_layout(rng: random.Random) -> Layout:
    width = rng.randint(300, 480)
    height = round(width * rng.uniform(0.82, 1.15))
    return Layout("single", width, height, WHITE, ((0, 0, width, height),), "none", 0)


def compound_layout(rng: random.Random, num_panels: int, *, is_dark: bool) -> Layout:
    """A grid or an uneven arrangement; dark and stitched gutters only between dark pictures."""
    width = rng.randint(500, 760)
    rows = rng.choice(ROWS[num_panels])
    aspect = len(rows) / (sum(rows) / len(rows))  # of nearly square panels
    height = round(width * min(max(aspect * rng.uniform(0.85, 1.1), 0.62), 1.5))
    styles = ["white-gutter", "white-gutter", "thin-gutter"]
    if is_dark:
        styles += ["dark-gutter", "stitched"]
    style = rng.choice(styles)
    gutter = {"white-gutter": rng.randint(10, 26), "thin-gutter": rng.randint(2, 4),
              "dark-gutter": rng.randint(4, 10), "stitched": 0}[style]  # fmt: skip
    outer = gutter if rng.random() < 0.5 else 0
    lines = _lines(rng, rows, (width, height), gutter, outer)
    if rng.random() < 0.3 and len(set(rows)) > 1:
        lines = [(y0, x0, y1, x1) for x0, y0, x1, y1 in lines]
        width, height = height, width
    name = style if len(set(rows)) == 1 else f"irregular-{style}"
    background = BLACK if style == "dark-gutter" else WHITE
    corners = ["upper left"] * 7 + ["lower left", "upper right", "lower right"]
    outside = style == "white-gutter" and gutter >= 14 and rng.random() < 0.3
    corner = "outside" if outside else rng.choice(corners) if is_dark else "upper left"
    size = max(15, round(min(width, height) * rng.uniform(0.04, 0.055)))
    return Layout(name, width, height, background, tuple(lines), corner, size)


def _lines(
    rng: random.Random, rows: tuple[int, ...], size: tuple[int, int], gutter: int, outer: int
) -> list[Box]:
    boxes: list[Box] = []
    heights = _spans(rng, size[1], [1.0 if count > 1 else 1.1 for count in rows], gutter, outer)
    is_even = len(set(rows)) == 1
    for count, (y0, y1) in zip(rows, heights, strict=True):
        weights = [1.0 if is_even else rng.uniform(0.85, 1.2) for _ in range(count)]
        boxes += [(x0, y0, x1, y1) for x0, x1 in _spans(rng, size[0], weights, gutter, outer)]
    return boxes


def _spans(
    rng: random.Random, length: int, weights: list[float], gutter: int, outer: int
) -> list[tuple[int, int]]:
    """Cut `length` pixels into shares by weight with gutters between them."""
    free = length - 2 * outer - gutter * (len(weights) - 1)
    spans, start = [], float(outer)
    for weight in weights:
        end = start + free * weight / sum(weights)
        spans.append((round(start), round(end)))
        start = end + gutter
    return spans


def label_spot(layout: Layout, box: Box, text_size: tuple[int, int]) -> tuple[int, int]:
    """Upper left corner of a printed label with ink of `text_size` in the panel's `box`."""
    pad = max(4, layout.label_size // 4)
    left, right = box[0] + pad, box[2] - pad - text_size[0]
    top, bottom = box[1] + pad, box[3] - pad - text_size[1]
    if layout.corner == "outside":
        return box[0], box[1]
    return left if "left" in layout.corner else right, top if "upper" in layout.corner else bottom


def picture_box(layout: Layout, box: Box) -> Box:
    """Where the picture itself stands: below the label where that is printed outside."""
    if layout.corner != "outside":
        return box
    return box[0], box[1] + round(layout.label_size * 1.15), box[2], box[3]
