"""What travels between a gateway and a model: a batch of items one way, one array back.

Arrays and bytes travel as they lie in memory, so that a call costs the same for one item as for
many.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from figclip.serving.batches.batching import DeadlinePassed
from figclip.serving.protocol import Refusal, Vector

Answer = Vector | Refusal | DeadlinePassed


@dataclass(frozen=True)
class Answers:
    """What became of n items, in their order."""

    vectors: np.ndarray
    """float32 unit vectors [n, dim]; zeros where there is a fault."""
    num_tokens: np.ndarray
    """int32 [n]: tokens that the model read, 0 for images."""
    is_truncated: np.ndarray
    """bool [n]: the text was longer than the context."""
    faults: dict[int, Refusal | DeadlinePassed]
    """By place: why there is no vector."""

    def unpacked(self) -> list[Answer]:
        """An answer an item; the vectors are rows of one array."""
        rows = zip(self.vectors, self.num_tokens.tolist(), self.is_truncated.tolist(), strict=True)
        return [
            self.faults[place] if place in self.faults else Vector(values, num_tokens, is_cut)
            for place, (values, num_tokens, is_cut) in enumerate(rows)
        ]


def packed(answers: Sequence[Answer], *, dim: int) -> Answers:
    """The inverse of `unpacked`."""
    size = len(answers)
    vectors = np.zeros((size, dim), np.float32)
    num_tokens, is_truncated = np.zeros(size, np.int32), np.zeros(size, bool)
    faults: dict[int, Refusal | DeadlinePassed] = {}
    for place, answer in enumerate(answers):
        if isinstance(answer, Vector):
            vectors[place] = answer.values
            num_tokens[place], is_truncated[place] = answer.num_tokens, answer.is_truncated
        else:
            faults[place] = answer
    return Answers(vectors, num_tokens, is_truncated, faults)


@dataclass(frozen=True)
class Pictures:
    """Image files, one behind the other."""

    data: np.ndarray
    """uint8, all their bytes."""
    ends: tuple[int, ...]
    """Where each ends."""

    @classmethod
    def of(cls, files: Sequence[bytes]) -> "Pictures":
        ends = np.cumsum([len(file) for file in files]).tolist()
        return cls(np.frombuffer(b"".join(files), np.uint8), tuple(ends))

    def files(self) -> list[bytes]:
        starts = (0, *self.ends)
        bounds = zip(starts, self.ends, strict=False)
        return [self.data[start:end].tobytes() for start, end in bounds]
