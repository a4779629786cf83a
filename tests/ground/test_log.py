"""One line an event, for people or as JSON, and progress that does not flood."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from figclip import log as log_module
from figclip.log import JsonFormatter, configure_logging, with_progress


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was afterwards."""
    root = logging.getLogger()
    names = ("figclip", "jobs", "serve_apps", "__main__")
    before = root.handlers, root.level, [logging.getLogger(name).level for name in names]
    yield root
    root.handlers, root.level = before[:2]
    for name, level in zip(names, before[2], strict=True):
        logging.getLogger(name).setLevel(level)


def test_json_lines_hold_the_facts_of_an_event(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
):
    configure_logging("json")
    log = logging.getLogger("figclip.corpus")
    log.info("%d pairs of\n%s", 3, "Größe")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("it failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["message"] == "3 pairs of\nGröße"
    assert (first["level"], first["logger"]) == ("INFO", "figclip.corpus")
    assert "ValueError: why" in second["exception"]
    assert "exception" not in first


def test_the_time_of_an_event_is_utc_to_the_millisecond():
    record = logging.makeLogRecord({"created": 1_000_000_000.5, "msecs": 500.0, "msg": "x"})
    assert json.loads(JsonFormatter().format(record))["time"] == "2001-09-09T01:46:40.500Z"


def test_people_see_our_events_and_of_others_the_warnings_only(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
):
    configure_logging()
    configure_logging()  # twice is as good as once
    for name in ("figclip.x", "jobs.x", "serve_apps.x", "__main__", "botocore", "ray"):
        logging.getLogger(name).info("info of %s", name)
        logging.getLogger(name).debug("debug of %s", name)
    logging.getLogger("botocore").warning("beware")
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.split(maxsplit=1)[1] for line in told.err.splitlines()] == [
        "figclip.x: info of figclip.x",
        "jobs.x: info of jobs.x",
        "serve_apps.x: info of serve_apps.x",
        "__main__: info of __main__",
        "botocore: beware",
    ]


def test_the_library_configures_nothing_by_being_imported():
    code = (
        "import logging, figclip.log, figclip.store, figclip.sources.pmc_cloud\n"
        "assert not logging.getLogger().handlers\n"
        "assert not any(l.handlers for n, l in logging.root.manager.loggerDict.items()\n"
        "               if n.startswith('figclip') and isinstance(l, logging.Logger))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes only when it is told to."""
    now = [100.0]
    monkeypatch.setattr(log_module.time, "monotonic", lambda: now[0])
    return now


def test_progress_passes_items_on_and_speaks_now_and_then(
    clock: list[float], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    seen = []
    for item in with_progress("abcdefgh", what="articles", total=8, every_s=5.0):
        seen.append(item)
        clock[0] += 2.0
    assert seen == list("abcdefgh")
    assert caplog.messages == [
        "articles: 3/8 (0.5/s, 10 s left)",
        "articles: 6/8 (0.5/s, 4 s left)",
        "articles: 8/8 (0.5/s)",
    ]


def test_progress_of_an_unknown_number_tells_what_is_done(
    clock: list[float], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    for _ in with_progress(iter(range(3)), what="pairs", every_s=1.0):
        clock[0] += 1.0
    assert caplog.messages == ["pairs: 1 (1.0/s)", "pairs: 2 (1.0/s)", "pairs: 3 (1.0/s)"]
    assert list(with_progress([], what="none", total=0)) == []
