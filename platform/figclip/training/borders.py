"""What the border network learns from: generated figures, their true borders, and the loss."""

import io
import random
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from figclip.models.border_net import SIDE, STRIDE
from figclip.schema import Box
from figclip.sources.synthetic.compounds import draw_compound
from figclip.sources.synthetic.panel_plans import LayoutClass

CELLS = SIDE // STRIDE
PADDING = 128
"""Grey level beside a figure that is not square."""

CLASSES: dict[LayoutClass, float] = {
    "single": 0.2, "white-gutter": 0.25, "thin-gutter": 0.08, "dark-gutter": 0.05,
    "stitched": 0.1, "irregular": 0.14, "pinwheel": 0.02, "inset": 0.04, "grid": 0.06,
    "mixed": 0.06,
}  # fmt: skip
"""How often each class is seen: hard ones more often than papers have them."""

CALM_CLASSES: dict[LayoutClass, float] = {
    name: 0.6 if name == "single" else share / 2 for name, share in CLASSES.items()
}
"""The same, with single figures for the most part."""

UNPRINTED = 0.5
"""Of compound figures: without labels, as where the network is asked."""

Example = tuple[UInt8[np.ndarray, "320 320 3"], UInt8[np.ndarray, "2 80 80"]]
"""A fitted figure, and where its vertical and horizontal borders are."""


def draw_example(rng: random.Random, classes: Mapping[LayoutClass, float] = CLASSES) -> Example:
    """A generated figure after a JPEG's losses, at some scale and place in the square."""
    [layout_class] = rng.choices(tuple(classes), tuple(classes.values()))
    figure = draw_compound(rng, layout_class, unprinted=UNPRINTED)
    data = io.BytesIO()
    figure.image.save(data, "JPEG", quality=rng.randint(50, 95))
    pixels = np.asarray(Image.open(data))
    scale = SIDE / max(pixels.shape[:2]) * rng.choice((1.0, 1.0, rng.uniform(0.7, 1.0)))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    square = np.full((SIDE, SIDE, 3), PADDING, np.uint8)
    square[: size[1], : size[0]] = small
    return square, border_cells(figure.rooms, scale / STRIDE)


def border_cells(boxes: Sequence[Box], scale: float) -> UInt8[np.ndarray, "2 80 80"]:
    """255 where a border lies: between neighbours the whole gutter, at least two cells wide.

    `scale` is cells for a pixel. The first map has vertical borders, the other horizontal ones.
    """
    maps = np.zeros((2, CELLS, CELLS), np.uint8)
    for axis, start, end, low, high in neighbour_gaps(boxes):
        middle, half = (start + end) / 2 * scale, max((end - start) / 2 * scale, 1.0)
        across = slice(*_cells(middle - half, middle + half))
        along = slice(*_cells(low * scale, high * scale))
        index = (along, across) if axis == 0 else (across, along)
        maps[(axis, *index)] = 255
    return maps


def _cells(low: float, high: float) -> tuple[int, int]:
    return min(max(round(low), 0), CELLS), min(max(round(high), 0), CELLS)


def neighbour_gaps(
    boxes: Sequence[Box],
) -> Iterator[tuple[int, float, float, float, float]]:
    """`(axis, start, end, low, high)` of the gaps between panels that face one another.

    Axis 0: a vertical border between x = start and end, from y = low to high; 1 the other way.
    Ends that meet a crossing gutter reach to its middle.
    """
    for axis in (0, 1):
        other = 1 - axis
        for one in boxes:
            for two in boxes:
                low, high = max(one[other], two[other]), min(one[other + 2], two[other + 2])
                faces = two[axis] + two[axis + 2] > one[axis] + one[axis + 2]
                shorter = min(one[other + 2] - one[other], two[other + 2] - two[other])
                if not faces or high - low < 0.2 * shorter or two[axis] < one[axis]:
                    continue
                if _stands_between(one, two, boxes, axis):
                    continue
                gap = max(two[axis] - one[axis + 2], 0)
                start, end = sorted((one[axis + 2], two[axis]))
                yield axis, start, end, low - gap / 2, high + gap / 2


def _stands_between(one: Box, two: Box, boxes: Sequence[Box], axis: int) -> bool:
    other = 1 - axis
    low, high = max(one[other], two[other]), min(one[other + 2], two[other + 2])
    near, far = one[axis] + one[axis + 2], two[axis] + two[axis + 2]
    return any(
        near < box[axis] + box[axis + 2] < far
        and min(box[other + 2], high) - max(box[other], low) > 0.2 * (high - low)
        for box in boxes
    )


def border_loss(
    logits: Float[Tensor, "batch 2 cells cells"], truth: Float[Tensor, "batch 2 cells cells"]
) -> Float[Tensor, ""]:
    """Cross-entropy, borders three times as heavy, and the part of borders missed (Dice).

    Milletari, Navab and Ahmadi 2016, https://arxiv.org/abs/1606.04797, equation 3.
    """
    weight = torch.tensor(3.0)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=weight)
    found = torch.sigmoid(logits)
    common = (found * truth).sum((2, 3))
    dice = 1 - (2 * common + 20) / (found.square().sum((2, 3)) + truth.square().sum((2, 3)) + 20)
    return entropy + 0.5 * dice.mean()
