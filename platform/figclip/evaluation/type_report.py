"""The `evaluation` artifact of image types: a table and a bar chart, as the paper's Fig. 1B."""

import json
from collections.abc import Mapping

from figclip.embedding.taxonomy import TAXONOMY
from figclip.evaluation.sources import made_by, published_as
from figclip.statistics.tables import Table
from figclip.statistics.themes import DARK, LIGHT, Theme, drawing, png_of
from figclip.statistics.wording import percent, scale
from figclip.store import Manifest, Store

TABLE_FILE, JSON_FILE = "types.md", "types.json"
PLOTS = {"types.png": LIGHT, "types-dark.png": DARK}
FAMILIES = tuple(dict.fromkeys(one.family for one in TAXONOMY))
NOTE = (
    "An image is of the type whose keyword is nearest to it in the encoder's space; of equally "
    "near ones the first. Such counts are a ballpark estimate: no image is of no type. Types: "
    "ImageCLEF 2015; after Fig. 1B of BiomedCLIP, whose keywords are not published."
)


def report_types(store: Store, *, types_version: str, version: str, command: str) -> Manifest:
    """Publish `evaluation/{version}` from the counts of `image_types/{types_version}`."""
    inputs = (f"image_types@{types_version}",)
    if store.already_published("evaluation", version, {}, inputs):
        return store.manifest("evaluation", version)
    told = store.manifest("image_types", types_version)
    counts: dict[str, int] = told.counts["types"]
    origin = ", ".join(told.inputs)
    files: dict[str, str | bytes] = {
        TABLE_FILE: f"# Image types of {origin}\n\n{types_table(counts).as_markdown()}\n\n"
        f"{made_by(command)}\n",
        JSON_FILE: json.dumps({"inputs": told.inputs, "types": counts}, indent=1),
    }
    files |= {name: draw_types(counts, theme) for name, theme in PLOTS.items()}
    summary = {"num_pairs": sum(counts.values()), "num_types": sum(map(bool, counts.values()))}
    return published_as(store, version, {}, inputs, files=files, counts=summary)


def types_table(counts: Mapping[str, int]) -> Table:
    """A line a type, the most frequent first, equally frequent ones in the taxonomy's order."""
    total = sum(counts.values())
    rows = [["type", "ImageCLEF", "family", "images", "share"]]
    for one in sorted(TAXONOMY, key=lambda one: -counts[one.name]):
        number = counts[one.name]
        share = percent(number / total if total else None)
        rows.append([one.name, one.code, one.family, f"{number:,}", share])
    return Table(rows, NOTE)


def draw_types(counts: Mapping[str, int], theme: Theme) -> bytes:
    """A PNG: a bar a type, the longest above, in the colour of its family."""
    shown = sorted(TAXONOMY, key=lambda one: -counts[one.name])
    divisor, unit = scale(max(counts.values()))
    colours = dict(zip(FAMILIES, theme.colours, strict=True))
    with drawing(theme, 6.6, 6.4) as figure:
        axes = figure.add_subplot()
        for family, colour in colours.items():
            places = [place for place, one in enumerate(shown) if one.family == family]
            widths = [counts[shown[place].name] / divisor for place in places]
            axes.barh(places, widths, color=colour, height=0.72, label=family)
        for place, one in enumerate(shown):
            number = counts[one.name]
            axes.annotate(
                f"{number:,}",
                (number / divisor, place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color=theme.quiet,
            )
        axes.set_yticks(range(len(shown)), [one.name for one in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.12)
        axes.set_xlabel(f"images{unit}")
        figure.legend(loc="outside upper left", frameon=False, ncols=3)
        return png_of(figure)
