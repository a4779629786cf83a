"""AdamW by the paper's Supplementary Table 9."""

from typing import Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import AdamW, Optimizer

from figclip.config import Config

UNDECAYED = ("logit_scale", "pos_embed", "positional_embedding", "cls_token")
"""Last names of parameters that are neither norms nor biases, and yet are not to shrink."""


class OptimConfig(Config):
    lr: PositiveFloat = 5e-4
    """Peak learning rate, reached at the end of the warm-up."""
    weight_decay: NonNegativeFloat = 0.2
    """Of matrices and embeddings; norms, biases, temperature, position, class token have none."""
    beta1: PositiveFloat = 0.9
    beta2: PositiveFloat = 0.98
    eps: PositiveFloat = 1e-6
    warmup_steps: NonNegativeInt = 2_000
    """Steps over which the learning rate climbs from 0 to `lr`."""
    warmup_samples: NonNegativeInt | None = None
    """The same in samples; where given, `warmup_steps` does not count."""
    lr_follows: Literal["samples", "steps"] = "samples"
    """What the warm-up and the cosine after it count; the same thing while the batch keeps its
    size."""
    max_grad_norm: PositiveFloat | None = None
    """Longer gradients are cut to this L2 norm; none are cut where it is None."""


def build_optimizer(model: nn.Module, config: OptimConfig) -> AdamW:
    """AdamW over the parameters that learn, in groups: with and without weight decay.

    Under FSDP those that every rank has whole (the temperature) are a third group, without decay:
    torch steps no group of both kinds.
    """
    decayed: list[nn.Parameter] = []
    undecayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (decayed if is_decayed(name, parameter) else undecayed).append(parameter)
    parts = [parameter for parameter in undecayed if isinstance(parameter, DTensor)]
    whole = [parameter for parameter in undecayed if not isinstance(parameter, DTensor)]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": config.weight_decay}]
    groups += [{"params": group, "weight_decay": 0.0} for group in (parts, whole) if group]
    return AdamW(
        groups,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )


def is_decayed(name: str, parameter: nn.Parameter) -> bool:
    """Norms and biases are vectors, the temperature is a scalar: only what has two axes decays."""
    return parameter.ndim >= 2 and name.rpartition(".")[2] not in UNDECAYED


def set_lr(optimizer: Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr
