"""The bare side of `embed`: `python -m jobs.benchmarks.bare STORE BATCH_SIZE`.

The last line printed is one JSON object: CPU seconds an image of both towers' forward passes on
tensors that are ready, and of the stored bytes as pixels. A batch of the first file of pairs warms
up, and only the other files count, as on the job's side.
"""

import json
import sys
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from figclip.embedding.encoder import feeding
from figclip.embedding.vectors import read_table, split_files
from figclip.inputs.pixels import PixelConfig, decode, eval_crop, normalise
from figclip.inputs.tokens import Tokenizer
from figclip.models.clip import Clip
from figclip.models.opening import open_model
from figclip.store import Store
from jobs.benchmarks.embed import VERSION

Texts = list[tuple[Tensor, Tensor]]
"""Batches of ids and masks."""


@torch.inference_mode()
def main(store: str, batch_size: int) -> dict[str, float]:
    torch.set_num_threads(1)
    folder, opened = (
        Store(store).open("pairs", VERSION),
        open_model(Store(store).open("encoder", VERSION)),
    )
    tokenizer, recipe = feeding(opened)
    clip = opened.clip.eval()
    names = split_files(folder, ["train"])
    tables = [read_table(folder, name, ["caption", "image"]) for name in names]
    warm, counted = [tables[0].slice(0, batch_size)], tables[1:]
    length = opened.config.text.context_length
    for some in (warm, counted):
        images = [image for table in some for image in table["image"].to_pylist()]
        captions = [text for table in some for text in table["caption"].to_pylist()]
        texts = text_batches(tokenizer, captions, length, batch_size)
        decode_s, forward_s = times(clip, images, texts, recipe, batch_size)
    return {"forward_s": forward_s / len(images), "decode_s": decode_s / len(images)}


def text_batches(tokenizer: Tokenizer, captions: list[str], length: int, batch_size: int) -> Texts:
    """Sorted by length, each batch as long as its longest: the least that can be computed."""
    ordered = sorted(captions, key=lambda text: int(tokenizer([text], length).mask.sum()))
    batches = []
    for start in range(0, len(ordered), batch_size):
        batch = tokenizer(ordered[start : start + batch_size], length).trimmed()
        batches.append((batch.ids, batch.mask))
    return batches


def times(
    clip: Clip, images: list[bytes], texts: Texts, recipe: PixelConfig, batch_size: int
) -> tuple[float, float]:
    """CPU seconds of decoding and of both towers."""
    decode_s = forward_s = 0.0
    for pixels, seconds in decoded(images, recipe, batch_size):
        decode_s += seconds
        ready = normalise(pixels, recipe)
        start = time.process_time()
        clip.encode_image(ready)
        forward_s += time.process_time() - start
    start = time.process_time()
    for ids, mask in texts:
        clip.encode_text(ids, mask)
    return decode_s, forward_s + time.process_time() - start


def decoded(
    images: list[bytes], recipe: PixelConfig, batch_size: int
) -> Iterator[tuple[Tensor, float]]:
    """Batches of pixels, and what they took."""
    for first in range(0, len(images), batch_size):
        start = time.process_time()
        views = [eval_crop(decode(data), recipe) for data in images[first : first + batch_size]]
        yield torch.stack(views), time.process_time() - start


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
