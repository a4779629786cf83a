"""How well captions and paragraphs are told apart by panel and figure, on annotated real ones."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from figclip.jats.article import parse_article
from figclip.jats.document import parse_document
from figclip.jats.text import FLOATS, text_of
from figclip.panels.captions import shared, split_caption, sub_captions
from figclip.panels.scores import Counts, caption_counts, label_counts

Pairs = set[tuple[str, str]]
"""A paragraph's text beside the id of a figure that it speaks of."""


def linked_pairs(article: etree._Element) -> Pairs:
    """What the links of an article say, and what stands between the two ends of a range."""
    figures = [fig.get("id") for fig in article.iter("{*}fig") if fig.get("id")]
    order = {name: n for n, name in enumerate(figures)}
    pairs: Pairs = set()
    last: tuple[etree._Element, int] | None = None
    for link in article.iter("{*}xref"):
        targets = [name for name in link.get("rid", "").split() if name in order]
        if not targets or next(link.iterancestors("{*}caption"), None) is not None:
            last = None
            continue
        holder = next(link.iterancestors("{*}p"), None)
        paragraph = link.getparent() if holder is None else holder
        text = text_of(paragraph, leave_out=FLOATS)
        low = order[targets[0]]
        if last is not None and last[0] is link.getprevious() and _is_dash(last[0].tail):
            targets += figures[last[1] + 1 : low]
        pairs |= {(text, name) for name in targets}
        last = link, order[targets[0]]
    return pairs


def _is_dash(between: str | None) -> bool:
    return (between or "").strip() in ("-", "–", "—", "to")


def mentioned_pairs(xml: bytes) -> Pairs:
    figures = parse_article(xml).figures
    return {(said.text, figure.figure_id) for figure in figures for said in figure.mentions}


def without_links(article: etree._Element) -> bytes:
    """The article with the text of its links, and no link."""
    plain = copy.deepcopy(article)
    etree.strip_tags(plain, "{*}xref")
    return etree.tostring(plain)
