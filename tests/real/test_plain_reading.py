"""Each rule by which our reading differs from a naive one: needed, enough, and alone."""

import pytest
from plain_reading import figures_in, naive, reads_as, ruled, says_the_formula

from figclip.jats.article import parse_article

ARTICLE = (
    '<article xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:mml="http://www.w3.org/1998/Math/MathML"><body>{}</body></article>'
)
CUBED = "<mml:math><mml:msup><mml:mn>10</mml:mn><mml:mn>3</mml:mn></mml:msup></mml:math>"
HALF = "<mml:math><mml:mfrac><mml:mn>1</mml:mn><mml:mn>2</mml:mn></mml:mfrac></mml:math>"
TEX = r"<tex-math>\begin{document}$$x^{2}$$\end{document}</tex-math>"
A, B, TIF = (f'<graphic xlink:href="{name}"/>' for name in ("a.jpg", "b.jpg", "a.tif"))


@pytest.mark.parametrize(
    ("inner", "rules", "caption"),
    [
        (f"<caption><p>One <bold>t</bold>wo.</p></caption>{A}{B}", set(), "One two."),
        (
            f"<caption><title>One.</title><p>Two.</p></caption>{A}",
            {"blocks apart"},
            "One. Two.",
        ),
        (
            f"<caption><p>At {CUBED} or <inline-formula>{HALF}</inline-formula>.</p></caption>{A}",
            {"formulas on a line"},
            "At 10^3 or 1/2.",
        ),
        (
            f"<caption><p>Of {TEX}.</p></caption>{A}",
            {"formulas on a line"},
            "Of x^{2}.",
        ),
        (
            f"<caption><p>So.</p></caption><alternatives>{TIF}{A}</alternatives>",
            {"one of the alternatives"},
            "So.",
        ),
        (
            f"<caption><p>So <fig><caption><p>not.</p></caption>{B}</fig></p></caption>{A}",
            {"a figure inside keeps its own"},
            "So",
        ),
        (
            f"<caption><p>So<inline-graphic><alt-text>sign</alt-text></inline-graphic>.</p>"
            f"</caption>{A}",
            {"what is not shown"},
            "So.",
        ),
        (
            f"<caption><p>So</p><disp-formula>{HALF}<graphic xlink:href='e.gif'/></disp-formula>"
            f"</caption>{A}",
            {"formulas on a line"},
            "So 1/2",
        ),
    ],
)
def test_a_rule_is_needed_and_enough(inner, rules, caption):
    xml = ARTICLE.format(f'<fig id="F1"><label>Fig. 1</label>{inner}</fig>').encode()
    ours = parse_article(xml).figures[0]
    assert ours.caption == caption
    fig = figures_in(xml)[0]
    before, after = naive(fig), ruled(fig)
    assert after.rules == rules
    assert ((before.caption, before.graphics) == (ours.caption, ours.graphics)) == (not rules)
    assert reads_as(ours.caption, after.caption, after.formulas)
    assert (ours.label, ours.graphics) == (after.label, after.graphics)


@pytest.mark.parametrize(
    "wrong",
    ["At 10^3 or 1/2.", "At 10^3 or 1/3", "At 10^3 or 2/1", "At 10^3  or 1/2", "at 10^3 or 1/2"],
)
def test_no_other_words_pass_for_a_caption(wrong):
    xml = ARTICLE.format(f"<fig><caption><p>At {CUBED} or {HALF}</p></caption></fig>").encode()
    after = ruled(figures_in(xml)[0])
    assert reads_as("At 10^3 or 1/2", after.caption, after.formulas)
    assert not reads_as(wrong, after.caption, after.formulas)


def test_a_formula_of_tex_is_its_own_words():
    xml = ARTICLE.format(f"<fig><caption>{TEX}</caption></fig>").encode()
    (formula,) = ruled(figures_in(xml)[0]).formulas
    assert says_the_formula("x^{2}", formula)
    assert not says_the_formula("x^{3}", formula)
    assert not says_the_formula("", formula)
