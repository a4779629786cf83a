"""A BERT run on the tokens alone, packed one text behind the other: padding costs no work.

The features are those of the padded pass. All but attention works token by token, so that packing
changes nothing; attention never looks beyond its own text. The last layer is worked out for the
first tokens only, which are all that CLIP takes from it.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, BertModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from figclip.models.dropout import quicken_dropout
from figclip.models.packing import Packing, attend, attendable, pack

PACKED = "figclip_packed"
"""Name of `_packed_attention` among transformers' attention functions."""


def first_token_states(
    bert: BertModel,
    ids: Int[Tensor, "batch length"],
    mask: Bool[Tensor, "batch length"] | Int[Tensor, "batch length"],
) -> Float[Tensor, "batch hidden"]:
    """The last hidden state of every text's first token.

    `mask` is true, or 1, where a token is no padding; a text starts in the first column. A row
    without any token gives zeros and costs nothing.
    """
    if bert.config._attn_implementation != PACKED:
        _prepare(bert)
    packing = pack(mask)
    if not packing.lengths:  # all parameters still take part, as DDP wants: with zero gradients
        lone = torch.zeros_like(mask)
        lone[0, 0] = 1
        return 0 * first_token_states(bert, ids, lone)
    *layers, last = bert.encoder.layer
    hidden = bert.embeddings(
        input_ids=ids[packing.rows[packing.text_of_token], packing.column_of_token][None],
        position_ids=packing.column_of_token[None],
    )
    for layer in layers:  # as modules, so that hooks and gradient checkpointing see them
        hidden = layer(hidden, None, packing=packing)
    states = _first_tokens_of_last(last, hidden[0], packing)
    return states.new_zeros(len(ids), states.shape[-1]).index_copy(0, packing.rows, states)


def _prepare(bert: BertModel) -> None:
    AttentionInterface.register(PACKED, _packed_attention)
    AttentionMaskInterface.register(PACKED, sdpa_mask)  # of padded texts, should some be given
    bert.set_attn_implementation(PACKED)
    quicken_dropout(bert)


def _packed_attention(
    module: nn.Module,
    query: Float[Tensor, "one heads tokens head_dim"],
    key: Float[Tensor, "one heads tokens head_dim"],
    value: Float[Tensor, "one heads tokens head_dim"],
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    packing: Packing | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "one tokens heads head_dim"], None]:
    """What transformers calls inside a layer; without `packing` the texts are padded ones."""
    if packing is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, **options
        )
    query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))
    return attend(query, key, value, packing, dropout)[None], None


def _first_tokens_of_last(
    layer: Any, hidden: Float[Tensor, "tokens hidden"], packing: Packing
) -> Float[Tensor, "texts hidden"]:
    """The last layer: keys and values of all tokens, all else of the first ones.

    One query a text is so little work that texts are padded for it.
    """
    attention = layer.attention.self
    split_heads = (-1, (attention.num_attention_heads, attention.attention_head_size))
    first = hidden[packing.first]
    query = attention.query(first).unflatten(*split_heads)[:, :, None]
    key, value = (
        packing.padded(project(hidden).unflatten(*split_heads)).transpose(1, 2)
        for project in (attention.key, attention.value)
    )
    rate = attention.dropout.p if layer.training else 0.0
    with torch.autocast("cpu", enabled=False):
        query, key, value = (attendable(x) for x in (query, key, value))
        is_token = packing.is_token[:, None, None]
        attended = F.scaled_dot_product_attention(query, key, value, is_token, dropout_p=rate)
    state = layer.attention.output(attended.flatten(1), first)
    return layer.feed_forward_chunk(state)
