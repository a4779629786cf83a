"""JATS XML as PubMed Central's cloud service gives it, from what an invented article holds."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

LICENSES = {
    "CC BY": ("ccbylicense", "https://creativecommons.org/licenses/by/4.0/"),
    "CC0": ("cc0license", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "CC BY-NC-ND": ("ccbyncndlicense", "https://creativecommons.org/licenses/by-nc-nd/4.0/"),
    "TDM": ("tdmlicense", ""),
}
DOCTYPES = {
    "plain": '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and '
    'Interchange DTD v1.4 20241031//EN" "JATS-archivearticle1-4.dtd">',
    "article_set": '<!DOCTYPE pmc-articleset PUBLIC "-//NLM//DTD ARTICLE SET 2.0//EN" '
    '"https://dtd.nlm.nih.gov/ncbi/pmc/articleset/nlm-articleset-2.0.dtd">',
}
NAMESPACE = "https://jats.nlm.nih.gov/ns/archiving/1.4/"


@dataclass(frozen=True)
class FigureElement:
    """A `<fig>` to be written."""

    element_id: str
    """Empty where the element has none."""
    label: str
    caption: tuple[str, ...]
    """Inline mark-up: a title and a paragraph, a paragraph alone, or nothing."""
    hrefs: tuple[tuple[str, ...], ...]
    """For each graphic its alternatives, most often one."""
    in_paragraph: bool = False
    permissions: str = ""


@dataclass(frozen=True)
class FigureGroup:
    """A `<fig-group>`: figures that share a caption."""

    caption: str
    figures: tuple[FigureElement, ...]


@dataclass(frozen=True)
class Section:
    """A section of the body; figures follow the paragraphs, sub-sections come last."""

    title: str
    paragraphs: tuple[str, ...]
    """Inline mark-up."""
    figures: tuple[FigureElement | FigureGroup, ...] = ()
    sections: tuple["Section", ...] = ()


@dataclass(frozen=True)
class Manuscript:
    """Everything that the XML of one article version says."""

    pmcid: str
    version: int
    pmid: int | None
    doi: str
    title: str
    """Inline mark-up."""
    journal: tuple[str, str, str]
    """Name, abbreviation, ISSN."""
    year: int
    authors: tuple[tuple[str, str], ...]
    """Surname and given names."""
    article_type: str
    license: str
    is_manuscript: bool
    is_open: bool
    abstract: str
    sections: tuple[Section, ...]
    sub_figures: tuple[FigureElement, ...] = ()
    form: str = "plain"
    """`plain`, `article_set` or `namespaced`."""


def article_xml(article: Manuscript) -> bytes:
    """The document in UTF-8, with declaration and DOCTYPE."""
    namespace = f' xmlns="{NAMESPACE}"' if article.form == "namespaced" else ""
    root = (
        f'<article{namespace} xmlns:xlink="http://www.w3.org/1999/xlink" '
        'xmlns:mml="http://www.w3.org/1998/Math/MathML" '
        'xmlns:ali="http://www.niso.org/schemas/ali/1.0/" '
        f'xml:lang="en" article-type="{article.article_type}" dtd-version="1.4">'
    )
    body = "".join(_section(section, f"sec{n}") for n, section in enumerate(article.sections, 1))
    parts = [root, _front(article), f"<body>{body}</body>", _back(), _sub_article(article)]
    text = "".join(parts) + "</article>"
    if article.form == "article_set":
        text = f"<pmc-articleset>{text}</pmc-articleset>"
    doctype = DOCTYPES.get(article.form, DOCTYPES["plain"])
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}\n{text}\n'.encode()


def article_text(xml: bytes) -> bytes:
    """The plain text that stands beside the XML: its words, white space folded."""
    body = xml.decode().split("<article", 2)[-1].partition(">")[2]
    words = html.unescape(re.sub(r"<[^>]+>", " ", body))
    return " ".join(words.split()).encode()


def _front(a: Manuscript) -> str:
    name, abbreviation, issn = a.journal
    ids = [
        ("pmcid", a.pmcid),
        ("pmcid-ver", f"{a.pmcid}.{a.version}"),
        ("pmcaid", a.pmcid[3:]),
        ("pmcaiid", a.pmcid[3:]),
        *([("pmid", str(a.pmid))] if a.pmid else []),
        ("doi", a.doi),
    ]
    article_ids = "".join(f'<article-id pub-id-type="{k}">{v}</article-id>' for k, v in ids)
    authors = "".join(
        f'<contrib contrib-type="author"><name name-style="western"><surname>{surname}</surname>'
        f"<given-names>{given}</given-names></name></contrib>"
        for surname, given in a.authors
    )
    return (
        "<front><journal-meta>"
        f'<journal-id journal-id-type="nlm-ta">{abbreviation}</journal-id>'
        f"<journal-title-group><journal-title>{name}</journal-title></journal-title-group>"
        f'<issn pub-type="epub">{issn}</issn>'
        "<publisher><publisher-name>Miniature Press</publisher-name></publisher></journal-meta>"
        f"<article-meta>{article_ids}"
        '<article-categories><subj-group subj-group-type="heading"><subject>Research Article'
        "</subject></subj-group></article-categories>"
        f"<title-group><article-title>{a.title}</article-title></title-group>"
        f"<contrib-group>{authors}</contrib-group>"
        f'<pub-date pub-type="epub"><day>18</day><month>11</month><year>{a.year}</year></pub-date>'
        f"<volume>{a.year - 1999}</volume><elocation-id>e{a.pmcid[-5:]}</elocation-id>"
        f"{_permissions(a)}<abstract><p>{a.abstract}</p></abstract>"
        f"{_flags(a)}</article-meta></front>"
    )


def _permissions(a: Manuscript) -> str:
    code, url = LICENSES[a.license]
    reference = (
        f'<ali:license_ref specific-use="textmining" content-type="{code}">{url}</ali:license_ref>'
    )
    link = f' (<ext-link ext-link-type="uri" xlink:href="{url}">{url}</ext-link>)' if url else ""
    return (
        f"<permissions><copyright-statement>© {a.year} The authors</copyright-statement>"
        f"<copyright-year>{a.year}</copyright-year><license>{reference}"
        f"<license-p>This article is distributed under the terms of its licence{link}."
        "</license-p></license></permissions>"
    )


def _flags(a: Manuscript) -> str:
    flags = {
        "pmc-status-live": True,
        "pmc-prop-open-access": a.is_open,
        "pmc-prop-manuscript": a.is_manuscript,
        "pmc-prop-is-scanned-article": False,
        "pmc-prop-preprint": False,
    }
    metas = "".join(
        f"<custom-meta><meta-name>{name}</meta-name><meta-value>{'yes' if value else 'no'}"
        "</meta-value></custom-meta>"
        for name, value in flags.items()
    )
    return f"<custom-meta-group>{metas}</custom-meta-group>"


def _section(section: Section, element_id: str) -> str:
    paragraphs = "".join(f"<p>{paragraph}</p>" for paragraph in section.paragraphs)
    figures = "".join(
        _group(item) if isinstance(item, FigureGroup) else figure_xml(item)
        for item in section.figures
    )
    inner = "".join(
        _section(child, f"{element_id}.{n}") for n, child in enumerate(section.sections, 1)
    )
    return (
        f'<sec id="{element_id}"><title>{section.title}</title>{paragraphs}{figures}{inner}</sec>'
    )


def figure_xml(figure: FigureElement) -> str:
    element_id = f' id="{figure.element_id}"' if figure.element_id else ""
    label = f"<label>{figure.label}</label>" if figure.label else ""
    graphics = "".join(_graphic(hrefs) for hrefs in figure.hrefs)
    if figure.in_paragraph:
        graphics = f"<p>{graphics}</p>"
    permissions = ""
    if figure.permissions:
        permissions = (
            f"<permissions><license><license-p>{figure.permissions}</license-p></license>"
            "</permissions>"
        )
    return (
        f'<fig{element_id} position="float" orientation="portrait">{label}'
        f"{_caption(figure.caption)}{graphics}{permissions}</fig>"
    )


def _caption(parts: Sequence[str]) -> str:
    match parts:
        case [title, paragraph]:
            return f"<caption><title>{title}</title><p>{paragraph}</p></caption>"
        case [paragraph]:
            return f"<caption><p>{paragraph}</p></caption>"
        case _:
            return ""


def _graphic(hrefs: tuple[str, ...]) -> str:
    tags = [
        f'<graphic xlink:href="{href}" position="float" orientation="portrait"/>' for href in hrefs
    ]
    return tags[0] if len(tags) == 1 else f"<alternatives>{''.join(tags)}</alternatives>"


def _group(group: FigureGroup) -> str:
    figures = "".join(figure_xml(figure) for figure in group.figures)
    caption = f"<caption><p>{group.caption}</p></caption>"
    return f'<fig-group position="float">{caption}{figures}</fig-group>'


def _back() -> str:
    return (
        '<back><ack><p>We thank the core facility.</p></ack><ref-list><ref id="R1"><label>1</label>'
        '<mixed-citation publication-type="journal">Author A. An earlier report. <italic>Miniature '
        "J</italic>. 2019;1:1–9.</mixed-citation></ref></ref-list></back>"
    )


def _sub_article(a: Manuscript) -> str:
    if not a.sub_figures:
        return ""
    figures = "".join(figure_xml(figure) for figure in a.sub_figures)
    return (
        '<sub-article article-type="author-comment" id="sa1"><front-stub><title-group>'
        "<article-title>Author response</article-title></title-group></front-stub>"
        f"<body><p>We thank the reviewers and add one figure.</p>{figures}</body></sub-article>"
    )
