"""The nouns of the project: article, figure, panel, pair, ledger entry; their Arrow schemas."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import pyarrow as pa

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

Kind = Literal["fig", "scheme", "table", "boxed"]
"""What holds the graphic: `<fig>`, `<chem-struct-wrap>`, `<table-wrap>` or `<boxed-text>`."""

MAX_PIXELS = 89_478_485
"""Of a picture that is decoded: a quarter of a GiB as RGB, Pillow's own bound.

A page at 600 dpi has 35 million. What becomes a pair must be readable ever after, so that all who
decode pictures of pairs go by this number.
"""

FINGERPRINT_BYTES = 32

Box = tuple[int, int, int, int]
"""`(x0, y0, x1, y1)` in pixels, x1 and y1 exclusive."""


@dataclass(frozen=True)
class Mention:
    """A paragraph of the article that refers to a figure (an in-line citation, "citance")."""

    text: str
    """The whole paragraph, white space folded."""
    section: tuple[str, ...]
    """Section titles from the outermost to the innermost."""
    anchor: str
    """The words of the link itself, for example `1B`."""


@dataclass(frozen=True)
class Panel:
    """Part A, B, ... of a compound figure."""

    label: str
    """Bare (`A`, not `(A)`); empty where none is printed."""
    box: Box
    label_box: Box | None
    caption: str
    """The words that speak of this panel alone."""


@dataclass(frozen=True)
class Figure:
    """One captioned item of an article, as its XML states it; no image is read yet."""

    figure_id: str
    """The element's `id`; `fig-{n}` (n-th in document order, from 1) where it has none."""
    kind: Kind
    label: str
    """For example `Figure 1`; empty where there is none."""
    caption: str
    """Verbatim text: Unicode intact, white space folded, no mark-up. Empty where there is none."""
    group_caption: str
    """The caption that a `<fig-group>` shares among its figures; else empty."""
    graphics: tuple[str, ...]
    """Every graphic's href as written, alternatives collapsed to one, in document order."""
    alt_text: str
    license: str
    """The figure's own licence (third-party material), a code or its words; else empty."""
    attribution: str
    """What the figure says of its rights beside the licence: copyright, source; else empty."""
    owner: str
    """Id of the sub-article or response that holds the figure; empty for the article itself."""
    section: tuple[str, ...]
    mentions: tuple[Mention, ...]


@dataclass(frozen=True)
class Article:
    """One parsed article version."""

    pmcid: str
    """`PMC` and digits."""
    version: int
    pmid: int | None
    doi: str | None
    title: str
    journal: str
    date: str
    """The earliest publication date, ISO 8601 and as precise as stated: `2010-11-17`, `2010-11`,
    `2010`; else empty."""
    article_type: str
    license: str
    """Licence code (`CC BY`, `CC0`, ...) of the source, else derived from the XML, else empty."""
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Pair:
    """One image beside one caption: the training row."""

    pair_id: str
    """`{pmcid}.{version}/{figure_id}/{graphic}`, unique in a corpus."""
    pmcid: str
    version: int
    pmid: int | None
    doi: str | None
    title: str
    journal: str
    date: str
    """As in `Article`."""
    year: int | None
    """Of `date`."""
    license: str
    figure_license: str
    figure_attribution: str
    article_type: str
    figure_id: str
    owner: str
    graphic: str
    """Name of the media file that the href resolved to."""
    label: str
    section: list[str]
    """Titles of the sections around the figure, the outermost first."""
    caption: str
    group_caption: str
    alt_text: str
    mentions: list[str]
    """Paragraphs that refer to the figure."""
    image: bytes
    """JPEG or PNG bytes, RGB."""
    width: int
    """Pixels of `image`."""
    height: int
    original_width: int
    original_height: int
    image_sha256: str
    """Of the media file as the source holds it."""
    image_fingerprint: bytes
    """256 bits that a picture keeps when it is resized or encoded anew; all zero where it is too
    plain to tell from others."""
    split: Split


