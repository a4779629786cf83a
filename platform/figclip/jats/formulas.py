"""Formulas → one readable line: `10^-3`, `x_i`, `(a+b)/c`."""

import re

from lxml import etree

from figclip.jats.document import local_name

INVISIBLE = re.compile("[\u2061-\u2064\u200b]")
"""Function application, invisible times, separator, plus: typesetting hints, not signs."""

ACCENTS = {
    "^": "\u0302",
    "\u02c6": "\u0302",
    "~": "\u0303",
    "\u02dc": "\u0303",
    "\u00af": "\u0304",
    "\u203e": "\u0304",
    "\u02d9": "\u0307",
    "\u2192": "\u20d7",
}
"""Sign above a letter → the combining character that puts it there."""

SIMPLE = re.compile(r"[-−+±]?[\w.,′'*∗†∞%\u0300-\u036f\u20d7]*")
"""What stands as an exponent, index or part of a fraction without parentheses."""

LONGEST_SIMPLE = 100
"""Signs; what is longer needs parentheses to be seen as one, whatever it is made of."""

DOCUMENT = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|$)", re.DOTALL)


def tex_text(tex: str) -> str:
    """The formula itself: no preamble, no `$`, white space folded."""
    found = DOCUMENT.search(tex)
    body = (found[1] if found else tex).strip()
    for mark in ("$$", "$"):
        if len(body) >= 2 * len(mark) and body.startswith(mark) and body.endswith(mark):
            body = body[len(mark) : -len(mark)]
    return " ".join(body.split())


def mathml_text(element: etree._Element) -> str:
    """Presentation MathML as a line; an element this does not know reads as its parts in a row."""
    name = local_name(element)
    parts = [mathml_text(child) for child in element if isinstance(child.tag, str)]
    match name, parts:
        case (("annotation" | "annotation-xml" | "mphantom" | "none" | "mprescripts"), _):
            return ""
        case "mspace", _:
            return " "
        case "semantics", [first, *_]:
            return first
        case "mfrac", [over, under]:
            return f"{_grouped(over)}/{_grouped(under)}"
        case "msup", [base, up]:
            return f"{base}^{_grouped(up)}" if up else base
        case "msub", [base, down]:
            return f"{base}_{_grouped(down)}" if down else base
        case (("msubsup" | "munderover"), [base, down, up]):
            return f"{base}_{_grouped(down)}^{_grouped(up)}"
        case "munder", [base, down]:
            return f"{base}_{_grouped(down)}"
        case "mover", [base, up]:
            return base + ACCENTS[up] if up in ACCENTS else f"{base}^{_grouped(up)}"
        case "msqrt", _:
            return f"√{_grouped(''.join(parts))}"
        case "mroot", [base, degree]:
            return f"{_grouped(base)}^(1/{degree})"
        case "mfenced", _:
            return _fenced(element, parts)
        case "mtr", _:
            return ", ".join(parts)
        case "mtable", _:
            return "; ".join(parts)
    return "".join(parts) if parts else _token(element, name)


def _token(element: etree._Element, name: str) -> str:
    """The signs of a leaf; comments inside it are left out."""
    signs = (element.text or "") + "".join(child.tail or "" for child in element)
    folded = " ".join(INVISIBLE.sub("", signs).split())
    # A number's or a text's own spaces are wanted between words only.
    return f" {folded} " if name == "mtext" and " " in folded else folded


def _fenced(element: etree._Element, parts: list[str]) -> str:
    separators = "".join((element.get("separators") or ",").split()) or ","
    inner = "".join(
        part + (separators[min(n, len(separators) - 1)] if n < len(parts) - 1 else "")
        for n, part in enumerate(parts)
    )
    return f"{element.get('open', '(')}{inner}{element.get('close', ')')}"


def _grouped(part: str) -> str:
    """Parentheses where a part would otherwise fall apart."""
    part = part.strip()
    closed = part.startswith("(") and part.endswith(")") and part.count("(") == 1
    is_simple = closed or (len(part) <= LONGEST_SIMPLE and SIMPLE.fullmatch(part))
    return part if is_simple else f"({part})"
