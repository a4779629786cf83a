"""A configuration is a frozen, strict value that JSON and the command line can hand around."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import PositiveFloat, ValidationError

from figclip.config import Config, UsageError, config_from_args


class Optim(Config):
    """How the weights move."""

    lr: PositiveFloat = 5e-4
    """Peak learning rate, reached after the warm-up."""
    clip: float = math.inf
    """Largest norm of the gradient."""
    betas: tuple[float, float] = (0.9, 0.98)


class Run(Config):
    pairs: str = "demo"
    """Version of the pairs to learn from."""
    seed: int = 0
    kinds: tuple[Literal["fig", "table"], ...] = ("fig",)
    licenses: tuple[str, ...] | None = None
    longest_side: int | None = 768
    folder: Path = Path("out")
    is_small: bool = True
    optim: Optim = Optim()


PRESETS = {"tiny": Run(), "large": Run(pairs="all", is_small=False, optim=Optim(lr=1))}
KEYS = (
    "pairs, seed, kinds, licenses, longest_side, folder, is_small, "
    "optim, optim.lr, optim.clip, optim.betas"
)

runs = st.builds(
    Run,
    pairs=st.text(),
    seed=st.integers(),
    kinds=st.lists(st.sampled_from(["fig", "table"])).map(tuple),
    licenses=st.none() | st.lists(st.text()).map(tuple),
    longest_side=st.none() | st.integers(),
    is_small=st.booleans(),
    optim=st.builds(
        Optim,
        lr=st.floats(min_value=0, exclude_min=True),
        clip=st.floats(allow_nan=False),
        betas=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    ),
)


@settings(max_examples=50, deadline=None)
@given(config=runs)
def test_a_config_comes_back_from_its_json(config: Run):
    assert Run.from_json(config.to_json()) == config
    assert Run.from_json(config.to_json().encode()) == config


@settings(max_examples=50, deadline=None)
@given(config=runs, other=runs)
def test_overriding_every_key_gives_the_other_config(config: Run, other: Run):
    flat: dict[str, Any] = {key: getattr(other, key) for key in Run.model_fields if key != "optim"}
    dotted = {f"optim.{key}": getattr(other.optim, key) for key in Optim.model_fields}
    assert config.with_overrides(flat | dotted) == other
    assert config.with_overrides(flat | {"optim": other.optim}) == other


@settings(max_examples=50, deadline=None)
@given(config=runs)
def test_no_override_changes_nothing_and_an_override_leaves_the_config_as_it_was(config: Run):
    before = config.to_json()
    assert config.with_overrides({}) == config
    config.with_overrides({"optim.lr": 3.0, "seed": 5})
    assert config.to_json() == before


def test_a_config_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Run().seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Run(seed="1"),
        lambda: Run(seed=1.0),
        lambda: Run(is_small=1),
        lambda: Run(pairs=None),
        lambda: Run(kinds=["fig"]),
        lambda: Run(kinds=("figure",)),
        lambda: Run(optim=Optim(lr=0)),
        lambda: Run(learning_rate=1),
    ],
)
def test_a_value_of_another_type_or_an_unknown_key_is_an_error(make: Callable[[], Run]):
    with pytest.raises(ValidationError):
        make()


@pytest.mark.parametrize("key", ["sed", "optim.rate", "optim.lr.x", "x.y", "", "optim.", "pairs.x"])
def test_an_unknown_key_lists_the_known_ones(key: str):
    with pytest.raises(UsageError) as caught:
        Run().with_overrides({key: 1})
    assert str(caught.value) == f"unknown key {key!r}; this config has: {KEYS}"


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ({"optim.lr": -1.0}, r"optim\.lr: .*greater than 0"),
        ({"seed": "1"}, "seed: .*valid integer"),
        ({"kinds": ("figure",)}, r"kinds\.0: .*'fig' or 'table'"),
        ({"optim": {"lr": 1.0, "rate": 2.0}}, rf"optim\.rate: .*this config has: {KEYS}"),
        ({"seed": object()}, "plain values only"),
    ],
)
def test_an_override_that_does_not_fit_says_which(overrides: dict[str, Any], fault: str):
    with pytest.raises(UsageError, match=fault):
        Run().with_overrides(overrides)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "config: Invalid JSON"),
        ("[]", "config: .*object"),
        (b"\xff", "config: "),
        (
            '{"seed": 1, "sed": 2, "optim": {"rate": 3}}',
            rf"rate: .*; sed: .*this config has: {KEYS}",
        ),
        ('{"seed": 1.5}', "seed: .*valid integer"),
    ],
)
def test_a_json_that_does_not_fit_lists_every_fault(text: str | bytes, fault: str):
    with pytest.raises(UsageError, match=f"Run does not fit: .*{fault}"):
        Run.from_json(text)


class Walk(Config):
    steps: int = 1


def test_a_json_is_of_whichever_of_the_presets_classes_it_fits(tmp_path: Path):
    mixed: dict[str, Config] = {"run": Run(), "walk": Walk()}
    path = tmp_path / "config.json"
    path.write_text(Walk(steps=3).to_json())
    assert config_from_args(mixed, [str(path)], "jobs.mixed") == Walk(steps=3)
    path.write_text(Run(seed=3).to_json())
    assert config_from_args(mixed, [str(path)], "jobs.mixed") == Run(seed=3)
    path.write_text('{"stepps": 1}')
    with pytest.raises(UsageError, match="Run does not fit"):
        config_from_args(mixed, [str(path)], "jobs.mixed")


def from_args(*args: str) -> Run:
    return config_from_args(PRESETS, args, "jobs.run")


def test_the_first_preset_is_the_default_and_options_override_it():
    assert from_args() == PRESETS["tiny"]
    assert from_args("large") == PRESETS["large"]
    assert from_args("--seed", "3") == Run(seed=3)
    config = from_args(
        *("large", "--optim.lr", "1e-3", "--kinds", "fig", "table", "--longest-side", "None"),
        *("--no-is-small", "--licenses", "CC BY", "CC0"),
    )
    assert config == PRESETS["large"].with_overrides(
        {
            "optim.lr": 1e-3,
            "kinds": ("fig", "table"),
            "longest_side": None,
            "is_small": False,
            "licenses": ("CC BY", "CC0"),
        }
    )


@pytest.mark.parametrize("key", ["longest_side", "longest-side"])
def test_the_command_line_knows_keys_by_their_dotted_names(key: str):
    assert from_args(f"--{key}", "5").longest_side == 5


def test_a_resolved_json_runs_again(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(from_args("large", "--optim.clip", "inf", "--seed", "4").to_json())
    assert from_args(str(path)) == PRESETS["large"].with_overrides({"seed": 4})
    assert from_args(str(path), "--seed", "1") == PRESETS["large"].with_overrides({"seed": 1})
    path.write_text('{"sed": 1}')
    with pytest.raises(UsageError, match=KEYS):
        from_args(str(path))


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("huge", r"unknown preset 'huge'; presets: tiny, large, or a \.json file"),
        ("none.json", r"none\.json: no such config file; presets: tiny, large"),
    ],
)
def test_a_preset_or_file_that_is_not_there_names_what_is(name: str, remedy: str):
    with pytest.raises(UsageError, match=remedy):
        from_args(name)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--optim.rate", "1"], "--optim.lr"),
        (["--optim.lr", "-1"], "greater than 0"),
        (["--optim.lr", "fast"], "Peak learning rate"),
        (["tiny", "large"], "large"),
        (["--kinds", "figure"], "fig"),
    ],
)
def test_a_wrong_option_ends_with_code_2_and_says_what_would_be_right(
    args: list[str], told: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as caught:
        from_args(*args)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_the_help_shows_the_sentences_under_the_fields(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        from_args("large", "--help")
    assert caught.value.code == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "jobs.run [tiny|large|config.json]" in told
    assert "Version of the pairs to learn from. (default: all)" in told
    assert "How the weights move." in told
    assert "Peak learning rate, reached after the warm-up. (default: 1.0)" in told
