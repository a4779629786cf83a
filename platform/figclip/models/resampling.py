"""Position embeddings for another image size or another length of texts."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from figclip.config import UsageError
from figclip.models.clip import Clip, ClipConfig

GRIDS = ("visual.trunk.pos_embed", "visual.trunk.head.pos_embed")
"""Of ViTs, [1, 1 + patches, dim], and of CLIP's ResNets, [1 + cells, dim]."""
TABLES = (
    "text.positional_embedding",
    "text.transformer.embeddings.position_embeddings.weight",
)
"""Of CLIP's text tower and of BERT, [positions, dim]."""


def refitted(state: Mapping[str, Tensor], config: ClipConfig) -> dict[str, Tensor]:
    """The weights of a model of other image size or text length, for a model of this config.

    All else stays as it is.
    """
    with torch.device("meta"):
        wanted = Clip(config.settled()).state_dict()
    fitted = dict(state)
    for name in (name for name in GRIDS if name in state and name in wanted):
        fitted[name] = resized_grid(state[name], wanted[name].shape[-2])
    for name in (name for name in TABLES if name in state and name in wanted):
        fitted[name] = resized_table(state[name], len(wanted[name]))
    return fitted


def resized_grid(
    positions: Float[Tensor, "*lead old dim"], num_positions: int
) -> Float[Tensor, "*lead new dim"]:
    """One row for the whole image, kept, and a square grid row by row, resampled: as open_clip.

    Bicubic, and antialiased where it shrinks.
    """
    if positions.shape[-2] == num_positions:
        return positions
    whole, grid = positions[..., :1, :], positions[..., 1:, :]
    old, new = _side(grid.shape[-2]), _side(num_positions - 1)
    dim = positions.shape[-1]
    square = grid.reshape(1, old, old, dim).permute(0, 3, 1, 2).float()
    found = F.interpolate(square, size=(new, new), mode="bicubic", antialias=True)
    rows = found.permute(0, 2, 3, 1).reshape(*grid.shape[:-2], new * new, dim)
    return torch.cat([whole, rows.to(positions.dtype)], dim=-2)


def resized_table(
    positions: Float[Tensor, "old dim"], num_positions: int
) -> Float[Tensor, "new dim"]:
    """A shorter table is the beginning of the old one, where every position keeps its meaning.

    A longer one is stretched linearly, as open_clip does it: rows that never learned would be
    noise.
    """
    if num_positions <= len(positions):
        return positions[:num_positions].clone()
    stretched = F.interpolate(positions.T[None].float(), size=num_positions, mode="linear")
    return stretched[0].T.to(positions.dtype).contiguous()


def _side(num_cells: int) -> int:
    side = math.isqrt(num_cells)
    if side * side != num_cells:
        raise UsageError(f"{num_cells} position embeddings are no square grid to be resampled")
    return side
