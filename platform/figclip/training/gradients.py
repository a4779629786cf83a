"""The norm of the gradients, and cutting them to one, where they lie in parts on all ranks too."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


@torch.no_grad()
def cut_gradients(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """The L2 norm of all gradients together, which are then cut to `max_norm` where it is given.

    Every rank must call it. What is not cut is not touched: that pass over memory is spared.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    kinds = [
        [gradient for gradient in gradients if isinstance(gradient, DTensor) is sharded]
        for sharded in (False, True)
    ]
    norms = [whole(nn.utils.get_total_norm(kind)) for kind in kinds if kind]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    if max_norm is not None:
        factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
        for kind in kinds:
            if kind:
                torch._foreach_mul_(kind, factor)
    return norm


def whole(tensor: Tensor) -> Tensor:
    """Of a tensor that lies in parts on all ranks, all; every rank must call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
