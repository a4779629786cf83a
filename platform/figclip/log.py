"""Logging for entry points: one line an event, for people or as JSON. The library only logs."""

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, and what a record has
    as its `facts`."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


def configure_logging(form: Literal["text", "json"] = "text") -> None:
    """Send this process's log to standard error; jobs call it once, the library never."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter()
        if form == "json"
        else logging.Formatter("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in ("figclip", "jobs", "serve_apps", "__main__"):  # `python -m jobs.x` is __main__
        logging.getLogger(name).setLevel(logging.INFO)


def with_progress(
    items: Iterable[T], *, what: str, total: int | None = None, every_s: float = 5.0
) -> Iterator[T]:
    """Pass `items` on, and log `what: done/total (rate/s, time left)` every `every_s` seconds."""
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= every_s or done == total:
            last = now
            rate = done / max(now - start, 1e-9)
            left = f", {(total - done) / rate:.0f} s left" if total and done < total else ""
            log.info("%s: %d%s (%.1f/s%s)", what, done, f"/{total}" if total else "", rate, left)
