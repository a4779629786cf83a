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
    FORMS,
    FigurePlan,
    draw_figure,
    encode,
    panels_of,
    plan_figure,
)
from figclip.sources.synthetic.oddities import WHY_NOT_ELIGIBLE, oddity_of
from figclip.sources.synthetic.words import (
    JOURNALS,
    invent_abstract,
    invent_authors,
    invent_discussion,
    invent_methods,
    invent_title,
    mention,
)

DOI_PREFIX = "10.5555"  # reserved for examples: it resolves to no article
FIRST_ID = 98_000_001  # far above the numbers that PubMed Central gives
NAMES = ("{stem}-g{n:03}", "{stem}_Fig{n}_HTML", "{stem}.g{n:03}", "{stem}_f{n}", "fig{n}")


@dataclass(frozen=True)
class Media:
    """An image file of the article: a figure, drawn with `variant` added to its pixel seed."""

    name: str
    form: str
    variant: int = 0


@dataclass(frozen=True)
class InventedFigure:
    """A figure in its article: how it is drawn, written down and stored."""

    plan: FigurePlan
    element: FigureElement
    media: tuple[Media, ...]
    """One a graphic, or one an alternative."""
    is_missing: bool = False
    owner: str = ""


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
    figures = _invent_figures(rng, index, oddity)
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


def _invent_figures(rng: random.Random, index: int, oddity: str) -> list[InventedFigure]:
    count = rng.choices((2, 3, 4, 5, 6, 7), (12, 20, 24, 20, 14, 10))[0]
    stem = f"{rng.choice(('mini', 'jmp', 'mbio', 'pone', 'imr'))}.{FIRST_ID + index}"
    name = rng.choice(NAMES)
    odd = rng.randrange(count)
    word = rng.choice(("Figure {}", "Figure {}", "Fig. {}", "Figure {}."))
    figures = []
    for k in range(count):
        plan = plan_figure(rng)
        form = rng.choices(("jpg", "png", "tif", "gif", "webp"), (93, 4, 1, 1, 1))[0]
        form = form if k != odd else oddity.replace("_", " ")
        if form not in FORMS:
            form = "jpg"
        media = Media(f"{name.format(stem=stem, n=k + 1)}.{FORMS[form]}", form)
        parts = _caption_parts(plan.caption.markup, is_split=rng.random() < 0.3)
        element = FigureElement(f"F{k + 1}", word.format(k + 1), parts, ((media.name,),))
        figure = InventedFigure(plan, element, (media,))
        figures.append(_made_odd(figure, oddity) if k == odd else figure)
    return figures


def _caption_parts(markup: str, *, is_split: bool) -> tuple[str, ...]:
    """The first sentence as the caption's title, as some publishers do, or all in one."""
    title, dot, rest = markup.partition(". ")
    return (f"{title}{dot.strip()}", rest) if is_split and rest else (markup,)


def _made_odd(figure: InventedFigure, oddity: str) -> InventedFigure:
    """The figure with a figure's oddity; unchanged for those of whole articles."""
    element, media = figure.element, figure.media[0]
    stem, _, extension = media.name.rpartition(".")
    match oddity:
        case "no_caption":
            return replace(figure, element=replace(element, caption=()))
        case "two_graphics" | "alternatives":
            again = Media(f"{stem}b.jpg", "jpg", variant=1)
            if oddity == "alternatives":
                again = Media(f"{stem}.png", "png")
                media = Media(f"{stem}.jpg", "jpg")
                hrefs: tuple[tuple[str, ...], ...] = ((media.name, again.name),)
            else:
                hrefs = ((media.name,), (again.name,))
            element = replace(element, hrefs=hrefs)
            return replace(figure, element=element, media=(media, again))
        case "graphic_in_p":
            return replace(figure, element=replace(element, in_paragraph=True))
        case "no_id":
            return replace(figure, element=replace(element, element_id=""))
        case "sub_article":
            element = replace(element, element_id="sa1-F1", label="Author response figure 1")
            return replace(figure, element=element, owner="sa1")
        case "third_party":
            words = "Reproduced with permission of the copyright holder. All rights reserved."
            return replace(figure, element=replace(element, permissions=words))
        case "missing_media":
            return replace(figure, is_missing=True)
        case "broken_image":
            media = Media(f"{stem}.jpg", "broken jpg")
            element = replace(element, hrefs=((media.name,),))
            return replace(figure, element=element, media=(media,))
        case "wrong_case":
            element = replace(element, hrefs=((media.name.swapcase(),),))
            return replace(figure, element=element)
        case "no_extension":
            return replace(figure, element=replace(element, hrefs=((stem,),)))
        case "plos_href":
            stem = f"pone.0{stem.split('.')[-1][-6:]}.g001"
            href = f"info:doi/{DOI_PREFIX}/journal.{stem}"
            media = replace(media, name=f"{stem}.{extension}")
            return replace(figure, element=replace(element, hrefs=((href,),)), media=(media,))
        case _:
            return figure


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
