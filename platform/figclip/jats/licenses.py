"""Words about rights → a licence code such as `CC BY-NC`."""

import re
from collections.abc import Iterable
from itertools import islice

from lxml import etree

from figclip.jats.document import local_name
from figclip.jats.text import fold, text_of

ADDRESS = re.compile(r"creativecommons\.org/(licen[cs]es|publicdomain)/([a-z]+(?:-[a-z]+)*)", re.I)
CODE = re.compile(r"\bCC[\s-]*(0|BY(?:[\s-]+(?:NC|ND|SA)\b)*)", re.I)
CONTENT_TYPE = re.compile(r"(cc0|ccby(?:nc)?(?:nd|sa)?)license", re.I)
NAME = re.compile(
    r"(?:Creative\s+Commons|CC)[\s:,-]+(?:\w+\s+)?Attribution"
    r"((?:[\s,–-]+(?:Non[\s-]?Commercial|No[\s-]?Deriv\w*|Share[\s-]?Alike))*)",
    re.I,
)
PUBLIC_DOMAIN = re.compile(r"CC0|Creative\s+Commons\s+(?:Public\s+Domain|Zero)", re.I)

MOST_STATEMENTS = 10_000
"""About one licence; a real article makes a handful."""

XLINK_HREF = "{http://www.w3.org/1999/xlink}href"


def license_code(words: str) -> str:
    """`CC BY`, `CC BY-NC-ND`, `CC0`, ... named by an address, a code, PMC's content type or in
    words; empty where none is."""
    if found := ADDRESS.search(words):
        return "CC0" if found[1].lower() == "publicdomain" else _by(found[2].split("-"))
    if found := CONTENT_TYPE.search(words):
        return _by([found[1][2:4], found[1][4:6], found[1][6:8]])
    if found := CODE.search(words):
        return _by(re.split(r"[\s-]+", found[1]))
    if PUBLIC_DOMAIN.search(words):
        return "CC0"
    if found := NAME.search(words):
        said = found[1].lower()
        clauses = {"noncommercial": "nc", "nocommercial": "nc", "noderiv": "nd", "sharealike": "sa"}
        plain = re.sub(r"[\s,–-]", "", said)
        return _by(["by", *(short for long, short in clauses.items() if long in plain)])
    return ""


def _by(clauses: Iterable[str]) -> str:
    clauses = [clause.lower() for clause in clauses if clause]
    if "0" in clauses or "zero" in clauses or clauses[:1] in (["c0"], ["publicdomain"]):
        return "CC0"
    if "by" not in clauses:
        return ""
    order = [clause.upper() for clause in ("nc", "nd", "sa") if clause in clauses]
    return "-".join(["CC BY", *order])


def article_license(article_meta: etree._Element) -> str:
    """Code of the article's licence: PMC's own statement first, then the publisher's."""
    statements = islice(_statements(article_meta), MOST_STATEMENTS)
    return next((code for words in statements if (code := license_code(words))), "")


def _statements(article_meta: etree._Element) -> Iterable[str]:
    for meta in article_meta.iter("{*}custom-meta"):
        if text_of(meta.find("{*}meta-name")) == "pmc-license-ref":
            yield text_of(meta.find("{*}meta-value"))
    for permissions in article_meta.iterchildren("{*}permissions"):
        yield from permission_words(permissions)


def permission_words(permissions: etree._Element) -> Iterable[str]:
    """Everything that a `<permissions>` says about the licence, the plainest first."""
    references = list(permissions.iter("{*}license_ref"))
    yield from (found for ref in references if (found := ref.get("content-type")))
    yield from (fold(ref.text) for ref in references if ref.text)
    yield from _addresses(permissions, ("license",))
    yield from _addresses(permissions, ("ext-link", "uri"))
    yield text_of(permissions)


def _addresses(permissions: etree._Element, names: tuple[str, ...]) -> Iterable[str]:
    for element in permissions.iter("{*}*"):
        if local_name(element) in names:
            yield href_of(element)


def href_of(element: etree._Element) -> str:
    """`xlink:href`, by its namespace or by its bare name; empty where there is none."""
    if (href := element.get(XLINK_HREF)) is not None:
        return href.strip()
    for name, value in element.attrib.items():
        if name.rpartition("}")[2] == "href":
            return value.strip()
    return ""


def stated_license(permissions: etree._Element) -> str:
    """The licence that a figure's `<permissions>` name: its code, else its words, else empty."""
    code = next((c for words in permission_words(permissions) if (c := license_code(words))), "")
    if code:
        return code
    terms = [*permissions.iterchildren("{*}license"), *permissions.iterchildren("{*}license_ref")]
    return joined(text_of(term) or href_of(term) for term in terms)


def stated_copyright(permissions: etree._Element) -> str:
    """The copyright statement, else who holds the copyright; empty where silent."""
    for name in ("copyright-statement", "copyright-holder"):
        if said := joined(map(text_of, permissions.iterchildren(f"{{*}}{name}"))):
            return said
    return ""


def joined(words: Iterable[str]) -> str:
    """What is said, once each."""
    return "; ".join(dict.fromkeys(filter(None, words)))
