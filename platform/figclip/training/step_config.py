"""How steps are taken: precision, parts of a batch, ranks, the tail without patch dropout."""

from typing import Annotated

import torch
from pydantic import Field, PositiveInt, model_validator
from torch.amp import GradScaler

from figclip.config import Config
from figclip.training.parallel import Parallel
from figclip.training.step import Precision


class StepConfig(Config):
    precision: Precision = "bf16"
    """What the towers compute in; weights, loss and optimiser stay float32. `fp16` scales the
    gradients; `fp8` needs torchao and a GPU that has it, and leaves bfloat16."""
    micro_batch_size: PositiveInt | None = None
    """Images of a worker that go through the towers at once; the step is exactly that of the whole
    batch, for a third more work. None: all."""
    parallel: Parallel = "ddp"
    """`ddp`: every worker has the whole model; `fsdp`: its share of it, and all as it is used."""
    is_compiled: bool = False
    """Compile the towers' layers (torch.compile): minutes at the start, faster steps."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Keep an average of the weights too, which forgets 1 - `ema_decay` a step; None: keep none."""
    unmasked_tail: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the run, at its end, without patch dropout (FLIP, arXiv 2212.00794, section 3)."""

    @model_validator(mode="after")
    def _check(self) -> "StepConfig":
        if self.precision == "fp16" and self.parallel == "fsdp":
            raise ValueError("fp16 with fsdp: set precision bf16, which needs no scaling")
        return self


def scaler_for(precision: Precision, device: torch.device) -> GradScaler | None:
    """Keeps float16's gradients from vanishing; its `state_dict` belongs into checkpoints."""
    return GradScaler(device.type) if precision == "fp16" else None


def patch_dropout_at(
    samples: float, *, rate: float, total_samples: int, unmasked_tail: float
) -> float:
    """The share of patches to leave out after `samples`: none in the last part of the run."""
    return rate if samples < total_samples * (1 - unmasked_tail) else 0.0
