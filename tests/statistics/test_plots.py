"""Plots of any corpus: they are made, they differ where it does, and they say the numbers."""

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from matplotlib.figure import Figure
from PIL import Image
from tiny import tiny_pairs

from figclip.schema import PAIR_SCHEMA, table_of
from figclip.statistics.distributions import caption_lengths, image_sizes
from figclip.statistics.page import statistics_page
from figclip.statistics.plots import HEIGHT_IN, PANELS, ROWS, WIDTH_IN, overview, plots, single
from figclip.statistics.shares import FEATURES
from figclip.statistics.style import DPI
from figclip.statistics.summary import STATED_COLUMNS, Statistics, added, pair_statistics
from figclip.statistics.wording import percent
from figclip.statistics.words import count_words

UNIT = "words"


def tiny_statistics(num_pairs: int) -> Statistics:
    return pair_statistics([table_of(tiny_pairs(num_pairs), PAIR_SCHEMA)], count_words)


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("L"))


def test_every_panel_has_a_place_in_the_overview_and_a_name_of_its_own():
    assert len(PANELS) == sum(len(widths) for _, widths in ROWS)
    assert len({panel.name for panel in PANELS}) == len(PANELS)
    assert set(FEATURES) == {*STATED_COLUMNS, "mentions"}


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    totals = tiny_statistics(24)
    totals.ledger["figure", "rejected", "no_caption"] += 7
    totals.ledger["graphic", "failed", "unreachable"] += 2
    totals.cluster_sizes[3] += 1
    totals.duplicate_kinds["exact"] += 3
    totals.journals["Costs $5 & <b>more</b> $x_"] += 1
    page = statistics_page(totals, made := plots(totals, unit=UNIT), corpus="pairs@v", unit=UNIT)
    return made | {"index.html": page.encode()}


def test_every_panel_of_a_corpus_is_a_picture_with_ink(drawn):
    assert {*drawn} == {f"{panel.name}.png" for panel in PANELS} | {"overview.png", "index.html"}
    for name in drawn.keys() - {"index.html"}:
        shades = pixels(drawn[name])
        assert shades.min() < 80, name
        assert (shades < 250).mean() > 0.005, name
    whole = pixels(drawn["overview.png"])
    assert whole.shape == (round(HEIGHT_IN * DPI), round(WIDTH_IN * DPI))
    # Nothing is cut off at an edge: the outermost pixels are paper.
    for edge in (whole[:6], whole[-6:], whole[:, :6], whole[:, -6:]):
        assert edge.min() > 250


def test_the_page_is_whole_by_itself_and_shows_every_plot(drawn):
    tree = html.fromstring(drawn["index.html"].decode())
    shown = [base64.b64decode(img.get("src").partition("base64,")[2]) for img in tree.iter("img")]
    assert shown == [drawn["overview.png"], *(drawn[f"{p.name}.png"] for p in PANELS)]
    text = " ".join(tree.text_content().split())
    assert "Costs $5 & <b>more</b> $x_" in text
    assert "100 % are within 77, and 100 % are within 256." in text
    assert not list(tree.iter("script", "link"))
    assert not re.search(rb'(src|href)="(?!data:)', drawn["index.html"])


@pytest.mark.parametrize("num_pairs", [0, 1])
def test_a_corpus_of_hardly_anything_is_drawn_too(num_pairs):
    totals = tiny_statistics(num_pairs) if num_pairs else Statistics()
    made = overview(totals, unit=UNIT)
    assert pixels(made).min() < 80
    pictures = {f"{panel.name}.png": made for panel in PANELS} | {"overview.png": made}
    assert "pairs@v" in statistics_page(totals, pictures, corpus="pairs@v", unit=UNIT)


def test_the_same_statistics_give_the_same_bytes_in_whatever_order_they_were_added():
    parts = [tiny_statistics(3), tiny_statistics(8)]
    ranking = next(panel for panel in PANELS if panel.name == "journals")
    first, second = (single(ranking, added(order), unit=UNIT) for order in (parts, parts[::-1]))
    assert first == second


def words_of(axes) -> str:
    both = [axes, *(other for other in axes.figure.axes if other is not axes)]
    return "\n".join(text.get_text() for one in both for text in one.texts)


def test_the_marks_on_caption_lengths_say_the_shares_they_cover():
    totals = Statistics()
    totals.tokens.update({10: 30, 77: 13, 78: 40, 256: 7, 257: 9, 5_000: 1})
    axes = Figure().add_subplot()
    caption_lengths(axes, totals, UNIT)
    told = words_of(axes)
    assert "43 % within 77" in told
    assert "90 % within 256" in told
    assert "the longest: 5,000" in told
    assert UNIT in axes.get_xlabel()


def test_the_marks_on_image_sizes_say_how_many_are_as_large():
    totals = Statistics()
    for side, number in {100: 1, 224: 2, 340: 3, 400: 4, 3000: 10}.items():
        totals.widths[side] += number
        totals.heights[side] += number
        totals.shorter_sides[side] += number
        totals.sizes[side % 90, side % 90] += number
    axes = Figure().add_subplot()
    image_sizes(axes, totals, UNIT)
    told = words_of(axes).split("\n")
    shares = {told[n]: told[n + 1] for n in range(len(told) - 1) if told[n].endswith(" px")}
    assert shares == {"224 px": "95 %", "336 px": "85 %", "384 px": "70 %", "512 px": "50 %"}


@given(st.floats(0, 1))
def test_a_share_reads_as_none_or_all_only_where_it_is(share):
    told = percent(share)
    assert (told == "0 %") == (share == 0)
    assert (told == "100 %") == (share == 1)
    number = float(re.sub(r"[<> %]", "", told))
    assert number == pytest.approx(100 * share, abs=0.5)
