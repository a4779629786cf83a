"""torchvision's ResNet-50 without its classifier, as deep as some weights are."""

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from figclip.models.peers.peer import num_in

WIDTH = 2048
"""Channels of its last layer."""


def resnet_like(state: Mapping[str, Tensor]) -> ResNet:
    """Random weights; as many blocks in each of the four layers as the state dict has."""
    return ResNet(Bottleneck, [num_in(state, f"layer{n}.") for n in range(1, 5)])


def trunk_like(state: Mapping[str, Tensor]) -> nn.Sequential:
    """Pixels to the last layer's map, [batch, 2048, side / 32, side / 32], by the same names."""
    parts = resnet_like(state).named_children()
    return nn.Sequential(OrderedDict((name, part) for name, part in parts if name not in TOP))


TOP = ("avgpool", "fc")
