"""Checkpoints by the names that open_clip gives them: `open_clip:ViT-B-16-quickgelu/openai`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from figclip.config import UsageError
from figclip.models.clip import ClipConfig
from figclip.models.open_clip import described
from figclip.models.weights import read_tensors

PREFIX = "open_clip:"
BYTE_PAIRS = "bpe_simple_vocab_16e6.txt.gz"


@dataclass(frozen=True)
class Named:
    """A checkpoint as open_clip's registry has it."""

    state: dict[str, Tensor]
    """By our names."""
    config: ClipConfig
    origin: str
    vocabulary: str
    mean: Sequence[float] | None
    std: Sequence[float] | None


def read_named(model: str, tag: str) -> Named:
    """`tag` is one of open_clip's, fetched where it is not in the cache, or a file of weights.

    `UsageError` where open_clip is not installed, knows neither, or the hub is out of reach.
    """
    try:
        import open_clip
    except ImportError as error:
        raise UsageError(
            f"open_clip's names need `pip install open_clip_torch`; or name the folder of {model}, "
            f"or its repository on the hub"
        ) from error
    told = open_clip.get_model_config(model)
    if told is None:
        raise UsageError(f"open_clip has no model {model!r}: see open_clip.list_models()")
    known: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag) or {}
    origin = f"{PREFIX}{model}/{tag}"
    path = _weights(open_clip, model, tag, known)
    quick = bool(told.get("quick_gelu") or known.get("quick_gelu"))
    state, config = described(told | {"quick_gelu": quick}, read_tensors(path), path.parent)
    text = told["text_cfg"]
    vocabulary = text.get("hf_tokenizer_name") or text.get("hf_model_name")
    return Named(
        state,
        config,
        origin,
        vocabulary or str(Path(open_clip.__file__).parent / BYTE_PAIRS),
        known.get("mean"),
        known.get("std"),
    )


def _weights(open_clip: Any, model: str, tag: str, known: dict[str, Any]) -> Path:
    if not known:
        path = Path(tag)
        if not path.is_file():
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
            raise UsageError(f"open_clip has no weights {tag!r} of {model}; it has {tags}")
        return path
    try:
        return Path(open_clip.download_pretrained(known))
    except OSError as error:
        raise UsageError(
            f"{PREFIX}{model}/{tag} is neither in the cache nor to be fetched "
            f"({type(error).__name__}): go online, or name a local folder"
        ) from error
