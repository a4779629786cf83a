"""Invented figures: what is drawn, what is said, and where the panels are."""

import io
import random
import re
import statistics
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tokenizers.pre_tokenizers import BertPreTokenizer

from figclip.sources.synthetic.captions import num_pre_tokens, plain
from figclip.sources.synthetic.figures import (
    FORMS,
    FigurePlan,
    draw_figure,
    encode,
    panels_of,
    plan_figure,
)
from figclip.sources.synthetic.kinds import KINDS
from figclip.sources.synthetic.prose import BY_FAMILY, GENERAL, invent_prose
from figclip.sources.synthetic.scenes import Kind, Scene, invent_scene

KIND_NAMES = [kind.name for kind in KINDS]


@cache
def plans(count: int) -> list[FigurePlan]:
    return [plan_figure(random.Random(f"test/{n}")) for n in range(count)]


def drawn(scene: Scene, seed: int = 1, size: tuple[int, int] = (112, 100)) -> np.ndarray:
    return np.asarray(scene.draw(np.random.default_rng(seed), size)).astype(float)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_a_scene_is_drawn_at_its_size_and_the_same_each_time(kind: Kind) -> None:
    scene = invent_scene(kind, random.Random(2))
    first = drawn(scene)
    assert first.shape == (100, 112, 3)
    assert np.array_equal(first, drawn(scene))


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_every_attribute_that_is_told_can_be_seen(kind: Kind) -> None:
    """Where another value changes the words it changes the picture, grey level 35 or more."""
    told = set()
    for n in range(3):
        scene = invent_scene(kind, random.Random(n))
        before = drawn(scene)
        for name, values in kind.choices.items():
            for value in dict.fromkeys(values):
                other = Scene(kind, scene.attributes | {name: value})
                if (other.title, other.facts) != (scene.title, scene.facts):
                    told.add(name)
                    assert np.abs(drawn(other) - before).max() > 35, (name, value)
    assert len(told) >= 4


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_captions_of_a_kind_seldom_coincide(kind: Kind) -> None:
    scenes = [invent_scene(kind, random.Random(n)) for n in range(300)]
    told = {(scene.title, *scene.facts) for scene in scenes}
    assert len(told) >= 200


def test_only_labels_and_lengths_of_scale_bars_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    original = ImageDraw.ImageDraw.text

    def recorded(self: ImageDraw.ImageDraw, xy: object, text: str, *args: object, **kw: object):
        printed.append(text)
        return original(self, xy, text, *args, **kw)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", recorded)
    for plan in plans(60):
        draw_figure(plan)
    allowed = re.compile(r"\(?[A-Fa-f]\)?|(20|50|100|200) um")
    assert len(printed) > 60
    assert all(allowed.fullmatch(text) for text in printed)


def test_half_of_the_figures_are_compound() -> None:
    share = np.mean([len(plan.scenes) > 1 for plan in plans(1500)])
    assert share == pytest.approx(0.5, abs=0.05)
    assert {len(plan.scenes) for plan in plans(1500)} == {1, 2, 3, 4, 5, 6}


def test_every_kind_and_layout_occurs() -> None:
    assert {scene.kind.name for plan in plans(1500) for scene in plan.scenes} == set(KIND_NAMES)
    names = {plan.layout.name for plan in plans(1500)}
    assert names >= {"single", "white-gutter", "thin-gutter", "dark-gutter", "stitched"}
    assert any(name.startswith("irregular") for name in names)


def test_panels_stand_apart_inside_the_figure_and_hold_their_labels() -> None:
    for plan in plans(400):
        cover = np.zeros((plan.layout.height, plan.layout.width), int)
        for panel in panels_of(plan):
            x0, y0, x1, y1 = panel.box
            assert 0 <= x0 < x1 <= plan.layout.width
            assert 0 <= y0 < y1 <= plan.layout.height
            cover[y0:y1, x0:x1] += 1
            if panel.label_box is not None:
                lx0, ly0, lx1, ly1 = panel.label_box
                assert x0 <= lx0 < lx1 <= x1
                assert y0 <= ly0 < ly1 <= y1
        assert cover.max() == 1


