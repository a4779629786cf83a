"""Two towers fused by co-attention, and a classifier of answers: METER's model.

Dou et al. 2022, arXiv 2111.02387, section 3.1: in every pair of layers the text attends to itself
and to the picture, the picture to itself and to the text, both to what the pair before gave.
"""

from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from figclip.config import Config, UsageError
from figclip.models.clip import Clip
from figclip.models.pooled import set_patch_dropout
from figclip.models.states import States, image_states, text_states

HEAD_WIDTH = 64
INITIAL_DEVIATION = 0.02
"""BERT's, as METER initialises all that is new."""


class FusionConfig(Config):
    """The layers between the towers and the answer; as they stand, METER's."""

    num_pairs: PositiveInt = 6
    """Pairs of layers, one of the text and one of the picture."""
    width: PositiveInt | None = None
    """Features of a state in them; unset: the text tower's own."""
    heads: PositiveInt | None = None
    """Attention heads, which must divide the width; unset: one for every 64 features."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """In training, of attention and of both halves of every layer."""


class Fusion(nn.Module):
    """States of a picture and of a question to one vector of both."""

    def __init__(self, config: FusionConfig, *, image_width: int, text_width: int) -> None:
        super().__init__()
        self.width = config.width or text_width
        heads = config.heads or max(1, self.width // HEAD_WIDTH)
        if self.width % heads:
            raise UsageError(
                f"{heads} heads do not divide the fusion's width {self.width}: set --fusion.heads "
                f"to a divisor"
            )
        self.of_image = nn.Linear(image_width, self.width)
        self.of_text = nn.Linear(text_width, self.width)
        self.kind = nn.Embedding(2, self.width)
        """What is added to every state of a text, and of a picture."""
        self.image_layers, self.text_layers = (
            nn.ModuleList(
                nn.TransformerDecoderLayer(  # its memory is the other sequence
                    self.width,
                    heads,
                    dim_feedforward=4 * self.width,
                    dropout=config.dropout,
                    activation="gelu",
                    batch_first=True,
                )
                for _ in range(config.num_pairs)
            )
            for _ in range(2)
        )
        self.image_pooler = nn.Linear(self.width, self.width)
        self.text_pooler = nn.Linear(self.width, self.width)
        self.apply(initialised)

    def forward(self, image: States, text: States) -> Float[Tensor, "batch two_widths"]:
        """The first state of each sequence, which has by then attended to both, side by side."""
        x = self.of_text(text.tokens) + self.kind.weight[0]
        y = self.of_image(image.tokens) + self.kind.weight[1]
        hides = {"tgt_key_padding_mask": ~text.mask, "memory_key_padding_mask": ~image.mask}
        shows = {"tgt_key_padding_mask": ~image.mask, "memory_key_padding_mask": ~text.mask}
        for text_layer, image_layer in zip(self.text_layers, self.image_layers, strict=True):
            x, y = text_layer(x, y, **hides), image_layer(y, x, **shows)
        ends = self.text_pooler(x[:, 0]).tanh(), self.image_pooler(y[:, 0]).tanh()
        return torch.cat(ends, dim=-1)


class VqaModel(nn.Module):
    """A picture and a question to a logit for each answer. The towers' heads are not used."""

    def __init__(
        self, clip: Clip, config: FusionConfig, *, image_size: int, num_answers: int
    ) -> None:
        super().__init__()
        self.visual, self.text = clip.visual, clip.text
        set_patch_dropout(self.visual.trunk, 0.0)
        self.fusion = Fusion(config, **self._widths(image_size))
        width = 2 * self.fusion.width
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, num_answers)
        )
        self.head.apply(initialised)

    def forward(
        self,
        pixels: Float[Tensor, "batch 3 side side"],
        ids: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"],
    ) -> Float[Tensor, "batch answers"]:
        states = image_states(self.visual, pixels), text_states(self.text, ids, mask)
        found: Tensor = self.head(self.fusion(*states))
        return found

    @torch.no_grad()
    def _widths(self, image_size: int) -> dict[str, int]:
        """Seen, for trunks count what they pool to and not what a patch has."""
        was_training = self.training
        self.eval()
        one = torch.zeros(1, 1, dtype=torch.int64)
        image = image_states(self.visual, torch.zeros(1, 3, image_size, image_size))
        text = text_states(self.text, one, one + 1)
        self.train(was_training)
        return {"image_width": image.tokens.shape[-1], "text_width": text.tokens.shape[-1]}


def initialised(module: nn.Module) -> None:
    if isinstance(module, nn.MultiheadAttention):
        assert module.in_proj_weight is not None
        nn.init.normal_(module.in_proj_weight, std=INITIAL_DEVIATION)
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIAL_DEVIATION)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
