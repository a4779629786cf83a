"""Article versions of the PMC Cloud Service, from a folder and from an S3 server alike."""

import hashlib
import json
import pickle
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.config import UsageError
from figclip.sources.pmc_cloud import (
    BadMetadata,
    Bucket,
    CloudSource,
    CorruptObject,
    MissingObject,
    VersionMetadata,
    choose_version,
    fetch_media,
    fetch_xml,
    parse_metadata,
    read_metadata,
)
from figclip.sources.source import open_source

MD5 = "0123456789abcdef0123456789abcdef"
numbers = count()


def opened_bucket(source: str, **options: Any) -> Bucket:
    """The bucket of a source in the layout of the cloud service."""
    found = open_source(source, layout="cloud", **options)
    assert isinstance(found, CloudSource)
    return found.bucket


def version_ids(bucket: Bucket) -> list[str]:
    return sorted(CloudSource(bucket).list_versions()["version_id"].to_pylist())


def metadata_json(version_id: str = "PMC1.1", **changes: Any) -> dict[str, Any]:
    """A metadata JSON as the service writes it."""
    pmcid, _, version = version_id.partition(".")
    return {
        "pmcid": pmcid,
        "version": int(version),
        "pmid": 32939066,
        "doi": "10.1038/s41586-020-2649-2",
        "mid": None,
        "title": "Array programming",
        "citation": "Nature. 2020 Sep 16;585(7825):357-362.",
        "is_pmc_openaccess": True,
        "is_manuscript": False,
        "is_historical_ocr": False,
        "is_retracted": False,
        "license_code": "CC BY",
        "xml_url": f"s3://pmc-oa-opendata/{version_id}/{version_id}.xml?md5={MD5}",
        "text_url": f"s3://pmc-oa-opendata/{version_id}/{version_id}.txt?md5={MD5}",
        "pdf_url": None,
        "media_urls": [],
        **changes,
    }


def parse(version_id: str = "PMC1.1", **changes: Any) -> VersionMetadata:
    return parse_metadata(json.dumps(metadata_json(version_id, **changes)).encode(), version_id)


def media_url(name: str, folder: str = "pmc-oa-opendata/PMC1.1", md5: str = MD5) -> str:
    return f"s3://{folder}/{name}?md5={md5}"


