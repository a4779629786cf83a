"""Compound figures with the truth about their panels, drawn as real ones are arranged.

Counts, arrangements, shapes and gutters follow the real figures of `arrangements`; what stands in
the panels is invented. The same `random.Random` gives the same figure.
"""

import random
import string
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from figclip.schema import Box, Panel
from figclip.sources.synthetic.arrangements import (
    draw_counted,
    partly_printed_share,
    read_tree,
    unprinted_share,
)
from figclip.sources.synthetic.canvas import Colour, font
from figclip.sources.synthetic.lettered_drawings import draw_table
from figclip.sources.synthetic.panel_captions import (
    PLACED,
    PLACES,
    Piece,
    write_caption,
    write_placed_caption,
)
from figclip.sources.synthetic.panel_labels import (
    LabelStyle,
    draw_label_style,
    inside,
    picture_box,
    print_label,
)
from figclip.sources.synthetic.panel_plans import (
    BLACK,
    WHITE,
    LayoutClass,
    Plan,
    draw_gutter,
    plan_panels,
    usual_shape,
)
from figclip.sources.synthetic.sheets import WORDS, Style, draw_style
from figclip.sources.synthetic.themes import (
    Content,
    Family,
    Ground,
    draw_contents,
    drawn,
    grid_of,
    pair_of,
    with_inset,
)

UNNAMED = 2 / 47
"""Of the annotated figures that print labels, those whose captions name none of them; and none of
those that print no label has a caption that names letters."""

FAINTEST = 4
"""Grey levels by which ink differs from white paper."""

CORNERS = ("upper left", "upper right", "lower left", "lower right")


@dataclass(frozen=True)
class Compound:
    """A figure, its caption, and what is true of them."""

    image: Image.Image
    layout_class: LayoutClass
    panels: tuple[Panel, ...]
    """In order of reading. The label is empty where none is printed; the caption holds the pieces
    that name this panel, joined."""
    pieces: tuple[Piece, ...]
    """Joined, they are the caption."""
    rooms: tuple[Box, ...]
    """What each panel was given of the figure, with white that nobody can tell from a gutter."""

    @property
    def caption(self) -> str:
        return "".join(piece.text for piece in self.pieces)


def draw_compound(
    rng: random.Random, layout_class: LayoutClass, *, unprinted: float | None = None
) -> Compound:
    """A figure of the class; `single` ones are one panel, whatever white space they have.

    `unprinted` is how often no label is printed; without it, as often as in real figures of that
    arrangement. Panels that are grids of pictures have labels always: without one nothing makes
    such a grid a panel, and annotators of real figures count its pictures.
    """
    pixels = np.random.default_rng(rng.getrandbits(63))
    style = draw_style(rng)
    if layout_class == "single":
        return _draw_single(rng, pixels, style)
    family = _draw_family(rng, layout_class)
    gutter = draw_gutter(rng, layout_class, family)
    plan = plan_panels(rng, layout_class, gutter, family)
    contents = _contents(rng, layout_class, plan, family, style)
    letters = _letters(rng, len(plan.boxes))
    printed = _printed(rng, letters, _unprinted(layout_class, plan, unprinted))
    look = _look(rng, plan, family)
    image = Image.new("RGB", plan.size, plan.background)
    where = [
        _draw_panel(rng, pixels, image, box, content, label, look)
        for box, content, label in zip(plan.boxes, contents, printed, strict=True)
    ]
    boxes = [_seen(image, room, plan.background) for room in plan.boxes]
    if plan.gutter == "white":
        _draw_strays(rng, image, plan)
    names, pieces = _caption(rng, plan, letters, is_printed=any(printed))
    panels = tuple(
        Panel(label, box, label_box, _words_of(name, pieces))
        for label, name, box, label_box in zip(printed, names, boxes, where, strict=True)
    )
    return Compound(image, layout_class, panels, pieces, plan.boxes)


def _seen(image: Image.Image, room: Box, background: Colour) -> Box:
    """What of a panel's room can be seen: annotators' boxes hug what is drawn, label included."""
    if background != WHITE:
        return room
    drawn_at = np.asarray(image.crop(room)).min(axis=2) < WHITE[0] - FAINTEST
    rows, columns = np.flatnonzero(drawn_at.any(1)), np.flatnonzero(drawn_at.any(0))
    if not len(rows):
        return room
    left, top = room[:2]
    return (
        left + int(columns[0]),
        top + int(rows[0]),
        left + int(columns[-1]) + 1,
        top + int(rows[-1]) + 1,
    )


