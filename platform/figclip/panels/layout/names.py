"""Which of the labels read in a picture name its panels, and how many panels there are."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice, product

from figclip.panels.parts import Label

Reading = tuple[Label, ...]
"""Labels taken for true, each name once."""

MOST_READINGS = 4

RUNS = ("abcdefghijklmnopqrstuvwxyz", "123456789")

BOTH = frozenset({"middle", "center", "centre", "central"})
SIDES = frozenset({"left", "right"}) | BOTH
ROWS = frozenset({"top", "bottom", "upper", "lower"}) | BOTH
"""Words by which a caption names panels without a label."""

MISSED = 1.0
STRAY = 0.5
"""What a gap in a run of labels costs, and a label beyond its end, in labels found."""


def readings_of(labels: Sequence[Label], expected: Sequence[str]) -> list[Reading]:
    """The ways to take labels for true, the likeliest first; at least one, perhaps empty.

    Names that the caption does not know are dropped; without a caption, those that belong to no
    run from A, B or 1, 2. Of labels with one name a reading holds one.
    """
    names = {fold(name) for name in expected} or set(run_of(labels))
    by_name: dict[str, list[Label]] = {}
    case = _case_of(labels, expected)
    for label in sorted(labels, key=lambda label: (_case(label.text) != case, -label.confidence)):
        if fold(label.text) in names:
            by_name.setdefault(fold(label.text), []).append(label)
    choices = product(*(by_name[name] for name in sorted(by_name)))
    return list(islice(choices, MOST_READINGS))


def num_named(reading: Reading, expected: Sequence[str]) -> int:
    """Panels of the figure, as the caption says, or as the run of labels implies."""
    return len({fold(name) for name in expected}) or len(run_of(reading))


def axes_of(expected: Sequence[str]) -> tuple[int, ...]:
    """Along which axes panels follow one another, if a caption names all by their places.

    `left` and `right` follow along x (0), `top` and `bottom` along y (1), `top left` along both;
    empty if panels have letters or numbers.
    """
    words = [fold(name).split() for name in expected]
    if not words or not all(set(word) <= SIDES | ROWS and word for word in words):
        return ()
    said = {word for name in words for word in name}
    return tuple(axis for axis, known in ((0, SIDES), (1, ROWS)) if said & known - BOTH) or (0, 1)


def place_of(name: str, expected: Sequence[str]) -> int:
    """Of a label among all of its figure's; letters in their order, whatever the caption's."""
    names = sorted({fold(other) for other in expected})
    if any(len(other) > 1 for other in names):
        names = list(dict.fromkeys(fold(other) for other in expected))
    runs = [run.index(fold(name)) for run in RUNS if fold(name) in set(run)]
    return names.index(fold(name)) if names else runs[0]


def run_of(labels: Sequence[Label]) -> Sequence[str]:
    """The names from `a` (or `1`) to the last that belongs to their run; empty without a run."""
    best, best_gain = "", 0.9
    for run in RUNS:
        found = {fold(label.text) for label in labels if fold(label.text) in set(run)}
        for length in range(2, len(run) + 1):
            num_found = sum(name in found for name in run[:length])
            gain = num_found - MISSED * (length - num_found) - STRAY * (len(found) - num_found)
            if num_found > 1 and run[length - 1] in found and gain > best_gain:
                best, best_gain = run[:length], gain
    return best


def fold(name: str) -> str:
    """A label without regard to its case."""
    return name.lower()


def _case_of(labels: Sequence[Label], expected: Sequence[str]) -> str:
    """Of the caption's labels, or of most that were read: panels of a figure share it."""
    names = expected or [label.text for label in labels]
    return Counter(map(_case, names)).most_common(1)[0][0] if names else ""


def _case(name: str) -> str:
    return "upper" if name.isupper() else "lower" if name.islower() else "none"
