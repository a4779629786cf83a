"""Folders on a local disk or on S3, and the faults of disks in words that name the remedy."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from figclip.config import UsageError


@dataclass(frozen=True)
class Folder:
    """A folder on some filesystem: what a stage writes to and reads from."""

    fs: pafs.FileSystem
    path: str

    def __truediv__(self, name: str) -> "Folder":
        return Folder(self.fs, f"{self.path}/{name}")

    def read(self, name: str) -> bytes:
        with self.fs.open_input_file(f"{self.path}/{name}") as file:
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all, replacing an older one."""
        target = f"{self.path}/{name}"
        if isinstance(self.fs, pafs.LocalFileSystem):
            _write_local(Path(target), data)
            return
        with self.fs.open_output_stream(target) as file:  # S3: visible when the upload completes
            file.write(data)

    def exists(self, name: str) -> bool:
        return self.fs.get_file_info(f"{self.path}/{name}").type == pafs.FileType.File

    def files(self) -> dict[str, int]:
        """Relative path → size of every whole file below, in the order of the paths."""
        selector = pafs.FileSelector(self.path, recursive=True, allow_not_found=True)
        found = self.fs.get_file_info(selector)
        return {
            info.path[len(self.path) + 1 :]: info.size
            for info in sorted(found, key=lambda info: info.path)
            if info.type == pafs.FileType.File and not _is_part(info.base_name)
        }

    def discard_parts(self) -> None:
        """Delete what a process that was killed had begun to write."""
        if isinstance(self.fs, pafs.LocalFileSystem):
            for path in Path(self.path).rglob(".*.part"):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        if self.fs.get_file_info(self.path).type == pafs.FileType.Directory:
            self.fs.delete_dir(self.path)

    def upload(self, folder: Path) -> None:
        """Copy every file below a local folder to here."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.write(path.relative_to(folder).as_posix(), path.read_bytes())

    def download(self, folder: Path) -> Path:
        """A local folder with the same files: this very one where it is local, else a copy."""
        if isinstance(self.fs, pafs.LocalFileSystem):
            return Path(self.path)
        for name in self.files():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(name))
        return folder


def _write_local(target: Path, data: bytes) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _is_part(name: str) -> bool:
    return name.startswith(".") and name.endswith(".part")


@contextmanager
def clear_disk_errors(where: str) -> Iterator[None]:
    """Turn "no space left", "read-only" and S3's refusals into a sentence that names the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UsageError(
                f"no space left for {where}: free some or choose another --store, then run the "
                f"same command again; nothing partial was published"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise UsageError(
                f"{where} is not writable ({error.strerror}): choose another --store"
            ) from error
        if "AWS Error" in str(error):  # pyarrow gives its errors of S3 no number
            raise UsageError(
                f"{where} failed: {error}; check bucket, endpoint and credentials, then run the "
                f"same command again"
            ) from error
        raise
