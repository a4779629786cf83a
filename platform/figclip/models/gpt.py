"""CLIP's own text tower: a causal transformer, whose last token stands for the whole text."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from timm.layers import QuickGELU
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from figclip.models.packing import Packing, attend_causally, pack
from figclip.models.text import TextConfig

ACTIVATIONS = {"gelu": nn.GELU, "quick_gelu": QuickGELU}


class GptTower(nn.Module):
    """Token ids to features that are not yet normalised.

    The transformer of GPT-2 as section 2.4 of CLIP has it (arXiv 2103.00020), in timm's blocks, so
    that both of CLIP's towers have the same names inside: `blocks.N.attn.qkv` and so on.
    """

    def __init__(self, config: TextConfig, *, embed_dim: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.token_embedding = nn.Embedding(config.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, width))
        self.blocks = nn.ModuleList(
            PackedBlock(
                width,
                config.heads,
                mlp_ratio=config.intermediate_size / width,
                qkv_bias=True,
                act_layer=ACTIVATIONS[config.activation],
                norm_layer=nn.LayerNorm,
            )
            for _ in range(config.layers)
        )
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed_dim))
        self.recomputes = config.gradient_checkpointing
        self._initialise(width, config.layers)

    def _initialise(self, width: int, layers: int) -> None:
        """As CLIP's released code: the deeper the tower, the less each residual adds."""
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        residual = width**-0.5 * (2 * layers) ** -0.5
        block: Any
        for block in self.blocks:
            deviations = {
                block.attn.qkv: width**-0.5,
                block.attn.proj: residual,
                block.mlp.fc1: (2 * width) ** -0.5,
                block.mlp.fc2: residual,
            }
            for linear, deviation in deviations.items():
                nn.init.normal_(linear.weight, std=deviation)
                nn.init.zeros_(linear.bias)

    def forward(
        self,
        ids: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch embed_dim"]:
        """`mask` is true, or 1, where a token is no padding; the last such token is the feature's.

        Padding costs no work. A row without any token gives zeros.
        """
        packing = pack(mask)
        if not packing.lengths:  # all parameters still take part, as DDP wants: with zero gradients
            lone = torch.zeros_like(mask)
            lone[0, 0] = 1
            return 0 * self(ids, lone)
        x = self.packed_states(ids, packing)
        ends = x[packing.offsets[1:] - 1]
        features = self.ln_final(ends) @ self.text_projection
        return features.new_zeros(len(ids), features.shape[-1]).index_copy(
            0, packing.rows, features
        )

    def packed_states(
        self, ids: Int[Tensor, "batch length"], packing: Packing
    ) -> Float[Tensor, "tokens width"]:
        """The last block's states of all tokens that are no padding, before the last norm."""
        columns = packing.column_of_token
        tokens = self.token_embedding(ids[packing.rows[packing.text_of_token], columns])
        x = tokens + self.positional_embedding[columns]
        for block in self.blocks:  # as modules, so that hooks see them
            if self.recomputes and self.training:
                x = checkpoint(block, x, packing, use_reentrant=False)
            else:
                x = block(x, packing)
        return x


class PackedBlock(Block):
    """timm's block on packed texts, in which no token sees what follows it."""

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "tokens width"], packing: Packing
    ) -> Float[Tensor, "tokens width"]:
        attention: Any = self.attn
        split = (-1, (3, attention.num_heads, attention.head_dim))
        query, key, value = attention.qkv(self.norm1(x)).unflatten(*split).unbind(1)
        attended = attend_causally(query, key, value, packing)
        x = x + attention.proj(attended.flatten(1).to(x.dtype))
        found: Tensor = x + self.mlp(self.norm2(x))
        return found