def write_version(folder: Path, version_id: str, media: dict[str, bytes], **changes: Any) -> None:
    place = folder / version_id
    place.mkdir(parents=True)
    xml = f"<article>{version_id}</article>".encode()
    for name, data in {f"{version_id}.xml": xml, **media}.items():
        (place / name).write_bytes(data)
    urls = {
        name: media_url(quote(name), f"pmc-oa-opendata/{version_id}", hashlib.md5(data).hexdigest())
        for name, data in {**media, f"{version_id}.xml": xml}.items()
    }
    stated = metadata_json(
        version_id, xml_url=urls.pop(f"{version_id}.xml"), media_urls=list(urls.values())
    )
    (folder / "metadata").mkdir(exist_ok=True)
    (folder / "metadata" / f"{version_id}.json").write_text(json.dumps({**stated, **changes}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "bucket"
    write_version(place, "PMC20.1", {"fig 1+2 ü.jpg": b"one", "data.csv": b"two"})
    write_version(place, "PMC3.2", {}, media_urls=None, pmid=None, doi=None, license_code=None)
    write_version(place, "PMC3.10", {"g.png": b"three"}, new_key_of_next_year={"a": 1})
    return place


@pytest.fixture(params=["folder", "s3", "s3 with a prefix"])
def opened(
    request: pytest.FixtureRequest,
    folder: Path,
    s3_server: str,
    upload_public: Callable[..., None],
) -> Bucket:
    """The same three versions, wherever they lie."""
    if request.param == "folder":
        return opened_bucket(str(folder))
    name, prefix = f"mirror-{next(numbers)}", "" if request.param == "s3" else "pmc/2026"
    upload_public(folder, name, f"{prefix}/" if prefix else "")
    return opened_bucket(f"s3://{name}/{prefix}", endpoint=s3_server)


def test_versions_metadata_and_files_are_the_same_wherever_they_lie(opened: Bucket):
    assert version_ids(opened) == ["PMC20.1", "PMC3.10", "PMC3.2"]
    first = read_metadata(opened, "PMC20.1")
    assert (first.pmcid, first.version, first.pmid) == ("PMC20", 1, 32939066)
    assert first.version_id == "PMC20.1"
    assert first.license_code == "CC BY"
    assert list(first.media) == ["fig 1+2 ü.jpg", "data.csv"]
    assert first.has_images
    assert fetch_media(opened, first, "fig 1+2 ü.jpg") == b"one"
    assert fetch_xml(opened, first) == b"<article>PMC20.1</article>"
    bare = read_metadata(opened, "PMC3.2")
    assert (bare.pmid, bare.doi, bare.license_code, bare.media) == (None, None, None, {})
    assert not bare.has_images
    with pytest.raises(MissingObject, match=r"PMC4\.1"):
        read_metadata(opened, "PMC4.1")
    assert version_ids(pickle.loads(pickle.dumps(opened))) == version_ids(opened)


def test_files_that_are_not_as_stated_are_refused(folder: Path):
    bucket = opened_bucket(str(folder))
    metadata = read_metadata(bucket, "PMC20.1")
    (folder / "PMC20.1" / "PMC20.1.xml").write_bytes(b"<article>forged</article>")
    (folder / "PMC20.1" / "data.csv").unlink()
    with pytest.raises(CorruptObject, match=r"PMC20\.1\.xml has the md5"):
        fetch_xml(bucket, metadata)
    with pytest.raises(MissingObject, match=r"there is no PMC20\.1/data\.csv"):
        fetch_media(bucket, metadata, "data.csv")
    with pytest.raises(MissingObject, match="lists no media"):
        fetch_media(bucket, metadata, "PMC20.1.xml")


def test_urls_may_name_the_opened_bucket_itself(folder: Path):
    renamed = folder.rename(folder.with_name("mirror"))
    path = renamed / "metadata" / "PMC3.10.json"
    path.write_text(path.read_text().replace("s3://pmc-oa-opendata/", "s3://mirror/"))
    assert read_metadata(opened_bucket(str(renamed)), "PMC3.10").media.keys() == {"g.png"}
    elsewhere = renamed.rename(folder.with_name("elsewhere"))
    with pytest.raises(BadMetadata, match="foreign_url"):
        read_metadata(opened_bucket(str(elsewhere)), "PMC3.10")


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("other_article", {"pmcid": "PMC2"}),
        ("other_article", {"version": 2}),
        ("bad_json", {"pmcid": "1"}),
        ("bad_json", {"pmcid": "PMC1/../PMC2"}),
        ("bad_json", {"version": "one"}),
        ("bad_json", {"version": True}),
        ("bad_json", {"pmid": "n/a"}),
        ("bad_json", {"is_retracted": None}),
        ("bad_json", {"is_pmc_openaccess": "true"}),
        ("bad_json", {"xml_url": None}),
        ("bad_json", {"media_urls": "s3://…"}),
        ("bad_json", {"media_urls": [None]}),
        ("no_md5", {"xml_url": "s3://pmc-oa-opendata/PMC1.1/PMC1.1.xml"}),
        ("no_md5", {"xml_url": "https://pmc-oa-opendata.s3.amazonaws.com/PMC1.1/PMC1.1.xml"}),
        ("no_md5", {"media_urls": [media_url("a.jpg", md5="")]}),
        ("no_md5", {"media_urls": [media_url("a.jpg", md5=MD5 + "&x=1")]}),
        ("foreign_url", {"xml_url": media_url("PMC1.1.xml", "evil/PMC1.1")}),
        ("foreign_url", {"media_urls": [media_url("a.jpg", "pmc-oa-opendata/PMC2.1")]}),
        ("foreign_url", {"media_urls": [media_url("a.jpg", "pmc-oa-opendata/x/PMC1.1")]}),
        ("foreign_url", {"media_urls": [media_url("sub/a.jpg")]}),
        ("foreign_url", {"media_urls": [media_url("../PMC2.1/a.jpg")]}),
        ("unsafe_name", {"media_urls": [media_url("..")]}),
        ("unsafe_name", {"media_urls": [media_url("..%2F..%2Fetc%2Fpasswd")]}),
        ("unsafe_name", {"media_urls": [media_url("a\\b.jpg")]}),
        ("unsafe_name", {"media_urls": [media_url("C:a.jpg")]}),
        ("unsafe_name", {"media_urls": [media_url("a%00.jpg")]}),
        ("unsafe_name", {"media_urls": [media_url("a%0A.jpg")]}),
        ("unsafe_name", {"media_urls": [media_url("")]}),
        ("ambiguous_media", {"media_urls": [media_url("a"), media_url("a", md5=MD5[::-1])]}),
    ],
)
def test_metadata_that_cannot_be_trusted_names_its_fault(reason: str, changes: dict[str, Any]):
    with pytest.raises(BadMetadata) as caught:
        parse(**changes)
    assert caught.value.reason == reason
    assert caught.value.detail
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, again.detail) == (reason, caught.value.detail)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b'{"pmcid": "PMC1"}'])
def test_what_is_no_metadata_json_is_bad_metadata(data: bytes):
    with pytest.raises(BadMetadata, match="bad_json"):
        parse_metadata(data, "PMC1.1")


