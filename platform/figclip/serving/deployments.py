"""The live service on Ray Serve: a replica that embeds, and the two gateways that speak HTTP."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve import Application, Deployment
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from figclip.embedding.index.opened import open_index
from figclip.serving.api import (
    EmbedImages,
    EmbedTexts,
    embedding_probe,
    embeddings_router,
    health_router,
    json_app,
)
from figclip.serving.holder import IndexHolder
from figclip.serving.limits import ImageFault, Limits, decode_image
from figclip.serving.page import search_app
from figclip.serving.protocol import ApiError, ModelCard, Refusal, Vector
from figclip.serving.search import FigureSearch
from figclip.store import Folder, Store

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

# Torch and the models are imported where they are used: a gateway, which has no use for them, then
# starts in a third of the time and takes 600 MB less.


@dataclass(frozen=True)
class Machines:
    """What the replicas of a service take of the cluster."""

    encoder_replicas: int
    encoder_cpus: float
    """Of each replica; its whole part is also the number of threads that torch takes."""
    encoder_gpus: float
    """Of each replica; above 0 the model runs on CUDA."""
    gateway_replicas: int
    gateway_cpus: float
    max_batch_size: int
    """Texts, or images, that the model embeds at once."""
    batch_wait_s: float
    """How long the first of a batch waits for others."""
    max_queued_requests: int
    """Requests that wait for a replica; those beyond are answered 429."""


class EncoderReplica:
    """Embeds texts and images; requests that come together share a batch of the model.

    Torch runs in one thread of its own and pictures are decoded in another, so that the replica
    answers all the while. A picture is decoded before it joins a batch: one that is broken becomes
    a `Refusal` and harms no other.
    """

    def __init__(self, store_url: str, version: str, machines: Machines, limits: Limits) -> None:
        import torch

        from figclip.embedding.encoder import Encoder

        torch.set_num_threads(max(1, int(machines.encoder_cpus)))
        device = "cuda" if machines.encoder_gpus else "cpu"
        self._encoder = Encoder.open(encoder_source(Store(store_url), version), device=device)
        self._limits = limits
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._decode_thread = ThreadPoolExecutor(1, thread_name_prefix="decode")
        batched: Any
        for batched in (self._embed_text, self._embed_view):
            batched.set_max_batch_size(machines.max_batch_size)
            batched.set_batch_wait_timeout_s(machines.batch_wait_s)

    async def check_health(self) -> None:
        """Ray replaces a replica whose model thread does not answer any more."""
        await asyncio.get_running_loop().run_in_executor(self._model_thread, int)

    async def embed_texts(self, texts: list[str]) -> list[Vector]:
        return list(await asyncio.gather(*map(self._embed_text, texts)))

    async def embed_images(self, images: list[bytes]) -> list[Vector | Refusal]:
        return list(await asyncio.gather(*map(self._embed_image, images)))

    async def _embed_image(self, data: bytes) -> Vector | Refusal:
        loop = asyncio.get_running_loop()
        try:
            view = await loop.run_in_executor(self._decode_thread, self._view, data)
        except ImageFault as error:
            return Refusal(str(error))
        return await self._embed_view(view)

    def _view(self, data: bytes) -> "Tensor":
        return self._encoder.pixels_of([decode_image(data, limits=self._limits)])

    @serve.batch
    async def _embed_text(self, texts: list[str]) -> list[Vector]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._model_thread, self._texts_now, texts)

    @serve.batch
    async def _embed_view(self, views: "list[Tensor]") -> list[Vector]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._model_thread, self._views_now, views)

    def _texts_now(self, texts: list[str]) -> list[Vector]:
        found = self._encoder.encode_texts(texts)
        read = found.num_tokens.clip(max=self._encoder.context_length)
        rows = zip(found.vectors, read, found.truncated, strict=True)
        return [Vector(vector, int(tokens), bool(cut)) for vector, tokens, cut in rows]

    def _views_now(self, views: "list[Tensor]") -> list[Vector]:
        import torch

        return [Vector(vector) for vector in self._encoder.encode_pixels(torch.cat(views))]


class _Gateway:
    """Speaks HTTP and asks the encoder; its application is made where it runs."""

    routes: FastAPI

    def __serve_build_asgi_app__(self) -> FastAPI:
        return self.routes


class EmbeddingsGateway(_Gateway):
    def __init__(self, encoder: DeploymentHandle, model: ModelCard, limits: Limits) -> None:
        embed_texts, embed_images = calls_of(encoder)
        self.routes = json_app(
            embeddings_router(model, embed_texts, embed_images, limits=limits),
            health_router(embedding_probe(embed_texts, embed_images)),
            title="figclip embeddings",
        )


class SearchGateway(_Gateway):
    """Holds the open index; the pictures that the page shows come from there."""

    def __init__(
        self,
        encoder: DeploymentHandle,
        store_url: str,
        index_version: str,
        limits: Limits,
        about: str,
        num_results: int,
    ) -> None:
        embed_texts, embed_images = calls_of(encoder)
        store = Store(store_url)
        holder = IndexHolder(lambda version: open_index(store, version), index_version)
        self.routes = search_app(
            FigureSearch(holder, embed_texts, embed_images, limits),
            health_router(embedding_probe(embed_texts, embed_images)),
            about=about,
            num_results=num_results,
        )


def calls_of(encoder: DeploymentHandle) -> tuple[EmbedTexts, EmbedImages]:
    """The encoder's two methods; `ApiError` 429 where its queue is full, 503 where it is gone."""

    async def embed_texts(texts: list[str]) -> list[Vector]:
        return await _answer(encoder.embed_texts, texts)

    async def embed_images(images: list[bytes]) -> list[Vector | Refusal]:
        return await _answer(encoder.embed_images, images)

    return embed_texts, embed_images


