"""Pictures read to be looked at: of any size, mode and damage."""

import io

import numpy as np
import pytest
from hostile_images import mutated, sound_pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from figclip.pictures.opening import ImageError
from figclip.pictures.reading import read_picture, size_of

SOUND = sound_pictures()


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", SOUND)
def test_every_kind_of_picture_is_read_as_pillow_reads_it(name: str) -> None:
    view = read_picture(SOUND[name], longest_side=10_000)
    image = Image.open(io.BytesIO(SOUND[name]))
    image.load()
    assert (view.width, view.height) == ImageOps.exif_transpose(image).size
    assert view.levels.shape == (view.height, view.width, 3)


def test_a_jpeg_of_twenty_thousand_pixels_a_side_is_read_at_a_part_of_its_size() -> None:
    data = saved(Image.new("L", (20_000, 20_000), 200), "JPEG")
    view = read_picture(data, longest_side=1_000)
    assert (view.width, view.height) == (20_000, 20_000)
    assert 1_000 <= max(view.levels.shape) <= 2_000
    assert abs(view.levels.astype(int) - 200).max() < 3


def test_a_large_png_is_shrunk_by_whole_blocks() -> None:
    image = Image.effect_noise((900, 700), 60).convert("RGB")
    view = read_picture(saved(image, "PNG"), longest_side=300)
    assert (view.levels == np.asarray(image.reduce(3))).all()
    assert (view.width, view.height) == (900, 700)


def test_a_png_of_too_many_pixels_is_refused_but_its_size_is_known() -> None:
    data = saved(Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(ImageError, match="huge_image"):
        read_picture(data, longest_side=1_000)
    assert size_of(data) == (20_000, 20_000)


@settings(deadline=None)
@given(st.sampled_from(sorted(SOUND)), st.randoms(use_true_random=False))
def test_damage_gives_a_picture_or_a_reason(name: str, random: object) -> None:
    data = mutated(SOUND[name], random)
    try:
        found = str(read_picture(data, longest_side=200).levels.dtype)
    except ImageError as error:
        found = error.reason
    assert found in {"uint8", "not_an_image", "broken_image", "huge_image"}
