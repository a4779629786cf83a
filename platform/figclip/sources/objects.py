"""Objects by key: the small seam that every bucket keeps, and what may be wrong with an object."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from figclip.config import UsageError

MOST_OBJECT_BYTES = 512 * 2**20
"""No object that is read whole is larger: one of them must fit into a worker's memory."""


class MissingObject(KeyError):
    """The bucket holds nothing under this key."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError's own text would be quoted


class CorruptObject(Exception):
    """An object whose bytes are not those that its md5 speaks of, however often it is read."""


class Refused(Exception):
    """An object that the bucket does not hand out, be it for want of rights: no try would help.

    It may be this one alone. A refusal that is the whole bucket's is a `UsageError`.
    """


class Unreachable(UsageError):
    """An object or a list that did not arrive whole in any of its tries: the network's affair."""


class _Sized(Exception):
    def __init__(self, size: int, detail: str = "") -> None:
        super().__init__(size, detail)
        self.size = size
        """Bytes, as stated before any was read."""
        self.detail = detail

    def __str__(self) -> str:
        return self.detail or f"{self.size} bytes"


class LargeObject(_Sized):
    """Larger than the caller wants to read now; nothing of it was read."""


class HugeObject(_Sized):
    """Larger than anything that is read at all; nothing of it was read."""


@dataclass(frozen=True)
class Entry:
    """An object as a listing states it."""

    key: str
    etag: str
    """Another whenever the object changes; without quotes. Of a file: `{size}-{mtime_ns}`."""
    size: int
    """Bytes."""


class Bucket(Protocol):
    """Objects by key, to read. A bucket is a small value: it pickles, and opens nothing itself.

    Its text (`str`) is the URL or the path that people know it by. Everything that reads may raise
    `UsageError`: `Unreachable` where all tries were in vain, its base where no try would help. What
    reads one object may raise `Refused` as well.
    """

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """What follows `s3://` in the URLs of its objects: bucket, and key prefix if any."""

    def get(self, key: str, *, md5: str = "", at_most: int | None = None) -> bytes:
        """The whole object; `MissingObject` where there is none.

        With `md5` (hex) only bytes that have it, else `CorruptObject`. `LargeObject` where it has
        more than `at_most` bytes, `HugeObject` where it is larger than the bucket ever reads.
        """

    def open(self, key: str, *, at_most: int) -> BinaryIO:
        """The object as a file to seek in, for the caller to close; `HugeObject` beyond `at_most`.

        It takes no memory: what comes over a network lies in a temporary file without a name.
        """

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key begins with `prefix`, in the order of code points."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that begins with `prefix`, in the order of code points."""


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def check_size(where: str, size: int, *, at_most: int | None, ever: int) -> None:
    """`HugeObject` beyond `ever` bytes, `LargeObject` beyond `at_most`."""
    if size > ever:
        raise HugeObject(size, f"{where} has {size} bytes, more than the {ever} that are ever read")
    if at_most is not None and size > at_most:
        raise LargeObject(size, f"{where} has {size} bytes, more than {at_most}")


def corrupt(where: str, found: str, stated: str) -> CorruptObject:
    return CorruptObject(f"{where} has the md5 {found}, stated is {stated}")
