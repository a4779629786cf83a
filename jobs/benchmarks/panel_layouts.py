"""How far the generated compound figures' layouts are from real ones; and the real ones' summary.

`python -m jobs.benchmarks.panel_layouts SHARED` prints the Kolmogorov–Smirnov distances of panel
counts, area shares and gaps between 1,000 generated figures and the 9,642 real ones of the NLM's
PanelSeg annotations (`SHARED/panels/layouts.jsonl`). With `--write` it first renews
`arrangements.json`, from which the generator draws.
"""

import json
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from figclip.schema import Box
from figclip.sources.synthetic import arrangements
from figclip.sources.synthetic.arrangements import Arrangement
from figclip.sources.synthetic.compounds import draw_compound
from figclip.sources.synthetic.panel_plans import draw_class
from jobs.benchmarks.figures import Figures, table

NUM_FIGURES = 1_000
NUM_QUANTILES = 101
COMMON = 3
"""A tree is listed from so many real figures on; the others count by their numbers of panels."""

Boxes = Sequence[Box]
Labelled = Sequence[tuple[Box, str, Box | None]]
"""A figure's panels: box, label, and where it is printed, if it is."""


def read_layouts(path: Path) -> list[list[Box]]:
    """The panels' boxes of each real figure."""
    return [[box for box, _, _ in panels] for panels in read_labels(path)]


def read_labels(path: Path) -> list[list[tuple[Box, str, Box | None]]]:
    """The panels of each real figure, with their labels."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [[_labelled(panel) for panel in row["panels"]] for row in rows]


def _labelled(panel: Mapping[str, Any]) -> tuple[Box, str, Box | None]:
    where = panel["label_box"]
    return _box(panel["box"]), panel["label"] or "", _box(where) if where else None


def _box(values: Sequence[int]) -> Box:
    x0, y0, x1, y1 = values
    return x0, y0, x1, y1


def area_shares(boxes: Boxes) -> list[float]:
    """Each panel's area / the area of the hull of all."""
    x0, y0, x1, y1 = hull(boxes)
    whole = max((x1 - x0) * (y1 - y0), 1)
    return [(box[2] - box[0]) * (box[3] - box[1]) / whole for box in boxes]


def hull(boxes: Boxes) -> Box:
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )


def gaps(boxes: Boxes) -> list[float]:
    """Between neighbours, in sides of the hull along the same axis; negative where they overlap.

    Neighbours share at least half of the shorter one's side, and no panel stands between.
    """
    whole = hull(boxes)
    found = []
    for axis in (0, 1):
        side = max(whole[axis + 2] - whole[axis], 1)
        for first in boxes:
            for other in boxes:
                if _are_neighbours(first, other, boxes, axis):
                    found.append((other[axis] - first[axis + 2]) / side)
    return found


def _are_neighbours(first: Box, other: Box, boxes: Boxes, axis: int) -> bool:
    across = 1 - axis
    start, end = _middle(first, axis), _middle(other, axis)
    shorter = min(first[across + 2] - first[across], other[across + 2] - other[across])
    if end <= start or _common(first, other, across) < 0.5 * shorter:
        return False
    return not any(
        start < _middle(box, axis) < end
        and _common(box, first, across) > 0
        and _common(box, other, across) > 0
        for box in boxes
    )


def _middle(box: Box, axis: int) -> float:
    return (box[axis] + box[axis + 2]) / 2


def _common(one: Box, other: Box, axis: int) -> int:
    return min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis])


def tree_text(boxes: Boxes) -> str:
    """Cuts from side to side, as `arrangements.read_tree` reads; `?` where none goes through."""
    if len(boxes) == 1:
        return "1"
    for axis, sign in ((1, "C"), (0, "R")):
        groups = _cut(boxes, axis)
        if len(groups) > 1:
            return f"{sign}({','.join(tree_text(group) for group in groups)})"
    return "?"


def _cut(boxes: Boxes, axis: int) -> list[list[Box]]:
    """Groups along the axis; annotators' boxes may overlap by 15 % of a panel."""
    ordered = sorted(boxes, key=lambda box: box[axis])
    groups, end = [[ordered[0]]], ordered[0][axis + 2]
    for box in ordered[1:]:
        if box[axis] >= end - 0.15 * (box[axis + 2] - box[axis]):
            groups.append([box])
        else:
            groups[-1].append(box)
        end = max(end, box[axis + 2])
    return groups


