import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageColor

from figclip.inputs.pixels import UnreadableImage, decode
from figclip.pictures.fingerprint import fingerprint
from figclip.pictures.images import store_image
from figclip.pictures.opening import MAGIC, ImageError


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


UPRIGHT = {
    1: ("red", "green", "blue"),
    2: ("green", "red", "white"),
    3: ("white", "blue", "green"),
    4: ("blue", "white", "red"),
    5: ("red", "blue", "green"),
    6: ("blue", "red", "white"),
    7: ("white", "green", "blue"),
    8: ("green", "white", "red"),
}
"""Orientation → upper left, upper right and lower left corner, upright, of `corners()`: from the
standard's table of where the stored first row and first column lie."""


def corners() -> Image.Image:
    """Red, green; blue, white."""
    image = Image.new("RGB", (96, 64), "red")
    image.paste("green", (48, 0, 96, 32))
    image.paste("blue", (0, 32, 48, 64))
    image.paste("white", (48, 32, 96, 64))
    return image


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("longest_side", [None, 48])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_picture_is_turned_upright(form, longest_side, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tiffinfo": {274: orientation}} if form == "TIFF" else {"exif": exif}
    stored = store_image(encoded(corners(), form, **options), longest_side=longest_side)
    size = (64, 96) if orientation > 4 else (96, 64)
    assert (stored.original_width, stored.original_height) == size
    assert (stored.width, stored.height) == tuple(
        side // (2 if longest_side else 1) for side in size
    )
    found = pixels(stored.data)
    assert found.shape[1::-1] == (stored.width, stored.height)
    assert Image.open(io.BytesIO(stored.data)).getexif().get(0x0112, 1) == 1
    for (y, x), colour in zip([(4, 4), (4, -4), (-4, 4)], UPRIGHT[orientation], strict=True):
        assert np.abs(found[y, x] - ImageColor.getrgb(colour)).max() < 25


def test_rubbish_beside_the_pixels_costs_no_picture():
    data = encoded(corners(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert store_image(data, longest_side=None).data == data
    assert store_image(data, longest_side=48).width == 48


@pytest.mark.parametrize("transform", [0, 2])
def test_the_inks_of_a_jpeg_are_not_mistaken_for_light(transform):
    """Adobe writes them inverted, with (2) or without a change of axes."""
    inks = {"red": (0, 255, 255, 0), "blue": (255, 255, 0, 0), "white": (0, 0, 0, 0)}
    for colour, ink in inks.items():
        data = encoded(Image.new("CMYK", (64, 64), ink), "JPEG", quality=95)
        at = data.index(b"Adobe") + 11
        if transform == data[at]:
            found = pixels(store_image(data, longest_side=32).data)[9, 9]
            assert np.abs(found - ImageColor.getrgb(colour)).max() < 12


def test_the_shrunk_picture_of_luma_and_chroma_is_that_of_all_pixels():
    """In all three colours, odd sizes and JPEGs that halve, or do not halve, their chroma."""
    for size, subsampling in (((801, 533), 0), ((640, 999), 2), ((521, 520), 2)):
        x, y = np.meshgrid(np.arange(size[0]) / 60, np.arange(size[1]) / 50)
        waves = [np.sin(x) * np.cos(y), np.cos(x + y), np.sin(y - x / 2)]
        levels = np.rint(np.stack(waves, -1) * 90 + 128).astype(np.uint8)
        data = encoded(Image.fromarray(levels), "JPEG", quality=95, subsampling=subsampling)
        stored = store_image(data, longest_side=201)
        whole = Image.open(io.BytesIO(data)).convert("RGB")
        ideal = whole.resize((stored.width, stored.height), Image.Resampling.LANCZOS)
        at_best = pixels(encoded(ideal, "JPEG", quality=90)) - np.asarray(ideal).astype(int)
        differences = pixels(stored.data) - np.asarray(ideal).astype(int)
        assert np.abs(differences).mean() < 1.25 * np.abs(at_best).mean()


def wide_profile() -> bytes:
    """A profile of RGB that is not sRGB, by name at least."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"s\0R\0G\0B", b"w\0i\0d\0e").replace(b"sRGB", b"wide")


def test_the_profile_of_rgb_stays_with_what_is_made_of_it():
    profile = wide_profile()
    data = encoded(corners(), "TIFF", icc_profile=profile)
    assert opened(store_image(data, longest_side=48).data).info["icc_profile"] == profile
    grey = encoded(corners().convert("L"), "PNG", icc_profile=profile[:16] + b"GRAY" + profile[20:])
    assert "icc_profile" not in opened(store_image(grey, longest_side=48).data).info
    damaged = encoded(corners(), "TIFF", icc_profile=b"no profile")
    assert "icc_profile" not in opened(store_image(damaged, longest_side=48).data).info


def test_a_damaged_profile_of_inks_is_passed_over():
    bad = bytes(16) + b"CMYK" + bytes(16) + b"acsp" + bytes(99)
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    data = encoded(image, "TIFF", icc_profile=bad)
    assert pixels(store_image(data, longest_side=None).data)[4, 4].tolist() == pytest.approx(
        [255, 0, 0], abs=5
    )


@pytest.mark.parametrize("longest_side", [None, 320])
def test_the_fingerprint_is_that_of_the_stored_picture(longest_side):
    for form in ("JPEG", "PNG", "TIFF"):
        whole = Image.fromarray(noise(40, 30)).resize((640, 480), Image.Resampling.BICUBIC)
        stored = store_image(encoded(whole, form), longest_side=longest_side)
        again = np.unpackbits(np.frombuffer(fingerprint(opened(stored.data)), np.uint8))
        found = np.unpackbits(np.frombuffer(stored.fingerprint, np.uint8))
        assert (found != again).sum() <= 8


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("progressive", [True, False])
def test_a_jpeg_that_would_be_kept_is_read_to_its_end(subsampling, progressive):
    image = Image.fromarray(noise(600, 400))
    data = encoded(image, "JPEG", progressive=progressive, subsampling=subsampling)
    assert store_image(data, longest_side=None).data == data
    for share in (0.5, 0.9, 0.99):
        assert reason(data[: int(len(data) * share)]) == "broken_image"


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


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
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
