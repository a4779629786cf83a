"""Frozen configurations: presets, dotted overrides, and a resolved JSON that runs again."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import tyro
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError, to_json

C = TypeVar("C", bound="Config")


class UsageError(Exception):
    """What the person at the keyboard can mend; its text names the remedy. Jobs print it bare."""


class Config(BaseModel):
    """A frozen value. An unknown key, or a value of another type, is an error.

    The sentence under a field is its documentation and its `--help`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="constants",  # an infinite number written as null would not run again
    )

    def with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """A validated copy: `config.with_overrides({"optim.lr": 1e-3})`.

        `UsageError` names the key that the config does not have, or the value that does not fit.
        """
        values = self.model_dump(mode="json")
        for dotted, value in overrides.items():
            *path, last = dotted.split(".")
            inner: Any = values
            for part in path:
                inner = inner.get(part) if isinstance(inner, dict) else None
            if not isinstance(inner, dict) or last not in inner:
                known = ", ".join(dotted_names(type(self)))
                raise UsageError(f"unknown key {dotted!r}; this config has: {known}")
            inner[last] = value
        try:
            return type(self).from_json(to_json(values, inf_nan_mode="constants"))
        except PydanticSerializationError as error:
            raise UsageError(f"a config holds plain values only: {error}") from error

    def to_json(self) -> str:
        return self.model_dump_json(indent=1)

    def part(self, base: type[C]) -> C:
        """The fields of `base`, a class that this config extends, as a `base`."""
        return base(**{name: getattr(self, name) for name in base.model_fields})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The config that `to_json` wrote; `UsageError` lists every key that does not fit."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc'])) or 'config'}: {fault['msg']}"
                for fault in error.errors()
            )
            if any(fault["type"] == "extra_forbidden" for fault in error.errors()):
                faults += f"; this config has: {', '.join(dotted_names(cls))}"
            raise UsageError(f"{cls.__name__} does not fit: {faults}") from error


def dotted_names(config: type[Config], prefix: str = "") -> list[str]:
    """`optim`, `optim.lr`, ...: every key of a config, in its own order."""
    names = []
    for key, field in config.model_fields.items():
        names.append(f"{prefix}{key}")
        if isinstance(field.annotation, type) and issubclass(field.annotation, Config):
            names += dotted_names(field.annotation, f"{prefix}{key}.")
    return names


def _first_that_fits(presets: Sequence[C], text: bytes) -> C:
    """The config of a file, of one of the presets' classes; the complaint is that of the first."""
    first, *others = dict.fromkeys(type(preset) for preset in presets)
    try:
        return first.from_json(text)
    except UsageError:
        for other in others:
            with suppress(UsageError):
                return other.from_json(text)
        raise


def config_from_args(presets: Mapping[str, C], args: Sequence[str], prog: str) -> C:
    """`[PRESET | path/to/config.json] [--dotted.override value ...]` → a config.

    The first preset is the default. `UsageError` where the preset or the file is not there;
    tyro's own message and exit code 2 where an option is wrong.
    """
    rest = list(args)
    name = rest.pop(0) if rest and not rest[0].startswith("-") else next(iter(presets))
    if name in presets:
        base = presets[name]
    elif name.endswith(".json"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"{name}: no such config file; presets: {', '.join(presets)}")
        base = _first_that_fits([*presets.values()], path.read_bytes())
    else:
        raise UsageError(f"unknown preset {name!r}; presets: {', '.join(presets)}, or a .json file")
    return tyro.cli(
        type(base),
        default=base,
        args=rest,
        prog=f"{prog} [{'|'.join(presets)}|config.json]",
    )
