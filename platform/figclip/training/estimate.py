"""What a run would take, before it is begun: samples, FLOPs, hours of GPUs, CPUs that feed them."""

from dataclasses import dataclass

import torch

from figclip.config import UsageError
from figclip.models.clip import Clip, ClipConfig
from figclip.models.flops import PEAK_TFLOPS, clip_flops
from figclip.training.schedule import Schedule

BYTES_A_WEIGHT = 12
"""In a checkpoint: float32, with AdamW's two moments."""


@dataclass(frozen=True)
class RunEstimate:
    num_samples: int
    num_steps: int
    flops_a_sample: int
    num_gpus: int
    samples_per_s: float
    """Of all GPUs together."""
    images_per_cpu_s: float
    checkpoint_bytes: int

    @property
    def hours(self) -> float:
        return self.num_samples / self.samples_per_s / 3600

    @property
    def gpu_hours(self) -> float:
        return self.hours * self.num_gpus

    @property
    def feeder_cpus(self) -> float:
        """That read, decode and tokenize, busy all the time."""
        return self.samples_per_s / self.images_per_cpu_s

    def lines(self, dollars_per_gpu_hour: float | None) -> list[str]:
        """For a person to read."""
        dollars = (
            ": give --plan-dollars-per-gpu-hour for the cost"
            if dollars_per_gpu_hour is None
            else f", ${self.gpu_hours * dollars_per_gpu_hour:,.0f} at ${dollars_per_gpu_hour} each"
        )
        return [
            f"{self.num_samples:,} samples in {self.num_steps:,} steps, "
            f"{self.flops_a_sample / 1e9:,.1f} GFLOP each, {self.total_flops:.2e} FLOP in all",
            f"{self.samples_per_s:,.0f} samples/s on {self.num_gpus} GPUs: {self.hours:,.1f} hours",
            f"{self.gpu_hours:,.0f} GPU hours{dollars}",
            f"{self.feeder_cpus:,.0f} CPUs to feed them, at {self.images_per_cpu_s:g} images a "
            f"CPU-second",
            f"{self.checkpoint_bytes / 1e9:.1f} GB a checkpoint, of which two are kept",
        ]

    @property
    def total_flops(self) -> float:
        return float(self.num_samples) * self.flops_a_sample


def estimate_run(
    model: ClipConfig,
    schedule: Schedule,
    *,
    num_gpus: int,
    gpu: str,
    mfu: float,
    mean_tokens: int,
    images_per_cpu_s: float,
) -> RunEstimate:
    """`mfu` is the share of the GPU's 16-bit peak that the run reaches; texts have `mean_tokens`.

    It needs neither weights nor a hub, where the config names no towers of a hub.
    """
    if gpu not in PEAK_TFLOPS:
        raise UsageError(f"no peak of a GPU {gpu!r} is known: one of {', '.join(PEAK_TFLOPS)}")
    flops = clip_flops(model).batch(1, [min(mean_tokens, model.text.context_length)])
    with torch.device("meta"):
        clip = Clip(model.settled())
    return RunEstimate(
        num_samples=schedule.num_samples,
        num_steps=schedule.num_steps,
        flops_a_sample=flops,
        num_gpus=num_gpus,
        samples_per_s=num_gpus * PEAK_TFLOPS[gpu] * 1e12 * mfu / flops,
        images_per_cpu_s=images_per_cpu_s,
        checkpoint_bytes=BYTES_A_WEIGHT * sum(weight.numel() for weight in clip.parameters()),
    )
