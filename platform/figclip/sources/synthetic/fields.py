"""What microscope fields share: places, scale bars, mixed colours."""

from figclip.sources.synthetic.canvas import SCALE_BARS, Colour

CORNERS = ("lower left", "lower right")
LENGTHS = tuple(str(length) for length in SCALE_BARS)

PLACES = {
    "upper left": (0.27, 0.27),
    "upper right": (0.73, 0.27),
    "lower left": (0.27, 0.73),
    "lower right": (0.73, 0.73),
    "centre": (0.5, 0.5),
}


def mixed(first: Colour, other: Colour, part: float) -> Colour:
    r, g, b = (round(p + (q - p) * part) for p, q in zip(first, other, strict=True))
    return r, g, b
