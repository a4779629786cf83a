"""A table of a report, for its page and for Markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from figclip.statistics.wording import markdown

NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Table:
    """Cells as text; the first row is the head."""

    rows: Sequence[Sequence[str]]
    note: str = ""

    @property
    def is_words(self) -> list[bool]:
        """Of each column: no cell of its body begins like a number."""
        columns = range(len(self.rows[0]))
        return [not any(NUMBER.match(row[n]) for row in self.rows[1:]) for n in columns]

    def as_markdown(self) -> str:
        text = markdown([[_plain(cell) for cell in row] for row in self.rows])
        return f"{text}\n\n{self.note}" if self.note else text


def _plain(cell: str) -> str:
    """One line that does not end its cell."""
    return re.sub(r"\s+", " ", cell).replace("|", "\\|")
