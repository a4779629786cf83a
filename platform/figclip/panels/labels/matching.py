"""Which label names which panel: the figure's labels all stand at one corner of their panels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from figclip.panels.parts import Label, PanelBox
from figclip.schema import Box

CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.0), (0.5, 1.0))
"""Where labels stand, as shares of width and height; above and below in the middle, too."""
OUTSIDE = 0.5
"""Cost of a label outside of its panel's box, in figure sizes."""
LONE = 0.5
"""How sure a panel is whose label was not found."""


def match_labels(panels: Sequence[Box], labels: Sequence[Label]) -> list[PanelBox]:
    """The panels in their order, each with the label that names it; no label names two.

    The corner is the one for which labels and panels lie closest in sum (Hungarian method). A
    label without a panel of its own is left out; a panel's confidence is the label's, times how
    much nearer it is to this panel than to the next.
    """
    if not panels or not labels:
        return [PanelBox(box, None, LONE) for box in panels]
    costs = [_costs(panels, labels, corner) for corner in CORNERS]
    matchings = [linear_sum_assignment(cost) for cost in costs]
    sums = [float(cost[pairs].sum()) for cost, pairs in zip(costs, matchings, strict=True)]
    best = int(np.argmin(sums))
    rows, columns = matchings[best]
    named = {int(j): int(i) for i, j in zip(rows, columns, strict=True)}
    return [_named(panels[j], j, named.get(j), labels, costs[best]) for j in range(len(panels))]


def _named(
    box: Box,
    panel: int,
    label: int | None,
    labels: Sequence[Label],
    cost: Float[np.ndarray, "labels panels"],
) -> PanelBox:
    if label is None:
        return PanelBox(box, None, LONE)
    others = np.delete(cost[label], panel)
    nearest = float(others.min()) if len(others) else np.inf
    own = float(cost[label, panel])
    share = 1.0 if own <= 0 or np.isinf(nearest) else nearest / (own + nearest)
    return PanelBox(box, labels[label], labels[label].confidence * share)


def _costs(
    panels: Sequence[Box], labels: Sequence[Label], corner: tuple[float, float]
) -> Float[np.ndarray, "labels panels"]:
    """Distance of each label to that corner of each panel, in sizes of the figure."""
    boxes = np.array(panels, float)
    prints = np.array([label.box for label in labels], float)
    size = np.hypot(*(boxes[:, 2:].max(0) - boxes[:, :2].min(0))) or 1.0
    share = np.array(corner)
    at = boxes[:, :2] + share * (boxes[:, 2:] - boxes[:, :2])
    of = prints[:, :2] + share * (prints[:, 2:] - prints[:, :2])
    far = np.linalg.norm(of[:, None] - at[None], axis=2) / size
    middle = (prints[:, None, :2] + prints[:, None, 2:]) / 2
    is_outside = ((middle < boxes[None, :, :2]) | (middle > boxes[None, :, 2:])).any(2)
    return np.asarray(far + OUTSIDE * is_outside * _beyond(middle, boxes) / size)


def _beyond(
    points: Float[np.ndarray, "labels 1 2"], boxes: Float[np.ndarray, "panels 4"]
) -> Float[np.ndarray, "labels panels"]:
    """Pixels from each point to each box."""
    away = np.maximum(np.maximum(boxes[None, :, :2] - points, points - boxes[None, :, 2:]), 0)
    return np.asarray(np.linalg.norm(away, axis=2))
