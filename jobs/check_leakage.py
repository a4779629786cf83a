"""Pairs → are their splits clean? `python -m jobs.check_leakage --pairs 2026.11`.

Exit code 0 where they are, 1 where something leaks.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from figclip.corpus.leakage import Check, checks_of
from figclip.pictures.fingerprint import NEAR_BITS
from figclip.store import Store
from jobs.entry import Job, run


class CheckLeakageJob(Job):
    """Look for articles, images and near-duplicates of images in two splits; writes nothing."""

    pairs: str = "pmc"
    """Version of the pairs artifact."""
    max_bits: Annotated[int, Field(ge=0, le=64)] = NEAR_BITS
    """Images whose 256-bit fingerprints differ in no more bits count as one."""
    decode: bool = False
    """Read every image too, and compare its fingerprint with the one that stands beside it."""


PRESETS = {"full": CheckLeakageJob(), "decode": CheckLeakageJob(decode=True)}


def main(config: CheckLeakageJob) -> None:
    folder = Store(config.store).open("pairs", config.pairs)
    checks = checks_of(folder, max_bits=config.max_bits, decode=config.decode)
    print(table(checks))
    if any(check.num_found for check in checks):
        sys.exit(1)


def table(checks: Sequence[Check]) -> str:
    """A line for each promise, and below it what breaks it."""
    width = max(len(check.promise) for check in checks)
    lines = [f"{'promise':<{width}}  {'compared':>20}  {'found':>12}"]
    for check in checks:
        lines.append(f"{check.promise:<{width}}  {check.num_compared:>20,}  {check.num_found:>12,}")
        lines += [f"    {example}" for example in check.examples]
        hidden = check.num_found - len(check.examples)
        lines += [f"    and {hidden:,} more"] if hidden else []
    return "\n".join(lines)


if __name__ == "__main__":
    run(PRESETS, main, "check_leakage")
