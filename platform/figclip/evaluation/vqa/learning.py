"""What each rank does to teach an encoder to answer, from the start or resumed; Ray is not here.

A step's questions and dropout follow from the run's seed and the step's number, so that a run that
was killed ends as one that was not, and any number of ranks sees the same batches.
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW

from figclip.config import Config
from figclip.evaluation.vqa.fusion import FusionConfig, VqaModel
from figclip.evaluation.vqa.material import Material, Part
from figclip.evaluation.vqa.questions import Vocabulary
from figclip.inputs.pixels import PixelConfig, normalise
from figclip.models.weights import load_clip
from figclip.store import Folder
from figclip.training.checkpoint import Progress, restore, snapshot
from figclip.training.gathering import mean_over_ranks, num_ranks
from figclip.training.optim import is_decayed
from figclip.training.step import step_seed

log = logging.getLogger(__name__)

UNUSED = ("visual.head.", "text.proj.", "text.text_projection")
"""Of the towers: what projects the pooled features, which no answer is read from."""


class VqaOptimConfig(Config):
    """AdamW; as it stands, METER's for VQAv2 (arXiv 2111.02387, appendix A, and its code)."""

    lr: PositiveFloat = 5e-6
    """Peak learning rate of the towers."""
    fusion_times: PositiveFloat = 5.0
    """The co-attention layers learn so many times as fast."""
    head_times: PositiveFloat = 50.0
    """And the classifier so many times."""
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Of the steps, over which the learning rate climbs in a line; then it falls in a line to 0."""
    weight_decay: NonNegativeFloat = 0.01
    """Of matrices and embeddings; norms and biases have none."""
    beta1: PositiveFloat = 0.9
    beta2: PositiveFloat = 0.98
    eps: PositiveFloat = 1e-8


class LearnConfig(Config):
    """How an encoder is taught."""

    vocabulary: Vocabulary = "train"
    """`train`: the classes are the answers of the training part, and its questions are learned
    from; `train_validation`: of both parts, as METER takes VQAv2's."""
    fusion: FusionConfig = FusionConfig()
    optim: VqaOptimConfig = VqaOptimConfig()
    epochs: PositiveInt = 50
    """METER's 10 are of a set two hundred times as large; the paper does not say."""
    batch_size: PositiveInt = 64
    """Questions of a step, of all workers together."""
    checkpoint_every_steps: PositiveInt = 20
    """A checkpoint follows every epoch that ends so many steps after the last one, and the last
    epoch: of the published sets every epoch. Ray Train takes two seconds to hear of one."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """What the layers compute in; weights and loss are fp32."""
    seed: NonNegativeInt = 0
    """Draws new weights, order and dropout."""


@dataclass(frozen=True)
class Lesson:
    """What the workers are handed; the encoder and the material lie in the run's folder."""

    run: Folder
    config: LearnConfig
    pixels: PixelConfig
    num_answers: int


Learn = Callable[[Lesson], "Learned"]


@dataclass(frozen=True)
class Learned:
    answers: tuple[int, ...]
    """Places of the answers to the test part's questions among the classes."""
    losses: tuple[float, ...]
    """Mean of each epoch."""


class Diverged(Exception):
    """The loss is no longer finite, on every rank alike; its text names the remedy."""


@runtime_checkable
class Rank(Protocol):
    """What a rank finds around it, be it a worker of Ray Train or alone in its process."""

    number: int
    """From 0."""
    num_ranks: int
    device: torch.device

    def last_checkpoint(self) -> AbstractContextManager[Path | None]:
        """The run's newest whole one as a local folder; None where the run begins."""
        ...

    def keep(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
        """A checkpoint, of rank 0 alone; every rank calls it after the same epochs."""
        ...


def learn(lesson: Lesson, rank: Rank) -> Learned:
    """Learn to the end, then answer the questions of the test part. `Diverged` where it cannot."""
    config, material = lesson.config, Material.load(lesson.run)
    pupil = Pupil(lesson, material, rank.device)
    progress = Progress()
    with rank.last_checkpoint() as folder:
        if folder is not None:
            progress = restore(folder, pupil.model, pupil.optimizer)
            log.info("rank %d goes on after epoch %d", rank.number, len(progress.history))
    num = len(material.train.answer)
    per_epoch, kept = math.ceil(num / config.batch_size), progress.steps_done
    for epoch in range(len(progress.history), config.epochs):
        losses = []
        for batch in batches(num, config.batch_size, seed=config.seed, epoch=epoch):
            factor = rate_factor(
                progress.steps_done, config.epochs * per_epoch, warmup=config.optim.warmup_share
            )
            seed = step_seed(config.seed, step=progress.steps_done, rank=rank.number)
            share = (rank.number, rank.num_ranks)
            losses.append(pupil.step(batch, share, factor=factor, rng_seed=seed))
            progress.steps_done += 1
        loss = mean_over_ranks(torch.stack(losses).mean()).item()
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss is no longer finite in epoch {epoch + 1}: lower --optim.lr, under a new "
                f"version"
            )
        log.info("epoch %d of %d: loss %.4f", epoch + 1, config.epochs, loss)
        metrics = {"epoch": float(epoch + 1), "loss": loss}
        progress.history.append(metrics)
        is_last = epoch + 1 == config.epochs
        if is_last or progress.steps_done - kept >= config.checkpoint_every_steps:
            kept = progress.steps_done
            whole = snapshot(pupil.model, pupil.optimizer, progress)  # every rank calls it
            rank.keep(metrics, whole if rank.number == 0 else None)
    told = tuple(pupil.answers(material.test).tolist()) if rank.number == 0 else ()
    return Learned(told, tuple(row["loss"] for row in progress.history))


