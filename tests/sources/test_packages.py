"""Legacy packages: found wherever they lie, and the same figures as in the cloud's form."""

import gzip
import hashlib
import io
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import s3_process

from figclip.config import UsageError
from figclip.corpus.media import resolve_media
from figclip.jats.article import parse_article
from figclip.sources import packages
from figclip.sources.buckets import LocalBucket, S3Bucket
from figclip.sources.objects import HugeObject, LargeObject, MissingObject
from figclip.sources.packages import PackageSource
from figclip.sources.source import open_source


def write_package(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"Journal_2010/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {"a-1.gif": b"small", "a-1.jpg": b"large", "a.nxml": b"<article/>", "a.pdf": b"%PDF"}
    place = tmp_path / "legacy"
    write_package(place / "oa_package" / "aa" / "bb" / "PMC300.tar.gz", files)
    write_package(place / "oa_package" / "00" / "PMC20.tar.gz", {"b.nxml": b"<b/>"})
    write_package(place / "PMC1000.tar.gz", {"c.nxml": b"<c/>", "c.PNG": b"png"})
    (place / "README.tar.gz").write_bytes(b"none")
    (place / "oa_package" / "PMC5.zip").write_bytes(b"none")
    return place


@pytest.fixture(params=["folder", "s3"])
def source(
    request: pytest.FixtureRequest, folder: Path, moto_process: str, tmp_path: Path
) -> PackageSource:
    """The same packages, wherever they lie."""
    if request.param == "folder":
        return open_source(str(folder))  # type: ignore[return-value]
    name = f"legacy-{hashlib.md5(str(tmp_path).encode()).hexdigest()}"
    s3_process.upload(moto_process, folder, name, prefix="some/where/")
    return open_source(f"s3://{name}/some/where", endpoint=moto_process)  # type: ignore[return-value]


def test_packages_are_found_at_any_depth_with_an_etag_each(source: PackageSource, folder: Path):
    assert isinstance(source, PackageSource)
    versions = source.list_versions()
    assert versions["version_id"].to_pylist() == ["PMC20.1", "PMC300.1", "PMC1000.1"]
    paths = [*sorted(folder.glob("oa_package/**/*.tar.gz")), folder / "PMC1000.tar.gz"]
    if isinstance(source.bucket, LocalBucket):
        etags = [f"{p.stat().st_size}-{p.stat().st_mtime_ns}" for p in paths]
    else:
        etags = [hashlib.md5(p.read_bytes()).hexdigest() for p in paths]
    assert versions["etag"].to_pylist() == etags
    some = source.list_versions(["PMC1000", "PMC7", "PMC300.1", "PMC300.2"])
    assert some["version_id"].to_pylist() == ["PMC7.0", "PMC300.1", "PMC300.2", "PMC1000.1"]
    assert some["etag"].to_pylist() == ["", etags[1], "", etags[2]]
    assert pickle.loads(pickle.dumps(source)).list_versions() == versions


def test_a_package_gives_its_xml_and_its_media(source: PackageSource):
    metadata = source.metadata("PMC300.1")
    assert (metadata.version_id, metadata.license_code) == ("PMC300.1", None)
    assert metadata.is_pmc_openaccess
    assert not metadata.is_retracted
    assert metadata.media == {"a-1.gif": "", "a-1.jpg": "", "a.pdf": ""}
    assert source.xml(metadata) == b"<article/>"
    assert source.media(metadata, "a-1.jpg") == b"large"
    assert source.media(metadata, "a.pdf") == b"%PDF"
    with pytest.raises(LargeObject) as caught:
        source.media(metadata, "a-1.jpg", at_most=4)
    assert caught.value.size == 5
    for name in ("a.nxml", "a-2.jpg"):
        with pytest.raises(MissingObject, match="has no media"):
            source.media(metadata, name)
    assert source.media(source.metadata("PMC1000.1"), "c.PNG") == b"png"
    for version_id in ("PMC7.1", "PMC300.2", "PMC300.0"):
        with pytest.raises(MissingObject):
            source.metadata(version_id)
    with pytest.raises(ValueError, match="no article version"):
        source.metadata("PMC300")


def test_limits_are_obeyed_before_anything_is_read(folder: Path):
    bucket = LocalBucket(folder)
    with pytest.raises(HugeObject):
        PackageSource(bucket, max_package_bytes=50).metadata("PMC300.1")
    source = PackageSource(bucket, max_xml_bytes=9, max_media_bytes=4)
    metadata = source.metadata("PMC300.1")
    with pytest.raises(HugeObject) as caught:
        source.xml(metadata)
    assert caught.value.size == 10
    with pytest.raises(HugeObject):
        source.media(metadata, "a-1.jpg")
    assert source.media(metadata, "a.pdf") == b"%PDF"


def test_a_package_that_changed_or_came_later_is_read_anew(folder: Path):
    source = PackageSource(LocalBucket(folder))
    before = source.list_versions()
    assert source.xml(source.metadata("PMC20.1")) == b"<b/>"
    write_package(folder / "oa_package" / "00" / "PMC20.tar.gz", {"b.nxml": b"<changed/>"})
    write_package(folder / "new" / "PMC21.tar.gz", {"n.nxml": b"<new/>"})
    assert source.xml(source.metadata("PMC20.1")) == b"<changed/>"
    assert source.xml(source.metadata("PMC21.1")) == b"<new/>"
    after = source.list_versions()
    assert after["version_id"].to_pylist() == ["PMC20.1", "PMC21.1", "PMC300.1", "PMC1000.1"]
    assert after["etag"][0] != before["etag"][0]
    assert after["etag"][2:].to_pylist() == before["etag"][1:].to_pylist()


def test_a_package_is_unpacked_once_an_article_and_few_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    for number in range(30, 40):
        write_package(folder / f"PMC{number}.tar.gz", {"x.nxml": b"<x/>", "y.jpg": b"y"})
    opened: list[str] = []
    original = LocalBucket.open

    def counted(bucket: LocalBucket, key: str, *, at_most: int) -> object:
        opened.append(key)
        return original(bucket, key, at_most=at_most)

    monkeypatch.setattr(LocalBucket, "open", counted)
    source = PackageSource(LocalBucket(folder))
    num_files = num_open_files()
    for number in range(30, 40):
        metadata = source.metadata(f"PMC{number}.1")
        assert source.xml(metadata) == b"<x/>"
        assert source.media(metadata, "y.jpg") == b"y"
    assert opened == [f"PMC{number}.tar.gz" for number in range(30, 40)]
    assert num_open_files() <= num_files + packages.MOST_KEPT


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_of_two_packages_of_one_article_the_first_counts(
    folder: Path, caplog: pytest.LogCaptureFixture
):
    write_package(folder / "z" / "PMC20.tar.gz", {"z.nxml": b"<z/>"})
    source = PackageSource(LocalBucket(folder))
    assert source.list_versions().num_rows == 3
    assert source.xml(source.metadata("PMC20.1")) == b"<b/>"
    assert "z/PMC20.tar.gz is passed over" in caplog.text


def test_a_temporary_folder_that_takes_nothing_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(folder / "nowhere"))
    with pytest.raises(UsageError, match=r"nowhere does not take .* set TMPDIR"):
        PackageSource(LocalBucket(folder)).metadata("PMC300.1")


