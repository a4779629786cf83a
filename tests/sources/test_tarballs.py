"""Hostile packages: sound ones as `tarfile` reads them, a reason for all others."""

import gzip
import io
import random
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from figclip.sources import packages
from figclip.sources.buckets import LocalBucket
from figclip.sources.objects import CorruptObject, HugeObject, MissingObject
from figclip.sources.packages import PackageSource
from figclip.sources.tarballs import BadPackage, Unpacked, members

REASONS = {"corrupt_package", "gzip_bomb", "too_many_members", "no_xml", "ambiguous_xml"}
XML = b"<article/>"
BLOCK = 512


def info(name: str, size: int = 0, **changes: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size = size
    for key, value in changes.items():
        setattr(found, key, value)
    return found


def tar_of(
    entries: list[tuple[tarfile.TarInfo, bytes]],
    *,
    form: int = tarfile.GNU_FORMAT,
    end: bool = True,
) -> bytes:
    """Headers with whatever they state, each followed by the bytes it is given."""
    parts = []
    for entry, data in entries:
        parts.append(entry.tobuf(form, "utf-8", "surrogateescape"))
        parts.append(data + bytes(-len(data) % BLOCK))
    return b"".join(parts) + bytes(1024 if end else 0)


def regular(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return info(name, len(data)), data


ARTICLE = regular("A/a.nxml", XML)


def package(folder: Path, tar: bytes, *, packed: bytes | None = None) -> PackageSource:
    data = gzip.compress(tar, 1) if packed is None else packed
    (folder / "PMC7.tar.gz").write_bytes(data)
    return PackageSource(LocalBucket(folder))


def opened(source: PackageSource) -> dict[str, bytes]:
    """XML and media by name, as far as they can be read."""
    metadata = source.metadata("PMC7.1")
    found = {"xml": source.xml(metadata)}
    for name in metadata.media:
        found[name] = source.media(metadata, name)
    return found


def listed(tar: bytes) -> dict[str, bytes]:
    """Name → bytes of the usable members, by the streaming reader alone."""
    unpacked = Unpacked(io.BytesIO(gzip.compress(tar, 1)))
    found = {}
    for member in members(unpacked):
        if not member.objection:
            found[member.name] = b"".join(unpacked.pieces(member.size))
    return found


names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="/\\:"),
    min_size=1,
    max_size=150,
).filter(lambda name: ".." not in name and name != "." and len(name.encode()) < 200)


@given(
    files=st.dictionaries(names, st.binary(max_size=1500), max_size=6),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT]),
    folder=st.sampled_from(["", "A/", "./", "./A/", "A/B/", "x" * 120 + "/"]),
)
@settings(deadline=None)
def test_sound_packages_are_read_as_tarfile_reads_them(
    files: dict[str, bytes], form: int, folder: str
):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        tar.addfile(info("A", type=tarfile.DIRTYPE))
        for name, data in files.items():
            try:
                tar.addfile(info(folder + name, len(data)), io.BytesIO(data))
            except (ValueError, UnicodeError):  # ustar has no room for it
                return
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as tar:
        expected = {
            member.name.rpartition("/")[2]: tar.extractfile(member).read()
            for member in tar
            if member.isfile()
        }
    assert listed(stream.getvalue()) == expected


