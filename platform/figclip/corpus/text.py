"""An element → the text a reader sees: verbatim, white space folded, formulas readable."""

import re
from collections.abc import Iterator

from lxml import etree

from figclip.corpus.document import local_name
from figclip.corpus.formulas import mathml_text, tex_text

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

WHITE_SPACE = re.compile(r"[ \t\r\n]+")
"""White space of XML; a no-break or a thin space is a character of its own and stays."""


def fold(text: str) -> str:
    return WHITE_SPACE.sub(" ", text).strip(" ")


def text_of(element: etree._Element | None, *, leave_out: frozenset[str] = frozenset()) -> str:
    """All text of an element in reading order; empty where there is no element.

    Block elements are set apart by one space, inline elements neither glued nor spaced. Comments,
    processing instructions and the elements named in `leave_out` are left out.
    """
    return "" if element is None else fold("".join(_pieces(element, UNSEEN | leave_out)))


def _pieces(element: etree._Element, leave_out: frozenset[str]) -> Iterator[str]:
    # Recursion is safe: the parser refuses documents deeper than 256 elements.
    if element.text:
        yield element.text
    for child in element:
        name = local_name(child)
        apart = " " if name in BLOCKS else ""
        yield apart
        if name == "math":
            yield mathml_text(child)
        elif name == "tex-math":
            yield "" if _says(element, "math") else tex_text(child.text or "")
        elif name == "textual-form" and (_says(element, "math") or _says(element, "tex-math")):
            pass
        elif name and name not in leave_out:
            yield from _pieces(child, leave_out)
        yield apart
        if child.tail:
            yield child.tail


def _says(formula: etree._Element, name: str) -> bool:
    return formula.find(f"{{*}}{name}") is not None
