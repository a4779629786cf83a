"""The model on one of several ranks: whole on each (DDP) or in parts on all (FSDP2)."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from figclip.config import UsageError
from figclip.models.clip import Clip
from figclip.training.gathering import num_ranks

Parallel = Literal["ddp", "fsdp"]
FIRST_FP8 = (8, 9)
"""CUDA's compute capability from which on tensor cores multiply in float8: Ada, Hopper."""


def place(
    clip: Clip,
    device: torch.device,
    *,
    parallel: Parallel = "ddp",
    is_compiled: bool = False,
    is_fp8: bool = False,
) -> nn.Module:
    """The model to train on this rank's device; where there is only one rank, `clip` itself.

    Every rank must call it, with the same weights or, for `ddp`, rank 0 with those that count.
    """
    clip.to(device)
    if is_fp8:
        _use_fp8(clip, device)
    if is_compiled:
        for layer in (layer for layers in stacks(clip) for layer in layers):
            layer.compile()
    if num_ranks() == 1:
        return clip
    if parallel == "fsdp":
        return _sharded(clip)
    on_gpu = device.type == "cuda"
    return DistributedDataParallel(
        clip, device_ids=[device] if on_gpu else None, gradient_as_bucket_view=True
    )


def _sharded(clip: Clip) -> nn.Module:
    """Every layer in parts of its own, which come together as it is used.

    The last layer of a tower stays with the model: the towers reach into it, so that its own
    forward pass, at which FSDP would gather it, is never called.
    """
    scalars = [parameter for parameter in clip.parameters() if parameter.ndim == 0]
    for parameter in scalars:  # there is nothing to cut: whole on every rank, as under DDP
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(_average_gradient)
    for layers in stacks(clip):
        for layer in list(layers)[:-1]:
            fully_shard(layer)
    fully_shard(clip, ignored_params=set(scalars))
    return clip


def _average_gradient(parameter: Tensor) -> None:
    assert parameter.grad is not None
    dist.all_reduce(parameter.grad)
    parameter.grad /= num_ranks()


def stacks(clip: nn.Module) -> Iterator[Any]:
    """The towers' stacks of layers: lists of at least two modules of one type with weights."""
    for module in clip.modules():
        if not isinstance(module, nn.ModuleList | nn.Sequential) or len(module) < 2:
            continue
        if len({type(layer) for layer in module}) == 1 and any(True for _ in module.parameters()):
            yield module


def _use_fp8(clip: Clip, device: torch.device) -> None:
    """Let the wide linear layers multiply in float8, by torchao; `UsageError` where none can.

    Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < FIRST_FP8:
        raise UsageError(
            f"{device.type} has no float8 (NVIDIA GPUs have, from Ada and Hopper on): "
            f"set --precision bf16"
        )
    try:
        from torchao.float8 import Float8LinearConfig, convert_to_float8_training
    except ImportError as error:
        raise UsageError(
            "float8 needs torchao: pip install 'figclip[fp8]', or set --precision bf16"
        ) from error
    # Packed texts have any number of tokens, over which the weights' gradients are summed.
    padding = Float8LinearConfig(pad_inner_dim=True)
    convert_to_float8_training(clip, module_filter_fn=_fits_fp8, config=padding)


def _fits_fp8(module: nn.Module, name: str) -> bool:
    """Tensor cores want multiples of 16; the heads are few rows, and what they give is compared."""
    if not isinstance(module, nn.Linear) or "head" in name or "proj." in name:
        return False
    return module.in_features % 16 == 0 and module.out_features % 16 == 0
