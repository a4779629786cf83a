"""How many lines a ledger must have, by another reading of a bucket: plain JSON and ElementTree."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

HREF = "{http://www.w3.org/1999/xlink}href"
WRAPS = ("fig", "fig-group", "chem-struct-wrap", "table-wrap", "boxed-text")
NOT_OWN = (
    *WRAPS,
    *("disp-formula", "inline-formula", "table"),
    *("supplementary-material", "inline-supplementary-material"),
)
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif")
NOTES = ("retraction", "correction", "addendum", "expression-of-concern", "partial-retraction")


def lines_of(folder: Path, licenses: tuple[str, ...]) -> dict[str, int]:
    """`version id` → lines: one for every version of a bucket, and one for each picture (or for
    each figure that can have none) of those that are read."""
    stated = [json.loads(path.read_text()) for path in sorted((folder / "metadata").glob("*.json"))]
    versions = {f"{v['pmcid']}.{v['version']}": v for v in stated}
    found = dict.fromkeys(versions, 1)
    for name in chosen(list(versions.values()), licenses):
        article = ElementTree.parse(folder / name / f"{name}.xml").getroot()
        if article.get("article-type") not in NOTES:
            found[name] += sum(pictures_of_figures(article))
    return found


def chosen(versions: list[dict], licenses: tuple[str, ...]) -> Iterator[str]:
    """Of every article the version to read: open, of an allowed licence, the publisher's own, one
    with pictures, the newest."""
    articles = defaultdict(list)
    for v in versions:
        is_scan_or_withdrawn = v["is_historical_ocr"] or v["is_retracted"]
        is_empty = v["is_manuscript"] and not v.get("media_urls")
        is_allowed = v["is_pmc_openaccess"] and v["license_code"] in licenses
        if is_allowed and not is_scan_or_withdrawn and not is_empty:
            articles[v["pmcid"]].append(v)
    for those in articles.values():
        those.sort(key=lambda v: (not v["is_manuscript"], has_pictures(v), v["version"]))
        yield f"{those[-1]['pmcid']}.{those[-1]['version']}"


def has_pictures(version: dict) -> bool:
    names = [url.partition("?")[0].lower() for url in version.get("media_urls") or ()]
    return any(name.endswith(PICTURES) for name in names)


def pictures_of_figures(article: ElementTree.Element) -> Iterator[int]:
    """For each figure of a document the lines that it is due."""
    parents = {child: parent for parent in article.iter() for child in parent}
    for element in article.iter():
        kind = tag(element)
        if kind not in WRAPS:
            continue
        hrefs = set(pictures(element, is_fig=kind == "fig"))
        if kind == "chem-struct-wrap" and "fig" in map(tag, above(element, parents)):
            continue
        if not hrefs and kind != "fig":
            continue
        captions = [element, *(e for e in above(element, parents) if tag(e) == "fig-group")]
        is_wanted = kind != "table-wrap" and any(map(has_caption, captions))
        yield max(1, len(hrefs)) if is_wanted else 1


def pictures(element: ElementTree.Element, *, is_fig: bool) -> Iterator[str]:
    """A name for every picture of its own; of alternatives, one."""
    for child in element:
        if tag(child) == "alternatives":
            names = [name for name in map(picture, child) if name]
            yield from names[:1]
        elif picture(child):
            yield picture(child)
        elif tag(child) not in NOT_OWN or (is_fig and tag(child) == "chem-struct-wrap"):
            yield from pictures(child, is_fig=is_fig)


def picture(element: ElementTree.Element) -> str:
    href = element.get(HREF, "").strip()
    is_media = tag(element) == "media" and (
        element.get("mimetype") == "image" or href.lower().endswith(PICTURES)
    )
    return href if tag(element) == "graphic" or is_media else ""


def has_caption(element: ElementTree.Element) -> bool:
    return any("".join(child.itertext()).strip() for child in element if tag(child) == "caption")


def above(element: ElementTree.Element, parents: dict) -> Iterator[ElementTree.Element]:
    while element in parents:
        element = parents[element]
        yield element


def tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def lines_in(ledger) -> dict[str, int]:
    """The same of a ledger's table."""
    columns = ledger["pmcid"].to_pylist(), ledger["version"].to_pylist()
    return dict(Counter(f"{pmcid}.{version}" for pmcid, version in zip(*columns, strict=True)))
