"""A request's body and its answer on their way through the door."""

import asyncio
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Send

from figclip.serving.door.errors import error_response
from figclip.serving.door.ticket import Ticket
from figclip.serving.protocol import ApiError

LINGER_S = 1.0
LINGER_BYTES = 8 * 2**20
"""What is still read, and forgotten, of the body of a request that was refused: a client that is
cut off while it sends would never see the answer."""


class Body:
    """The body of a request as it arrives; who stalls is a 408 `ApiError`."""

    def __init__(
        self,
        receive: Receive,
        headers: Headers,
        *,
        silence_s: float,
        bytes_per_s: float,
        hold: Callable[[int], None],
    ) -> None:
        """`hold` is told the bytes of every piece."""
        self._receive = receive
        self._silence_s = silence_s
        self._bytes_per_s = bytes_per_s
        self._hold = hold
        self._start = time.monotonic()
        self.num_held = 0
        length = headers.get("content-length", "0")
        self.is_whole = length.strip("0") == "" and "transfer-encoding" not in headers

    async def receive(self) -> Message:
        if self.is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._patience_s()):
                message = await self._receive()
        except TimeoutError as error:
            raise ApiError(
                408, "the body of the request comes too slowly", code="slow_body"
            ) from error
        if message["type"] == "http.request":
            self.is_whole = not message.get("more_body", False)
            number = len(message.get("body", b""))
            self.num_held += number
            self._hold(number)
        return message

    def _patience_s(self) -> float:
        due = self._start + self._silence_s + self.num_held / self._bytes_per_s
        return max(0.0, min(self._silence_s, due - time.monotonic()))

    async def linger(self) -> None:
        """Read on for a little, and forget it."""
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_S):
                while left > 0:
                    message = await self._receive()
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
                    left -= len(message.get("body", b""))
        except TimeoutError:
            return


class Answer:
    """The answer as it leaves: with the request's id, and to the end of what the client sends."""

    def __init__(self, send: Send, body: Body, ticket: Ticket) -> None:
        self._send = send
        self._body = body
        self.ticket = ticket
        self.status = 0
        self.code: str | None = None
        self.at_start: Callable[[], None] | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self.at_start:
                self.at_start()
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.ticket.id
            self.code = headers.get("X-Error-Code")
            if not self._body.is_whole:
                headers["Connection"] = "close"
        elif not self._body.is_whole and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._body.linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def refuse(self, fault: ApiError) -> None:
        """Where the answer has begun there is nothing left to say."""
        if self.status:
            return
        response = error_response(fault)
        for message in (
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            },
            {"type": "http.response.body", "body": response.body},
        ):
            await self.send(message)
