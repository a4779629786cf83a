"""CPU time and memory of a process and of all that it starts, by sampling."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import psutil


class Family(threading.Thread):
    """Watches a process and all below it, in a thread of its own for as long as a `with` lasts.

    A process that ends keeps what it was last seen to use. Sampling costs CPU of its own, outside
    the family; the proportional set size costs most, and is taken only if asked for.
    """

    def __init__(self, pid: int, *, every_s: float = 4.0, with_pss: bool = False) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self._every_s = every_s
        self._with_pss = with_pss
        self._ended = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._titles: dict[tuple[int, float], str] = {}
        self._peak_rss: dict[str, int] = {}
        self.peak_pss = 0
        """Bytes of the whole family: a page that n processes share counts 1/n in each of them."""

    def run(self) -> None:
        while not self._ended.wait(self._every_s):
            self.sample()

    def sample(self) -> None:
        with self._one_at_a_time:
            pss = 0
            for process in self._family():
                try:
                    self._see(process)
                    if self._with_pss:
                        pss += process.memory_full_info().pss
                except (psutil.Error, OSError):
                    continue
            self.peak_pss = max(self.peak_pss, pss)

    def _see(self, process: psutil.Process) -> None:
        with process.oneshot():
            times = process.cpu_times()
            title = " ".join(" ".join(process.cmdline()).split())
        one = process.pid, process.create_time()
        self._cpu_s[one], self._titles[one] = times.user + times.system, title
        self._peak_rss[title] = max(self._peak_rss.get(title, 0), peak_rss(process.pid))

    def _family(self) -> Sequence[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []

    def cpu_s(self) -> float:
        """Seconds of user and system time of all processes up to now."""
        self.sample()
        return sum(self._cpu_s.values())

    def cpu_s_by_process(self) -> dict[str, float]:
        """The same by process, `{title} {pid}`; a title is that which it was last seen to have."""
        self.sample()
        titles = {one: f"{self._titles[one]} {one[0]}" for one in self._cpu_s}
        return {titles[one]: seconds for one, seconds in self._cpu_s.items()}

    def peak_rss_of(self, word: str) -> int:
        """Bytes: the most that any one process whose title begins with `word` ever held."""
        return max(
            (rss for title, rss in self._peak_rss.items() if title.startswith(word)), default=0
        )

    def __enter__(self) -> Self:
        self.sample()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sample()
        self._ended.set()
        self.join()


def peak_rss(pid: int) -> int:
    """Bytes: the most that a process has held so far, by the kernel's own account of it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
