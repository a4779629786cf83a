"""Caption lengths of real articles beside lengths that were counted by others' code."""

import statistics
from collections import Counter

import pytest

from figclip.jats.article import parse_article
from figclip.statistics.summary import mean, quantile, share_up_to
from figclip.statistics.words import count_words

pytestmark = pytest.mark.real


def test_lengths_of_real_captions_are_those_counted_independently(shared_folder):
    path = shared_folder("bench") / "caption_lengths.txt"
    expected = [int(line) for line in path.read_text().split()]
    articles = [parse_article(p.read_bytes()) for p in shared_folder("pmc-xml").glob("*.*xml")]
    captions = [
        figure.caption
        for article in articles
        for figure in article.figures
        if figure.kind == "fig" and figure.caption.strip()
    ]
    found = Counter(count_words(captions))
    assert found.total() == len(expected)
    assert quantile(found, 0.5) == pytest.approx(statistics.median(expected), abs=1)
    # Formulas are read in another way: some captions differ by a few words.
    assert mean(found) == pytest.approx(statistics.fmean(expected), rel=0.01)
    for limit in (77, 256):
        share = sum(length <= limit for length in expected) / len(expected)
        assert share_up_to(found, limit) == pytest.approx(share, abs=0.005)
