"""Labels that touch something and so are no blobs: looked for in line with those found."""

from collections.abc import Iterator, Sequence

import numpy as np

from figclip.panels.labels.label_boxes import agreement
from figclip.panels.labels.reader import Picture, Reader, crop_of
from figclip.panels.parts import Label
from figclip.panels.scores import overlap
from figclip.schema import Box

MOST_PLACES = 30
"""That are read in one picture."""
SURE = 0.8
"""Of a reading, of what only its place speaks for."""
NEAR = 0.5
"""Of a label's height: places that are nearer to each other are one."""


def with_those_in_line(
    image: Picture, found: Sequence[Label], wanted: Sequence[str], reader: Reader
) -> list[Label]:
    """The same labels and those missing that are read beside one and below another, in order."""
    named = {label.text: label for label in found}
    missing = [name for name in wanted if name not in named]
    places = list(_places(found)) if missing else []
    places = places[:MOST_PLACES]
    texts = reader.read([crop_of(image, place) for place in places])
    for name in missing:
        sure = [confidence * (agreement(text, name) == 1.0) for text, confidence in texts]
        best = int(np.argmax(sure)) if sure else 0
        if sure and sure[best] > SURE:
            named[name] = Label(name, places[best], float(sure[best]))
    return [named[name] for name in wanted if name in named]


def _places(found: Sequence[Label]) -> Iterator[Box]:
    """In the column of one label and the row of another, where no label is, each once."""
    taken = [label.box for label in found]
    for column in found:
        for row in found:
            width, height = column.box[2] - column.box[0], row.box[3] - row.box[1]
            x, y = column.box[0], row.box[1]
            place = (x, y, x + width, y + height)
            if not any(_is_same(place, other, NEAR * height) for other in taken):
                taken.append(place)
                yield place


def _is_same(one: Box, other: Box, reach: float) -> bool:
    near = abs(one[0] - other[0]) < reach and abs(one[1] - other[1]) < reach
    return near or overlap(one, other) > 0
