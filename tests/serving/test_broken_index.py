"""Indexes whose files are cut, changed or gone: refused with a reason, and the old one stays."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import publish_embedded_pairs, tiny_pairs, unit_vectors

from figclip.config import UsageError
from figclip.embedding.index.build import build_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.serving.search.holder import IndexHolder, newest_index, opener
from figclip.store import Store

N, DIM = 20, 16


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("store"))
    pairs = tiny_pairs(N)
    vectors = dict(zip([p.pair_id for p in pairs], unit_vectors(N, DIM), strict=True))
    for version, encoder in (("1", "none"), ("2", "none"), ("other", "another")):
        publish_embedded_pairs(store, version, pairs, vectors, encoder=encoder)
        build_index(
            store,
            embeddings_version=version,
            pairs_version=version,
            version=version,
            config=IndexConfig(num_probes=3),
        )
    return Path(store.url)


@pytest.fixture
def store(published: Path, tmp_path: Path) -> Store:
    shutil.copytree(published, tmp_path / "store")
    return Store(tmp_path / "store")


def files(store: Store) -> list[Path]:
    """Of rows, of indexes and of the table's own manifest, those that a search needs."""
    return sorted(path for path in Path(store.url, "index", "2").rglob("data/*.lance"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def garble(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


@pytest.mark.parametrize(
    ("spoil", "why"), [(cut, "damaged"), (Path.unlink, "damaged"), (garble, "cannot be read")]
)
def test_a_spoilt_version_is_refused_and_the_old_one_goes_on(
    store: Store, spoil: Callable[[Path], None], why: str
):
    holder = IndexHolder(opener(store, "none"), "1")
    for path in files(store):
        spoil(path)
    with pytest.raises(UsageError, match=why):
        holder.swap("2")
    with holder.lease() as (index, version):
        assert version == "1"
        assert len(index.search(unit_vectors(1, DIM)[0], k=N)) == N


def test_vectors_of_another_encoder_are_never_served(store: Store):
    holder = IndexHolder(opener(store, "none"), "1")
    assert newest_index(store) == "other"
    with pytest.raises(UsageError, match="encoder@another"):
        holder.swap("other")
    assert holder.version == "1"


def test_a_version_in_another_format_says_to_build_it_anew(store: Store):
    path = Path(store.url, "index", "2", "_manifest.json")
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(UsageError, match="build it anew"):
        opener(store, "none")("2")


def test_files_that_go_while_they_are_served_are_an_error_and_not_a_wrong_answer(store: Store):
    with IndexHolder(opener(store, "none"), "2").lease() as (index, _):
        shutil.rmtree(Path(store.url, "index", "2"))
        query = unit_vectors(1, DIM)[0]
        try:
            found = index.search(query, k=3)
        except (OSError, RuntimeError):
            return  # what `FigureSearch` answers with 503
        np.testing.assert_allclose(found[0].score, max(unit_vectors(N, DIM) @ query), atol=1e-5)
