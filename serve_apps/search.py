"""The figure search: a page for people, `/api/search` for programs.

serve run serve_apps.search:app store=./artifacts index=VERSION
"""

from pydantic import NonNegativeFloat, PositiveInt
from ray.serve import Application

from figclip.config import UsageError
from figclip.embedding.index.opened import Kind, encoder_of
from figclip.serving.batches.served import Served
from figclip.serving.deployments import Indexed, search_application
from serve_apps.service import ServiceArgs, newest_version


class SearchArgs(ServiceArgs):
    """Without `encoder` the one that made the index's vectors; another would find nonsense."""

    index: str | None = None
    """Version of the index; without it the newest one."""
    kind: Kind = "lance"
    """`lance` searches the index where it is stored; `memory` holds its image vectors in faiss, for
    many more searches a second (extra `evaluation`; 4 bytes a dimension of each figure)."""
    follow_s: NonNegativeFloat = 0
    """Look for a newer index every so many seconds, and serve it without a restart; 0: never."""
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
        index=Indexed(index, made_by, args.kind, args.follow_s),
        machines=args.machines(),
        access=args.access(),
        num_results=args.num_results,
    )
