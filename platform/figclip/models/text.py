"""What text towers are told, and BERT's: the last state of its first token, and a projection."""

import logging
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from transformers import AutoConfig, BertConfig, BertModel

from figclip.config import Config, UsageError
from figclip.models.unpadded import first_token_states

log = logging.getLogger(__name__)


class TextConfig(Config):
    """A text tower of these sizes; as they stand, BERT-base with 256 tokens."""

    architecture: Literal["bert", "gpt"] = "bert"
    """`bert` reads in both directions; `gpt` is CLIP's own causal transformer."""
    hf_name: str | None = None
    """Start from this BERT's weights and take its sizes: a hub name or a local folder."""
    vocab_size: PositiveInt = 30_522
    """Rows of the token embedding; at least as many as the tokenizer has tokens."""
    hidden_size: PositiveInt = 768
    layers: PositiveInt = 12
    heads: PositiveInt = 12
    """Attention heads; must divide `hidden_size`."""
    intermediate_size: PositiveInt = 3_072
    max_positions: PositiveInt = 512
    """Rows of BERT's position embedding; a `gpt` has as many as its `context_length`."""
    context_length: PositiveInt = 256
    """Tokens that a text is cut to, first and last mark among them; of BERT at most
    `max_positions`."""
    activation: Literal["gelu", "quick_gelu"] = "gelu"
    """Between the two halves of a layer; `quick_gelu` is OpenAI's, of `gpt` alone."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Of BERT's hidden states and attention, in training; CLIP's `gpt` has none."""
    gradient_checkpointing: bool = False
    """Recompute the layers in the backward pass: less memory, a third more work."""

    @model_validator(mode="after")
    def _check(self) -> "TextConfig":
        if self.architecture == "bert" and self.context_length > self.max_positions:
            raise ValueError(
                f"context_length {self.context_length} exceeds max_positions {self.max_positions}"
            )
        if self.hidden_size % self.heads:
            raise ValueError(f"{self.heads} heads do not divide hidden_size {self.hidden_size}")
        if self.architecture == "bert" and self.activation != "gelu":
            raise ValueError(f"a bert with {self.activation}: that is of gpt towers alone")
        if self.architecture == "gpt" and self.hf_name is not None:
            raise ValueError(f"hf_name {self.hf_name!r} is for a bert; start a gpt with `init`")
        return self

    def settled(self) -> "TextConfig":
        """The same tower in plain sizes, to be built without a hub."""
        if self.hf_name is None:
            return self
        bert = find_bert_config(self.hf_name)
        if bert is None:
            raise UsageError(
                f"no BERT at {self.hf_name!r}: name a local folder with config.json and weights, "
                f"or a model of the hub while online"
            )
        return self.with_overrides(
            {
                "hf_name": None,
                "vocab_size": bert.vocab_size,
                "hidden_size": bert.hidden_size,
                "layers": bert.num_hidden_layers,
                "heads": bert.num_attention_heads,
                "intermediate_size": bert.intermediate_size,
                "max_positions": bert.max_position_embeddings,
            }
        )


class TextTower(nn.Module):
    """Token ids to features that are not yet normalised.

    The names of the parameters are those of open_clip's Hugging Face towers: `transformer.*`,
    `proj.0.weight` and `proj.2.weight`.
    """

    def __init__(self, config: TextConfig, *, embed_dim: int) -> None:
        super().__init__()
        sizes = config.settled()
        middle = (sizes.hidden_size + embed_dim) // 2
        self.transformer = _bert(sizes, weights_from=config.hf_name)
        self.proj = nn.Sequential(
            nn.Linear(sizes.hidden_size, middle, bias=False),
            nn.GELU(),
            nn.Linear(middle, embed_dim, bias=False),
        )

    def forward(
        self,
        ids: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch embed_dim"]:
        """`mask` is true, or 1, where a token is no padding."""
        features: Tensor = self.proj(first_token_states(self.transformer, ids, mask))
        return features


def _bert(config: TextConfig, *, weights_from: str | None) -> BertModel:
    bert_config = BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_positions,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        # Which id pads is the vocabulary's affair: the mask hides it, and no row stands apart.
        pad_token_id=None,
    )
    if weights_from is None:
        bert = BertModel(bert_config, add_pooling_layer=False)
    else:
        bert = BertModel.from_pretrained(
            weights_from, config=bert_config, add_pooling_layer=False, dtype=torch.float32
        )
    if config.gradient_checkpointing:
        bert.gradient_checkpointing_enable({"use_reentrant": False})
    return bert


def find_bert_config(name: str, *, offline: bool = False) -> BertConfig | None:
    """The config of a BERT in a local folder, in the cache or (not `offline`) on the hub.

    None where there is none; `UsageError` where it is not a BERT as this tower builds it.
    """
    try:
        found = AutoConfig.from_pretrained(name, local_files_only=offline)
    except (OSError, ValueError) as error:
        log.info("no config of %s: %s", name, error)
        return None
    if found.model_type != "bert":
        raise UsageError(f"{name} is a {found.model_type} model; the text tower takes a bert")
    ours = BertConfig()
    for option in ("hidden_act", "layer_norm_eps", "type_vocab_size"):
        if getattr(found, option) != getattr(ours, option):
            raise UsageError(f"{name} has {option} {getattr(found, option)!r}, unlike BERT's own")
    return found
