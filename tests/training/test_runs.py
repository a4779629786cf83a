"""The folder of an unfinished run: who may resume it, what is cleared, what a kill tore."""

import json
import uuid

import pytest

from figclip.config import UsageError
from figclip.store import Folder, Store
from figclip.training.pretrain import (
    SNAPSHOT,
    PretrainConfig,
    check_sizes,
    claim,
    clear_leftovers,
    forget_torn_snapshot,
)

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
        claim(run, RECORD | changed)
    assert json.loads(run.read("run.json")) == RECORD
    assert run.read("tokenizer.json") == b"kept"


def test_files_without_a_record_are_of_no_run(run):
    run.write("tokenizer.json", b"of whom?")
    claim(run, RECORD)
    assert list(run.files()) == ["run.json"]


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


@pytest.mark.parametrize(
    ("overrides", "num_rows", "message"),
    [
        ({"batch_size": 10}, 100, r"a batch of 10 .* --batch-size .* to multiples of 4"),
        ({"batch_schedule": [[1, 18]], "epochs": 2}, 100, r"a batch of 18 .* multiples of 4"),
        ({"lanes": 3}, 100, r"3 lanes .* by 2 workers: set --lanes to a multiple of 2"),
        ({"batch_size": 8}, 7, "7 training pairs .* one batch of 8: set a smaller --batch-size"),
        ({"pixels.size": 64}, 100, "64 px .* 224 px: set --pixels.size or --model.vision.image-si"),
        ({"optim.warmup_steps": 12}, 100, "set --optim.warmup-steps below 12, or raise --epochs"),
        ({"optim.warmup_samples": 96}, 100, "set --optim.warmup-samples below 96, or raise"),
    ],
)
def test_sizes_that_do_not_fit_name_the_remedy(overrides, num_rows, message):
    fits = {"batch_size": 8, "epochs": 1, "lanes": 4, "optim.warmup_steps": 5}
    check_sizes(PretrainConfig().with_overrides(fits), num_rows=100, workers=range(2, 3))
    config = PretrainConfig().with_overrides(fits | overrides)
    with pytest.raises(UsageError, match=message):
        check_sizes(config, num_rows=num_rows, workers=range(2, 3))


def test_lanes_must_suit_every_number_of_workers_that_a_run_may_come_to():
    config = PretrainConfig().with_overrides({"epochs": 1, "optim.warmup_steps": 0})
    fitting = config.with_overrides({"lanes": 12, "batch_size": 24})
    check_sizes(fitting, num_rows=100, workers=range(2, 5))
    unfitting = config.with_overrides({"lanes": 8, "batch_size": 24})
    with pytest.raises(
        UsageError, match=r"8 lanes .* by 3 workers: set --lanes to a multiple of 12"
    ):
        check_sizes(unfitting, num_rows=100, workers=range(2, 5))
