"""One invented article in all its versions: text, figures, media files, metadata, truth."""

import random
from dataclasses import asdict, dataclass, replace
from typing import Any

from figclip.sources.synthetic.articles import (
    FigureElement,
    FigureGroup,
    Manuscript,
    Section,
    article_text,
    article_xml,
)
from figclip.sources.synthetic.figures import (
    draw_figure,
    encode,
    panels_of,
)
from figclip.sources.synthetic.oddities import WHY_NOT_ELIGIBLE, oddity_of
from figclip.sources.synthetic.placements import DOI_PREFIX, InventedFigure, place_figures
from figclip.sources.synthetic.words import (
    JOURNALS,
    invent_abstract,
    invent_authors,
    invent_discussion,
    invent_methods,
    invent_title,
    mention,
)

FIRST_ID = 98_000_001  # far above the numbers that PubMed Central gives


@dataclass(frozen=True)
class Version:
    """One version of an article, ready to be written to a bucket."""

    version_id: str
    metadata: dict[str, Any]
    """The metadata JSON but for its URLs."""
    xml: bytes
    text: bytes
    media: dict[str, bytes]
    truth: list[dict[str, Any]]
    """One line a figure."""
    summary: dict[str, Any]


def invent_article(seed: int, index: int) -> list[Version]:
    """The versions of article `index`; a pure function of its two arguments."""
    rng = random.Random(f"{seed}/{index}")
    oddity = oddity_of(index)
    figures = place_figures(rng, FIRST_ID + index, oddity)
    article = _invent_manuscript(rng, index, oddity, figures)
    match oddity:
        case "two_versions":
            drafts = [article, replace(article, version=2, title=f"{article.title} (revised)")]
        case "manuscript_beside":
            drafts = [article, replace(article, version=2, is_manuscript=True)]
        case "second_version_only":
            drafts = [replace(article, version=2)]
        case _:
            drafts = [article]
    chosen = max(drafts, key=lambda draft: (not draft.is_manuscript, draft.version))
    return [_version(draft, figures, oddity, is_chosen=draft is chosen) for draft in drafts]


def _invent_manuscript(
    rng: random.Random, index: int, oddity: str, figures: list[InventedFigure]
) -> Manuscript:
    licenses = {"license_nc_nd": "CC BY-NC-ND", "license_tdm": "TDM"}
    main = [figure for figure in figures if not figure.owner]
    return Manuscript(
        pmcid=f"PMC{FIRST_ID + index}",
        version=1,
        pmid=None if oddity == "no_pmid" else FIRST_ID + index,
        doi=f"{DOI_PREFIX}/mini.{FIRST_ID + index}",
        title=invent_title(rng, [figure.plan for figure in figures]),
        journal=rng.choice(JOURNALS),
        year=rng.randint(2008, 2026),
        authors=invent_authors(rng),
        article_type="correction" if oddity == "correction" else _article_type(rng),
        license=licenses.get(oddity, "CC0" if rng.random() < 0.1 else "CC BY"),
        is_manuscript=oddity == "license_tdm",
        is_open=oddity not in ("not_open_access", "license_tdm"),
        abstract=invent_abstract(rng),
        sections=_sections(rng, main, is_grouped=oddity == "fig_group"),
        sub_figures=tuple(figure.element for figure in figures if figure.owner),
        form=oddity if oddity in ("article_set", "namespaced") else "plain",
    )


def _article_type(rng: random.Random) -> str:
    return rng.choices(("research-article", "case-report", "review-article"), (80, 14, 6))[0]


