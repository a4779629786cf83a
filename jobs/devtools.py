"""A headless Chromium that is driven: opened pages, keys, scripts, and what the network was asked.

It speaks the DevTools protocol over two pipes, so no port is opened that others could come by.
https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import itertools
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from figclip.config import UsageError
from jobs.browser import NAMES, OPTIONS, chromium

LIMIT_S = 60.0
AT_3_AND_4 = (
    "import os, sys; from fcntl import F_DUPFD, fcntl; "
    "r, w = (fcntl(int(one), F_DUPFD, 10) for one in sys.argv[1:3]); "
    "os.dup2(r, 3); os.dup2(w, 4); os.execv(sys.argv[3], sys.argv[3:])"
)
"""Chromium reads commands from file 3 and writes answers to file 4."""


SEEN = """
    (() => {
      const isSeen = (image) => image.getBoundingClientRect().top < innerHeight;
      const seen = [...document.images].filter(isSeen);
      const ready = seen.map((image) => image.decode().catch(() => 0));
      const drawn = () => new Promise((done) => requestAnimationFrame(() => done(true)));
      return Promise.all(ready).then(drawn);
    })()
"""
"""Waits until the pictures in the window are drawn."""


class BrowserFault(RuntimeError):
    """The browser refuses a command, or does not answer."""


@contextmanager
def running_browser() -> Iterator["Browser"]:
    """One browser for many pages; it ends with the body. `UsageError` without a Chromium."""
    path = chromium()
    if path is None:
        raise UsageError(f"no browser is on this machine: install {NAMES[0]}")
    command_end, to_browser = os.pipe()
    from_browser, answer_end = os.pipe()
    with tempfile.TemporaryDirectory(prefix="figclip-browser-", ignore_cleanup_errors=True) as home:
        words = [sys.executable, "-c", AT_3_AND_4, str(command_end), str(answer_end), path]
        words += [*OPTIONS, f"--user-data-dir={home}", "--remote-debugging-pipe", "about:blank"]
        child = subprocess.Popen(
            words,
            pass_fds=(command_end, answer_end),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_end)
        os.close(answer_end)
        try:
            yield Browser(to_browser, from_browser)
        finally:
            os.close(to_browser)  # it ends when nobody speaks to it any more
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            os.close(from_browser)


class Browser:
    """A running one; not for several threads."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._numbers = itertools.count(1)
        self._unread = b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of a command; what happens meanwhile is appended to `events`."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + LIMIT_S
        while True:
            answer = self._read(end)
            if answer is None:
                raise BrowserFault(f"{method} was not answered in {LIMIT_S:g} s")
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserFault(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def wait(self, seconds: float) -> None:
        """Let things happen, until one more has happened or the time is over."""
        self._read(time.monotonic() + seconds)

    def _read(self, end: float) -> dict[str, Any] | None:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], max(end - time.monotonic(), 0))
            if not ready:
                return None
            some = os.read(self._from, 2**20)
            if not some:
                raise BrowserFault("the browser has ended")
            self._unread += some
        line, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "id" not in message:
            self.events.append(message)
        return message

    @contextmanager
    def page(
        self,
        *,
        width: int = 1280,
        height: int = 900,
        scale: float = 1,
        is_dark: bool = False,
        runs_scripts: bool = True,
    ) -> Iterator["Page"]:
        """A window of its own, with nothing of the others' history."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        joined = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, joined["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            page.call(f"{domain}.enable")
        page.resize(width, height, scale)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.call("Emulation.setScriptExecutionDisabled", value=not runs_scripts)
        page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        try:
            yield page
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """One window."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self._width = self._height = 0
        self._scale = 1.0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def events(self, method: str) -> list[dict[str, Any]]:
        """What has happened in this window, the oldest first."""
        mine = [one for one in self._browser.events if one.get("sessionId") == self._session]
        return [one["params"] for one in mine if one["method"] == method]

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """The window, in CSS pixels, `scale` pixels of the screen to each."""
        self._width, self._height, self._scale = width, height, scale
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )

    def open(self, url: str) -> None:
        """Go there, and wait until all of it is loaded."""
        with self.loading():
            fault = self.call("Page.navigate", url=url).get("errorText")
            if fault:
                raise BrowserFault(f"{url}: {fault}")

    @contextmanager
    def loading(self) -> Iterator[None]:
        """What the body does leads to another page: wait until that is loaded."""
        before = len(self.events("Page.loadEventFired"))
        yield
        end = time.monotonic() + LIMIT_S
        while len(self.events("Page.loadEventFired")) == before:
            if time.monotonic() > end:
                raise BrowserFault(f"no page was loaded in {LIMIT_S:g} s")
            self._browser.wait(0.5)

    def value(self, script: str) -> Any:
        """What a script comes to, as JSON; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in answer:
            told = answer["exceptionDetails"]
            raise BrowserFault(told.get("exception", {}).get("description", told["text"]))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key of the keyboard: `Enter`, `ArrowDown`, `/`, `a`."""
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38}
        codes |= {"ArrowRight": 39, "ArrowDown": 40, "End": 35, "Home": 36}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        facts: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0]))}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **facts)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def png(self, *, is_whole: bool = False) -> bytes:
        """What the window shows; whole, as if it were as high as the page."""
        if is_whole:
            height = int(self.value("document.documentElement.scrollHeight"))
            self.call(
                "Emulation.setDeviceMetricsOverride",
                width=self._width,
                height=height,
                deviceScaleFactor=self._scale,
                mobile=self._width < 600,
            )
        self.value(SEEN)
        picture = self.call("Page.captureScreenshot", format="png")["data"]
        if is_whole:
            self.resize(self._width, self._height, self._scale)
        return base64.b64decode(picture)

    @property
    def requested(self) -> list[str]:
        """Addresses that the window has asked for, `data:` among them."""
        return [one["request"]["url"] for one in self.events("Network.requestWillBeSent")]

    @property
    def complaints(self) -> list[str]:
        """What the console says: errors, warnings, what a policy has blocked."""
        told = [one["entry"]["text"] for one in self.events("Log.entryAdded")]
        told += [str(one["issue"]) for one in self.events("Audits.issueAdded")]
        thrown = self.events("Runtime.exceptionThrown")
        return told + [one["exceptionDetails"]["text"] for one in thrown]
