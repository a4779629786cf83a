"""API keys: a file of hashes, read anew whenever it changes.

A key is `figclip_ID_SECRET`. The ID is no secret: it finds the line of the file. The secret is 256
random bits, of which the file has the SHA-256 only; so no slow hash is needed, and nobody who reads
the file learns a key.
"""

import hashlib
import hmac
import ipaddress
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from figclip.config import Config, UsageError
from figclip.serving.door.rates import Rates

log = logging.getLogger(__name__)

Scope = Literal["embed", "search"]
SCOPES: tuple[Scope, ...] = ("embed", "search")

KEY = re.compile(r"figclip_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
NOBODY = "0" * 64
"""The hash that an unknown ID is compared with, so that it takes as long as a known one."""

LOOK_EVERY_S = 1.0
"""How often the file is looked at for changes."""


class Key(Config):
    """A line of the file."""

    id: str = Field(pattern="^[0-9a-f]{12}$")
    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w .@+-]+$")
    """Whose it is; logs and metrics name it."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Of the secret."""
    scopes: tuple[Scope, ...]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    rates: Rates = Rates()


class KeyFile(Config):
    """All keys of a server."""

    keys: tuple[Key, ...] = ()


def new_key(
    name: str,
    *,
    scopes: Sequence[Scope],
    now: datetime,
    expires: datetime | None = None,
    rates: Rates | None = None,
) -> tuple[Key, str]:
    """A line for the file, and the key itself, which is known nowhere else."""
    secret = secrets.token_urlsafe(32)
    key = Key(
        id=secrets.token_hex(6),
        name=name,
        sha256=hash_of(secret),
        scopes=tuple(scopes),
        created=now,
        expires=expires,
        rates=rates or Rates(),
    )
    return key, f"figclip_{key.id}_{secret}"


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def read_keys(path: Path) -> KeyFile:
    """`UsageError` where the file is missing or is no file of keys."""
    try:
        return KeyFile.from_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: no file of keys; `python -m serve_apps.keys add NAME --file {path}` makes one"
        ) from error


def write_keys(path: Path, keys: KeyFile) -> None:
    """Whole or not at all, and readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.touch(mode=0o600)
    try:
        beside.write_text(json.dumps(keys.model_dump(mode="json"), indent=1) + "\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


class KeyRing:
    """The keys of a file, as it is now.

    A file that is changed is read again within a second. One that is damaged meanwhile changes
    nothing, and the log says so; one that is taken away takes all its keys with it.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._seen = _state_of(path)
        self._looked_at = clock()
        self._keys = _by_id(read_keys(path))

    def find(self, text: str) -> Key | None:
        """The key of this text; None where there is none, or its time is over.

        The time that this takes tells nothing of any secret.
        """
        self._look()
        match = KEY.fullmatch(text)
        key = self._keys.get(match[1]) if match else None
        is_right = hmac.compare_digest(hash_of(match[2] if match else ""), _hash(key))
        if key is None or not is_right:
            return None
        is_over = key.expires is not None and key.expires <= datetime.now(UTC)
        return None if is_over else key

    def __len__(self) -> int:
        return len(self._keys)

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        state = _state_of(self._path)
        if state == self._seen:
            return
        try:
            self._keys = _by_id(read_keys(self._path)) if state else {}
            log.info("%d keys read from %s", len(self._keys), self._path)
        except (UsageError, OSError) as error:
            log.error("the keys stay as they were, because their file is damaged: %s", error)
        self._seen = state


def _by_id(file: KeyFile) -> dict[str, Key]:
    return {key.id: key for key in file.keys}


def _hash(key: Key | None) -> str:
    return NOBODY if key is None else key.sha256


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def refuse_exposed(host: str | None, *, has_keys: bool) -> None:
    """`UsageError` where the service would be reached from other machines, and by anybody.

    `host` is what the server listens at; None where it listens nowhere.
    """
    if has_keys or host is None or is_loopback(host):
        return
    raise UsageError(
        f"the service would listen at {host}, beyond this machine, without keys: make a key with "
        f"`python -m serve_apps.keys add NAME --file keys.json` and start it with keys=keys.json, "
        f"or let it listen at 127.0.0.1 (http_options.host)"
    )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name may mean any address
