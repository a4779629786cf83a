"""Figures in their article: how each is written down and stored, oddities included."""

import random
from dataclasses import dataclass, replace

from figclip.sources.synthetic.articles import FigureElement
from figclip.sources.synthetic.figures import FORMS, FigurePlan, plan_figure

DOI_PREFIX = "10.5555"  # reserved for examples: it resolves to no article
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


def place_figures(rng: random.Random, number: int, oddity: str) -> list[InventedFigure]:
    """The figures of article `number`, one of them odd if the oddity is a figure's."""
    count = rng.choices((2, 3, 4, 5, 6, 7), (12, 20, 24, 20, 14, 10))[0]
    stem = f"{rng.choice(('mini', 'jmp', 'mbio', 'pone', 'imr'))}.{number}"
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