async def _answer(method: Any, items: Sequence[str | bytes]) -> Any:
    try:
        return await method.remote(items)
    except BackPressureError as error:
        raise ApiError(429, "too many requests: try again", retry_after_s=1) from error
    except (RayActorError, DeploymentUnavailableError) as error:
        raise ApiError(503, "no encoder is running: try again", retry_after_s=5) from error


def embeddings_application(
    store: Store, *, encoder_version: str, machines: Machines, limits: Limits
) -> Application:
    """`/v1/embeddings` of a published encoder, or of any other by a source with a slash.

    `UsageError` where it is not published, or the source is none.
    """
    return _gateway(EmbeddingsGateway, machines).bind(
        _encoder(store, encoder_version, machines, limits),
        model_card(store, encoder_version),
        limits,
    )


def search_application(
    store: Store,
    *,
    index_version: str,
    encoder_version: str,
    machines: Machines,
    limits: Limits,
    num_results: int,
) -> Application:
    """The search page and `/api/search`; `UsageError` where an artifact is not published."""
    store.open("index", index_version)
    num_figures = store.manifest("index", index_version).counts["num_figures"]
    about = f"{num_figures:,} figures · index {index_version} · encoder {encoder_version}"
    return _gateway(SearchGateway, machines).bind(
        _encoder(store, encoder_version, machines, limits),
        store.url,
        index_version,
        limits,
        about,
        num_results,
    )


def encoder_source(store: Store, encoder: str) -> Folder | str:
    """The folder of a published version; what has a slash is a source for `open_model`."""
    if "/" not in encoder:
        return store.open("encoder", encoder)
    return str(Path(encoder).absolute()) if Path(encoder).is_dir() else encoder


def model_card(store: Store, encoder: str) -> ModelCard:
    """How `/v1/models` shows an encoder; one that is not published is opened for it."""
    from figclip.models.clip import ClipConfig
    from figclip.models.opening import open_model
    from figclip.models.weights import CONFIG_FILE

    source = encoder_source(store, encoder)
    if isinstance(source, str):
        name, created, config = encoder, datetime.now(UTC), open_model(source).config
    else:
        name, config = f"encoder@{encoder}", ClipConfig.from_json(source.read(CONFIG_FILE))
        created = datetime.fromisoformat(store.manifest("encoder", encoder).created)
    return ModelCard(
        id=name,
        created=int(created.timestamp()),
        dim=config.embed_dim,
        context_length=config.text.context_length,
    )


def _encoder(store: Store, version: str, machines: Machines, limits: Limits) -> Application:
    source = encoder_source(store, version)
    deployed = serve.deployment(
        name="Encoder",
        num_replicas=machines.encoder_replicas,
        ray_actor_options={"num_cpus": machines.encoder_cpus, "num_gpus": machines.encoder_gpus},
        max_ongoing_requests=4 * machines.max_batch_size,
        max_queued_requests=machines.max_queued_requests,
    )(EncoderReplica)
    return deployed.bind(
        store.url, source if isinstance(source, str) else version, machines, limits
    )


def _gateway(kind: type[_Gateway], machines: Machines) -> Deployment:
    return serve.deployment(
        name="Gateway",
        num_replicas=machines.gateway_replicas,
        ray_actor_options={"num_cpus": machines.gateway_cpus},
        max_ongoing_requests=machines.max_queued_requests + 4 * machines.max_batch_size,
    )(serve.ingress()(kind))
