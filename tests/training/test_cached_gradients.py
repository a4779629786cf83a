"""A batch in parts against the whole batch at once, under the same masks."""

import copy

import pytest
import torch
from small_clip import PIXELS, noise, rows, small_clip
from torch import Tensor, nn
from torch.nn import functional as F

from figclip.training.cached_gradients import cached_backward, part_seed
from figclip.training.step import Forward, train_step

SIZE, PART, SEED = 10, 4, 7  # the last part is shorter


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def plain_loss(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    logits = scale * image @ text.T
    pairs = torch.arange(len(logits))
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2


def gradients_at_once(clip: nn.Module) -> tuple[float, dict[str, Tensor]]:
    """One graph of the whole batch, whose parts drop what they drop in the step."""
    batch, images, texts = noise(SIZE), [], []
    for number, start in enumerate(range(0, SIZE, PART)):
        torch.manual_seed(part_seed(SEED, number))
        image, text, scale = Forward(PIXELS, "fp32")(clip, rows(batch, start, start + PART))
        images.append(image)
        texts.append(text)
    loss = plain_loss(torch.cat(images), torch.cat(texts), scale)
    loss.backward()
    return loss.item(), gradients(clip)


def gradients(clip: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in clip.named_parameters()}


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_gradients_are_those_of_the_whole_batch_with_all_that_it_drops(gradient_checkpointing):
    clip = small_clip(dropout=0.2, gradient_checkpointing=gradient_checkpointing)
    loss, truth = gradients_at_once(copy.deepcopy(clip))
    still = torch.optim.SGD(clip.parameters(), lr=0.0)
    found = train_step(clip, still, noise(SIZE), Forward(PIXELS, "fp32", PART), rng_seed=SEED)
    assert found.loss.item() == pytest.approx(loss, rel=1e-6)
    ours = gradients(clip)
    whole = torch.stack([gradient.norm() for gradient in truth.values()]).norm()
    off = torch.stack([(ours[name] - truth[name]).norm() for name in truth]).norm()
    assert off / whole <= 1e-6
    ratio = ours["logit_scale"] / truth["logit_scale"]
    assert ratio.item() == pytest.approx(1, abs=1e-6)


def test_parts_draw_different_masks():
    seeds = {part_seed(SEED, part) for part in range(1_000)}
    assert len(seeds) == 1_000


def test_one_part_is_the_undivided_step_bit_for_bit():
    models = [small_clip(), small_clip()]
    for model, part in zip(models, (None, SIZE), strict=True):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train_step(model, optimizer, noise(SIZE), Forward(PIXELS, "fp32", part), rng_seed=SEED)
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_only_the_last_part_speaks_with_other_ranks():
    weight = torch.ones(3, requires_grad=True)
    heard: list[str] = []

    class Silence:
        def __enter__(self) -> None:
            heard.append("silent")

        def __exit__(self, *_: object) -> None:
            heard.append("end")

    weight.register_hook(lambda gradient: heard.append("backward"))
    rows_of = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0))
    cached_backward(
        lambda part: (weight * rows_of[part], weight + rows_of[part], weight.sum()),
        lambda features: plain_loss(*features),
        num_parts=3,
        rng_seed=0,
        unsynced=Silence,
    )
    assert heard == ["silent", "backward", "end", "silent", "backward", "end", "backward"]


@pytest.mark.parametrize("texts_per_image", [1, 3])
def test_several_texts_an_image_stay_with_their_image(texts_per_image):
    k = texts_per_image
    image, text = torch.randn(5, 4).double(), torch.randn(5 * k, 4).double()
    weights = [torch.randn(4, 4).double().requires_grad_() for _ in range(4)]

    def encode(part: int, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        start, stop = (0, 3) if part == 0 else (3, 5)
        return image[start:stop] @ a, text[start * k : stop * k] @ b, (a * b).sum()

    def loss_of(features: tuple[Tensor, ...]) -> Tensor:
        rows, words, scale = features
        return (scale * rows.repeat_interleave(k, dim=0) * words).tanh().sum()

    a, b, c, d = weights
    with torch.no_grad():
        c.copy_(a), d.copy_(b)
    cached_backward(lambda part: encode(part, a, b), loss_of, num_parts=2, rng_seed=0)
    loss_of((image @ c, text @ d, (c * d).sum())).backward()
    torch.testing.assert_close(a.grad, c.grad)
    torch.testing.assert_close(b.grad, d.grad)


def test_a_locked_tower_takes_no_gradient_and_the_other_one_its_own():
    clip = small_clip(dropout=0.2)
    clip.visual.requires_grad_(False)
    _, truth = gradients_at_once(copy.deepcopy(clip))
    still = torch.optim.SGD(clip.parameters(), lr=0.0)
    train_step(clip, still, noise(SIZE), Forward(PIXELS, "fp32", PART), rng_seed=SEED)
    ours = gradients(clip)
    assert {name for name, gradient in ours.items() if gradient is None} == {
        name for name in ours if name.startswith("visual.")
    }
    for name, gradient in truth.items():
        if gradient is not None:
            assert (ours[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-7, name
