"""The commands that show what a sweep has found, on a real storage and with real servers."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import httpx
import numpy as np
import pytest
from browsing import dom, needs_chromium, num_like
from PIL import Image
from sweeps import batch_sizes, recorded
from tiny import (
    publish_tiny_embeddings,
    publish_tiny_encoder,
    publish_tiny_pairs,
    unit_vectors,
)
from torch.utils.tensorboard import SummaryWriter

from figclip.config import UsageError, config_from_args
from figclip.embedding.vectors import read_embeddings
from figclip.store import Store
from figclip.tuning import boards
from figclip.tuning.optuna_board import guarded
from jobs import sweep_compare, sweep_report
from jobs.sweep import PRESETS
from jobs.sweep_compare import CompareJob
from jobs.sweep_report import DashboardJob, ReportJob, main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """`sweeps.db`, and the curves of two trials in `runs`."""
    folder = tmp_path_factory.mktemp("sweeps")
    recorded(batch_sizes(), f"sqlite:///{folder / 'sweeps.db'}")
    for number in range(2):
        with SummaryWriter(str(folder / "runs" / f"{number:04d}" / "tensorboard")) as writer:
            for step in range(30):
                writer.add_scalar("train/loss", 1 / (step + 1 + number), 8 * step)
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_the_report_of_a_recorded_sweep_lies_in_its_folder(folder, tmp_path, capsys):
    main(ReportJob(name="batch_size", store=str(folder), out=str(tmp_path / "out")))
    assert "21.00 ± 1.00" in capsys.readouterr().out
    names = {"index.html", "report.md", "results.md", "trials.json", "curves.png"}
    assert names <= {path.name for path in (tmp_path / "out").iterdir()}


def test_the_words_of_the_commands_are_those_of_every_job():
    words = ["report", "batch_size", "--storage", "sqlite:///x.db", "--out", "here"]
    expected = ReportJob(name="batch_size", storage="sqlite:///x.db", out="here")
    assert config_from_args(PRESETS, words, "sweep") == expected
    words = ["compare", "a", "sweep:7", "--pairs", "mini", "--ks", "1", "5"]
    expected = CompareJob(first="a", second="sweep:7", pairs="mini", ks=(1, 5))
    assert config_from_args(PRESETS, words, "sweep") == expected


def test_a_name_that_is_not_recorded_is_answered_with_those_that_are(folder):
    with pytest.raises(UsageError, match=r"no sweep 'resolution'.*recorded are: batch_size"):
        main(ReportJob(name="resolution", store=str(folder)))
    with pytest.raises(UsageError, match="a name is missing"):
        main(ReportJob(store=str(folder)))


def test_a_storage_that_is_not_there_is_refused_and_not_made(tmp_path):
    with pytest.raises(UsageError, match="no sweep is recorded in sqlite"):
        main(ReportJob(name="batch_size", store=str(tmp_path)))
    assert not (tmp_path / "sweeps.db").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_others_than_loopback_are_refused_unless_asked_for_plainly(folder, host):
    config = DashboardJob(store=str(folder), host=host, port=free_port())
    with pytest.raises(UsageError, match="--expose"):
        sweep_report.boards(config)
    (found,) = sweep_report.boards(config.with_overrides({"expose": True}))
    assert found.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_has_many_names(host):
    assert boards.is_loopback(host)


def test_a_package_that_is_missing_is_named_with_its_extra(folder, monkeypatch):
    monkeypatch.setattr(boards, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'figclip\[dashboard\]'"):
        sweep_report.boards(DashboardJob(store=str(folder)))


def test_a_port_that_is_taken_is_named(folder):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        board = boards.optuna_dashboard(f"sqlite:///{folder}/sweeps.db", "127.0.0.1", port)
        with (
            pytest.raises(UsageError, match=f"127.0.0.1:{port}.*another port"),
            boards.running([board]),
        ):
            pass


def test_a_board_that_cannot_start_ends_the_others(monkeypatch):
    stays = boards.Board(
        "stays",
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "0"],
        "127.0.0.1",
        free_port(),
    )
    falls = boards.Board(
        "falls", [sys.executable, "-c", "raise SystemExit(3)"], "127.0.0.1", free_port()
    )
    begun = []
    popen = subprocess.Popen

    def spy(*words, **options):
        begun.append(popen(*words, **options))
        return begun[-1]

    monkeypatch.setattr(boards.subprocess, "Popen", spy)
    with pytest.raises(UsageError, match="falls did not start"):
        boards.running([falls, stays]).__enter__()
    assert len(begun) == 2
    assert all(child.poll() is not None for child in begun)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8080", None, "200"),
        ("localhost:8080", "http://localhost:8080", "200"),
        ("[::1]:8080", None, "200"),
        ("evil.example:8080", None, "403"),
        ("127.0.0.1.evil.example", None, "403"),
        ("", None, "403"),
        ("127.0.0.1:8080", "http://evil.example", "403"),
        ("127.0.0.1:8080", "null", "403"),
    ],
)
def test_a_page_from_elsewhere_cannot_use_the_dashboard(host, origin, status):
    told = []

    def app(environment, start):
        start("200 OK", [])
        return [b"studies"]

    guard = guarded(app, {"127.0.0.1", "localhost", "::1"})
    environment = {"HTTP_HOST": host} | ({"HTTP_ORIGIN": origin} if origin else {})
    body = b"".join(guard(environment, lambda line, headers: told.append(line)))
    assert told[0].startswith(status)
    assert (body == b"studies") == (status == "200")


def test_the_command_serves_both_on_loopback_and_takes_them_with_it(folder):
    ports = (free_port(), free_port())
    words = ["dashboard", "--store", str(folder), "--port", str(ports[0])]
    words += ["--tensorboard", str(folder / "runs"), "--tensorboard-port", str(ports[1])]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "jobs.sweep", *words]
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while not all(boards.answers("127.0.0.1", port) for port in ports):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        url = f"http://127.0.0.1:{ports[0]}"
        (study,) = httpx.get(f"{url}/api/studies").json()["study_summaries"]
        assert study["study_name"] == "batch_size"
        elsewhere = httpx.get(f"{url}/dashboard/", headers={"Host": "evil.example"})
        assert elsewhere.status_code == 403
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert not any(boards.answers("127.0.0.1", port) for port in ports)
    finally:
        process.kill()
        process.wait()


@needs_chromium
def test_a_browser_shows_trials_in_optuna_dashboard_and_curves_in_tensorboard(folder, tmp_path):
    storage, runs = f"sqlite:///{folder / 'sweeps.db'}", str(folder / "runs")
    both = [
        boards.optuna_dashboard(storage, "127.0.0.1", free_port()),
        boards.tensorboard(runs, "127.0.0.1", free_port()),
    ]
    with boards.running(both):
        trials = dom(f"{both[0].url}/dashboard/studies/1/trials", tmp_path / "first")
        curves = dom(f"{both[1].url}/?forceSVG=true#timeseries", tmp_path / "second")
    for words in ("8 Trials", "Trial 5", "Best Trial", "Pruned", "Fail"):
        assert words in trials, words
    for words in ("0001/tensorboard", "train/loss"):
        assert words in curves, words


@needs_chromium
@pytest.mark.slow
def test_the_readmes_pictures_are_taken_by_a_command(folder, tmp_path):
    words = ["screenshots", "batch_size", "--store", str(folder), "--out", str(tmp_path)]
    words += ["--tensorboard", str(folder / "runs")]
    words += ["--port", str(free_port()), "--tensorboard-port", str(free_port())]
    main(config_from_args(PRESETS, words, "sweep"))
    taken = {path.name: np.asarray(Image.open(path)).astype(int) for path in tmp_path.iterdir()}
    assert len(taken) == 5
    assert all(len(np.unique(image.reshape(-1, 3), axis=0)) > 50 for image in taken.values())
    assert num_like(taken["sweep-dashboard.png"], (0x21, 0x96, 0xF3)) > 10_000, "its blue bar"


@pytest.fixture
def store(tmp_path) -> Store:
    """Pairs with the embeddings of two encoders: those of `good` lie near one another."""
    store = Store(tmp_path / "store")
    publish_tiny_pairs(store, "p", 100)
    images, noise = unit_vectors(100, 16), unit_vectors(100, 16, 5)
    for name, share in (("good", 0.2), ("poor", 2.0)):
        publish_tiny_encoder(store, name)
        texts = images + share * noise
        texts /= np.linalg.norm(texts, axis=1, keepdims=True)
        publish_tiny_embeddings(store, f"of-{name}", "p", images, texts, encoder=name)
    return store


def test_two_encoders_are_compared_on_embeddings_that_are_there(store, tmp_path, capsys):
    out = tmp_path / "out"
    main(CompareJob(first="poor", second="encoder@good", pairs="p", store=store.url, out=str(out)))
    lines = (out / "compare.md").read_text().splitlines()
    assert len(lines) == 8
    assert "| encoder@good |" in lines[2]
    assert lines[2] in capsys.readouterr().out
    assert Image.open(out / "compare.png").width > 1000


def test_a_trial_stands_for_the_encoder_that_was_published_of_it(folder, store, tmp_path):
    storage = f"sqlite:///{folder / 'sweeps.db'}"
    config = CompareJob(store=store.url, storage=storage, pairs="p", out=str(tmp_path / "out"))
    publish_tiny_encoder(store, "t4")
    of_good = read_embeddings(store, "of-good", "test")
    vectors = (unit_vectors(100, 16), unit_vectors(100, 16, 9))
    publish_tiny_embeddings(store, "of-t4", "p", *vectors, encoder="t4")
    found = sweep_compare.embeddings_of(config, "batch_size:4")
    assert found.pair_ids == of_good.pair_ids
    np.testing.assert_array_equal(found.texts, read_embeddings(store, "of-t4", "test").texts)
    with pytest.raises(UsageError, match="has no trial 99; it has 8"):
        sweep_compare.embeddings_of(config, "batch_size:99")
    with pytest.raises(UsageError, match="trial 7 of batch_size has no encoder and no checkpoint"):
        sweep_compare.embeddings_of(config, "batch_size:7")


def test_an_encoder_that_is_not_there_is_answered_with_those_that_are(store):
    with pytest.raises(UsageError, match=r"encoder@nope is not published.*good, poor"):
        main(CompareJob(first="good", second="nope", pairs="p", store=store.url))


@pytest.mark.ray
def test_what_is_not_embedded_yet_is_embedded_once(ray_cluster, store, monkeypatch, tmp_path):
    monkeypatch.setattr(sweep_compare, "joined_ray", lambda config: nullcontext())
    publish_tiny_encoder(store, "new")
    config = CompareJob(first="good", second="new", pairs="p", store=store.url, out=str(tmp_path))
    for _ in range(2):
        main(config.with_overrides({"cpus_per_actor": 0.5, "num_resamples": 50}))
    assert [name for name in store.versions("embeddings") if "new" in name] == ["new-on-p-test"]
