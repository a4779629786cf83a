"""What a gateway does between a request and a model."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from figclip.serving.batches.asking import Asking, AskingConfig, ModelGone
from figclip.serving.batches.batching import DeadlinePassed
from figclip.serving.batches.once import VectorCache
from figclip.serving.batches.transit import Answers, Pictures, packed
from figclip.serving.protocol import ApiError, Refusal, Vector


@dataclass
class Model:
    """Embeds an item as its length; remembers its calls."""

    calls: list[list[Any]] = field(default_factory=list)
    left_s: list[float] = field(default_factory=list)
    num_gone: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, items: list[Any], left_s: list[float]) -> Answers:
        self.calls.append(items)
        self.left_s += left_s
        if self.num_gone:
            self.num_gone -= 1
            raise ModelGone("killed")
        await self.gate.wait()
        return packed([self._answer(item) for item in items], dim=2)

    @staticmethod
    def _answer(item: Any) -> Vector | Refusal | DeadlinePassed:
        if item == b"broken":
            return Refusal("it is broken")
        if item == "late":
            return DeadlinePassed("late")
        return Vector(np.array([len(item), 0], np.float32), 1)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 10))


def asking_of(model: Model, **config: Any) -> Asking:
    usual = {"calls_under_way": 1, "cache_bytes": 0}
    return Asking(model, model, AskingConfig(**{**usual, **config}), model="m@1")


def firsts(answers: list[Vector | Refusal]) -> list[float]:
    return [answer.values[0] for answer in answers if isinstance(answer, Vector)]


def test_requests_that_come_together_are_one_call():
    async def prove() -> None:
        model = Model()
        model.gate.set()
        asking = asking_of(model)
        found = await asyncio.gather(*(asking.embed_texts(["x" * n, "y"]) for n in (2, 3, 4)))
        assert [firsts(answers) for answers in found] == [[2, 1], [3, 1], [4, 1]]
        assert model.calls == [["xx", "y", "xxx", "xxxx"]], "and the equal text is asked once"

    run(prove())


def test_a_bad_picture_among_good_ones_is_refused_alone():
    async def prove() -> None:
        model = Model()
        model.gate.set()
        images = [b"x" * (n + 1) for n in range(31)]
        found = await asking_of(model).embed_images([*images[:7], b"broken", *images[7:]])
        assert found.pop(7) == Refusal("it is broken")
        assert firsts(found) == [n + 1 for n in range(31)]
        assert len(model.calls) == 1

    run(prove())


def test_a_full_queue_is_a_429_with_a_time_to_come_back():
    async def prove() -> None:
        model = Model()
        asking = asking_of(model, queued_items=2, items_per_call=1)
        waiting = [asyncio.create_task(asking.embed_texts([text])) for text in ("a", "bb")]
        await asyncio.sleep(0.01)
        with pytest.raises(ApiError) as caught:
            await asking.embed_texts(["ccc", "dddd", "eeeee"])
        assert caught.value.status == 429
        assert caught.value.retry_after_s
        model.gate.set()
        assert [firsts(await task) for task in waiting] == [[1], [2]]
        assert model.calls == [["a"], ["bb"]], "nothing of the refused request was asked"

    run(prove())


def test_an_item_that_was_too_late_is_a_503():
    async def prove() -> None:
        model = Model()
        model.gate.set()
        with pytest.raises(ApiError) as caught:
            await asking_of(model).embed_texts(["late"])
        assert (caught.value.status, caught.value.code) == (503, "deadline_passed")

    run(prove())


def test_a_model_is_told_how_much_time_is_left():
    async def prove() -> None:
        model = Model()
        model.gate.set()
        await asking_of(model, max_wait_s=7.0).embed_texts(["a"])
        assert model.left_s == pytest.approx([7.0], abs=0.5)

    run(prove())


def test_a_replica_that_dies_with_a_call_loses_no_item(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("figclip.serving.batches.asking.PAUSE_S", 0.001)

    async def prove() -> None:
        model = Model(num_gone=2)
        model.gate.set()
        assert firsts(await asking_of(model).embed_texts(["a", "bb"])) == [1, 2]
        model.num_gone = 3
        with pytest.raises(ApiError) as caught:
            await asking_of(model).embed_texts(["a"])
        assert (caught.value.status, caught.value.code) == (503, "no_model")

    run(prove())


def test_a_request_that_is_given_up_is_not_computed():
    async def prove() -> None:
        model = Model()
        asking = asking_of(model)
        first = asyncio.create_task(asking.embed_texts(["a"]))
        await asyncio.sleep(0.01)
        given_up = asyncio.create_task(asking.embed_texts(["bb", "ccc"]))
        await asyncio.sleep(0.01)
        given_up.cancel()
        await asyncio.sleep(0.01)
        model.gate.set()
        await first
        await asking.embed_texts(["dddd"])
        assert model.calls == [["a"], ["dddd"]]

    run(prove())


def test_models_share_a_cache_and_never_an_answer():
    async def prove() -> None:
        cache, config = VectorCache(10_000), AskingConfig()
        one, two = Model(), Model()
        one.gate.set()
        two.gate.set()
        asking = [
            Asking(model, model, config, model=name, cache=cache)
            for name, model in (("m@1", one), ("m@2", two))
        ]
        for each in asking * 2:
            await each.embed_texts(["a"])
        assert (one.calls, two.calls) == ([["a"]], [["a"]])

    run(prove())


def test_pictures_and_answers_are_the_same_after_their_way():
    files = [b"", b"abc", b"d", b""]
    assert Pictures.of(files).files() == files
    told = [
        Vector(np.array([1, 2], np.float32), 3, True),
        Refusal("no"),
        Vector(np.array([4, 5], np.float32)),
    ]
    found = packed(told, dim=2).unpacked()
    assert found[1] == told[1]
    for place in (0, 2):
        expected, got = told[place], found[place]
        assert isinstance(expected, Vector)
        assert isinstance(got, Vector)
        np.testing.assert_array_equal(got.values, expected.values)
        assert (got.num_tokens, got.is_truncated) == (expected.num_tokens, expected.is_truncated)


def test_a_call_carries_no_more_bytes_than_allowed_but_a_large_picture_goes_alone():
    async def prove() -> None:
        model = Model()
        model.gate.set()
        images = [bytes([n]) * size for n, size in enumerate((100, 100, 100, 900, 100, 100))]
        found = await asking_of(model, bytes_per_call=250).embed_images(images)
        assert firsts(found) == [len(image) for image in images]
        assert all(len(call) == 1 or sum(map(len, call)) <= 250 for call in model.calls)
        assert sum(map(len, model.calls)) == len(images)

    run(prove())
