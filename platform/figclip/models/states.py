"""What the towers have seen before they pool: a state for each patch and each token.

Whatever fuses the two towers reads these. The first state sums up its sequence, in every tower.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from figclip.models.gpt import GptTower
from figclip.models.packing import pack
from figclip.models.pooled import pooled_state
from figclip.models.text import TextTower
from figclip.models.vision import VisionTower


@dataclass(frozen=True)
class States:
    tokens: Float[Tensor, "batch length width"]
    """The last hidden states, after the tower's last norm; the first sums up the others."""
    mask: Bool[Tensor, "batch length"]
    """True where a state is no padding."""


def image_states(tower: VisionTower, pixels: Float[Tensor, "batch 3 side side"]) -> States:
    """Patches of a picture.

    Of a ViT the class token and its patches. A tower without a class token (a ResNet's or a Swin's
    grid, a ViT that averages) has the mean of its patches set before them. A trunk that gives
    nothing but a pooled vector is a sequence of that one.
    """
    trunk: Any = tower.trunk
    found: Tensor = (
        trunk.forward_features(pixels)
        if hasattr(trunk, "forward_features")
        else pooled_state(trunk, pixels)
    )
    if found.ndim == 2:
        tokens = found[:, None]
    elif found.ndim == 4:  # timm says of the towers alone whose channels are last
        is_last = getattr(trunk, "output_fmt", "NCHW") == "NHWC"
        grid = found.flatten(1, 2) if is_last else found.flatten(2).transpose(1, 2)
        tokens = _after_their_mean(grid)
    else:
        has_class_token = getattr(trunk, "num_prefix_tokens", 1) > 0
        tokens = found if has_class_token else _after_their_mean(found)
    return States(tokens, tokens.new_ones(tokens.shape[:2], dtype=torch.bool))


def text_states(
    tower: TextTower | GptTower,
    ids: Int[Tensor, "batch length"],
    mask: Bool[Tensor, "batch length"] | Int[Tensor, "batch length"],
) -> States:
    """Tokens of a text: BERT's, whose [CLS] is the first; of CLIP's causal tower the last token,
    which alone has seen all others, is set before them.

    `mask` is true, or 1, where a token is no padding.
    """
    if isinstance(tower, GptTower):
        return _of_causal(tower, ids, mask)
    bert: Any = tower.transformer
    found = bert(input_ids=ids, attention_mask=mask.long())
    return States(found.last_hidden_state, mask.bool())


def _of_causal(tower: GptTower, ids: Tensor, mask: Tensor) -> States:
    packing = pack(mask)
    states = tower.ln_final(tower.packed_states(ids, packing))
    ends = states[packing.offsets[1:] - 1]
    tokens = torch.cat([ends[:, None], packing.padded(states)], dim=1)
    is_token = torch.nn.functional.pad(packing.is_token, (1, 0), value=True)
    rows, (length, width) = packing.rows, tokens.shape[1:]
    return States(
        tokens.new_zeros(len(ids), length, width).index_copy(0, rows, tokens),
        is_token.new_zeros(len(ids), length).index_copy(0, rows, is_token),
    )


def _after_their_mean(
    patches: Float[Tensor, "batch patches width"],
) -> Float[Tensor, "batch one_more width"]:
    return torch.cat([patches.mean(dim=1, keepdim=True), patches], dim=1)
