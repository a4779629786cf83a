"""A set of labelled pictures: where its files lie, its classes, and how these are said.

The published ones are values (`published.py`). Any other set is a folder with a `dataset.json`
of the same keys:

    {"name": "scopes", "title": "My microscopes",
     "files": {"layout": "folders", "folder": "test"},
     "train": {"layout": "folders", "folder": "train"},
     "classes": [{"label": "em", "words": "electron microscopy"},
                 {"label": "lm", "words": "light microscopy"}],
     "templates": ["a photo of {}", "{} presented in image"]}
"""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from figclip.config import Config, UsageError

FILE = "dataset.json"
FILES = "dataset*.json"
"""Two sets of one folder have a file each."""

Part = Literal["all", "train", "validation", "test"]


class Arrays(Config):
    """Two HDF5 files, of pictures [n, height, width, 3] and of their labels; `.gz` is read too."""

    layout: Literal["arrays"] = "arrays"
    pictures: str
    labels: str
    pictures_key: str = "x"
    labels_key: str = "y"
    md5: dict[str, str] = Field(default_factory=dict)
    """Of the compressed files, by their names without `.gz`, where they are known."""

    def expected(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        keys = ((self.pictures, self.pictures_key), (self.labels, self.labels_key))
        return tuple(f"{name} (or {name}.gz) with the array {key!r}" for name, key in keys)


class Folders(Config):
    """A folder of pictures for each class, named by its label."""

    layout: Literal["folders"] = "folders"
    folder: str = "."

    def expected(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{self.folder}/{label}/ with its pictures" for label in labels)


class Table(Config):
    """A CSV with a line for each picture; of several lines for one picture all say the same."""

    layout: Literal["table"] = "table"
    table: str = "labels.csv"
    picture: str = "images/{image}"
    """Path of a line's picture; a name in braces is the line's value in that column."""
    label: str = "label"
    """Column that holds the label."""
    where: dict[str, str] = Field(default_factory=dict)
    """Lines that count: those with this value in each of these columns."""
    subset: Part = "all"
    """Of the pictures in the order of their paths: 70 % to train, 15 % each to validate and to
    test, as `tables.drawn_part` draws them."""

    @property
    def columns(self) -> tuple[str, ...]:
        found = (*re.findall(r"\{(\w+)\}", self.picture), self.label, *self.where)
        return tuple(dict.fromkeys(found))

    def expected(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return f"{self.table} with the columns {', '.join(self.columns)}", self.picture


class Class(Config):
    label: str
    """As the files have it: a folder, a number, a word of the CSV."""
    words: str
    """What stands in the templates."""


Files = Annotated[Arrays | Folders | Table, Field(discriminator="layout")]


class Dataset(Config):
    name: str = Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")
    """Of its measures, `zero_shot_{name}`."""
    title: str
    """As a table's head says it."""
    files: Files
    """What is judged by: the test part, where the set has parts."""
    train: Files | None = None
    """What a probe learns from; unset: nothing, the set is judged by prompts alone."""
    classes: tuple[Class, ...] = Field(min_length=2)
    """Of two, the second is the one that AUROC asks for."""
    templates: tuple[str, ...] = Field(min_length=1)
    """Sentences with `{}` for the words of a class; a class is the mean of them."""
    metric: Literal["accuracy", "auroc", "macro_f1"] = "accuracy"
    """The number that stands for it in tables."""
    folder: str = ""
    """Below the folder of all sets; unset: its name."""
    source: str = ""
    """Where to get it."""
    license: str = ""

    @field_validator("templates")
    @classmethod
    def _with_a_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if template.count("{}") != 1:
                raise ValueError(f"{template!r} has not one {{}} for the words of a class")
        return templates

    @model_validator(mode="after")
    def _check(self) -> "Dataset":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("two classes have the same label")
        if self.metric == "auroc" and len(self.classes) != 2:
            raise ValueError("AUROC is between two classes")
        return self

    @property
    def place(self) -> str:
        """Its own folder, below that of all sets."""
        return self.folder or self.name

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(one.label for one in self.classes)

    @property
    def training(self) -> "Dataset":
        """The pictures to learn from, as a set; `UsageError` where there are none."""
        if self.train is None:
            raise UsageError(
                f"{self.title} declares no part to learn from, so nothing can be probed on it: say "
                f"where its training pictures lie (`train`, laid out as `files`), or leave it out"
            )
        return self.model_copy(
            update={"files": self.train, "train": None, "title": f"{self.title}, training part"}
        )

    def prompts(self, one: Class) -> tuple[str, ...]:
        return tuple(template.replace("{}", one.words) for template in self.templates)

    def missing(self, what: str, root: object) -> str:
        """The sentence for who has not got the files."""
        layout = "; ".join(self.files.expected(self.labels))
        source = f" It is to be had from {self.source}" if self.source else ""
        terms = f" ({self.license})." if source and self.license else "." if source else ""
        return f"{self.title}: {root} has no {what}.{source}{terms} Expected there: {layout}"
