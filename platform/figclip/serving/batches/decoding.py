"""Pictures decoded by processes of their own, with limits: one that hangs or dies is replaced.

Nobody else is harmed by a picture that takes for ever, needs all memory, or brings its decoder
down: it alone is refused, and a fresh process takes the next one.
"""

import asyncio
import json
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import figclip
from figclip.config import Config
from figclip.pictures.squares import Square
from figclip.serving.batches.decoding_child import (
    ANSWER,
    BROKEN,
    LENGTH,
    LEVELS,
    READY,
    TOO_LARGE,
    receive,
)
from figclip.serving.protocol import Refusal

log = logging.getLogger(__name__)

BROKEN_FILE = Refusal("the image is broken or ends early")
TOO_SLOW = Refusal("decoding the image takes too long")
NEEDS_TOO_MUCH = Refusal("decoding the image needs too much memory")
KILLS = Refusal("the image cannot be decoded: it brought its decoder down")
START_TIMEOUT_S = 30.0
TRIES = 2
"""A decoder may be killed for reasons of its own; a picture that meets it twice is to blame."""


class DecodingConfig(Config):
    """What decoding may take."""

    processes: PositiveInt = 1
    """Decoders at work at once, each on a core of its own at best."""
    timeout_s: PositiveFloat = 5.0
    """Of one picture; its process is killed then."""
    memory_bytes: PositiveInt = 2 * 2**30
    """Address space of a process; a picture of 50 megapixels takes up to 600 MB."""


class DecoderDied(Exception):
    """The process is gone, and with it what it was given."""


class DecoderTooSlow(Exception):
    """The process was killed, for it took too long."""


@dataclass(frozen=True)
class Recipe:
    """What the processes are told at their start."""

    square: Square
    max_pixels: int
    formats: tuple[str, ...]


class Decoder:
    """One process; for one thread at a time."""

    def __init__(self, recipe: Recipe, config: DecodingConfig) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "figclip.serving.batches.decoding_child"),
                    *(str(theirs.fileno()), str(config.memory_bytes), json.dumps(asdict(recipe))),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
        self._connection = ours
        self._side = recipe.square.size
        ours.settimeout(START_TIMEOUT_S)
        try:
            word, _ = self._answer()
        except (OSError, EOFError) as error:
            self.kill()
            raise DecoderDied("a decoding process did not start: its output says why") from error
        assert word == READY

    @property
    def pid(self) -> int:
        return self._process.pid

    def decode(self, data: bytes, *, timeout_s: float) -> np.ndarray | Refusal:
        """Levels, uint8 [side, side, 3].

        `DecoderTooSlow` or `DecoderDied` where the process is of no more use.
        """
        end = time.monotonic() + timeout_s
        try:
            self._until(end)
            self._connection.sendall(LENGTH.pack(len(data)))
            self._connection.sendall(data)
            self._until(end)
            word, told = self._answer()
        except TimeoutError as error:
            self.kill()
            raise DecoderTooSlow(f"it took longer than {timeout_s:g} s") from error
        except (OSError, EOFError) as error:
            self.kill()
            raise DecoderDied(f"exit code {self._process.returncode}") from error
        match word:
            case _ if word == LEVELS:
                return np.frombuffer(told, np.uint8).reshape(self._side, self._side, 3)
            case _ if word == TOO_LARGE:
                return NEEDS_TOO_MUCH
        assert word == BROKEN
        return BROKEN_FILE

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _answer(self) -> tuple[bytes, bytearray]:
        word, num_bytes = ANSWER.unpack(receive(self._connection, ANSWER.size))
        return word, receive(self._connection, num_bytes)

    def _until(self, end: float) -> None:
        """A socket's time-out is one of each step: a small one is left of it here."""
        self._connection.settimeout(max(0.001, end - time.monotonic()))


def _environment() -> dict[str, str]:
    """Nothing of ours that a decoder has no use for: keys of stores, above all."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    root = str(Path(figclip.__file__).parents[1])
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**kept, **one_thread, "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}


class Decoders:
    """A few decoders behind one door; any number of callers may use it at once."""

    def __init__(self, recipe: Recipe, config: DecodingConfig) -> None:
        self._recipe = recipe
        self._config = config
        self._free: queue.SimpleQueue[Decoder | None] = queue.SimpleQueue()
        self._all: set[Decoder] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        for _ in range(config.processes):
            self._free.put(None)
        # A process ends with the thread that started it: these threads end with the decoders.
        self._threads = ThreadPoolExecutor(config.processes, thread_name_prefix="decode")
        for started in [self._threads.submit(self._warm) for _ in range(config.processes)]:
            started.result()

    @property
    def pids(self) -> list[int]:
        with self._lock:
            return [decoder.pid for decoder in self._all]

    async def decode(
        self, data: bytes, *, is_wanted: Callable[[], bool] = lambda: True
    ) -> np.ndarray | Refusal | None:
        """Levels, uint8 [side, side, 3]; None where it was not wanted any more when its turn came.

        Cancelled before its turn, nothing is decoded.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, lambda: self.decode_now(data) if is_wanted() else None
        )

    def decode_now(self, data: bytes) -> np.ndarray | Refusal:
        for _ in range(TRIES):
            decoder = self._taken()
            survivor: Decoder | None = None
            try:
                found = decoder.decode(data, timeout_s=self._config.timeout_s)
                survivor = decoder
                return found
            except DecoderTooSlow:
                log.warning("a picture took longer to decode than it may: its decoder is replaced")
                return TOO_SLOW
            except DecoderDied as error:
                log.warning("a decoder died (%s): it is replaced", error)
            finally:
                if survivor is None:
                    self._forget(decoder)
                self._free.put(survivor)
        return KILLS

    def close(self) -> None:
        self._is_closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            left = list(self._all)
        for decoder in left:
            with suppress(OSError):
                decoder.kill()

    def _warm(self) -> None:
        self._free.put(self._taken())

    def _taken(self) -> Decoder:
        """One that is free; in the place of one that has gone, a new one."""
        free = self._free.get()
        if free is not None:
            return free
        try:
            return self._started()
        except BaseException:
            self._free.put(None)
            raise

    def _started(self) -> Decoder:
        if self._is_closed:
            raise DecoderDied("the decoders are closed")
        decoder = Decoder(self._recipe, self._config)
        with self._lock:
            self._all.add(decoder)
        return decoder

    def _forget(self, decoder: Decoder) -> None:
        with self._lock:
            self._all.discard(decoder)
