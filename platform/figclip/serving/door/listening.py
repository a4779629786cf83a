"""Where Ray Serve listens, so that an open service is not started by mistake."""

import ray
from ray.serve.context import _get_global_client

from figclip.serving.door.keys import refuse_exposed


def refuse_exposed_here(*, has_keys: bool) -> None:
    """`UsageError` where this cluster's proxies are reached from other machines and there are no
    keys.

    Before the proxies are started nothing is known; a gateway asks again when it starts.
    """
    if not ray.is_initialized():
        return
    client = _get_global_client(raise_if_no_controller_running=False)
    if client is not None:
        refuse_exposed(client.http_config.host, has_keys=has_keys)
