"""Sound pictures of every format, and what an enemy makes of them."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

FORMS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")


def encoded(image: Image.Image, form: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _noise(width: int = 90, height: int = 70) -> Image.Image:
    levels = np.random.default_rng(0).integers(0, 256, (height // 5, width // 5, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height))


def sound_pictures() -> dict[str, bytes]:
    """Small ones of every format in its main varieties, by name."""
    image, exif = _noise(), Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [image.rotate(180)]}
    grey16 = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return {
        "jpeg": encoded(image, "JPEG"),
        "jpeg progressive": encoded(image, "JPEG", progressive=True, subsampling=0),
        "jpeg cmyk": encoded(image.convert("CMYK"), "JPEG"),
        "jpeg turned": encoded(image, "JPEG", exif=exif),
        "jpeg grey": encoded(image.convert("L"), "JPEG"),
        "mpo": encoded(image, "MPO", **frames),
        "png": encoded(image, "PNG"),
        "png alpha": encoded(image.convert("RGBA"), "PNG"),
        "png palette": encoded(image.quantize(32), "PNG", transparency=3),
        "png deep": encoded(grey16, "PNG"),
        "gif": encoded(image.quantize(32), "GIF", **frames),
        "tiff": encoded(image, "TIFF"),
        "tiff lzw": encoded(image, "TIFF", compression="tiff_lzw"),
        "tiff deflate": encoded(image.convert("RGBA"), "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": encoded(image, "TIFF", compression="jpeg"),
        "tiff fax": encoded(image.convert("1"), "TIFF", compression="group4"),
        "tiff float": encoded(image.convert("F"), "TIFF"),
        "tiff turned": encoded(image, "TIFF", tiffinfo={274: 6}),
        "webp": encoded(image, "WEBP"),
        "webp lossless": encoded(image.convert("RGBA"), "WEBP", lossless=True),
        "webp frames": encoded(image, "WEBP", **frames),
        "bmp": encoded(image, "BMP"),
        "bmp palette": encoded(image.quantize(32), "BMP"),
    }


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three harms: flipped bits, a lying number, a piece cut out, doubled or zeroed."""
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(HARMS)(data, rng) or data
    return data


def _flipped(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _flipped_header(data: bytes, rng: random.Random) -> bytes:
    return _flipped(data[:64], rng) + data[64:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _lying(data: bytes, rng: random.Random) -> bytes:
    """A number of two or four bytes, at any place near the start, says something else."""
    value = rng.choice((0, 1, 255, 50_000, 65_535, 2**20, 2**31 - 1, 2**32 - 1))
    number = struct.pack(rng.choice("<>") + ("H" if value < 65_536 else "I"), value)
    at = rng.randrange(min(len(data), 700))
    return data[:at] + number + data[at + len(number) :]


def _piece(data: bytes, rng: random.Random) -> bytes:
    first, last = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    piece = data[first:last]
    instead = rng.choice((b"", piece * 2, bytes(len(piece)), rng.randbytes(len(piece))))
    return data[:first] + instead + data[last:]


HARMS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flipped,
    _flipped_header,
    _cut,
    _lying,
    _piece,
)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: tuple[bytes, bytes], colour: int = 2) -> bytes:
    header = struct.pack(">II5B", width, height, 8, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


def tiff(entries: dict[int, int], data: bytes) -> bytes:
    """One picture; every tag a long, the pixels from byte 8."""
    start = 8 + len(data)
    table = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    head = b"II*\x00" + struct.pack("<I", start) + data
    return head + struct.pack("<H", len(entries)) + table + bytes(4)


def bmp(width: int, height: int, data: bytes, *, depth: int = 24, compression: int = 0) -> bytes:
    palette = bytes(1024) if depth == 8 else b""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, compression, 0, 0, 0, 0, 0)
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + palette + data


