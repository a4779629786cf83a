"""The keys of a service: make one, list them, take one back. Running services notice by themselves.

python -m serve_apps.keys add ci --scopes embed --expires-days 90 --items-per-minute 6000
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, subcommand

from figclip.config import UsageError
from figclip.serving.door.keys import SCOPES, Key, KeyFile, Scope, new_key, read_keys, write_keys
from figclip.serving.door.rates import Rates

FILE = Path("keys.json")


@dataclass(frozen=True)
class Add:
    """Make a key and print it: it is shown this once, and kept as a hash."""

    name: Positional[str]
    """Whose it is; logs and metrics name it."""
    file: Path = FILE
    """The file of keys, which a service is told by `keys=`."""
    scopes: tuple[Scope, ...] = SCOPES
    """What it opens: the embeddings' endpoints, the search, or both."""
    expires_days: float | None = None
    """Days until it ends by itself."""
    requests_per_minute: float | None = None
    """The most that it may ask for; without a number the service's own."""
    items_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def run(self, now: datetime) -> str:
        keys = read_keys(self.file) if self.file.exists() else KeyFile()
        if any(key.name == self.name for key in keys.keys):
            raise UsageError(
                f"{self.name}: a key of this name is in {self.file}: choose another name, "
                f"{self.name}-2 for instance, and revoke the old key when the new one is in use"
            )
        rates = Rates(
            requests_per_minute=self.requests_per_minute,
            items_per_minute=self.items_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )
        expires = now + timedelta(days=self.expires_days) if self.expires_days else None
        key, text = new_key(self.name, scopes=self.scopes, now=now, expires=expires, rates=rates)
        write_keys(self.file, KeyFile(keys=(*keys.keys, key)))
        return text


@dataclass(frozen=True)
class List:
    """Show what is known of every key."""

    file: Path = FILE

    def run(self, now: datetime) -> str:
        return "\n".join(_line(key, now) for key in read_keys(self.file).keys)


@dataclass(frozen=True)
class Revoke:
    """Take a key back; whoever uses it is refused within a second or two."""

    name: Positional[str]
    """The key's name, or its id."""
    file: Path = FILE

    def run(self, now: datetime) -> str:
        keys = read_keys(self.file).keys
        kept = tuple(key for key in keys if self.name not in (key.name, key.id))
        if len(kept) == len(keys):
            names = ", ".join(key.name for key in keys) or "none"
            raise UsageError(f"{self.name}: no such key in {self.file}; it has: {names}")
        write_keys(self.file, KeyFile(keys=kept))
        return f"{self.name} is revoked"


def _line(key: Key, now: datetime) -> str:
    until = f"until {key.expires:%Y-%m-%d}" if key.expires else "without end"
    if key.expires and key.expires <= now:
        until = f"ended {key.expires:%Y-%m-%d}"
    limits = ", ".join(
        f"{value:g} {name.replace('_', ' ')}" for name, value in key.rates if value is not None
    )
    words = (key.id, key.name, "+".join(key.scopes), f"since {key.created:%Y-%m-%d}", until, limits)
    return "  ".join(word for word in words if word)


Command = (
    Annotated[Add, subcommand("add")]
    | Annotated[List, subcommand("list")]
    | Annotated[Revoke, subcommand("revoke")]
)


def main() -> None:
    command = tyro.cli(Command, prog="python -m serve_apps.keys")
    try:
        print(command.run(datetime.now(UTC)))
    except UsageError as error:
        print(f"serve_apps.keys: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
