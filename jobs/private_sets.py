"""Sets of private pictures for jobs: those of a folder, or drawn ones."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from figclip.config import UsageError
from figclip.evaluation.proxy.private import FILE, PrivateSet, private_in
from figclip.evaluation.proxy.stand_in import write_ward

NUM_DRAWN, NUM_SEEDS = 60, 20


def private_sets(data: str, names: Sequence[str]) -> tuple[PrivateSet, ...]:
    """Of a folder; `UsageError` where one of them, or any, is not there."""
    found = private_in(data, names)
    there = [one.name for one in found]
    if lacking := [name for name in names if name not in there]:
        raise UsageError(
            f"no private set {lacking[0]!r} in {data}: a set is a folder with a {FILE}"
        )
    if not found:
        raise UsageError(
            f"{data} holds no private set: a folder with a {FILE}, a table of the thirteen "
            f"findings of CheXbert, pictures, and seeds to look for public figures by"
        )
    return found


@contextmanager
def private_data_of(data: str | None) -> Iterator[str]:
    """The folder of the sets: the one that is named, or one of drawn radiographs."""
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="figclip-private-") as scratch:
        write_ward(Path(scratch), num=NUM_DRAWN, num_seeds=NUM_SEEDS)
        yield scratch
