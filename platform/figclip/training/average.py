"""An exponential moving average of the weights, which embeds better than the weights at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from figclip.training.gradients import whole
from figclip.training.step import unwrapped

Weights = dict[str, Tensor]


class WeightAverage:
    """`decay` of what it was and the rest of the weights, after every step.

    Its names are those of the bare model. Under FSDP each rank averages its parts; what
    `state_dict` gives is whole, so that all ranks must call it, and any number of them may load it.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._means = {name: weight.clone() for name, weight in _weights(model).items()}

    def update(self, model: nn.Module) -> None:
        """Call it after a step."""
        weights = _weights(model)
        average = get_ema_multi_avg_fn(self._decay)
        for is_sharded in (False, True):
            names = [
                n for n, mean in self._means.items() if isinstance(mean, DTensor) is is_sharded
            ]
            if names:
                average([self._means[n] for n in names], [weights[n] for n in names], 0)

    @contextmanager
    def standing_in(self, model: nn.Module) -> Iterator[None]:
        """Within, the model has the average's weights: to validate or to publish it."""
        weights = _weights(model)
        kept = {name: weight.clone() for name, weight in weights.items()}
        _copy(self._means, weights)
        try:
            yield
        finally:
            _copy(kept, weights)

    def state_dict(self) -> Weights:
        return {name: whole(mean).cpu() for name, mean in self._means.items()}

    def load_state_dict(self, state: Weights) -> None:
        _copy({name: _like(state[name], mean) for name, mean in self._means.items()}, self._means)


def _weights(model: nn.Module) -> Weights:
    return {name: weight.detach() for name, weight in unwrapped(model).named_parameters()}


@torch.no_grad()
def _copy(source: Weights, target: Weights) -> None:
    for name, weight in target.items():
        weight.copy_(source[name])


def _like(tensor: Tensor, other: Tensor) -> Tensor:
    if not isinstance(other, DTensor):
        return tensor
    on_device = tensor.to(other.device)
    return distribute_tensor(on_device, other.device_mesh, other.placements)
