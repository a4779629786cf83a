"""What a headless Chromium shows of a page: its DOM after the scripts have run, or its pixels."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.browser import LIMIT_S, OPTIONS, chromium, screenshot

needs_chromium = pytest.mark.skipif(chromium() is None, reason="no chromium on this machine")


def dom(url: str, profile: Path, *, wait_ms: int = 20_000) -> str:
    """The page as HTML."""
    words = [str(chromium()), *OPTIONS, f"--user-data-dir={profile}", "--window-size=1400,1000"]
    words += [f"--virtual-time-budget={wait_ms}", "--dump-dom", url]
    done = subprocess.run(words, check=True, timeout=LIMIT_S, capture_output=True, text=True)
    return done.stdout


def pixels(url: str, png: Path, *, is_dark: bool = False, width: int = 1280) -> np.ndarray:
    """Rows of RGB."""
    screenshot(url, png, width=width, height=3000, is_dark=is_dark)
    with Image.open(png) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def num_like(found: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Pixels within 12 of a colour."""
    return int((np.abs(found - np.array(colour)).max(axis=-1) <= 12).sum())
