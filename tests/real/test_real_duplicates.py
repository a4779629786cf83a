"""Fingerprints of real figures: known again when saved anew, and told from all others."""

import io
from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image

from figclip.pictures.fingerprint import NEAR_BITS, PLAIN, fingerprint, num_differing_bits
from figclip.pictures.images import StoredImage, store_image
from figclip.pictures.opening import ImageError

pytestmark = pytest.mark.real

FORMATS = (".jpg", ".png", ".tif", ".tiff", ".gif")

SMALLEST = 150
"""Pixels of the shorter side; what is smaller in these folders is a formula."""


@pytest.fixture(scope="module")
def figures(shared_folder) -> dict[str, Image.Image]:
    """Real figures by the sha256 of their files, as ingestion would store them."""
    folders = [shared_folder("panels") / "images", shared_folder("pmc-oa-opendata")]
    stored = {image.sha256: image.data for image in pictures(folders)}
    opened = {name: Image.open(io.BytesIO(data)).convert("RGB") for name, data in stored.items()}
    return {name: image for name, image in opened.items() if min(image.size) >= SMALLEST}


def pictures(folders: list[Path]) -> Iterator[StoredImage]:
    """Every file that is a picture, once."""
    seen: set[bytes] = set()
    for path in sorted(path for folder in folders for path in folder.rglob("*.*")):
        data = path.read_bytes() if path.suffix.lower() in FORMATS else b""
        if data and data not in seen:
            seen.add(data)
            with suppress(ImageError):
                image = store_image(data, longest_side=768)
                if min(image.original_width, image.original_height) >= SMALLEST:
                    yield image


@pytest.fixture(scope="module")
def prints(figures) -> dict[str, bytes]:
    return {name: fingerprint(image) for name, image in figures.items()}


def test_there_are_real_figures_and_none_is_plain(prints):
    assert len(prints) >= 100
    assert PLAIN not in prints.values()


def test_no_two_distinct_figures_are_near(prints):
    distances = [num_differing_bits(*pair) for pair in combinations(prints.values(), 2)]
    assert min(distances) > 2 * NEAR_BITS


@pytest.mark.parametrize(("scale", "quality"), [(1, 40), (0.5, 75), (0.25, 95), (0.73, 90)])
def test_figures_that_are_saved_anew_are_known_again(figures, prints, scale, quality):
    known = 0
    for name, image in figures.items():
        small = image.resize((round(image.width * scale), round(image.height * scale)))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=quality)
        known += num_differing_bits(fingerprint(Image.open(file)), prints[name]) <= NEAR_BITS
    assert known / len(figures) >= 0.97
