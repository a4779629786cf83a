import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from figclip.config import UsageError
from figclip.serving.door.keys import (
    KeyFile,
    KeyRing,
    is_loopback,
    new_key,
    read_keys,
    refuse_exposed,
    write_keys,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_found_by_its_text_and_by_no_other(tmp_path: Path):
    one, text = new_key("one", scopes=["embed"], now=NOW)
    other, other_text = new_key("other", scopes=["search"], now=NOW)
    write_keys(tmp_path / "keys.json", KeyFile(keys=(one, other)))
    ring = KeyRing(tmp_path / "keys.json")
    assert ring.find(text) == one
    assert ring.find(other_text) == other
    swapped = f"{text[: text.rindex('_')]}{other_text[other_text.rindex('_') :]}"
    for wrong in ("", "none", text[:-1], text + "A", text.upper(), f"{text} ", one.sha256, swapped):
        assert ring.find(wrong) is None, wrong


def test_the_file_holds_no_key_and_is_its_owners_alone(tmp_path: Path):
    key, text = new_key("one", scopes=["embed"], now=NOW)
    path = tmp_path / "folder" / "keys.json"
    write_keys(path, KeyFile(keys=(key,)))
    assert text.split("_", 2)[2] not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["keys.json"]


def test_keys_of_one_second_are_no_keys_of_the_next(tmp_path: Path):
    path, clock = tmp_path / "keys.json", Clock()
    old, old_text = new_key("old", scopes=["embed"], now=NOW)
    new, new_text = new_key("new", scopes=["embed"], now=NOW)
    write_keys(path, KeyFile(keys=(old,)))
    ring = KeyRing(path, clock=clock)
    write_keys(path, KeyFile(keys=(new,)))
    assert ring.find(new_text) is None  # the file is not looked at for every request
    clock.now = 1.1
    assert ring.find(new_text) == new
    assert ring.find(old_text) is None


def test_a_damaged_file_changes_nothing_and_a_missing_one_shuts_the_door(tmp_path: Path):
    path, clock = tmp_path / "keys.json", Clock()
    key, text = new_key("one", scopes=["embed"], now=NOW)
    write_keys(path, KeyFile(keys=(key,)))
    ring = KeyRing(path, clock=clock)
    path.write_text(path.read_text()[:-20])
    clock.now = 2
    assert ring.find(text) == key
    path.unlink()
    clock.now = 4
    assert ring.find(text) is None


def test_a_key_ends_with_its_time(tmp_path: Path):
    now = datetime.now(UTC)
    ended, ended_text = new_key("a", scopes=["embed"], now=now, expires=now - timedelta(seconds=1))
    good, good_text = new_key("b", scopes=["embed"], now=now, expires=now + timedelta(hours=1))
    write_keys(tmp_path / "keys.json", KeyFile(keys=(ended, good)))
    ring = KeyRing(tmp_path / "keys.json")
    assert ring.find(ended_text) is None
    assert ring.find(good_text) == good


def test_what_is_no_file_of_keys_is_refused_with_a_remedy(tmp_path: Path):
    with pytest.raises(UsageError, match=r"serve_apps\.keys add"):
        KeyRing(tmp_path / "keys.json")
    (tmp_path / "keys.json").write_text('{"keys": [{"id": "x"}]}')
    with pytest.raises(UsageError, match="does not fit"):
        KeyRing(tmp_path / "keys.json")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "203.0.113.9", "figures.example"])
def test_nobody_listens_beyond_loopback_without_keys(host: str):
    with pytest.raises(UsageError, match=r"serve_apps\.keys add"):
        refuse_exposed(host, has_keys=False)
    refuse_exposed(host, has_keys=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_key(host: str):
    assert is_loopback(host)
    refuse_exposed(host, has_keys=False)
    refuse_exposed(None, has_keys=False)


def keys_command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-m", "serve_apps.keys", *words],
        cwd=cwd,
        env=env,
        text=True,
        capture_output=True,
        check=False,
    )


def test_the_command_makes_lists_and_revokes(tmp_path: Path):
    made = keys_command("add", "ci", "--scopes", "embed", "--expires-days", "90", cwd=tmp_path)
    text = made.stdout.strip()
    assert re.fullmatch(r"figclip_[0-9a-f]{12}_[\w-]{43}", text), made.stderr
    key = KeyRing(tmp_path / "keys.json").find(text)
    assert key is not None
    assert (key.name, key.scopes) == ("ci", ("embed",))
    assert "ci  embed" in keys_command("list", cwd=tmp_path).stdout
    again = keys_command("add", "ci", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert "choose another name" in again.stderr
    assert keys_command("revoke", "ci", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "keys.json").read_text()) == {"keys": []}
    assert keys_command("revoke", "ci", cwd=tmp_path).returncode == 2
    assert read_keys(tmp_path / "keys.json") == KeyFile()
