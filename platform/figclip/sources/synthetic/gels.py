"""Gel- and blot-like pictures: lanes, bands, a ladder."""

import numpy as np
from PIL import Image, ImageFilter

from figclip.sources.synthetic.canvas import COLOURS, Colour, Pen, tinted
from figclip.sources.synthetic.fields import mixed
from figclip.sources.synthetic.scenes import NUMBERS, Attributes, Kind

# Look → ground, band.
LOOKS: dict[str, tuple[Colour, Colour]] = {
    "Western blot": ((224, 224, 226), (26, 26, 30)),
    "agarose gel": ((22, 22, 26), (238, 240, 244)),
    "ethidium bromide gel": ((70, 14, 6), (255, 150, 40)),
    "Coomassie gel": ((206, 220, 242), (28, 52, 168)),
    "silver-stained gel": ((236, 206, 130), (92, 48, 10)),
}
TRENDS = {
    "equal in all lanes": lambda part: 1.0,
    "stronger towards the right": lambda part: 0.12 + 0.88 * part,
    "stronger towards the left": lambda part: 1.0 - 0.88 * part,
    "strongest in the middle": lambda part: 1.0 - 1.7 * abs(part - 0.5),
}
ROWS = {"upper": 0.26, "middle": 0.52, "lower": 0.78}


def draw_gel(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    ground, ink = LOOKS[a["look"]]
    pen = Pen(size, ground)
    lanes = int(NUMBERS[a["lanes"]])
    has_ladder = a["ladder"] != "no ladder"
    left = 0.17 if a["ladder"] == "left" else 0.04
    right = 0.83 if a["ladder"] == "right" else 0.96
    pitch = (right - left) / lanes
    for lane in range(lanes):
        x = left + (lane + 0.5) * pitch
        pen.rectangle(x - 0.42 * pitch, 0.0, x + 0.42 * pitch, 1.0, mixed(ground, ink, 0.07))
        _lane(pen, rng, a, (lane, lanes), x, 0.36 * pitch, (ground, ink))
    if has_ladder:
        x = 0.09 if a["ladder"] == "left" else 0.91
        for y in np.geomspace(0.1, 0.92, 9):
            pen.rectangle(x - 0.055, y - 0.008, x + 0.055, y + 0.008, mixed(ground, ink, 0.8))
    if a["smear"] == "yes":
        x = left + (lanes - 0.5) * pitch
        pen.rectangle(x - 0.4 * pitch, 0.1, x + 0.4 * pitch, 0.95, mixed(ground, ink, 0.55))
    image = tinted(
        pen.image.filter(ImageFilter.GaussianBlur(size[1] / 160)), rng, noise=5, uneven=7
    )
    if a["box"] != "none":
        pen.image.paste(image)
        y = ROWS[a["box"]]
        box = (left, y - 0.1, right, y + 0.1)
        pen.rectangle(*box, outline=COLOURS[a["box colour"]], width=0.016)
        return pen.image
    return image


def _lane(
    pen: Pen,
    rng: np.random.Generator,
    a: Attributes,
    lane: tuple[int, int],
    x: float,
    half: float,
    colours: tuple[Colour, Colour],
) -> None:
    number, lanes = lane
    strength = TRENDS[a["trend"]](number / (lanes - 1))
    for row in a["rows"].split(" and "):
        if a["missing"] == NAMES[min(number, 9)] and row == a["rows"].split(" and ")[-1]:
            continue
        y = ROWS[row] + rng.normal(0, 0.006)
        thick = 0.018 + 0.022 * strength
        part = max(0.1, min(1.0, strength)) * rng.uniform(0.92, 1.0)
        box = (x - half, y - thick, x + half, y + thick)
        pen.rectangle(*box, mixed(*colours, part), radius=0.02)


NAMES = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
)


def gel_title(a: Attributes) -> str:
    return f"{a['look']} with {a['lanes']} lanes"


def gel_facts(a: Attributes) -> list[str]:
    rows = a["rows"].split(" and ")
    bands = f"{rows[0]} band is" if len(rows) == 1 else f"{a['rows']} bands are"
    facts = [f"The {bands} {a['trend']}."]
    if a["missing"] != "none":
        facts.append(f"The {rows[-1]} band is missing in the {a['missing']} lane.")
    facts.append(
        f"The ladder is on the {a['ladder']}."
        if a["ladder"] != "no ladder"
        else "No ladder is shown."
    )
    if a["box"] != "none":
        facts.append(f"A {a['box colour']} box frames the {a['box']} part.")
    if a["smear"] == "yes":
        facts.append("The last lane is smeared.")
    return facts


GEL = Kind(
    name="gel",
    family="gel",
    choices={
        "look": tuple(LOOKS),
        "lanes": ("four", "six", "eight", "ten"),
        "rows": ("upper", "middle", "lower", "upper and lower", "upper and middle",
                 "middle and lower", "upper and middle and lower"),
        "trend": tuple(TRENDS),
        "missing": ("none", "none", "first", "second", "third", "fourth"),
        "ladder": ("left", "left", "right", "no ladder"),
        "smear": ("no", "no", "yes"),
        "box": ("none", "none", "upper", "middle", "lower"),
        "box colour": ("red", "green", "blue", "yellow"),
    },
    shared=("look", "lanes", "ladder"),
    title=gel_title,
    facts=gel_facts,
    draw=draw_gel,
    is_dark=False,
)  # fmt: skip