def _look(rng: random.Random, plan: Plan, family: Family) -> LabelStyle:
    """Between panels that touch there is no room for labels but inside."""
    smallest = min(min(box[2] - box[0], box[3] - box[1]) for box in plan.boxes)
    look = draw_label_style(rng, smallest, max(plan.size), on_photo=family == "photo")
    return look if plan.gutter == "white" else inside(look)


def _words_of(label: str, pieces: tuple[Piece, ...]) -> str:
    return "".join(piece.text for piece in pieces if label in piece.labels).strip()


def _draw_single(rng: random.Random, pixels: np.random.Generator, style: Style) -> Compound:
    """One panel that must stay whole: plots, drawings, photographs, some with insets."""
    family: Family = rng.choices(("plot", "drawing", "photo"), (45, 35, 20))[0]
    wide = min(max(usual_shape(rng, "shapes"), 0.4), 3.0)
    side = rng.triangular(450, 1000, 700)
    size = (round(side), round(side / wide)) if wide > 1 else (round(side * wide), round(side))
    content = _alone(rng, family, style)
    margin = rng.choice((0, 0, rng.randint(4, 30)))
    image = Image.new("RGB", size, WHITE)
    inner = (max(size[0] - 2 * margin, 8), max(size[1] - 2 * margin, 8))
    image.paste(drawn(content, pixels, inner), (margin, margin))
    pieces = write_caption(rng, ())
    whole = "".join(piece.text for piece in pieces)
    everything = (0, 0, *size)
    panel = Panel("", everything, None, whole)
    return Compound(image, "single", (panel,), pieces, (everything,))


def _alone(rng: random.Random, family: Family, style: Style) -> Content:
    """What a single figure shows: also columns of a table, and plots with pictures."""
    [content] = draw_contents(rng, family, 1, style)
    if rng.random() < 0.08:
        [small] = draw_contents(rng, rng.choice(("photo", "plot")), 1, style)
        return with_inset(content, small, rng.choice(CORNERS), rng.uniform(0.25, 0.4))
    if family == "drawing" and rng.random() < 0.4:
        if rng.random() < 0.4:
            table = Content("drawing", lambda pixels, size: draw_table(pixels, size, style))
            return grid_of(table, rng.randint(2, 4), 1, rng.choice((0, 4, 10, 20, 30)), 255)
        is_row, gap = rng.random() < 0.5, rng.choice((0, 0, 4, 10, 20))
        for other in draw_contents(rng, "drawing", rng.randint(1, 2), style):
            part = rng.uniform(0.3, 0.6)
            content = pair_of(other, content, is_row=is_row, part=part, gap=gap)
            is_row = not is_row
    elif family == "plot" and rng.random() < 0.08:
        for small in draw_contents(rng, "photo", rng.randint(2, 4), style):
            content = with_inset(content, small, rng.choice(CORNERS), rng.uniform(0.2, 0.33))
    return content


def _draw_family(rng: random.Random, layout_class: LayoutClass) -> Family:
    if layout_class in ("thin-gutter", "dark-gutter", "stitched"):
        return "photo"
    families: tuple[Family, ...] = ("plot", "photo", "drawing")
    return rng.choices(families, (50, 35, 15))[0]


def _contents(
    rng: random.Random, layout_class: LayoutClass, plan: Plan, family: Family, style: Style
) -> list[Content]:
    count = len(plan.boxes)
    ground: Ground = "dark" if plan.gutter == "dark" and rng.random() < 0.8 else "any"
    contents = draw_contents(rng, family, count, style, ground)
    match layout_class:
        case "mixed":
            photos = draw_contents(rng, "photo", count, style)
            plots = draw_contents(rng, "plot", count, style)
            chosen = [rng.random() < 0.5 for _ in range(count)]
            chosen[0], chosen[-1] = (True, False) if rng.random() < 0.7 else (False, True)
            return [
                p if is_photo else q for p, q, is_photo in zip(photos, plots, chosen, strict=True)
            ]
        case "grid":
            parts = [
                _parts(rng, box, content, style)
                for box, content in zip(plan.boxes, contents, strict=True)
            ]
            return [
                part if rng.random() < 0.75 or k == 0 else content
                for k, (part, content) in enumerate(zip(parts, contents, strict=True))
            ]
        case "inset":
            insets = draw_contents(rng, "photo" if family == "photo" else "plot", count, style)
            return [
                with_inset(content, inset, rng.choice(CORNERS[1:]), rng.uniform(0.22, 0.42))
                if rng.random() < 0.7 or k == 0
                else content
                for k, (content, inset) in enumerate(zip(contents, insets, strict=True))
            ]
        case _ if family == "plot" and rng.random() < 0.2:
            return [
                _paired(rng, box, content, style) if rng.random() < 0.5 else content
                for box, content in zip(plan.boxes, contents, strict=True)
            ]
        case _:
            return contents


