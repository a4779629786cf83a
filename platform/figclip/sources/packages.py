"""Legacy packages: `PMC3003633.tar.gz` of PMC's former file service, one an article, in any folder.

    oa_package/08/e0/PMC3003633.tar.gz
        Microb_Cell_Fact_2010_Nov_22_9_89/1475-2859-9-89.nxml      JATS
        Microb_Cell_Fact_2010_Nov_22_9_89/1475-2859-9-89-1.jpg     figures and supplements

A package states no md5 of its files, no licence code and no version: the XML says the licence, and
the version is 1. Of one article the whole package is read once: its XML and its pictures are
unpacked to a temporary file without a name, and read from there.
"""

import logging
import os
import re
import weakref
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from figclip.config import UsageError
from figclip.sources.listing import (
    SCHEMA,
    asked_ids,
    check_version_id,
    chosen,
    in_order,
    with_unknown,
)
from figclip.sources.objects import Bucket, CorruptObject, HugeObject, MissingObject, check_size
from figclip.sources.pmc_cloud import IMAGE_SUFFIXES, MOST_XML_BYTES, VersionMetadata
from figclip.sources.spool import spooled
from figclip.sources.tarballs import BadPackage, Member, Unpacked, members

log = logging.getLogger(__name__)

PACKAGE_KEY = re.compile(r"(?:.*/)?PMC([1-9][0-9]{0,8})\.tar\.gz", re.DOTALL)
XML_SUFFIXES = (".nxml", ".xml")
MOST_KEPT = 4
"""Packages that a process holds unpacked, those it used last: its threads may be at different
articles."""


@dataclass(frozen=True)
class PackageSource:
    """Legacy packages in a bucket or a local folder: a `Source`."""

    bucket: Bucket
    max_package_bytes: int = 16 * 2**30
    """A larger package is not read: `HugeObject`."""
    max_media_bytes: int = 128 * 2**20
    """A larger figure or supplement is not read: `HugeObject`."""
    max_xml_bytes: int = MOST_XML_BYTES
    """A larger XML is not read: `HugeObject`."""

    def __str__(self) -> str:
        return str(self.bucket)

    def list_versions(self, pmcids: Sequence[str] | None = None) -> pa.Table:
        """One version an article; its etag is the package's, of a file `{size}-{mtime_ns}`."""
        asked = None if pmcids is None else asked_ids(pmcids)
        _places.cache_clear()  # what stands there now
        versions = _versions(self.bucket)
        if asked is not None:
            return with_unknown(chosen(versions, asked), asked)
        if not versions:
            raise UsageError(f"{self} holds no PMC….tar.gz; name a source that holds articles")
        return versions

    def metadata(self, version_id: str) -> VersionMetadata:
        """What little a package states: its file names, with no md5 (`""`), and nothing against it.

        `MissingObject` where there is no such package; `BadPackage` (a `BadMetadata`) where it
        cannot be read.
        """
        key = self._key(version_id)
        package = _package(self, key, etag=_etag(self.bucket, key))
        return VersionMetadata(
            pmcid=version_id.partition(".")[0],
            version=1,
            is_pmc_openaccess=True,  # only such articles had packages
            is_manuscript=False,
            is_historical_ocr=False,
            is_retracted=False,
            xml_url=f"{self.bucket}/{key}",
            media={name: "" for name in package.places if name != package.xml_name},
        )

    def xml(self, metadata: VersionMetadata) -> bytes:
        package = _package(self, self._key(metadata.version_id))
        return self._read(package, package.xml_name, None, self.max_xml_bytes)

    def media(self, metadata: VersionMetadata, name: str, *, at_most: int | None = None) -> bytes:
        package = _package(self, self._key(metadata.version_id))
        if name not in package.places or name == package.xml_name:
            raise MissingObject(f"{metadata.version_id} has no media {name!r}")
        return self._read(package, name, at_most, self.max_media_bytes)

    def skipped(self, version_id: str) -> tuple[Member, ...]:
        """Members that were passed over, each with its objection: links, paths, lies."""
        return tuple(_package(self, self._key(version_id)).skipped)

    def _read(self, package: "_Package", name: str, at_most: int | None, ever: int) -> bytes:
        place = package.places[name]
        check_size(f"{self.bucket}/{package.key}: {name}", place.size, at_most=at_most, ever=ever)
        if place.offset is not None:
            return os.pread(package.spool.fileno(), place.size, place.offset)
        return _read_again(self, package.key, name)

    def _key(self, version_id: str) -> str:
        check_version_id(version_id)
        number = int(version_id.partition(".")[0].removeprefix("PMC"))
        if version_id.endswith(".1"):
            for _ in range(2):  # a package may have come since the list was made
                numbers, keys = _places(self.bucket)
                at = int(np.searchsorted(numbers, number))
                if at < len(numbers) and numbers[at] == number:
                    return keys[at].as_py()
                _places.cache_clear()
        raise MissingObject(f"{self.bucket}: there is no package of {version_id}")


