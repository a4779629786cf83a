"""Where sweeps are recorded: Optuna's storage in SQLite or Postgres, named by one URL."""

import logging
import re
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from figclip.config import UsageError

FILE = "sweeps.db"
"""In a store that is a local folder."""
WAIT_S = 10
"""For a server that does not answer; for another process that writes to a SQLite file, longer."""


def open_storage(url: str) -> RDBStorage:
    """`UsageError` that names the database, without its password, where it cannot be had."""
    optuna.logging.set_verbosity(logging.WARNING)
    kind = url.partition(":")[0]
    options: dict[str, Any]
    if kind == "sqlite":
        options = {"connect_args": {"timeout": 6 * WAIT_S}}
        _refuse_missing_folder(url)
    elif kind.split("+")[0] in ("postgresql", "postgres"):
        url = re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql+psycopg:", url)
        options = {"connect_args": {"connect_timeout": WAIT_S}, "pool_pre_ping": True}
    else:
        raise UsageError(
            f"{shown(url)} is no storage of sweeps: write sqlite:///FILE or "
            f"postgresql://USER@HOST/DATABASE"
        )
    try:
        return RDBStorage(url, engine_kwargs=options)
    except ImportError as error:
        raise UsageError(f"{shown(url)} needs `pip install 'figclip[postgres]'`") from error
    except (SQLAlchemyError, RuntimeError, OSError) as error:
        why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise UsageError(
            f"the storage of sweeps {shown(url)} cannot be used ({why}): start that database, or "
            f"name another with --storage; no trial was started"
        ) from error


def shown(url: str) -> str:
    """For people to read: without a password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return repr(url)


def _refuse_missing_folder(url: str) -> None:
    path = url.removeprefix("sqlite:///").partition("?")[0]
    if path and not Path(path).absolute().parent.is_dir():
        raise UsageError(f"the storage of sweeps {url} lies in no folder: make it, or name another")
