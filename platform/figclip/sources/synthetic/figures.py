"""A whole figure: scenes, layout, caption, picture, and the truth about its panels."""

import io
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from figclip.schema import Panel
from figclip.sources.synthetic.canvas import ink_box, write_text
from figclip.sources.synthetic.captions import Caption, compose, draw_length
from figclip.sources.synthetic.kinds import KINDS
from figclip.sources.synthetic.layouts import (
    Layout,
    compound_layout,
    label_spot,
    picture_box,
    single_layout,
)
from figclip.sources.synthetic.scenes import Attributes, Scene, invent_scene

PRINTED = ("{}", "{}", "{}", "({})", "{})")


@dataclass(frozen=True)
class FigurePlan:
    """All that is decided about a figure before it is drawn."""

    scenes: tuple[Scene, ...]
    labels: tuple[str, ...]
    """One a panel; empty for a single picture."""
    printed: str
    """Pattern of a printed label: `{}`, `({})` or `{})`."""
    layout: Layout
    caption: Caption
    pixel_seed: int

    @property
    def kind(self) -> str:
        names = dict.fromkeys(scene.kind.name for scene in self.scenes)
        return "+".join(names)

    @property
    def attributes(self) -> list[Attributes]:
        return [scene.attributes for scene in self.scenes]


def plan_figure(rng: random.Random, *, num_panels: int | None = None) -> FigurePlan:
    """Decide what a figure shows and says; short captions seldom have many panels."""
    length = draw_length(rng)
    count = num_panels or _num_panels(rng, length)
    kind = rng.choice(KINDS)
    first = invent_scene(kind, rng)
    other = rng.choice([k for k in KINDS if k.is_dark == kind.is_dark])
    is_mixed = count > 2 and rng.random() < 0.15
    kinds = [kind] + [other if is_mixed and rng.random() < 0.5 else kind for _ in range(count - 1)]
    scenes = (first, *(invent_scene(k, rng, first) for k in kinds[1:]))
    case = "ABCDEF" if rng.random() < 0.78 else "abcdef"
    labels = tuple(case[:count]) if count > 1 else ()
    layout = compound_layout(rng, count, is_dark=kind.is_dark) if count > 1 else single_layout(rng)
    caption = compose(scenes, labels, length, rng)
    return FigurePlan(scenes, labels, rng.choice(PRINTED), layout, caption, rng.getrandbits(63))


def _num_panels(rng: random.Random, length: int) -> int:
    """1 for half of all figures: seldom 2 and more below 40 tokens, mostly above 77."""
    chance = 0.1 if length < 40 else 0.36 if length <= 77 else 0.7
    if rng.random() >= chance:
        return 1
    most = min(6, max(2, (length - 12) // 20))
    return rng.randint(2, most)


def draw_figure(plan: FigurePlan) -> Image.Image:
    """The picture in RGB, panel labels printed."""
    rng = np.random.default_rng(plan.pixel_seed)
    layout = plan.layout
    canvas = Image.new("RGB", (layout.width, layout.height), layout.background)
    for scene, box, panel in zip(plan.scenes, layout.boxes, panels_of(plan), strict=True):
        x0, y0, x1, y1 = picture_box(layout, box)
        canvas.paste(scene.draw(rng, (x1 - x0, y1 - y0)), (x0, y0))
        if panel.label_box is not None:
            ground = np.asarray(canvas.crop(panel.label_box).convert("L")).mean()
            colour = (255, 255, 255) if ground < 128 else (0, 0, 0)
            text = plan.printed.format(panel.label)
            write_text(canvas, panel.label_box[:2], text, colour, layout.label_size)
    return canvas


def panels_of(plan: FigurePlan) -> tuple[Panel, ...]:
    """The truth about the panels; a single picture is one panel without label."""
    layout = plan.layout
    if not plan.labels:
        return (Panel("", layout.boxes[0], None, plan.caption.text),)
    panels = []
    for label, box, words in zip(plan.labels, layout.boxes, plan.caption.panels, strict=True):
        x0, y0, x1, y1 = ink_box(plan.printed.format(label), layout.label_size)
        left, top = label_spot(layout, box, (x1 - x0, y1 - y0))
        panels.append(Panel(label, box, (left, top, left + x1 - x0, top + y1 - y0), words))
    return tuple(panels)


def encode(image: Image.Image, form: str) -> bytes:
    """The bytes of a media file; `form` as in `FORMS`, truncated where it begins `broken`."""
    out = io.BytesIO()
    match form:
        case "jpg" | "broken jpg":
            image.save(out, "JPEG", quality=86)
        case "cmyk jpg":
            image.convert("CMYK").save(out, "JPEG", quality=86)
        case "png":
            image.save(out, "PNG", compress_level=1)
        case "palette png":
            image.quantize(64, method=Image.Quantize.FASTOCTREE).save(out, "PNG", compress_level=1)
        case "gif":
            image.quantize(128, method=Image.Quantize.FASTOCTREE).save(out, "GIF")
        case "webp":
            image.save(out, "WEBP", quality=80, method=1)
        case "tif":
            image.save(out, "TIFF", compression="tiff_lzw")
        case _:
            raise ValueError(f"no such media form: {form}")
    data = out.getvalue()
    return data[: len(data) // 2] if form.startswith("broken") else data


FORMS = {
    "jpg": "jpg",
    "broken jpg": "jpg",
    "cmyk jpg": "jpg",
    "png": "png",
    "palette png": "png",
    "gif": "gif",
    "webp": "webp",
    "tif": "tif",
}
"""Form of a media file → its extension."""
