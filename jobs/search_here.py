"""The figure search in this process, without Ray."""

import asyncio

from fastapi import FastAPI

from figclip.embedding.encoder import Encoder
from figclip.embedding.index.opened import open_index
from figclip.evaluation.beside import encoder_of
from figclip.serving.page.page import search_app
from figclip.serving.protocol import Refusal, Vector
from figclip.serving.routes.limits import ImageFault, Limits, decode_image
from figclip.serving.search.search import Always, FigureSearch
from figclip.store import Store


def search_here(store: Store, index_version: str, *, num_results: int) -> FastAPI:
    """The search page of a published index, with the encoder that made its vectors."""
    manifest = store.manifest("index", index_version)
    inputs = dict(source.split("@", 1) for source in manifest.inputs)
    encoder_version = encoder_of(store, inputs["embeddings"])
    encoder = Encoder.open(store.open("encoder", encoder_version))
    limits = Limits()

    def of_texts(texts: list[str]) -> list[Vector]:
        found = encoder.encode_texts(texts)
        return [Vector(vector) for vector in found.vectors]

    def of_images(images: list[bytes]) -> list[Vector | Refusal]:
        return [of_image(data) for data in images]

    def of_image(data: bytes) -> Vector | Refusal:
        try:
            return Vector(encoder.encode_images([decode_image(data, limits=limits)])[0])
        except ImageFault as fault:
            return Refusal(str(fault))

    async def embed_texts(texts: list[str]) -> list[Vector]:
        return await asyncio.to_thread(of_texts, texts)

    async def embed_images(images: list[bytes]) -> list[Vector | Refusal]:
        return await asyncio.to_thread(of_images, images)

    figures = Always(open_index(store, index_version), index_version)
    search = FigureSearch(figures, embed_texts, embed_images, limits)
    num_figures = manifest.counts["num_figures"]
    about = f"{num_figures:,} figures · index {index_version} · encoder {encoder_version}"
    return search_app(search, about=about, num_results=num_results)