def _parts(rng: random.Random, box: Box, content: Content, style: Style) -> Content:
    if content.family != "photo" and rng.random() < 0.4:
        return _paired(rng, box, content, style)
    return _grid(rng, box, content)


def _paired(rng: random.Random, box: Box, content: Content, style: Style) -> Content:
    """A drawing or photograph with the plot that belongs to it."""
    [first] = draw_contents(rng, rng.choice(("drawing", "drawing", "photo", "plot")), 1, style)
    is_row = box[2] - box[0] > 1.3 * (box[3] - box[1])
    return pair_of(
        first, content, is_row=is_row, part=rng.uniform(0.25, 0.5), gap=rng.randint(0, 20)
    )


def _grid(rng: random.Random, box: Box, content: Content) -> Content:
    """Pictures inside one panel, with gutters as wide as they like."""
    wide = (box[2] - box[0]) / (box[3] - box[1])
    columns = max(1, round(rng.uniform(1, 3) * min(max(wide, 0.5), 2)))
    rows = max(1, round(columns / wide)) if columns > 1 else 2
    gap = rng.choice((0, 1, 2, 4, 8, 16, 30))
    level = 255 if gap > 4 or rng.random() < 0.7 else 0
    return grid_of(content, min(columns, 5), min(rows, 5), gap, level)


def _letters(rng: random.Random, count: int) -> tuple[str, ...]:
    is_upper = draw_counted(rng, "label_cases") == "upper"
    case = string.ascii_uppercase if is_upper else string.ascii_lowercase
    return tuple(case[k] if k < 26 else case[k // 26 - 1] + case[k % 26] for k in range(count))


def _caption(
    rng: random.Random, plan: Plan, letters: tuple[str, ...], *, is_printed: bool
) -> tuple[tuple[str, ...], tuple[Piece, ...]]:
    """What the caption may call the panels, and the caption."""
    if is_printed:
        return letters, write_caption(rng, letters if rng.random() > UNNAMED else ())
    places = next((choices for text, choices in PLACES.items() if plan.tree == read_tree(text)), ())
    if not places or rng.random() > PLACED:
        return letters, write_caption(rng, ())
    names = rng.choice(places)
    return names, write_placed_caption(rng, names)


def _unprinted(layout_class: LayoutClass, plan: Plan, wanted: float | None) -> float:
    """How often no label is printed."""
    if layout_class == "grid":
        return 0.0
    return unprinted_share(plan.arrangement, len(plan.boxes)) if wanted is None else wanted


def _printed(rng: random.Random, letters: tuple[str, ...], unprinted: float) -> tuple[str, ...]:
    """The labels, empty where not printed: all of them, or as often one as in real figures."""
    if rng.random() < unprinted:
        return ("",) * len(letters)
    missing = rng.randrange(len(letters)) if rng.random() < partly_printed_share() else -1
    return tuple("" if k == missing else letter for k, letter in enumerate(letters))


def _draw_panel(
    rng: random.Random, pixels: np.random.Generator, image: Image.Image, box: Box,
    content: Content, label: str, look: LabelStyle,
) -> Box | None:  # fmt: skip
    x0, y0, x1, y1 = picture_box(look, box) if label else box
    image.paste(drawn(content, pixels, (max(x1 - x0, 1), max(y1 - y0, 1))), (x0, y0))
    return print_label(image, look, label, box, rng) if label else None


def _draw_strays(rng: random.Random, image: Image.Image, plan: Plan) -> None:
    """What belongs to no panel: headings in the margin, an arrow from one panel to the next."""
    draw, letters = ImageDraw.Draw(image), font(max(10, plan.boxes[0][1] - 8))
    if plan.boxes[0][1] >= 18:
        for box in plan.boxes:
            if box[1] == plan.boxes[0][1]:
                middle = ((box[0] + box[2]) // 2, plan.boxes[0][1] // 2)
                draw.text(middle, rng.choice(WORDS), BLACK, letters, anchor="mm")
    if len(plan.boxes) < 2 or rng.random() > 0.05:
        return
    first, other = plan.boxes[:2]
    start = ((first[0] + 4 * first[2]) // 5, (first[1] + first[3]) // 2)
    end = ((4 * other[0] + other[2]) // 5, (other[1] + other[3]) // 2)
    draw.line((start, end), (60, 60, 60), 3)
