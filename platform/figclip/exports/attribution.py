"""The page that lies in every export: how to open it, where it comes from, what it permits."""

from figclip.exports.parts import PartCounts
from figclip.exports.records import Format

OPENING: dict[Format, str] = {
    "jsonl": (
        "Each line of `{split}/*.jsonl` is one article: `pmid`, `pmc`, `location`, `figures`, then "
        "more of the article.\nOf a figure there are `fig_caption`, `fig_id`, `fig_label`, "
        "`graphic_ref` (the path of its picture from this\nfolder; empty in an export without "
        "pictures), `pair_id`, then more of the figure."
    ),
    "webdataset": (
        "Each tar holds for every pair `{key}.json`, `{key}.jpg` or `{key}.png`, and `{key}.txt` "
        "(the caption).\n`{split}/sizes.json` tells how many pairs each tar has. open_clip reads "
        "them with\n\n"
        '    --dataset-type webdataset --train-data "train/{00000..LAST}.tar"'
    ),
    "parquet": (
        "One row a pair; the column `image` has the fields `bytes` and `path`.\n\n"
        '    datasets.load_dataset("this/folder")\n'
        '    pandas.read_parquet("this/folder/train")\n'
        "    SELECT pair_id, caption, image.bytes FROM 'this/folder/train/*.parquet'"
    ),
}


def readme(*, form: Format, pairs: str, created: str, source: str, counts: PartCounts) -> str:
    """Markdown; `created` is when the pairs were published and `source` where they were read."""
    return f"""\
# Figures and captions of {pairs}

{counts.num_pairs:,} pairs of one picture and one caption.

## How to open it

{OPENING[form]}

## Where it comes from

Figures and captions are from articles of the PubMed Central (PMC) Open Access Subset, which the
National Library of Medicine (NLM) of the United States provides:
https://pmc.ncbi.nlm.nih.gov/tools/openftlist/.

They were read from `{source}`
and published as `{pairs}` on {created[:10]}. Pictures may have been resized and encoded anew;
captions are verbatim.

This copy may be older than PMC: articles may have been corrected, replaced, retracted or withdrawn
since that day. NLM neither made nor endorses it.

## Licences

Every article stands under a licence of its own, which its pairs name in `license`. Who passes pairs
on or builds on them does so by that licence; all but CC0 ask that the article be cited, by its
`doi`, `pmcid`, `title` and `journal`.

{license_table(counts)}

{counts.num_figure_licenses:,} pairs show third-party material under terms of its own: see
`figure_license`, which goes before the article's, and `figure_attribution`.
"""


def license_table(counts: PartCounts) -> str:
    """Pairs by licence, the most frequent first."""
    ordered = sorted(counts.licenses.items(), key=lambda item: (-item[1], item[0]))
    rows = [f"| {code or 'none stated'} | {number:,} |" for code, number in ordered]
    return "\n".join(["| licence of the article | pairs |", "|---|---:|", *rows])
