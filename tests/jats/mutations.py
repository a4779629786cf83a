"""Damage to an article's XML, as a function of a source of chance: bytes → bytes."""

import re
from collections.abc import Callable
from random import Random

Mutation = Callable[[bytes, Random], bytes]

TAG = re.compile(rb"<(/?)([A-Za-z][\w:.-]*)([^<>]*?)(/?)>")
ATTRIBUTES = re.compile(rb"<[A-Za-z][\w:.-]*(\s[^<>]*?)/?>")
NAMES = (
    b"fig fig-group caption label graphic alternatives p sec title xref sub-article response table "
    b"table-wrap boxed-text chem-struct-wrap permissions license attrib alt-text math mfrac msup "
    b"mfenced tex-math inline-formula front article-meta article-id pub-date year month day body "
    b"article custom-meta list break x:y"
).split()
ENCODINGS = (b"utf-16", b"utf-7", b"iso-8859-1", b"ascii", b"shift_jis", b"utf-32", b"x", b"cp037")
_STRANGE = (
    "\0 \ufffe \ud800 \x0b \x85 \xa0 \u2028 \u202e \U0001f600 &#0; &#xD800; &#x110000; &#x1F600; "
    "&nosuch; &alpha; &; & ]]> <!-- --> <? <![CDATA[ < > \" ' {} \\ % é 9 9999999999 -1"
)
STRANGE = _STRANGE.split(" ")


def place(xml: bytes, rng: Random) -> int:
    return rng.randrange(len(xml) + 1)


def element(xml: bytes, rng: Random) -> tuple[int, int]:
    """Where a random element begins and ends: at the next end tag of its name."""
    found = TAG.search(xml, place(xml, rng)) or TAG.search(xml)
    if found is None:
        return 0, len(xml)
    if found[1] or found[4]:
        return found.span()
    end = xml.find(b"</" + found[2] + b">", found.end())
    return found.start(), found.end() if end < 0 else end + len(found[2]) + 3


def flip_bytes(xml: bytes, rng: Random) -> bytes:
    damaged = bytearray(xml)
    for _ in range(rng.randint(1, 10)):
        if damaged:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def truncate(xml: bytes, rng: Random) -> bytes:
    return xml[: place(xml, rng)]


def cut_out(xml: bytes, rng: Random) -> bytes:
    start = place(xml, rng)
    return xml[:start] + xml[start + rng.randint(1, 1000) :]


def duplicate(xml: bytes, rng: Random) -> bytes:
    start, end = element(xml, rng)
    return xml[:end] + xml[start:end] * rng.randint(1, 5) + xml[end:]


def remove(xml: bytes, rng: Random) -> bytes:
    start, end = element(xml, rng)
    return xml[:start] + xml[end:]


def move(xml: bytes, rng: Random) -> bytes:
    start, end = element(xml, rng)
    rest = xml[:start] + xml[end:]
    other, _ = element(rest, rng)
    return rest[:other] + xml[start:end] + rest[other:]


def nest(xml: bytes, rng: Random) -> bytes:
    """Wrap an element in others, sometimes many."""
    start, end = element(xml, rng)
    name, depth = rng.choice(NAMES), rng.choice((1, 1, 2, 10, 100, 300))
    inner = xml[start:end]
    return xml[:start] + b"<%s>" % name * depth + inner + b"</%s>" % name * depth + xml[end:]


def rename(xml: bytes, rng: Random) -> bytes:
    """Another name for an element's start and end, or for all of its name."""
    start, end = element(xml, rng)
    found = TAG.match(xml, start)
    if found is None:
        return xml
    old, new = found[2], rng.choice(NAMES)

    def renamed(part: bytes) -> bytes:
        return re.sub(rb"(</?)" + re.escape(old) + rb"(?=[\s/>])", rb"\1" + new, part)

    if rng.random() < 0.3:
        return renamed(xml)
    return xml[:start] + renamed(xml[start:end]) + xml[end:]


def drop_attributes(xml: bytes, rng: Random) -> bytes:
    found = ATTRIBUTES.search(xml, place(xml, rng))
    return xml[: found.start(1)] + xml[found.end(1) :] if found else xml


def add_attribute(xml: bytes, rng: Random) -> bytes:
    found = TAG.search(xml, place(xml, rng))
    if found is None or found[1]:
        return xml
    name = rng.choice((b"id", b"rid", b"xlink:href", b"href", b"article-type", b"pub-id-type"))
    value = rng.choice((b"", b"F1", b"F1 F2", b" ", b"x" * 100_000, b"&alpha;", b"../../etc/x"))
    return xml[: found.end(2)] + b' %s="%s"' % (name, value) + xml[found.end(2) :]


def insert_strange(xml: bytes, rng: Random) -> bytes:
    start = place(xml, rng)
    return xml[:start] + rng.choice(STRANGE).encode("utf-8", "surrogatepass") + xml[start:]


def insert_markup(xml: bytes, rng: Random) -> bytes:
    """A comment, an instruction or a literal section between elements or within words."""
    found = TAG.search(xml, place(xml, rng))
    start = found.end() if found else 0
    what = rng.choice((b"<!-- x -->", b"<?x y?>", b"<![CDATA[<p>&x;]]>", b"<!--", b"<![CDATA["))
    return xml[:start] + what + xml[start:]


def declare_encoding(xml: bytes, rng: Random) -> bytes:
    body = re.sub(rb"^\s*<\?xml[^>]*\?>", b"", xml)
    return b'<?xml version="1.0" encoding="%s"?>' % rng.choice(ENCODINGS) + body


def write_anew(xml: bytes, rng: Random) -> bytes:
    """Other bytes for the same letters."""
    encoding = rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "iso-8859-1", "cp037"))
    return xml.decode("utf-8", "replace").encode(encoding, "replace")


def rename_namespaces(xml: bytes, rng: Random) -> bytes:
    old, new = rng.choice(
        (
            (b"xmlns:", b"xmlnt:"),
            (b"xlink:", b"xl:"),
            (b"mml:", b""),
            (b"w3.org", b"example.org"),
            (b"<article ", b'<article xmlns="https://jats.nlm.nih.gov/ns/archiving/1.4/" '),
        )
    )
    return xml.replace(old, new)


def put_doctype(xml: bytes, rng: Random) -> bytes:
    subset = rng.choice(
        (
            b'<!ENTITY alpha "x">',
            b'<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">',
            b'<!ENTITY a SYSTEM "file:///etc/hostname">',
            b'<!ENTITY % a SYSTEM "http://x.test/"> %a;',
            b'<!ATTLIST fig id ID "F1">',
            b"<!ELEMENT",
            b"<!-- ",
            b'"',
        )
    )
    body = re.sub(rb"<!DOCTYPE[^>]*>", b"", xml)
    start = body.find(b"<article")
    return body[: max(start, 0)] + b"<!DOCTYPE article [%s]>" % subset + body[max(start, 0) :]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bytes,
    truncate,
    cut_out,
    duplicate,
    remove,
    move,
    nest,
    rename,
    drop_attributes,
    add_attribute,
    insert_strange,
    insert_markup,
    declare_encoding,
    write_anew,
    rename_namespaces,
    put_doctype,
)
