"""What a benchmark gives: numbers by name."""

Figures = dict[str, float | None]
"""`None` is what could not be measured here."""


def table(figures: Figures) -> str:
    width = max(map(len, figures))
    return "\n".join(f"{name:<{width}}  {_cell(value):>12}" for name, value in figures.items())


def _cell(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.2f}"
