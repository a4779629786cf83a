"""The secluded process: it shuts itself off, proves it, and only then imports and begins its work.

Started by `seclusion.secluded` with `MODULE:FUNCTION` and the isolation that is to hold.
"""

import errno
import importlib
import json
import os
import socket
import sys
from typing import Any

SOMEWHERE = ("192.0.2.1", 9)
"""An address that nobody has (RFC 5737)."""
REFUSED = {
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.getnameinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
}
"""Events of Python's own auditing (PEP 578)."""


class NetworkRefused(PermissionError):
    """An attempt to reach beyond this process."""


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in REFUSED:
        raise NetworkRefused(errno.EPERM, f"{event}: this process works alone")


def has_no_network() -> bool:
    """Whether the kernel knows no interface but the loopback, and no way to anywhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(SOMEWHERE)  # sends nothing: the kernel looks for a route
        except OSError:
            return {name for _, name in socket.if_nameindex()} <= {"lo"}
    return False


def is_refused() -> bool:
    """Whether the hook stops a connection before the kernel hears of it."""
    try:
        with socket.create_connection(SOMEWHERE, timeout=1):
            return False
    except NetworkRefused:
        return True
    except OSError:
        return False


def main(target: str, isolation: str) -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    argument = sys.stdin.read()
    if isolation == "network namespace" and not has_no_network():
        sys.exit("the process has a network in spite of its namespace: nothing was read")
    sys.addaudithook(refuse)
    if not is_refused():
        sys.exit("the audit hook does not hold: nothing was read")
    # The work's modules, and with them every library, are imported behind the closed door.
    from figclip.config import UsageError
    from figclip.log import configure_logging

    configure_logging("text")
    module, _, name = target.partition(":")
    try:
        found = {"value": getattr(importlib.import_module(module), name)(argument)}
    except UsageError as error:
        found = {"fault": str(error)}
    json.dump(found, answer)
    answer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
