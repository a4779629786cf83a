"""Words about rights → a licence code such as `CC BY-NC`."""

import re
from collections.abc import Iterable

from lxml import etree

from figclip.corpus.document import local_name
from figclip.corpus.text import fold, text_of

ADDRESS = re.compile(r"creativecommons\.org/(licen[cs]es|publicdomain)/([a-z]+(?:-[a-z]+)*)", re.I)
CODE = re.compile(r"\bCC[\s-]*(0|BY(?:[\s-]+(?:NC|ND|SA)\b)*)", re.I)
CONTENT_TYPE = re.compile(r"(cc0|ccby(?:nc)?(?:nd|sa)?)license", re.I)
NAME = re.compile(
    r"(?:Creative\s+Commons|CC)[\s:,-]+(?:\w+\s+)?Attribution"
    r"((?:[\s,–-]+(?:Non[\s-]?Commercial|No[\s-]?Deriv\w*|Share[\s-]?Alike))*)",
    re.I,
)
PUBLIC_DOMAIN = re.compile(r"CC0|Creative\s+Commons\s+(?:Public\s+Domain|Zero)", re.I)


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
    return next((code for words in _statements(article_meta) if (code := license_code(words))), "")


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
    for name, value in element.attrib.items():
        if name.rpartition("}")[2].rpartition(":")[2] == "href":
            return value.strip()
    return ""


def stated_rights(holder: etree._Element) -> str:
    """What a figure says of its own rights: licence, copyright, source; empty where silent."""
    words: list[str] = []
    for permissions in holder.iterchildren("{*}permissions"):
        terms = list(permissions.iterchildren("{*}license")) + list(
            permissions.iter("{*}license_ref")
        )
        if terms:
            code = next((c for w in permission_words(permissions) if (c := license_code(w))), "")
            words.append(code or " ".join(text_of(term) or href_of(term) for term in terms))
        for name in ("copyright-statement", "copyright-holder"):
            said = [text_of(element) for element in permissions.iterchildren(f"{{*}}{name}")]
            if any(said):
                words += said
                break
    words += [text_of(attrib) for attrib in holder.iterchildren("{*}attrib")]
    return "; ".join(dict.fromkeys(filter(None, words)))
