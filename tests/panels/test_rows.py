"""Rows of panels: the pair's own columns, a crop for a picture, and boxes in the pair's pixels."""

import io

import numpy as np
import pyarrow as pa
from drawn_figures import CAPTION, compound, pair, photo, saved
from PIL import Image

from figclip.panels.rows import panel_rows
from figclip.schema import PANEL_PAIR_SCHEMA


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_compound_figure_gives_a_row_a_panel() -> None:
    image, boxes = compound("ABCD")
    height, width = image.shape[:2]
    rows = list(panel_rows(pair(saved(image, "PNG"), CAPTION, width, height)))
    assert pa.Table.from_pylist(rows, schema=PANEL_PAIR_SCHEMA).num_rows == 4
    assert [row["pair_id"] for row in rows] == [f"PMC1.1/F1/a.jpg/{n}" for n in (1, 2, 3, 4)]
    assert {row["figure_pair_id"] for row in rows} == {"PMC1.1/F1/a.jpg"}
    assert {row["split"] for row in rows} == {"test"}
    for row in rows:
        x0, y0, x1, y1 = row["panel_box"]
        assert (opened(row["image"]) == image[y0:y1, x0:x1]).all()
        assert (row["width"], row["height"]) == (x1 - x0, y1 - y0)
        assert row["original_width"] == 2 * row["width"]
        assert row["caption"].startswith(row["panel_caption"][0])
        assert all(piece in row["caption"] for piece in row["shared_caption"])
    assert len({row["image_fingerprint"] for row in rows}) == 4
    assert len(boxes) == 4


def test_a_single_figure_is_its_own_panel_with_the_bytes_it_had() -> None:
    data = saved(np.asarray(photo((300, 200), 3)), "JPEG")
    (row,) = panel_rows(pair(data, "A lung.", 300, 200))
    assert row["image"] == data
    assert (row["caption"], row["panel_box"]) == ("A lung.", (0, 0, 300, 200))
    assert row["panel_caption"] == ["A lung."]


def test_boxes_of_a_very_large_picture_are_in_its_own_pixels() -> None:
    image, boxes = compound("AB")
    large = np.asarray(Image.fromarray(image).resize((5_216, 1_920), Image.Resampling.NEAREST))
    rows = list(panel_rows(pair(saved(large, "JPEG"), "(A) One. (B) Two.", 5_216, 1_920)))
    assert [row["panel_label"] for row in rows] == ["A", "B"]
    for row, true in zip(rows, boxes.values(), strict=True):
        assert np.abs(np.array(row["panel_box"]) - 4 * np.array(true)).max() <= 40
        assert row["original_width"] > row["width"]


def test_a_broken_picture_is_one_row_with_the_reason() -> None:
    (row,) = panel_rows(pair(b"\xff\xd8\xff nothing", "(A) One. (B) Two.", 30, 20))
    assert row["panel_box"] == (0, 0, 30, 20)
    assert row["caption"] == "(A) One. (B) Two."
    assert row["panel_notes"][0].startswith("broken_image")
