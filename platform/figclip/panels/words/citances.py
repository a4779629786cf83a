"""A paragraph that speaks of a figure → the sentences that speak of each of its panels."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from figclip.jats.references import Reference, figure_references
from figclip.jats.sentences import sentences
from figclip.panels.words.alphabets import GROUP, Alphabet, expand

WORDED = re.compile(rf"\b[Pp]anels?\s\(?(?P<group>{GROUP})", re.VERBOSE)
BRACKETED = re.compile(rf"\((?P<group>{GROUP})(?:[,;][^()]{{0,40}})?\)", re.VERBOSE)
PLACE = re.compile(
    r"[\s,(]{0,3}(?:the\s)?(?P<words>(?:top|bottom|upper|lower|middle|cent(?:er|re))?[\s-]?"
    r"(?:left|right|middle)?)\b"
)
LETTERS: tuple[Alphabet, ...] = ("upper", "lower")

Span = tuple[int, int]
"""Start and end in the paragraph."""


def split_mention(
    text: str, anchor: str, figure: str, labels: Sequence[str]
) -> dict[str, list[Span]]:
    """Label → spans of the sentences of `text` that speak of that panel.

    `anchor` holds the words of the link and `figure` the figure's label as printed (`Figure 1`), as
    in `Mention` and `Figure`; `labels` are those of its panels. A mention of the whole figure
    speaks of all of them. A label that nothing speaks of is left out; so is one that the figure
    does not have. Spans are in order, and white space around a sentence belongs to none.
    """
    if not labels:
        return {}
    found: dict[str, set[Span]] = {}
    everything = sorted(figure_references(text), key=_start)
    meant = sorted(_meant(text, anchor, figure), key=_start)
    is_near = False
    for start, end in _units(text, everything):
        own = _within(meant, start, end)
        # What follows goes on about this figure until another one is named.
        is_near = bool(own) or (is_near and not _within(everything, start, end))
        named = _labels_of(text, start, end, own, labels) if own else []
        if is_near and not named:
            named = _worded(text[start:end], labels)
        if own and not named and not any(reference.panels for reference in own):
            named = list(labels)
        for label in named:
            found.setdefault(label, set()).add((start, end))
    return {label: sorted(found[label]) for label in labels if label in found}


def _meant(text: str, anchor: str, figure: str) -> Iterator[Reference]:
    """Where the text speaks of this figure: by its number, else where the anchor's words stand."""
    known = {(item.kind, item.figure) for item in figure_references(figure)}
    own = [item for item in figure_references(text) if (item.kind, item.figure) in known]
    if own or not anchor.strip():
        yield from own
        return
    panels = tuple(panel for item in _read(anchor) for panel in item.panels)
    place = text.find(anchor)
    while place >= 0:
        yield Reference(place, place + len(anchor), "", panels)
        place = text.find(anchor, place + len(anchor))


def _read(anchor: str) -> list[Reference]:
    """`Fig. 1B`, `1B` and `B` alone name the panel B."""
    whole = figure_references(anchor)
    return whole or figure_references(f"Figure {anchor}") or figure_references(f"Figure 1{anchor}")


def _start(reference: Reference) -> int:
    return reference.start


def _within(references: Sequence[Reference], start: int, end: int) -> Sequence[Reference]:
    """Those, in order, that begin between two places."""
    low = bisect_left(references, start, key=_start)
    return references[low : bisect_left(references, end, key=_start)]


def _units(text: str, references: Sequence[Reference]) -> Iterator[Span]:
    """Sentences without the white space around them; their halves where each names figures."""
    for start, end in sentences(text):
        stops = [n + 1 for n in _semicolons(text, start, end)]
        bounds = list(zip([start, *stops], [*stops, end], strict=True))
        if not all(_within(references, a, b) for a, b in bounds):
            bounds = [(start, end)]
        for a, b in bounds:
            words = text[a:b]
            a, b = a + len(words) - len(words.lstrip()), b - len(words) + len(words.rstrip())
            if a < b:
                yield a, b


def _semicolons(text: str, start: int, end: int) -> Iterator[int]:
    """Those that stand in no bracket."""
    depth = 0
    for n in range(start, end):
        depth = max(0, depth + (text[n] == "(") - (text[n] == ")"))
        if text[n] == ";" and not depth:
            yield n


def _labels_of(
    text: str, start: int, end: int, own: Sequence[Reference], labels: Sequence[str]
) -> list[str]:
    """The panels that references in a sentence name, by letters or by place."""
    named: list[str] = []
    for reference in own:
        named += [label for panel in reference.panels for label in _same(panel, labels)]
        place = PLACE.match(text, reference.end, end)
        if place is not None:
            words = " ".join(re.split(r"[\s-]+", place["words"].strip().lower()))
            named += [label for label in labels if label == words]
    if not named and not any(reference.panels for reference in own):
        named = _worded(text[start:end], labels)
        groups = [match["group"] for match in BRACKETED.finditer(text, start, end)]
        bracketed = [label for group in groups for label in _in_group(group, labels)]
        if len(set(bracketed)) > 1:
            named += bracketed
    return list(dict.fromkeys(named))


def _worded(sentence: str, labels: Sequence[str]) -> list[str]:
    """`panel A`, `panels B and C`."""
    groups = [match["group"] for match in WORDED.finditer(sentence)]
    return list(dict.fromkeys(label for group in groups for label in _in_group(group, labels)))


def _in_group(group: str, labels: Sequence[str]) -> list[str]:
    for alphabet in LETTERS:
        found = [_same(atom.text, labels) for atom in expand(group, alphabet)]
        if found and all(found):
            return [label for same in found for label in same]
    return []


def _same(panel: str, labels: Sequence[str]) -> list[str]:
    """The figure's labels for a panel: in its own case, else in the other; `A` names `A1` and
    `A2` where there is no `A`, and `Ai` names `A` where there is no `Ai`."""
    panel = panel.replace("'", "′")
    for fits in (
        lambda label: label == panel,
        lambda label: label.lower() == panel.lower(),
        lambda label: len(panel) == 1 and label[:1].lower() == panel.lower() and _nested(label),
        lambda label: len(label) == 1 and panel[:1].lower() == label.lower() and _nested(panel),
    ):
        found = [label for label in labels if fits(label)]
        if found:
            return found
    return []


def _nested(label: str) -> bool:
    return 1 < len(label) < 5 and all(sign in "ivx0123456789′″" for sign in label[1:])
