"""Load on our service that a closed loop of clients cannot make: more than it can answer, and long.

An open loop sends at a rate of its own, whatever becomes of the requests.
"""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import psutil

OVERLOAD = 4.0
"""Times the peak."""
RECOVERED = 2.0
"""A request takes at most so many times what it took before the overload."""


@dataclass
class Seen:
    """Requests of an open loop."""

    ok_s: list[float] = field(default_factory=list)
    """How long each good answer took."""
    refused_s: list[float] = field(default_factory=list)
    """How long each 429 took."""
    num_other: int = 0
    """Other answers, and none."""


async def post(session: aiohttp.ClientSession, url: str, body: bytes, seen: Seen) -> None:
    start = time.perf_counter()
    try:
        async with session.post(url, data=body) as answer:
            await answer.read()
            took = time.perf_counter() - start
            match answer.status:
                case 200:
                    seen.ok_s.append(took)
                case 429:
                    seen.refused_s.append(took)
                case _:
                    seen.num_other += 1
    except (aiohttp.ClientError, TimeoutError):
        seen.num_other += 1


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=60),
        headers={"Content-Type": "application/json"},
    )


async def closed(url: str, bodies: Sequence[bytes], *, clients: int, seconds: float) -> Seen:
    """Each client sends its next request when the one before is answered."""
    seen, end = Seen(), time.perf_counter() + seconds
    turn = iter(range(10**12))
    async with _session() as session:

        async def client() -> None:
            while time.perf_counter() < end:
                await post(session, url, bodies[next(turn) % len(bodies)], seen)

        await asyncio.gather(*(client() for _ in range(clients)))
    return seen


async def opened(url: str, bodies: Sequence[bytes], *, per_s: float, seconds: float) -> Seen:
    """At random times, `per_s` of them a second."""
    seen, spread = Seen(), random.Random(0)
    tasks: set[asyncio.Task[None]] = set()
    async with _session() as session:
        start, at, number = time.perf_counter(), 0.0, 0
        while at < seconds:
            at += spread.expovariate(per_s)
            await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
            task = asyncio.create_task(post(session, url, bodies[number % len(bodies)], seen))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.gather(*tasks)
    return seen


async def overload(
    url: str, bodies: Sequence[bytes], *, clients: int, seconds: float
) -> dict[str, float]:
    """Goodput beside the peak, how long a refusal takes, and how soon all is as before."""
    usual = await closed(url, bodies, clients=1, seconds=min(2.0, seconds))
    peak = await closed(url, bodies, clients=clients, seconds=seconds)
    rate = len(peak.ok_s) / seconds
    start = time.perf_counter()
    seen = await opened(url, bodies, per_s=OVERLOAD * rate, seconds=seconds)
    drained_s = max(0.0, time.perf_counter() - start - seconds)
    limit = RECOVERED * quantile(usual.ok_s, 0.5)
    return {
        "overload_peak_rps": rate,
        "overload_goodput": len(seen.ok_s) / (seconds + drained_s) / rate,
        "overload_rejection_ms": 1_000 * quantile(seen.refused_s, 0.5),
        "overload_rejection_p99_ms": 1_000 * quantile(seen.refused_s, 0.99),
        "overload_rejected": float(len(seen.refused_s)),
        "overload_errors": float(seen.num_other),
        "overload_recovery_s": await _recovery(url, bodies, limit_s=limit),
    }


async def _recovery(url: str, bodies: Sequence[bytes], *, limit_s: float) -> float:
    """Seconds until a request is answered as fast as before; 60 where none is."""
    start = time.perf_counter()
    async with _session() as session:
        while time.perf_counter() - start < 60:
            begun, seen = time.perf_counter() - start, Seen()
            await post(session, url, bodies[0], seen)
            if seen.ok_s and seen.ok_s[0] <= limit_s:
                return begun
    return 60.0


async def soak(
    url: str, bodies: Sequence[bytes], *, clients: int, seconds: float, pid: int
) -> dict[str, float]:
    """Memory of all processes of the server, from a fifth of the time to the end."""
    warm = await closed(url, bodies, clients=clients, seconds=seconds / 5)
    before = memory(pid)
    rest = await closed(url, bodies, clients=clients, seconds=seconds * 4 / 5)
    num_bad = sum(len(seen.refused_s) + seen.num_other for seen in (warm, rest))
    return {
        "soak_s": seconds,
        "soak_requests": float(len(warm.ok_s) + len(rest.ok_s)),
        "soak_errors": float(num_bad),
        "soak_memory_mb": memory(pid) / 1e6,
        "soak_memory_drift": memory(pid) / before - 1,
    }


def memory(pid: int) -> int:
    """Bytes of a process and all below it: proportional, as far as the kernel says so."""
    root = psutil.Process(pid)
    return sum(map(_pss, [root, *root.children(recursive=True)]))


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0


def text_bodies(model: str, texts: Sequence[str]) -> list[bytes]:
    return [json.dumps({"model": model, "input": [text]}).encode() for text in texts]


def quantile(values: Sequence[float], share: float) -> float:
    """NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
