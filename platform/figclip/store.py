"""Artifacts: published folders `{name}/{version}` that are whole or absent, local or on S3.

An artifact exists when its `_manifest.json` does, and that file is written last, in one piece.
Object stores have no rename of folders, so the manifest is the only commit that works on all of
them; a local folder goes the same way. Files whose names begin with `_` are no data (pyarrow, Ray
and Spark skip them).
"""

import errno
import json
import logging
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from figclip import __version__
from figclip.config import UsageError

log = logging.getLogger(__name__)

MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class Manifest:
    """Where an artifact comes from and what it holds."""

    name: str
    version: str
    config: dict[str, Any]
    """The resolved config that made it; runs again."""
    inputs: tuple[str, ...]
    """Artifacts it was made from, each `name@version`."""
    counts: dict[str, Any]
    """Numbers that people ask for first."""
    code_revision: str
    """Git commit, with `+changes` where the work tree differs; else the package's version."""
    created: str
    """UTC, ISO 8601."""
    files: dict[str, int]
    """Relative path → size in bytes of every data file."""


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
        """Relative path → size of every file below, in the order of the paths."""
        selector = pafs.FileSelector(self.path, recursive=True, allow_not_found=True)
        found = self.fs.get_file_info(selector)
        return {
            info.path[len(self.path) + 1 :]: info.size
            for info in sorted(found, key=lambda info: info.path)
            if info.type == pafs.FileType.File
        }

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


class Store:
    """Artifacts under one root: a local path or `s3://bucket/prefix`.

    Credentials and endpoint of S3 come from the environment (`AWS_*`, `AWS_ENDPOINT_URL`) or, for
    the endpoint, from the URL: `s3://bucket/prefix?endpoint_override=host:9000&scheme=http`.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = str(url)
        if "://" in self.url:
            fs, path = pafs.FileSystem.from_uri(self.url)
        else:
            fs, path = pafs.LocalFileSystem(), str(Path(self.url).absolute())
        self.root = Folder(fs, path.rstrip("/"))

    def folder(self, name: str, version: str) -> Folder:
        """Where the artifact stands or will stand; says nothing about whether it is published."""
        return self.root / name / version

    def is_published(self, name: str, version: str) -> bool:
        return self.folder(name, version).exists(MANIFEST)

    def versions(self, name: str) -> list[str]:
        """Published versions, the oldest first."""
        selector = pafs.FileSelector((self.root / name).path, allow_not_found=True)
        found = [info.base_name for info in self.root.fs.get_file_info(selector)]
        published = [version for version in found if self.is_published(name, version)]
        return sorted(published, key=lambda version: self.manifest(name, version).created)

    def manifest(self, name: str, version: str) -> Manifest:
        if not self.is_published(name, version):
            there = ", ".join(self.versions(name)) or "none"
            raise UsageError(
                f"{name}@{version} is not published in {self.url}; "
                f"published versions of {name}: {there}"
            )
        values = json.loads(self.folder(name, version).read(MANIFEST))
        return Manifest(**{**values, "inputs": tuple(values["inputs"])})

    def open(self, name: str, version: str) -> Folder:
        """The folder of a published artifact; `UsageError` where it is absent or lost a file."""
        manifest = self.manifest(name, version)
        folder = self.folder(name, version)
        sizes = folder.files()
        lost = [path for path, size in manifest.files.items() if sizes.get(path) != size]
        if lost:
            raise UsageError(
                f"{name}@{version} in {self.url} is damaged: {lost[0]} and {len(lost) - 1} more "
                f"files are missing or changed; delete the folder and run its job again"
            )
        return folder

    def already_published(
        self, name: str, version: str, config: Mapping[str, Any], inputs: tuple[str, ...] = ()
    ) -> bool:
        """True where this very artifact is published, so that nothing is left to do.

        `UsageError` where the version is taken by another config or other inputs.
        """
        if not self.is_published(name, version):
            return False
        found = self.manifest(name, version)
        if found.config == dict(config) and found.inputs == inputs:
            log.info("%s@%s is published already with this config: kept", name, version)
            return True
        raise UsageError(
            f"{name}@{version} in {self.url} is published already with another config or other "
            f"inputs; a new run needs a new version (or delete that folder)"
        )

    @contextmanager
    def publishing(
        self,
        name: str,
        version: str,
        *,
        config: Mapping[str, Any],
        inputs: tuple[str, ...] = (),
        resume: bool = False,
    ) -> Iterator["Publication"]:
        """Write an artifact's files in the body; it is published when the body ends well.

        With `resume` what an earlier, unfinished try left in the folder is kept for the body to
        judge; else the folder is emptied first. `UsageError` where the version is published.
        """
        if self.is_published(name, version):
            raise UsageError(
                f"{name}@{version} in {self.url} is published already; "
                f"a new run needs a new version"
            )
        folder = self.folder(name, version)
        if not resume:
            folder.clear()
        publication = Publication(folder, {})
        with clear_disk_errors(self.url):
            yield publication
            manifest = {
                "name": name,
                "version": version,
                "config": dict(config),
                "inputs": list(inputs),
                "counts": publication.counts,
                "code_revision": code_revision(),
                "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "files": folder.files(),
            }
            folder.write(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        log.info("published %s@%s in %s: %s", name, version, self.url, publication.counts)


@dataclass(frozen=True)
class Publication:
    """An artifact in the making: its folder, and the counts that its manifest will carry."""

    folder: Folder
    counts: dict[str, Any]


@contextmanager
def clear_disk_errors(where: str) -> Iterator[None]:
    """Turn "no space left" and "read-only" into a sentence that names the remedy."""
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
        raise


def code_revision() -> str:
    """The git commit of this code, or the version of the installed package."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        state = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    except FileNotFoundError:
        head = None
    if head is None or head.returncode != 0:
        return f"figclip {__version__}"
    return head.stdout.strip() + ("+changes" if state.stdout.strip() else "")
