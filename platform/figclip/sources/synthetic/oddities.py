"""What is odd about some articles: each oddity at a fixed small rate, none by chance.

Article `index` has an oddity if `FIRST <= index % PERIOD < FIRST + len(ODDITIES)`, so that the
first articles are plain and forty articles hold every oddity once.
"""

FIRST, PERIOD = 6, 120

ODDITIES: dict[str, str] = {
    # Of the article.
    "no_pmid": "the article has no PubMed id",
    "retracted": "its metadata say that it is retracted",
    "license_nc_nd": "its licence is CC BY-NC-ND",
    "license_tdm": "an author manuscript for text mining only: its media are withheld",
    "historical_ocr": "a scanned page: XML made by character recognition",
    "not_open_access": "it stands in the bucket but is not open access",
    "correction": "its article type is correction",
    "manuscript_beside": "version 1 is published, version 2 an author manuscript",
    "two_versions": "two published versions: the newer one counts",
    "second_version_only": "version 1 is gone from the bucket",
    "article_set": "its XML is wrapped in <pmc-articleset>",
    "namespaced": "its XML has a default namespace",
    # Of one figure.
    "no_caption": "a figure without caption",
    "two_graphics": "a figure of two graphics",
    "fig_group": "two figures in a <fig-group> that shares a caption",
    "alternatives": "a graphic in two formats inside <alternatives>",
    "graphic_in_p": "a graphic inside a paragraph of the figure",
    "no_id": "a figure without id",
    "sub_article": "a figure that belongs to a sub-article",
    "third_party": "a figure with permissions of its own",
    "missing_media": "the graphic's file is not in the bucket",
    "broken_image": "the graphic's file is truncated",
    "wrong_case": "the href's case differs from the file's name",
    "no_extension": "the href has no extension, as in legacy packages",
    "plos_href": "the href is an info:doi/ address",
    # Of a figure's media file.
    "tif": "a TIFF file",
    "png": "a PNG file",
    "gif": "a GIF file",
    "webp": "a WebP file",
    "cmyk_jpg": "a JPEG in CMYK",
    "palette_png": "a PNG with a palette",
}

WHY_NOT_ELIGIBLE = {
    "retracted": "retracted",
    "license_nc_nd": "licence",
    "license_tdm": "licence",
    "historical_ocr": "historical OCR",
    "not_open_access": "not open access",
    "correction": "article type",
}


def oddity_of(index: int) -> str:
    """The oddity of the article at `index`; empty for most."""
    place = index % PERIOD - FIRST
    return list(ODDITIES)[place] if 0 <= place < len(ODDITIES) else ""
