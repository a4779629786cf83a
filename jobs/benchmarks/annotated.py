"""Figures of which the truth about their panels is known: annotated by hand, or generated."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from figclip.panels.parts import Label
from figclip.panels.split import Picture
from figclip.schema import Box
from figclip.sources.synthetic.compounds import draw_compound
from figclip.sources.synthetic.panel_plans import LayoutClass


@dataclass(frozen=True)
class TruePanel:
    label: str
    """Empty where it has none."""
    box: Box
    label_box: Box | None
    caption: str
    """Its own words; empty where the caption has none, or nobody marked them."""


@dataclass(frozen=True)
class TrueFigure:
    name: str
    article: str
    layout: str
    """Its class; `single` where it is one panel."""
    image: Picture
    caption: str
    panels: tuple[TruePanel, ...]
    expected: tuple[str, ...]
    """Labels of the caption, in its order."""
    has_sub_captions: bool
    """Whether the panels' captions are all that there are."""

    @property
    def boxes(self) -> list[Box]:
        return [panel.box for panel in self.panels]

    @property
    def labels(self) -> list[Label]:
        """Those that are printed."""
        return [
            Label(panel.label, panel.label_box, 1.0)
            for panel in self.panels
            if panel.label and panel.label_box
        ]

    @property
    def is_single(self) -> bool:
        return len(self.panels) == 1


def annotated(shared: Path) -> Iterator[TrueFigure]:
    """The real figures that were annotated by hand."""
    folder = shared / "panels"
    for line in (folder / "figures.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield TrueFigure(
            name=row["id"],
            article=row["article"],
            layout=row["layout"] or "single",
            image=np.asarray(Image.open(folder / row["file"]).convert("RGB")),
            caption=row["caption"] or "",
            panels=tuple(_panel(panel, row) for panel in row["panels"]),
            expected=tuple(row["sub_captions"] or ()),
            has_sub_captions=row["sub_captions_annotated"],
        )


def _panel(panel: Mapping[str, Any], row: Mapping[str, Any]) -> TruePanel:
    label, box, label_box = panel["label"] or "", tuple(panel["box"]), panel["label_box"]
    words = " ".join((row["sub_captions"] or {}).get(label, ()))
    return TruePanel(label, box, label_box and tuple(label_box), words)


def generated(layout: LayoutClass, *, num_figures: int, seed: int = 0) -> Iterator[TrueFigure]:
    """Figures of a class, the same for the same seed."""
    rng = random.Random(f"{layout}/{seed}")
    for number in range(num_figures):
        drawn = draw_compound(rng, layout)
        named = dict.fromkeys(label for piece in drawn.pieces for label in piece.labels)
        yield TrueFigure(
            name=f"{layout}-{number}",
            article=f"{layout}-{number}",
            layout=layout,
            image=np.asarray(drawn.image),
            caption=drawn.caption,
            panels=tuple(TruePanel(p.label, p.box, p.label_box, p.caption) for p in drawn.panels),
            expected=tuple(named),
            has_sub_captions=False,
        )
