import base64
import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from serving_fakes import image_bytes

from figclip.serving.protocol import ApiError, Modality
from figclip.serving.routes.dialects import items_of_input
from figclip.serving.routes.limits import (
    ImageFault,
    Limits,
    check_header,
    checked_text,
    decode_image,
    sort_items,
)

LIMITS = Limits(items=4, text_characters=50, image_pixels=10_000, request_pixels=12_000)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def refused(*inputs: str, modality: Modality | None = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        sorted_items(inputs, modality=modality)
    return caught.value


def sorted_items(inputs: Sequence[str], modality: Modality | None = None) -> list:
    items = items_of_input([*inputs], modality=modality, param="input")
    return sort_items(items, limits=LIMITS)


def png_that_claims(width: int, height: int) -> bytes:
    """A one-bit PNG whose header alone is large."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def test_texts_and_images_are_told_apart_and_keep_their_order():
    picture = image_bytes()
    items = ["data are plural", uri(picture), "α", "data:image/ is how a URI begins"]
    assert sorted_items(items[:3]) == ["data are plural", picture, "α"]
    assert refused(items[3]).code == "bad_data_uri"
    assert sorted_items(items[3:], "text") == items[3:]


def test_the_modality_image_takes_nothing_but_images():
    assert refused("words", modality="image").code == "bad_data_uri"


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_on_the_list_is_read_whatever_it_is_called(kind: str):
    [data] = sorted_items([uri(image_bytes(kind), "x-unknown")])
    assert isinstance(data, bytes)
    decoded = decode_image(data, limits=LIMITS)
    assert (decoded.mode, decoded.size) == ("RGB", (32, 24))


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ("", "empty_text"),
        (" \n\t", "empty_text"),
        ("a" * 51, "text_too_long"),
        ("\ud83d", "bad_unicode"),
        ("https://example.org/a.png", "url_not_fetched"),
        ("HTTP://169.254.169.254/latest", "url_not_fetched"),
        ("data:image/png,abc", "bad_data_uri"),
        ("DATA:IMAGE/png;base64,????", "bad_base64"),
        ("data:image/png;base64,QQ", "bad_base64"),
        ("data:image/png;base64,", "bad_image"),
        ("data:application/pdf;base64,JVBERi0=", "bad_image"),
        (uri(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg+xml"), "bad_image"),
        (uri(b"\x89PNG\r\n\x1a\n"), "bad_image"),
        (uri(b"\xff\xd8\xff"), "bad_image"),
        (uri(b"BM" + b"\0" * 60), "bad_image"),
        (uri(b"%!PS-Adobe-3.0 EPSF"), "bad_image"),
        (uri(png_that_claims(12_000, 12_000)), "bad_image"),
        (uri(png_that_claims(60_000, 60_000)), "bad_image"),
        (uri(png_that_claims(0, 4)), "bad_image"),
    ],
)
def test_a_bad_item_is_refused_by_its_number(item: str, code: str):
    fault = refused("good", item)
    assert (fault.status, fault.param, fault.code) == (400, "input[1]", code)
    assert fault.message.startswith("input[1]: ")


def test_too_many_items_are_refused():
    assert refused(*"abcde").code == "too_many_items"


def test_pixels_are_counted_over_the_whole_request():
    large = uri(image_bytes(size=(90, 90)))
    assert sorted_items([large])
    assert refused(large, large).status == 413


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("percent", range(5, 100, 5))
def test_a_truncated_image_is_a_fault_and_never_half_a_picture(kind: str, percent: int):
    data = image_bytes(kind, (64, 64))
    whole = decode_image(data, limits=LIMITS)
    try:
        read = decode_image(data[: len(data) * percent // 100], limits=LIMITS)
    except ImageFault:
        return
    assert percent >= 90  # what is lost may be no more than the mark at the end of the file
    assert read.tobytes() == whole.tobytes()


@given(st.sampled_from(FORMATS), st.data())
def test_a_damaged_image_is_read_or_refused(kind: str, data: st.DataObject):
    picture = bytearray(image_bytes(kind))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(picture) - 1))
        picture[place] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_image(bytes(picture), limits=LIMITS)
    except ImageFault:
        return
    assert decoded.width * decoded.height <= LIMITS.image_pixels


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"GIF89a", b"II*\0"]))
def test_any_bytes_are_an_image_or_a_fault(data: bytes, start: bytes):
    with pytest.raises(ImageFault):
        decode_image(start + data, limits=LIMITS)


@given(st.text(st.characters(codec=None)))
def test_a_text_passes_unchanged_unless_it_is_empty_long_or_no_unicode(text: str):
    is_good = text.strip() and len(text) <= 50 and text.encode(errors="ignore").decode() == text
    if is_good:
        assert checked_text(text, limits=LIMITS, param="text") == text
    else:
        with pytest.raises(ApiError):
            checked_text(text, limits=LIMITS, param="text")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_ends_in_rgb_of_like_brightness(mode: str):
    grey = Image.new("L", (8, 8), 200)
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 200 * 256, np.uint16))
    else:
        image = grey.convert("RGB" if mode == "CMYK" else "L").convert(mode)
    out = io.BytesIO()
    image.save(out, "TIFF" if mode == "CMYK" else "PNG")
    decoded = decode_image(out.getvalue(), limits=LIMITS)
    if mode != "1":
        assert abs(np.asarray(decoded).astype(int) - 200).max() <= 3


def test_the_header_alone_decides_about_size():
    with pytest.raises(ImageFault, match="144,000,000 pixels"):
        check_header(png_that_claims(12_000, 12_000), limits=Limits())
