"""Folders on a local disk or on S3, and the faults of disks in words that name the remedy."""

import errno
import fcntl
import io
import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.fs as pafs

from figclip.config import UsageError

log = logging.getLogger(__name__)

UPLOAD_BYTES = 8 * 2**20
COPIED_BYTES = 5 * 10**9
"""What S3 copies in one request: CopyObject in its API reference."""
SCRATCH = ".scratch."


@dataclass(frozen=True)
class Folder:
    """A folder on some filesystem: what a stage writes to and reads from."""

    fs: pafs.FileSystem
    path: str
    shared: Mapping[str, str] = field(default_factory=dict)
    """Files that another folder holds for this one: relative path → path of that folder, in which
    the file has the same relative path. They are read like the folder's own."""

    def __truediv__(self, name: str) -> "Folder":
        inner = {
            path.removeprefix(f"{name}/"): f"{owner}/{name}"
            for path, owner in self.shared.items()
            if path.startswith(f"{name}/")
        }
        return Folder(self.fs, f"{self.path}/{name}", inner)

    def locate(self, name: str) -> str:
        """The path on the filesystem at which a file lies, be it here or elsewhere."""
        return f"{self.shared.get(name, self.path)}/{name}"

    def open(self, name: str) -> pa.NativeFile:
        return self.fs.open_input_file(self.locate(name))

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all, replacing an older one."""
        self._write_from(name, io.BytesIO(data), len(data))

    def take(self, name: str, path: Path) -> None:
        """Move a local file to here, whole or not at all, replacing an older one."""
        if isinstance(self.fs, pafs.LocalFileSystem):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            target = Path(self.path) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            part = Path(_part_beside(str(target)))
            shutil.move(path, part)  # a copy, where `path` lies on another disk
            part.replace(target)
            return
        self._copy_from(name, path)
        path.unlink()

    def _copy_from(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            self._write_from(name, file, path.stat().st_size)

    def _write_from(self, name: str, file: BinaryIO, num_bytes: int) -> None:
        """Every file comes here by this way, but a local one that is renamed."""
        target = f"{self.path}/{name}"
        if isinstance(self.fs, pafs.LocalFileSystem):
            _write_local(Path(target), file)
        else:
            _upload(self.fs, target, file, num_bytes)

    def delete(self, name: str) -> None:
        if self.fs.get_file_info(f"{self.path}/{name}").type == pafs.FileType.File:
            self.fs.delete_file(f"{self.path}/{name}")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A local folder for unfinished files, on the disk of this one where that is local."""
        here = isinstance(self.fs, pafs.LocalFileSystem)
        if here:
            Path(self.path).mkdir(parents=True, exist_ok=True)
        name = f"{SCRATCH}{os.getpid()}."
        with tempfile.TemporaryDirectory(prefix=name, dir=self.path if here else None) as path:
            yield Path(path)

    def exists(self, name: str) -> bool:
        return self.fs.get_file_info(self.locate(name)).type == pafs.FileType.File

    def files(self) -> dict[str, int]:
        """Relative path → size of every whole file below, in the order of the paths."""
        found = self._files_in(self.path)
        for owner in sorted(set(self.shared.values())):
            theirs = self._files_in(owner)
            found |= {n: theirs[n] for n, at in self.shared.items() if at == owner and n in theirs}
        return dict(sorted(found.items()))

    def _files_in(self, path: str) -> dict[str, int]:
        selector = pafs.FileSelector(path, recursive=True, allow_not_found=True)
        return {
            info.path[len(path) + 1 :]: info.size
            for info in self.fs.get_file_info(selector)
            if info.type == pafs.FileType.File
            and not _is_part(info.base_name)
            and not info.path[len(path) + 1 :].startswith(SCRATCH)
        }

    def discard_parts(self) -> None:
        """Delete what a process that was killed had begun to write.

        One that is writing here now fails, and what it was about to replace stays as it is.
        """
        if isinstance(self.fs, pafs.LocalFileSystem):
            for path in Path(self.path).rglob(".*.part"):
                path.unlink(missing_ok=True)
            for path in Path(self.path).glob(f"{SCRATCH}*"):
                shutil.rmtree(path, ignore_errors=True)
            return
        selector = pafs.FileSelector(self.path, recursive=True, allow_not_found=True)
        for info in self.fs.get_file_info(selector):
            if info.type == pafs.FileType.File and _is_part(info.base_name):
                with suppress(FileNotFoundError):  # finished meanwhile
                    self.fs.delete_file(info.path)

    def clear(self) -> None:
        if self.fs.get_file_info(self.path).type == pafs.FileType.Directory:
            self.fs.delete_dir(self.path)

    def upload(self, folder: Path) -> None:
        """Copy every file below a local folder to here."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self._copy_from(path.relative_to(folder).as_posix(), path)

    @contextmanager
    def built_locally(self) -> Iterator[Path]:
        """A local folder whose files end up here when the body ends well: itself, where local."""
        if isinstance(self.fs, pafs.LocalFileSystem):
            yield Path(self.path)
            return
        with tempfile.TemporaryDirectory(prefix="figclip-") as path:
            yield Path(path)
            self.upload(Path(path))

    def download(self, folder: Path) -> Path:
        """A local folder with the same files: this very one where it has them all, else a copy."""
        if isinstance(self.fs, pafs.LocalFileSystem) and not self.shared:
            return Path(self.path)
        for name in self.files():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(name))
        return folder


def _write_local(target: Path, file: BinaryIO) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(_part_beside(str(target)))
    try:
        with part.open("wb") as copy:
            shutil.copyfileobj(file, copy, UPLOAD_BYTES)
            copy.flush()
            os.fsync(copy.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _upload(fs: pafs.FileSystem, target: str, file: BinaryIO, num_bytes: int) -> None:
    """Upload beside, let S3 copy it to its place: a reader sees the old object or the new one.

    pyarrow completes an upload whenever its stream is closed, and so also when its writing is
    interrupted: at the place itself half a file would stand then. An object that is too large for
    S3 to copy is uploaded to its place nevertheless, and deleted there if that is interrupted.
    """
    place = _part_beside(target) if num_bytes <= COPIED_BYTES else target
    try:
        with fs.open_output_stream(place) as upload:
            shutil.copyfileobj(file, upload, UPLOAD_BYTES)
        if place != target:
            fs.move(place, target)  # a copy within S3, which replaces in one piece, and a deletion
    except BaseException:
        with suppress(OSError):
            fs.delete_file(place)
        raise


def _part_beside(target: str) -> str:
    """A path that nobody else writes to, of a name that is no data."""
    folder, _, name = target.rpartition("/")
    return f"{folder}/.{name}.{secrets.token_hex(6)}.part"


def _is_part(name: str) -> bool:
    return name.startswith(".") and name.endswith(".part")


@contextmanager
def only_one_process(folder: Folder, what: str) -> Iterator[None]:
    """Keep a folder for the body alone; `UsageError` where another body has it, here or elsewhere.

    The lock is one of the file `.{folder}.lock` beside the folder. It ends with its process,
    however that dies, so the file may stay. S3 has no locks: there this does nothing.
    """
    if not isinstance(folder.fs, pafs.LocalFileSystem):
        yield
        return
    place = Path(folder.path)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f".{place.name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{what} is being published by another process; wait for it, or end it, or name "
                f"another version"
            ) from error
        except OSError as error:  # some network disks know no locks
            log.warning("%s: no lock (%s); start a job once only", place, error.strerror)
        yield


@contextmanager
def clear_disk_errors(where: str) -> Iterator[None]:
    """Turn "no space left", "read-only" and S3's refusals into a `UsageError` with the remedy.

    The text of the error is what counts: pyarrow gives its errors of S3 no number, and from a task
    Ray hands on neither number nor type, but the whole text.
    """
    try:
        yield
    except Exception as error:
        if type(error) is UsageError:  # not one that Ray wraps: its text is a whole traceback
            raise
        remedy = _remedy(str(error), where)
        if remedy is None:
            raise
        raise UsageError(remedy) from error


def _remedy(text: str, where: str) -> str | None:
    if told := re.search(r"^figclip\.config\.UsageError: (.+)$", text, re.MULTILINE):
        return told[1]  # a task has said it already
    again = "then run the same command again"
    found = re.search(r"\[Errno (\d+)\]", text)
    match int(found[1]) if found else None:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return (
                f"no space left for {where}: free some or choose another --store, {again}; "
                f"nothing partial was published"
            )
        case errno.EACCES | errno.EROFS | errno.EPERM | errno.ENOTDIR as number:
            return f"{where} is not writable ({os.strerror(number)}): choose another --store"
    if "AWS Error" in text:
        return f"{where} failed: {text}; check bucket, endpoint and credentials, {again}"
    return None
