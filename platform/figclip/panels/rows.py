"""A pair and what its figure was split into → the rows of its panels."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from figclip.panels.split import SplitFigure, SplitPanel, split_pair, whole_figure
from figclip.pictures.fingerprint import fingerprint
from figclip.pictures.images import JPEG_QUALITY
from figclip.pictures.opening import ImageError
from figclip.pictures.reading import View, read_picture
from figclip.schema import Box

LONGEST_SIDE = 2048
"""Pixels of a figure's longer side; of one of twice that, or more, a part is looked at."""


def panel_rows(pair: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a pair's panels, in reading order, as `schema.PANEL_PAIR_SCHEMA` has them.

    A figure of one panel gives the pair itself again, with its own picture.
    """
    try:
        view = read_picture(pair["image"], longest_side=LONGEST_SIDE)
    except ImageError as error:
        size = pair["width"], pair["height"]
        found = whole_figure(size, pair["caption"], pair["mentions"], str(error))
        yield _row(pair, found, found.panels[0], 0)
        return
    found = scaled(
        split_pair(view.levels, pair["caption"], pair["mentions"], figure=pair["label"]), view
    )
    for number, panel in enumerate(found.panels):
        row = _row(pair, found, panel, number)
        yield row if len(found.panels) == 1 else row | _crop(pair, view, panel.box)


def scaled(found: SplitFigure, view: View) -> SplitFigure:
    """The same panels in pixels of the whole picture, where less of it was looked at."""
    height, width = view.levels.shape[:2]
    across, down = view.width / width, view.height / height
    if (across, down) == (1, 1):
        return found

    def grown(box: Box) -> Box:
        x0, y0, x1, y1 = box
        ends = (round(x1 * across), round(y1 * down))
        return int(x0 * across), int(y0 * down), min(view.width, ends[0]), min(view.height, ends[1])

    panels = (
        replace(
            panel,
            box=grown(panel.box),
            label_box=panel.label_box and grown(panel.label_box),
        )
        for panel in found.panels
    )
    return replace(found, panels=tuple(panels))


def _row(
    pair: Mapping[str, Any], found: SplitFigure, panel: SplitPanel, number: int
) -> dict[str, Any]:
    words = " ".join((*panel.caption, *found.shared)).strip()
    return {
        **pair,
        "pair_id": f"{pair['pair_id']}/{number + 1}",
        "caption": words or pair["caption"],
        "mentions": list(panel.mentions),
        "figure_pair_id": pair["pair_id"],
        "panel_label": panel.label,
        "panel_box": panel.box,
        "panel_label_box": panel.label_box,
        "panel_caption": list(panel.caption),
        "shared_caption": list(found.shared),
        "panel_confidence": panel.confidence,
        "panel_notes": list(found.notes),
    }


def _crop(pair: Mapping[str, Any], view: View, box: Box) -> dict[str, Any]:
    """The columns of the picture, as those of its part within the box."""
    height, width = view.levels.shape[:2]
    x0, y0 = int(box[0] * width / view.width), int(box[1] * height / view.height)
    x1, y1 = round(box[2] * width / view.width), round(box[3] * height / view.height)
    part = Image.fromarray(
        np.ascontiguousarray(view.levels[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)])
    )
    stream = io.BytesIO()
    if pair["image"].startswith(b"\x89PNG"):
        part.save(stream, "PNG")
    else:
        part.save(stream, "JPEG", quality=JPEG_QUALITY)
    shares = (box[2] - box[0]) / view.width, (box[3] - box[1]) / view.height
    return {
        "image": stream.getvalue(),
        "width": part.width,
        "height": part.height,
        "original_width": max(1, round(pair["original_width"] * shares[0])),
        "original_height": max(1, round(pair["original_height"] * shares[1])),
        "image_fingerprint": fingerprint(part),
    }
