"""An embedding run whose actor and driver are killed ends with the vectors of one left alone."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drivers import below, driver
from tiny import publish_tiny_encoder, publish_tiny_pairs

from figclip.embedding.bulk import embedded_file
from figclip.embedding.encoder import Encoder
from figclip.embedding.vectors import matrix, read_table, split_files
from figclip.schema import SPLITS
from figclip.store import Store

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

N = 1_600
WORDS = ["--pairs=p", "--encoder=e", "--version=v", "--batch-size=2", "--local-cpus=2"]


def until(is_true: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    while not is_true():
        assert process.poll() is None, log.read_text()[-5000:]
        time.sleep(0.02)


@pytest.mark.slow
def test_no_file_is_made_twice_and_no_vector_changes_whoever_is_killed(tmp_path: Path):
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    publish_tiny_pairs(store, "p", N)
    publish_tiny_encoder(store, "e")
    words = ["jobs.embed", "cpu", f"--store={store.url}", *WORDS]
    pairs, folder = store.open("pairs", "p"), store.folder("embeddings", "v")
    names, place = split_files(pairs, SPLITS), tmp_path / "store" / "embeddings" / "v"

    def written() -> dict[str, int]:
        return {
            name: (place / name).stat().st_mtime_ns for name in names if (place / name).exists()
        }

    with driver(words, log=log) as process:
        until(lambda: len(written()) >= 3, process, log)
        (actor,) = [one for one in below(process.pid) if "FileEmbedder" in " ".join(one.cmdline())]
        actor.send_signal(signal.SIGKILL)
        before = len(written())
        until(lambda: len(written()) >= before + 10, process, log)  # by another process
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    kept = written()
    assert 13 <= len(kept) < len(names), "killed on its way"
    assert not store.is_published("embeddings", "v")

    with driver(words, log=log) as process:
        assert process.wait(timeout=200) == 0, log.read_text()[-5000:]
    assert store.is_published("embeddings", "v")
    assert {name: when for name, when in written().items() if name in kept} == kept
    encoder = Encoder.open(store.open("encoder", "e"))
    for name in names:
        found = read_table(folder, name)
        expected = embedded_file(encoder, pairs, name, batch_size=8, num_threads=1)
        assert found["pair_id"].equals(expected["pair_id"])
        for column in ("image_embedding", "text_embedding"):
            np.testing.assert_allclose(matrix(found[column]), matrix(expected[column]), atol=1e-5)
