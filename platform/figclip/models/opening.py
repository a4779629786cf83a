"""The one door to models: our own folders, open_clip's, transformers' CLIP, peers, and the hub."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from figclip.config import UsageError
from figclip.models.clip import Clip, ClipConfig
from figclip.models.hf_clip import HF_CONFIG, HF_PIXELS, HF_WEIGHTS, read_hf_clip
from figclip.models.open_clip import OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, read_open_clip
from figclip.models.open_clip_names import PREFIX, read_named
from figclip.models.peers import biovil, medclip, siglip
from figclip.models.peers.peer import Peer
from figclip.models.weights import CONFIG_FILE, clip_with, load_clip, read_json
from figclip.store import Folder

log = logging.getLogger(__name__)

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of pixels, by colour: CLIP's, for checkpoints that do not say."""
VOCABULARIES = ("tokenizer.json", "vocab.txt", "bpe_simple_vocab_16e6.txt.gz", "merges.txt")

Colours = tuple[float, float, float]


@dataclass(frozen=True)
class Opened:
    """A model with all that its source says of how it is to be fed."""

    clip: Clip
    """On the CPU, in eval mode."""
    config: ClipConfig
    origin: str
    """The source, for messages."""
    folder: Folder | None
    """Of one of our own encoders: its tokenizer and its pixel recipe lie there as well."""
    vocabulary: str | None
    """Of another: a folder, file or hub name for `open_tokenizer`; None where none is told."""
    mean: Colours = MEAN
    std: Colours = STD


class NotOursError(UsageError):
    """A model can be evaluated, but neither trained on nor converted."""


def open_model(source: str | Path | Folder) -> Opened:
    """Open an encoder of ours, a folder of open_clip's or of transformers' `CLIPModel`, or either
    by its name on the hub.

    `UsageError` says what is wrong with the source, and what to do; `NotOursError` of a peer.
    """
    found = open_encoder(source)
    if isinstance(found, Peer):
        raise NotOursError(
            f"{found.origin} has towers that are not ours: evaluate it or embed by it; it can be "
            f"neither trained on nor converted"
        )
    return found


def open_encoder(source: str | Path | Folder) -> Opened | Peer:
    """What `open_model` opens, `open_clip:MODEL/TAG` among it, and peers whose towers are not ours:
    SigLIP, MedCLIP, BioViL."""
    if isinstance(source, str) and "://" in source:
        source = _remote(source)
    if isinstance(source, Folder):
        return _own(source)
    if (name := str(source)).startswith(PREFIX):
        return _named(*name.removeprefix(PREFIX).partition("/")[::2])
    path = _local_folder(str(source))
    if (path / CONFIG_FILE).is_file():
        return _own(Folder(pafs.LocalFileSystem(), str(path.absolute())))
    if (path / OPEN_CLIP_CONFIG).is_file():
        return _open_clips(path)
    if (path / HF_CONFIG).is_file():
        read_peer = PEERS.get(str(read_json(path / HF_CONFIG).get("model_type")))
        return _hfs(path) if read_peer is None else read_peer(path)
    if (path / medclip.WEIGHTS).is_file():
        return medclip.read_medclip(path)
    raise UsageError(
        f"{source} has none of {CONFIG_FILE} (an encoder of ours), {OPEN_CLIP_CONFIG} (open_clip), "
        f"{HF_CONFIG} (transformers) and {medclip.WEIGHTS} (MedCLIP): name the folder of a model"
    )


PEERS = {siglip.MODEL_TYPE: siglip.read_siglip, biovil.MODEL_TYPE: biovil.read_biovil}
"""transformers' `model_type` → what reads its folder."""


def _own(folder: Folder) -> Opened:
    clip, config = load_clip(folder)
    return Opened(clip, config, origin=folder.path, folder=folder, vocabulary=None)


def _open_clips(path: Path) -> Opened:
    state, config, told = read_open_clip(path)
    text, pixels = told["model_cfg"]["text_cfg"], told.get("preprocess_cfg", {})
    named = text.get("hf_tokenizer_name") or text.get("hf_model_name")
    return Opened(
        clip_with(state, config, origin=str(path)),
        config,
        origin=str(path),
        folder=None,
        vocabulary=_vocabulary(path) or named,
        mean=_colours(pixels.get("mean"), MEAN),
        std=_colours(pixels.get("std"), STD),
    )


def _named(model: str, tag: str) -> Opened:
    """open_clip's own names: `ViT-B-16-quickgelu/openai`; the tag may be a file of weights."""
    named = read_named(model, tag)
    return Opened(
        clip_with(named.state, named.config, origin=named.origin),
        named.config,
        origin=named.origin,
        folder=None,
        vocabulary=named.vocabulary,
        mean=_colours(named.mean, MEAN),
        std=_colours(named.std, STD),
    )


def _hfs(path: Path) -> Opened:
    state, config = read_hf_clip(path)
    pixels = read_json(path / HF_PIXELS) if (path / HF_PIXELS).is_file() else {}
    return Opened(
        clip_with(state, config, origin=str(path)),
        config,
        origin=str(path),
        folder=None,
        vocabulary=_vocabulary(path),
        mean=_colours(pixels.get("image_mean"), MEAN),
        std=_colours(pixels.get("image_std"), STD),
    )


def _vocabulary(path: Path) -> str | None:
    return str(path) if any((path / name).is_file() for name in VOCABULARIES) else None


def _colours(found: Sequence[float] | None, default: Colours) -> Colours:
    if found is None:
        return default
    red, green, blue = map(float, found)
    return red, green, blue


def _remote(url: str) -> Folder:
    try:
        fs, path = pafs.FileSystem.from_uri(url)
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{url} cannot be opened ({error}): name s3://bucket/path") from error
    return Folder(fs, path.rstrip("/"))


def _local_folder(source: str) -> Path:
    if Path(source).is_dir():
        return Path(source)
    name = source.removeprefix("hf-hub:")
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise UsageError(
            f"{source}: neither a local folder nor the name of a repository on the hub (OWNER/NAME)"
        )
    try:
        return _fetched(name)
    except OSError as error:
        raise UsageError(
            f"{name} is neither in the cache nor to be fetched from the hub "
            f"({type(error).__name__}): go online, or name a local folder"
        ) from error


def _fetched(name: str) -> Path:
    """The repository's small files, and of its weights the first file that we read."""
    path = Path(snapshot_download(name, allow_patterns=SMALL_FILES))
    is_open_clip = (path / OPEN_CLIP_CONFIG).is_file()
    _fetch_first(name, OPEN_CLIP_WEIGHTS if is_open_clip else HF_WEIGHTS)
    config = path / HF_CONFIG
    if config.is_file() and read_json(config).get("model_type") == biovil.MODEL_TYPE:
        _fetch_first(name, biovil.IMAGE_WEIGHTS)
    return path


SMALL_FILES = ["*.json", "*.txt", "*.txt.gz", "spiece.model"]


def _fetch_first(name: str, files: Sequence[str]) -> None:
    """The first of these files that the repository has."""
    unreached: LocalEntryNotFoundError | None = None
    for file in files:
        try:
            hf_hub_download(name, file)
            return
        except LocalEntryNotFoundError as error:  # no word from the hub: the cache may have another
            unreached = error
        except EntryNotFoundError as error:
            log.info("%s has no %s: %s", name, file, error)
    if unreached:
        raise unreached
