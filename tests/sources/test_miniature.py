"""The miniature is a bucket in the cloud layout, the same bytes each time, oddities included."""

import csv
import errno
import gzip
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from PIL import Image, UnidentifiedImageError

from figclip.config import UsageError
from figclip.sources.miniature import ELIGIBLE_LICENSES, MiniatureConfig, write_miniature
from figclip.sources.synthetic.oddities import ODDITIES

FORTY = MiniatureConfig(num_articles=40, seed=3)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("miniature") / "bucket"
    write_miniature(folder, FORTY)
    return folder


@pytest.fixture(scope="module")
def truth(bucket: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (bucket / "truth.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def summaries(bucket: Path) -> list[dict[str, Any]]:
    return json.loads((bucket / "truth.json").read_bytes())


def metadata(bucket: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted((bucket / "metadata").iterdir())]


def document(bucket: Path, version: str) -> etree._ElementTree:
    return etree.parse(bucket / version / f"{version}.xml")


def figures_of(bucket: Path, version: str) -> list[etree._Element]:
    return document(bucket, version).xpath("//*[local-name()='fig']")


def odd_version(summaries: list[dict[str, Any]], oddity: str) -> dict[str, Any]:
    return next(summary for summary in summaries if summary["oddity"] == oddity)


def snapshot(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    config = MiniatureConfig(num_articles=5, seed=11)
    write_miniature(tmp_path / "one", config)
    with get_context("spawn").Pool(2) as pool:
        write_miniature(tmp_path / "two", config, mapped=pool.imap)
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")


def test_an_article_does_not_depend_on_how_many_there_are(bucket: Path, tmp_path: Path) -> None:
    write_miniature(tmp_path / "few", FORTY.with_overrides({"num_articles": 2}))
    whole = snapshot(bucket)
    few = {k: v for k, v in snapshot(tmp_path / "few").items() if k.startswith("PMC")}
    assert few
    assert all(whole[key] == digest for key, digest in few.items())


def test_another_seed_gives_another_miniature(bucket: Path, tmp_path: Path) -> None:
    write_miniature(tmp_path / "other", MiniatureConfig(num_articles=2, seed=4))
    name = "PMC98000001.1/PMC98000001.1.xml"
    assert (tmp_path / "other" / name).read_bytes() != (bucket / name).read_bytes()


def test_the_same_miniature_is_kept_and_another_is_refused(tmp_path: Path) -> None:
    folder, config = tmp_path / "bucket", MiniatureConfig(num_articles=1)
    counts = write_miniature(folder, config)
    before = snapshot(folder)
    assert write_miniature(folder, config) == counts
    with pytest.raises(UsageError, match="choose another folder"):
        write_miniature(folder, MiniatureConfig(num_articles=2))
    assert snapshot(folder) == before


def test_a_full_disk_leaves_nothing_and_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match="no space left"):
        write_miniature(tmp_path / "bucket", MiniatureConfig(num_articles=1))
    assert not list(tmp_path.iterdir())


def test_every_url_of_the_metadata_names_an_object_with_that_md5(bucket: Path) -> None:
    for entry in metadata(bucket):
        name = f"{entry['pmcid']}.{entry['version']}"
        urls = [entry["xml_url"], entry["text_url"], *entry.get("media_urls", [])]
        for url in urls:
            key, _, md5 = url.removeprefix("s3://pmc-oa-opendata/").partition("?md5=")
            assert key.startswith(f"{name}/")
            assert hashlib.md5((bucket / key).read_bytes()).hexdigest() == md5
        named = {url.partition("?")[0].rpartition("/")[2] for url in urls} | {f"{name}.json"}
        assert named == {path.name for path in (bucket / name).iterdir()}
        copies = (bucket / name / f"{name}.json", bucket / "metadata" / f"{name}.json")
        assert copies[0].read_bytes() == copies[1].read_bytes()


def test_the_inventory_lists_every_metadata_object_with_its_etag(bucket: Path) -> None:
    [manifest] = bucket.glob("inventory-reports/pmc-oa-opendata/metadata/*/manifest.json")
    [part] = json.loads(manifest.read_bytes())["files"]
    data = (bucket / part["key"]).read_bytes()
    assert hashlib.md5(data).hexdigest() == part["MD5checksum"]
    assert len(data) == part["size"]
    rows = csv.reader(io.StringIO(gzip.decompress(data).decode()))
    listed = {key: etag for _, key, _, etag in rows}
    assert listed == {
        f"metadata/{path.name}": hashlib.md5(path.read_bytes()).hexdigest()
        for path in (bucket / "metadata").iterdir()
    }


@pytest.mark.real
def test_the_layout_is_that_of_the_real_bucket(
    bucket: Path, shared_folder: Callable[[str], Path]
) -> None:
    def shapes(folder: Path) -> set[str]:
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.*")]
        names = [name for name in names if "/" in name and (folder / name).is_file()]
        objects = [re.sub(r"PMC\d+\.\d", "V", name) for name in names]
        return {
            re.sub(r"\d{4}-[\d-]+T[\d-]+Z|[0-9a-f-]{36}", "*", name)
            for name in objects
            if not name.startswith("V/") or name.startswith("V/V.")
        }

    real = shared_folder("pmc-oa-opendata")
    assert shapes(bucket) == shapes(real)
    fields = {key for entry in metadata(real) for key in entry}
    assert {key for entry in metadata(bucket) for key in entry} == fields
    types = {key: {type(entry.get(key)) for entry in metadata(real)} for key in fields}
    for entry in metadata(bucket):
        assert all(type(entry.get(k)) in types[k] | {type(None)} for k in fields)


def test_every_oddity_stands_among_forty_articles(summaries: list[dict[str, Any]]) -> None:
    assert {summary["oddity"] for summary in summaries} == {"", *ODDITIES}


def test_xml_is_well_formed_with_doctype_markup_and_unicode(bucket: Path) -> None:
    captions = b""
    for path in bucket.glob("PMC*/*.xml"):
        tree = etree.parse(path)  # raises where it is not well-formed
        assert tree.docinfo.doctype.startswith("<!DOCTYPE ")
        assert "article" in tree.docinfo.doctype
        captions += b"".join(
            etree.tostring(node, encoding="utf-8")
            for node in tree.xpath("//*[local-name()='caption']")
        )
    for piece in (
        b"<italic",
        b"<sub",
        b"<bold",
        b"&lt;",
        "α".encode(),
        "µm".encode(),
        "–".encode(),
    ):
        assert piece in captions


def test_captions_in_the_xml_are_those_of_the_truth(
    bucket: Path, truth: list[dict[str, Any]]
) -> None:
    by_version: dict[str, list[dict[str, Any]]] = {}
    for line in truth:
        by_version.setdefault(line["version"], []).append(line)
    for version, lines in by_version.items():
        found: Counter[str] = Counter()
        for figure in figures_of(bucket, version):
            parts = figure.xpath("./*[local-name()='caption']/*")
            found[" ".join("".join(part.itertext()) for part in parts)] += 1
        assert found == Counter(line["caption"] for line in lines)


def test_truth_counts_what_stands_in_the_bucket(
    bucket: Path, summaries: list[dict[str, Any]]
) -> None:
    for summary in summaries:
        version = summary["version"]
        stems = {path.stem.lower() for path in (bucket / version).iterdir()}
        resolved = 0
        figures = figures_of(bucket, version)
        for figure in figures:
            groups = figure.xpath(".//*[local-name()='alternatives']") or figure.xpath(
                ".//*[local-name()='graphic']"
            )
            for group in groups:
                hrefs = group.xpath("descendant-or-self::*/@*[local-name()='href']")
                names = {href.rpartition("/")[2].removeprefix("journal.").lower() for href in hrefs}
                resolved += any(re.sub(r"\.(jpg|png|tif|gif|webp)$", "", n) in stems for n in names)
        assert summary["num_figs"] == len(figures)
        assert summary["num_graphics_resolved"] == resolved
        with_caption = [f for f in figures if f.xpath("./*[local-name()='caption']")]
        assert summary["num_figs_with_caption"] == len(with_caption)


def test_every_figure_opens_with_the_size_of_its_truth(
    bucket: Path, truth: list[dict[str, Any]]
) -> None:
    broken = 0
    for line in truth:
        for name in line["graphics"]:
            try:
                with Image.open(bucket / line["version"] / name) as image:
                    image.load()
            except (OSError, UnidentifiedImageError):
                broken += 1
                assert line["num_pairs"] == 0
            else:
                assert image.size == (line["width"], line["height"])
    assert broken == 1


def test_oddities_are_what_they_say(bucket: Path, summaries: list[dict[str, Any]]) -> None:
    def versions(oddity: str) -> list[str]:
        return [s["version"] for s in summaries if s["oddity"] == oddity]

    def holds(oddity: str, path: str) -> bool:
        return bool(document(bucket, versions(oddity)[0]).xpath(path))

    def entry(oddity: str, n: int = 0) -> dict[str, Any]:
        return json.loads((bucket / "metadata" / f"{versions(oddity)[n]}.json").read_bytes())

    assert entry("no_pmid")["pmid"] is None
    assert not holds("no_pmid", "//article-id[@pub-id-type='pmid']")
    assert entry("retracted")["is_retracted"]
    assert entry("license_nc_nd")["license_code"] == "CC BY-NC-ND"
    assert entry("license_tdm")["license_code"] == "TDM"
    assert "media_urls" not in entry("license_tdm")
    assert entry("historical_ocr")["is_historical_ocr"]
    assert not entry("not_open_access")["is_pmc_openaccess"]
    assert holds("correction", "/article[@article-type='correction']")
    assert [entry("manuscript_beside", n)["is_manuscript"] for n in (0, 1)] == [False, True]
    assert [version[-1] for version in versions("two_versions")] == ["1", "2"]
    assert [version[-1] for version in versions("second_version_only")] == ["2"]
    assert holds("article_set", "/pmc-articleset/article")
    assert holds("namespaced", "/*[namespace-uri() and local-name()='article']")
    assert holds("no_caption", "//fig[not(caption)]")
    assert holds("two_graphics", "//fig[count(graphic)=2]")
    assert holds("fig_group", "//fig-group[caption and count(fig)=2]")
    assert holds("alternatives", "//fig/alternatives[count(graphic)=2]")
    assert holds("graphic_in_p", "//fig/p/graphic")
    assert holds("no_id", "//fig[not(@id)]")
    assert holds("sub_article", "//sub-article//fig")
    assert holds("third_party", "//fig/permissions")


def test_one_version_of_each_valid_article_is_eligible(
    bucket: Path, summaries: list[dict[str, Any]]
) -> None:
    entries = {f"{entry['pmcid']}.{entry['version']}": entry for entry in metadata(bucket)}
    chosen: dict[str, tuple[bool, int]] = {}
    for version, entry in entries.items():
        kind = document(bucket, version).xpath("string(//*[local-name()='article']/@article-type)")
        barred = entry["is_retracted"] or entry["is_historical_ocr"] or kind == "correction"
        licensed = entry["license_code"] in ELIGIBLE_LICENSES and entry["is_pmc_openaccess"]
        if licensed and not barred:
            rank = (not entry["is_manuscript"], entry["version"])
            chosen[entry["pmcid"]] = max(rank, chosen.get(entry["pmcid"], rank))
    expected = {f"{pmcid}.{version}" for pmcid, (_, version) in chosen.items()}
    assert {s["version"] for s in summaries if s["is_eligible"]} == expected


def test_formats_are_what_they_say(bucket: Path, summaries: list[dict[str, Any]]) -> None:
    expected = {
        "tif": ("TIFF", "RGB"),
        "png": ("PNG", "RGB"),
        "gif": ("GIF", "P"),
        "webp": ("WEBP", "RGB"),
        "cmyk_jpg": ("JPEG", "CMYK"),
        "palette_png": ("PNG", "P"),
    }
    for oddity, form in expected.items():
        folder = bucket / odd_version(summaries, oddity)["version"]
        found = set()
        for path in folder.iterdir():
            if path.suffix not in (".json", ".xml", ".txt", ".csv"):
                with Image.open(path) as image:
                    found.add((image.format, image.mode))
        assert form in found


def test_figures_are_mentioned_in_paragraphs(bucket: Path, truth: list[dict[str, Any]]) -> None:
    for line in truth[:60]:
        links = document(bucket, line["version"]).xpath(
            "//*[local-name()='p']//*[local-name()='xref'][@ref-type='fig']"
        )
        mine = [link for link in links if link.get("rid") == line["figure_id"]]
        assert len(mine) == line["num_mentions"]
        number = re.search(r"\d+", line["label"])
        assert number is not None
        assert all(number[0] in (link.text or "") for link in mine)
    assert sum(line["num_mentions"] > 0 for line in truth) > 0.9 * len(truth)


def test_article_ids_are_reserved_ones(bucket: Path) -> None:
    assert all(entry["doi"].startswith("10.5555/") for entry in metadata(bucket))
    assert all(int(entry["pmcid"][3:]) > 98_000_000 for entry in metadata(bucket))
