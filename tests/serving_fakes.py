"""A tiny encoder and a tiny index without weights: what the routes are tested with."""

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from figclip.serving.protocol import ModelCard, Refusal, Vector
from figclip.serving.routes.limits import ImageFault, Limits, decode_image

DIM = 16
MODEL = ModelCard(
    id="encoder@tiny", created=1_700_000_000, dim=DIM, context_length=8, logit_scale=20.0
)


def unit(seed: bytes) -> np.ndarray:
    """A unit vector that only `seed` decides, with components like 1/3 that test the precision."""
    digest = hashlib.sha256(seed).digest()
    vector = np.frombuffer(digest, np.uint8)[:DIM].astype(np.float32) - 127.3
    return vector / np.linalg.norm(vector)


@dataclass
class FakeEncoder:
    """Embeds by hash; remembers how many items each call brought."""

    calls: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """What decoding imports is imported now, and not within the time of a request."""
        decode_image(image_bytes(), limits=Limits())

    async def embed_texts(self, texts: list[str]) -> list[Vector]:
        self.calls.append(len(texts))
        return [
            Vector(unit(text.encode()), min(len(text.split()), 8), len(text.split()) > 8)
            for text in texts
        ]

    async def embed_images(self, images: list[bytes]) -> list[Vector | Refusal]:
        self.calls.append(len(images))
        return [self._image(data) for data in images]

    def _image(self, data: bytes) -> Vector | Refusal:
        try:
            return Vector(unit(decode_image(data, limits=Limits()).tobytes()))
        except ImageFault as error:
            return Refusal(str(error))


def row_of(number: int, **changes: Any) -> dict[str, Any]:
    """A row as the index holds it."""
    row = {
        "pair_id": f"PMC{number}.1/fig-1/a b&{number}.jpg",
        "pmcid": f"PMC{number}",
        "doi": f"10.1000/j<{number}>",
        "title": f"Article {number}",
        "journal": "Annals of Examples",
        "year": 2020,
        "license": "CC BY",
        "figure_license": "",
        "label": "Figure 1.",
        "caption": f"Caption {number}.",
        "thumbnail": image_bytes("JPEG", (40, 30), (number * 37 % 255, 90, 120)),
    }
    return {**row, **changes}


def image_bytes(
    kind: str = "PNG",
    size: tuple[int, int] = (32, 24),
    color: tuple[int, int, int] = (200, 30, 60),
    mode: str = "RGB",
) -> bytes:
    """A small image file, a gradient over one colour so that its data is not trivial."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image = Image.blend(image, Image.new("RGB", size, color), 0.6).convert(mode)
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()
