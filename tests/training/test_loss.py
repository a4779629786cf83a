"""The losses against their definitions, and the laws that they keep, in one process."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_losses import plain_clip_loss, plain_siglip_loss, scalar, unit_vectors
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from figclip.training.loss import clip_loss, siglip_loss


def loss_by_definition(image: Tensor, text: Tensor, scale: float) -> float:
    """Two softmax cross-entropies, number by number."""
    n = len(image)
    similarity = [[scale * float(image[i] @ text[j]) for j in range(n)] for i in range(n)]
    by_image = [math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(similarity)]
    columns = list(zip(*similarity, strict=True))
    by_text = [math.log(sum(map(math.exp, col))) - col[i] for i, col in enumerate(columns)]
    return (sum(by_image) + sum(by_text)) / (2 * n)


@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_clip_loss_is_the_definition(scale):
    image, text = unit_vectors(12, 8), unit_vectors(12, 8, seed=1)
    found = clip_loss(image, text, scalar(scale)).item()
    assert found == pytest.approx(loss_by_definition(image, text, scale), rel=1e-12)


def test_clip_loss_of_indistinguishable_pairs_is_log_batch():
    same = unit_vectors(1, 8).expand(16, -1)
    torch.testing.assert_close(clip_loss(same, same, scalar(10.0)), scalar(math.log(16)))


def test_clip_loss_of_perfect_pairs_vanishes_as_the_scale_grows():
    image = torch.eye(8, dtype=torch.float64)
    assert clip_loss(image, image, scalar(100.0)).item() == pytest.approx(0, abs=1e-40)


def test_clip_loss_ignores_the_order_of_the_pairs():
    image, text = unit_vectors(16, 8), unit_vectors(16, 8, seed=1)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        clip_loss(image[order], text[order], scalar(14.0)), clip_loss(image, text, scalar(14.0))
    )


def test_clip_loss_does_not_mind_which_side_is_called_image():
    image, text = unit_vectors(16, 8), unit_vectors(16, 8, seed=1)
    torch.testing.assert_close(
        clip_loss(image, text, scalar(14.0)), clip_loss(text, image, scalar(14.0))
    )


def test_a_text_that_every_image_has_k_times_costs_log_k_more():
    image, text = unit_vectors(6, 8), unit_vectors(6, 8, seed=1)
    once = clip_loss(image, text, scalar(14.0))
    thrice = clip_loss(image, text.repeat_interleave(3, dim=0), scalar(14.0))
    torch.testing.assert_close(thrice, once + math.log(3) / 2)


def test_absent_texts_leave_no_trace():
    image, text = unit_vectors(6, 8), unit_vectors(12, 8, seed=1)
    present = torch.tensor([True, False] * 6)
    alone = clip_loss(image, text[present], scalar(14.0))
    text[~present] = math.nan
    assert torch.equal(clip_loss(image, text, scalar(14.0), present=present), alone)


def test_texts_must_be_as_many_for_every_image():
    with pytest.raises(ValueError, match="7 texts are no whole number for each of 3 images"):
        clip_loss(unit_vectors(3, 4), unit_vectors(7, 4), scalar(1.0))


def gradients(loss: Any, *values: Tensor, **options: Any) -> list[Tensor]:
    leaves = [value.detach().clone().requires_grad_() for value in values]
    value = loss(*leaves, **options)
    value.backward()
    return [value.detach(), *(leaf.grad for leaf in leaves)]


@settings(deadline=None, max_examples=40)
@given(
    num_images=st.integers(1, 9),
    texts_per_image=st.integers(1, 3),
    tile_rows=st.integers(1, 7),
    scale=st.sampled_from([1.0, 14.0, 100.0]),
    num_kept=st.sampled_from([0, 20, 2**20]),
    seed=st.integers(0, 2**16),
)
def test_tiles_of_any_size_give_the_plain_losses(
    num_images, texts_per_image, tile_rows, scale, num_kept, seed
):
    image = unit_vectors(num_images, 8, seed=seed)
    text = unit_vectors(num_images * texts_per_image, 8, seed=seed + 1)
    present = torch.rand(len(text), generator=torch.Generator().manual_seed(seed)) < 0.7
    present[0] = True
    tiled = {"present": present, "tile_rows": tile_rows}
    values = (image, text, scalar(scale))
    found = gradients(clip_loss, *values, **tiled, num_kept=num_kept)
    for ours, plain in zip(
        found, gradients(plain_clip_loss, *values, present=present), strict=True
    ):
        torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-13)
    found = gradients(siglip_loss, *values, scalar(-10.0), **tiled)
    truth = gradients(plain_siglip_loss, *values, scalar(-10.0), present=present)
    for ours, plain in zip(found, truth, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("num_kept", [0, 2**20])
def test_a_graph_that_is_kept_gives_its_gradients_twice(num_kept):
    image, text = (unit_vectors(9, 8, seed=seed).requires_grad_() for seed in (0, 1))
    loss = clip_loss(image, text, scalar(50.0), tile_rows=2, num_kept=num_kept)
    first, again = (torch.autograd.grad(loss, image, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(again, first, rtol=1e-12, atol=0)


def test_nothing_changes_where_no_gradient_is_wanted():
    image, text = unit_vectors(9, 8), unit_vectors(9, 8, seed=1)
    wanted = [image.clone().requires_grad_(), text, scalar(14.0)]
    with torch.no_grad():
        without = clip_loss(*wanted), siglip_loss(*wanted, scalar(-1.0))
    assert not any(loss.requires_grad for loss in without)
    torch.testing.assert_close(without, (clip_loss(*wanted), siglip_loss(*wanted, scalar(-1.0))))


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation gives."""

    num_elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            self.num_elements = max(self.num_elements, found.numel())
        return found