def summary(layouts: Sequence[Boxes]) -> dict[str, Any]:
    """What the generator draws from: counts of trees, quantiles of gaps and of shapes."""
    texts = [(tree_text(boxes), len(boxes)) for boxes in layouts]
    counts = Counter(text for text, _ in texts)
    trees = {text: n for text, n in counts.most_common() if n >= COMMON and "?" not in text}
    other = Counter(num for text, num in texts if text not in trees)
    shares = np.linspace(0, 1, NUM_QUANTILES)
    shapes = [_shape(hull(boxes)) for boxes in layouts]
    panels = [_shape(box) for boxes in layouts if len(boxes) > 1 for box in boxes]
    return {
        "source": "NLM PanelSeg annotations of 9,642 figures of PubMed Central",
        "trees": trees,
        "other": {str(num): count for num, count in sorted(other.items())},
        "gaps": _rounded(np.quantile([gap for boxes in layouts for gap in gaps(boxes)], shares), 5),
        "shapes": _rounded(np.quantile(shapes, shares[::5]), 3),
        "panel_shapes": _rounded(np.quantile(panels, shares[::5]), 3),
    }


def arrangement(boxes: Boxes) -> Arrangement:
    """Which kind of arrangement a compound figure has."""
    text, between = tree_text(boxes), gaps(boxes)
    if "?" in text or not between:
        return "uncut"
    if statistics.median(between) <= 0:
        return "touching"
    return "even" if arrangements.read_tree(text).is_grid else "uneven"


def label_summary(figures: Sequence[Labelled]) -> dict[str, Any]:
    """How labels are printed: in how many figures not, in which case, and where in their panels."""
    compound = [panels for panels in figures if len(panels) > 1]
    unprinted: dict[Arrangement, dict[int, list[int]]] = {}
    partly, cases, places = 0, Counter[str](), Counter[str]()
    for panels in compound:
        printed = [(box, label, where) for box, label, where in panels if where]
        alike = unprinted.setdefault(arrangement([box for box, _, _ in panels]), {})
        count = alike.setdefault(len(panels), [0, 0])
        count[0] += not printed
        count[1] += 1
        partly += 0 < len(printed) < len(panels)
        if printed:
            cases[_case("".join(label for _, label, _ in printed))] += 1
            [(place, _)] = Counter(_place(box, where) for box, _, where in printed).most_common(1)
            places[place] += 1
    return {
        "unprinted": {
            name: {str(num): alike[num] for num in sorted(alike)}
            for name, alike in sorted(unprinted.items())
        },
        "partly_printed": [partly, sum(places.values())],
        "label_cases": {case: cases[case] for case in ("upper", "lower")},
        "label_places": dict(places.most_common()),
    }


def _case(text: str) -> str:
    return "upper" if text.isupper() else "lower" if text.islower() else "other"


def _place(box: Box, where: Box) -> str:
    """`upper left` and so on: the third of the panel, each way, in which the label's middle is."""
    x, y = (
        (_middle(where, axis) - box[axis]) / max(box[axis + 2] - box[axis], 1) for axis in (0, 1)
    )
    down, across = int(min(max(3 * y, 0), 2)), int(min(max(3 * x, 0), 2))
    return f"{('upper', 'middle', 'lower')[down]} {('left', 'middle', 'right')[across]}"


def _shape(box: Box) -> float:
    return (box[2] - box[0]) / max(box[3] - box[1], 1)


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Kolmogorov–Smirnov: the largest difference of the two distribution functions."""
    a, b = np.sort(np.asarray(one, float)), np.sort(np.asarray(other, float))
    steps = np.concatenate([a, b])
    below_a = np.searchsorted(a, steps, side="right") / max(len(a), 1)
    below_b = np.searchsorted(b, steps, side="right") / max(len(b), 1)
    return float(np.abs(below_a - below_b).max()) if len(steps) else 0.0


def distances(layouts: Sequence[Boxes], generated: Sequence[Boxes]) -> dict[str, float]:
    """Of panel counts, area shares and gaps."""
    measures: dict[str, Callable[[Boxes], list[float]]] = {
        "num_panels": lambda boxes: [float(len(boxes))],
        "area_share": area_shares,
        "gap": gaps,
    }
    return {
        f"{name}_distance": distance(
            [value for boxes in layouts for value in measure(boxes)],
            [value for boxes in generated for value in measure(boxes)],
        )
        for name, measure in measures.items()
    }


def panel_layouts(shared: Path) -> Figures:
    """The three distances between the real figures and generated ones; `None` without real ones."""
    path = shared / "panels" / "layouts.jsonl"
    if not path.is_file():
        return dict.fromkeys(("num_panels_distance", "area_share_distance", "gap_distance"))
    rng = random.Random(0)
    compounds = [draw_compound(rng, draw_class(rng)) for _ in range(NUM_FIGURES)]
    figures = [[panel.box for panel in compound.panels] for compound in compounds]
    return {**distances(read_layouts(path), figures)}


def main(shared: Path, *, writes: bool) -> None:
    if writes:
        path = Path(arrangements.__file__).with_name("arrangements.json")
        figures = read_labels(shared / "panels" / "layouts.jsonl")
        layouts = [[box for box, _, _ in panels] for panels in figures]
        found = summary(layouts) | label_summary(figures)
        path.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    print(table(panel_layouts(shared)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), writes="--write" in sys.argv)
