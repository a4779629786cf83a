"""Pictures that lie in one HDF5 file, as those of PCam do, compressed as a whole or not."""

import gzip
import hashlib
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from figclip.config import UsageError
from figclip.evaluation.datasets.declaration import Arrays, Dataset
from figclip.evaluation.datasets.pictures import extra


@contextmanager
def opened_arrays(dataset: Dataset, files: Arrays, root: Path) -> Iterator[tuple[Any, np.ndarray]]:
    """The pictures, still on disk, and the labels [n] as words; `UsageError` names what is wrong.

    A `.gz` is unpacked to a temporary file: HDF5 is read here and there, not from front to back.
    """
    with ExitStack() as stack:
        pictures, labels = (
            stack.enter_context(_array(dataset, root, name, key, files.md5.get(name)))
            for name, key in (
                (files.pictures, files.pictures_key),
                (files.labels, files.labels_key),
            )
        )
        if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.dtype != np.uint8:
            raise UsageError(
                f"{dataset.title}: {files.pictures} holds {pictures.dtype} {pictures.shape}; "
                f"expected: uint8 (n, height, width, 3)"
            )
        words = labels[()].reshape(-1).astype(str)
        if len(words) != len(pictures):
            raise UsageError(
                f"{dataset.title}: {len(pictures)} pictures and {len(words)} labels; the files are "
                f"not of the same part"
            )
        yield pictures, words


@contextmanager
def _array(dataset: Dataset, root: Path, name: str, key: str, md5: str | None) -> Iterator[Any]:
    h5py = extra("h5py")
    with _unpacked(dataset, root, name, md5) as path:
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise UsageError(f"{dataset.title}: {root / name} is damaged ({error})") from error
        with file:
            if key not in file:
                raise UsageError(
                    f"{dataset.title}: {name} has no array {key!r}, but {', '.join(file)}"
                )
            yield file[key]


@contextmanager
def _unpacked(dataset: Dataset, root: Path, name: str, md5: str | None) -> Iterator[Path]:
    plain, packed = root / name, root / f"{name}.gz"
    if plain.is_file():
        yield plain
        return
    if not packed.is_file():
        raise UsageError(dataset.missing(name, root))
    with packed.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest() if md5 else None
    if found != md5:
        raise UsageError(
            f"{dataset.title}: {packed} has the MD5 {found}, the published file {md5}: fetch it "
            f"again, or unpack it to use it as it is"
        )
    with tempfile.TemporaryDirectory(prefix="figclip-arrays-") as folder:
        copy = Path(folder, plain.name)
        try:
            with gzip.open(packed) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 2**20)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UsageError(
                f"{dataset.title}: {packed} is damaged ({error}); fetch it again"
            ) from error
        yield copy
