"""An OpenAI-shaped endpoint of an encoder, for texts and images.

serve run serve_apps.embeddings:app store=./artifacts encoder=VERSION
"""

from ray.serve import Application

from figclip.serving.deployments import embeddings_application
from serve_apps.service import ServiceArgs, newest_version


class EmbeddingsArgs(ServiceArgs):
    """Without `encoder` the newest one is served."""


def app(args: EmbeddingsArgs) -> Application:
    """`UsageError` where the encoder is not published; it names those that are."""
    store = args.opened_store()
    return embeddings_application(
        store,
        encoder_version=args.encoder or newest_version(store, "encoder", job="pretrain"),
        machines=args.machines(),
        limits=args.limits(),
    )
