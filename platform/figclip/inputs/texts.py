"""What an image's texts are: its caption, what its article says of it, or some of both."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from figclip.jats.references import figure_references
from figclip.jats.sentences import sentences

TextKind = Literal["caption", "mentions", "caption_and_mentions"]
"""`caption`: of a figure its caption, of a panel its own words and then those that all panels
share. `mentions`: what the article says of the figure or panel, and the caption where it says
nothing. `caption_and_mentions`: both."""

COLUMNS: dict[TextKind, tuple[str, ...]] = {
    "caption": ("caption",),
    "mentions": ("caption", "label", "mentions"),
    "caption_and_mentions": ("caption", "label", "mentions"),
}
"""Columns of a pair that the texts are made of."""


def texts_of(pair: Mapping[str, Any], kind: TextKind) -> list[str]:
    """All texts of the pair's image, in order, none of them empty."""
    caption = [text for text in (pair["caption"] or "",) if text.strip()]
    if kind == "caption":
        return caption
    said = mentions_of(pair)
    return (said or caption) if kind == "mentions" else caption + said


def drawn_texts(
    pair: Mapping[str, Any], kind: TextKind, num_texts: int, random: np.random.Generator
) -> list[str]:
    """At most `num_texts` of them for one sample; empty where the image has none.

    Mentions are drawn without return. Of both kinds, the caption is the first and mentions follow;
    where there is room for one text, it is a mention as often as the caption.
    """
    texts = texts_of(pair, kind)
    if kind == "caption" or len(texts) < 2:
        return texts[:num_texts]
    is_captioned = kind == "caption_and_mentions" and bool((pair["caption"] or "").strip())
    if is_captioned and num_texts == 1:
        return [texts[0] if random.random() < 0.5 else texts[random.integers(1, len(texts))]]
    first, others = (texts[:1], texts[1:]) if is_captioned else ([], texts)
    return first + [others[i] for i in random.permutation(len(others))[: num_texts - len(first)]]


def mentions_of(pair: Mapping[str, Any]) -> list[str]:
    """Of every mention the sentences that name the pair's figure; all of it where none does.

    A mention of a figure is a paragraph, that of a panel holds what is said of the panel already.
    """
    label = pair["label"] or ""
    found = (naming_sentences(text, label) for text in pair["mentions"] or ())
    return [text for text in found if text]


def naming_sentences(text: str, label: str) -> str:
    """The sentences of a paragraph that name the figure of that label, else the paragraph."""
    named = {(reference.kind, reference.figure) for reference in figure_references(label)}
    starts = [
        reference.start
        for reference in figure_references(text)
        if (reference.kind, reference.figure) in named
    ]
    own = [
        text[start:end].strip()
        for start, end in sentences(text)
        if any(start <= place < end for place in starts)
    ]
    return " ".join(own) or text.strip()
