"""An OpenAI-shaped endpoint of encoders, for texts and images.

serve run serve_apps.embeddings:app store=./artifacts encoder=VERSION
"""

from ray.serve import Application

from figclip.config import UsageError
from figclip.serving.batches.served import several
from figclip.serving.deployments import embeddings_application
from serve_apps.service import ServiceArgs, newest_version


class EmbeddingsArgs(ServiceArgs):
    """Without `encoder` and `models` the newest encoder is served."""

    models: tuple[str, ...] = ()
    """Several encoders, each as `encoder` names one; a request says by its `model` which it means.
    Every one takes its own replicas."""

    def encoders(self) -> tuple[str, ...]:
        """`UsageError` where both ways of naming them are used."""
        if self.encoder is not None and self.models:
            raise UsageError("encoder= names one model, models= several: use one of them")
        return self.models or (() if self.encoder is None else (self.encoder,))


def app(args: EmbeddingsArgs) -> Application:
    """`UsageError` where the encoder is not published; it names those that are."""
    store = args.opened_store()
    encoders = args.encoders() or (newest_version(store, "encoder", job="pretrain"),)
    return embeddings_application(
        several(store.url, encoders, backend=args.usual_backend()),
        machines=args.machines(),
        access=args.access(),
    )
