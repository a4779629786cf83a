"""A process without a network: attempts to reach a server that is there, by every way, fail."""

import ctypes
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from figclip.config import UsageError
from figclip.evaluation.proxy.seclusion import Isolation, best_isolation, secluded, unshare

sys.path.append(str(Path(__file__).parent))  # where the secluded process finds this module

needs_namespace = pytest.mark.skipif(unshare() is None, reason="no network namespaces here")
ISOLATIONS = ["audit hook", pytest.param("network namespace", marks=needs_namespace)]


class Server:
    """Listens on this machine and counts who came."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.num_visits = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                visitor, _ = self.socket.accept()
            except OSError:
                return
            self.num_visits += 1
            visitor.close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.socket.close()


def by_python(port: str) -> str:
    socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
    return "connected"


def by_name(port: str) -> str:
    return str(socket.getaddrinfo("localhost", int(port)))


def by_datagram(port: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return str(sender.sendto(b"canary", ("127.0.0.1", int(port))))


def by_another_process(port: str) -> str:
    words = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
    return str(subprocess.run([sys.executable, "-c", words]).returncode)


def by_c(port: str) -> str:
    """Past Python's own modules, where no audit hook sees it."""
    libc = ctypes.CDLL(None, use_errno=True)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", int(port))
    address += socket.inet_aton("127.0.0.1") + bytes(8)
    number = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    return "connected" if libc.connect(number, address, len(address)) == 0 else "failed"


def harmless(argument: str) -> str:
    print("what a library prints is no answer")
    return argument[::-1]


def at_fault(argument: str) -> str:
    raise UsageError(f"mend {argument}")


def test_the_attempts_succeed_where_nothing_is_shut(server: Server):
    """The control: without it their failure would prove nothing."""
    assert by_python(str(server.port)) == by_c(str(server.port)) == "connected"
    assert by_another_process(str(server.port)) == "0"
    assert by_datagram(str(server.port)) == "6"
    assert "127.0.0.1" in by_name(str(server.port))
    assert server.num_visits == 3


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("attempt", [by_python, by_name, by_datagram, by_another_process])
def test_an_attempt_to_leave_ends_the_process_and_nobody_is_reached(
    server: Server, attempt, isolation: Isolation, capfd: pytest.CaptureFixture[str]
):
    with pytest.raises(RuntimeError, match="the secluded process ended with 1"):
        secluded(attempt, str(server.port), isolation=isolation)
    assert "this process works alone" in capfd.readouterr().err
    assert server.num_visits == 0


@needs_namespace
def test_in_a_namespace_not_even_c_reaches_anybody(server: Server):
    assert secluded(by_c, str(server.port), isolation="network namespace") == "failed"
    assert server.num_visits == 0


def test_behind_the_hook_alone_c_is_not_stopped_as_the_report_says(server: Server):
    assert secluded(by_c, str(server.port), isolation="audit hook") == "connected"


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_work_that_stays_here_is_done(isolation: Isolation):
    assert secluded(harmless, "äbc", isolation=isolation) == "cbä"


def test_what_a_person_can_mend_comes_back_as_it_was():
    with pytest.raises(UsageError, match=r"^mend the table$"):
        secluded(at_fault, "the table")


def test_the_strongest_isolation_is_taken():
    assert best_isolation() == ("audit hook" if unshare() is None else "network namespace")


def test_a_namespace_with_a_network_is_not_believed(monkeypatch: pytest.MonkeyPatch):
    """As if `unshare` had done nothing: the process looks for itself."""
    monkeypatch.setattr("figclip.evaluation.proxy.seclusion.unshare", lambda: ("env",))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no way to anywhere itself")
    with pytest.raises(RuntimeError, match="ended with 1"):
        secluded(harmless, "abc", isolation="network namespace")
