"""The client as a command: `python -m figclip.client embed FOLDER --url ... --out vectors.parquet`.

A key is read from the environment (`FIGCLIP_KEY`), where other people's `ps` does not show it.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import PositiveFloat, PositiveInt
from tyro.conf import Positional

from figclip.client import Client, Patience, ServiceError
from figclip.client.folders import embed_folder
from figclip.config import Config, UsageError, config_from_args

KEY = "FIGCLIP_KEY"


class EmbedWords(Config):
    """Embed every picture below a folder; run the same words again to go on, or to add new ones."""

    folder: Positional[str] = ""
    """Of pictures: JPEG, PNG, WebP, GIF, TIFF, at any depth."""
    url: str = "http://127.0.0.1:8000"
    """Of the service."""
    out: str = "vectors.parquet"
    """Parquet file to write: `id` (the path below the folder) and `vector`."""
    model: str | None = None
    """Unset: the service's own."""
    encoder: str | None = None
    """Embed on this machine instead, by the encoder in this folder."""
    concurrency: PositiveInt = 4
    """Requests at once."""
    batch_items: PositiveInt = 32
    """Pictures of a request."""
    deadline_s: PositiveFloat = 300.0
    """Of one request, with all its tries."""


PRESETS = {"embed": EmbedWords()}


def main(args: Sequence[str]) -> int:
    """0, or 1 where pictures were refused, or 2 with a sentence that names the remedy."""
    try:
        return embed(config_from_args(PRESETS, args, "python -m figclip.client"))
    except (ServiceError, UsageError) as error:
        print(f"figclip.client: {error}", file=sys.stderr)
        return 2


def embed(words: EmbedWords) -> int:
    if not words.folder:
        raise UsageError("name a folder of pictures: python -m figclip.client embed FOLDER")
    with Client(
        words.url,
        key=os.environ.get(KEY),
        model=words.model,
        encoder=words.encoder,
        patience=Patience(deadline_s=words.deadline_s),
        concurrency=words.concurrency,
        batch_items=words.batch_items,
    ) as client:
        outcome = embed_folder(client, Path(words.folder), Path(words.out))
    for name, error in outcome.refused.items():
        print(f"{name}: {error}", file=sys.stderr)
    print(f"{words.out}: {outcome.num_embedded:,} vectors, {len(outcome.refused):,} refused")
    return 1 if outcome.refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
