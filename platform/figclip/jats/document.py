"""Bytes of an article's XML → its `<article>` element, safely and without losing entities.

The document type is cut off before the parser sees it, so no DTD is loaded, no external entity is
fetched and nothing expands; what the DTD would have supplied (`&alpha;`) is put in by hand.
"""

import html.entities
import re
from functools import lru_cache

from lxml import etree

from figclip.schema import Unusable

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
REFERENCE = re.compile(
    rb"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|&([A-Za-z_][\w.-]*);", re.DOTALL
)
PREDEFINED = {b"amp", b"lt", b"gt", b"quot", b"apos"}

DECLARATION = re.compile(rb"<\?xml\s[^>]{0,200}?\bencoding\s*=\s*[\"']([^\"']*)[\"']")
PLAIN_ENCODING = re.compile(
    rb"utf-?8|(us-)?ascii|iso[-_]?8859-?\d+|latin-?\d+|(windows|cp)-?125\d|koi8-[ru]|gb2312|gbk"
    rb"|gb18030|big5|shift_jis|euc-(jp|kr|cn|tw)",
    re.IGNORECASE,
)
"""Encodings in which ASCII bytes of mark-up mean mark-up, so that it can be counted and cut."""
OTHER_BEGINNINGS = (b"\0", b"<\0", b"\x4c\x6f\xa7\x94")
"""Of what has no byte order mark and is still not ASCII: UTF-16 and -32, EBCDIC."""

LARGEST_SUBSET = 100_000
"""Bytes of a document's own declarations; real ones have some hundred."""
LARGEST_DOCUMENT = 64 * 2**20
"""Bytes; a document of a few MiB is a rare one, made of huge tables."""
MOST_TAGS = 2_000_000
"""Signs that begin a tag or give an attribute its value: each costs the tree some hundred bytes,
however few it takes to write."""
MOST_REFERENCES = 1_000_000
"""Signs that may begin an entity, where entities must be put in by hand."""

PARSER = {
    "no_network": True,
    "load_dtd": False,
    "resolve_entities": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
    "collect_ids": False,
}

RESOURCE_LIMITS = ("XML_PARSE_HUGE", "amplification", "Excessive depth", "too long")
UNDEFINED_ENTITY = etree.ErrorTypes.ERR_UNDECLARED_ENTITY
UNDEFINED_PREFIX = etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE
PREFIX = re.compile(r"Namespace prefix ([\w.-]+) ")
ROOT_NAME = re.compile(PROLOG.pattern + rb"<[^\s/>]+", re.DOTALL)
MOST_PREFIXES = 10
"""Namespaces that a document may use without declaring them."""


class JatsError(Unusable):
    """An XML that gives no article; `reason` is a word to count by."""


def parse_document(xml: bytes) -> etree._Element:
    """The first `<article>` of the document, whatever its namespace or wrapper.

    `JatsError`: `unsafe_xml` (an entity bomb, an external entity, beyond the parser's limits),
    `huge_xml` (more than a process may hold), `malformed_xml`, or `no_article`.
    """
    xml = _as_ascii_compatible(xml)
    _refuse_huge(xml)
    prolog, body, entities = _without_doctype(xml)
    root = _parse(prolog, body, entities)
    article = next(root.iter("{*}article"), None)
    if article is None:
        raise JatsError("no_article", f"the root is <{etree.QName(root).localname[:100]}>")
    return article


def _as_ascii_compatible(xml: bytes) -> bytes:
    """UTF-16 as UTF-8; `malformed_xml` for an encoding that could hide mark-up."""
    if xml[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            text = xml.decode("utf-16")
        except UnicodeDecodeError as error:
            raise JatsError("malformed_xml", f"not the UTF-16 that it says: {error}") from error
        return re.sub(r"^\s*<\?xml.*?\?>", "", text, count=1, flags=re.DOTALL).encode()
    if xml.startswith(OTHER_BEGINNINGS):
        raise JatsError("malformed_xml", "neither ASCII mark-up nor UTF-16 with its mark")
    declared = DECLARATION.match(xml.removeprefix(b"\xef\xbb\xbf").lstrip())
    if declared and not PLAIN_ENCODING.fullmatch(declared[1]):
        name = declared[1][:50].decode("ascii", "replace")
        raise JatsError("malformed_xml", f"the encoding {name!r} is none that articles come in")
    return xml


def _refuse_huge(xml: bytes) -> None:
    if len(xml) > LARGEST_DOCUMENT:
        raise JatsError("huge_xml", f"{len(xml)} bytes")
    if len(xml) > MOST_TAGS and (tags := xml.count(b"<") + xml.count(b"=")) > MOST_TAGS:
        raise JatsError("huge_xml", f"{tags} tags and attributes")


def _without_doctype(xml: bytes) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    """What stands before the DOCTYPE, what after it, and the entities that it declares itself."""
    xml = xml.removeprefix(b"\xef\xbb\xbf")
    prolog = PROLOG.match(xml)
    start = prolog.end() if prolog else 0
    head, body = xml[:start], xml[start:]
    if not body.startswith(b"<!DOCTYPE"):
        return head, body, {}
    doctype = DOCTYPE.match(body)
    if doctype is None:
        raise JatsError("malformed_xml", "the DOCTYPE does not end")
    return head, body[doctype.end() :], _declared_entities(doctype["subset"] or b"")


def _with_characters(body: bytes, declared: dict[bytes, bytes]) -> bytes:
    """Named entities written as the characters that they mean."""
    if body.count(b"&") > MOST_REFERENCES:
        raise JatsError("huge_xml", f"{body.count(b'&')} references to entities")
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

    return REFERENCE.sub(characters, body)


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


def _parse(prolog: bytes, body: bytes, entities: dict[bytes, bytes] | None) -> etree._Element:
    """The root element. Most documents parse as they are; what one lacks is put in when the parser
    misses it: characters for entities, and namespaces for prefixes, whose meaning is in the name.
    """
    for _ in range(MOST_PREFIXES):
        parser = etree.XMLParser(**PARSER)
        try:
            return etree.fromstring(prolog + body, parser)
        except etree.XMLSyntaxError as error:
            faults = {fault.type for fault in parser.error_log}
            if UNDEFINED_ENTITY in faults and entities is not None:
                body, entities = _with_characters(body, entities), None
            elif faults == {UNDEFINED_PREFIX}:
                body = _with_prefixes(body, [fault.message for fault in parser.error_log])
            else:
                raise _objection(error) from error
        except ValueError as error:  # an unknown encoding
            raise JatsError("malformed_xml", str(error)) from error
    raise JatsError("malformed_xml", f"more than {MOST_PREFIXES} namespaces are not declared")


def _with_prefixes(body: bytes, messages: list[str]) -> bytes:
    """The document with these undeclared prefixes declared on its root."""
    prefixes = {found[1] for message in messages if (found := PREFIX.match(message))}
    declarations = "".join(f' xmlns:{prefix}="urn:undeclared:{prefix}"' for prefix in prefixes)
    return ROOT_NAME.sub(lambda name: name[0] + declarations.encode(), body, count=1)


def _objection(error: etree.XMLSyntaxError) -> JatsError:
    message = str(error.msg)
    unsafe = any(limit in message for limit in RESOURCE_LIMITS)
    return JatsError("unsafe_xml" if unsafe else "malformed_xml", message[:500])


@lru_cache(maxsize=4096)
def local(tag: object) -> str:
    """A tag without namespace; empty for that of a comment or a processing instruction."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def local_name(element: etree._Element) -> str:
    """The element's name without namespace; empty for comments and processing instructions."""
    return local(element.tag)
