"""A process that decodes pictures: `-m` this, `SOCKET MEMORY RECIPE`.

It reads pictures from a socket, each after its length, and answers each with a word of one byte and
what belongs to it: the levels of the square, or why there are none. Everything that strangers sent
is parsed here and nowhere else; the process has a limit of memory, and may be killed at any time.
Pillow and numpy are all that it imports, so that another one is ready at once.
"""

import ctypes
import json
import resource
import signal
import socket
import struct
import sys

from PIL import Image

from figclip.pictures.squares import Square, UnreadableImage, decode, square_of

LENGTH = struct.Struct("<Q")
ANSWER = struct.Struct("<cQ")
READY, LEVELS, BROKEN, TOO_LARGE = b"R", b"L", b"B", b"M"
"""It has started; levels follow; the file is broken (why, in words); the memory did not suffice."""

DIE_WITH_PARENT = 1
"""`PR_SET_PDEATHSIG` of Linux's prctl."""


def receive(connection: socket.socket, num_bytes: int) -> bytearray:
    """`EOFError` where the other side has gone."""
    data = bytearray(num_bytes)
    view, start = memoryview(data), 0
    while start < num_bytes:
        read = connection.recv_into(view[start:])
        if not read:
            raise EOFError
        start += read
    return data


def serve(
    connection: socket.socket, square: Square, *, max_pixels: int, formats: tuple[str, ...]
) -> None:
    """Until the other side hangs up."""
    while True:
        try:
            (num_bytes,) = LENGTH.unpack(receive(connection, LENGTH.size))
            data = bytes(receive(connection, num_bytes))
        except EOFError:
            return
        word, told = _answer(data, square, max_pixels=max_pixels, formats=formats)
        connection.sendall(ANSWER.pack(word, len(told)))
        connection.sendall(told)


def _answer(
    data: bytes, square: Square, *, max_pixels: int, formats: tuple[str, ...]
) -> tuple[bytes, bytes]:
    try:
        image = decode(data, max_pixels=max_pixels, formats=formats)
        return LEVELS, square_of(image, square).tobytes()
    except MemoryError:
        return TOO_LARGE, b""
    except UnreadableImage as error:
        if isinstance(error.__cause__, MemoryError):
            return TOO_LARGE, b""
        return BROKEN, str(error).encode()
    except Exception as error:  # of resizing what decoded to something odd
        return BROKEN, f"{type(error).__name__}: {error}".encode()


def main(descriptor: str, max_bytes: str, recipe: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when it ends
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (int(max_bytes), int(max_bytes)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    told = json.loads(recipe)
    Image.init()
    with socket.socket(fileno=int(descriptor)) as connection:
        connection.sendall(ANSWER.pack(READY, 0))
        serve(
            connection,
            Square(**told["square"]),
            max_pixels=told["max_pixels"],
            formats=tuple(told["formats"]),
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
