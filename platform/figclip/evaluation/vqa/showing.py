"""A picture of questions and answers: what is seen, what was asked, what each encoder said.

After Fig. 4 B–D of BiomedCLIP, https://arxiv.org/abs/2303.00915.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from PIL import Image

from figclip.evaluation.vqa.asking import VqaResult
from figclip.statistics.themes import Theme, drawing, png_of

SIDE = 1.9
"""Inches of a picture."""
GAP, NAME_LINE, LINE = 0.2, 0.13, 0.16
"""Inches between two rows, of a line in small letters, and of another."""
COLUMNS = 2
CHARACTERS = 42
MOST_LINES = 3
RIGHT, WRONG = "✓", "✗"


@dataclass(frozen=True)
class Shown:
    """A question, and each encoder's answer to it."""

    picture: Image.Image
    question: str
    truth: str
    answers: Mapping[str, str]


def chosen(results: Mapping[str, VqaResult], *, num: int) -> list[int]:
    """Places of questions that tell most: first those which the encoders answer differently and one
    of them well, of each picture one; then the others."""
    first, *_ = results.values()
    said = list(zip(*(one.answers for one in results.values()), strict=True))

    def worth(place: int) -> tuple[bool, bool]:
        answers, truth = said[place], first.questions[place].answer
        return (len({*answers}) == 1 and len(results) > 1), truth not in answers

    order = sorted(range(len(said)), key=lambda place: (*worth(place), place))
    found: dict[str, int] = {}
    for place in order:
        found.setdefault(first.questions[place].picture, place)
    return [place for place in order if place in found.values()][:num]


def draw_answers(shown: Sequence[Shown], theme: Theme) -> bytes:
    """A PNG: pictures, each with its question, the true answer, and what was answered."""
    rows = -(-len(shown) // COLUMNS)
    height = max(SIDE, *(sum(map(room, blocks_of(one, theme))) for one in shown))
    with drawing(theme, 4.9 * COLUMNS, (height + GAP) * rows) as figure:
        cells = figure.add_gridspec(
            rows, 2 * COLUMNS, width_ratios=[1, 1.45] * COLUMNS, wspace=0.02, hspace=0.06
        )
        for number, one in enumerate(shown):
            row, column = divmod(number, COLUMNS)
            _draw_picture(figure.add_subplot(cells[row, 2 * column]), one.picture)
            words = figure.add_subplot(cells[row, 2 * column + 1])
            _draw_words(words, blocks_of(one, theme), theme, height)
        return png_of(figure)


@dataclass(frozen=True)
class Block:
    """A name in small letters and what is said below it."""

    name: str
    words: str
    colour: str


def blocks_of(one: Shown, theme: Theme) -> list[Block]:
    good, bad = theme.colours[2], theme.colours[1]
    found = [Block("Question", one.question, theme.ink), Block("True answer", one.truth, theme.ink)]
    for name, answer in one.answers.items():
        is_right = answer == one.truth
        said = f"{RIGHT if is_right else WRONG} {answer}"
        found.append(Block(name, said, good if is_right else bad))
    return found


def room(block: Block) -> float:
    """Inches from its top to the next one's."""
    return NAME_LINE + LINE * (said(block.words).count("\n") + 1) + LINE / 3


def _draw_picture(axes: Axes, picture: Image.Image) -> None:
    picture.thumbnail((512, 512))
    axes.imshow(picture)
    axes.set_anchor("N")
    axes.set_axis_off()


def _draw_words(axes: Axes, blocks: Sequence[Block], theme: Theme, height: float) -> None:
    """One below the other, from the top; heights are inches."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, height)
    top = height
    for block in blocks:
        named = said(block.name, most=1)
        axes.text(0, top, named, color=theme.quiet, fontsize=7.5, va="top")
        words = said(block.words)
        below = top - NAME_LINE
        axes.text(0, below, words, color=block.colour, va="top", fontsize=9, linespacing=1.15)
        top -= room(block)


def said(words: str, *, most: int = MOST_LINES) -> str:
    """In lines of a cell's width; a formula's sign is a sign here."""
    return textwrap.fill(words, CHARACTERS, max_lines=most, placeholder=" …").replace("$", r"\$")
