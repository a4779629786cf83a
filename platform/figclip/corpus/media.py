"""A graphic's href → the media file that it means."""

from collections.abc import Collection
from urllib.parse import unquote

from figclip.jats.graphics import FORMATS, picture_format


def resolve_media(href: str, names: Collection[str]) -> str | None:
    """The media file that a graphic's href means, or `None`.

    The href's last part as it stands; else without regard to case; else the file of the same stem,
    the best format first. PLOS writes `info:doi/10.1371/journal.pone.X.g001` for `pone.X.g001`.
    `None` too where two files answer equally well.
    """
    last = href.replace("\\", "/").rpartition("/")[2]
    if href.startswith("info:doi/"):
        last = last.removeprefix("journal.")
    for name in dict.fromkeys((last, unquote(last))):
        if name and name in names:
            return name
    wanted = unquote(last).lower()
    alike = [name for name in names if name.lower() == wanted]
    return (alike[0] if len(alike) == 1 else None) if alike else _by_stem(wanted, names)


def _by_stem(wanted: str, names: Collection[str]) -> str | None:
    stems = {wanted, _stem(wanted)} - {""}
    same = [name for name in names if picture_format(name) and _stem(name.lower()) in stems]
    ranked = sorted((FORMATS.index(picture_format(name)), name) for name in same)
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return ranked[0][1]


def _stem(name: str) -> str:
    """The name without a picture's ending; `pone.X.g001` has none and is its own stem."""
    return name.rpartition(".")[0] if picture_format(name) else name
