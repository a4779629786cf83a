"""The walk, killed at every station, ends with the artifacts of a walk that nobody disturbed."""

from pathlib import Path

import lancedb
import pytest
from safetensors.torch import load_file
from walking import finish, kill_when, rows, table_of

VERSION = "quickstart"


@pytest.mark.cluster
@pytest.mark.timeout(840)
def test_a_walk_killed_at_every_station_ends_like_an_undisturbed_one(
    undisturbed: tuple[Path, str], tmp_path: Path
):
    calm, calm_text = undisturbed
    killed, log = tmp_path / "killed", tmp_path / "killed.log"
    pairs, index = killed / "pairs" / VERSION, killed / "index" / VERSION
    kill_when(lambda: len(list(pairs.glob("_ledger/*.parquet"))) >= 2, killed, log=log)
    assert not (pairs / "_manifest.json").exists()
    kill_when(lambda: has_checkpoint(killed), killed, log=log)
    assert (pairs / "_manifest.json").exists()
    assert not (killed / "encoder" / VERSION / "_manifest.json").exists()
    kill_when(lambda: index.exists() and any(index.rglob("*")), killed, log=log)
    assert not (index / "_manifest.json").exists()
    killed_text = finish(killed, log=log)

    assert rows(killed / "pairs" / VERSION).equals(rows(calm / "pairs" / VERSION))
    weights = [load_file(s / "encoder" / VERSION / "model.safetensors") for s in (calm, killed)]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    assert rows(killed / "embeddings" / VERSION).equals(rows(calm / "embeddings" / VERSION))
    assert index_rows(killed).equals(index_rows(calm))
    assert table_of(killed_text) == table_of(calm_text)


def has_checkpoint(store: Path) -> bool:
    """Whether training has registered a checkpoint, which a rerun can start from."""
    return any((store / "runs").rglob("checkpoint_manager_snapshot.json"))


def index_rows(store: Path):
    database = lancedb.connect(store / "index" / VERSION)
    (name,) = database.list_tables().tables
    return database.open_table(name).to_arrow().sort_by("pair_id")


@pytest.mark.cluster
@pytest.mark.real
@pytest.mark.timeout(400)
def test_the_walk_on_real_articles_reaches_its_end(shared: Path, tmp_path: Path):
    """Every recipe is cut to what 96 pairs allow, also the demo's warm-up of 50 steps."""
    store, log = tmp_path / "real", tmp_path / "real.log"
    source = shared / "pmc-oa-opendata"
    words = ["--source", str(source), "--train.optim.warmup-steps", "50"]
    text = finish(store, *words, log=log)
    assert "31 articles, 134 figures → 96 pairs" in text
    assert len(table_of(text)) == 3
    assert (store / "evaluation" / VERSION / "grid.png").stat().st_size > 10_000
    assert index_rows(store).num_rows == 96
    page = next(line for line in text.splitlines() if "serve_apps.search:app" in line)
    assert f"store={store}" in page
