"""What of an unfinished artifact may be gone on with."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from figclip.store.folder import Folder

PLAN = "_plan.json"


def keep_own_files(
    target: Folder, plan: Mapping[str, Any], names: Collection[str] | None = None
) -> None:
    """Keep what an earlier try of this very plan finished, and nothing else.

    `plan` is all that decides the files' bytes. With `names`, files of other names go in any case.
    """
    text = json.dumps(plan, sort_keys=True).encode()
    if not (target.exists(PLAN) and target.read(PLAN) == text):
        target.clear()
        target.write(PLAN, text)
    if names is not None:
        for name in target.files().keys() - {*names, PLAN}:
            target.delete(name)
