"""A naive reading of figures by the standard library, and the rules by which ours differs from it.

Naive: `itertext()` of the label and of the captions, the href of every `<graphic>`. A rule is an
edit of the figure's element after which the naive reading says what ours says; it is named for what
a reader of the figure sees. Nothing here is shared with the parser.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

FORMULA = "\ue000"
"""Stands where a formula stood; no article uses it."""

_BLOCKS = """
    title p list list-item label def-list def-item term def disp-quote disp-formula object-id
    supplementary-material media caption break fn sec attrib graphic
"""
BLOCKS = set(_BLOCKS.split())
HREF = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class PlainFigure:
    figure_id: str | None
    label: str
    caption: str
    graphics: tuple[str, ...]
    formulas: tuple[Element, ...] = ()
    rules: frozenset[str] = frozenset()
    """Names of the rules that changed the reading."""


def name_of(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def figures_in(xml: bytes) -> list[Element]:
    article = next(e for e in ElementTree.fromstring(xml).iter() if name_of(e) == "article")
    return [element for element in article.iter() if name_of(element) == "fig"]


def naive(fig: Element) -> PlainFigure:
    captions = ["".join(c.itertext()) for c in fig if name_of(c) == "caption"]
    labels = ["".join(c.itertext()) for c in fig if name_of(c) == "label"]
    hrefs = tuple(e.get(HREF, "") for e in fig.iter() if name_of(e) == "graphic")
    return PlainFigure(fig.get("id"), folded("".join(labels)), folded(" ".join(captions)), hrefs)


def folded(text: str) -> str:
    return re.sub(r"[ \t\r\n]+", " ", text).strip(" ")


def parents_and_children(fig: Element) -> Iterator[tuple[Element, Element]]:
    """From the last to the first, so that an edit disturbs none that is still to come."""
    pairs = [(parent, child) for parent in fig.iter() for child in parent]
    return reversed(pairs)


def replace(parent: Element, child: Element, text: str) -> None:
    """Put words where an element stands; what follows it stays."""
    place = list(parent).index(child)
    words = text + (child.tail or "")
    parent.remove(child)
    if place:
        before = parent[place - 1]
        before.tail = (before.tail or "") + words
    else:
        parent.text = (parent.text or "") + words


def leave_out_inner_figures(fig: Element) -> list[Element]:
    for parent, child in parents_and_children(fig):
        if name_of(child) in ("fig", "fig-group"):
            replace(parent, child, " ")
    return []


def collapse_alternatives(fig: Element) -> list[Element]:
    """Of the pictures that show one thing, a JPEG before all others, else the first."""
    for parent, child in parents_and_children(fig):
        if name_of(child) == "alternatives" and name_of(parent) == "fig":
            pictures = [e for e in child if name_of(e) == "graphic"]
            jpegs = [e for e in pictures if re.search(r"\.jpe?g$", e.get(HREF, ""))]
            for picture in pictures:
                if picture is not (jpegs or pictures)[0]:
                    child.remove(picture)
    return []


def write_formulas_on_a_line(fig: Element) -> list[Element]:
    """Each formula becomes a sign; what ours says in its place is judged by `says_the_formula`."""
    found: list[Element] = []
    outer = {"inline-formula", "disp-formula", "math", "tex-math"}
    inside = {id(i) for e in fig.iter() if name_of(e) in outer for i in list(e.iter())[1:]}
    for parent, child in parents_and_children(fig):
        if name_of(child) in outer and id(child) not in inside:
            sign = FORMULA if "".join(child.itertext()).strip() else ""  # a picture says nothing
            found = [child, *found] if sign else found
            space = " " if name_of(child) == "disp-formula" else ""
            replace(parent, child, f"{space}{sign}{space}")
    return found


def set_blocks_apart(fig: Element) -> list[Element]:
    for parent, child in parents_and_children(fig):
        if parent is not fig and name_of(child) in BLOCKS:
            child.text = " " + (child.text or "")
            child.tail = " " + (child.tail or "")
    return []


def leave_out_what_is_not_shown(fig: Element) -> list[Element]:
    for parent, child in parents_and_children(fig):
        if name_of(child) in ("alt-text", "long-desc"):
            replace(parent, child, "")
    return []


RULES: dict[str, Callable[[Element], list[Element]]] = {
    "a figure inside keeps its own": leave_out_inner_figures,
    "one of the alternatives": collapse_alternatives,
    "formulas on a line": write_formulas_on_a_line,
    "what is not shown": leave_out_what_is_not_shown,
    "blocks apart": set_blocks_apart,
}


def ruled(fig: Element) -> PlainFigure:
    """The naive reading after every rule, with the names of those that changed it."""
    before, formulas, rules = naive(fig), [], set()
    for name, rule in RULES.items():
        formulas += rule(fig)
        after = naive(fig)
        if after != before:
            rules.add(name)
        before = after
    return PlainFigure(
        before.figure_id,
        before.label,
        before.caption,
        before.graphics,
        tuple(formulas),
        frozenset(rules),
    )


def reads_as(text: str, plain: str, formulas: list[Element]) -> bool:
    """Whether a text is the plain one with each formula said where its sign stands."""
    pieces = [re.escape(piece) for piece in plain.split(FORMULA)]
    found = re.fullmatch("(.*?)".join(pieces), text, re.DOTALL)
    if found is None or text != folded(text) or len(pieces) != len(formulas) + 1:
        return False
    return all(map(says_the_formula, found.groups(), formulas))


TYPESET = re.compile("[\\s()^_/√,;\u2061-\u2064\u200b\u0300-\u036f\u20d7]")
"""White space, what a line needs where print has height, and typesetting hints."""
ACCENTS = re.compile("[\\^~ˆ˜¯‾˙→]")


def says_the_formula(line: str, formula: Element) -> bool:
    """The same signs in the same order as in the formula's MathML, else its TeX, else nothing."""
    maths = [e for e in formula.iter() if name_of(e) == "math"]
    texs = [e for e in formula.iter() if name_of(e) == "tex-math"]
    if maths:
        return signs(line) == signs("".join(map(typed, maths)))
    if texs:
        return bool(line) and line in " ".join("".join(texs[0].itertext()).split())
    return folded(line) == folded("".join(formula.itertext()))


def typed(math: Element) -> str:
    """The signs of MathML in their order, those of `<mfenced>` too, which are attributes."""
    inner = (math.text or "") + "".join(typed(part) + (part.tail or "") for part in math)
    if name_of(math) == "mfenced":
        return math.get("open", "(") + inner + math.get("close", ")")
    return inner


def signs(text: str) -> str:
    return ACCENTS.sub("", TYPESET.sub("", text))
