"""Where articles come from, whatever form they lie in: the seam between sources and the corpus."""

from collections.abc import Sequence
from itertools import islice
from typing import Literal, Protocol

import pyarrow as pa

from figclip.config import UsageError
from figclip.sources.buckets import Bucket, bucket_at
from figclip.sources.packages import PACKAGE_KEY, PackageSource
from figclip.sources.pmc_cloud import CloudSource, VersionMetadata, at_first_look, holds_metadata

Layout = Literal["auto", "cloud", "packages"]

MOST_LOOKED_AT = 100_000
"""Keys among which a package must be, for a bucket to count as one of packages."""


class Source(Protocol):
    """Article versions and their files. A source is a small value: it pickles.

    Its text (`str`) is what people call it. Everything that reads may raise `Unreachable` (all
    tries of one object were spent), `Refused` (the object is not handed out), or a `UsageError`
    that speaks of the whole source.
    """

    def list_versions(self, pmcids: Sequence[str] | None = None) -> pa.Table:
        """All versions, or those of certain articles (`PMC3003633`) or ids (`PMC3003633.1`).

        Columns `version_id` and `etag`, text; sorted by the article's number and the version,
        unique. The etag changes whenever anything of the article does. It is empty for what was
        asked for and is not there, an article then being written as its version 0
        (`PMC3003633.0`). `listing.listed_at` says how old it is, where it is not of this moment.
        `UsageError` where the source holds nothing, or an id is none.
        """

    def metadata(self, version_id: str) -> VersionMetadata:
        """What is known of a version; `MissingObject`, or `BadMetadata` with its reason."""

    def xml(self, metadata: VersionMetadata) -> bytes:
        """Its JATS; `MissingObject`, `CorruptObject`, `HugeObject`."""

    def media(self, metadata: VersionMetadata, name: str, *, at_most: int | None = None) -> bytes:
        """A figure or supplement by its name among `metadata.media`.

        `MissingObject`, `CorruptObject`, `HugeObject`; beyond `at_most` bytes `LargeObject`, of
        which nothing is read.
        """


def open_source(
    source: str,
    *,
    endpoint: str | None = None,
    anonymous: bool = True,
    layout: Layout = "auto",
) -> Source:
    """A local folder or `s3://bucket[/prefix]`, in either layout: by itself it sees which.

    `endpoint` is the URL of another S3 server. `UsageError` names the remedy where the source is
    not there, cannot be read, is empty, or is something else.
    """
    bucket = bucket_at(source, endpoint=endpoint, anonymous=anonymous)
    look = at_first_look(bucket)
    if layout != "packages" and holds_metadata(look):
        return CloudSource(bucket)
    if layout != "cloud" and _holds_packages(look):
        return PackageSource(bucket)
    raise UsageError(_what_is_wrong(look, layout))


def _holds_packages(bucket: Bucket) -> bool:
    keys = islice(bucket.keys(""), MOST_LOOKED_AT)
    return any(PACKAGE_KEY.fullmatch(key) for key in keys)


def _what_is_wrong(bucket: Bucket, layout: Layout) -> str:
    if next(iter(bucket.keys("")), None) is None:
        return f"{bucket} is empty; name a source that holds articles"
    cloud = (
        "not in the layout of the PMC Cloud Service (it has no metadata/PMC….json; name the folder "
        "or prefix that holds `metadata/` and `PMC…/`)"
    )
    packages = "without a package (PMC….tar.gz)"
    what = {"cloud": cloud, "packages": packages, "auto": f"{cloud}, and {packages}"}[layout]
    return f"{bucket} is {what}"
