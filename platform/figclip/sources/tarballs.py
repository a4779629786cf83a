"""Members of a gzipped tar, one after another, of which nothing is believed.

Python's own `tarfile` trusts what a header says: it reads names of any stated length into memory,
and some headers keep its expressions and loops busy for ever (CVE-2024-6232, CVE-2025-8194). What
is needed here is little: names and bytes of regular files, in one pass, in bounded memory and time.
Format: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from figclip.sources.pmc_cloud import UNSAFE, BadMetadata

BLOCK = 512
PIECE_BYTES = 2**20

MOST_MEMBERS = 10_000
MOST_HEADER_BYTES = 2**16
"""Of a long name or of a pax header; a file system takes far shorter names."""
LONGEST_NAME = 255
MOST_RATIO = 100
"""Text shrinks to a tenth, pictures hardly at all."""
ALWAYS_UNPACKED_BYTES = 256 * 2**20
"""So much may come out of however small a package."""

REGULAR = (b"0", b"\0", b"7")
WITHOUT_BYTES = (b"1", b"2", b"3", b"4", b"5", b"6")
"""Links, devices, folders and pipes: no data blocks follow, whatever size they state."""
KINDS = {b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


class BadPackage(BadMetadata):
    """A package that cannot be read as a whole; `reason` is a word to count by.

    `corrupt_package`, `gzip_bomb`, `too_many_members`, `no_xml`, `ambiguous_xml`.
    """


@dataclass(frozen=True)
class Member:
    """A file of the package as its header states it."""

    name: str
    """Without folders; as it stands in the package where `objection` speaks of it."""
    size: int
    """Bytes."""
    objection: str
    """Why it may not be used; empty for a regular file of a plain name."""


class Unpacked:
    """What a gzipped file unpacks to, from its beginning to its end."""

    def __init__(self, packed: BinaryIO) -> None:
        self.packed = packed
        self.stream = gzip.GzipFile(fileobj=packed, mode="rb")
        self.total = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes, at most a piece of them; none at the end."""
        try:
            data = self.stream.read(min(size, PIECE_BYTES))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadPackage("corrupt_package", f"it does not unpack: {error}") from error
        self.total += len(data)
        if self.total > max(ALWAYS_UNPACKED_BYTES, MOST_RATIO * self.packed.tell()):
            raise BadPackage("gzip_bomb", f"more than {MOST_RATIO} times its size comes out of it")
        return data

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, piece by piece; fewer at the end."""
        while size > 0 and (piece := self.read(size)):
            size -= len(piece)
            yield piece

    def block(self) -> bytes:
        return b"".join(self.pieces(BLOCK))


def members(unpacked: Unpacked) -> Iterator[Member]:
    """Every file, in the order of the package, up to its end.

    The bytes of a member stand next in `unpacked`; what the caller leaves of them is skipped. A
    member that states more bytes than follow is the last one.
    """
    for num_members, header in enumerate(_headers(unpacked)):
        if num_members >= MOST_MEMBERS:
            raise BadPackage("too_many_members", f"it has more than {MOST_MEMBERS}")
        end = unpacked.total + header.size
        if header.kind != "a folder":
            name = header.path.rpartition("/")[2]
            objection = _objection(header)
            yield Member(header.path if objection else name, header.size, objection)
        padded = end + -header.size % BLOCK
        for _ in unpacked.pieces(padded - unpacked.total):
            pass
    for _ in unpacked.pieces(2**63):  # to the end, where the checksum stands
        pass
    if not unpacked.total:
        raise BadPackage("corrupt_package", "it is empty")


@dataclass
class _Header:
    path: str
    size: int
    kind: str
    """What it is, other than a regular file."""


def _objection(header: _Header) -> str:
    *folders, name = header.path.split("/")
    if header.kind:
        return f"{header.kind}, no file"
    if header.path.startswith("/") or ".." in folders:
        return "its path leads elsewhere"
    if not name or len(name) > LONGEST_NAME or UNSAFE.search(name):
        return "no plain file name"
    return ""


def _headers(unpacked: Unpacked) -> Iterator[_Header]:
    """Headers of members; those that only speak of the next one are taken into it."""
    pax: dict[bytes, bytes] = {}
    long_name = b""
    num_extensions = 0
    while len(block := unpacked.block()) == BLOCK and any(block):
        flag, size = block[156:157], _number(block[124:136])
        _check(block)
        if flag in (b"x", b"X", b"g", b"L", b"K"):
            num_extensions += 1
            if num_extensions > 2 * MOST_MEMBERS:
                raise BadPackage("too_many_members", "it has more headers than members")
            data = _extension(unpacked, size)
            if flag in (b"x", b"X"):
                pax = _pax(data)
            elif flag == b"L":
                long_name = data.split(b"\0")[0]
            continue
        yield _header(unpacked, block, flag, size, long_name, pax)
        pax, long_name = {}, b""


def _header(
    unpacked: Unpacked,
    block: bytes,
    flag: bytes,
    size: int,
    long_name: bytes,
    pax: dict[bytes, bytes],
) -> _Header:
    path = _text(pax.get(b"path") or long_name or _short_name(block))
    kind = KINDS.get(flag, "")
    if flag == b"5" or (flag == b"\0" and path.endswith("/")):
        kind = "a folder"
    elif flag == b"S" or any(name.startswith(b"GNU.sparse.") for name in pax):
        kind = "a sparse file"
        is_extended = flag == b"S" and block[482] != 0
        while is_extended:
            more = unpacked.block()
            is_extended = len(more) == BLOCK and more[504] != 0
    elif flag not in REGULAR and not kind:
        kind = "of an unknown kind"
    if b"size" in pax:
        size = int(pax[b"size"]) if re.fullmatch(rb"[0-9]{1,18}", pax[b"size"]) else -1
    if size < 0:
        raise BadPackage("corrupt_package", f"{path!r} states no size")
    return _Header(path, 0 if flag in WITHOUT_BYTES else size, kind)


def _short_name(block: bytes) -> bytes:
    name = block[:100].split(b"\0")[0]
    prefix = block[345:500].split(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _number(field: bytes) -> int:
    """Octal digits, or binary after a byte 0x80; -1 for anything else."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    if not digits:
        return 0
    return int(digits, 8) if re.fullmatch(rb"[0-7]+", digits) else -1


def _check(block: bytes) -> None:
    """Some old programs summed signed bytes."""
    stated = _number(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(rest)
    if stated not in (unsigned, unsigned - 256 * sum(byte > 127 for byte in rest)):
        raise BadPackage("corrupt_package", "a header is damaged, or it is no tar")


def _extension(unpacked: Unpacked, size: int) -> bytes:
    if not 0 <= size <= MOST_HEADER_BYTES:
        raise BadPackage("corrupt_package", f"a header of {size} bytes")
    return b"".join(unpacked.pieces(size + -size % BLOCK))[:size]


def _pax(data: bytes) -> dict[bytes, bytes]:
    """Records `{length} {key}={value}\\n`; the length is that of the whole record."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        length = re.compile(rb"([0-9]{1,6}) ").match(data, at)
        end = at + int(length[1]) if length else 0
        if length is None or not length.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise BadPackage("corrupt_package", "a pax header is damaged")
        key, _, value = data[length.end() : end - 1].partition(b"=")
        found[key] = value
        at = end
    return found
