"""How well captions and paragraphs are told apart by panel and figure, on annotated real ones."""

import copy
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from figclip.jats.article import parse_article
from figclip.jats.document import parse_document
from figclip.jats.text import FLOATS, text_of
from figclip.panels.scores import Counts, caption_counts, label_counts
from figclip.panels.words.captions import shared, split_caption, sub_captions
from figclip.panels.words.citances import split_mention
from jobs.benchmarks.citance_cases import CASES

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


def citance_counts(xmls: Iterable[bytes]) -> tuple[Counts, Counts]:
    """Of figures' mentions: with links, and found in the words once all links are taken out.

    True are those that links make. A mention that the words alone make counts as a wrong one.
    """
    linked, unlinked = Counts(), Counts()
    for xml in xmls:
        article = parse_document(xml)
        figures = {fig.get("id") for fig in article.iter("{*}fig")}
        true = linked_pairs(article)
        with_links, without = (
            {pair for pair in mentioned_pairs(of) if pair[1] in figures}
            for of in (xml, without_links(article))
        )
        linked += Counts(len(with_links & true), len(with_links), len(true))
        unlinked += Counts(len(without & true), len(without), len(true))
    return linked, unlinked


def figure_counts(rows: Iterable[dict[str, Any]]) -> tuple[Counts, Counts]:
    """Sub-captions, and labels, of annotated figures; of a caption without any, what is found is
    wrong. Figures beside another figure's caption are left out."""
    captions, labels = Counts(), Counts()
    for row in rows:
        if row.get("caption_matches_image") is False:
            continue
        spans = split_caption(row["caption"])
        found = {name: " ".join(said) for name, said in sub_captions(row["caption"], spans).items()}
        true = {name: " ".join(said) for name, said in row["sub_captions"].items()}
        captions += caption_counts(found, true)
        labels += label_counts(list(found), list(true))
    return captions, labels


def repeating_counts(rows: Iterable[dict[str, Any]]) -> tuple[Counts, Counts]:
    """The same where sub-captions repeat what is shared, and write labels in any case."""
    captions, labels = Counts(), Counts()
    for row in rows:
        caption = row["caption"]
        spans = split_caption(caption)
        common = set(shared(caption, spans))
        names = {label for span in spans for label in span.labels}
        pieces = [(span.labels, caption[span.start : span.end]) for span in spans]
        found = {
            name.casefold(): " ".join(
                text for own, text in pieces if name in own or text.strip() in common
            )
            for name in names
        }
        true = {said["label"].casefold(): said["caption"] for said in row["sub_captions"]}
        captions += caption_counts(found, true)
        labels += label_counts(list(found), list(true))
    return captions, labels


def mention_counts() -> Counts:
    """Panels that the hand-made paragraphs speak of: right with exactly the right sentences."""
    counts = Counts()
    for case in CASES:
        spans = split_mention(case.text, case.anchor, case.figure, case.labels)
        found = {label: tuple(case.text[a:b] for a, b in said) for label, said in spans.items()}
        right = sum(case.said.get(label) == said for label, said in found.items())
        counts += Counts(right, len(found), len(case.said))
    return counts


def panel_text(shared_folder: Path | None) -> dict[str, float]:
    """All figures of the panels' texts, on the annotated figures and the real articles of a folder;
    those that need none alone without it."""
    figures = {"mention_split_f1": round(mention_counts().f1, 4)}
    if shared_folder is None or not (shared_folder / "panels").exists():
        print("not measured: real captions and articles are not at hand")
        return figures
    own, own_labels = figure_counts(_rows(shared_folder / "panels" / "figures.jsonl"))
    repeating, labels = repeating_counts(_rows(shared_folder / "panels" / "captions.jsonl"))
    paths = sorted((shared_folder / "pmc-xml").glob("*.*xml"))
    linked, unlinked = citance_counts(path.read_bytes() for path in paths)
    return figures | {
        "caption_f1": round(own.f1, 4),
        "caption_own_label_f1": round(own_labels.f1, 4),
        "repeating_caption_f1": round(repeating.f1, 4),
        "caption_label_f1": round(labels.f1, 4),
        "citance_recall": round(unlinked.recall, 4),
        "citance_precision": round(unlinked.precision, 4),
        "linked_citance_recall": round(linked.recall, 4),
        "linked_citance_precision": round(linked.precision, 4),
    }


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        yield from map(json.loads, lines)
