"""Bytes of an article's XML → its `<article>` element, safely and without losing entities.

The document type is cut off before the parser sees it, so no DTD is loaded, no external entity is
fetched and nothing expands; what the DTD would have supplied (`&alpha;`) is put in by hand.
"""

import html.entities
import re
from functools import lru_cache

from lxml import etree

PROLOG = re.compile(rb"(?:\s+|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL)
DOCTYPE = re.compile(
    rb"""<!DOCTYPE (?: "[^"]*" | '[^']*' | [^"'\[>] )*+
    (?: \[ (?P<subset> (?: <!--.*?--> | <\?.*?\?> | "[^"]*" | '[^']*'
        | [^"'\]<] | <(?!!--|\?) )*+ ) \] \s* )?
    >""",
    re.DOTALL | re.VERBOSE,
)
COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
ENTITY_DECLARATION = re.compile(
    rb"""<!ENTITY \s+ (?P<parameter>%\s+)? (?P<name>[^\s%]+) \s+
    (?: (?P<external>SYSTEM|PUBLIC)\b (?P<location>[^>]*)
      | "(?P<double>[^"]*)" | '(?P<single>[^']*)' )""",
    re.VERBOSE,
)
REFERENCE = re.compile(rb"<!\[CDATA\[.*?(?:\]\]>|\Z)|&([A-Za-z_][\w.-]*);", re.DOTALL)
PREDEFINED = {b"amp", b"lt", b"gt", b"quot", b"apos"}

LARGEST_SUBSET = 100_000
"""Bytes of a document's own declarations; real ones have some hundred."""

PARSER = {"no_network": True, "load_dtd": False, "resolve_entities": False, "huge_tree": False}

RESOURCE_LIMITS = ("XML_PARSE_HUGE", "amplification")
UNDEFINED_PREFIX = etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE


class JatsError(Exception):
    """An XML that gives no article; `reason` is a word to count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def parse_document(xml: bytes) -> etree._Element:
    """The first `<article>` of the document, whatever its namespace or wrapper.

    `JatsError`: `unsafe_xml` (an entity bomb, an external entity, beyond the parser's limits),
    `malformed_xml`, or `no_article`.
    """
    root = _parse(_without_doctype(_as_ascii_compatible(xml)))
    article = next(root.iter("{*}article"), None)
    if article is None:
        raise JatsError("no_article", f"the root is <{etree.QName(root).localname}>")
    return article


def _as_ascii_compatible(xml: bytes) -> bytes:
    """UTF-16 as UTF-8; every other encoding that the parser knows writes mark-up in ASCII."""
    if xml[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return xml
    try:
        text = xml.decode("utf-16")
    except UnicodeDecodeError as error:
        raise JatsError("malformed_xml", f"not the UTF-16 that it claims to be: {error}") from error
    return re.sub(r"^\s*<\?xml.*?\?>", "", text, flags=re.DOTALL).encode()


def _without_doctype(xml: bytes) -> bytes:
    """The document without its DOCTYPE, named entities written as characters."""
    xml = xml.removeprefix(b"\xef\xbb\xbf")
    prolog = PROLOG.match(xml)
    start = prolog.end() if prolog else 0
    declared: dict[bytes, bytes] = {}
    body = xml[start:]
    if body.startswith(b"<!DOCTYPE"):
        doctype = DOCTYPE.match(body)
        if doctype is None:
            raise JatsError("malformed_xml", "the DOCTYPE does not end")
        body = body[doctype.end() :]
        declared = _declared_entities(doctype["subset"] or b"")
        grown = sum(len(declared.get(found[1], b"")) for found in REFERENCE.finditer(body))
        if grown > len(body):
            raise JatsError("unsafe_xml", f"entities would blow {len(body)} bytes up to {grown}")

    def characters(reference: re.Match[bytes]) -> bytes:
        name = reference[1]
        if name is None or name in PREDEFINED:
            return reference[0]
        if name in declared:
            return declared[name]
        known = html.entities.html5.get(f"{name.decode('ascii', 'replace')};")
        if known is None:  # stays visible, as its own name
            return b"&amp;" + name + b";"
        return "".join(f"&#{ord(character)};" for character in known).encode()

    return xml[:start] + REFERENCE.sub(characters, body)


def _declared_entities(subset: bytes) -> dict[bytes, bytes]:
    """Plain abbreviations of the internal subset; `unsafe_xml` for all that could reach further."""
    if len(subset) > LARGEST_SUBSET:
        raise JatsError("unsafe_xml", f"the document type declares {len(subset)} bytes")
    declared: dict[bytes, bytes] = {}
    for found in ENTITY_DECLARATION.finditer(COMMENT.sub(b"", subset)):
        name = found["name"].decode("utf-8", "replace")
        if found["external"]:
            if found["parameter"] or re.search(rb"\sNDATA\s", found["location"]):
                continue  # part of a DTD, or the name of a picture: neither is ever read
            raise JatsError("unsafe_xml", f"entity {name!r} reads another file")
        value = found["double"] if found["double"] is not None else found["single"]
        if any(inner[1] not in PREDEFINED for inner in REFERENCE.finditer(value)):
            raise JatsError("unsafe_xml", f"entity {name!r} is built of other entities")
        if not found["parameter"]:
            declared.setdefault(found["name"], value)
    return declared


def _parse(xml: bytes) -> etree._Element:
    parser = etree.XMLParser(**PARSER)
    try:
        return etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        if parser.error_log and all(fault.type == UNDEFINED_PREFIX for fault in parser.error_log):
            # `xlink:href` without its declaration means what it always means.
            return etree.fromstring(xml, etree.XMLParser(**PARSER, recover=True))
        message = str(error.msg)
        unsafe = any(limit in message for limit in RESOURCE_LIMITS)
        raise JatsError("unsafe_xml" if unsafe else "malformed_xml", message) from error
    except ValueError as error:  # an unknown encoding
        raise JatsError("malformed_xml", str(error)) from error


@lru_cache(maxsize=4096)
def _local(tag: str) -> str:
    return tag.rpartition("}")[2].rpartition(":")[2]


def local_name(element: etree._Element) -> str:
    """The element's name without namespace; empty for comments and processing instructions."""
    tag = element.tag
    return _local(tag) if isinstance(tag, str) else ""
