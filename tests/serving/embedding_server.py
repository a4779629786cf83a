"""The embeddings application in a process of its own, on a port of loopback, with a real encoder.

python embedding_server.py FOLDER: serves a tiny encoder of random weights; `PORT n` on standard
output says when and where. The words of FOLDER/settings.json are those of `serve`.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
MODEL_ID = "encoder@tiny"


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    url: str
    port: int
    folder: Path
    """Its working directory, home and place for temporary files; `log` holds what it said."""
    process: psutil.Process

    def rss_mb(self) -> float:
        return self.process.memory_info().rss / 2**20


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[Served]:
    """`settings`: `door`, `limits` and `fetch` as those configs take them, and `keys`, a path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdout=subprocess.PIPE,
            stderr=log,
            env=env,
            cwd=folder,
        )
        try:
            assert process.stdout
            words = process.stdout.readline().split()
            assert words[:1] == [b"PORT"], (folder / "log").read_text()
            port = int(words[1])
            yield Served(f"http://127.0.0.1:{port}", port, folder, psutil.Process(process.pid))
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


async def serve(folder: Path, settings: dict[str, Any]) -> None:
    import uvicorn
    from tiny import publish_tiny_encoder

    from figclip.embedding.encoder import Encoder
    from figclip.log import configure_logging
    from figclip.serving.door.door import DoorConfig, Entrance
    from figclip.serving.door.keys import KeyRing
    from figclip.serving.protocol import ModelCard, Refusal, Vector
    from figclip.serving.routes.api import embeddings_router, json_app
    from figclip.serving.routes.comparing import comparing_router
    from figclip.serving.routes.fetching import FetchConfig
    from figclip.serving.routes.health import health_router, models_probe
    from figclip.serving.routes.intake import Intake, Model, Models
    from figclip.serving.routes.limits import ImageFault, Limits, decode_image
    from figclip.store import Store

    configure_logging("json")
    store = Store(folder / "artifacts")
    publish_tiny_encoder(store, "tiny")
    encoder = Encoder.open(store.open("encoder", "tiny"))
    limits = Limits(**settings.get("limits", {}))

    async def embed_texts(texts: list[str]) -> list[Vector]:
        found = await asyncio.to_thread(encoder.encode_texts, texts)
        read = found.num_tokens.clip(max=encoder.context_length)
        rows = zip(found.vectors, read, found.truncated, strict=True)
        return [Vector(vector, int(tokens), bool(cut)) for vector, tokens, cut in rows]

    def embedded(data: bytes) -> Vector | Refusal:
        try:
            return Vector(encoder.encode_images([decode_image(data, limits=limits)])[0])
        except ImageFault as error:
            return Refusal(str(error))

    async def embed_images(images: list[bytes]) -> list[Vector | Refusal]:
        return [await asyncio.to_thread(embedded, data) for data in images]

    card = ModelCard(MODEL_ID, 1_700_000_000, encoder.dim, encoder.context_length, encoder.scale)
    models = Models([Model(card, embed_texts, embed_images)])
    intake = Intake(limits, FetchConfig.from_json(json.dumps(settings.get("fetch", {}))))
    app = json_app(
        embeddings_router(models, intake=intake),
        comparing_router(models, intake=intake),
        health_router(models_probe(models)),
        title="figclip embeddings",
        entrance=Entrance(
            keys=KeyRing(Path(settings["keys"])) if "keys" in settings else None,
            config=DoorConfig.from_json(json.dumps(settings.get("door", {}))),
        ),
    )
    # As Ray Serve starts it.
    server = uvicorn.Server(
        uvicorn.Config(app, lifespan="off", access_log=False, log_config=None, log_level=None)
    )
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(2048)
        running = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.01)
        print("PORT", sock.getsockname()[1], flush=True)
        await running


if __name__ == "__main__":
    place = Path(sys.argv[1])
    asyncio.run(serve(place, json.loads((place / "settings.json").read_text())))