State = Literal["published", "rejected", "failed"]
"""`rejected` by a rule, for good; `failed` by a fault that another try may not meet."""


class Unusable(Exception):
    """Input that gives nothing; `reason` is a word to count by, `detail` a sentence for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True)
class Entry:
    """A line of the ledger: what became of an article version, a figure or a graphic.

    Every version that was listed has one without figure; every graphic of a figure that a rule
    let pass has one of its own, and so has every figure that a rule rejected.
    """

    pmcid: str
    version: int
    figure_id: str
    """Empty where the line speaks of the whole version."""
    graphic: str
    """Empty where it speaks of a whole figure; else the media's name, or the href that has none."""
    state: State
    reason: str
    """A word of a small vocabulary, to count by: `missing_media`, `broken_image`, ...; empty where
    published."""
    detail: str
    """For people: what was found, in a sentence."""
    num_figures: int | None = None
    """Of a parsed version: its `<fig>`s."""
    num_figures_with_caption: int | None = None
    image_sha256: str | None = None
    """Of a published graphic, as in `Pair`."""
    image_fingerprint: bytes | None = None


PAIR_SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        ("pmcid", pa.string()),
        ("version", pa.int32()),
        ("pmid", pa.int64()),
        ("doi", pa.string()),
        ("title", pa.string()),
        ("journal", pa.string()),
        ("date", pa.string()),
        ("year", pa.int32()),
        ("license", pa.string()),
        ("figure_license", pa.string()),
        ("figure_attribution", pa.string()),
        ("article_type", pa.string()),
        ("figure_id", pa.string()),
        ("owner", pa.string()),
        ("graphic", pa.string()),
        ("label", pa.string()),
        ("section", pa.list_(pa.string())),
        ("caption", pa.string()),
        ("group_caption", pa.string()),
        ("alt_text", pa.string()),
        ("mentions", pa.list_(pa.string())),
        ("image", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("image_sha256", pa.string()),
        ("image_fingerprint", pa.binary(FINGERPRINT_BYTES)),
        ("split", pa.string()),
    ]
)

LEDGER_SCHEMA = pa.schema(
    [
        ("pmcid", pa.string()),
        ("version", pa.int32()),
        ("figure_id", pa.string()),
        ("graphic", pa.string()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("num_figures", pa.int32()),
        ("num_figures_with_caption", pa.int32()),
        ("image_sha256", pa.string()),
        ("image_fingerprint", pa.binary(FINGERPRINT_BYTES)),
    ]
)

PANEL_PAIR_SCHEMA = pa.schema(
    [
        *PAIR_SCHEMA,
        ("figure_pair_id", pa.string()),
        ("panel_label", pa.string()),
        ("panel_box", pa.list_(pa.int32(), 4)),
        ("panel_label_box", pa.list_(pa.int32(), 4)),
        ("panel_caption", pa.list_(pa.string())),
        ("shared_caption", pa.list_(pa.string())),
        ("panel_confidence", pa.float32()),
        ("panel_notes", pa.list_(pa.string())),
    ]
)
"""A pair of one panel: read as a pair wherever pairs are, with what is known of the panel beside.

`image` is the crop, `caption` the panel's own words and then the shared ones, `mentions` what is
said of the panel. `figure_pair_id` is the pair it was cut from, and the boxes are in pixels of that
pair's image. `panel_label` is empty and `panel_label_box` null where none is printed; the words of
`panel_caption` and `shared_caption` are exact substrings of the figure's caption. `panel_notes`
say what could not be told of the figure.
"""


def table_of(rows: list[Any], schema: pa.Schema) -> pa.Table:
    """Dataclass rows as an Arrow table.

    `ValueError` (`pa.ArrowInvalid` is one) or `TypeError` where a row does not fit `schema`.
    """
    for kind in {type(row) for row in rows}:
        # Arrow would drop a field that the schema lacks, and fill one that the row lacks by nulls.
        if {field.name for field in fields(kind)} != set(schema.names):
            raise ValueError(f"{kind.__name__} is no row of the schema {', '.join(schema.names)}")
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