@contextmanager
def watching() -> Iterator[Largest]:
    with Largest() as largest:
        yield largest


def test_no_tensor_is_larger_than_the_features_or_a_tile():
    image, text = (unit_vectors(128, 4, seed=seed).requires_grad_() for seed in (0, 1))
    for loss in (
        lambda: clip_loss(image, text, scalar(14.0), tile_rows=16, num_kept=0),
        lambda: siglip_loss(image, text, scalar(14.0), scalar(-10.0), tile_rows=16),
    ):
        with watching() as largest:
            loss().backward()
        assert 0 < largest.num_elements <= 128 * 4
    with watching() as largest:
        plain_clip_loss(image, text, scalar(14.0)).backward()
    assert largest.num_elements == 128 * 128


def test_autocast_does_not_touch_the_logits():
    image, text = (unit_vectors(64, 32, seed=seed, dtype=torch.float32) for seed in (0, 1))
    values = image, text, scalar(100.0, torch.float32)
    outside = gradients(clip_loss, *values)
    with torch.autocast("cpu", torch.bfloat16):
        inside = gradients(clip_loss, *values)
    assert all(map(torch.equal, inside, outside))
    assert inside[0].dtype == torch.float32


@pytest.mark.parametrize("scale", [14.0, 100.0])
def test_bfloat16_features_lose_nothing_beyond_their_own_rounding(scale):
    image, text = (
        unit_vectors(64, 32, seed=seed, dtype=torch.float32).bfloat16() for seed in (0, 1)
    )
    truth = gradients(plain_clip_loss, image.double(), text.double(), scalar(scale))
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(clip_loss, image, text, scalar(scale, torch.float32))
    assert found[0].item() == pytest.approx(truth[0].item(), rel=1e-6)
    for ours, exact in zip(found[1:3], truth[1:3], strict=True):
        assert ours.dtype == torch.bfloat16
        assert relative_error(ours, exact) <= relative_error(exact.bfloat16(), exact) + 1e-4


def relative_error(found: Tensor, truth: Tensor) -> float:
    return float((found.double() - truth.double()).norm() / truth.double().norm())


@pytest.mark.parametrize("scale", [14.0, 100.0])
@pytest.mark.parametrize("closeness", [0.0, 0.7])
@pytest.mark.parametrize("tile_rows", [None, 70])
def test_float32_gradients_are_as_true_as_those_of_the_plain_loss(scale, closeness, tile_rows):
    """Of pairs that are strangers, and of pairs as near to one another as a trained model's."""
    image = unit_vectors(300, 64)
    text = F.normalize(closeness * image + unit_vectors(300, 64, seed=1), dim=-1)
    rounded = (image.float(), text.float(), scalar(scale, torch.float32))
    for tiled, plain, more in (
        (clip_loss, plain_clip_loss, ()),
        (siglip_loss, plain_siglip_loss, (-10.0,)),
    ):
        values = (*rounded, *(scalar(value, torch.float32) for value in more))
        truth = gradients(plain, *(value.double() for value in values))
        theirs = gradients(plain, *values)
        ours = gradients(tiled, *values, tile_rows=tile_rows)
        for found, peer, exact in zip(ours, theirs, truth, strict=True):
            bound = 2 * max(relative_error(peer, exact), torch.finfo(torch.float32).eps)
            assert relative_error(found, exact) <= bound