def batches(num: int, size: int, *, seed: int, epoch: int) -> Iterator[Int[np.ndarray, " rows"]]:
    """Places of an epoch's questions in their drawn order; the last batch may be smaller."""
    order = np.random.default_rng([seed, epoch]).permutation(num)
    return (order[start : start + size] for start in range(0, num, size))


def rate_factor(step: int, num_steps: int, *, warmup: float) -> float:
    """Of the peak learning rate, in the middle of step number `step`, counted from 0: in a line to
    1, and back to 0 at the end."""
    done = (step + 0.5) / num_steps
    return done / warmup if done < warmup else (1 - done) / (1 - warmup)


class Pupil:
    """A rank's model, its optimiser, and the material."""

    def __init__(self, lesson: Lesson, material: Material, device: torch.device) -> None:
        config = lesson.config
        clip, sizes = load_clip(lesson.run)
        torch.manual_seed(config.seed)
        bare = VqaModel(
            clip,
            config.fusion,
            image_size=sizes.vision.image_size,
            num_answers=lesson.num_answers,
        ).to(device)
        for name, parameter in bare.named_parameters():
            parameter.requires_grad_(not name.startswith(UNUSED))
        self.bare, self.device, self._config = bare, device, config
        self._material, self._pixels = material, lesson.pixels
        self.model: nn.Module = bare
        if num_ranks() > 1:  # a trunk's own pooling is not used: which parts, it alone knows
            self.model = DistributedDataParallel(bare, find_unused_parameters=True)
        self.optimizer, self._times = optimizer_of(bare, config.optim)

    def step(
        self,
        batch: Int[np.ndarray, " rows"],
        share: tuple[int, int],
        *,
        factor: float,
        rng_seed: int,
    ) -> Float[Tensor, ""]:
        """Learn from a share of a batch, `share` being this rank's number and how many there are;
        what it adds to the mean loss of all ranks.

        The gradient is that of the mean over the whole batch, however it is shared out.
        """
        number, num_shares = share
        own = batch[number::num_shares]
        rows = torch.from_numpy(own if len(own) else batch[:1])
        part = self._material.train
        for group, times in zip(self.optimizer.param_groups, self._times, strict=True):
            group["lr"] = self._config.optim.lr * times * factor
        self.model.train()
        torch.manual_seed(rng_seed)
        logits = self._logits(self.model, part, rows)
        targets = part.answer[rows].to(self.device)
        losses = answer_losses(logits, targets) * (len(own) > 0)
        loss = losses.sum() * num_shares / len(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def answers(self, part: Part) -> Int[Tensor, " n"]:
        """The likeliest class of each question, open or closed."""
        self.bare.eval()
        rows = torch.arange(len(part.picture)).split(self._config.batch_size)
        found = [self._logits(self.bare, part, some).argmax(dim=1).cpu() for some in rows]
        return torch.cat(found)

    def _logits(
        self, model: nn.Module, part: Part, rows: Int[Tensor, " rows"]
    ) -> Float[Tensor, "rows answers"]:
        pictures = self._material.pictures[part.picture[rows]].to(self.device)
        ids, mask = part.ids[rows].to(self.device), part.mask[rows].to(self.device)
        is_fast = self._config.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_fast):
            found: Tensor = model(normalise(pictures, self._pixels), ids, mask)
        return found.float()


def answer_losses(
    logits: Float[Tensor, "n answers"], answers: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Binary cross entropy times the number of answers, of each question: METER's, with one true
    answer of weight 1."""
    targets = F.one_hot(answers, logits.shape[1]).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1)


def optimizer_of(model: VqaModel, config: VqaOptimConfig) -> tuple[AdamW, list[float]]:
    """And how many times as fast each of its groups learns."""
    times = {"fusion.": config.fusion_times, "head.": config.head_times}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            fast = next((t for start, t in times.items() if name.startswith(start)), 1.0)
            decay = config.weight_decay if is_decayed(name, parameter) else 0.0
            groups.setdefault((fast, decay), []).append(parameter)
    optimizer = AdamW(
        [{"params": found, "weight_decay": decay} for (_, decay), found in groups.items()],
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )
    return optimizer, [fast for fast, _ in groups]
