"""Who an article is: ids, title, journal, date, type, licence.

What our reading does not find in an old package (`<article-id pub-id-type="pmc">`, bare digits) is
asked of pubmed_parser, which knows that form. It takes as long as all of ours together, sets words
apart that are written together, and raises without a print date: so it is the second to be asked.
"""

import io
import logging
import re
from dataclasses import dataclass, replace

import pubmed_parser
from lxml import etree

from figclip.jats.dates import YEAR, earliest_date
from figclip.jats.licenses import article_license
from figclip.jats.text import FLOATS, text_of

log = logging.getLogger(__name__)

PMID = re.compile(r"0*([1-9][0-9]{0,11})")
VERSION = re.compile(r"[1-9][0-9]{0,8}")
"""Bounded, for a damaged file may state a number of any length."""
LARGEST_FRONT = 1_000_000
"""Bytes of front matter to hand to pubmed_parser; real ones have some ten thousand."""


@dataclass(frozen=True)
class ArticleMetadata:
    """What an article's `<front>` says of it; empty or `None` where it is silent."""

    pmcid: str
    version: int
    pmid: int | None
    doi: str | None
    title: str
    journal: str
    date: str
    article_type: str
    license: str


def article_metadata(article: etree._Element) -> ArticleMetadata:
    """The metadata of an `<article>` in either form."""
    front = article.find("{*}front")
    front = article if front is None else front
    own = _own_reading(article, front)
    if not (own.title and own.journal and own.date) and _is_legacy(front):
        return _completed(own, _pubmed_parser_reading(front))
    return own


def _own_reading(article: etree._Element, front: etree._Element) -> ArticleMetadata:
    meta = front.find("{*}article-meta")
    if meta is None:
        meta = etree.Element("article-meta")
    ids = _ids(meta)
    journals = front.findall("{*}journal-meta//{*}journal-title")
    return ArticleMetadata(
        pmcid=_pmcid(ids),
        version=_version(ids, meta),
        pmid=_pmid(ids.get("pmid", "")),
        doi=ids.get("doi") or None,
        title=_title(meta),
        journal=text_of(journals[0]) if journals else "",
        date=earliest_date(meta),
        article_type=article.get("article-type", ""),
        license=article_license(meta),
    )


def _ids(meta: etree._Element) -> dict[str, str]:
    """Type → the first id of that type."""
    ids: dict[str, str] = {}
    for element in meta.iterchildren("{*}article-id"):
        ids.setdefault(element.get("pub-id-type", ""), text_of(element))
    return ids


def _is_legacy(front: etree._Element) -> bool:
    meta = front.find("{*}article-meta")
    return meta is not None and _ids(meta).get("pmc", "").isdigit()


def _pmcid(ids: dict[str, str]) -> str:
    for name in ("pmcid", "pmc", "pmcid-ver", "pmcaid"):
        if found := re.match(r"(?:PMC)?([0-9]+)", ids.get(name, ""), re.IGNORECASE):
            return f"PMC{found[1]}"
    return ""


def _version(ids: dict[str, str], meta: etree._Element) -> int:
    """1 where none is stated, as in all old packages."""
    stated = [ids.get("pmcid-ver", "").partition(".")[2]] + [
        text_of(element)
        for element in meta.iterchildren("{*}article-version")
        if element.get("article-version-type") == "pmc-version"
    ]
    return next((int(words) for words in stated if VERSION.fullmatch(words)), 1)


def _pmid(text: str) -> int | None:
    found = PMID.fullmatch(text)
    return int(found[1]) if found else None


def _title(meta: etree._Element) -> str:
    """Title and subtitle; footnotes and links to them are no part of it."""
    group = meta.find("{*}title-group")
    if group is None:
        return ""
    parts = [group.find("{*}article-title"), *group.findall("{*}subtitle")]
    return " ".join(filter(None, (text_of(part, leave_out=FLOATS | {"fn"}) for part in parts)))


def _pubmed_parser_reading(front: etree._Element) -> dict[str, object]:
    """pubmed_parser's reading of the front matter; empty where it raises.

    It is handed the front alone, parsed by our safe parser and written out anew: no DTD, no
    entity, and none of the titles and dates of sub-articles that it would add to the article's.
    """
    page = etree.Element("article")
    written = etree.tostring(front, with_tail=False)
    if len(written) > LARGEST_FRONT:
        return {}
    page.append(etree.fromstring(written))
    try:
        return pubmed_parser.parse_pubmed_xml(io.BytesIO(etree.tostring(page)), nxml=True)
    except Exception as error:  # KeyError without a print date, AttributeError on an empty element
        log.debug("pubmed_parser raises %r", error)
        return {}


def _completed(own: ArticleMetadata, theirs: dict[str, object]) -> ArticleMetadata:
    """Our reading, and pubmed_parser's where ours is silent."""

    def said(key: str) -> str:
        return " ".join(str(theirs.get(key) or "").split())

    year = YEAR.fullmatch(said("publication_year"))
    return replace(
        own,
        pmid=own.pmid or _pmid(said("pmid")),
        doi=own.doi or said("doi") or None,
        journal=own.journal or said("journal"),
        title=own.title or said("full_title"),
        date=own.date or (year[0] if year else ""),
    )