HOSTILE = {
    "a path upwards": info("../evil.jpg", 3),
    "a path upwards within": info("A/../../evil.jpg", 3),
    "an absolute path": info("/etc/evil.jpg", 3),
    "a backslash": info("A/..\\evil.jpg", 3),
    "a colon": info("A/C:evil.jpg", 3),
    "a control sign": info("A/evil\n.jpg", 3),
    "an endless name": info("A/" + "e" * 300 + ".jpg", 3),
    "a symbolic link": info("A/evil.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": info("A/evil.jpg", type=tarfile.LNKTYPE, linkname="../../etc/passwd"),
    "a hard link with a size": info("A/evil.jpg", 3, type=tarfile.LNKTYPE, linkname="A/a.nxml"),
    "a device": info("A/evil.jpg", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "a disk": info("A/evil.jpg", type=tarfile.BLKTYPE),
    "a pipe": info("A/evil.jpg", type=tarfile.FIFOTYPE),
    "an unknown kind": info("A/evil.jpg", 3, type=b"Z"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_member_is_passed_over_and_the_article_goes_on(what: str, tmp_path: Path):
    entry = HOSTILE[what]
    data = b"bad" if entry.size and entry.type not in (tarfile.LNKTYPE,) else b""
    tar = tar_of([regular("A/a.jpg", b"one"), (entry, data), ARTICLE, regular("A/b.gif", b"two")])
    source = package(tmp_path, tar)
    assert opened(source) == {"xml": XML, "a.jpg": b"one", "b.gif": b"two"}
    (skipped,) = source.skipped("PMC7.1")
    assert skipped.name == entry.name
    assert skipped.objection
    assert list(tmp_path.iterdir()) == [tmp_path / "PMC7.tar.gz"]


def test_the_front_of_a_long_path_counts_too(tmp_path: Path):
    """Which stands in a field of its own, before the name."""
    path = "../" + "x" * 90 + "/" + "y" * 20 + "/evil.jpg"
    tar = tar_of([regular(path, b"bad"), ARTICLE], form=tarfile.USTAR_FORMAT)
    source = package(tmp_path, tar)
    assert opened(source) == {"xml": XML}
    assert [member.name for member in source.skipped("PMC7.1")] == [path]


def test_a_sparse_member_does_not_grow(tmp_path: Path):
    header = bytearray(info("A/evil.jpg", 512).tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[386:482] = (b"%011o\0%011o\0" % (8**10, 512)).ljust(96, b"\0")
    header[482] = 1  # one more block of holes follows
    header[483:495] = b"%011o\0" % (8**11 - 1)
    holes = b"0" * 504 + bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    bad = info("A/evil2.jpg", 512)
    bad.pax_headers = {"GNU.sparse.realsize": str(2**62), "GNU.sparse.major": "1"}
    tar = bytes(header) + holes + b"x" * 512
    tar += bad.tobuf(tarfile.PAX_FORMAT) + b"x" * 512
    source = package(tmp_path, tar + tar_of([ARTICLE, regular("a.jpg", b"1")]))
    assert opened(source) == {"xml": XML, "a.jpg": b"1"}
    assert [m.objection for m in source.skipped("PMC7.1")] == ["a sparse file, no file"] * 2


def test_two_files_of_one_name_are_both_passed_over(tmp_path: Path):
    tar = tar_of([regular("a.jpg", b"1"), ARTICLE, regular("B/a.jpg", b"2"), regular("b.jpg", b"")])
    source = package(tmp_path, tar)
    assert opened(source) == {"xml": XML, "b.jpg": b""}
    assert [m.objection for m in source.skipped("PMC7.1")] == ["a second one of this name"]


@pytest.mark.parametrize(
    ("reason", "tar"),
    [
        ("no_xml", tar_of([])),
        ("no_xml", tar_of([regular("a.jpg", b"1")])),
        ("no_xml", tar_of([regular("../a.nxml", XML)])),
        ("no_xml", tar_of([(info("a.nxml", 10**6), XML)])),
        ("ambiguous_xml", tar_of([ARTICLE, regular("b.nxml", XML)])),
        ("ambiguous_xml", tar_of([ARTICLE, regular("B/a.nxml", XML)])),
        ("corrupt_package", tar_of([ARTICLE], end=False) + b"x" * 512),
        ("corrupt_package", tar_of([ARTICLE], end=False) + b"\x80" * 512),
        ("corrupt_package", b"no tar at all".ljust(5000, b"!")),
        ("corrupt_package", tar_of([(info("n", 10**9, type=b"L"), b"x"), ARTICLE])),
        ("corrupt_package", tar_of([(info("p", 4, type=b"x"), b"9 a="), ARTICLE])),
        ("corrupt_package", tar_of([(info("p", 9, type=b"x"), b"9 size=-1"), ARTICLE])),
        ("corrupt_package", tar_of([(info("p", 40_000, type=b"x"), b"1" * 40_000), ARTICLE])),
        ("too_many_members", tar_of([(info(f"{n}.jpg"), b"") for n in range(10_001)])),
        ("too_many_members", tar_of([(info("g", type=b"g"), b"")] * 20_001)),
    ],
)
def test_a_package_that_is_none_names_its_fault(reason: str, tar: bytes, tmp_path: Path):
    with pytest.raises(BadPackage) as caught:
        package(tmp_path, tar).metadata("PMC7.1")
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"PK" + data,
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:-8] + bytes(4) + data[-4:],
        lambda data: data + b"more",
    ],
)
def test_what_does_not_unpack_to_its_end_is_corrupt(
    damage: Callable[[bytes], bytes], tmp_path: Path
):
    data = gzip.compress(tar_of([ARTICLE, regular("a.jpg", random.Random(1).randbytes(9000))]))
    with pytest.raises(BadPackage, match="corrupt_package"):
        package(tmp_path, b"", packed=damage(data)).metadata("PMC7.1")


def test_a_huge_declared_size_costs_the_rest_of_the_package_only(tmp_path: Path):
    huge = info("A/huge.jpg", 2**62)
    source = package(tmp_path, tar_of([regular("a.jpg", b"1"), ARTICLE, (huge, b"some")]))
    metadata = source.metadata("PMC7.1")
    assert source.media(metadata, "a.jpg") == b"1"
    with pytest.raises(HugeObject) as caught:
        source.media(metadata, "huge.jpg")
    assert caught.value.size == 2**62
    lying = info("A/lying.jpg", 10**6)
    source = package(tmp_path, tar_of([ARTICLE, (lying, b"some")]))
    assert opened(source) == {"xml": XML}
    assert [m.objection for m in source.skipped("PMC7.1")] == ["the package ends within it"]


def test_a_bomb_ends_early_and_takes_no_memory(tmp_path: Path):
    zeros = gzip.compress(bytes(64 * 2**20), 9)
    head = gzip.compress(tar_of([ARTICLE], end=False) + info("A/x.mov", 2**40).tobuf())
    start, before = time.process_time(), peak()
    with pytest.raises(BadPackage, match="gzip_bomb"):
        package(tmp_path, b"", packed=head + zeros * 160).metadata("PMC7.1")
    assert time.process_time() - start < 5
    assert peak() - before < 50_000


def test_a_package_of_any_size_takes_little_memory(tmp_path: Path):
    """Of hundreds of megabytes of pictures and films nothing is held but the one asked for."""
    film = (info("A/film.mov", 200 * 2**20), b"")
    with gzip.open(tmp_path / "PMC7.tar.gz", "wb", compresslevel=0) as file:
        file.write(tar_of([film], end=False))
        noise = random.Random(1).randbytes(2**20)
        for _ in range(200):
            file.write(noise)
        for number in range(20):
            file.write(tar_of([(info(f"A/{number}.tif", 10 * 2**20), b"")], end=False))
            for _ in range(10):
                file.write(noise)
        file.write(tar_of([ARTICLE]))
    before = peak()
    source = PackageSource(LocalBucket(tmp_path))
    metadata = source.metadata("PMC7.1")
    assert len(metadata.media) == 21
    assert source.media(metadata, "19.tif") == noise * 10
    with pytest.raises(HugeObject):
        source.media(metadata, "film.mov")
    assert peak() - before < 60_000
    packages._kept.clear()


kinds = st.sampled_from(
    [tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, *b"123456SLKxgXZ".decode("ascii")]
).map(lambda kind: kind if isinstance(kind, bytes) else kind.encode())
entries = st.tuples(
    st.sampled_from(
        ["a.nxml", "b.jpg", "../c.jpg", "/d.gif", "e/f.png", "..", "", "x" * 300, "m.mov"]
    ),
    kinds,
    st.sampled_from([0, 1, 511, 512, 513, 70_000, 2**31, 2**40, 2**62]) | st.integers(0, 2000),
    st.binary(max_size=600),
)


@given(
    files=st.lists(entries, max_size=6),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 7)), max_size=3),
    flips_packed=st.booleans(),
    cut=st.none() | st.floats(0, 1),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_package_however_hostile_does_more_than_give_a_reason(
    files: list[tuple[str, bytes, int, bytes]],
    flips: list[tuple[float, int]],
    flips_packed: bool,
    cut: float | None,
    form: int,
):
    entries = [(info(name, size, type=kind), data) for name, kind, size, data in files]
    tar = bytearray(tar_of([*entries[:3], ARTICLE, *entries[3:]], form=form))
    packed = bytearray(gzip.compress(tar, 1))
    spoilt = packed if flips_packed else tar
    for where, bit in flips:
        spoilt[int(where * len(spoilt))] ^= 1 << bit
    data = bytes(packed if flips_packed else gzip.compress(tar, 1))
    data = data if cut is None else data[: int(cut * len(data))]
    start, before = time.process_time(), peak()
    with tempfile.TemporaryDirectory() as place:
        inner = Path(place, "inner", "packages")
        inner.mkdir(parents=True)
        source = package(inner, b"", packed=data)
        here = Path.cwd()
        with_reason(lambda: read_all(source))
        left = {path.relative_to(place).as_posix() for path in Path(place).rglob("*")}
        assert left == {"inner", "inner/packages", "inner/packages/PMC7.tar.gz"}
        assert Path.cwd() == here
    assert time.process_time() - start < 5
    assert peak() - before < 300_000


def read_all(source: PackageSource) -> None:
    metadata = source.metadata("PMC7.1")
    with_reason(lambda: source.xml(metadata))
    for name in metadata.media:
        assert "/" not in name
        with_reason(lambda name=name: source.media(metadata, name))


def with_reason(read: Callable[[], object]) -> None:
    """Read, or fail in one of the ways that are counted."""
    try:
        read()
    except (CorruptObject, HugeObject, MissingObject):
        return
    except BadPackage as error:
        if error.reason not in REASONS:
            raise


def peak() -> int:
    """Most memory that this process has had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
