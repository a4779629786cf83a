"""The walk, killed at every station, ends with the artifacts of one that was submitted and left
alone."""

import json
from pathlib import Path

import lancedb
import pytest
from safetensors.torch import load_file
from walking import finish, kill_when, rows, table_of

VERSION = "quickstart"


STATIONS = ("pairs", "panels", "encoder", "index")


@pytest.mark.cluster
@pytest.mark.slow  # stations alone are killed in every run: ingestion here, training in tests/flows
@pytest.mark.timeout(840)
@pytest.mark.parametrize(
    "stations",
    [
        pytest.param(("encoder",), id="encoder"),
        pytest.param(STATIONS, id="every_station"),
    ],
)
def test_a_walk_killed_at_its_stations_ends_like_one_that_was_submitted_and_left_alone(
    submitted: tuple[Path, str], tmp_path: Path, stations: tuple[str, ...]
):
    """The encoder of figures alone is left out here: the same station makes it."""
    calm, calm_text = submitted
    killed, log = tmp_path / "killed", tmp_path / "killed.log"
    pairs, index = killed / "pairs" / VERSION, killed / "index" / VERSION
    panels = killed / "pairs" / f"{VERSION}-panels"
    under_way = {
        "pairs": lambda: len(list(pairs.glob("_ledger/*.parquet"))) >= 2,
        "panels": lambda: len(list(panels.glob("*/*.parquet"))) >= 2,
        "encoder": lambda: has_checkpoint(killed),
        "index": lambda: index.exists() and any(index.rglob("*")),
    }
    makes = dict(zip(STATIONS, (pairs, panels, killed / "encoder" / VERSION, index), strict=True))
    for station in stations:
        kill_when(under_way[station], killed, "--no-compare", log=log)
        published = [name for name in STATIONS if (makes[name] / "_manifest.json").exists()]
        assert published == list(STATIONS[: STATIONS.index(station)])
    killed_text = finish(killed, "--no-compare", log=log)

    for version in (VERSION, panels.name):
        assert rows(killed / "pairs" / version).equals(rows(calm / "pairs" / version))
    weights = [load_file(s / "encoder" / VERSION / "model.safetensors") for s in (calm, killed)]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    assert rows(killed / "embeddings" / VERSION).equals(rows(calm / "embeddings" / VERSION))
    assert index_rows(killed).equals(index_rows(calm))
    assert len(table_of(killed_text)) == 3
    assert table_of(killed_text) == table_of(calm_text)


@pytest.mark.cluster
@pytest.mark.timeout(840)
def test_the_walk_says_what_panels_gain_at_equal_samples(submitted: tuple[Path, str]):
    store, text = submitted
    lines = json.loads((store / "evaluation" / VERSION / "recall.json").read_text())["beside"]
    found = [(line["pairs"], line["encoder"]) for line in lines]
    alone, panels = f"{VERSION}-figures", f"{VERSION}-panels"
    assert found == [(VERSION, VERSION), (VERSION, alone), (panels, VERSION), (panels, alone)]
    learned_from = {line["encoder"]: line["learned_from"] for line in lines}
    assert learned_from == {VERSION: [VERSION, panels], alone: [VERSION]}
    assert len({line["num_samples"] for line in lines}) == 1
    assert sum(f" of {panels} |" in line for line in text.splitlines()) == 2


def has_checkpoint(store: Path) -> bool:
    """Whether training has registered a checkpoint, which a rerun can start from."""
    return any((store / "runs").rglob("checkpoint_manager_snapshot.json"))


def index_rows(store: Path):
    database = lancedb.connect(store / "index" / VERSION)
    (name,) = database.list_tables().tables
    return database.open_table(name).to_arrow().sort_by("pair_id")


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(400)
def test_the_walk_on_real_articles_reaches_its_end(shared: Path, tmp_path: Path):
    """Every recipe is cut to what 96 pairs allow, also the demo's warm-up of 50 steps."""
    store, log = tmp_path / "real", tmp_path / "real.log"
    source = shared / "pmc-oa-opendata"
    words = ["--source", str(source), "--train.optim.warmup-steps", "50", "--panel-share", "0"]
    text = finish(store, *words, log=log)
    assert "31 articles, 134 figures → 96 pairs" in text
    assert len(table_of(text)) == 3
    assert (store / "evaluation" / VERSION / "grid.png").stat().st_size > 10_000
    assert index_rows(store).num_rows == 96
    page = next(line for line in text.splitlines() if "serve_apps.search:app" in line)
    assert f"store={store}" in page
