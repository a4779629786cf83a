"""Numbers and words as a plot or a table says them."""

from collections.abc import Sequence

MAX_CHARS = 30


def percent(share: float | None) -> str:
    """Two digits, and never 0 % or 100 % of what is neither."""
    if share is None:
        return "–"
    percent = 100 * share
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %" if percent < 10 or 99 < percent < 100 else f"{percent:.0f} %"


def per_cent(share: float | None) -> str:
    """Two decimals, for a column whose head says %."""
    return "–" if share is None else f"{100 * share:.2f}"


def short(number: float) -> str:
    """`950`, `13.6 k`, `1.2 M`: three digits and the power of a thousand."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{float(f'{number / size:.3g}'):g} {unit}"
    return f"{number:g}"


def scale(largest: float) -> tuple[float, str]:
    """By what to divide, and what to say of it beside the name of an axis."""
    for unit, size in ((" (millions)", 1e6), (" (thousands)", 1e3)):
        if largest >= 2 * size:
            return size, unit
    return 1, ""


def plain(word: str) -> str:
    return word.replace("_", " ").replace("-", " ")


def cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 1].rstrip()}…"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its header, every column flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [" | ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) for row in rows]
    rule = "|".join(f"{'-' * (width + 1)}:" for width in widths)
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])
