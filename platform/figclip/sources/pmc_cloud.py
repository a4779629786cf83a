"""The PMC Cloud Service: article versions, their metadata, and their files, verified by md5.

Layout of the bucket, one flat prefix per article version (https://pmc.ncbi.nlm.nih.gov/tools/pmcaws/):

    metadata/PMC3003633.1.json                         what is known of it, md5s of its files
    PMC3003633.1/PMC3003633.1.xml                      JATS
    PMC3003633.1/1475-2859-9-89-1.jpg                  figures and supplements, original names
    inventory-reports/.../{date}/manifest.json         daily list of metadata/
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import unquote

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from figclip.schema import Unusable
from figclip.sources.buckets import (
    Bucket,
    CorruptObject,
    HugeObject,
    LargeObject,
    MissingObject,
    Refused,
    S3Bucket,
    Unreachable,
)
from figclip.sources.listing import VERSION_ID, check_version_id, list_cloud

__all__ = [
    "BadMetadata",
    "Bucket",
    "CloudSource",
    "CorruptObject",
    "HugeObject",
    "LargeObject",
    "MissingObject",
    "Refused",
    "Unreachable",
    "VersionMetadata",
    "choose_version",
    "fetch_media",
    "fetch_xml",
    "objection",
    "parse_metadata",
    "read_metadata",
]

CANONICAL = "pmc-oa-opendata"
"""Name of the service's bucket; the URLs in a mirror's metadata may go on naming it."""

MOST_XML_BYTES = 64 * 2**20
"""A parsed article takes several times the memory of its text."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif")

METADATA_KEY = re.compile(rf"metadata/({VERSION_ID.pattern})\.json")
OBJECT_URL = re.compile(
    r"s3://(?P<folder>.+)/(?P<name>[^/]*)\?md5=(?P<md5>[0-9a-fA-F]{32})", re.DOTALL
)
UNSAFE = re.compile(r"\.\.|[/\\:\x00-\x1f\x7f]")


class BadMetadata(Unusable):
    """A metadata JSON that cannot be trusted; `reason` is a word to count by."""


