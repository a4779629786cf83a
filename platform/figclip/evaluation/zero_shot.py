"""Zero-shot classification: pictures go to the class whose words are nearest to them.

A class is the mean of its prompts' unit vectors, made a unit vector again, as CLIP did (section
3.1.4 of arXiv 2103.00020).
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from figclip.embedding.classes import ensemble, logits
from figclip.embedding.encoder import Encoder
from figclip.evaluation.bootstrap import Interval
from figclip.evaluation.classification import judged, measures_of_scores, without
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.published import PAPER
from figclip.evaluation.embedded import See, is_among, refuse_no_numbers, seeing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ZeroShotResult:
    """What an encoder makes of one set."""

    dataset: Dataset
    encoder: str
    num_images: int
    """That were read, and judged by."""
    num_unreadable: int
    """That were left out."""
    unreadable: Mapping[str, str]
    """Name → why; the first of them."""
    num_cut_prompts: int
    """Prompts that are longer than the encoder's context, whose ends it did not read."""
    checksum: str
    """SHA-256 of names, labels and pixels of what was judged by, in order."""
    values: Mapping[str, float]
    intervals: Mapping[str, Interval]
    confusion: Int[np.ndarray, "classes classes"]
    """Row: the true class; column: what it was taken for."""
    num_leaked: int | None = None
    """Of the pictures, those that the encoder has learned from; None where that is not known."""
    unleaked: Mapping[str, float] = field(default_factory=dict)
    """The values without them, where there are some and others are left."""

    @property
    def value(self) -> float:
        """Of the set's own metric."""
        return self.values[self.dataset.metric]


def zero_shot(
    encoder: Encoder,
    dataset: Dataset,
    data: str,
    *,
    batch_size: int = 64,
    num_resamples: int = 0,
    seed: int = 0,
    see: See | None = None,
    leaked: Collection[str] | None = None,
) -> ZeroShotResult:
    """Judge an encoder by a set below the folder `data`, whose pictures `see` may know already; it
    has learned from those that `leaked`.

    `UsageError` where files are missing, no picture of some class can be read, or the encoder
    gives no numbers.
    """
    classes, num_cut = class_vectors(encoder, dataset)
    found = (see or seeing(encoder, data, batch_size=batch_size))(dataset)
    scores = logits(found.vectors, classes, encoder.scale)
    judgement = judged(found.labels, scores, num_resamples=num_resamples, seed=seed)
    is_leaked = is_among(found.names, leaked or ())
    return ZeroShotResult(
        dataset=dataset,
        encoder=encoder.name,
        num_images=len(found.labels),
        num_unreadable=found.num_unreadable,
        unreadable=found.unreadable,
        num_cut_prompts=num_cut,
        checksum=found.checksum,
        values=judgement.values,
        intervals=judgement.intervals,
        confusion=judgement.confusion,
        num_leaked=None if leaked is None else int(is_leaked.sum()),
        unleaked=without(measures_of_scores(found.labels, scores), is_leaked),
    )


def class_vectors(
    encoder: Encoder, dataset: Dataset
) -> tuple[Float[np.ndarray, "classes dim"], int]:
    """Unit vectors of the classes, and how many of the prompts the encoder's context cuts."""
    prompts = [prompt for one in dataset.classes for prompt in dataset.prompts(one)]
    found = encoder.encode_texts(prompts)
    refuse_no_numbers(encoder, found.vectors, prompts)
    if num_cut := int(found.truncated.sum()):
        log.warning(
            "%s: %s reads %d tokens, which cuts %d of %d prompts",
            *(dataset.title, encoder.name, encoder.context_length, num_cut, len(prompts)),
        )
    vectors = found.vectors.reshape(len(dataset.classes), len(dataset.templates), -1)
    return ensemble(vectors), num_cut


def measures_of(results: list[ZeroShotResult]) -> dict[str, float]:
    """Flat, for the record of a trial: `zero_shot_pcam`, `num_pcam_images` and so on.

    `zero_shot_mean` is that of the paper's five sets, declared as they are published, and there
    where all of them are.
    """
    found: dict[str, float] = {}
    for result in results:
        name = result.dataset.name
        found[f"zero_shot_{name}"] = result.value
        found[f"num_{name}_images"] = float(result.num_images)
        if result.num_unreadable:
            found[f"num_{name}_unreadable"] = float(result.num_unreadable)
    theirs = [result.value for result in results if result.dataset in PAPER]
    is_whole = len(theirs) == len(PAPER)
    return found | ({"zero_shot_mean": sum(theirs) / len(theirs)} if is_whole else {})
