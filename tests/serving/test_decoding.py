"""Pictures decoded elsewhere: the same levels, and a process that hangs or dies is replaced."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving_fakes import image_bytes

from figclip.inputs.pixels import PixelConfig, eval_crop
from figclip.pictures.squares import Square
from figclip.serving.batches import decoding
from figclip.serving.batches.decoding import Decoders, DecodingConfig, Recipe
from figclip.serving.protocol import Refusal
from figclip.serving.routes.limits import MAGIC

RECIPE = Recipe(Square(32), max_pixels=4_000_000, formats=tuple(MAGIC))


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    opened = Decoders(RECIPE, DecodingConfig(processes=1, timeout_s=10.0))
    yield opened
    opened.close()


def expected(data: bytes) -> np.ndarray:
    view = eval_crop(Image.open(io.BytesIO(data)), PixelConfig(size=32))
    return view.numpy().transpose(1, 2, 0)


def test_the_levels_are_those_of_the_evaluation_recipe(decoders: Decoders):
    for kind, mode in (
        ("PNG", "RGB"),
        ("JPEG", "RGB"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("PNG", "L"),
    ):
        data = image_bytes(kind, (90, 61), mode=mode)
        np.testing.assert_array_equal(decoders.decode_now(data), expected(data))


def test_a_broken_picture_is_refused_and_the_next_one_is_right(decoders: Decoders):
    data = image_bytes("JPEG", (200, 200))
    [pid] = decoders.pids
    for end in range(0, len(data) - 50, len(data) // 12):
        assert isinstance(decoders.decode_now(data[:end]), Refusal)
    huge = image_bytes("PNG", (2_100, 2_000))
    assert isinstance(decoders.decode_now(huge), Refusal)
    np.testing.assert_array_equal(decoders.decode_now(data), expected(data))
    assert decoders.pids == [pid], "none of them cost the process its life"


def test_one_that_hangs_is_killed_in_time_and_replaced(decoders: Decoders, monkeypatch):
    data = image_bytes()
    [pid] = decoders.pids
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(decoders, "_config", DecodingConfig(timeout_s=0.3))
    start = time.monotonic()
    assert decoders.decode_now(data) == decoding.TOO_SLOW
    assert time.monotonic() - start < 5
    monkeypatch.setattr(decoders, "_config", DecodingConfig(timeout_s=10.0))
    np.testing.assert_array_equal(decoders.decode_now(data), expected(data))
    assert pid not in decoders.pids


def test_a_picture_whose_decoder_was_killed_is_decoded_by_another(decoders: Decoders):
    data = image_bytes()
    [pid] = decoders.pids
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
    np.testing.assert_array_equal(decoders.decode_now(data), expected(data))
    assert decoders.pids != [pid]


def test_a_picture_that_kills_every_decoder_is_refused(monkeypatch: pytest.MonkeyPatch):
    """Address space for the process itself, and none for a picture."""
    opened = Decoders(RECIPE, DecodingConfig())
    try:
        decode = decoding.Decoder.decode

        def killed(self: decoding.Decoder, data: bytes, *, timeout_s: float):
            os.kill(self.pid, signal.SIGKILL)
            return decode(self, data, timeout_s=timeout_s)

        monkeypatch.setattr(decoding.Decoder, "decode", killed)
        assert opened.decode_now(image_bytes()) == decoding.KILLS
        monkeypatch.undo()
        assert isinstance(opened.decode_now(image_bytes()), np.ndarray)
    finally:
        opened.close()


def test_a_picture_beyond_the_memory_is_refused_and_the_process_lives():
    small = DecodingConfig(memory_bytes=400 * 2**20)
    opened = Decoders(Recipe(Square(32), max_pixels=50_000_000, formats=("PNG",)), small)
    try:
        [pid] = opened.pids
        out = io.BytesIO()
        Image.new("RGBA", (9_000, 5_000)).save(out, "PNG", compress_level=1)
        assert opened.decode_now(out.getvalue()) == decoding.NEEDS_TOO_MUCH
        assert isinstance(opened.decode_now(image_bytes()), np.ndarray)
        assert opened.pids == [pid]
    finally:
        opened.close()


def test_a_hanging_picture_holds_up_no_other_decoder():
    opened = Decoders(RECIPE, DecodingConfig(processes=2, timeout_s=3.0))

    async def prove() -> None:
        os.kill(opened.pids[0], signal.SIGSTOP)
        start = time.monotonic()
        pending = [asyncio.create_task(opened.decode(image_bytes())) for _ in range(8)]
        done = 0
        for finished in asyncio.as_completed(pending):
            if isinstance(await finished, np.ndarray):
                done += 1
            if done == 7:
                break
        assert time.monotonic() - start < 2.5, "seven went by the other process"
        assert isinstance(await asyncio.gather(*pending), list)

    try:
        asyncio.run(prove())
    finally:
        opened.close()


def test_what_nobody_wants_any_more_is_not_decoded(decoders: Decoders):
    found = asyncio.run(decoders.decode(image_bytes(), is_wanted=lambda: False))
    assert found is None


def test_the_processes_end_with_their_parent():
    code = """
import os, sys
from figclip.pictures.squares import Square
from figclip.serving.batches.decoding import Decoders, DecodingConfig, Recipe
opened = Decoders(Recipe(Square(8), max_pixels=100, formats=("PNG",)), DecodingConfig())
print(opened.pids[0], flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(done.stdout)
    end = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        if "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]:
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}").exists()


def test_the_process_imports_neither_torch_nor_ray_nor_pyarrow():
    code = (
        "import figclip.serving.batches.decoding_child, sys; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'ray', 'pyarrow', 'pydantic')))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
