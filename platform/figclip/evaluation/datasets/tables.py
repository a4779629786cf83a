"""Pictures that a CSV lists."""

import csv
import math
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Int

from figclip.config import UsageError
from figclip.evaluation.datasets.declaration import Dataset, Part, Table


def listed(dataset: Dataset, files: Table, root: Path) -> list[tuple[str, str]]:
    """Path below the root and label of every picture of the part, in the order of the paths."""
    labels: dict[str, str] = {}
    for line in _lines(dataset, files, root / files.table):
        if all(line[column] == value for column, value in files.where.items()):
            path, label = files.picture.format_map(line), line[files.label]
            if labels.setdefault(path, label) != label:
                raise UsageError(
                    f"{dataset.title}: {files.table} calls {path} both {labels[path]} and {label}"
                )
    found = sorted(labels.items())
    return [found[number] for number in drawn_part(len(found), files.subset)]


def _lines(dataset: Dataset, files: Table, path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise UsageError(dataset.missing(files.table, path.parent))
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        lacking = [name for name in files.columns if name not in (reader.fieldnames or ())]
        if lacking:
            raise UsageError(
                f"{dataset.title}: {path} has no column {', '.join(lacking)}; it has "
                f"{', '.join(reader.fieldnames or ())}"
            )
        return list(reader)


def drawn_part(n: int, part: Part) -> Int[np.ndarray, " m"]:
    """The numbers of a part, in the order they were drawn; all of them in their own.

    70 % to train, then half of the rest to test and half to validate: scikit-learn's
    `train_test_split` with `random_state` 0, twice, as GLoRIA (Huang et al. 2021) split RSNA.
    """
    assert part in get_args(Part)
    if part == "all":
        return np.arange(n)
    train, rest = _halves(n, 0.3)
    test, validation = _halves(len(rest), 0.5)
    return {"train": train, "test": rest[test], "validation": rest[validation]}[part]


def _halves(n: int, share: float) -> tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]:
    """The larger `share` of n numbers comes second, and is drawn first."""
    drawn = np.random.RandomState(0).permutation(n)
    num_second = math.ceil(share * n)
    return drawn[num_second:], drawn[:num_second]