def _versions(bucket: Bucket) -> pa.Table:
    ids, etags = [], []
    for entry in bucket.entries(""):
        if found := PACKAGE_KEY.fullmatch(entry.key):
            ids.append(f"PMC{found[1]}.1")
            etags.append(entry.etag)
    return in_order(pa.table({"version_id": ids, "etag": etags}, schema=SCHEMA))


@lru_cache(maxsize=2)
def _places(bucket: Bucket) -> tuple[np.ndarray, pa.Array]:
    """Numbers of all packages, ascending, and their keys: some tens of bytes each.

    Of two packages of one article the first in the order of keys counts.
    """
    found: dict[int, str] = {}
    for key in bucket.keys(""):
        if match := PACKAGE_KEY.fullmatch(key):
            first = found.setdefault(int(match[1]), key)
            if first != key:
                log.warning("%s: %s is passed over for %s", bucket, key, first)
    numbers = sorted(found)
    return np.array(numbers, np.int64), pa.array((found[n] for n in numbers), pa.string())


def _etag(bucket: Bucket, key: str) -> str:
    for entry in bucket.entries(key):
        if entry.key == key:
            return entry.etag
    raise MissingObject(f"{bucket}: there is no {key}")


@dataclass(frozen=True)
class _Place:
    """Where the bytes of a member lie in the temporary file; nowhere if they were not unpacked."""

    offset: int | None
    size: int


@dataclass(eq=False)
class _Package:
    """An article's package, of which XML and pictures are unpacked."""

    key: str
    etag: str
    spool: BinaryIO
    xml_name: str = ""
    places: dict[str, _Place] = field(default_factory=dict)
    skipped: list[Member] = field(default_factory=list)


_kept: OrderedDict[tuple[PackageSource, str], _Package] = OrderedDict()
_lock = Lock()


def _package(source: PackageSource, key: str, *, etag: str | None = None) -> _Package:
    """The package, from those at hand unless it has another etag now."""
    with _lock:
        found = _kept.get((source, key))
        if found is not None and etag in (None, found.etag):
            _kept.move_to_end((source, key))
            return found
    package = _unpack(source, key, _etag(source.bucket, key) if etag is None else etag)
    with _lock:
        _kept[source, key] = package
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)  # its file goes with the last who reads it
    return package


def _unpack(source: PackageSource, key: str, etag: str) -> _Package:
    with (
        source.bucket.open(key, at_most=source.max_package_bytes) as packed,
        spooled() as spool,
    ):
        package = _Package(key, etag, spool)
        unpacked = Unpacked(packed)
        for member in members(unpacked):
            _take(source, package, member, unpacked)
        _settle(package)
        spool.flush()  # `pread` sees what the system has
    weakref.finalize(package, spool.close)
    for member in package.skipped:
        log.info("%s/%s: %r skipped: %s", source.bucket, key, member.name, member.objection)
    return package


def _take(source: PackageSource, package: _Package, member: Member, unpacked: Unpacked) -> None:
    """Unpack a picture or an XML, note every other file, and pass over what cannot be trusted."""
    if member.objection:
        package.skipped.append(member)
        return
    if member.name in package.places:
        package.skipped.append(Member(member.name, member.size, "a second one of this name"))
        return
    offset = None
    most = source.max_xml_bytes if _is_xml(member.name) else source.max_media_bytes
    if _is_unpacked(member.name) and member.size <= most:
        offset = package.spool.tell()
        num_bytes = sum(package.spool.write(piece) for piece in unpacked.pieces(member.size))
        if num_bytes < member.size:
            package.skipped.append(Member(member.name, member.size, "the package ends within it"))
            return
    package.places[member.name] = _Place(offset, member.size)


def _is_xml(name: str) -> bool:
    return name.lower().endswith(XML_SUFFIXES)


def _is_unpacked(name: str) -> bool:
    return _is_xml(name) or name.lower().endswith(IMAGE_SUFFIXES)


def _settle(package: _Package) -> None:
    """Find the article among the files; drop names that two files share, for which is meant?"""
    again = Counter(m.name for m in package.skipped if m.objection == "a second one of this name")
    for suffix in XML_SUFFIXES:
        names = [name for name in package.places if name.lower().endswith(suffix)]
        if len(names) > 1 or (names and again[names[0]]):
            raise BadPackage("ambiguous_xml", f"it has several: {', '.join(names[:3])}")
        if names:
            package.xml_name = names[0]
            break
    else:
        raise BadPackage("no_xml", f"none of its {len(package.places)} files is an article")
    for name in again:
        del package.places[name]


def _read_again(source: PackageSource, key: str, name: str) -> bytes:
    """A file that is no picture by its name, which a figure names all the same: once more through
    the package, to its bytes."""
    with source.bucket.open(key, at_most=source.max_package_bytes) as packed:
        unpacked = Unpacked(packed)
        for member in members(unpacked):
            if member.name == name and not member.objection:
                if member.size > source.max_media_bytes:
                    raise HugeObject(member.size, f"{key}: {name} has {member.size} bytes")
                data = b"".join(unpacked.pieces(member.size))
                if len(data) < member.size:
                    raise CorruptObject(f"{source.bucket}/{key} ends within {name!r}")
                return data
    raise MissingObject(f"{source.bucket}/{key} has no {name!r} any more")