@pytest.mark.parametrize("absent", ["media_urls", "pmid", "doi", "mid", "license_code", "title"])
def test_keys_that_may_be_absent_may_be_absent(absent: str):
    stated = metadata_json()
    del stated[absent]
    assert parse_metadata(json.dumps(stated).encode(), "PMC1.1").version_id == "PMC1.1"


def test_a_pubmed_id_may_be_written_as_text():
    assert parse(pmid="32939066").pmid == 32939066


safe_names = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\:"), min_size=1
).filter(lambda name: ".." not in name)


@given(names=st.sets(safe_names, max_size=5), encode=st.booleans())
@settings(max_examples=50, deadline=None)
def test_plain_names_come_back_as_they_are(names: set[str], encode: bool):
    # Unencoded, a name with a percent sign means what its escapes say.
    plain = {name for name in names if encode or "%" not in name}
    urls = [media_url(quote(name, safe="") if encode else name) for name in plain]
    assert parse(media_urls=urls).media == dict.fromkeys(plain, MD5)


@given(name=safe_names, bad=st.sampled_from(["/", "\\", ":", "..", "\n", "\0"]), data=st.data())
@settings(max_examples=50, deadline=None)
def test_no_name_that_holds_a_path_comes_through(name: str, bad: str, data: st.DataObject):
    at = data.draw(st.integers(0, len(name)))
    with pytest.raises(BadMetadata, match="unsafe_name"):
        parse(media_urls=[media_url(quote(name[:at] + bad + name[at:], safe=""))])


LICENSES = ["CC BY", "CC0", "CC BY-NC", "TDM", None]


@st.composite
def candidates(draw: st.DrawFn) -> list[VersionMetadata]:
    versions = draw(st.lists(st.integers(1, 9), unique=True, max_size=5))
    return [
        parse(
            f"PMC1.{version}",
            is_pmc_openaccess=draw(st.booleans()),
            is_manuscript=draw(st.booleans()),
            is_historical_ocr=draw(st.sampled_from([False, False, True])),
            is_retracted=draw(st.sampled_from([False, False, True])),
            license_code=draw(st.sampled_from(LICENSES)),
            media_urls=[media_url(name, f"pmc-oa-opendata/PMC1.{version}") for name in media],
        )
        for version in versions
        for media in [draw(st.sampled_from([[], ["table.csv"], ["a.JPG", "b.csv"]]))]
    ]


