"""Sets on this machine: which there are below a folder, and their pictures one by one."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from figclip.config import UsageError
from figclip.evaluation.datasets.arrays import opened_arrays
from figclip.evaluation.datasets.declaration import FILE, FILES, Arrays, Dataset, Folders, Table
from figclip.evaluation.datasets.pictures import SUFFIXES, picture
from figclip.evaluation.datasets.published import PAPER
from figclip.evaluation.datasets.tables import listed
from figclip.inputs.pixels import UnreadableImage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pictures:
    """Read when they are asked for."""

    names: Sequence[str]
    """Of each picture, for people."""
    read: Callable[[int], Image.Image]
    """A picture by its place; `UnreadableImage` where it gives none."""
    paths: Sequence[Path] | None
    """Of their files; None where all lie in one."""


@dataclass(frozen=True)
class Examples(Pictures):
    """Labelled pictures."""

    labels: Int[np.ndarray, " n"]
    """Places of their classes in the declaration."""


def known_sets(data: str) -> dict[str, Dataset]:
    """By name: the published ones, there or not, and what is declared below a folder."""
    declared = [_declared(path) for path in sorted(Path(data).glob(f"*/{FILES}"))]
    taken = {one.place for one in declared}
    published = [one for one in PAPER if one.place not in taken]
    return {one.name: one for one in (*published, *declared)}


def has_sets(data: str) -> bool:
    return any(Path(data, one.place).is_dir() for one in known_sets(data).values())


def sets_in(data: str, names: Sequence[str] = ()) -> tuple[Dataset, ...]:
    """The sets below a folder: all that are there, or those of these names.

    A folder with a `dataset.json` is what that says it is; others are known by the folders of the
    published sets. `UsageError` names a set that is not there, or says which would be looked for.
    """
    root, known = Path(data), known_sets(data)
    there = {name: one for name, one in known.items() if (root / one.place).is_dir()}
    for name in names:
        if name in known and name not in there:
            raise UsageError(known[name].missing(f"folder {known[name].place}", root))
        if name not in known:
            raise UsageError(f"no set {name!r}: {root} has {', '.join(there) or 'none'}")
    if not there:
        looked_for = ", ".join(dict.fromkeys(f"{one.place}/" for one in PAPER))
        raise UsageError(
            f"{root} holds no set of labelled pictures: it may have the folders {looked_for} as "
            f"they are published, or others with a {FILE}"
        )
    return tuple(there[name] for name in names) if names else tuple(there.values())


def _declared(path: Path) -> Dataset:
    try:
        found = Dataset.from_json(path.read_bytes())
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return found.model_copy(update={"folder": path.parent.name})


@contextmanager
def opened(dataset: Dataset, data: str) -> Iterator[Examples]:
    """A set below the folder of all sets.

    `UsageError` where files are missing (with where they are to be had, and how they should lie),
    a label is not of the classes, or a class has no picture.
    """
    root = Path(data, dataset.place)
    if not root.is_dir():
        raise UsageError(dataset.missing(f"folder {dataset.place}", data))
    match dataset.files:
        case Arrays() as files:
            with opened_arrays(dataset, files, root) as (pixels, words):
                yield Examples(
                    names=[f"{files.pictures}[{number}]" for number in range(len(words))],
                    read=lambda number: Image.fromarray(pixels[number]),
                    paths=None,
                    labels=_numbers(dataset, words.tolist()),
                )
        case Folders() as files:
            yield _of_files(dataset, root, _in_folders(dataset, files, root))
        case Table() as files:
            found = listed(dataset, files, root)
            if not any((root / path).is_file() for path, _ in found):
                raise UsageError(dataset.missing(f"picture such as {files.picture}", root))
            yield _of_files(dataset, root, found)


def files_digest(dataset: Dataset, data: str) -> str:
    """SHA-256 of the names and sizes of all files in the set's folder: another one is another
    state of the files."""
    return folder_digest(Path(data, dataset.place))


def folder_digest(root: Path) -> str:
    """SHA-256 of the names and sizes of all files in a folder."""
    seen = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        seen.update(f"{path.relative_to(root).as_posix()} {path.stat().st_size}\n".encode())
    return seen.hexdigest()


def _in_folders(dataset: Dataset, files: Folders, root: Path) -> list[tuple[str, str]]:
    found = []
    for label in dataset.labels:
        folder = root / files.folder / label
        if not folder.is_dir():
            raise UsageError(dataset.missing(f"folder {files.folder}/{label}", root))
        pictures = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        found += [(path.relative_to(root).as_posix(), label) for path in sorted(pictures)]
    return found


def files_below(root: Path, names: Sequence[str]) -> Pictures:
    """Of these paths below a folder."""
    paths = [root / name for name in names]

    def read(number: int) -> Image.Image:
        try:
            return picture(paths[number].read_bytes())
        except OSError as error:
            raise UnreadableImage(f"{error.strerror or error}") from error

    return Pictures(names, read, paths)


def _of_files(dataset: Dataset, root: Path, found: Sequence[tuple[str, str]]) -> Examples:
    pictures = files_below(root, [path for path, _ in found])
    labels = _numbers(dataset, [label for _, label in found])
    return Examples(pictures.names, pictures.read, pictures.paths, labels)


def _numbers(dataset: Dataset, words: Sequence[str]) -> Int[np.ndarray, " n"]:
    places = {label: place for place, label in enumerate(dataset.labels)}
    if unknown := sorted(set(words) - places.keys()):
        raise UsageError(
            f"{dataset.title}: its files have the label {unknown[0]!r}, which is none of "
            f"{', '.join(dataset.labels)}: declare it as a class, or leave those pictures out"
        )
    if empty := sorted(places.keys() - set(words)):
        raise UsageError(
            f"{dataset.title}: the class {empty[0]!r} has no picture in its files: nothing can be "
            f"said of it; complete the files, or declare the set without it"
        )
    return np.array([places[word] for word in words], dtype=np.int64)
