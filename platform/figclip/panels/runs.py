"""Which of a caption's candidates are its panel labels: the consistent run A, B, C, ... of one
style and alphabet that the caption's own punctuation supports best."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from figclip.panels.alphabets import ALPHABETS, Alphabet, Atom
from figclip.panels.marks import Mark, Style

STYLES: tuple[tuple[Style, ...], ...] = (("bracket", "half"), ("open",))
"""Which go together: the first bracket of `(A)` is often forgotten."""

AT_START = 3.0
"""What a label at the beginning of a sentence is worth."""
AT_CLAUSE = 2.2
"""At the beginning of a clause, or at the end of one (`in red (A);`)."""
INSIDE = 1.2
"""Elsewhere."""
MENTIONED = 0.5
"""Where the words before it point to another place (`as in (A)`), or it is an abbreviation."""
BARE = 0.9
"""Between words, without any punctuation."""
IN_GROUP = 0.5
"""Of its worth that a label keeps for being named together with others."""
HOLE = 2.5
"""What a label costs that a run leaves out."""

COST = 0.7
"""What every label costs: one of less worth is taken only where the run has a hole else."""
REPEATED = 1.0
"""What a run loses for each label that stands at a sure place again: `A, (a) ..., B, (a) ...`."""
SURE = 2.0
"""What each number of a run must be worth."""
LEAST_NUMBERS = 3
"""Numbers that make a run; two may count anything."""

POINTING = re.compile(
    r"\b(?:see|as\sin|than(?:\sin)?|figs?\.?|figure|tables?|hepatitis|vitamins?|influenza|refs?\.?"
    r"|equations?|eqs?\.?|n|p)\s*[=<>]?\s*\Z",
    re.IGNORECASE,
)
NUMBERED = re.compile(
    r"\b(?:types?|groups?|factors?|grades?|class(?:es)?|stages?|cases?|patients?|steps?|times?|sites?"
    r"|samples?|sections?)\s\Z",
    re.IGNORECASE,
)
"""Things that go by letters without brackets, too."""
BEFORE_LABEL = " \t\n\u00a0\u2002\u2003\u2009\u200a\u202f\"'“‘(["
"""What may stand between the end of a sentence and a label."""
JOINING = re.compile(r"\s(?:and|or)\s*\Z")
LOOKBACK = 30


@dataclass(frozen=True)
class Named:
    """A mark that names panels of the run."""

    mark: Mark
    labels: tuple[str, ...]
    is_defining: bool
    """It is the one by which the run brings in at least one of its labels."""
    worth: float


@dataclass(frozen=True)
class Run:
    alphabet: Alphabet
    named: tuple[Named, ...]
    """Marks of the run's style that name labels of the run, in order."""
    labels: tuple[str, ...]
    """In the order of the alphabet."""
    worth: float

    @property
    def is_leading(self) -> bool:
        """Whether most labels begin the sentence that speaks of them."""
        defining = [item.worth > SURE + 0.25 for item in self.named if item.is_defining]
        return 2 * sum(defining) >= len(defining)


@dataclass(frozen=True)
class _Chain:
    """A run on its way: which places it has, and the marks that brought them."""

    worth: float
    places: int
    """Bit n stands for place n."""
    mark: int
    before: "_Chain | None"

    @property
    def num_labels(self) -> int:
        return self.places.bit_count() - 1  # place 0 is the beginning

    @property
    def num_holes(self) -> int:
        return self.places.bit_length() - self.places.bit_count()

    @property
    def standing(self) -> float:
        """Its worth less what its holes cost."""
        return self.worth - HOLE * self.num_holes

    def marks(self) -> set[int]:
        link, found = self, set()
        while link.before is not None:
            found.add(link.mark)
            link = link.before
        return found


def best_run(caption: str, marks: Sequence[Mark]) -> Run | None:
    """The run that is worth most; none where no two labels follow each other."""
    runs = [
        run
        for styles in STYLES
        for alphabet in ALPHABETS
        if (run := _run(caption, marks, styles, alphabet)) is not None
    ]
    letters = [run for run in runs if run.alphabet in ("upper", "lower")]
    return max(letters or runs, key=lambda run: run.worth, default=None)


def _run(
    caption: str, marks: Sequence[Mark], styles: Sequence[Style], alphabet: Alphabet
) -> Run | None:
    """The best run of one style and alphabet, from its first label on."""
    own = _candidates(caption, marks, styles, alphabet)
    worths = [worth_of(caption, mark) for mark in own]
    is_letters = alphabet in ("upper", "lower")
    if not is_letters:  # numbers stand for many things: only sure ones count
        sure = [begins_words(caption, own[n]) and worths[n] >= SURE for n in range(len(own))]
        own, worths = list(compress(own, sure)), list(compress(worths, sure))
    chain = _best_chain([mark.labels[alphabet] for mark in own], worths)
    if chain is None or chain.standing <= 0 or not chain.places & 2:
        return None
    if not is_letters and (chain.num_labels < LEAST_NUMBERS or chain.num_holes):
        return None
    return _named(own, worths, alphabet, chain)


def _candidates(
    caption: str, marks: Sequence[Mark], styles: Sequence[Style], alphabet: Alphabet
) -> list[Mark]:
    """Marks of the style that can be read in the alphabet, and those that a word calls panels."""
    readable = [mark for mark in marks if alphabet in mark.labels]
    own = [mark for mark in readable if mark.style in styles or mark.is_worded]
    if not own or any(mark.labels[alphabet][0].place == 1 for mark in own):
        return own
    return sorted([*own, *_bare_first(caption, readable, alphabet)], key=lambda mark: mark.start)


