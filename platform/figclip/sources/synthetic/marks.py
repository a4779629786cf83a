"""What radiological pictures share: grey levels, the place of a lesion, marks in colour."""

import numpy as np
from PIL import Image

from figclip.sources.synthetic.canvas import COLOURS, Colour, Pen, Point, washed
from figclip.sources.synthetic.scenes import Attributes

MARKS = ("none", "none", "white", "yellow", "red", "green", "cyan")
OVERLAYS = ("none", "red", "green", "blue", "yellow", "magenta", "cyan")
RADIUS = {"small": 0.05, "large": 0.115}


def grey(value: float) -> Colour:
    level = int(min(max(value, 0), 255))
    return level, level, level


def lesion_at(a: Attributes, centre: Point, reach: Point) -> Point:
    """Radiological convention: the patient's left is on the viewer's right."""
    x = centre[0] + (reach[0] if a["side"] == "left" else -reach[0])
    y = centre[1] + (-reach[1] if a["level"] in ("anterior", "upper") else reach[1])
    return x, y


def with_marks(
    image: Image.Image, rng: np.random.Generator, a: Attributes, spot: Point, radius: float
) -> Image.Image:
    """Lay the segmentation mask over the lesion, and let the arrow point at it."""
    if a["overlay"] != "none":
        mask = Pen(image.size, (0, 0, 0), square=True)
        mask.blob(rng, *spot, radius * 1.25, radius * 1.15, (255, 255, 255), wobble=0.1)
        image = washed(image, mask.image.convert("L"), COLOURS[a["overlay"]], 0.62)
    if a["arrow"] != "none":
        pen = Pen(image.size, (0, 0, 0), square=True)
        pen.image.paste(image)
        dx = -1 if a["from"] == "the left" else 1
        near, far = radius + 0.03, radius + 0.24
        tip = (spot[0] + dx * near * 0.8, spot[1] - near * 0.6)
        start = (spot[0] + dx * far * 0.8, spot[1] - far * 0.6)
        pen.arrow(tip, start, COLOURS[a["arrow"]], width=0.024)
        image = pen.image
    return image


def mark_facts(a: Attributes) -> list[str]:
    facts = []
    if a["overlay"] != "none":
        facts.append(f"The segmentation mask of the lesion is overlaid in {a['overlay']}.")
    if a["arrow"] != "none":
        facts.append(f"The {a['arrow']} arrow points at the lesion from {a['from']} of the image.")
    return facts