class _Stated(BaseModel):
    """What the JSON and our reading of it have in common. Keys that nobody reads are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, use_attribute_docstrings=True)

    pmcid: Annotated[str, Field(pattern=r"^PMC[1-9][0-9]*$")]
    version: Annotated[PositiveInt, Field(le=999_999_999)]
    pmid: Annotated[PositiveInt, Field(strict=False, le=999_999_999_999)] | None = None
    mid: str | None = None
    """Manuscript id (`NIHMS123456`)."""
    doi: str | None = None
    title: str | None = None
    license_code: str | None = None
    """`CC BY`, `CC0`, `CC BY-NC`, ..., or `TDM` for manuscripts that may only be mined."""
    is_pmc_openaccess: bool
    is_manuscript: bool
    is_historical_ocr: bool
    is_retracted: bool
    xml_url: str


class _Json(_Stated):
    media_urls: list[str] | None = None


class VersionMetadata(_Stated):
    """One version of one article, as its JSON states it and after our checks."""

    media: dict[str, str]
    """File name → md5 of every figure and supplement; names hold no path.

    The md5 is empty where the source states none (old packages).
    """

    @property
    def version_id(self) -> str:
        return f"{self.pmcid}.{self.version}"

    @property
    def has_images(self) -> bool:
        return any(name.lower().endswith(IMAGE_SUFFIXES) for name in self.media)


@dataclass(frozen=True)
class CloudSource:
    """The PMC Cloud Service, or a mirror of it in any bucket: a `Source`."""

    bucket: Bucket
    max_xml_bytes: int = MOST_XML_BYTES
    """A larger XML is not read: `HugeObject`."""

    def __str__(self) -> str:
        return str(self.bucket)

    def list_versions(self, pmcids: Sequence[str] | None = None) -> pa.Table:
        return list_cloud(self.bucket, pmcids)

    def metadata(self, version_id: str) -> VersionMetadata:
        return read_metadata(self.bucket, version_id)

    def xml(self, metadata: VersionMetadata) -> bytes:
        return fetch_xml(self.bucket, metadata, at_most=self.max_xml_bytes)

    def media(self, metadata: VersionMetadata, name: str, *, at_most: int | None = None) -> bytes:
        return fetch_media(self.bucket, metadata, name, at_most=at_most)


def at_first_look(bucket: Bucket) -> Bucket:
    """The same, but it gives up early: a mistyped endpoint should say so within seconds."""
    return replace(bucket, num_tries=3) if isinstance(bucket, S3Bucket) else bucket


def holds_metadata(bucket: Bucket) -> bool:
    """Whether it is in the layout of the PMC Cloud Service."""
    return any(METADATA_KEY.fullmatch(key) for key in bucket.keys("metadata/"))


def read_metadata(bucket: Bucket, version_id: str) -> VersionMetadata:
    """What the bucket states of `PMC3003633.1`.

    `MissingObject` where it has no such version (any more), `BadMetadata` where its JSON is wrong.
    """
    check_version_id(version_id)
    data = bucket.get(f"metadata/{version_id}.json")
    return parse_metadata(data, version_id, bucket_names=(CANONICAL, bucket.name))


def parse_metadata(
    data: bytes, version_id: str, *, bucket_names: Sequence[str] = (CANONICAL,)
) -> VersionMetadata:
    """Read a metadata JSON; its files must lie below `{bucket name}/{version_id}/`.

    `BadMetadata` by reason: `bad_json`, `other_article`, `foreign_url`, `no_md5`, `unsafe_name`,
    `ambiguous_media`.
    """
    try:
        stated = _Json.model_validate_json(data)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, f['loc'])) or 'JSON'}: {f['msg']}" for f in error.errors())
        raise BadMetadata("bad_json", "; ".join(faults)) from error
    if f"{stated.pmcid}.{stated.version}" != version_id:
        raise BadMetadata(
            "other_article", f"{version_id}.json speaks of {stated.pmcid}.{stated.version}"
        )
    folders = [f"{name}/{version_id}" for name in bucket_names]
    _name_and_md5(stated.xml_url, folders)
    media: dict[str, str] = {}
    for url in stated.media_urls or ():
        name, md5 = _name_and_md5(url, folders)
        if media.setdefault(name, md5) != md5:
            raise BadMetadata("ambiguous_media", f"{name!r} is listed with two md5s")
    return VersionMetadata(**stated.model_dump(exclude={"media_urls"}), media=media)


def _name_and_md5(url: str, folders: Collection[str]) -> tuple[str, str]:
    """`s3://bucket/PMC1.1/a%20b.jpg?md5=0f…` → `("a b.jpg", "0f…")`; no key holds the query."""
    found = OBJECT_URL.fullmatch(url)
    if not found:
        raise BadMetadata("no_md5", f"{url!r} is not s3://…?md5=…")
    if found["folder"] not in folders:
        raise BadMetadata("foreign_url", f"{url!r} does not lie in {' or '.join(folders)}")
    name = unquote(found["name"])
    if not name or UNSAFE.search(name):
        raise BadMetadata("unsafe_name", f"{url!r} names {name!r}, which is no plain file name")
    return name, found["md5"].lower()


def fetch_xml(bucket: Bucket, metadata: VersionMetadata, *, at_most: int = MOST_XML_BYTES) -> bytes:
    """The article's JATS XML; `MissingObject` or `CorruptObject` where it is not as stated.

    `HugeObject` beyond `at_most` bytes.
    """
    folder = metadata.xml_url.removeprefix("s3://").rpartition("/")[0]
    name, md5 = _name_and_md5(metadata.xml_url, [folder])
    try:
        return bucket.get(f"{metadata.version_id}/{name}", md5=md5, at_most=at_most)
    except LargeObject as error:
        raise HugeObject(error.size, error.detail) from error


def fetch_media(
    bucket: Bucket, metadata: VersionMetadata, name: str, *, at_most: int | None = None
) -> bytes:
    """A figure or supplement; `MissingObject` or `CorruptObject` where it is not as stated.

    `LargeObject` beyond `at_most` bytes.
    """
    if name not in metadata.media:
        raise MissingObject(f"{metadata.version_id} lists no media {name!r}")
    md5 = metadata.media[name]
    return bucket.get(f"{metadata.version_id}/{name}", md5=md5, at_most=at_most)


def objection(metadata: VersionMetadata, licenses: Collection[str | None] | None) -> str | None:
    """Why a version may not be used, as a word to count by, or `None`.

    `licenses` are the allowed `license_code`s, or `None` for any. With `None` among them a version
    whose JSON states no licence passes too, for its XML may state one: judge that after parsing.
    """
    if not metadata.is_pmc_openaccess:
        return "not_open_access"
    if metadata.is_retracted:
        return "retracted"
    if metadata.is_historical_ocr:
        return "historical_ocr"
    if licenses is not None and metadata.license_code not in licenses:
        return "license_not_allowed"
    if metadata.is_manuscript and not metadata.media:
        return "manuscript_without_media"
    return None


def choose_version(
    candidates: Sequence[VersionMetadata], licenses: Collection[str | None] | None
) -> tuple[VersionMetadata | None, list[tuple[VersionMetadata, str]]]:
    """The one version of an article to read, and why each of the others is passed over.

    Of the versions without `objection`, the greatest by (published rather than manuscript, has
    images, version); the number alone does not say which is which. The others of those are
    passed over as `other_version`.
    """
    if len({metadata.pmcid for metadata in candidates}) > 1:
        raise ValueError("the candidates are versions of several articles")
    passed_over = [(m, reason) for m in candidates if (reason := objection(m, licenses))]
    eligible = [m for m in candidates if not objection(m, licenses)]
    best = max(eligible, key=lambda m: (not m.is_manuscript, m.has_images, m.version), default=None)
    passed_over += [(m, "other_version") for m in eligible if m is not best]
    return best, passed_over
