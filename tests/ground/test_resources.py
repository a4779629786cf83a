"""What a cluster cannot hold is refused before it is waited for."""

import logging

import pytest

from figclip.config import UsageError
from figclip.resources import is_joined_cluster, require_resources

REMEDIES = {"CPU": "set --num-workers lower", "GPU": "set --no-use-gpu"}
THERE = {"CPU": 4.0, "memory": 1e9}


def test_what_just_fits_is_no_fault():
    needed = {"CPU": 4, "GPU": 0}
    assert require_resources(needed, THERE, remedies=REMEDIES, can_grow=False) is None


@pytest.mark.parametrize(
    ("needed", "message"),
    [
        ({"CPU": 4.25}, "needs 4.25 CPUs and the cluster has 4: set --num-workers lower"),
        ({"CPU": 1, "GPU": 1}, "needs 1 GPUs and the cluster has 0: set --no-use-gpu"),
    ],
)
def test_what_does_not_fit_names_its_own_remedy(needed, message):
    with pytest.raises(UsageError, match=message):
        require_resources(needed, THERE, remedies=REMEDIES, can_grow=False)


def test_a_cluster_that_can_grow_is_only_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        require_resources({"GPU": 8}, THERE, remedies=REMEDIES, can_grow=True)
    assert "needs 8 GPUs" in caplog.text
    assert "--no-use-gpu" in caplog.text


@pytest.mark.parametrize(
    ("environ", "joined"),
    [({}, False), ({"RAY_ADDRESS": ""}, False), ({"RAY_ADDRESS": "10.0.0.1:6379"}, True)],
)
def test_only_a_named_cluster_may_grow(environ, joined):
    assert is_joined_cluster(environ) is joined
