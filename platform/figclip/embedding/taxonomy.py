"""Thirty types of biomedical images, and keywords that say each.

Types, names and their order are ImageCLEF's hierarchy without its class of compound figures (García
Seco de Herrera, Müller and Bromuri, "Overview of the ImageCLEF 2015 medical classification task",
CLEF 2015 Working Notes, CEUR-WS 1391). BiomedCLIP counts by the same taxonomy (Fig. 1B, its
reference 26) with keywords "manually assigned", which it does not list: those here are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from figclip.config import UsageError


@dataclass(frozen=True)
class ImageType:
    code: str
    """ImageCLEF's."""
    name: str
    """As tables, plots and filters have it."""
    family: str
    keywords: tuple[str, ...]
    """What is embedded; the nearest keyword of all types decides."""


_ROWS = {
    "radiology": (
        ("DRUS", "ultrasound", "ultrasound; ultrasonography; sonogram; echocardiography"),
        ("DRMR", "magnetic resonance", "magnetic resonance imaging; MRI"),
        ("DRCT", "computerized tomography", "computed tomography; CT scan"),
        ("DRXR", "X-ray", "X-ray; radiograph; 2D radiography; mammogram"),
        ("DRAN", "angiography", "angiography; angiogram"),
        ("DRPE", "PET", "positron emission tomography; PET scan"),
        ("DRCO", "combined modalities", "PET/CT fused image; overlay of two imaging modalities"),
    ),
    "visible light photography": (
        ("DVDM", "dermatology", "photograph of skin; skin lesion; dermoscopy"),
        ("DVEN", "endoscopy", "endoscopy; colonoscopy; bronchoscopy"),
        (
            "DVOR",
            "other organs",
            "photograph of an organ; clinical photograph of a patient; intraoperative photograph; "
            "fundus photograph",
        ),
    ),
    "printed signals and waves": (
        ("DSEE", "electroencephalography", "electroencephalography; EEG"),
        ("DSEC", "electrocardiography", "electrocardiography; ECG"),
        ("DSEM", "electromyography", "electromyography; EMG"),
    ),
    "microscopy": (
        (
            "DMLI",
            "light microscopy",
            "light microscopy; histology; hematoxylin and eosin stain; immunohistochemistry",
        ),
        ("DMEL", "electron microscopy", "electron microscopy; scanning electron micrograph"),
        (
            "DMTR",
            "transmission microscopy",
            "transmission microscopy; transmission electron micrograph",
        ),
        (
            "DMFL",
            "fluorescence microscopy",
            "fluorescence microscopy; immunofluorescence; confocal microscopy",
        ),
    ),
    "3D reconstruction": (
        ("D3DR", "3D reconstruction", "3D reconstruction; three-dimensional rendering"),
    ),
    "generic illustration": (
        ("GTAB", "tables and forms", "table; form; questionnaire"),
        ("GPLI", "program listing", "program listing; source code"),
        (
            "GFIG",
            "statistical figures",
            "statistical figure; graph; chart; bar chart; line chart; scatter plot; heat map; "
            "survival curve",
        ),
        ("GSCR", "screenshots", "screenshot; user interface"),
        ("GFLO", "flowcharts", "flowchart; flow diagram"),
        ("GSYS", "system overviews", "system overview; schematic diagram; pathway diagram"),
        ("GGEN", "gene sequence", "gene sequence; sequence alignment; phylogenetic tree"),
        ("GGEL", "chromatography and gels", "chromatography; gel electrophoresis; western blot"),
        ("GCHE", "chemical structure", "chemical structure; structural formula of a molecule"),
        ("GMAT", "mathematics", "mathematical formula; equation"),
        (
            "GNCP",
            "non-clinical photos",
            "non-clinical photograph; photograph of an animal; photograph of equipment; landscape",
        ),
        ("GHDR", "hand-drawn sketches", "hand-drawn sketch; drawing"),
    ),
}

TAXONOMY: tuple[ImageType, ...] = tuple(
    ImageType(code, name, family, tuple(keywords.split("; ")))
    for family, rows in _ROWS.items()
    for code, name, keywords in rows
)

NAMES: tuple[str, ...] = tuple(one.name for one in TAXONOMY)


def keywords_of(taxonomy: Sequence[ImageType]) -> tuple[list[str], list[int]]:
    """All keywords in the taxonomy's order, and the place of the type of each."""
    pairs = [(word, place) for place, one in enumerate(taxonomy) for word in one.keywords]
    return [word for word, _ in pairs], [place for _, place in pairs]


def checked_name(name: str) -> str:
    """`UsageError` where the taxonomy has no type of that name, with those that it has."""
    if name not in NAMES:
        raise UsageError(f"no image type {name!r}; there are: {', '.join(NAMES)}")
    return name
