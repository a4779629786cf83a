"""From what can be seen to a caption of about a wanted length, with its truth."""

import html
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from figclip.sources.synthetic.prose import invent_prose
from figclip.sources.synthetic.scenes import Scene

# Lengths of 1,604 captions of open-access articles, in BERT pre-tokens + 2: share → length.
LENGTH_QUANTILES = (
    (0.0, 3), (0.01, 7), (0.05, 14), (0.10, 20), (0.15, 29), (0.20, 38), (0.25, 46), (0.30, 52),
    (0.35, 61), (0.40, 71), (0.45, 80), (0.50, 90), (0.55, 102), (0.60, 114), (0.65, 128),
    (0.70, 144), (0.75, 165), (0.80, 189), (0.85, 215), (0.90, 256), (0.925, 284), (0.95, 339),
    (0.97, 414), (0.98, 501), (0.99, 595), (0.995, 679), (1.0, 1199),
)  # fmt: skip
SPECIAL_TOKENS = 2

# Mark of a sub-caption, and how often it is used; the text follows the mark.
MARKS = (
    ("({})", 62), ("<bold>({})</bold>", 12), ("<bold>{}</bold>,", 9), ("{})", 7), ("{}:", 5),
    ("<bold>{}</bold>", 5),
)  # fmt: skip
# Kinds whose plural is not the name and an s.
NAMES = {
    "ct": "CT images",
    "mri": "MRI images",
    "xray": "X-ray images",
    "ultrasound": "ultrasound images",
    "histology": "histology images",
    "fluorescence": "fluorescence images",
}
TAG = re.compile(r"<[^>]+>")
PRE_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")


@dataclass(frozen=True)
class Caption:
    """Inline JATS mark-up, and the plain text of its parts."""

    markup: str
    shared: tuple[str, ...]
    """Plain pieces that speak of all panels; of a single picture: everything."""
    panels: tuple[str, ...]
    """Plain sub-caption of each panel, without its mark; empty for a single picture."""

    @property
    def text(self) -> str:
        return plain(self.markup)


def plain(markup: str) -> str:
    return html.unescape(TAG.sub("", markup))


def num_pre_tokens(markup: str) -> int:
    """Words and punctuation signs, as BERT's pre-tokeniser counts them."""
    return len(PRE_TOKEN.findall(plain(markup)))


def draw_length(rng: random.Random) -> int:
    """A caption length in pre-tokens + 2 from the quantiles, linear between them."""
    share = rng.random()
    for (low, a), (high, b) in pairwise(LENGTH_QUANTILES):
        if share <= high:
            return round(a + (b - a) * (share - low) / (high - low))
    return LENGTH_QUANTILES[-1][1]


def compose(
    scenes: Sequence[Scene], labels: Sequence[str], length: int, rng: random.Random
) -> Caption:
    """A caption of about `length` pre-tokens + 2; `labels` is empty for a single picture."""
    room = length - SPECIAL_TOKENS
    prose = invent_prose(rng, scenes[0].kind.family)
    if not labels:
        return _single(scenes[0], room, prose, rng)
    return _compound(scenes, labels, room, prose, rng)


def _single(scene: Scene, room: int, prose: list[str], rng: random.Random) -> Caption:
    title = f"{scene.title}."
    room -= num_pre_tokens(title)
    first, *others = scene.facts
    told = room > -3  # a title alone fits many pictures
    facts, room = _fitting(others, room - num_pre_tokens(first) * told)
    facts = [first, *facts] if told else facts
    extra, room = _fitting(prose, room)
    rest = facts + extra
    rng.shuffle(rest)
    if facts and rng.random() < 0.5:  # often the boldest fact stands first
        rest.remove(facts[0])
        rest.insert(0, facts[0])
    markup = " ".join([title, *rest])
    return Caption(markup, (plain(markup),), ())


def _fitting(sentences: list[str], room: int) -> tuple[list[str], int]:
    """Those sentences, in order, that still have room (a little of one may stand over)."""
    taken = []
    for sentence in sentences:
        size = num_pre_tokens(sentence)
        if size * 0.75 <= room:
            taken.append(sentence)
            room -= size
    return taken, room


def _compound(
    scenes: Sequence[Scene],
    labels: Sequence[str],
    room: int,
    prose: list[str],
    rng: random.Random,
) -> Caption:
    [mark] = rng.choices([mark for mark, _ in MARKS], [weight for _, weight in MARKS])
    lead, common, bodies = _shared_facts(scenes)
    pieces = [[body.pop(0)] for body in bodies]
    sizes = [num_pre_tokens(f"{mark.format('A')} {piece[0]}") for piece in pieces]
    room -= num_pre_tokens(lead) + sum(sizes)
    tail, room = _fitting(common, room)
    while room > 0 and any(bodies):
        for body, piece in zip(bodies, pieces, strict=True):
            if body:
                fact, room = _fitting([body.pop(0)], room)
                piece.extend(fact)
    extra, room = _fitting(prose, room)
    for sentence in extra:
        (rng.choice(pieces) if rng.random() < 0.4 else tail).append(sentence)
    bodies = [[piece[0], *rng.sample(piece[1:], len(piece) - 1)] for piece in pieces]
    return _joined(lead, mark, labels, [" ".join(body) for body in bodies], " ".join(tail))


def _shared_facts(scenes: Sequence[Scene]) -> tuple[str, list[str], list[list[str]]]:
    """The lead, the facts that hold for every panel, and each panel's own facts."""
    titles = {scene.title for scene in scenes}
    kinds = list(dict.fromkeys(scene.kind.name for scene in scenes))
    bodies = [list(scene.facts) for scene in scenes]
    if len(titles) == 1:
        lead = f"{scenes[0].title}."
    else:
        names = [NAMES.get(kind, f"{kind}s") for kind in kinds]
        lead = " and ".join(names)
        lead = f"{lead[0].upper()}{lead[1:]}."
        bodies = [[f"{scene.title}.", *body] for scene, body in zip(scenes, bodies, strict=True)]
    common = [fact for fact in bodies[0] if all(fact in body for body in bodies)]
    own = [[fact for fact in body if fact not in common] for body in bodies]
    if not all(own):  # two panels alike: nothing is left to say of one of them
        return lead, [], bodies
    return lead, common, own


def _joined(lead: str, mark: str, labels: Sequence[str], bodies: list[str], tail: str) -> Caption:
    parts = [lead]
    parts += [f"{mark.format(label)} {body}" for label, body in zip(labels, bodies, strict=True)]
    if tail:
        parts.append(f"({labels[0]}–{labels[-1]}) {tail}" if len(labels) > 2 else tail)
    shared = (plain(lead), plain(parts[-1])) if tail else (plain(lead),)
    return Caption(" ".join(parts), shared, tuple(plain(body) for body in bodies))
