"""What a peer's files say: its towers, and how texts and pictures are made ready for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from re import Pattern
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import BertConfig

from figclip.config import UsageError
from figclip.models.clip import TwoTowers
from figclip.models.open_clip_config import HEAD_WIDTH
from figclip.models.weights import check_keys

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Peer:
    """An encoder that can be asked, but not trained on from here."""

    clip: TwoTowers
    """On the CPU, in eval mode."""
    origin: str
    embed_dim: int
    context_length: int
    vocab_size: int
    vocabulary: str
    """A folder, file or hub name."""
    pixels: Mapping[str, Any]
    """As `inputs.peer_pixels.PeerPixels` takes them."""
    is_sentence_pieces: bool = False
    """Its texts are cut by SentencePiece, not by WordPiece or byte pairs."""


def filled(
    module: Module, state: Mapping[str, Tensor], *, origin: str, strays: Pattern[str]
) -> Module:
    """The module with exactly these weights, in fp32 and eval mode; `UsageError` where they do not
    fit. `strays` are names that it has no use for."""
    kept = {name: tensor for name, tensor in state.items() if not strays.fullmatch(name)}
    expected = module.state_dict()
    for name in expected.keys() - kept.keys():
        if name.endswith(
            "num_batches_tracked"
        ):  # older torch saved none, and nothing depends on it
            kept[name] = expected[name]
    check_keys(kept, expected, origin=origin)
    module.load_state_dict(kept)
    return module.float().eval()


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The part of a state dict whose names begin so, without that beginning."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def num_in(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many layers `{prefix}0.`, `{prefix}1.`, ... there are."""
    return len({name.split(".")[0] for name in below(state, prefix)})


def bert_config_of(state: Mapping[str, Tensor], *, origin: str) -> BertConfig:
    """Sizes read off the weights; heads are of the width that all released BERTs have."""
    try:
        vocab_size, width = state["embeddings.word_embeddings.weight"].shape
        return BertConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            num_hidden_layers=num_in(state, "encoder.layer."),
            num_attention_heads=max(1, width // HEAD_WIDTH),
            intermediate_size=len(state["encoder.layer.0.intermediate.dense.weight"]),
            max_position_embeddings=len(state["embeddings.position_embeddings.weight"]),
        )
    except KeyError as error:
        raise UsageError(f"the weights of {origin} hold no BERT: {error} is missing") from error


def first_of(folder: Path, names: tuple[str, ...], *, what: str) -> Path:
    """`UsageError` where the folder has none of these files."""
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise UsageError(f"{folder} has no {what}: lay {' or '.join(names)} into that folder")
    return path


def scalar(state: Mapping[str, Tensor], name: str, default: float) -> Tensor:
    return state[name].float().reshape(()) if name in state else torch.tensor(default)