@given(
    versions=candidates(),
    licenses=st.none() | st.sets(st.sampled_from(LICENSES)),
)
@settings(max_examples=50, deadline=None)
def test_one_version_is_chosen_and_each_other_has_its_reason(
    versions: list[VersionMetadata], licenses: set[str | None] | None
):
    chosen, passed_over = choose_version(versions, licenses)
    best = None
    for one in versions:  # the rule in plain words
        allowed = licenses is None or one.license_code in licenses
        if one.is_pmc_openaccess and allowed:
            if one.is_retracted or one.is_historical_ocr:
                continue
            if one.is_manuscript and not one.media:
                continue
            rank = (not one.is_manuscript, any(n == "a.JPG" for n in one.media), one.version)
            if best is None or rank > best[0]:
                best = (rank, one)
    assert chosen is (best[1] if best else None)
    others = [one.version for one in versions if one is not chosen]
    assert sorted(one.version for one, _ in passed_over) == sorted(others)
    assert {reason for _, reason in passed_over} <= {
        "not_open_access",
        "retracted",
        "historical_ocr",
        "license_not_allowed",
        "manuscript_without_media",
        "other_version",
    }
    shuffled, _ = choose_version(versions[::-1], licenses)
    assert shuffled is chosen


def test_versions_of_two_articles_are_no_choice():
    with pytest.raises(ValueError, match="several articles"):
        choose_version([parse("PMC1.1"), parse("PMC2.1")], None)


def test_only_an_id_is_asked_for():
    with pytest.raises(ValueError, match="no article version"):
        read_metadata(None, "../PMC1.1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prepare", "remedy"),
    [
        (lambda place: None, "there is no such folder; name the one"),
        (lambda place: place.write_text("x"), "there is no such folder; name the one"),
        (lambda place: place.mkdir(), "is empty; name a source that holds articles"),
        (lambda place: (place / "PMC1").mkdir(parents=True), "is empty; name a source"),
        (
            lambda place: (place.mkdir(), (place / "PMC1.tar.gz").touch()),
            r"not in the layout of the PMC Cloud Service \(.* name the folder",
        ),
        (
            lambda place: ((place / "metadata").mkdir(parents=True), (place / "README").touch()),
            "not in the layout",
        ),
    ],
)
def test_a_folder_without_articles_says_what_to_name_instead(
    prepare: Callable[[Path], object], remedy: str, tmp_path: Path
):
    prepare(tmp_path / "source")
    with pytest.raises(UsageError, match=remedy):
        opened_bucket(str(tmp_path / "source"))


def test_a_bucket_without_articles_says_what_to_name_instead(
    tmp_path: Path, s3_server: str, s3_client: Any
):
    s3_client.create_bucket(Bucket="nothing", ACL="public-read")
    s3_client.create_bucket(Bucket="other-things", ACL="public-read")
    s3_client.put_object(Bucket="other-things", Key="oa_comm/x.xml", Body=b"", ACL="public-read")
    for source, endpoint, remedy in [
        ("s3://nothing", s3_server, "is empty"),
        ("s3://other-things", s3_server, "not in the layout"),
        ("s3://other-things/nowhere", s3_server, "is empty"),
        ("s3://no-such-bucket", s3_server, "no such bucket; check its name"),
        ("s3://pmc-oa-opendata", "http://127.0.0.1:1", "cannot be reached .* check the network"),
        ("s3://pmc-oa-opendata", "localhost", "one looks like http://localhost:9000"),
        ("s3://", None, r"s3://bucket\[/prefix\] or a local folder"),
        ("s3://two words", None, r"s3://bucket\[/prefix\] or a local folder"),
        ("https://pmc-oa-opendata.s3.amazonaws.com", None, r"s3://bucket\[/prefix\]"),
        (str(tmp_path), s3_server, "an endpoint goes with s3://"),
    ]:
        with pytest.raises(UsageError, match=remedy):
            opened_bucket(source, endpoint=endpoint)
