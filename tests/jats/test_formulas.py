import pytest
from lxml import etree

from figclip.jats.formulas import mathml_text, tex_text

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
I_IS_1 = "<mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow>"
ONE = "<mtd><mn>1</mn></mtd>"


def mathml(inner: str) -> str:
    return mathml_text(etree.fromstring(f"<math xmlns='{NAMESPACE}'>{inner}</math>"))


@pytest.mark.parametrize(
    ("inner", "line"),
    [
        ("<mi>N</mi><mo>=</mo><mn>47</mn>", "N=47"),
        ("<msup><mn>10</mn><mrow><mo>−</mo><mn>3</mn></mrow></msup>", "10^−3"),
        ("<msub><mi>x</mi><mi>i</mi></msub>", "x_i"),
        ("<msub><mi>x</mi><mrow><mi>i</mi><mo>+</mo><mn>1</mn></mrow></msub>", "x_(i+1)"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_i^2"),
        ("<mfrac><mi>a</mi><mi>b</mi></mfrac>", "a/b"),
        (
            "<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mi>c</mi></mfrac>",
            "(a+b)/c",
        ),
        ("<msqrt><mi>n</mi></msqrt>", "√n"),
        ("<mroot><mi>n</mi><mn>3</mn></mroot>", "n^(1/3)"),
        ("<mover accent='true'><mi>y</mi><mo>^</mo></mover>", "y\u0302"),
        (f"<munderover><mo>∑</mo>{I_IS_1}<mi>n</mi></munderover>", "∑_(i=1)^n"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a,b)"),
        ("<mfenced open='[' close=']' separators=';'><mi>a</mi><mi>b</mi></mfenced>", "[a;b]"),
        ("<mi>d</mi><mo>\u2062</mo><mi>θ</mi>", "dθ"),
        ("<semantics><mi>x</mi><annotation>\\x</annotation></semantics>", "x"),
        (f"<mtable><mtr>{ONE}{ONE}</mtr><mtr>{ONE}</mtr></mtable>", "1, 1; 1"),
        ("<mn>1<!-- no --></mn><mtext>if so</mtext>", "1 if so "),
    ],
)  # fmt: skip
def test_mathml_reads_as_a_line(inner, line):
    assert mathml(inner) == line


@pytest.mark.parametrize(
    ("tex", "line"),
    [
        (r"\documentclass[12pt]{minimal}\begin{document}$$\hat{y}$$\end{document}", r"\hat{y}"),
        (r"$x_i$", "x_i"),
        ("a\n +  b", "a + b"),
        ("$", "$"),
    ],
)  # fmt: skip
def test_tex_reads_without_preamble_and_dollars(tex, line):
    assert tex_text(tex) == line
