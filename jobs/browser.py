"""Pictures of pages, by a headless Chromium."""

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from figclip.config import UsageError

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LIMIT_S = 120


def chromium() -> str | None:
    """Its path, where there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def screenshot(
    url: str, png: Path, *, width: int, height: int, wait_ms: int = 0, is_dark: bool = False
) -> None:
    """Write what a window of that size shows, without empty rows at its foot.

    `wait_ms` are those of the page's own clock that its scripts may take. `UsageError` where there
    is no Chromium.
    """
    browser = chromium()
    if browser is None:
        raise UsageError(f"no browser is on this machine: install {NAMES[0]}")
    with tempfile.TemporaryDirectory(prefix="figclip-browser-") as profile:
        words = [browser, *OPTIONS, f"--user-data-dir={profile}"]
        words += [f"--window-size={width},{height}", f"--screenshot={png}"]
        words += [f"--virtual-time-budget={wait_ms}"] if wait_ms else []
        # 0 is dark, 1 is light: blink's enum PreferredColorScheme
        words += [f"--blink-settings=preferredColorScheme={0 if is_dark else 1}"]
        subprocess.run([*words, url], check=True, timeout=LIMIT_S, capture_output=True)
    trim(png)


def trim(png: Path, *, margin: int = 24) -> None:
    """Cut the rows at the foot that are of one colour, that of the last."""
    with Image.open(png) as opened:
        image = opened.convert("RGB")
    pixels = np.asarray(image)
    rows = np.flatnonzero((pixels != pixels[-1, :1]).any(axis=(1, 2)))
    foot = min(image.height, int(rows[-1]) + 1 + margin) if len(rows) else image.height
    image.crop((0, 0, image.width, foot)).save(png, optimize=True)


def reduced(png: bytes, colours: int) -> bytes:
    """The picture in so few colours, which looks alike and takes a third of the room."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        palette = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    palette.save(out, "PNG", optimize=True)
    return out.getvalue()
