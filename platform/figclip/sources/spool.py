"""Temporary files that no name leads to: whatever kills the process, nothing of them is left."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from figclip.config import UsageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENOENT)


@contextmanager
def spooled() -> Iterator[BinaryIO]:
    """An empty temporary file, which stays open, rewound, unless the body raises.

    `UsageError` where the disk does not take it.
    """
    file = None
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
        yield file
        file.seek(0)
    except BaseException as error:
        if file is not None:
            _close(file)
        if isinstance(error, OSError) and error.errno in FULL:
            raise UsageError(
                f"{tempfile.gettempdir()} does not take a temporary file ({error.strerror}); free "
                f"some space or set TMPDIR to another folder, then run the same command again"
            ) from error
        raise


def _close(file: BinaryIO) -> None:
    """What a full disk did not take would be written once more now, in vain."""
    try:
        file.close()
    except OSError:
        return
