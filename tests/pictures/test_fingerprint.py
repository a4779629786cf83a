import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from figclip.pictures.fingerprint import NEAR_BITS, PLAIN, fingerprint, num_differing_bits
from figclip.sources.miniature import MiniatureConfig, write_miniature

Picture = Image.Image


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Picture]]:
    """The figures of a few generated articles: charts, scans, gels, diagrams; name and picture."""
    folder = tmp_path_factory.mktemp("miniature") / "bucket"
    write_miniature(folder, MiniatureConfig(num_articles=13, seed=5))
    return [(path.stem, opened(path.read_bytes())) for path in sorted(folder.rglob("*.jpg"))]


def readable(folder: Path) -> Iterator[Picture]:
    """Pictures of a miniature without those that are damaged on purpose."""
    for path in sorted(folder.rglob("*.jpg")):
        with suppress(OSError):
            yield opened(path.read_bytes())


def opened(data: bytes) -> Picture:
    return Image.open(io.BytesIO(data)).convert("RGB")


def saved(image: Picture, form: str, **options: int) -> Picture:
    file = io.BytesIO()
    image.save(file, form, **options)
    return opened(file.getvalue())


def resized(image: Picture, scale: float) -> Picture:
    return image.resize((round(image.width * scale), round(image.height * scale)))


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "half the size": lambda image: resized(image, 0.5),
    "a quarter of the size": lambda image: resized(image, 0.25),
    "an odd size": lambda image: resized(image, 0.73),
    "twice the size": lambda image: resized(image, 2),
    "JPEG of quality 40": lambda image: saved(image, "JPEG", quality=40),
    "a small JPEG": lambda image: saved(resized(image, 0.5), "JPEG", quality=75),
    "WebP": lambda image: saved(image, "WEBP", quality=60),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nearly_every_picture_is_known_again(figures, change):
    again = [
        (fingerprint(picture), fingerprint(CHANGES[change](picture))) for _, picture in figures
    ]
    told = [pair for pair in again if PLAIN not in pair]
    known = sum(num_differing_bits(*pair) <= NEAR_BITS for pair in told)
    assert len(told) >= 30
    assert known / len(told) >= 0.97


def test_grey_or_coloured_and_lossless_formats_make_no_difference(figures):
    for _, picture in figures[:8]:
        grey = picture.convert("L")
        assert fingerprint(grey) == fingerprint(grey.convert("RGB")) == fingerprint(picture)
        assert fingerprint(saved(picture, "PNG")) == fingerprint(picture)


def test_different_figures_are_told_apart(figures):
    names = dict(figures)
    prints = {name: fingerprint(picture) for name, picture in names.items()}
    near = [
        pair
        for pair in combinations(sorted(set(prints)), 2)
        if PLAIN not in (prints[pair[0]], prints[pair[1]])
        and num_differing_bits(prints[pair[0]], prints[pair[1]]) <= NEAR_BITS
    ]
    assert near == []


def line(box: tuple[int, int, int, int]) -> Picture:
    page = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(page).line(box, fill="black", width=3)
    return page


PLAIN_PICTURES = {
    "white": Image.new("RGB", (500, 400), "white"),
    "black": Image.new("L", (3, 3), 0),
    "one pixel": Image.new("RGB", (1, 1), "red"),
    "a line across": line((0, 90, 300, 90)),
    "a line down": line((120, 0, 120, 200)),
    "a colour bar": Image.linear_gradient("L"),
}


@pytest.mark.parametrize("name", PLAIN_PICTURES)
def test_what_cannot_be_told_from_others_is_plain(name):
    assert fingerprint(PLAIN_PICTURES[name]) == PLAIN
    if name != "one pixel":
        assert fingerprint(saved(PLAIN_PICTURES[name].convert("RGB"), "JPEG", quality=60)) == PLAIN


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_any_size_gives_thirty_two_bytes_and_the_same_again(width, height, seed):
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(levels)
    assert len(fingerprint(image)) == 32
    assert fingerprint(image) == fingerprint(image.copy())


def test_the_bits_are_those_of_the_textbook_cosines():
    """The definition of the DCT in plain loops, on a picture that needs no resizing."""
    levels = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    places = np.pi * (2 * np.arange(64) + 1) / 128
    strengths = [
        float(np.cos(u * places) @ levels.astype(float) @ np.cos(v * places))
        for u in range(1, 17)
        for v in range(1, 17)
    ]
    middle = np.median(strengths)
    expected = np.packbits([strength > middle for strength in strengths]).tobytes()
    assert num_differing_bits(fingerprint(Image.fromarray(levels)), expected) == 0


def test_bits_are_counted_as_strings_show_them():
    one, other = bytes([0b1010_0001, *range(31)]), bytes([0b0010_0011, *range(31)])
    assert num_differing_bits(one, other) == 2


@pytest.mark.slow
def test_no_two_of_a_thousand_generated_figures_are_near_but_look_alikes(tmp_path: Path):
    """Those that are near are flow charts of one template, or one picture in two formats."""
    write_miniature(tmp_path / "bucket", MiniatureConfig(num_articles=200, seed=3))
    prints = {fingerprint(picture) for picture in readable(tmp_path)} - {PLAIN}
    bits = np.array([np.frombuffer(one, np.uint8) for one in sorted(prints)])
    near = 0
    for row, one in enumerate(bits):
        apart = np.bitwise_count(bits[row + 1 :] ^ one).sum(axis=1)
        near += int((apart <= NEAR_BITS).sum())
    assert len(prints) > 700
    assert near <= 3