@pytest.mark.real
def test_a_real_package_has_the_figures_of_its_cloud_form(
    shared_folder: Callable[[str], Path], moto_process: str
):
    folder = shared_folder("legacy-packages")
    s3_process.upload(moto_process, folder, "real-legacy", prefix="oa_package/aa/bb/")
    remote = PackageSource(S3Bucket("real-legacy", endpoint=moto_process))
    cloud = open_source(str(shared_folder("pmc-oa-opendata")))
    stated = cloud.metadata("PMC3003633.1")
    theirs = parse_article(cloud.xml(stated))
    for source in (open_source(str(folder)), remote):
        metadata = source.metadata("PMC3003633.1")
        ours = parse_article(source.xml(metadata))
        assert [(f.figure_id, f.label, f.caption) for f in ours.figures] == [
            (f.figure_id, f.label, f.caption) for f in theirs.figures
        ]
        pictures = 0
        for mine, other in zip(ours.figures, theirs.figures, strict=True):
            for href, cloud_href in zip(mine.graphics, other.graphics, strict=True):
                name = resolve_media(href, metadata.media)
                cloud_name = resolve_media(cloud_href, stated.media)
                assert name is not None
                assert cloud_name is not None
                data = source.media(metadata, name)
                assert hashlib.md5(data).hexdigest() == stated.media[cloud_name]
                pictures += 1
        assert pictures == 3


@pytest.mark.real
def test_a_real_package_is_read_as_tarfile_reads_it(shared_folder: Callable[[str], Path]):
    folder = shared_folder("legacy-packages")
    source = open_source(str(folder))
    metadata = source.metadata("PMC3003633.1")
    with tarfile.open(folder / "PMC3003633.tar.gz") as tar:
        files = {
            Path(m.name).name: tar.extractfile(m).read()  # type: ignore[union-attr]
            for m in tar
            if m.isfile()
        }
    assert files.pop("1475-2859-9-89.nxml") == source.xml(metadata)
    assert {name: source.media(metadata, name) for name in metadata.media} == files


def test_a_package_of_truncated_bytes_on_s3_is_tried_and_then_bad(
    folder: Path, moto_process: str, tmp_path: Path
):
    """What is stored broken is the package's fault, not the network's."""
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    data = (folder / "PMC1000.tar.gz").read_bytes()
    (broken / "PMC1000.tar.gz").write_bytes(data[:-9])
    with pytest.raises(EOFError):
        gzip.decompress(data[:-9])
    s3_process.upload(moto_process, broken, "broken-legacy")
    source = open_source("s3://broken-legacy", endpoint=moto_process)
    with pytest.raises(packages.BadPackage, match="corrupt_package"):
        source.metadata("PMC1000.1")
