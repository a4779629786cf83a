"""Articles that end their process are passed over, and cost no other."""

import os
import subprocess
import sys
from pathlib import Path

from tiny_bucket import write_bucket

from figclip.corpus.rules import CorpusConfig
from figclip.corpus.tries import CRASHES, HASTY_TRIES, NOTES, forget_tries, read_with_care
from figclip.sources.source import open_source
from figclip.store import Store

ROOT = Path(__file__).parents[2]
TASK = """
import os, sys
from figclip.corpus import articles
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.tries import read_with_care
from figclip.sources.source import open_source
from figclip.store import Store

parse = articles.parse_article

def dying(xml):
    if b">PMC2<" in xml:
        os._exit(139)
    return parse(xml)

articles.parse_article = dying
source = open_source(sys.argv[1])
ids = source.list_versions()["version_id"].to_pylist()
found = read_with_care(
    source, ids, CorpusConfig(), num_threads=2, folder=Store(sys.argv[2]).root, number=7
)
for article in found:
    print(article.pmcid, len(article.pairs), *sorted({e.reason for e in article.entries}))
"""


def test_an_article_that_ends_its_process_is_passed_over_and_the_others_are_read(tmp_path: Path):
    write_bucket(tmp_path / "bucket", num_articles=4)
    store = tmp_path / "store"
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    codes, done = [], None
    while not codes or (codes[-1] != 0 and len(codes) < 10):  # as Ray does
        done = subprocess.run(
            [sys.executable, "-c", TASK, str(tmp_path / "bucket"), str(store)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        codes.append(done.returncode)
    assert codes == [139] * (HASTY_TRIES + CRASHES) + [0], done and done.stderr
    assert done is not None
    assert done.stdout.splitlines() == [
        "PMC1 2 ",
        "PMC2 0 crashed_worker",
        "PMC3 1  other_version",
        "PMC4 2 ",
    ]
    assert Store(store).root.files() == {}


def read_all(tmp_path: Path) -> list[str]:
    source = open_source(str(tmp_path / "bucket"))
    ids = source.list_versions()["version_id"].to_pylist()
    folder = Store(tmp_path / "store").root
    options = {"num_threads": 1, "folder": folder, "number": 7}
    return [a.pmcid for a in read_with_care(source, ids, CorpusConfig(), **options)]


def test_a_sound_shard_leaves_no_note(tmp_path: Path):
    write_bucket(tmp_path / "bucket", num_articles=3)
    assert read_all(tmp_path) == ["PMC1", "PMC2", "PMC3"]
    assert Store(tmp_path / "store").root.files() == {}


def test_tries_of_a_run_before_are_forgotten(tmp_path: Path):
    """Ten kills of the driver are no fault of the article that was read then."""
    write_bucket(tmp_path / "bucket", num_articles=3)
    folder = Store(tmp_path / "store").root
    folder.write(
        f"{NOTES}/00007.json", b'{"num_tries": 9, "at_work": "PMC2", "crashes": {"PMC2": 1}}'
    )
    forget_tries(folder)
    assert folder.files() == {}
