"""Embeddings → recall on held-out articles: `python -m jobs.evaluate test --embeddings pmc`."""

from figclip.evaluation.report import EvaluationConfig, evaluate
from figclip.resources import require_device
from figclip.store import Manifest, Store
from jobs.entry import Job, keep_config, run


class EvaluateJob(Job, EvaluationConfig):
    """Retrieval over one split; publishes `evaluation/{version}`: a table and a picture."""

    embeddings: str = "pmc"
    """Version of the embeddings artifact."""
    pairs: str = "pmc"
    """Version of the pairs artifact that the embeddings were made from."""
    beside: tuple[str, ...] = ()
    """Versions of other embeddings, of another encoder or of panels, whose recall on the same split
    stands in a second table."""
    version: str = "pmc"
    """Name of the evaluation artifact to publish."""
    device: str = "cpu"
    """Where scores are computed: `cpu` or `cuda`."""


PRESETS = {"test": EvaluateJob(), "validation": EvaluateJob(split="validation")}


def main(config: EvaluateJob) -> Manifest:
    require_device(config.device)
    store = Store(config.store)
    manifest = evaluate(
        store,
        embeddings_version=config.embeddings,
        pairs_version=config.pairs,
        version=config.version,
        config=config.part(EvaluationConfig),
        beside=config.beside,
        device=config.device,
    )
    keep_config(store, "evaluation", config.version, "evaluate", config)
    print(store.open("evaluation", config.version).read("recall.md").decode())
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "evaluate")
