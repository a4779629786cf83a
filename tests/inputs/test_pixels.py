"""Decoding within limits, and crops that the seed alone decides."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torchvision import transforms
from torchvision.transforms import functional

from figclip.config import UsageError
from figclip.inputs import pixels
from figclip.inputs.pixels import (
    PixelConfig,
    UnreadableImage,
    crop_box,
    decode,
    eval_crop,
    eval_pixels,
    normalise,
    train_crop,
    train_pixels,
)
from figclip.store import Store

CONFIG = PixelConfig(size=32)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Smooth gradients, so that JPEG and resizing leave them nearly as they are."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_every_format_decodes_to_rgb(form):
    decoded = decode(encoded(picture(40, 30), form))
    assert (decoded.mode, decoded.size) == ("RGB", (40, 30))


def test_what_is_transparent_becomes_paper():
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    assert decode(encoded(clear, "PNG")).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30] * 256)
    data = encoded(palette, "PNG", transparency=0)
    assert decode(data).getpixel((0, 0)) == (255, 255, 255)
    assert decode(encoded(palette, "PNG")).getpixel((0, 0)) == (10, 20, 30)


def test_sixteen_bit_greys_keep_their_shade():
    deep = Image.fromarray(np.array([[0, 32_768, 65_535]], dtype=np.uint16))
    decoded = decode(encoded(deep, "PNG"))
    assert [decoded.getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


def test_a_photograph_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert decode(encoded(picture(40, 30), "JPEG", exif=exif)).size == (30, 40)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_a_truncated_picture_is_refused(form):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), form)
    with pytest.raises(UnreadableImage):
        decode(data[: len(data) // 2])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_bytes_are_decoded_or_refused_but_nothing_else_happens():
    random = np.random.default_rng(0)
    refused = 0
    for form in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        whole = np.frombuffer(encoded(picture(24, 16), form), dtype=np.uint8)
        for _ in range(60):
            data = whole.copy()
            data[random.integers(len(data), size=4)] = random.integers(0, 256, 4)
            try:
                assert decode(data.tobytes()).mode == "RGB"
            except UnreadableImage:
                refused += 1
    assert refused


@pytest.mark.parametrize("data", [b"", b"<svg></svg>", b"%!PS-Adobe-3.0 EPSF-3.0"])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(UnreadableImage, match="UnidentifiedImageError"):
        decode(data)


def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(monkeypatch):
    data = encoded(picture(40, 30), "PNG")
    monkeypatch.setattr(pixels, "MAX_PIXELS", 1199)
    with pytest.raises(UnreadableImage, match="40 x 30 pixels; at most 1,199"):
        decode(data)


def test_eval_takes_the_middle_of_a_very_long_picture_without_blowing_it_up():
    image = Image.new("RGB", (60_000, 2), "red")
    image.paste("blue", (29_000, 0, 31_000, 2))
    middle = eval_crop(image, CONFIG)
    assert middle[2].min() == 255
    assert middle[0].max() == 0


def test_normalised_values_are_those_typed_by_hand():
    grey = torch.full((2, 3, 1, 1), 51, dtype=torch.uint8)
    expected = [(0.2 - m) / s for m, s in zip(CONFIG.mean, CONFIG.std, strict=True)]
    for row in normalise(grey, CONFIG):
        torch.testing.assert_close(row.flatten(), torch.tensor(expected))


def test_pixels_are_the_normalised_crop():
    image = picture(50, 40)
    assert torch.equal(eval_pixels(image, CONFIG), normalise(eval_crop(image, CONFIG), CONFIG))
    assert torch.equal(
        train_pixels(image, CONFIG, 7), normalise(train_crop(image, CONFIG, 7), CONFIG)
    )


def test_the_seed_decides_the_training_crop():
    image = picture(70, 60)
    assert torch.equal(train_pixels(image, CONFIG, 1), train_pixels(image, CONFIG, 1))
    assert torch.equal(
        train_pixels(image, CONFIG, 1), train_pixels(image, CONFIG, np.random.default_rng(1))
    )
    assert not torch.equal(train_pixels(image, CONFIG, 1), train_pixels(image, CONFIG, 2))


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 10**6))
def test_a_training_crop_lies_in_the_picture(width, height, seed):
    left, top, wide, high = crop_box(width, height, CONFIG, np.random.default_rng(seed))
    assert 0 <= left <= left + wide <= width
    assert 0 <= top <= top + high <= height
    assert wide >= 1
    assert high >= 1


@given(st.integers(80, 120), st.integers(80, 120), st.integers(0, 10**6))
def test_a_training_crop_of_a_squarish_picture_keeps_its_area_and_ratio(width, height, seed):
    _, _, wide, high = crop_box(width, height, CONFIG, np.random.default_rng(seed))
    assert 0.9 - 0.02 <= wide * high / (width * height) <= 1
    assert 3 / 4 - 0.02 <= wide / high <= 4 / 3 + 0.02


def test_training_crops_spread_as_torchvisions_do():
    random = np.random.default_rng(0)
    ours = np.array([crop_box(300, 260, CONFIG, random) for _ in range(3000)])
    torch.manual_seed(0)
    blank = Image.new("RGB", (300, 260))
    drawn = [
        transforms.RandomResizedCrop.get_params(blank, list(CONFIG.scale), list(CONFIG.ratio))
        for _ in range(3000)
    ]
    theirs = np.array([(left, top, wide, high) for top, left, high, wide in drawn])
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.8)
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), atol=0.8)


def noise(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def lines(width: int, height: int) -> Image.Image:
    """Black on white, one pixel wide: what resizing gets wrong most visibly."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for x in range(0, width, 3):
        draw.line((x, 0, width - x, height), fill="black")
    return image


def psnr(found: torch.Tensor, ideal: torch.Tensor) -> float:
    error = (found.double() - ideal.double()).square().mean()
    return float(10 * torch.log10(255**2 / error.clamp(min=1e-12)))


@pytest.mark.parametrize("content", [picture, noise, lines])
@pytest.mark.parametrize(
    "size", [(90, 60), (33, 200), (20, 20), (32, 32), (700, 500), (60, 85), (90, 300)]
)
def test_a_training_crop_is_pillows_to_within_one_level_and_65_db(content, size):
    image = content(*size)
    left, top, wide, high = crop_box(*size, CONFIG, np.random.default_rng(5))
    peer = functional.pil_to_tensor(
        functional.resized_crop(
            image, top, left, high, wide, [32, 32], functional.InterpolationMode.BICUBIC
        )
    )
    found = train_crop(image, CONFIG, 5)
    assert (found.int() - peer.int()).abs().max() <= 1
    assert psnr(found, peer) >= 65
    assert found.is_contiguous()


def test_the_recipe_reads_as_it_wrote(tmp_path):
    folder = Store(tmp_path).folder("encoder", "one")
    config = PixelConfig(size=112, scale=(0.5, 1.0))
    config.save(folder)
    assert PixelConfig.load(folder) == config
    with pytest.raises(UsageError, match=r"no pixels\.json"):
        PixelConfig.load(folder / "elsewhere")
