"""Pictures of the search page: `python -m jobs.screenshots --index pmc --out ./pictures`.

At the widths of a phone, a tablet and a desk, light and dark: the first page, a search by words,
and one by a picture that is pasted. Needs Chromium.
"""

import base64
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from pydantic import PositiveInt

from figclip.config import UsageError
from figclip.embedding.index.opened import open_index
from figclip.store import Store
from jobs.browser import reduced
from jobs.devtools import Browser, Page, running_browser
from jobs.entry import Job, run
from jobs.search_here import search_here
from jobs.served_here import served_here

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Window:
    """A size to look at."""

    width: int
    height: int
    scale: float
    """Pixels of the screen to one of the page."""


WINDOWS = {
    "phone": Window(390, 844, 2),
    "tablet": Window(820, 1180, 1),
    "desk": Window(1440, 1000, 1),
}
THEMES = {"": False, "-dark": True}
PASTE = """
    (() => {
      const bytes = Uint8Array.from(atob(%s), (letter) => letter.charCodeAt(0));
      const held = new DataTransfer();
      held.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
      const event = new ClipboardEvent("paste", { clipboardData: held, bubbles: true });
      document.dispatchEvent(event);
    })()
"""


class ScreenshotsJob(Job):
    """Pictures of the search page of an index."""

    index: str = "quickstart"
    """Version of the index."""
    words: str = "MRI of the brain with a hypointense lesion"
    """What is searched for."""
    picture: str | None = None
    """An image file to paste; unset: a figure of the index, reduced."""
    num_results: PositiveInt = 12
    """Figures of a page."""
    colours: PositiveInt = 256
    """Of each PNG, which it is reduced to for its size's sake."""
    out: str = "platform/readme"
    """Folder for the PNGs: `search-{page}-{window}[-dark].png`."""


PRESETS = {"search": ScreenshotsJob()}


def main(config: ScreenshotsJob) -> list[Path]:
    store = Store(config.store)
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = pasted_picture(store, config)
    app = search_here(store, config.index, num_results=config.num_results)
    written = []
    with served_here(app) as url, running_browser() as browser:
        for window in WINDOWS:
            for theme in THEMES:
                shots = photographed(browser, url, window, theme, config.words, picture)
                for name, png in shots.items():
                    path = folder / f"search-{name}-{window}{theme}.png"
                    path.write_bytes(reduced(png, config.colours))
                    written.append(path)
    log.info("wrote %d pictures to %s", len(written), folder)
    return written


def pasted_picture(store: Store, config: ScreenshotsJob) -> bytes:
    """The file named, or a figure of the index."""
    if config.picture is not None:
        path = Path(config.picture)
        if not path.is_file():
            raise UsageError(f"--picture {path} is no file: name one of an image")
        return path.read_bytes()
    index = open_index(store, config.index)
    thumbnail = index.thumbnail(index.told([0], ["pair_id"])[0]["pair_id"])
    if thumbnail is None:
        raise UsageError(f"index@{config.index} holds no figure: name a picture by --picture")
    return thumbnail


def photographed(
    browser: Browser, url: str, window: str, theme: str, words: str, picture: bytes
) -> dict[str, bytes]:
    """Name of the page → PNG."""
    size = WINDOWS[window]
    with browser.page(
        width=size.width, height=size.height, scale=size.scale, is_dark=THEMES[theme]
    ) as page:
        page.open(f"{url}/")
        shots = {"first": page.png()}
        page.value(f"document.getElementById('q').value = {json.dumps(words)}")
        with page.loading():
            page.value("document.getElementById('ask').requestSubmit()")
        shots["words"] = page.png()
        paste(page, picture)
        shots["picture"] = page.png()
    return shots


def paste(page: Page, picture: bytes) -> None:
    """As if somebody pressed Ctrl + V with a picture on the clipboard; waits for the answer."""
    told = json.dumps(base64.b64encode(picture).decode())
    page.value("document.getElementById('q').value = ''")
    with page.loading():
        page.value(PASTE % told)


if __name__ == "__main__":
    run(PRESETS, main, "screenshots")
