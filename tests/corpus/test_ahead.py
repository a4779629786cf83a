"""Fetching ahead: the same values as one after another, never computed on two threads at once."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.corpus.ahead import in_order

rounds = st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=3)


def adder(rounds_of_one, here=None, seen=None):
    """Fetches numbers round by round and adds them; each call sleeps as many milliseconds."""
    total = 0
    for numbers in rounds_of_one:
        if seen is not None:
            seen.append(threading.get_ident())
        futures = yield [lambda n=n: (time.sleep(n / 1000), n)[1] for n in numbers]
        total += sum(future.result() for future in futures)
    return total


@given(st.lists(rounds, max_size=8), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_the_values_come_in_the_order_of_the_work(works, num_threads, num_ahead):
    found = list(in_order(map(adder, works), num_threads=num_threads, num_ahead=num_ahead))
    assert found == [sum(map(sum, rounds_of_one)) for rounds_of_one in works]


def test_all_computing_is_done_in_the_callers_thread():
    seen: list[int] = []
    list(in_order([adder([[1], [2]], seen=seen) for _ in range(5)], num_threads=3, num_ahead=3))
    assert set(seen) == {threading.get_ident()}
    assert len(seen) == 10


def test_calls_of_several_works_run_side_by_side_but_no_more_than_allowed():
    running, most, lock = 0, 0, threading.Lock()

    def call():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1

    def work():
        yield [call, call]

    list(in_order((work() for _ in range(6)), num_threads=3, num_ahead=4))
    assert most == 3


def test_no_more_works_are_begun_than_may_be_ahead():
    begun = 0

    def work(wait_s):
        nonlocal begun
        begun += 1
        yield [lambda: time.sleep(wait_s)]

    values = in_order((work(0.1 if n == 0 else 0) for n in range(20)), num_threads=4, num_ahead=3)
    next(values)
    assert begun == 3


def test_a_fault_of_a_call_is_the_works_to_answer_and_its_own_is_raised():
    def careful():
        (future,) = yield [lambda: 1 / 0]
        return type(future.exception()).__name__

    def careless():
        (future,) = yield [lambda: 1 / 0]
        return future.result()

    assert list(in_order([careful()], num_threads=1, num_ahead=1)) == ["ZeroDivisionError"]
    with pytest.raises(ZeroDivisionError):
        list(in_order([careful(), careless(), careful()], num_threads=2, num_ahead=3))
