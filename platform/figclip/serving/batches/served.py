"""The models that a service serves: what each is called, where it comes from, how it is run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from figclip.config import UsageError
from figclip.embedding.ways import Backend, Tower
from figclip.serving.batches.decoding import Decoders, DecodingConfig, Recipe
from figclip.serving.batches.towers import BatchConfig, ImageModel, TextModel
from figclip.serving.meter import Meter
from figclip.serving.protocol import ModelCard
from figclip.serving.routes.limits import MAGIC, Limits
from figclip.store import Folder, Store

if TYPE_CHECKING:
    from figclip.embedding.encoder import Encoder


NO_WORD = re.compile(r"\W+")


@dataclass(frozen=True)
class Served:
    """One model of a service."""

    store_url: str
    encoder: str
    """A published version, or with a slash any source that `open_model` takes."""
    backend: Backend = "plain"
    suffix: str = ""
    """Of its deployments' names, where a service has several models."""

    @property
    def name(self) -> str:
        return self.encoder if "/" in self.encoder else f"encoder@{self.encoder}"

    def source(self) -> Folder | str:
        """The folder of a published version (`UsageError` where it is not), or what to open."""
        if "/" not in self.encoder:
            return Store(self.store_url).open("encoder", self.encoder)
        path = Path(self.encoder)
        return str(path.absolute()) if path.is_dir() else self.encoder


def several(store_url: str, encoders: Sequence[str], *, backend: Backend) -> list[Served]:
    """Models whose deployments have names of their own; `UsageError` where one is named twice."""
    if len(set(encoders)) < len(encoders):
        raise UsageError(f"models: {', '.join(encoders)}: one is named twice")
    if len(encoders) == 1:
        return [Served(store_url, encoders[0], backend)]
    return [
        Served(store_url, encoder, backend, suffix=NO_WORD.sub("-", f"-{number}-{encoder}"))
        for number, encoder in enumerate(encoders)
    ]


def model_card(served: Served) -> ModelCard:
    """How `/v1/models` shows an encoder; one that is not published is opened for it."""
    from figclip.models.opening import open_model

    source = served.source()
    opened = open_model(source)
    if isinstance(source, str):
        created = datetime.now(UTC)
    else:
        manifest = Store(served.store_url).manifest("encoder", served.encoder)
        created = datetime.fromisoformat(manifest.created)
    return ModelCard(
        id=served.name,
        created=int(created.timestamp()),
        dim=opened.config.embed_dim,
        context_length=opened.config.text.context_length,
        logit_scale=float(opened.clip.logit_scale.detach().exp()),
    )


def open_texts(
    served: Served, batches: BatchConfig, *, threads: int, on_gpu: bool = False, meter: Meter
) -> TextModel:
    return TextModel(_opened(served, "text", threads=threads, on_gpu=on_gpu), batches, meter=meter)


def open_images(
    served: Served,
    batches: BatchConfig,
    decoding: DecodingConfig,
    limits: Limits,
    *,
    threads: int,
    on_gpu: bool = False,
    meter: Meter,
) -> ImageModel:
    encoder = _opened(served, "image", threads=threads, on_gpu=on_gpu)
    recipe = Recipe(encoder.pixels.square, max_pixels=limits.image_pixels, formats=tuple(MAGIC))
    return ImageModel(encoder, batches, Decoders(recipe, decoding), meter=meter)


def _opened(served: Served, tower: Tower, *, threads: int, on_gpu: bool) -> "Encoder":
    import torch

    from figclip.embedding.backends import with_backend
    from figclip.embedding.encoder import Encoder

    torch.set_num_threads(threads)
    encoder = Encoder.open(served.source(), device="cuda" if on_gpu else "cpu")
    return with_backend(encoder, served.backend, tower=tower)
