"""The models of a service, and what a request may bring them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from figclip.config import UsageError
from figclip.serving.protocol import ApiError, ModelCard, Refusal, Vector
from figclip.serving.routes.dialects import Item
from figclip.serving.routes.fetching import FetchConfig, Resolve, fetch_image, resolve_by_system
from figclip.serving.routes.limits import Limits, Url, check_pixels, checked_file, sort_items

EmbedTexts = Callable[[list[str]], Awaitable[Sequence[Vector | Refusal]]]
EmbedImages = Callable[[list[bytes]], Awaitable[Sequence[Vector | Refusal]]]


@dataclass(frozen=True)
class Model:
    """A model that is served."""

    card: ModelCard
    embed_texts: EmbedTexts
    embed_images: EmbedImages


class Models:
    """All models of a service, by name and version: `encoder@2026.11`.

    A name without its version means the one that was made last.
    """

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = {model.card.id: model for model in models}
        oldest_first = sorted(self._models.values(), key=lambda model: model.card.created)
        self._newest = {model.card.id.partition("@")[0]: model for model in oldest_first}
        if not self._models:
            raise UsageError("no model to serve: name at least one encoder")

    @property
    def cards(self) -> list[ModelCard]:
        return [model.card for model in self._models.values()]

    @property
    def names(self) -> list[str]:
        """All that `find` knows."""
        return [*dict.fromkeys([*self._models, *self._newest])]

    def find(self, name: str) -> Model:
        """A 404 `ApiError` names those that are here."""
        found = self._models.get(name) or self._newest.get(name)
        if found is None:
            here = ", ".join(map(repr, self._models))
            what = "the model here is" if len(self._models) == 1 else "the models here are"
            raise ApiError(404, f"{what} {here}", param="model", code="model_not_found")
        return found


@dataclass(frozen=True)
class Intake:
    """What a request may carry, and whose images are fetched."""

    limits: Limits = field(default_factory=Limits)
    fetch: FetchConfig = field(default_factory=FetchConfig)
    resolve: Resolve = resolve_by_system

    async def ready(self, items: Sequence[Item], *, is_large: bool = True) -> list[str | bytes]:
        """Every item as a text, or as an image file whose header was checked.

        `is_large` says whether looking at them would hold up others. An `ApiError` names the first
        item that is to blame.
        """
        if is_large:
            found = await asyncio.to_thread(sort_items, items, limits=self.limits)
        else:
            found = sort_items(items, limits=self.limits)
        urls = {one.url: one for one in found if isinstance(one, Url)}
        if not urls:
            return [one for one in found if not isinstance(one, Url)]
        images = await self._fetched(list(urls.values()))
        whole = [images[one.url] if isinstance(one, Url) else one for one in found]
        check_pixels((one for one in whole if isinstance(one, bytes)), limits=self.limits)
        return whole

    async def _fetched(self, urls: list[Url]) -> dict[str, bytes]:
        if len(urls) > self.fetch.per_request and self.fetch.hosts:
            message = f"{len(urls)} URLs, but a request may have {self.fetch.per_request}"
            raise ApiError(400, message, code="too_many_urls")
        free = asyncio.Semaphore(self.fetch.at_once)

        async def fetched(one: Url) -> bytes:
            async with free:
                data = await fetch_image(
                    one.url.strip(), config=self.fetch, resolve=self.resolve, param=one.param
                )
                return checked_file(data, limits=self.limits, param=one.param)

        async with asyncio.TaskGroup() as tasks:
            running = {one.url: tasks.create_task(_or_fault(fetched(one))) for one in urls}
        found = {url: task.result() for url, task in running.items()}
        for result in found.values():
            if isinstance(result, ApiError):
                raise result
        return {url: data for url, data in found.items() if isinstance(data, bytes)}


async def _or_fault(work: Awaitable[bytes]) -> bytes | ApiError:
    try:
        return await work
    except ApiError as fault:
        return fault
