"""The prose around the figures: titles, authors, abstracts, methods, mentions, discussions."""

import random

from figclip.sources.synthetic.articles import FigureElement
from figclip.sources.synthetic.figures import FigurePlan
from figclip.sources.synthetic.prose import invent_prose

# Name, abbreviation, ISSN. None exists.
JOURNALS = (
    ("Miniature Medicine", "Mini Med", "9000-0001"),
    ("Journal of Miniature Pathology", "J Mini Pathol", "9000-0002"),
    ("Invented Radiology Reports", "Inv Radiol Rep", "9000-0003"),
    ("Annals of Synthetic Biology &amp; Imaging", "Ann Synth Biol Imaging", "9000-0004"),
    ("Zeitschrift für kleine Bilder", "Z Kl Bilder", "9000-0005"),
    ("Open Figures", "Open Fig", "9000-0006"),
)
SURNAMES = (
    "Müller", "García", "Nguyễn", "O’Brien", "Sørensen", "Kowalski", "Yamada", "Dvořák", "Okafor",
    "Rossi", "Lindqvist", "Çelik", "Petrov", "Smith", "Haddad", "Fonseca", "Iyer", "Zhao",
)  # fmt: skip
GIVEN = ("Ana", "Björn", "Chidi", "Dorota", "Elif", "François", "Grace", "Hiro", "Inês", "Jan")
SUBJECTS = (
    "<italic>TP53</italic>-deficient tumours", "hepatic fibrosis", "TGF-β signalling",
    "community-acquired pneumonia", "<italic>Staphylococcus aureus</italic> infection",
    "diabetic nephropathy", "early cartilage loss", "glioma recurrence", "Ca<sup>2+</sup> influx",
    "skeletal muscle repair", "IL-6/STAT3 activation", "ischaemic stroke", "wound healing",
    "chronic graft rejection", "α-synuclein aggregation", "hip replacement",
)  # fmt: skip
DESIGNS = (
    "a retrospective cohort study", "a case report", "a multicentre trial", "insights from mice",
    "an imaging study", "a systematic comparison", "a proof of concept", "five-year results",
)  # fmt: skip
ADJECTIVES = ("Early", "Late", "Quantitative", "Longitudinal", "Clinical", "Molecular", "Unusual")
NOUNS = ("signs", "patterns", "assessment", "markers", "features", "time course", "imaging")


def invent_title(rng: random.Random, plans: list[FigurePlan]) -> str:
    """For example `Early signs of hepatic fibrosis by CT: a case report` (inline mark-up)."""
    kind = plans[0].scenes[0].kind
    means = kind.name.upper() if kind.name in ("ct", "mri") else kind.family
    return (
        f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} of {rng.choice(SUBJECTS)} "
        f"by {means} analysis: {rng.choice(DESIGNS)}"
    )


def invent_authors(rng: random.Random) -> tuple[tuple[str, str], ...]:
    """Surname and given name of two to six people."""
    count = rng.randint(2, 6)
    return tuple((rng.choice(SURNAMES), rng.choice(GIVEN)) for _ in range(count))


def invent_abstract(rng: random.Random) -> str:
    subject = rng.choice(SUBJECTS)
    return (
        f"The causes of {subject} are unclear. Here we examined {rng.randint(12, 480)} "
        f"cases over {rng.randint(2, 14)} years (95% CI, {rng.randint(1, 9)}.{rng.randint(1, 9)}–"
        f"{rng.randint(10, 19)}.{rng.randint(1, 9)}; <italic>P</italic> &lt; 0.05). The findings "
        f"suggest that {subject} may be recognised earlier than reported before "
        '[<xref ref-type="bibr" rid="R1">1</xref>].'
    )


def invent_methods(rng: random.Random, plan: FigurePlan) -> tuple[str, ...]:
    prose = invent_prose(rng, plan.scenes[0].kind.family)
    return " ".join(prose[:4]), " ".join(prose[4:7])


def mention(
    rng: random.Random,
    element: FigureElement,
    plan: FigurePlan,
    other: FigureElement | None,
    other_plan: FigurePlan | None,
) -> str:
    """A paragraph that refers to a figure, and now and then to another one as well."""
    title = plan.scenes[0].title
    title = title if title[:2] in ("CT", "MR", "X-") else f"{title[0].lower()}{title[1:]}"
    opening = rng.choice(("We obtained the", "To test this, we turned to the", "Next came the"))
    sentences = [f"{opening} {title} ({_link(rng, element, plan)})."]
    fact = rng.choice([fact for scene in plan.scenes for fact in scene.facts])
    sentences.append(f"{fact[:-1]} ({_link(rng, element, plan)}), as expected.")
    if other is not None and other_plan is not None and other is not element:
        sentences.append(f"This agrees with {_link(rng, other, other_plan)}.")
    sentences.append(invent_prose(rng, plan.scenes[0].kind.family)[0])
    return " ".join(sentences)


def _link(rng: random.Random, element: FigureElement, plan: FigurePlan) -> str:
    """A link such as `Fig. 2A–C`; bare words where the figure has no id to link to."""
    number = element.label.strip(".").rpartition(" ")[2]
    part = ""
    if plan.labels and rng.random() < 0.7:
        first = rng.randrange(len(plan.labels))
        last = rng.randrange(first, len(plan.labels))
        part = plan.labels[first] + (f"–{plan.labels[last]}" if last > first else "")
    anchor = f"{rng.choice(('Fig.', 'Figure', 'Fig'))} {number}{part}"
    if not element.element_id:
        return anchor
    return f'<xref ref-type="fig" rid="{element.element_id}">{anchor}</xref>'


def invent_discussion(rng: random.Random, label: str, is_compound: bool) -> str:
    """A paragraph with a mention that is not linked."""
    part = "A–B" if is_compound else ""
    return f"{invent_abstract(rng)} As shown in {label}{part}, the effect was consistent."
