import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.serving.door.rates import Bucket, Meters, Rates


def test_a_minutes_worth_may_come_at_once_and_no_more():
    meters = Meters(Rates(requests_per_minute=60), now=0.0)
    for _ in range(60):
        assert meters.wait_s(0.0) is None
        meters.take("requests", 1, 0.0)
    assert meters.wait_s(0.0) == (1, "requests")
    assert meters.wait_s(1.0) is None


def test_nobody_without_a_limit_waits():
    meters = Meters(Rates(), now=0.0)
    meters.take("items", 1e9, 0.0)
    assert meters.wait_s(0.0) is None


def test_a_request_larger_than_a_minutes_worth_is_served_and_then_paid_for():
    meters = Meters(Rates(items_per_minute=60), now=0.0)
    meters.take("items", 120, 0.0)
    assert meters.wait_s(0.0) == (61, "items")
    assert meters.wait_s(60.5) == (1, "items")
    assert meters.wait_s(61.0) is None


def test_the_longest_wait_is_told():
    meters = Meters(Rates(requests_per_minute=60, tokens_per_minute=6), now=0.0)
    meters.take("requests", 60, 0.0)
    meters.take("tokens", 7, 0.0)
    assert meters.wait_s(0.0) == (20, "tokens")


def test_each_of_three_gateways_counts_by_a_third():
    rates = Rates(requests_per_minute=90, tokens_per_minute=3).divided(1 / 3)
    assert rates.requests_per_minute == pytest.approx(30)
    assert rates.tokens_per_minute == pytest.approx(1)
    assert rates.items_per_minute is None


@given(
    st.floats(0.5, 6_000),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 50)), max_size=60),
)
def test_who_asks_when_told_gets_the_rate_and_never_more(per_minute: float, asked: list):
    """Against the definition: in any time, a minute's worth at once, then the rate, and at most
    one request beyond."""
    bucket = Bucket(per_minute, max(1.0, per_minute), 0.0)
    now, taken, most = 0.0, 0.0, 0
    for pause, amount in asked:
        now += pause
        if bucket.wait_s(now) > 0:
            continue
        bucket.take(amount, now)
        taken, most = taken + amount, max(most, amount)
        assert taken <= max(1.0, per_minute) + now * per_minute / 60 + most + 1e-6
    wait = bucket.wait_s(now)
    assert bucket.wait_s(now + wait + 1e-6) == 0 or math.isclose(wait, 0, abs_tol=1e-6)
