"""The figure search: a page for people, `/api/search` for programs.

serve run serve_apps.search:app store=./artifacts index=VERSION
"""

from pydantic import PositiveInt
from ray.serve import Application

from figclip.config import UsageError
from figclip.serving.deployments import search_application
from figclip.serving.served import Served
from figclip.store import Store
from serve_apps.service import ServiceArgs, newest_version


class SearchArgs(ServiceArgs):
    """Without `encoder` the one that made the index's vectors; another would find nonsense."""

    index: str | None = None
    """Version of the index; without it the newest one."""
    num_results: PositiveInt = 12
    """Figures that a search answers with, unless it asks for another number."""


def app(args: SearchArgs) -> Application:
    """`UsageError` where index or encoder is not published, or they do not belong together."""
    store = args.opened_store()
    index = args.index or newest_version(store, "index", job="build_index")
    made_by = encoder_of(store, index)
    if args.encoder not in (None, made_by):
        raise UsageError(
            f"index@{index} holds vectors of encoder@{made_by}, not of encoder@{args.encoder}: "
            f"leave encoder= out, or embed and index the figures with that encoder"
        )
    return search_application(
        store,
        Served(store.url, made_by, args.usual_backend()),
        index_version=index,
        machines=args.machines(),
        limits=args.limits(),
        num_results=args.num_results,
    )


def encoder_of(store: Store, index: str) -> str:
    """Version of the encoder that made the vectors of an index."""
    embeddings = input_version(store, "index", index, of="embeddings")
    return input_version(store, "embeddings", embeddings, of="encoder")


def input_version(store: Store, name: str, version: str, *, of: str) -> str:
    """The version of the input `of` that `name@version` was made from."""
    inputs = dict(source.split("@", 1) for source in store.manifest(name, version).inputs)
    return inputs[of]