def claiming(side: int) -> dict[str, bytes]:
    """Pictures of every format that claim to be square and of this side, with few bytes behind."""
    jpeg = bytearray(encoded(_noise(), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", side, side)
    gif = bytearray(encoded(_noise().quantize(16), "GIF"))
    gif[6:10] = struct.pack("<HH", side, side)
    frame = struct.pack("<I", side - 1)[:3] * 2
    webp = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + frame
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 273: 8, 277: 1, 278: side, 279: 40}
    return {
        "JPEG": bytes(jpeg),
        "PNG": png(side, side, (b"IDAT", zlib.compress(bytes(999)))),
        "GIF": bytes(gif),
        "TIFF": tiff(tags, zlib.compress(bytes(999))),
        "WEBP": b"RIFF" + struct.pack("<I", len(webp)) + webp,
        "BMP": bmp(side, side, bytes(999)),
    }


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that cost a careless reader gigabytes or minutes."""
    side = 9_459
    rows = zlib.compress(bytes(side * (4 * side + 1)), 1)
    yield "png of zeros", png(side, side, (b"IDAT", rows), colour=6)
    yield "png text", png(9, 9, (b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 1)))
    yield "png profile", png(9, 9, (b"iCCP", b"a\0\0" + zlib.compress(bytes(200_000_000), 1)))
    yield "png chunks", png(9, 9, *[(b"tEXt", b"a\0")] * 100_000)
    tags = {256: side, 257: side, 259: 8, 262: 2, 273: 8, 277: 3, 278: side, 279: len(rows)}
    yield "tiff strip", tiff(tags, rows)
    tags = {256: 9, 257: 9, 259: 8, 262: 1, 322: 60_000, 323: 60_000, 324: 8, 325: len(rows)}
    yield "tiff tile", tiff(tags, rows)
    many = dict.fromkeys(range(40000, 60000), 8)
    yield "tiff tags", tiff({256: 9, 257: 9, 262: 1, 273: 8, 279: 81, **many}, bytes(81))
    frames = [Image.new("L", (99, 99), n % 256) for n in range(3_000)]
    yield "gif frames", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield "bmp runs", bmp(9_000, 9_000, b"\1\0\0\0" * 9_000 + b"\0\1", depth=8, compression=1)
    scans = encoded(Image.new("L", (4_000, 4_000), 9), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    yield "jpeg scans", scans[:-2] + scans[last:-2] * 1_000 + b"\xff\xd9"
    exif = b"Exif\0\0" + tiff(dict.fromkeys(range(1000), 2**31), b"")
    jpeg = encoded(_noise(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    yield "jpeg exif", jpeg[:2] + segment + jpeg[2:]
    yield "jpeg segments", jpeg[:2] + b"\xff\xe1\x00\x02" * 300_000 + jpeg[2:]
    yield "webp frame", encoded(Image.new("RGB", (5_900, 5_900)), "WEBP", lossless=True, method=0)


def largest() -> Iterator[tuple[str, bytes]]:
    """Sound pictures of nearly as many pixels as are taken, in the forms that cost most."""
    size = (9_459, 9_459)
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = Image.new("I;16", size, 999)
    yield "png deep", encoded(grey, "PNG", compress_level=1)
    yield "tiff float", encoded(Image.new("F", size, 9.5), "TIFF", compression="tiff_lzw")
    colour = Image.new("RGB", size, (9, 99, 199))
    yield "jpeg turned", encoded(colour, "JPEG", exif=exif)
    yield "jpeg progressive", encoded(colour, "JPEG", progressive=True, subsampling=0)
    yield "tiff turned", encoded(colour, "TIFF", compression="tiff_lzw", tiffinfo={274: 6})
    yield "tiff inks", encoded(colour.convert("CMYK"), "TIFF", compression="tiff_lzw")
    glass = Image.new("RGBA", size, (9, 99, 199, 99))
    yield "png alpha", encoded(glass, "PNG", compress_level=1)
    yield "tiff strip", encoded(glass, "TIFF", compression="tiff_lzw", strip_size=10**9)
    yield "gif", encoded(Image.new("P", size, 3), "GIF")
    page = Image.new("RGBA", (5_900, 5_900), (9, 99, 199, 99))
    yield "webp", encoded(page, "WEBP", lossless=True, method=0)
