"""CPU time and memory of a process and of all that it starts, by sampling."""

import threading
import time
from collections.abc import Iterable

import psutil


class Sampler(threading.Thread):
    """Samples the family of a process; a process that ends keeps what it was last seen to use."""

    def __init__(self, pid: int, *, every_s: float = 0.1) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self._every_s = every_s
        self._ended = threading.Event()
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._peak_rss: dict[str, int] = {}
        self.peak_pss = 0

    def run(self) -> None:
        while not self._ended.wait(self._every_s):
            self.sample()

    def sample(self) -> None:
        for process in self._family():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    name = " ".join(process.cmdline()[:1])
                    rss = process.memory_info().rss
                self._cpu_s[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:
                continue
            self._peak_rss[name] = max(self._peak_rss.get(name, 0), rss)

    def _family(self) -> Iterable[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []

    @property
    def cpu_s(self) -> float:
        """Seconds of user and system time of all processes so far."""
        return sum(self._cpu_s.values())

    def peak_rss_of(self, word: str) -> int:
        """Bytes: the most that a process whose command line begins with `word` ever held."""
        return max((rss for name, rss in self._peak_rss.items() if word in name), default=0)

    def end(self) -> None:
        self._ended.set()
        self.join()
        self.sample()


def settle(seconds: float) -> None:
    """Let processes that were just started or ended come to rest."""
    time.sleep(seconds)
