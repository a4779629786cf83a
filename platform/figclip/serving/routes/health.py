"""Is the process there, and does it embed?"""

import asyncio
import io
import logging
import os
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from PIL import Image

from figclip.serving.door.errors import errors_of
from figclip.serving.protocol import ApiError
from figclip.serving.routes.answers import HealthAnswer
from figclip.serving.routes.api import embed_items
from figclip.serving.routes.intake import EmbedImages, EmbedTexts, Models

log = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[None]]

READY_TIMEOUT_S = 10.0
READY_FOR_S = 1.0
"""How long the answer of a probe stands, so that asking for it often costs nothing."""


def health_router(probe: Probe) -> APIRouter:
    """`GET /healthz` (this process answers) and `GET /readyz` (`probe` really embeds).

    Whoever asks while a probe runs, or within a second after it, shares its answer.
    """
    router = APIRouter()
    shared = _SharedProbe(probe)

    @router.get("/healthz", response_model=HealthAnswer)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", response_model=HealthAnswer, responses=errors_of(503))
    async def readyz() -> dict[str, str]:
        if not await shared.is_ready():
            raise ApiError(503, "not ready: embedding fails", code="not_ready")
        return {"status": "ready"}

    return router


class _SharedProbe:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._lock = asyncio.Lock()
        self._known: tuple[float, bool] = (-READY_FOR_S, False)

    async def is_ready(self) -> bool:
        asked_at = time.monotonic()
        async with self._lock:
            known_at, is_ready = self._known
            if known_at < asked_at - READY_FOR_S:
                is_ready = await self._ask()
                self._known = time.monotonic(), is_ready
            return is_ready

    async def _ask(self) -> bool:
        try:
            await asyncio.wait_for(self._probe(), READY_TIMEOUT_S)
        except Exception as error:  # whatever it is: this server cannot embed now
            log.warning("not ready: %s", type(error).__name__)
            return False
        return True


def embedding_probe(embed_texts: EmbedTexts, embed_images: EmbedImages) -> Probe:
    """A probe that embeds a word and a small picture, and fails where either is refused.

    Both are new each time, so that no cache answers for the model.
    """

    async def probe() -> None:
        picture = io.BytesIO()
        Image.frombytes("L", (8, 8), os.urandom(64)).save(picture, "PNG")
        both: list[str | bytes] = [f"ready {os.urandom(8).hex()}", picture.getvalue()]
        await embed_items(both, embed_texts, embed_images, param="probe")

    return probe


def models_probe(models: Models) -> Probe:
    """A probe of every model."""
    probes = [
        embedding_probe(model.embed_texts, model.embed_images)
        for model in map(models.find, (card.id for card in models.cards))
    ]

    async def probe() -> None:
        await asyncio.gather(*(one() for one in probes))

    return probe
