"""Laws of a run's plan, beside a loop that counts one step after another."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.config import UsageError
from figclip.training.optim import OptimConfig
from figclip.training.schedule import (
    Schedule,
    learning_rate,
    lr_at,
    schedule_of,
    warmup_of,
)


@st.composite
def schedules(draw) -> tuple[Schedule, list[tuple[int, int]]]:
    """A schedule, and `(epoch, batch size)` of every step of it, counted in plain loops."""
    num_rows, epochs = draw(st.integers(20, 200)), draw(st.integers(1, 6))
    sizes = [draw(st.integers(1, 20))]
    changes = sorted(draw(st.sets(st.integers(1, max(epochs - 1, 1)), max_size=3)))
    changes = [change for change in changes if change < epochs]
    sizes += [draw(st.integers(1, 20)) for _ in changes]
    schedule = schedule_of(
        num_rows=num_rows,
        epochs=epochs,
        batch_size=sizes[0],
        batch_schedule=tuple(zip(changes, sizes[1:], strict=True)),
    )
    steps = []
    for epoch in range(epochs):
        size = sizes[sum(change <= epoch for change in changes)]
        steps += [(epoch, size)] * (num_rows // size)
    return schedule, steps


@given(schedules())
def test_the_samples_of_all_steps_add_up_and_every_step_knows_its_place(planned):
    schedule, steps = planned
    samples = 0
    for number, (epoch, size) in enumerate(steps):
        assert schedule.samples(number) == samples
        assert schedule.epoch_of(number).number == epoch
        assert schedule.epoch_of(number).batch_size == size
        samples += size
    assert (schedule.num_steps, schedule.num_samples) == (len(steps), samples)


@given(schedules(), st.integers(0, 500))
def test_what_is_left_after_a_step_is_the_rest_of_the_whole(planned, done):
    schedule, steps = planned
    left = [
        (epoch.number, epoch.batch_size)
        for epoch in schedule.epochs_after(done)
        for step in range(epoch.first_step, epoch.last_step)
        if step >= done
    ]
    assert left == steps[done:]


def test_most_steps_of_the_papers_schedule_are_in_the_first_fifth_of_its_samples():
    """Why it is planned by samples: 4,096 for 8 epochs, 65,536 for 32, of 13.9 million pairs."""
    schedule = schedule_of(
        num_rows=13_888_000, epochs=40, batch_size=4_096, batch_schedule=((8, 65_536),)
    )
    assert schedule.num_steps == 8 * (13_888_000 // 4_096) + 32 * (13_888_000 // 65_536)
    early = schedule.epochs[8].first_step
    assert 0.79 < early / schedule.num_steps < 0.81
    assert 0.19 < schedule.samples(early) / schedule.num_samples < 0.21


@given(schedules(), st.sampled_from(["samples", "steps"]), st.integers(0, 400))
def test_the_learning_rate_climbs_to_its_peak_and_falls_to_zero(planned, follows, warmup):
    schedule, steps = planned
    of_warmup = {"warmup_steps": min(warmup, len(steps) - 1)}
    config = OptimConfig(lr=3.0, lr_follows=follows, **of_warmup)
    rates = [learning_rate(config, schedule, step) for step in range(len(steps))]
    assert all(0 < rate <= 3 for rate in rates)
    top = of_warmup["warmup_steps"]
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 5))
def test_steps_and_samples_are_one_thing_while_the_batch_keeps_its_size(size, epochs, warmup):
    schedule = schedule_of(num_rows=300, epochs=epochs, batch_size=size)
    config = OptimConfig(warmup_steps=warmup)
    by_steps = config.with_overrides({"lr_follows": "steps"})
    for step in range(schedule.num_steps):
        found = learning_rate(config, schedule, step)
        assert found == pytest.approx(learning_rate(by_steps, schedule, step))


@pytest.mark.parametrize(
    ("samples", "share"),
    [(0, 0), (50, 0.5), (100, 1), (350, (1 + math.cos(math.pi / 4)) / 2), (600, 0.5), (1100, 0)],
)
def test_the_learning_rate_at_known_points(samples, share):
    assert lr_at(samples, peak=2.0, warmup=100, total=1100) == pytest.approx(2.0 * share)


def test_without_warmup_the_curve_begins_at_the_peak():
    assert lr_at(0, peak=1.0, warmup=0, total=10) == 1.0


def test_a_warmup_is_counted_in_what_the_learning_rate_follows():
    """100 rows: an epoch of ten steps of 10, and then of two steps of 50."""
    schedule = schedule_of(num_rows=100, epochs=2, batch_size=10, batch_schedule=((1, 50),))
    expected = {
        ("samples", 11, None): 150,
        ("samples", 11, 77): 77,
        ("steps", 11, None): 11,
        ("steps", 0, 77): 8,
        ("steps", 0, 120): 11,
    }
    for (follows, steps, samples), length in expected.items():
        config = OptimConfig(lr_follows=follows, warmup_steps=steps, warmup_samples=samples)
        assert warmup_of(config, schedule) == length


@pytest.mark.parametrize(
    ("optim", "remedy"),
    [
        ({"warmup_steps": 12}, r"--optim.warmup-steps below 12"),
        ({"warmup_samples": 200}, r"--optim.warmup-samples below 200"),
    ],
)
def test_a_warmup_longer_than_the_run_names_the_remedy(optim, remedy):
    schedule = schedule_of(num_rows=100, epochs=2, batch_size=10, batch_schedule=((1, 50),))
    with pytest.raises(UsageError, match=remedy):
        warmup_of(OptimConfig(**optim), schedule)


@pytest.mark.parametrize("changes", [((3, 8),), ((0, 8),), ((2, 8), (1, 4)), ((1, 8), (1, 4))])
def test_changes_of_the_batch_that_cannot_be_name_the_remedy(changes):
    with pytest.raises(UsageError, match=r"--batch-schedule to ascending numbers of epochs"):
        schedule_of(num_rows=100, epochs=3, batch_size=10, batch_schedule=changes)


def test_a_later_batch_that_is_never_full_names_the_remedy():
    with pytest.raises(UsageError, match=r"100 training pairs do not fill one batch of 101"):
        schedule_of(num_rows=100, epochs=3, batch_size=10, batch_schedule=((1, 101),))
