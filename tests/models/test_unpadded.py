"""Packed texts against transformers' own padded pass, and what packing spares."""

import copy

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import Tensor
from transformers import BertConfig, BertModel

from figclip.models import packing
from figclip.models.dropout import dropout
from figclip.models.gpt import GptTower
from figclip.models.text import TextConfig
from figclip.models.unpadded import first_token_states

LENGTH = 20
LENGTHS = [20, 3, 1, 0, 3, 11, 19]


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def bert_of(*, rate: float = 0.0, layers: int = 3) -> BertModel:
    config = BertConfig(
        vocab_size=99,
        hidden_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=40,
        hidden_dropout_prob=rate,
        attention_probs_dropout_prob=rate,
        pad_token_id=None,
    )
    bert = BertModel(config, add_pooling_layer=False).train()
    with (
        torch.no_grad()
    ):  # transformers starts with biases of 0 and norms of 1, which hide mistakes
        for parameter in bert.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return bert


def texts() -> tuple[Tensor, Tensor]:
    mask = torch.arange(LENGTH) < torch.tensor(LENGTHS)[:, None]
    return torch.randint(0, 99, mask.shape), mask


def padded_states(bert: BertModel, ids: Tensor, mask: Tensor) -> Tensor:
    return bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state[:, 0]


def gradients(bert: BertModel, states: Tensor, weights: Tensor) -> dict[str, Tensor]:
    bert.zero_grad()
    (states * weights).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in bert.named_parameters()}


@pytest.fixture(params=["attend_by_length", "attend_jagged"])
def _attention(request, monkeypatch):
    """Of a CPU, and of a GPU, which torch works out on a CPU as well."""
    monkeypatch.setattr(packing, "attend_by_length", getattr(packing, request.param))


@pytest.mark.usefixtures("_attention")
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_states_and_gradients_are_those_of_the_padded_pass(dtype, bound):
    bert = bert_of().to(dtype)
    peer = copy.deepcopy(bert)
    ids, mask = texts()
    there = mask.any(dim=1)
    weights = torch.randn(len(ids), 48, dtype=dtype)
    found, truth = first_token_states(bert, ids, mask), padded_states(peer, ids[there], mask[there])
    assert (found[there] - truth).norm() <= bound * truth.norm()
    ours, theirs = gradients(bert, found, weights), gradients(peer, truth, weights[there])
    length = torch.stack([gradient.norm() for gradient in theirs.values()]).norm()
    assert ours.keys() == theirs.keys()
    assert all((ours[name] - theirs[name]).norm() <= bound * length for name in theirs)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_a_causal_towers_features_and_gradients_are_those_of_the_padded_pass(dtype, bound):
    config = TextConfig(
        architecture="gpt", vocab_size=99, hidden_size=48, layers=3, heads=4,
        intermediate_size=96, context_length=LENGTH,
    )  # fmt: skip
    tower = GptTower(config, embed_dim=24).to(dtype).train()
    peer = copy.deepcopy(tower)
    ids, mask = texts()
    there = mask.any(dim=1)
    weights = torch.randn(len(ids), 24, dtype=dtype)
    found = tower(ids, mask)
    assert found[~there].abs().max() == 0
    x = peer.token_embedding(ids[there]) + peer.positional_embedding
    for block in peer.blocks:
        x = Block.forward(block, x, is_causal=True)  # timm's own, padding and all
    ends = x[torch.arange(len(x)), mask[there].sum(dim=1) - 1]
    truth = peer.ln_final(ends) @ peer.text_projection
    assert (found[there] - truth).norm() <= bound * truth.norm()
    (found * weights).sum().backward()
    (truth * weights[there]).sum().backward()
    theirs = {name: p.grad for name, p in peer.named_parameters()}
    length = torch.stack([gradient.norm() for gradient in theirs.values()]).norm()
    for name, parameter in tower.named_parameters():
        assert (parameter.grad - theirs[name]).norm() <= bound * length, name


def test_a_causal_towers_blocks_see_tokens_only():
    config = TextConfig(
        architecture="gpt", vocab_size=99, hidden_size=48, layers=2, heads=4,
        intermediate_size=96, context_length=LENGTH,
    )  # fmt: skip
    tower = GptTower(config, embed_dim=24)
    seen: list[int] = []
    for block in tower.blocks:
        block.mlp.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    tower(*texts())
    assert seen == [sum(LENGTHS)] * 2


