"""Artifacts: published folders `{name}/{version}` that are whole or absent, local or on S3.

An artifact exists when its `_manifest.json` does, and that file is written last, in one piece.
Object stores have no rename of folders, so the manifest is the only commit that works on all of
them; a local folder goes the same way. Files whose names begin with `_` are no data (pyarrow, Ray
and Spark skip them).
"""

import json
import logging
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from figclip import __version__
from figclip.config import UsageError
from figclip.store.folder import Folder, clear_disk_errors, only_one_process

log = logging.getLogger(__name__)

MANIFEST = "_manifest.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Manifest:
    """Where an artifact comes from and what it holds."""

    name: str
    version: str
    config: dict[str, Any]
    """The resolved config of the stage that made it."""
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
    shared: dict[str, str] = field(default_factory=dict)
    """Of these files those that another version of the artifact holds: relative path → version."""


class Store:
    """Artifacts under one root: a local path or `s3://bucket/prefix`.

    Credentials and endpoint of S3 come from the environment (`AWS_*`, `AWS_ENDPOINT_URL`) or, for
    the endpoint, from the URL: `s3://bucket/prefix?endpoint_override=host:9000&scheme=http`.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        """`UsageError` where the URL is none, or no bucket or folder can be had there."""
        self.url = str(url)
        try:
            if "://" in self.url:
                fs, path = pafs.FileSystem.from_uri(self.url)
            else:
                fs, path = pafs.LocalFileSystem(), str(Path(self.url).absolute())
            self.root = Folder(fs, path.rstrip("/"))
            self._refuse_unusable()
        except (pa.ArrowInvalid, OSError) as error:
            raise UsageError(
                f"{self.url} cannot be a store: {error}; name a folder or s3://bucket/prefix"
            ) from error

    def _refuse_unusable(self) -> None:
        if self.root.fs.get_file_info(self.root.path).type == pafs.FileType.File:
            raise UsageError(f"{self.url} is a file; a store is a folder")
        bucket = self.root.path.partition("/")[0]  # empty where the path is a local one
        if bucket and self.root.fs.get_file_info(bucket).type == pafs.FileType.NotFound:
            raise UsageError(f"{self.url}: there is no bucket {bucket!r}; make it or name another")

    def folder(self, name: str, version: str) -> Folder:
        """Where the artifact stands or will stand; says nothing about whether it is published.

        `UsageError` where the name or the version could not be the name of one folder.
        """
        for word in (name, version):
            if not NAME.fullmatch(word):
                raise UsageError(
                    f"{word!r} cannot name an artifact or a version: letters, digits, and, but "
                    f"not first, the signs . _ + -"
                )
        return self.root / name / version

    def is_published(self, name: str, version: str) -> bool:
        return self.folder(name, version).exists(MANIFEST)

    def versions(self, name: str) -> list[str]:
        """Published versions, the oldest first."""
        selector = pafs.FileSelector((self.root / name).path, allow_not_found=True)
        found = [info.base_name for info in self.root.fs.get_file_info(selector)]
        published = [v for v in found if NAME.fullmatch(v) and self.is_published(name, v)]
        return sorted(
            published, key=lambda version: (self.manifest(name, version).created, version)
        )

    def manifest(self, name: str, version: str) -> Manifest:
        if not self.is_published(name, version):
            there = ", ".join(self.versions(name)) or "none"
            raise UsageError(
                f"{name}@{version} is not published in {self.url}; "
                f"published versions of {name}: {there}"
            )
        try:
            values = json.loads(self.folder(name, version).read(MANIFEST))
            return Manifest(**{**values, "inputs": tuple(values["inputs"])})
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"the manifest of {name}@{version} in {self.url} is damaged ({error}); "
                f"delete the folder and run its job again"
            ) from error

    def open(self, name: str, version: str) -> Folder:
        """The folder of a published artifact; `UsageError` where it is absent or lost a file."""
        manifest = self.manifest(name, version)
        owners = {path: self.folder(name, v).path for path, v in manifest.shared.items()}
        folder = replace(self.folder(name, version), shared=owners)
        sizes = folder.files()
        lost = [path for path, size in manifest.files.items() if sizes.get(path) != size]
        if lost:
            raise UsageError(
                f"{name}@{version} in {self.url} is damaged: {lost[0]} and {len(lost) - 1} more "
                f"files are missing or changed; {_remedy(manifest, lost[0])}"
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
        if found.config == _as_json(config) and found.inputs == inputs:
            log.info("%s@%s is published already with this config: kept", name, version)
            return True
        raise UsageError(
            f"{name}@{version} in {self.url} is published already with another config or other "
            f"inputs; a new run needs a new version (or delete that folder)"
        )

    def _refuse_published(self, name: str, version: str) -> None:
        if self.is_published(name, version):
            raise UsageError(
                f"{name}@{version} in {self.url} is published already; "
                f"a new run needs a new version"
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
        judge; else the folder is emptied first. `UsageError` where the version is published, or
        another process is about to publish it. On a local disk that one is seen at once; on S3,
        which has no locks, only when it has published, and what both wrote until then is mixed:
        there, start a job once.
        """
        self._refuse_published(name, version)
        folder = self.folder(name, version)
        publication = Publication(folder, {}, {})
        resolved = _as_json(config)  # now, for it would be a pity to fail after hours of work
        with clear_disk_errors(self.url), only_one_process(folder, f"{name}@{version}"):
            self._refuse_published(name, version)  # since the first look
            if resume:
                folder.discard_parts()
            else:
                folder.clear()
            yield publication
            self._refuse_published(name, version)  # while the body was at work
            sizes = self._shared_sizes(name, publication.shared) | folder.files()
            manifest = {
                "name": name,
                "version": version,
                "config": resolved,
                "inputs": list(inputs),
                "counts": _as_json(publication.counts),
                "code_revision": code_revision(),
                "created": datetime.now(UTC).isoformat(timespec="microseconds"),
                "files": dict(sorted(sizes.items())),
                "shared": _held_elsewhere(publication),
            }
            folder.write(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        log.info("published %s@%s in %s: %s", name, version, self.url, publication.counts)

    def _shared_sizes(self, name: str, shared: Mapping[str, str]) -> dict[str, int]:
        """Sizes of files that other published versions hold, by those versions' manifests."""
        sizes: dict[str, int] = {}
        for version in sorted(set(shared.values())):
            theirs = self.manifest(name, version).files
            wanted = [path for path, holder in shared.items() if holder == version]
            if lost := [path for path in wanted if path not in theirs]:
                raise UsageError(f"{name}@{version} holds no file {lost[0]!r} that could be shared")
            sizes |= {path: theirs[path] for path in wanted}
        return sizes


@dataclass(frozen=True)
class Publication:
    """An artifact in the making: its folder, and what its manifest will carry."""

    folder: Folder
    counts: dict[str, Any]
    shared: dict[str, str]
    """Files that a published version of the same artifact holds: relative path → the version whose
    own folder they lie in. One that the folder itself holds goes before."""


def _held_elsewhere(publication: Publication) -> dict[str, str]:
    own = publication.folder.files()
    return {path: v for path, v in sorted(publication.shared.items()) if path not in own}


def _remedy(manifest: Manifest, lost: str) -> str:
    if lost in manifest.shared:
        holder = f"{manifest.name}@{manifest.shared[lost]}"
        return f"{holder} holds them for it: bring that folder back, or make {manifest.name} anew"
    return "delete the folder and run its job again"


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they come back from a JSON file; a number of numpy becomes Python's."""
    return json.loads(json.dumps(dict(values), default=lambda number: number.item()))


def code_revision() -> str:
    """The git commit of this code, or the version of the installed package.

    A package that was installed below somebody else's checkout is not of that commit, so the
    commit counts only where git tracks this very file.
    """
    tracked = _git("ls-files", "--error-unmatch", Path(__file__).name)
    head = _git("rev-parse", "HEAD")
    if tracked is None or head is None:
        return f"figclip {__version__}"
    return head + ("+changes" if _git("status", "--porcelain") else "")


def _git(*words: str) -> str | None:
    """What git says beside this file; `None` where it fails or is not installed."""
    command = ["git", "-C", str(Path(__file__).parent), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
