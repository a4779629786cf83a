"""Documents that were written to hang a parser or to eat its memory, at a chosen scale.

As a program (`python hostile_xml.py SCALE`) it parses all of them, one after another, and prints
`{name: [what came of it, seconds]}` and its own peak of memory as JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HEAD = '<article xmlns:xlink="http://www.w3.org/1999/xlink"><front><article-meta>{}</article-meta>'
FIG = '<fig id="F1"><label>{}</label><caption><p>{}</p></caption><graphic xlink:href="a"/></fig>'
PICTURE = '<graphic href="a"/>'
BEGIN = r"\begin{document}"

MiB = 2**20


def article(body: str = "", *, meta: str = "", before: str = "") -> bytes:
    return f"{before}{HEAD.format(meta)}</front><body>{body}</body></article>".encode()


def nested(start: str, end: str, depth: int, inner: str = "") -> str:
    return start * depth + inner + end * depth


def documents(scale: float) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name → document; at scale 1 most are as large as 50 MB."""

    def times(text: str, num_bytes: float) -> str:
        return text * max(1, int(scale * num_bytes / len(text)))

    def laughs() -> bytes:
        levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
        return article("&l9;", before=f'<!DOCTYPE article [<!ENTITY l0 "ha">{levels}]>')

    def license(words: str) -> bytes:
        terms = f"<permissions><license><p>{words}</p></license></permissions>"
        return article(meta=terms)

    link, say = '<xref rid="F1">1</xref>', "<p>x</p>"
    yield "text", lambda: article(f"<p>{times('word ', 9 * MiB)}</p>" * 5 + FIG.format("1", "a"))
    yield "caption", lambda: article(FIG.format("1", times("wörd  \n", 9 * MiB)))
    yield (
        "wide text",
        lambda: article(
            FIG.format("1", f"<b>{times('ab ', 9 * MiB)}</b>" * 4 + "\U0001f600") + f"<p>{link}</p>"
        ),
    )
    yield "one text node", lambda: article(f"<p>{times('x', 50 * MiB)}</p>")
    yield "white space", lambda: article(FIG.format("1", times(" \n", 9 * MiB)))
    yield "letters in elements", lambda: article(FIG.format("1", times("<b>x</b>", 7 * MiB)))
    yield "tower", lambda: article(nested("<sec>", "</sec>", int(100_000 * scale) + 300))
    yield "unclosed tower", lambda: article("<sec>" * (int(5_000_000 * scale) + 300))
    yield (
        "paragraphs in paragraphs",
        lambda: article(
            nested(f"<p>{link}", "</p>", 200, f"<b>{times('word ', 9 * MiB)}</b>" * 4)
            + FIG.format("1", "a")
        ),
    )
    yield (
        "paragraphs of small elements",
        lambda: article(
            nested(f"<p>{link}", "</p>", 200, times("<b/>", 7 * MiB)) + FIG.format("1", "a")
        ),
    )
    yield (
        "formulas in paragraphs",
        lambda: article(
            nested(f"<p>{link}", "</p>", 120, f"<math>{times('<mi>x</mi>', 7 * MiB)}</math>")
            + FIG.format("1", "a")
        ),
    )
    yield (
        "labels in labels",
        lambda: article(
            nested("<fig><label>", "</label></fig>", 120, times("<b>word</b>", 7 * MiB))
        ),
    )
    yield (
        "boxes in captions",
        lambda: article(
            nested(
                '<boxed-text><graphic xlink:href="a"/><caption>',
                "</caption></boxed-text>",
                120,
                times("<b>word</b>", 7 * MiB),
            )
        ),
    )
    yield (
        "groups in groups",
        lambda: article(
            nested(
                f'<fig-group id="G"><caption>{times("w ", 200_000)}</caption>',
                "</fig-group>",
                200,
                times("<fig/>", 200_000),
            )
        ),
    )
    yield (
        "titles in sections",
        lambda: article(nested(f"<sec><title>{times('w ', 200_000)}</title><fig/>", "</sec>", 240)),
    )
    yield "many figures", lambda: article(times("<fig/>", 50 * MiB))
    yield "many figures, not too many", lambda: article(times("<fig/>", 290_000))
    yield "many tables", lambda: article(times("<table-wrap/>", 20 * MiB))
    yield (
        "one id, many figures and links",
        lambda: article(times('<fig id="F1"/>', 300_000) + f"<p>{times(link, 6 * MiB)}</p>"),
    )
    yield (
        "one group, many figures and links",
        lambda: article(
            f'<fig-group id="F1">{times("<fig/>", 200_000)}</fig-group>' + times(link, 6 * MiB)
        ),
    )
    yield (
        "many paragraphs that link",
        lambda: article(FIG.format("1", "a") + times(f"<p>a {link}</p>", 9 * MiB)),
    )
    yield (
        "a long rid",
        lambda: article(FIG.format("1", "a") + f'<p><xref rid="{times("F1 F2 ", 9 * MiB)}"/></p>'),
    )
    yield "many responses", lambda: article(times("<response><fig/></response>", 1_000_000))
    yield (
        "responses in responses",
        lambda: article(nested("<response><fig/>", "</response>", 240, times("<fig/>", 200_000))),
    )
    yield (
        "many attributes",
        lambda: article("<p " + " ".join(f'a{n}=""' for n in range(int(900_000 * scale))) + "/>"),
    )
    yield (
        "more attributes",
        lambda: article("<p " + " ".join(f'a{n}=""' for n in range(int(3_000_000 * scale))) + "/>"),
    )
    yield "a long attribute", lambda: article(f'<fig id="{times("x", 9 * MiB)}"/><fig/>')
    yield "a longer attribute", lambda: article(f'<fig id="{times("x", 40 * MiB)}"/>')
    yield "a long name", lambda: article(f"<{times('x', 20 * MiB)}/>")
    yield "many names", lambda: article("".join(f"<a{n}/>" for n in range(int(500_000 * scale))))
    yield "empty elements", lambda: article(times("<a/>", 50 * MiB))
    yield "just few enough elements", lambda: article(times("<a/>", 7.9e6))
    yield (
        "many graphics far inside",
        lambda: article(f"<fig>{nested('<p>', '</p>', 200, times(PICTURE, 18 * MiB))}</fig>"),
    )
    yield (
        "many alternatives",
        lambda: article(f"<fig><alternatives>{times(PICTURE, 18 * MiB)}</alternatives></fig>"),
    )
    yield (
        "many descriptions",
        lambda: article(f"<fig>{times('<alt-text>a</alt-text>', 20e6)}</fig>"),
    )
    yield "billion laughs", laughs
    yield (
        "quadratic bomb",
        lambda: article(
            times("&a;", 150_000), before=f'<!DOCTYPE article [<!ENTITY a "{"x" * 50_000}">]>'
        ),
    )
    yield (
        "parameter bomb",
        lambda: article(before='<!DOCTYPE article [<!ENTITY % a "x"><!ENTITY % b "%a;%a;"> %b; ]>'),
    )
    yield "unknown entities", lambda: article(times("&nosuch;", 7 * MiB))
    yield "more unknown entities", lambda: article(times("&x;", 50 * MiB))
    yield "unknown prefixes", lambda: article("".join(f"<x{n}:a/>" for n in range(1000)))
    yield "an unknown prefix, often", lambda: article(times("<x:a/>", 9 * MiB))
    yield "comments", lambda: article(times("<!-- x -->", 15 * MiB))
    yield "one comment", lambda: article(f"<!--{times('x', 50 * MiB)}-->")
    yield "instructions", lambda: article(times("<?x y?>", 10 * MiB))
    yield "a literal section", lambda: article(f"<p><![CDATA[{times('<&', 9 * MiB)}]]></p>")
    yield "UTF-16", lambda: article(times("word", 25 * MiB)).decode().encode("utf-16")
    yield "UTF-32", lambda: article(times("word", 9 * MiB)).decode().encode("utf-32")
    for encoding in ("utf-7", "cp037", "utf-16", "punycode", "no-such-code", "utf-8"):
        declared = f'<?xml version="1.0" encoding="{encoding}"?>'
        yield f"said to be {encoding}", lambda said=declared: article(FIG, before=said)
    yield "cp037", lambda: article(FIG, before="<?xml version='1.0'?>").decode().encode("cp037")
    yield "null bytes", lambda: article(times("\0", 9 * MiB))
    yield "nothing but brackets", lambda: (times("<", 50 * MiB)).encode()
    yield "nothing but open tags", lambda: (times("<a ", 50 * MiB)).encode()
    fraction = nested("<mfrac>", "<mi>b</mi></mfrac>", 200, f"<mi>{times('x', 9 * MiB)}</mi>")
    yield "fractions", lambda: article(FIG.format("1", f"<math>{fraction}</math>"))
    powers = nested("<msup>", "<mi>b</mi></msup>", 120, f"<mi>{times('(', 1 * MiB)}</mi>")
    yield "powers", lambda: article(FIG.format("1", f"<math>{powers}</math>"))
    fences = f"<mfenced separators='{times(',', 1e6)}'>{times('<mi/>', 7e6)}</mfenced>"
    yield "fences", lambda: article(FIG.format("1", f"<math>{fences}</math>"))
    yield "TeX", lambda: article(FIG.format("1", f"<tex-math>{times(BEGIN, 9 * MiB)}</tex-math>"))
    for n, words in enumerate(
        ("CC-", "Creative Commons -", "CC \u00a0", "http://creativecommons.")
    ):
        yield f"licence {n}", lambda words=words: license(times(words, 9 * MiB))
        yield f"long licence {n}", lambda words=words: license(words + times(words[-1], 9 * MiB))
    yield (
        "many permissions",
        lambda: article(
            meta=times("<permissions><license href='x'>a</license></permissions>", 20e6)
        ),
    )
    for name in ("pmid", "pmcid", "pmc", "pmcid-ver", "doi"):
        number = f"<article-id pub-id-type='{name}'>PMC1{{}}</article-id>".replace(
            "PMC", "" if name in ("pmid", "pmc") else "PMC"
        )
        yield f"long {name}", lambda number=number: article(meta=number.format(times("9", 9 * MiB)))
    yield (
        "an old front, long and silent",
        lambda: article(
            say, meta="<article-id pub-id-type='pmc'>1</article-id>" + times("<aff>a</aff>", 12e6)
        ),
    )
    yield (
        "a long date",
        lambda: article(
            meta=f"<pub-date><year>{times('2010 ', 9 * MiB)}</year></pub-date>"
            f"<pub-date>{times('May 2010 ', 9 * MiB)}</pub-date>"
        ),
    )
    yield "many dates", lambda: article(meta=times("<pub-date><year>2010</year></pub-date>", 15e6))


def outcome(xml: bytes) -> str:
    from figclip.jats.article import JatsError, parse_article

    try:
        parse_article(xml)
    except JatsError as error:
        return error.reason
    return "article"


def peak_bytes() -> int:
    """Most memory that this process has had. `getrusage` would count its parent's at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(scale: float) -> None:
    gigabytes = 4 * 2**30  # of addresses: guards the machine; what is used is measured
    resource.setrlimit(resource.RLIMIT_AS, (gigabytes, gigabytes))
    found = {}
    for name, document in documents(scale):
        xml = document()
        start = time.process_time()
        found[name] = [outcome(xml), time.process_time() - start]
        del xml
        peak = peak_bytes()
        found[name].append(peak)
    print(json.dumps(found))


if __name__ == "__main__":
    main(float(sys.argv[1]))