def _sections(
    rng: random.Random, figures: list[InventedFigure], *, is_grouped: bool
) -> tuple[Section, ...]:
    results = []
    for k, figure in enumerate(figures):
        other = rng.choice(figures)
        paragraphs = [mention(rng, figure.element, figure.plan, other.element, other.plan)]
        if rng.random() < 0.4:
            paragraphs.append(mention(rng, figure.element, figure.plan, None, None))
        held: tuple[FigureElement | FigureGroup, ...] = (figure.element,)
        if is_grouped and k == 0:
            words = "Figures that were made from the same samples on the same day."
            held = (FigureGroup(words, (figure.element, figures[1].element)),)
        elif is_grouped and k == 1:
            held = ()
        heading = f"{figure.plan.scenes[0].kind.name.capitalize()} findings"
        results.append(Section(heading, tuple(paragraphs), held))
    first = figures[0].element
    discussion = invent_discussion(rng, first.label.strip("."), bool(figures[0].plan.labels))
    return (
        Section("Introduction", (invent_abstract(rng),)),
        Section("Materials and Methods", invent_methods(rng, figures[0].plan)),
        Section("Results", (), (), tuple(results)),
        Section("Discussion", (discussion,)),
    )


def _version(
    article: Manuscript, figures: list[InventedFigure], oddity: str, *, is_chosen: bool
) -> Version:
    version_id = f"{article.pmcid}.{article.version}"
    xml = article_xml(article)
    media: dict[str, bytes] = {}
    truth = []
    for n, figure in enumerate(figures, 1):
        held = {} if article.license == "TDM" or figure.is_missing else _draw_media(figure)
        media |= held
        truth.append(_truth(version_id, n, figure, oddity, bool(held), xml))
    if media and article.pmcid.endswith("5"):
        media["supplement.s001.csv"] = b"group,value\ncontrol,1.0\ntreated,1.7\n"
    why_not = WHY_NOT_ELIGIBLE.get(oddity, "" if is_chosen else "another version")
    return Version(
        version_id=version_id,
        metadata=_metadata(article, oddity),
        xml=xml,
        text=article_text(xml),
        media=media,
        truth=truth,
        summary={
            "version": version_id,
            "license": article.license,
            "is_eligible": not why_not,
            "why_not": why_not,
            "oddity": oddity,
            "num_figs": len(truth),
            "num_figs_with_caption": sum(bool(line["caption"]) for line in truth),
            "num_graphics_resolved": sum(len(line["graphics"]) for line in truth),
            "num_pairs": sum(line["num_pairs"] for line in truth),
        },
    )


def _draw_media(figure: InventedFigure) -> dict[str, bytes]:
    drawn = {}
    for media in figure.media:
        plan = replace(figure.plan, pixel_seed=figure.plan.pixel_seed + media.variant)
        drawn[media.name] = encode(draw_figure(plan), media.form)
    return drawn


def _metadata(article: Manuscript, oddity: str) -> dict[str, Any]:
    return {
        "pmcid": article.pmcid,
        "version": article.version,
        "pmid": article.pmid,
        "doi": article.doi,
        "title": article_text(f"<article>{article.title}".encode()).decode(),
        "citation": f"{article.journal[1]}. {article.year};{article.year - 1999}:"
        f"e{article.pmcid[-5:]}.",
        "is_pmc_openaccess": article.is_open,
        "is_manuscript": article.is_manuscript,
        "is_historical_ocr": oddity == "historical_ocr",
        "is_retracted": oddity == "retracted",
        "license_code": article.license,
    }


def _truth(
    version_id: str, n: int, figure: InventedFigure, oddity: str, is_stored: bool, xml: bytes
) -> dict[str, Any]:
    plan, element = figure.plan, figure.element
    graphics = [figure.media[k].name for k in range(len(element.hrefs))] if is_stored else []
    is_broken = any(media.form.startswith("broken") for media in figure.media)
    return {
        "version": version_id,
        "figure_id": element.element_id or f"fig-{n}",
        "owner": figure.owner,
        "label": element.label,
        "graphics": graphics,
        "num_pairs": 0 if is_broken or not element.caption else len(graphics),
        "width": plan.layout.width,
        "height": plan.layout.height,
        "kind": plan.kind,
        "layout": plan.layout.name,
        "caption": plan.caption.text if element.caption else "",
        "shared": list(plan.caption.shared),
        "panels": [asdict(panel) for panel in panels_of(plan)],
        "attributes": plan.attributes,
        "num_mentions": xml.count(f'rid="{element.element_id}"'.encode())
        if element.element_id
        else 0,
    }
