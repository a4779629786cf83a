"""The folder of an unfinished run: who may resume it, what is cleared, what a kill tore."""

import json
import uuid

import pytest
from ray.train import ScalingConfig

from figclip.config import UsageError
from figclip.store import Folder, Store
from figclip.training.elastic import EvenScalingPolicy, largest_divisor
from figclip.training.runs import SNAPSHOT, claim, clear_leftovers, find_run, forget_torn_snapshot

RECORD = {"config": {"seed": 0}, "inputs": ["pairs@a"]}


@pytest.fixture
def run(tmp_path) -> Folder:
    return Store(tmp_path).root / "runs" / "encoder-v"


@pytest.fixture(params=["local", "s3"])
def anywhere(request, tmp_path) -> Folder:
    """A folder on disk, and one on an object store."""
    if request.param == "local":
        return Store(tmp_path).root
    server = request.getfixturevalue("s3_server")
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bucket = f"runs-{uuid.uuid4().hex}"
    request.getfixturevalue("s3_client").create_bucket(Bucket=bucket)
    host = server.removeprefix("http://")
    url = f"s3://{bucket}/x?endpoint_override={host}&scheme=http&region=us-east-1"
    return Store(url).root


def test_the_same_run_is_resumed_with_what_it_had(run):
    claim(run, RECORD)
    run.write("tokenizer.json", b"kept")
    find_run(run, RECORD)
    claim(run, RECORD)
    assert run.read("tokenizer.json") == b"kept"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"config": {"seed": 1}}, "another config"),
        ({"inputs": ["pairs@b"]}, "another inputs"),
        ({"config": {"seed": 1}, "inputs": ["pairs@b"]}, "another config and inputs"),
    ],
)
def test_another_run_is_refused_and_harms_nothing(run, changed, named):
    claim(run, RECORD)
    run.write("tokenizer.json", b"kept")
    with pytest.raises(UsageError, match=f"{named}.*take a new version, or delete that folder"):
        find_run(run, RECORD | changed)
    assert json.loads(run.read("run.json")) == RECORD
    assert run.read("tokenizer.json") == b"kept"


def test_files_without_a_record_are_of_no_run(run):
    run.write("tokenizer.json", b"of whom?")
    find_run(run, RECORD)
    assert not run.files()


def test_what_is_left_of_a_published_run_is_cleared(run):
    claim(run, RECORD)
    run.write("train/checkpoint_1/state.pt", b"weights")
    clear_leftovers(run, {"config": {"seed": 0}, "inputs": ["pairs@a"]})
    assert not run.files()


def test_another_run_of_the_same_name_is_not_cleared(run):
    claim(run, RECORD)
    clear_leftovers(run, {"config": {"seed": 1}, "inputs": ["pairs@a"]})
    assert list(run.files()) == ["run.json"]
    clear_leftovers(run / "nowhere", {"config": {}})


def test_half_a_list_of_checkpoints_is_deleted_and_a_whole_one_kept(anywhere):
    whole = json.dumps({"checkpoint_results": [{"metrics": {"steps": 6}}]}).encode()
    anywhere.write("checkpoint_1/state.pt", b"weights")
    forget_torn_snapshot(anywhere)
    for torn in (b"", whole[:17], whole + b"}", b"\xff\xfe"):
        anywhere.write(SNAPSHOT, torn)
        forget_torn_snapshot(anywhere)
        assert list(anywhere.files()) == ["checkpoint_1/state.pt"]
    anywhere.write(SNAPSHOT, whole)
    forget_torn_snapshot(anywhere)
    assert anywhere.read(SNAPSHOT) == whole


@pytest.mark.parametrize("number", [1, 7, 12, 64])
def test_the_largest_divisor_is_what_counting_down_finds(number: int):
    for most in range(1, 70):
        down = next(n for n in range(most, 0, -1) if n <= number and number % n == 0)
        assert largest_divisor(number, most) == down
    assert largest_divisor(number, 0) == 0


def test_an_elastic_run_takes_the_workers_that_can_share_its_lanes():
    scaling = ScalingConfig(num_workers=(2, 16), resources_per_worker={"CPU": 2})
    policy = EvenScalingPolicy(scaling, num_lanes=64)
    found = [policy._count_possible_workers({"a": {"CPU": 2.0 * n}}) for n in range(20)]
    assert found == [0, 1, 2, 2, 4, 4, 4, 4, *[8] * 8, *[16] * 4]
