"""The live service on Ray Serve: replicas that embed texts or images, and gateways that speak HTTP.

A gateway makes few calls of many items (`batches.asking`), a replica few passes of many calls
(`batches.towers`); pictures are decoded beside the replica, in processes of their own
(`batches.decoding`).
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve import Application, Deployment
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from figclip.config import UsageError
from figclip.embedding.index.opened import Kind
from figclip.log import configure_logging
from figclip.serving.batches.asking import Asking, AskingConfig, Call, ModelGone
from figclip.serving.batches.decoding import DecodingConfig
from figclip.serving.batches.once import VectorCache
from figclip.serving.batches.served import Served, model_card, open_images, open_texts
from figclip.serving.batches.towers import BatchConfig
from figclip.serving.batches.transit import Answers, Pictures
from figclip.serving.door.door import DoorConfig, Entrance
from figclip.serving.door.keys import KeyRing, Scope
from figclip.serving.door.listening import refuse_exposed_here
from figclip.serving.meter import Meter
from figclip.serving.page.page import search_app
from figclip.serving.protocol import ModelCard
from figclip.serving.ray_meter import RayMeter
from figclip.serving.routes.api import embeddings_router, json_app
from figclip.serving.routes.comparing import comparing_router
from figclip.serving.routes.fetching import FetchConfig
from figclip.serving.routes.health import Probe, health_router, models_probe
from figclip.serving.routes.intake import Intake, Model, Models
from figclip.serving.routes.limits import Limits
from figclip.serving.search.holder import IndexHolder, follow, newest_index, opener
from figclip.serving.search.search import FigureSearch
from figclip.store import Store

if TYPE_CHECKING:
    from figclip.serving.batches.towers import ImageModel, TextModel

log = logging.getLogger(__name__)

GATEWAY_REQUESTS = 64.0
"""At once in each gateway, beyond which Serve starts another."""

# Torch and the models are imported where they are used: a gateway, which has no use for them, then
# starts in a third of the time and takes 600 MB less.


@dataclass(frozen=True)
class Machines:
    """What the replicas of a service take of the cluster."""

    text_replicas: int
    """Of each model."""
    image_replicas: int
    most_replicas: int | None
    """Of each kind, where Serve may start more."""
    cpus: float
    """Of each replica that embeds."""
    threads: int
    """Of torch in it."""
    gpus: float
    """Of each; above 0 the model runs on CUDA."""
    gateway_replicas: int
    most_gateways: int | None
    gateway_cpus: float
    batches: BatchConfig
    decoding: DecodingConfig
    asking: AskingConfig


@dataclass(frozen=True)
class Access:
    """Who may ask for how much."""

    keys: str | None
    """The file of keys; without it everybody may ask, who is on this machine."""
    door: DoorConfig
    fetch: FetchConfig
    limits: Limits

    def ring(self) -> KeyRing | None:
        """`UsageError` where the file is none, or there is none and other machines reach us."""
        refuse_exposed_here(has_keys=self.keys is not None)
        return None if self.keys is None else KeyRing(Path(self.keys))

    def entrance(self, scope: Scope, meter: Meter, *, gateways: int) -> Entrance:
        """As `ring` is refused."""
        return Entrance(scope, self.ring(), self.door, meter, share=1 / gateways)


class TextReplica:
    """Embeds the texts of one model."""

    def __init__(self, served: Served, machines: Machines) -> None:
        self._model: TextModel = open_texts(
            served,
            machines.batches,
            threads=machines.threads,
            on_gpu=machines.gpus > 0,
            meter=RayMeter(),
        )

    async def check_health(self) -> None:
        """Ray replaces a replica whose model does not answer any more."""
        await self._model.check()

    async def embed(self, texts: list[str], left_s: list[float]) -> Answers:
        return await self._model.embed(texts, left_s)


class ImageReplica:
    """Embeds the images of one model."""

    def __init__(self, served: Served, machines: Machines, limits: Limits) -> None:
        self._model: ImageModel = open_images(
            served,
            machines.batches,
            machines.decoding,
            limits,
            threads=machines.threads,
            on_gpu=machines.gpus > 0,
            meter=RayMeter(),
        )

    async def check_health(self) -> None:
        await self._model.check()

    async def embed(self, pictures: Pictures, left_s: list[float]) -> Answers:
        return await self._model.embed(pictures.files(), left_s)

    def __del__(self) -> None:
        self._model.decoders.close()


@dataclass(frozen=True)
class Bound:
    """A model and the handles of its replicas, as a gateway gets them."""

    card: ModelCard
    texts: DeploymentHandle
    images: DeploymentHandle


@dataclass(frozen=True)
class Indexed:
    """The index that a search serves first, and how it is held."""

    version: str
    encoder: str
    """Version of the encoder that made its vectors."""
    kind: Kind = "lance"
    follow_s: float = 0.0
    """How often a newer version is looked for; 0: never."""


class _Gateway:
    """Speaks HTTP and asks the models; its application is made where it runs."""

    routes: FastAPI

    def __init__(self) -> None:
        configure_logging("json")  # a line for each request, without what was sent

    def __serve_build_asgi_app__(self) -> FastAPI:
        return self.routes


class EmbeddingsGateway(_Gateway):
    def __init__(self, bound: Sequence[Bound], access: Access, machines: Machines) -> None:
        super().__init__()
        meter = RayMeter()
        asking = asking_of(bound, machines, meter)
        models = Models(Model(card, one.embed_texts, one.embed_images) for card, one in asking)
        intake = Intake(access.limits, access.fetch)
        self.routes = json_app(
            embeddings_router(models, intake=intake),
            comparing_router(models, intake=intake),
            health_router(fresh_probe(asking)),
            title="figclip embeddings",
            entrance=access.entrance("embed", meter, gateways=machines.gateway_replicas),
        )


class SearchGateway(_Gateway):
    """Holds the open index; the pictures that the page shows come from there.

    `user_config` `{"index": VERSION}` has it serve that version from then on, without a restart.
    """

    def __init__(
        self,
        bound: Bound,
        store_url: str,
        index: Indexed,
        access: Access,
        machines: Machines,
        num_results: int,
    ) -> None:
        super().__init__()
        meter = RayMeter()
        [(card, one)] = asking_of([bound], machines, meter)
        store = Store(store_url)
        self._holder = IndexHolder(opener(store, index.encoder, kind=index.kind), index.version)
        self._newest = partial(newest_index, store)
        self._follow_s = index.follow_s
        self._following: asyncio.Task[None] | None = None
        refuse_exposed_here(has_keys=access.keys is not None)
        self.routes = search_app(
            FigureSearch(self._holder, one.embed_texts, one.embed_images, access.limits),
            health_router(fresh_probe([(card, one)])),
            about=lambda: f"{self._holder.told()} · {bound.card.id}",
            num_results=num_results,
            entrance=access.entrance("search", meter, gateways=machines.gateway_replicas),
        )

    async def reconfigure(self, config: Mapping[str, Any]) -> None:
        """A version that cannot be served is said in the log, and the current one stays: to fail
        here would end the replica, and with it what it serves well."""
        if self._follow_s and self._following is None:
            following = follow(self._holder, self._newest, every_s=self._follow_s)
            self._following = asyncio.create_task(following)
        if version := config.get("index"):
            try:
                await asyncio.to_thread(self._holder.swap, str(version))
            except UsageError as error:
                log.error("index %s goes on being served: %s", self._holder.version, error)


def fresh_probe(asking: Sequence[tuple[ModelCard, Asking]]) -> Probe:
    """Of every model; nothing that was kept is taken for an answer."""
    return models_probe(
        Models(Model(card, one.embed_texts_anew, one.embed_images_anew) for card, one in asking)
    )


def asking_of(
    bound: Sequence[Bound], machines: Machines, meter: Meter
) -> list[tuple[ModelCard, Asking]]:
    """Each model with its way in; all share one cache."""
    config = machines.asking
    cache = VectorCache(config.cache_bytes) if config.cache_bytes else None
    return [
        (
            one.card,
            Asking(
                text_call(one.texts),
                image_call(one.images),
                config,
                model=f"{one.card.id}@{one.card.created}",
                text_replicas=machines.most_replicas or machines.text_replicas,
                image_replicas=machines.most_replicas or machines.image_replicas,
                cache=cache,
                meter=meter,
            ),
        )
        for one in bound
    ]


def text_call(replicas: DeploymentHandle) -> Call[str]:
    async def call(texts: list[str], left_s: list[float]) -> Answers:
        return await _answer(replicas.embed, texts, left_s)

    return call


def image_call(replicas: DeploymentHandle) -> Call[bytes]:
    async def call(images: list[bytes], left_s: list[float]) -> Answers:
        return await _answer(replicas.embed, Pictures.of(images), left_s)

    return call


async def _answer(method: Any, items: Any, left_s: list[float]) -> Answers:
    """`ModelGone` where the replica ended with the call under way, or none is there."""
    try:
        return await method.remote(items, left_s)
    except (RayActorError, DeploymentUnavailableError, BackPressureError) as error:
        raise ModelGone(repr(error)) from error


def embeddings_application(
    models: Sequence[Served], *, machines: Machines, access: Access
) -> Application:
    """`/v1/embeddings` of these models; `UsageError` where one is not to be opened."""
    access.ring()
    bound = [_bound(served, machines, access.limits) for served in models]
    return _gateway(EmbeddingsGateway, machines).bind(bound, access, machines)


def search_application(
    store: Store,
    model: Served,
    *,
    index: Indexed,
    machines: Machines,
    access: Access,
    num_results: int,
) -> Application:
    """The search page and `/api/search`; `UsageError` where an artifact is not published."""
    access.ring()
    store.open("index", index.version)
    bound = _bound(model, machines, access.limits)
    return (
        _gateway(SearchGateway, machines)
        .options(user_config={"index": index.version})
        .bind(bound, store.url, index, access, machines, num_results)
    )


def _bound(served: Served, machines: Machines, limits: Limits) -> Any:
    """A `Bound` whose handles Serve fills in where it runs."""
    texts = _replicas(TextReplica, "Texts", served, machines, machines.text_replicas)
    images = _replicas(ImageReplica, "Images", served, machines, machines.image_replicas)
    return Bound(
        model_card(served),
        texts.bind(served, machines),  # type: ignore[arg-type]
        images.bind(served, machines, limits),  # type: ignore[arg-type]
    )


def _replicas(
    kind: type, name: str, served: Served, machines: Machines, num_replicas: int
) -> Deployment:
    """What waits for a replica waits in the gateways: each sends it a few calls at once."""
    calls = machines.asking.calls_under_way * (machines.most_gateways or machines.gateway_replicas)
    return serve.deployment(
        name=f"{name}{served.suffix}",
        **scale(num_replicas, machines.most_replicas, target=machines.asking.calls_under_way),
        ray_actor_options={"num_cpus": machines.cpus, "num_gpus": machines.gpus},
        max_ongoing_requests=max(16, 2 * calls),
        graceful_shutdown_timeout_s=30.0,
    )(kind)


def scale(least: int, most: int | None, *, target: float) -> dict[str, Any]:
    """Options of a deployment: so many replicas, or as many as `target` calls at once for each
    make, between `least` and `most`."""
    if most is None:
        return {"num_replicas": least}
    return {
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": max(least, most),
            "target_ongoing_requests": target,
        }
    }


def _gateway(kind: type[_Gateway], machines: Machines) -> Deployment:
    return serve.deployment(
        name="Gateway",
        **scale(machines.gateway_replicas, machines.most_gateways, target=GATEWAY_REQUESTS),
        ray_actor_options={"num_cpus": machines.gateway_cpus},
        max_ongoing_requests=4 * machines.asking.queued_items,
        graceful_shutdown_timeout_s=30.0,
    )(serve.ingress()(kind))
