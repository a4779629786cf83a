"""A small network that marks the borders between the panels of a figure."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

SIDE = 320
"""Pixels of the square that a figure is fitted into."""

STRIDE = 4
"""Pixels of that square for one cell of the maps."""


def _block(inside: int, outside: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


class Strips(nn.Module):
    """Adds to every cell what its whole row and its whole column hold: borders run straight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own, self.row, self.column = (nn.Conv2d(width, width, 1) for _ in range(3))

    def forward(
        self, x: Float[Tensor, "batch width rows columns"]
    ) -> Float[Tensor, "batch width rows columns"]:
        rows, columns = x.mean(3, keepdim=True), x.mean(2, keepdim=True)
        return x + torch.relu(self.own(x) + self.row(rows) + self.column(columns))


class BorderNet(nn.Module):
    """A U-shaped network, 0.4 million parameters, maps at a quarter of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_block(3, 16, stride=2), _block(16, 24, stride=2), _block(24, 32))
        self.eighth = nn.Sequential(_block(32, 48, stride=2), _block(48, 48))
        self.sixteenth = nn.Sequential(_block(48, 72, stride=2), _block(72, 72), Strips(72))
        self.deepest = nn.Sequential(_block(72, 96, stride=2), _block(96, 96), Strips(96))
        self.to_sixteenth, self.at_sixteenth = nn.Conv2d(96, 72, 1), _block(72, 72)
        self.to_eighth = nn.Conv2d(72, 48, 1)
        self.at_eighth = nn.Sequential(_block(48, 48), Strips(48))
        self.to_quarter = nn.Conv2d(48, 32, 1)
        self.at_quarter = nn.Sequential(_block(32, 32), Strips(32), _block(32, 32))
        self.head = nn.Conv2d(32, 2, 1)

    def forward(
        self, pixels: Float[Tensor, "batch 3 side side"]
    ) -> Float[Tensor, "batch 2 cells cells"]:
        """Logits of vertical and horizontal borders; `pixels` are in [0, 1]."""
        quarter = self.stem(pixels)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        deepest = self.deepest(sixteenth)
        x = self.at_sixteenth(sixteenth + _doubled(self.to_sixteenth(deepest)))
        x = self.at_eighth(eighth + _doubled(self.to_eighth(x)))
        x = self.at_quarter(quarter + _doubled(self.to_quarter(x)))
        return self.head(x)


def _doubled(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
