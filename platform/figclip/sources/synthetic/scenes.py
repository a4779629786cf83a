"""What can be seen in one picture: a kind of image, its attributes, and the words for them."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

Attributes = dict[str, str]
Drawing = Callable[[Attributes, np.random.Generator, tuple[int, int]], Image.Image]

NUMBERS = {
    number: str(value)
    for value, number in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
"""Number word → digits: captions spell small counts."""


@dataclass(frozen=True)
class Kind:
    """One kind of image: what it may show, how to draw it, and how to say it."""

    name: str
    family: str
    """`radiology`, `microscopy`, `gel`, `chart` or `diagram`: chooses the methods' prose."""
    choices: dict[str, tuple[str, ...]]
    """Attribute → its possible values; a value that stands twice is twice as likely."""
    shared: tuple[str, ...]
    """Attributes that the panels of one figure have in common."""
    title: Callable[[Attributes], str]
    """A noun phrase of what the panels share."""
    facts: Callable[[Attributes], list[str]]
    """Sentences on what else can be seen, the boldest first."""
    draw: Drawing
    is_dark: bool
    """Whether labels must be light."""


@dataclass(frozen=True)
class Scene:
    """One picture to be drawn."""

    kind: Kind
    attributes: Attributes

    @property
    def title(self) -> str:
        title = _with_articles(self.kind.title(self.attributes))
        return title[0].upper() + title[1:]

    @property
    def facts(self) -> list[str]:
        return [_with_articles(fact) for fact in self.kind.facts(self.attributes)]

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
        """The picture in RGB, `size` = (width, height) pixels."""
        return self.kind.draw(self.attributes, rng, size)


def _with_articles(words: str) -> str:
    """`A orange box` → `An orange box`."""
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", words)


def invent_scene(kind: Kind, rng: random.Random, like: Scene | None = None) -> Scene:
    """A random scene; with `like`, one that could stand beside that in the same figure."""
    attributes = {name: rng.choice(values) for name, values in kind.choices.items()}
    if like is not None and like.kind is kind:
        attributes |= {name: like.attributes[name] for name in kind.shared}
    return Scene(kind, attributes)
