"""Which of a caption's candidates are its panel labels: the consistent run A, B, C, ... of one
style and alphabet that the caption's own punctuation supports best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from figclip.panels.words.alphabets import ALPHABETS, Alphabet, Atom
from figclip.panels.words.marks import Mark, Style
from figclip.panels.words.worths import SURE, begins_words, worth_of

STYLES: tuple[tuple[Style, ...], ...] = (("bracket", "half"), ("open",))
"""Which go together: the first bracket of `(A)` is often forgotten."""

IN_GROUP = 0.5
"""Of its worth that a label keeps for being named together with others."""
HOLE = 2.5
"""What a label costs that a run leaves out."""

COST = 0.7
"""What every label costs: one of less worth is taken only where the run has a hole else."""
REPEATED = 1.0
"""What a run loses for each label that stands at a sure place again: `A, (a) ..., B, (a) ...`."""
LEAST_NUMBERS = 3
"""Numbers that make a run; two may count anything."""


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
