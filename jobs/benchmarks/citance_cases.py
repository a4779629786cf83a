"""Paragraphs as articles write them, and which words of theirs speak of which panel."""

from dataclasses import dataclass

ABCD = ("A", "B", "C", "D")
SMALL = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Case:
    text: str
    anchor: str
    figure: str
    labels: tuple[str, ...]
    said: dict[str, tuple[str, ...]]
    """Label → the sentences that speak of it."""


def case(text: str, anchor: str, figure: str, labels: tuple[str, ...], **said: str) -> Case:
    """`A="1 3"`: the first and the third part of a text whose parts `|` sets apart."""
    parts = [part.strip() for part in text.split("|")]
    chosen = {label: tuple(parts[int(n) - 1] for n in of.split()) for label, of in said.items()}
    return Case(text.replace("|", ""), anchor, figure, labels, chosen)


CASES = (
    case("Tumours grew faster (Fig. 1A).", "Fig. 1A", "Figure 1", ABCD, A="1"),
    case("Tumours grew. |Mice lost weight (Fig. 1B). |They died.", "1B", "Fig. 1", ABCD, B="2"),
    case("As Fig. 3A–C shows, all rose.", "Fig. 3A–C", "Fig. 3", ABCD, A="1", B="1", C="1"),
    case("Figure 2 shows the workflow.", "Figure 2", "Figure 2", ABCD, A="1", B="1", C="1", D="1"),
    case("Both fell (Figure 1A, B and 2C).", "2C", "Figure 2", ABCD, C="1"),
    case("Both fell (Figure 1A, B and 2C).", "Figure 1A, B", "Figure 1", ABCD, A="1", B="1"),
    case("Cells died (Fig. 4, panel b).", "Fig. 4", "Fig. 4", SMALL, b="1"),
    case("Cells died (Fig. 4a,c–d).", "4a,c–d", "Fig. 4", SMALL, a="1", c="1", d="1"),
    case("Cells died (Fig. 4A).", "4A", "Fig. 4", SMALL, a="1"),
    case("Cells died (Fig. 4c).", "4c", "Figure 4", ABCD, C="1"),
    case(
        "Uptake doubled (Fig. 2A); |it halved in mutants (Fig. 2B).",
        "Fig. 2A",
        "Figure 2",
        ABCD,
        A="1",
        B="2",
    ),
    case(
        "Uptake doubled (Fig. 2A, left) while it halved in mutants (Fig. 2B).",
        "Fig. 2A",
        "Figure 2",
        ABCD,
        A="1",
        B="1",
    ),
    case(
        "The map is given in Figure 5. |Panel A shows the coast. |Panel B is an inset.",
        "Figure 5",
        "Figure 5",
        ("A", "B"),
        A="1 2",
        B="1 3",
    ),
    case(
        "The map is given in Figure 5. |Figure 6 shows rain. |Panel B is an inset.",
        "Figure 5",
        "Figure 5",
        ("A", "B"),
        A="1",
        B="1",
    ),
    case(
        "Figure 1 shows lungs before (A) and after treatment (B).",
        "Figure 1",
        "Figure 1",
        ABCD,
        A="1",
        B="1",
    ),
    case("Levels of factor V (Fig. S2A) were low (Fig. 2B).", "2B", "Fig. 2", ABCD, B="1"),
    case("Levels were low (Supplementary Fig. 2A).", "2A", "Figure S2", ABCD, A="1"),
    case(
        "Strain E. coli K12 (see e.g. Fig. 1C) grew. |So did others.", "1C", "Fig. 1", ABCD, C="1"
    ),
    case("Smith et al. found so, too (Fig. 1C).", "1C", "Fig. 1", ABCD, C="1"),
    case("The dose of 1.5 mg sufficed (Fig. 1D).", "1D", "Fig. 1", ABCD, D="1"),
    case(
        "It was 2.5-fold higher (Fig. 3B and C; Table 1).", "3B and C", "Fig. 3", ABCD, B="1", C="1"
    ),
    case("It was so (Figs. 3B, 4A and 5).", "4A", "Figure 4", ABCD, A="1"),
    case("It was so (Figs. 3B, 4A and 5).", "5", "Figure 5", ("A", "B"), A="1", B="1"),
    case("It was so (Figs. 2–4).", "4", "Figure 3", ("A", "B"), A="1", B="1"),
    case("Scheme 2a gives the route.", "Scheme 2a", "Scheme 2", SMALL, a="1"),
    case("Scheme 2a gives the route. |Figure 2b its yield.", "2b", "Figure 2", SMALL, b="2"),
    case("Fig. 2 (left) shows it.", "Fig. 2", "Fig. 2", ("left", "right"), left="1"),
    case("Fig. 2, right panel, shows it.", "Fig. 2", "Fig. 2", ("left", "right"), right="1"),
    case("Fig. 2 shows it.", "Fig. 2", "Fig. 2", ("left", "right"), left="1", right="1"),
    case("Stage 2 was next (Fig. 2Aii).", "2Aii", "Fig. 2", ("Ai", "Aii", "B"), Aii="1"),
    case("Stage 2 was next (Fig. 2A).", "2A", "Fig. 2", ("Ai", "Aii", "B"), Ai="1", Aii="1"),
    case("Stage 2 was next (Fig. 2A1).", "2A1", "Fig. 2", ABCD, A="1"),
    case("We saw it (Figure 7(b)).", "7(b)", "Figure 7", SMALL, b="1"),
    case("We saw it (Figures 7(a)–7(c)).", "7(a)", "Figure 7", SMALL, a="1", b="1", c="1"),
    case("Nothing of the kind (Fig. 8A).", "8A", "Fig. 8", ("X", "Y")),
    case("As in Figure 2 of Smith et al. [12], it rose (Fig. 2A).", "2A", "Fig. 2", ABCD, A="1"),
    case(
        "Fig. 1A shows cells. |They are round. |Fig. 1B shows them later.",
        "Fig. 1A",
        "Fig. 1",
        ABCD,
        A="1",
        B="3",
    ),
    case(
        "Panels A and B of Figure 3 show mice, panel C rats.",
        "Figure 3",
        "Figure 3",
        ABCD,
        A="1",
        B="1",
        C="1",
    ),
    case("Growth is linear (FIGURE 1A).", "FIGURE 1A", "FIGURE 1", ABCD, A="1"),
    case("Growth is linear (Fig.\u00a01a).", "1a", "Fig.\u00a01", SMALL, a="1"),
    case("生长加快（图1A）。|体重下降（图1B）。", "1A", "图1", ABCD, A="1", B="2"),
    case("Das Wachstum war linear (Abb. 2b).", "Abb. 2b", "Abb. 2", SMALL, b="1"),
    case("Growth rose (C). |It then fell.", "C", "", ABCD, C="1"),
    case("Growth rose (Extended Data Fig. 3b).", "3b", "Extended Data Fig. 3", SMALL, b="1"),
    case(
        "Loss of it (Figure 1—figure supplement 2B) was mild (Figure 1A).",
        "Figure 1A",
        "Figure 1.",
        ABCD,
        A="1",
    ),
    case("Counts rose to n = 5 (Fig. 2E).", "2E", "Fig. 2", ("D", "E", "F"), E="1"),
    case("Fig. 3 A and B are maps.", "Fig. 3", "Fig. 3", ABCD, A="1", B="1"),
    case("It rose (Fig. 2D, 3A).", "2D", "Fig. 2", ABCD, D="1"),
)