def test_a_mask_with_holes_hides_what_it_hides_in_the_padded_pass():
    bert = bert_of().double().eval()
    ids, _ = texts()
    mask = torch.rand(ids.shape) < 0.6
    mask[:, 0] = True
    truth = padded_states(copy.deepcopy(bert), ids, mask)
    torch.testing.assert_close(first_token_states(bert, ids, mask), truth)


def test_a_prepared_bert_still_takes_padded_texts():
    bert = bert_of().double().eval()
    ids, mask = (x[[0, 1, 5]] for x in texts())
    states = first_token_states(bert, ids, mask)
    torch.testing.assert_close(padded_states(bert, ids, mask), states)


def test_absent_texts_give_zeros():
    ids, mask = texts()
    states = first_token_states(bert_of(), ids, mask)
    assert states[3].abs().max() == 0
    assert states[mask.any(dim=1)].abs().amin(dim=1).max() > 0


def test_where_all_texts_are_absent_every_parameter_has_a_gradient_of_zero():
    bert = bert_of()
    ids, mask = texts()
    states = first_token_states(bert, ids, torch.zeros_like(mask))
    assert states.shape == (len(ids), 48)
    found = gradients(bert, states, torch.ones_like(states))
    assert all(gradient.abs().max() == 0 for gradient in found.values())
    assert states.abs().max() == 0


def test_layers_see_tokens_only_and_the_last_one_works_for_first_tokens():
    bert = bert_of()
    seen: list[int] = []
    for layer in bert.encoder.layer:
        layer.intermediate.register_forward_pre_hook(
            lambda _, args: seen.append(args[0].numel() // args[0].shape[-1])
        )
    first_token_states(bert, *texts())
    num_texts = sum(length > 0 for length in LENGTHS)
    assert seen == [sum(LENGTHS), sum(LENGTHS), num_texts]


def test_gradient_checkpointing_draws_the_same_dropout_again():
    plain = bert_of(rate=0.3)
    saving = copy.deepcopy(plain)
    saving.gradient_checkpointing_enable({"use_reentrant": False})
    ids, mask = texts()
    found = []
    for bert in (plain, saving):
        torch.manual_seed(5)
        states = first_token_states(bert, ids, mask)
        found.append(gradients(bert, states, torch.ones_like(states)))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_dropout_is_drawn_in_training_only():
    bert = bert_of(rate=0.3)
    ids, mask = texts()
    with torch.no_grad():
        one, two = (first_token_states(bert, ids, mask) for _ in range(2))
        bert.eval()
        three, four = (first_token_states(bert, ids, mask) for _ in range(2))
    assert not torch.equal(one, two)
    assert torch.equal(three, four)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_in_layers_spreads_states_as_transformers_does(rate):
    """The mean and the deviation over many draws, of hidden states and attention together."""
    bert = bert_of(rate=rate, layers=2)
    peer = copy.deepcopy(bert)
    ids, mask = (x[5:6].expand(4_000, -1) for x in texts())
    with torch.no_grad():
        ours, theirs = first_token_states(bert, ids, mask), padded_states(peer, ids, mask)
    error = theirs.std(dim=0) / 4_000**0.5
    assert ((ours.mean(dim=0) - theirs.mean(dim=0)).abs() <= 6 * error).all()
    torch.testing.assert_close(ours.std(dim=0), theirs.std(dim=0), rtol=0.1, atol=0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout_keeps_the_share_and_the_mean(rate, dtype):
    x = torch.ones(999, 1001, dtype=dtype)
    found = dropout(x, rate, training=True)
    deviation = (rate * (1 - rate) / x.numel()) ** 0.5
    kept = (found != 0).double()
    assert abs(kept.mean() - (1 - rate)) <= 6 * deviation + 1 / 65_536
    torch.testing.assert_close(found[found != 0].unique().item(), 1 / (1 - rate), rtol=4e-3, atol=0)
    neighbours = (kept[:, 1:] * kept[:, :-1]).mean()
    assert abs(neighbours - (1 - rate) ** 2) <= 12 * deviation
    assert dropout(x, rate, training=False) is x
