"""AdamW by the paper's Supplementary Table 9."""

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat
from torch import nn
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
    """AdamW over the parameters that learn, in two groups: with and without weight decay."""
    decayed: list[nn.Parameter] = []
    undecayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (decayed if is_decayed(name, parameter) else undecayed).append(parameter)
    return AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": undecayed, "weight_decay": 0.0},
        ],
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
