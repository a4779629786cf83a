"""Bad requests of twelve classes: pixels, truncation, polyglots, frames, modes, base64, text size,
Unicode, JSON shapes, URLs, lying headers, slow bodies (these last need a socket and stand in the
test). Every one has to be answered by a 4xx."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from serving_fakes import image_bytes

MODEL_ID = "encoder@tiny"
URLS = (
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://0x7f.1:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0.0.01:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.255.255.254:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://192.168.0.1:{port}/",
    "http://169.254.169.254:{port}/latest/meta-data/",
    "http://100.64.0.1:{port}/",
    "http://224.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    "http://user:secret@127.0.0.1:{port}/",
    "http://example.org@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.org/",
    "http://127.0.0.1:{port}\\@example.org/",
    "http:\\\\127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://ⓛocalhost:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1%00.example.org:{port}/",
    "http://127.0.0.1\t:{port}/",
    "//127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "dict://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
    "jar:http://127.0.0.1:{port}!/",
)
"""Spellings of places that nobody from outside may make a server speak to."""


@dataclass(frozen=True)
class Bad:
    """A request that nobody should send."""

    kind: str
    name: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"
    path: str = "/v1/embeddings"


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def asked(**words: Any) -> bytes:
    return json.dumps({"model": MODEL_ID, "input": "a", **words}).encode()


def bad_inputs() -> list[Bad]:
    """At least two hundred."""
    found: list[Bad] = []
    for kind, make in CLASSES.items():
        for name, body in make():
            if isinstance(body, Bad):
                found.append(body)
            else:
                found.append(Bad(kind, name, body))
    return found


Cases = Iterator[tuple[str, bytes | Bad]]


def with_image(data: bytes) -> bytes:
    """The bad image between two good items."""
    return asked(input=["a", uri(data), "b"])


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = data or zlib.compress(bytes(1000))
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif(width: int, height: int) -> bytes:
    data = bytearray(image_bytes("GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def jpeg(width: int, height: int) -> bytes:
    data = bytearray(image_bytes("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff(width: int, height: int) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 40}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(4)


def pixels() -> Cases:
    sides = (
        (0, 0),
        (0, 9),
        (9, 0),
        (7_072, 7_072),
        (12_000, 12_000),
        (60_000, 60_000),
        (2**16, 1_000),
    )
    for width, height in sides:
        name = f"{width}x{height}"
        yield f"png {name}", with_image(png(width, height, 1, 0))
        if max(width, height) < 2**16:
            yield f"jpeg {name}", with_image(jpeg(width, height))
            if width * height > 50_000_000:
                yield f"gif {name}", with_image(gif(width, height))
        yield f"tiff {name}", with_image(tiff(width, height))
    yield "png 2^31", with_image(png(2**31 - 1, 2**31 - 1))
    yield "png 2^31 wide", with_image(png(2**31 - 1, 1))
    words = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(60_000_000)))
    whole = png(8, 8)
    yield "png of few pixels and 60 MB of words", with_image(whole[:33] + words + whole[33:])


def truncation() -> Cases:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF"):
        data = image_bytes(kind, (64, 64))
        for percent in range(0, 90, 5):
            yield f"{kind} {percent} %", with_image(data[: len(data) * percent // 100])


def polyglots() -> Cases:
    good = image_bytes("JPEG")
    for name, data in {
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>",
        "xml entity": b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><svg>&b;</svg>",
        "html before": b"<script>1</script>" + good,
        "zip": b"PK\3\4" + good,
        "pdf": b"%PDF-1.7\n" + good,
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "bmp": image_bytes("BMP"),
        "ico": image_bytes("ICO"),
        "ppm": image_bytes("PPM"),
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
        "avif": b"\0\0\0\x1cftypavif" + bytes(60),
        "psd": b"8BPS\0\1" + bytes(60),
        "wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
        "png head, jpeg body": b"\x89PNG\r\n\x1a\n" + good,
        "jpeg head, png body": b"\xff\xd8\xff" + image_bytes("PNG"),
        "gif head, nothing": b"GIF89a",
        "webp head, nothing": b"RIFF\x04\0\0\0WEBP",
        "pickle": b"\x80\x04\x95" + bytes(30),
        "elf": b"\x7fELF" + bytes(60),
        "gzip": b"\x1f\x8b\x08" + bytes(60),
    }.items():
        yield name, with_image(data)


def frames() -> Cases:
    still = Image.new("L", (8, 8))
    out = io.BytesIO()
    still.save(
        out, "GIF", save_all=True, append_images=[Image.new("L", (8, 8), n) for n in range(9)]
    )
    moving = out.getvalue()
    yield "gif cut in its first frame", with_image(moving[:30])
    yield "gif without frames", with_image(moving[:13] + b";")
    yield "gif of blocks only", with_image(b"GIF89a" + bytes(7) + b"\x21\xfe\x05abcde\0" * 50)
    yield (
        "webp that animates nothing",
        with_image(webp_of(b"ANIM" + struct.pack("<I", 6) + bytes(6))),
    )
    yield (
        "tiff without pixels that names itself as next",
        with_image(tiff(80, 80)[:-4] + struct.pack("<I", 8)),
    )
    yield (
        "png whose frames are elsewhere",
        with_image(
            png(8, 8)[:33] + chunk(b"acTL", struct.pack(">II", 2**31, 0)) + chunk(b"IEND", b"")
        ),
    )


def webp_of(data: bytes) -> bytes:
    head = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + b"\7\0\0" * 2
    return b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data


def modes() -> Cases:
    for depth, colour in ((3, 2), (16, 3), (8, 1), (8, 5), (8, 7), (32, 2), (0, 0), (1, 2), (2, 4)):
        yield f"png depth {depth} colour {colour}", with_image(png(8, 8, depth, colour))
    yield "png without its palette", with_image(png(8, 8, 8, 3, zlib.compress(bytes(3))))
    yield (
        "tiff of 4 billion samples",
        with_image(
            tiff(8, 8).replace(
                struct.pack("<HHII", 277, 4, 1, 1), struct.pack("<HHII", 277, 4, 1, 2**32 - 1)
            )
        ),
    )


def base64s() -> Cases:
    good = base64.b64encode(image_bytes("PNG")).decode()
    for name, text in {
        "nothing": "data:image/png;base64,",
        "no base64": "data:image/png,abc",
        "no comma": "data:image/png;base64",
        "no type": "data:;base64,QUJD",
        "signs": "data:image/png;base64,????",
        "urlsafe": "data:image/png;base64," + good.replace("+", "-").replace("/", "_") + "-_==",
        "newlines": "data:image/png;base64,"
        + "\n".join(good[n : n + 76] for n in range(0, 400, 76)),
        "blanks": "data:image/png;base64," + good[:40] + " " + good[40:],
        "padding first": "data:image/png;base64,=" + good,
        "padding amiss": "data:image/png;base64," + good.rstrip("=") + "Q" * 5,
        "odd": "data:image/png;base64,QQ",
        "twice": "data:image/png;base64,data:image/png;base64," + good,
        "percent": "data:image/png;base64," + good.replace("=", "%3D") + "%3D",
        "hex": "data:image/png;base64," + image_bytes("PNG").hex()[:-1],
        "nul": "data:image/png;base64," + good[:8] + "\0" + good[8:],
        "type of text": "data:text/html;base64,PGI+",
        "very long type": "data:image/" + "a" * 5_000 + ";base64,QUJD",
        "many parameters": "data:image/png" + ";a=b" * 500 + ";base64,QUJD",
    }.items():
        yield name, asked(input=["a", text])
    yield "words as an image", asked(input=["words"], modality="image")
    yield "Jina's image of words", asked(input=[{"image": "words"}])
    yield (
        "vLLM's image of words",
        asked(
            input=None,
            messages=[{"content": [{"type": "image_url", "image_url": {"url": "words"}}]}],
        ),
    )


def text_sizes() -> Cases:
    yield "empty", asked(input="")
    yield "empties", asked(input=["a", ""])
    yield "blanks", asked(input=" \n\t\u2003")
    yield "too long", asked(input="a" * 100_001)
    yield "too long, one word in many", asked(input=["a", "b" * 100_001])
    yield "too many", asked(input=["a"] * 257)
    yield "far too many", asked(input=["a"] * 60_000)
    yield "too long a body", asked(input=["a" * 99_000] * 400)
    yield "no items", asked(input=[])


def unicodes() -> Cases:
    raw = {
        "lone high surrogate": rb"\ud800",
        "lone low surrogate": rb"\udfff",
        "surrogates in the wrong order": rb"\ude00\ud83d",
        "escape cut": rb"\u12",
        "escape of no kind": rb"\x41",
        "half an emoji in bytes": b"\xf0\x9f",
        "overlong slash": b"\xc0\xaf",
        "encoded surrogate": b"\xed\xa0\x80",
        "beyond Unicode": b"\xf4\x90\x80\x80",
        "latin-1": "é".encode("latin-1"),
        "control sign": b"\x01",
        "newline": b"\n",
    }
    for name, text in raw.items():
        yield name, b'{"model": "encoder@tiny", "input": "' + text + b'"}'
    yield "utf-16", asked().decode().encode("utf-16")
    yield "utf-32", asked().decode().encode("utf-32")
    yield "utf-8 with a mark", b"\xef\xbb\xbf" + asked()


def shapes() -> Cases:
    for name, value in {
        "null": None,
        "number": 1,
        "true": True,
        "object": {},
        "two names": {"text": "a", "image": "b"},
        "unknown name": {"audio": "a"},
        "tokens": [1, 2, 3],
        "lists of tokens": [[1], [2]],
        "lists": [["a"]],
        "mixed": ["a", 1],
        "nulls": [None],
        "text of a number": [{"text": 1}],
        "image of null": [{"image": None}],
    }.items():
        yield f"input {name}", asked(input=value)
    for name, words in {
        "model is missing": {"model": None},
        "model of a number": {"model": 5},
        "model unknown": {"model": "gpt-5"},
        "model of a path": {"model": "../../etc/passwd"},
        "model empty": {"model": ""},
        "model of another version": {"model": "encoder@other"},
        "dimensions 0": {"dimensions": 0},
        "dimensions -1": {"dimensions": -1},
        "dimensions 8": {"dimensions": 8},
        "dimensions 1e9": {"dimensions": 10**9},
        "dimensions in words": {"dimensions": "16"},
        "dimensions a fraction": {"dimensions": 16.5},
        "format unknown": {"encoding_format": "int8"},
        "format null": {"encoding_format": None},
        "modality unknown": {"modality": "sound"},
        "unknown word": {"temperature": 1},
        "both ways": {"messages": [{"content": "a"}]},
        "no messages": {"input": None, "messages": []},
        "message without content": {"input": None, "messages": [{"role": "user"}]},
        "part of no type": {"input": None, "messages": [{"content": [{"text": "a"}]}]},
        "part of another type": {"input": None, "messages": [{"content": [{"type": "audio"}]}]},
        "no parts": {"input": None, "messages": [{"content": []}]},
        "image_url of a number": {
            "input": None,
            "messages": [{"content": [{"type": "image_url", "image_url": 5}]}],
        },
    }.items():
        yield name, asked(**words)
    for name, body in {
        "nothing": b"",
        "null": b"null",
        "list": b"[]",
        "text": b'"a"',
        "open": b"{",
        "deep": b"[" * 100_000,
        "deep and closed": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        "deep input": b'{"model": "encoder@tiny", "input": ' + b"[" * 9_999 + b"]" * 9_999 + b"}",
        "two bodies": asked() + asked(),
        "comma at the end": asked()[:-1] + b",}",
        "comment": b"/* a */" + asked(),
        "single quotes": b"{'model': 'encoder@tiny', 'input': 'a'}",
        "NaN": b'{"model": "encoder@tiny", "input": "a", "dimensions": NaN}',
        "1e999": b'{"model": "encoder@tiny", "input": "a", "dimensions": 1e999}',
        "5000 digits": b'{"model": "encoder@tiny", "input": "a", "dimensions": '
        + b"9" * 5_000
        + b"}",
        "form": b"model=encoder%40tiny&input=a",
        "binary": bytes(range(256)) * 40,
    }.items():
        yield f"body {name}", body
    for path, bodies in {
        "/v1/zero-shot": (
            {"images": [], "classes": ["a"]},
            {"images": [uri(image_bytes())], "classes": []},
            {"images": [uri(image_bytes())], "classes": ["a", "a"]},
            {"images": [uri(image_bytes())], "classes": ["a", ""]},
            {"images": [uri(image_bytes())], "classes": ["a"] * 3, "templates": []},
            {"images": ["words"], "classes": ["a", "b"]},
            {"images": [uri(image_bytes())], "classes": [str(n) for n in range(5_000)]},
            {"images": [uri(image_bytes())], "classes": ["a" * 60_000], "templates": ["{}{}"]},
            {"classes": ["a", "b"]},
        ),
        "/v1/similarity": (
            {"left": []},
            {"left": ["a"], "right": []},
            {"left": ["a"], "right": ["b", "c"], "pairs": True},
            {"left": ["a"], "pairs": True},
            {"left": "a", "right": [1]},
            {"left": ["a"] * 200, "right": ["b"] * 200},
        ),
    }.items():
        for number, words in enumerate(bodies):
            body = json.dumps({"model": MODEL_ID, **words}).encode()
            yield f"{path} {number}", Bad("shapes", f"{path} {number}", body, path=path)


def urls() -> Cases:
    for url in URLS:
        spelled = url.format(port=1)
        yield spelled, asked(input=[{"image": spelled}])


def lies() -> Cases:
    body = asked()
    for name, headers in {
        "text/plain": {"Content-Type": "text/plain"},
        "a form": {"Content-Type": "application/x-www-form-urlencoded"},
        "multipart": {"Content-Type": "multipart/form-data; boundary=a"},
        "html": {"Content-Type": "text/html; charset=utf-8"},
        "utf-7": {"Content-Type": "application/json; charset=utf-7"},
        "latin-1": {"Content-Type": "application/json; charset=iso-8859-1"},
        "gzip": {"Content-Encoding": "gzip"},
        "brotli": {"Content-Encoding": "br"},
        "no time": {"X-Timeout-S": "0"},
        "time backwards": {"X-Timeout-S": "-1"},
        "no number of seconds": {"X-Timeout-S": "soon"},
        "NaN seconds": {"X-Timeout-S": "nan"},
        "an age": {"X-Timeout-S": "1e9"},
    }.items():
        yield name, Bad("lies", name, body, headers)
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        yield method, Bad("lies", method, b"", method=method)
    for path in ("/", "/v2/embeddings", "/v1/embeddings/../../etc/passwd", "/v1/models/%2e%2e/x"):
        yield path, Bad("lies", path, b"", method="GET", path=path)


CLASSES: dict[str, Callable[[], Cases]] = {
    "pixels": pixels,
    "truncation": truncation,
    "polyglots": polyglots,
    "frames": frames,
    "modes": modes,
    "base64": base64s,
    "text size": text_sizes,
    "unicode": unicodes,
    "shapes": shapes,
    "urls": urls,
    "lies": lies,
}
