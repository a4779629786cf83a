"""Models between forms: `python -m jobs.convert open_clip --source VERSION --folder ./mine`.

Ours to open_clip's folder or to that of transformers' `CLIPModel`; any of these, or a model of the
hub, to an encoder artifact: `python -m jobs.convert encoder --source OWNER/NAME --version clip`.
"""

from pathlib import Path
from typing import Literal

import pyarrow.fs as pafs

from figclip.config import UsageError
from figclip.embedding.encoder import feeding
from figclip.models.hf_clip import write_hf_clip
from figclip.models.open_clip import write_open_clip
from figclip.models.opening import Opened, open_model
from figclip.models.weights import save_weights
from figclip.store import Folder, Manifest, Store
from jobs.entry import Job, keep_config, run


class ConvertJob(Job):
    """Open the model of `source` and write it in another form."""

    form: Literal["open_clip", "transformers", "encoder"] = "open_clip"
    """`open_clip` and `transformers` fill `folder`; `encoder` publishes `encoder/{version}`."""
    source: str = "biomedclip"
    """A version of the store's encoders; or, with a slash, a folder of ours, of open_clip's or of
    transformers' CLIP, or a name on the hub."""
    folder: str | None = None
    """An empty folder to write to."""
    weights: Literal["safetensors", "bin"] = "safetensors"
    """`bin` is torch's pickle of tensors, for releases of open_clip that read nothing else."""
    version: str | None = None
    """Name of the encoder artifact to publish."""


PRESETS = {
    "open_clip": ConvertJob(),
    "transformers": ConvertJob(form="transformers"),
    "encoder": ConvertJob(form="encoder"),
}


def main(config: ConvertJob) -> Manifest | None:
    store = Store(config.store)
    is_elsewhere = "/" in config.source
    opened = open_model(config.source if is_elsewhere else store.open("encoder", config.source))
    if config.form != "encoder":
        if config.form != "open_clip" and config.weights == "bin":
            raise UsageError(f"{config.form} takes safetensors: leave --weights bin out")
        pickled = config.weights == "bin"
        write(opened, empty_folder(config.folder), config.form, pickled=pickled)
        return None
    if config.version is None:
        raise UsageError("name the encoder to publish with --version")
    manifest = publish(store, opened, config.version, config.source)
    keep_config(store, "encoder", config.version, "convert", config)
    return manifest


def write(opened: Opened, folder: Folder, form: str, *, pickled: bool = False) -> None:
    """The model with its tokenizer and its recipe for pixels, as the other library reads them."""
    tokenizer, pixels = feeding(opened)
    clip, model = opened.clip, opened.config
    begin, end = tokenizer.begin_id, tokenizer.end_id
    pad = end if tokenizer.is_byte_pairs else tokenizer.pad_id
    if form == "transformers":
        marks = (pad, begin, end)
        write_hf_clip(folder, clip, model, mean=pixels.mean, std=pixels.std, marks=marks)
    else:
        write_open_clip(
            folder,
            clip,
            model,
            mean=pixels.mean,
            std=pixels.std,
            pad_id=pad,
            end_id=None if tokenizer.is_byte_pairs else end,
            pickled=pickled,
        )
    tokenizer.save_for_transformers(folder)


def publish(store: Store, opened: Opened, version: str, source: str) -> Manifest:
    """The model as an encoder artifact, which every other job takes."""
    tokenizer, pixels = feeding(opened)
    values = {"source": source}
    if not store.already_published("encoder", version, values):
        with store.publishing("encoder", version, config=values) as publication:
            save_weights(publication.folder, opened.clip, opened.config)
            tokenizer.save(publication.folder)
            pixels.save(publication.folder)
            publication.counts["num_parameters"] = sum(p.numel() for p in opened.clip.parameters())
    return store.manifest("encoder", version)


def empty_folder(path: str | None) -> Folder:
    if path is None:
        raise UsageError("name an empty folder to write to with --folder")
    place = Path(path).absolute()
    if place.exists() and (place.is_file() or any(place.iterdir())):
        raise UsageError(f"{path} is there and not empty: name an empty --folder")
    return Folder(pafs.LocalFileSystem(), str(place))


if __name__ == "__main__":
    run(PRESETS, main, "convert")
