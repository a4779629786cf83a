"""The judge of captions and mentions, on articles made by hand."""

from lxml import etree

from jobs.benchmarks.panel_text import (
    citance_counts,
    figure_counts,
    linked_pairs,
    panel_text,
    repeating_counts,
    without_links,
)

FIGURES = "".join(f'<fig id="F{n}"><label>Fig. {n}</label></fig>' for n in range(1, 5))
RANGE = '<p>So (<xref rid="F1">Figs. 1</xref>–<xref rid="F3">3</xref>).</p>'
ARTICLE = f"<article><body>{RANGE}<p>Or Fig. 4.</p>{FIGURES}</body></article>"


def test_links_mean_the_figures_between_them_too():
    pairs = linked_pairs(etree.fromstring(ARTICLE))
    assert pairs == {("So (Figs. 1–3).", f"F{n}") for n in (1, 2, 3)}


def test_links_are_taken_out_and_their_words_stay():
    plain = without_links(etree.fromstring(ARTICLE))
    assert b"So (Figs. 1\xe2\x80\x933)." in plain.replace(b"&#8211;", "–".encode())
    assert b"xref" not in plain


def test_a_mention_that_no_link_makes_counts_as_wrong():
    linked, unlinked = citance_counts([ARTICLE.encode()])
    assert (linked.right, linked.found, linked.true) == (3, 4, 3)
    assert unlinked == linked


def test_labels_in_a_caption_without_sub_captions_count_as_wrong():
    caption = "Lungs. (A) CT. (B) X-ray."
    rows = [
        {"caption": caption, "sub_captions": {"A": ["(A) CT."], "B": ["(B) X-ray."]}},
        {"caption": caption, "sub_captions": {}},
        {"caption": caption, "sub_captions": {}, "caption_matches_image": False},
    ]
    captions, labels = figure_counts(rows)
    assert (captions.right, captions.found, captions.true) == (2, 4, 2)
    assert labels == captions


def test_repeated_words_and_another_case_are_allowed_for():
    said = [
        {"label": "a", "caption": "Lungs. (A) CT."},
        {"label": "B", "caption": "Lungs. (B) X-ray."},
    ]
    captions, labels = repeating_counts(
        [{"caption": "Lungs. (A) CT. (B) X-ray.", "sub_captions": said}]
    )
    assert captions.f1 == labels.f1 == 1.0


def test_hand_made_paragraphs_are_measured_anywhere():
    assert panel_text(None)["mention_split_f1"] >= 0.9