def _bare_first(caption: str, marks: Sequence[Mark], alphabet: Alphabet) -> list[Mark]:
    """`a Lungs, (b) heart`: the first label of a sentence, which lacks the others' brackets."""
    return [
        mark
        for mark in marks
        if mark.style == "open"
        and [atom.place for atom in mark.labels[alphabet]] == [1]
        and worth_of(caption, mark) >= SURE
    ]


def _best_chain(groups: Sequence[Sequence[Atom]], worths: Sequence[float]) -> _Chain | None:
    """Dynamic programming over the places reached: for each, the best chain that ends there."""
    best: dict[int, _Chain] = {0: _Chain(0.0, 1, -1, None)}
    for n, (atoms, worth) in enumerate(zip(groups, worths, strict=True)):
        places = 0
        for atom in atoms:
            places |= 1 << atom.place
        longer = []
        for chain in best.values():
            new = (places & ~chain.places).bit_count()
            if new and _follows(chain.places, places):
                value = (worth - COST) * (1 + IN_GROUP * (new - 1))
                longer.append(_Chain(chain.worth + value, chain.places | places, n, chain))
        for chain in longer:
            last = chain.places.bit_length()
            if last not in best or chain.standing > best[last].standing:
                best[last] = chain
    chains = [chain for chain in best.values() if chain.num_labels > 1]
    return max(chains, key=lambda chain: chain.standing, default=None)


def _follows(reached: int, places: int) -> bool:
    """Whether labels can come next: they go on from those reached, or fill their holes."""
    first = (places & -places).bit_length() - 1
    return first <= reached.bit_length() + 1


def _named(own: Sequence[Mark], worths: Sequence[float], alphabet: Alphabet, chain: _Chain) -> Run:
    """The run of a chain: its labels, and every mark that names nothing else."""
    chosen = chain.marks()
    texts: dict[str, int] = {}
    for n in sorted(chosen):
        texts.update({atom.text: atom.place for atom in own[n].labels[alphabet]})
    nested = _nested(own, alphabet, texts)
    texts.update(nested)
    named = []
    for n, (mark, worth) in enumerate(zip(own, worths, strict=True)):
        labels = tuple(atom.text for atom in mark.labels[alphabet])
        if all(label in texts for label in labels):
            is_defining = n in chosen or any(label in nested for label in labels)
            named.append(Named(mark, labels, is_defining, worth))
    ordered = sorted(texts, key=lambda text: (texts[text], text))
    again = sum(len(item.labels) for item in named if not item.is_defining and item.worth > SURE)
    return Run(alphabet, tuple(named), tuple(ordered), chain.standing - REPEATED * again)


def _nested(own: Sequence[Mark], alphabet: Alphabet, texts: Mapping[str, int]) -> dict[str, int]:
    """`Aii` beside `Ai`: labels of the same parent that the chain passed over."""
    parents = {text[0] for text in texts if len(text) > 1}
    return {
        atom.text: atom.place
        for mark in own
        for atom in mark.labels[alphabet]
        if len(atom.text) > 1 and atom.text[0] in parents and atom.text not in texts
    }


def worth_of(caption: str, mark: Mark) -> float:
    """How much a place in the caption looks like that of a label."""
    before = caption[max(0, mark.start - LOOKBACK) : mark.start]
    last = JOINING.sub("", before).rstrip(BEFORE_LABEL)[-1:]
    if not before.strip():
        return AT_START
    if mark.style == "open":
        return _worth_of_open(caption, mark, before, last)
    if last in ".!?。！？":
        return AT_START
    if last in ";:；：|":
        return AT_CLAUSE + 0.3
    if POINTING.search(before):
        return MENTIONED
    following = caption[mark.end : mark.end + LOOKBACK].lstrip(" )]")[:1]
    if last in ",，、" or following in ".,;:，。；" or not following:
        return INSIDE if is_abbreviation(caption, mark.start, mark.end) else AT_CLAUSE
    if is_abbreviation(caption, mark.start, mark.end):
        return MENTIONED
    if mark.style == "bracket" and before[-1:].isalnum() and before[-1:].isascii():
        return MENTIONED  # `f(a)`
    return INSIDE


def _worth_of_open(caption: str, mark: Mark, before: str, last: str) -> float:
    is_bare = mark.stop in ("", ",", "，", "、")
    text = caption[mark.start : mark.end]
    if last in ".!?。！？":
        return AT_START - 0.2 - (0.5 if is_bare else 0)
    if last in ";；|":
        return AT_CLAUSE - (0.5 if is_bare else 0)
    if POINTING.search(before) or NUMBERED.search(before):
        return MENTIONED
    if mark.stop in (":", "："):
        return AT_CLAUSE - 0.3
    if mark.is_worded or (last in ",，:：(" and (mark.stop or text.islower())):
        return INSIDE
    if mark.stop == "." and last.islower() and text[:1].isdigit():
        return SURE
    return BARE if len(text) < 3 and not mark.stop else MENTIONED


def begins_words(caption: str, mark: Mark) -> bool:
    """Whether words follow a mark, and it could begin what they say."""
    return caption[mark.end : mark.end + LOOKBACK].lstrip(" ")[:1].isalnum()


def is_abbreviation(caption: str, start: int, end: int) -> bool:
    """`turning (T)`: the letter in brackets begins the word right before it."""
    inside = caption[start:end].strip("()[]（）")
    if len(inside) != 1 or not inside.isupper():
        return False
    words = caption[max(0, start - LOOKBACK) : start].split()
    return bool(words) and words[-1][:1].upper() == inside and words[-1][-1:] not in ".,;:"
