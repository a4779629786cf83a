"""A picture of questions and answers: what is seen, what was asked, what each encoder said.

After Fig. 4 B–D of BiomedCLIP, https://arxiv.org/abs/2303.00915.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from figclip.evaluation.vqa.asking import VqaResult
from figclip.statistics.themes import Theme, drawing, png_of

SIDE = 1.9
"""Inches of a picture."""
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
    with drawing(theme, 4.9 * COLUMNS, (SIDE + 0.35) * rows) as figure:
        cells = figure.add_gridspec(
            rows, 2 * COLUMNS, width_ratios=[1, 1.45] * COLUMNS, wspace=0.02, hspace=0.06
        )
        for number, one in enumerate(shown):
            row, column = divmod(number, COLUMNS)
            _draw_picture(figure.add_subplot(cells[row, 2 * column]), one.picture)
            _draw_words(figure.add_subplot(cells[row, 2 * column + 1]), one, theme, figure)
        return png_of(figure)


def _draw_picture(axes: Axes, picture: Image.Image) -> None:
    picture.thumbnail((512, 512))
    axes.imshow(picture)
    axes.set_anchor("N")
    axes.set_axis_off()


def _draw_words(axes: Axes, one: Shown, theme: Theme, figure: Figure) -> None:
    """Line by line from the top; the names are quiet, what was said stands below them."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    good, bad = theme.colours[2], theme.colours[1]
    blocks = [("Question", one.question, theme.ink), ("True answer", one.truth, theme.ink)]
    for name, answer in one.answers.items():
        is_right = answer == one.truth
        mark = RIGHT if is_right else WRONG
        blocks.append((name, f"{mark} {answer}", good if is_right else bad))
    line, top = 0.155 / SIDE, 0.99
    for name, words, colour in blocks:
        axes.text(0, top, _lines(name, 1), color=theme.quiet, fontsize=7.5, va="top")
        said = _lines(words, MOST_LINES)
        axes.text(0, top - line * 0.85, said, color=colour, fontsize=9, va="top", linespacing=1.15)
        top -= line * (0.85 + said.count("\n") + 1 + 0.45)


def _lines(words: str, most: int) -> str:
    return textwrap.fill(words, CHARACTERS, max_lines=most, placeholder=" …").replace("$", r"\$")
