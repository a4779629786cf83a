"""Captions and mentions of real articles: nothing lost, and as well told apart as was measured."""

import pytest

from figclip.jats.article import parse_article
from figclip.panels.words.captions import shared, split_caption, sub_captions
from jobs.benchmarks.panel_text import panel_text

pytestmark = pytest.mark.real


def test_no_real_caption_loses_a_character(shared_folder):
    num_captions, num_split = 0, 0
    for path in sorted(shared_folder("pmc-xml").glob("*.*xml")):
        for figure in parse_article(path.read_bytes()).figures:
            caption = figure.caption
            spans = split_caption(caption)
            assert "".join(caption[span.start : span.end] for span in spans) == caption
            pieces = [said for own in sub_captions(caption, spans).values() for said in own]
            assert all(piece in caption for piece in (*pieces, *shared(caption, spans)))
            num_captions += 1
            num_split += bool(pieces)
    assert num_captions > 1_700
    assert 0.5 < num_split / num_captions < 0.65


def test_real_texts_are_told_apart_as_well_as_asked(shared_folder):
    shared_folder("panels")
    figures = panel_text(shared_folder("pmc-xml").parent)
    assert figures["caption_f1"] >= 0.90
    assert figures["caption_label_f1"] >= 0.90
    assert figures["citance_recall"] >= 0.97
    assert figures["citance_precision"] >= 0.97
    assert figures["linked_citance_recall"] == 1.0
    assert figures["mention_split_f1"] >= 0.9
