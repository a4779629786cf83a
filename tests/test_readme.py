"""The commands of the README: targets exist, words parse, applications build from their words."""

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from figclip.config import config_from_args
from figclip.training.recipe import PretrainConfig, check_sizes
from jobs import pretrain

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"(?:^    .+\n)+", README, re.MULTILINE)
LINES = [
    line.split("#")[0].strip()
    for block in BLOCKS
    for line in re.sub(r"\\\n\s*", " ", block).splitlines()
]
COMMANDS = [line for line in LINES if re.match(r"(make|python -m|serve|ray) ", line)]


def test_the_two_commands_open_the_readme():
    assert [line for line in COMMANDS if line.startswith("make ")][:2] == ["make demo", "make test"]


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("make ")])
def test_make_knows_its_targets(command: str):
    dry = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True)
    assert dry.returncode == 0, dry.stderr


@pytest.mark.parametrize("command", [line for line in COMMANDS if "python -m jobs." in line])
def test_every_job_understands_its_words(command: str):
    words = shlex.split(command)
    if words[0] == "ray":
        assert words[:3] == ["ray", "job", "submit"]
        words = words[words.index("--") + 1 :]
    job = words[words.index("-m") + 1]
    module = importlib.import_module(job)
    # What a sweep found stands in its store, as a preset like the others.
    told = ["tiny" if word.startswith("best-of:") else word for word in words]
    config_from_args(module.PRESETS, told[words.index("-m") + 2 :], job)


VARIANTS = re.findall(r"^    #   \.\.\. .*?((?:biomedclip_\w+ )?--\w.*)$", README, re.MULTILINE)


@pytest.mark.parametrize("words", VARIANTS)
def test_every_variant_of_the_paper_run_has_sizes_that_fit(words: str):
    given = shlex.split(words)
    preset = [] if given[0].startswith("biomedclip_") else ["biomedclip_vit_b16"]
    job = config_from_args(pretrain.PRESETS, [*preset, *given], "jobs.pretrain")
    workers = range(job.min_workers or job.num_workers, job.num_workers + 1)
    check_sizes(job.part(PretrainConfig), num_rows=13_900_000, workers=workers)


def test_the_readme_has_variants_of_the_paper_run():
    assert len(VARIANTS) >= 5


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("serve run")])
def test_every_service_understands_its_words(command: str):
    _, _, target, *words = shlex.split(command)
    if target.endswith(".yaml"):
        applications = yaml.safe_load((ROOT / target).read_text())["applications"]
        asked = [(one["import_path"], one["args"]) for one in applications]
    else:
        asked = [(target, dict(word.split("=", 1) for word in words))]
    for place, given in asked:
        module, name = place.split(":")
        builder = getattr(importlib.import_module(module), name)
        (arguments,) = [hint for key, hint in builder.__annotations__.items() if key == "args"]
        arguments(**given)


def test_the_readme_names_commands_of_every_kind():
    kinds = {command.split()[0] for command in COMMANDS}
    assert kinds == {"make", "python", "serve", "ray"}
    assert len(COMMANDS) >= 9


def test_every_relative_link_leads_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert links
    assert all((ROOT / link).exists() for link in links)
