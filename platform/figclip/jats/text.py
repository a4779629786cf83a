"""An element → the text a reader sees: verbatim, white space folded, formulas readable."""

from lxml import etree

from figclip.jats.document import local
from figclip.jats.formulas import mathml_text, tex_text

FIGURES = frozenset({"fig", "fig-group"})
"""What a caption may hold that has a caption of its own."""

FLOATS = FIGURES | {
    "table-wrap",
    "table-wrap-group",
    "boxed-text",
    "chem-struct-wrap",
    "supplementary-material",
}
"""What a paragraph may hold that does not read as part of it."""

UNSEEN = frozenset({"alt-text", "long-desc", "annotation", "annotation-xml"})
"""Said about a thing instead of shown."""

_BLOCKS = """
    attrib break caption caption-group code copyright-holder copyright-statement
    def def-item def-list disp-formula disp-formula-group disp-quote fn fn-group graphic label
    license license-p list list-item media object-id p permissions preformat question sec speaker
    speech statement table tbody td term tfoot th thead title tr verse-group verse-line
"""
BLOCKS = FLOATS | frozenset(_BLOCKS.split())
"""Elements that begin and end a line: their text never touches their neighbours'. All others are
inline: their text runs on as it is written."""

SPECIAL = BLOCKS | UNSEEN | {"math", "tex-math", "textual-form", ""}
"""Elements whose text does not simply run on; comments have no name."""

NOTHING: frozenset[str] = frozenset()


def fold(text: str) -> str:
    """White space of XML as one space each, none at the ends; a no-break or a thin space is a
    character of its own and stays."""
    for sign in "\n\t\r":
        if sign in text:
            text = text.replace(sign, " ")
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip(" ")


def text_of(element: etree._Element | None, *, leave_out: frozenset[str] = NOTHING) -> str:
    """All text of an element in reading order; empty where there is no element.

    Block elements are set apart by one space, inline elements neither glued nor spaced. Comments,
    processing instructions and the elements named in `leave_out`, all of them `SPECIAL`, are left
    out.
    """
    return "" if element is None else read(element, tags_in(element), leave_out)


def tags_in(element: etree._Element) -> list[str]:
    """The tags of all that an element holds."""
    return [part.tag for part in element.iterdescendants()] if len(element) else []


def read(element: etree._Element, tags: list[str], leave_out: frozenset[str]) -> str:
    """`text_of` an element whose `tags_in` are at hand."""
    if not tags:
        return fold(element.text or "")
    if not any(local(tag) in SPECIAL for tag in set(tags)):
        return fold(etree.tostring(element, method="text", encoding="unicode", with_tail=False))
    pieces: list[str] = []
    _collect(element, pieces, leave_out)
    return fold("".join(pieces))


def _collect(element: etree._Element, pieces: list[str], leave_out: frozenset[str]) -> None:
    # Recursion is safe: the parser refuses documents deeper than 256 elements.
    if text := element.text:
        pieces.append(text)
    for child in element:
        name = local(child.tag)
        if name not in SPECIAL:
            _collect(child, pieces, leave_out)
        else:
            _collect_special(element, child, name, pieces, leave_out)
        if tail := child.tail:
            pieces.append(tail)


def _collect_special(
    parent: etree._Element,
    child: etree._Element,
    name: str,
    pieces: list[str],
    leave_out: frozenset[str],
) -> None:
    """A child that does not simply run on: a block, a formula, or one that is left out."""
    if name in BLOCKS:
        pieces.append(" ")
    if not name or name in leave_out or name in UNSEEN:
        pass
    elif name == "math":
        pieces.append(mathml_text(child))
    elif name == "tex-math":
        pieces.append("" if _says(parent, "math") else tex_text(child.text or ""))
    elif name != "textual-form" or not (_says(parent, "math") or _says(parent, "tex-math")):
        _collect(child, pieces, leave_out)
    if name in BLOCKS:
        pieces.append(" ")


def _says(formula: etree._Element, name: str) -> bool:
    return formula.find(f"{{*}}{name}") is not None