def test_a_label_box_holds_all_ink_of_its_label(monkeypatch: pytest.MonkeyPatch) -> None:
    compound = [plan for plan in plans(200) if plan.labels][:8]
    with_labels = [np.asarray(draw_figure(plan)).astype(int) for plan in compound]
    monkeypatch.setattr("figclip.sources.synthetic.figures.write_text", lambda *args: None)
    for plan, labelled in zip(compound, with_labels, strict=True):
        bare = np.asarray(draw_figure(plan)).astype(int)
        ys, xs = np.nonzero(np.abs(labelled - bare).sum(-1))
        boxes = [panel.label_box for panel in panels_of(plan)]
        inside = np.zeros(len(xs), bool)
        for box in boxes:
            assert box is not None
            hit = (xs >= box[0]) & (xs < box[2]) & (ys >= box[1]) & (ys < box[3])
            assert hit.any()
            inside |= hit
        assert inside.all()


def test_sub_captions_stand_in_the_caption_after_their_marks_in_order() -> None:
    for plan in plans(400):
        text, at = plan.caption.text, 0
        for label, words in zip(plan.labels, plan.caption.panels, strict=bool(plan.labels)):
            found = text.index(words, at)
            assert label in text[max(0, found - 5) : found]
            at = found + len(words)
        for shared in plan.caption.shared:
            assert shared in text


def test_most_of_a_long_caption_speaks_of_the_picture_beyond_its_first_half() -> None:
    """What can be seen is spread, so that a longer context pays."""
    late = []
    for plan in plans(600):
        if num_pre_tokens(plan.caption.markup) > 120:
            facts = [plain(fact) for scene in plan.scenes for fact in scene.facts]
            half = plan.caption.text[len(plan.caption.text) // 2 :]
            late.append(any(fact in half for fact in facts))
    assert np.mean(late) > 0.7


def test_prose_holds_no_word_of_what_can_be_seen() -> None:
    seen = {"left", "right", "upper", "lower", "large", "small", "dense", "white", "black", "red"}
    seen |= {"green", "blue", "orange", "purple", "cyan", "magenta", "yellow", "grey", "brown"}
    for sentence in [*GENERAL, *(s for own in BY_FAMILY.values() for s in own)]:
        assert not seen & set(re.findall(r"[a-z]+", sentence.lower()))


@pytest.mark.parametrize("family", sorted({kind.family for kind in KINDS}))
def test_prose_does_not_repeat_itself(family: str) -> None:
    prose = invent_prose(random.Random(0), family)
    assert len(prose) == len(set(prose))
    assert len(prose) > 20


@pytest.mark.parametrize("form", [form for form in FORMS if form != "broken jpg"])
def test_every_form_decodes_to_the_same_picture(form: str) -> None:
    image = draw_figure(plans(3)[0])
    with Image.open(io.BytesIO(encode(image, form))) as found:
        again = np.asarray(found.convert("RGB")).astype(int)
    assert again.shape == (image.height, image.width, 3)
    assert np.abs(again - np.asarray(image).astype(int)).mean() < 20


def test_caption_lengths_follow_those_of_real_articles() -> None:
    judge = BertPreTokenizer()
    lengths = [len(judge.pre_tokenize_str(plan.caption.text)) + 2 for plan in plans(1500)]
    assert statistics.mean(lengths) == pytest.approx(123, rel=0.08)
    assert statistics.median(lengths) == pytest.approx(90, rel=0.1)
    assert sum(n <= 77 for n in lengths) / len(lengths) == pytest.approx(0.43, abs=0.04)
    assert sum(n <= 256 for n in lengths) / len(lengths) == pytest.approx(0.90, abs=0.03)
