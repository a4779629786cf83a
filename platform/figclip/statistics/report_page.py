"""A report as one HTML page, which needs no script and loads nothing."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from figclip.statistics.tables import Table

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Picture:
    title: str
    caption: str
    light: bytes
    dark: bytes
    """A PNG for each theme."""


def report_page(
    *,
    kind: str,
    title: str,
    question: str,
    facts: Sequence[tuple[str, str]],
    results: Sequence[Table],
    answer: Sequence[str],
    pictures: Sequence[Picture],
    others: Sequence[tuple[str, Table]],
    origin: Sequence[tuple[str, str]],
) -> str:
    """HTML for both themes, the pictures inside.

    `facts` are values and what they are of; the first sentence of the `answer` stands for all;
    `origin` is what a reader must know to do it again.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        kind=kind,
        title=title,
        question=question,
        facts=facts,
        results=results,
        answer=answer,
        pictures=[(p.title, p.caption, _address(p.light), _address(p.dark)) for p in pictures],
        others=others,
        origin=origin,
    )


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
