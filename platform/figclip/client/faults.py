"""What a service could not do, as one exception."""

from collections.abc import Mapping
from typing import Any

REMEDIES = {
    401: "give the client a key of this server: Client(url, key=...)",
    403: "ask for a key that may do this",
    404: "name the service's own address, and a model that `Client.models()` lists",
    413: "send smaller pictures, or fewer at once (batch_items, batch_bytes)",
    429: "send less at once (concurrency), or wait longer (Patience.deadline_s)",
    502: "the proxy reaches no server: try again, and ask its keeper if it stays so",
    503: "the server is starting, or too busy: try again, and ask its keeper if it stays so",
    504: "the server takes longer than its proxy waits: send fewer items at once (batch_items)",
}
"""Where the server names none itself."""


class ServiceError(Exception):
    """A request that failed for good, after every try that its `Patience` allowed.

    `code` is a word to act on (the server's own, or `unreachable`, `bad_answer`, `http_{status}`),
    `message` what happened, `remedy` what to do; `status` the HTTP status where there was one;
    `param` the part of the request that is to blame, for example `input[3]`.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        remedy: str = "",
        status: int | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.status = status
        self.param = param

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]" + (f": {self.remedy}" if self.remedy else "")


def fault_of(status: int, body: Any) -> ServiceError:
    """The error that an answer of that status tells of; `body` its JSON, or None if it has none."""
    told = body.get("error") if isinstance(body, Mapping) else None
    error: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    return ServiceError(
        str(error.get("code") or f"http_{status}"),
        str(error.get("message") or f"the server answered with status {status}"),
        remedy=str(error.get("remedy") or REMEDIES.get(status, "")),
        status=status,
        param=str(error["param"]) if error.get("param") else None,
    )
