import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from figclip.corpus.images import MAGIC, ImageError, store_image
from figclip.inputs.pixels import UnreadableImage, decode


def noise(width: int = 64, height: int = 48, bands: int = 3) -> np.ndarray:
    random = np.random.default_rng(0)
    levels = random.integers(0, 256, (height, width, bands), dtype=np.uint8)
    return levels[..., 0] if bands == 1 else levels


def encoded(image: Image.Image, form: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels(data: bytes) -> np.ndarray:
    image = opened(data)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def reason(data: bytes, **options) -> str:
    with pytest.raises(ImageError) as caught:
        store_image(data, longest_side=None, **options)
    return caught.value.reason


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("longest_side", [None, 64, 1000])
def test_an_rgb_picture_that_fits_keeps_its_bytes(form, longest_side):
    data = encoded(Image.fromarray(noise()), form)
    stored = store_image(data, longest_side=longest_side)
    assert stored.data == data
    assert (stored.width, stored.height) == (64, 48)
    assert stored.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (1000, 3)])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_a_large_picture_is_shrunk_to_the_longest_side(form, size):
    stored = store_image(encoded(Image.fromarray(noise(*size)), form), longest_side=50)
    image = opened(stored.data)
    assert image.size == (stored.width, stored.height)
    assert max(image.size) == 50
    assert min(image.size) >= 1
    assert (stored.original_width, stored.original_height) == size


def test_a_shrunk_picture_looks_like_the_whole_one():
    wave = np.sin(np.linspace(0, 9, 1600))[None, :] * np.cos(np.linspace(0, 7, 1200))[:, None]
    whole = Image.fromarray(np.rint(wave * 100 + 128).astype(np.uint8)).convert("RGB")
    stored = store_image(encoded(whole, "JPEG", quality=95), longest_side=224)
    reference = whole.resize((224, 168), Image.Resampling.BICUBIC)
    assert np.abs(pixels(stored.data) - np.asarray(reference).astype(int)).mean() < 1.5


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_becomes_rgb_of_the_same_picture(mode):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (32, 1))
    grey = Image.fromarray(ramp)
    if mode == "I;16":
        image = Image.fromarray(ramp.astype(np.uint16) * 257)
    elif mode == "1":
        image = grey.point(lambda level: 255 * (level > 127)).convert("1")
    elif mode in ("I", "F"):
        image = Image.fromarray(ramp.astype(np.int32 if mode == "I" else np.float32))
    elif mode == "CMYK":
        image = grey.convert("RGB").convert("CMYK")
    else:
        image = grey.convert(mode)
    stored = store_image(encoded(image, "TIFF"), longest_side=None)
    expected = 255 * (ramp > 127) if mode == "1" else ramp
    assert np.abs(pixels(stored.data) - expected[..., None]).max() <= 6


def test_deep_greys_beyond_every_scale_are_stretched():
    levels = np.array([[-100.0, 0.0, 100.0]], dtype=np.float32).repeat(8, 0)
    stored = store_image(encoded(Image.fromarray(levels), "TIFF"), longest_side=None)
    assert pixels(stored.data)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_see_through_parts_are_white(mode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert(mode)
    data = encoded(image, "PNG", **({"transparency": 0} if mode == "P" else {}))
    assert (pixels(store_image(data, longest_side=None).data) == 255).all()


def test_a_picture_with_an_orientation_is_turned_upright():
    image = Image.fromarray(noise(64, 48, 1)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = store_image(encoded(image, "JPEG", exif=exif, quality=95), longest_side=None)
    assert (stored.width, stored.height) == (48, 64)
    assert (stored.original_width, stored.original_height) == (48, 64)
    turned = np.asarray(image.rotate(-90, expand=True)).astype(int)
    assert np.corrcoef(pixels(stored.data).ravel(), turned.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP"])
def test_the_first_frame_is_taken(form):
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    data = encoded(first, form, save_all=True, append_images=[second])
    assert pixels(store_image(data, longest_side=None).data)[4, 4].tolist() == pytest.approx(
        [255, 0, 0], abs=5
    )


def test_drawings_stay_exact_and_photographs_stay_small():
    drawing = np.full((64, 64, 3), 255, dtype=np.uint8)
    drawing[::7] = (200, 0, 0)
    stored = store_image(encoded(Image.fromarray(drawing), "TIFF"), longest_side=None)
    assert (pixels(stored.data) == drawing).all()
    photograph = store_image(encoded(Image.fromarray(noise()), "TIFF"), longest_side=None)
    assert opened(photograph.data).format == "JPEG"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_a_truncated_picture_is_broken(form):
    data = encoded(Image.fromarray(noise(200, 200)), form)
    for kept in (0.9, 0.5, 0.1):
        assert reason(data[: int(len(data) * kept)]) == "broken_image"


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.4 ...", b"<svg/>", b"no image", b"RIFF____WAVE" * 9]
)
def test_what_is_no_picture_is_refused_by_its_first_bytes(data):
    assert reason(data) == "not_an_image"


def test_a_huge_picture_is_refused_by_its_header():
    header = encoded(Image.fromarray(noise()), "PNG")
    size = (100_000).to_bytes(4, "big")
    chunk = b"IHDR" + size + size + header[24:29]
    bomb = header[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[33:]
    assert reason(bomb) == "huge_image"
    assert reason(encoded(Image.fromarray(noise()), "PNG"), max_pixels=100) == "huge_image"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@given(st.binary(max_size=200), st.sampled_from(sorted(MAGIC)))
def test_damaged_bytes_never_raise_anything_else(data, magic):
    with pytest.raises(ImageError):
        store_image(magic + data, longest_side=10)


def png_header(width: int, height: int) -> bytes:
    """A PNG that ends where its pixels would begin."""
    size = struct.pack(">4sII5B", b"IHDR", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(size) - 4) + size + struct.pack(">I", zlib.crc32(size))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I4s", 99, b"IDAT")


@pytest.mark.parametrize(
    ("width", "height", "is_huge"),
    [(8_000, 10_000, False), (8_000, 10_001, False), (5, 17_895_697, False), (6, 17_895_697, True)],
)
def test_the_corpus_takes_no_picture_that_training_would_refuse_for_its_size(
    width: int, height: int, is_huge: bool
):
    data = png_header(width, height)
    with pytest.raises(ImageError) as stored:
        store_image(data, longest_side=None)
    assert (stored.value.reason == "huge_image") == is_huge
    with pytest.raises(UnreadableImage) as decoded:
        decode(data)
    assert ("at most" in str(decoded.value)) == is_huge
