"""A BERT run on the tokens alone, packed one text behind the other: padding costs no work.

The features are those of the padded pass. All but attention works token by token, so that packing
changes nothing; attention never looks beyond its own text. The last layer is worked out for the
first tokens only, which are all that CLIP takes from it.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, BertModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from figclip.models.dropout import dropout, quicken_dropout

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


@dataclass(frozen=True)
class Packing:
    """Where the tokens of the texts lie that are there: texts by length, each in its own order."""

    rows: Int[Tensor, "texts"]
    """The texts' rows in the batch, the shortest first."""
    text_of_token: Int[Tensor, "tokens"]
    """Counts the texts in that order."""
    column_of_token: Int[Tensor, "tokens"]
    """In the batch."""
    offsets: Int[Tensor, "bounds"]
    """Where the texts start, and where the last one ends: texts + 1 numbers."""
    lengths: tuple[int, ...]
    """Tokens of each text."""

    @cached_property
    def groups(self) -> list[tuple[int, int]]:
        """How many texts there are of each length: `(texts, length)`, the shortest first."""
        return [(len(list(texts)), length) for length, texts in groupby(self.lengths)]

    @property
    def first(self) -> Int[Tensor, "texts"]:
        """The texts' first tokens."""
        return self.offsets[:-1]

    @property
    def is_token(self) -> Bool[Tensor, "texts longest"]:
        """What of `padded` is no padding."""
        columns = torch.arange(max(self.lengths, default=0), device=self.offsets.device)
        return columns < self.offsets.diff()[:, None]

    def padded(
        self, by_token: Float[Tensor, "tokens *sizes"]
    ) -> Float[Tensor, "texts longest *sizes"]:
        """Zeros follow the tokens of every text that is shorter than the longest."""
        texts, longest = len(self.lengths), max(self.lengths, default=0)
        nth = torch.arange(len(by_token), device=by_token.device)
        place = (
            nth
            + (longest * torch.arange(texts, device=by_token.device) - self.first)[
                self.text_of_token
            ]
        )
        empty = by_token.new_zeros(texts * longest, *by_token.shape[1:])
        return empty.index_copy(0, place, by_token).unflatten(0, (texts, longest))


def pack(mask: Bool[Tensor, "batch length"] | Int[Tensor, "batch length"]) -> Packing:
    """The one place that waits for the device: how much there is to do is a matter of the mask."""
    mask = mask.bool()
    per_row = mask.sum(dim=1)
    sizes, order = per_row.sort(stable=True)
    lengths = sizes.tolist()
    absent = lengths.count(0)
    rows = order[absent:]
    text_of_token, column_of_token = mask[rows].nonzero(as_tuple=True)
    return Packing(
        rows=rows,
        text_of_token=text_of_token,
        column_of_token=column_of_token,
        offsets=F.pad(sizes[absent:].cumsum(0), (1, 0)),
        lengths=tuple(lengths[absent:]),
    )


@torch.compiler.disable  # it loops over lengths, which differ from batch to batch
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
    attend = attend_by_length if query.device.type == "cpu" else attend_jagged
    return attend(query, key, value, packing, dropout)[None], None


def attend_by_length(
    query: Float[Tensor, "tokens heads head_dim"],
    key: Float[Tensor, "tokens heads head_dim"],
    value: Float[Tensor, "tokens heads head_dim"],
    packing: Packing,
    rate: float,
) -> Float[Tensor, "tokens heads head_dim"]:
    """Texts of one length at a time, by dense matrices: for CPUs."""
    with torch.autocast("cpu", enabled=False):
        sizes = [texts * length for texts, length in packing.groups]
        parts = zip(*(_attendable(x).split(sizes) for x in (query, key, value)), strict=True)
        return torch.cat(
            [
                _attend(*(x.unflatten(0, group) for x in part), rate=rate).flatten(0, 1)
                for group, part in zip(packing.groups, parts, strict=True)
            ]
        )


def _attend(
    query: Float[Tensor, "texts length heads head_dim"],
    key: Float[Tensor, "texts length heads head_dim"],
    value: Float[Tensor, "texts length heads head_dim"],
    *,
    rate: float,
) -> Float[Tensor, "texts length heads head_dim"]:
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    if rate == 0:
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    return (dropout(scores.softmax(dim=-1), rate, training=True) @ value).transpose(1, 2)


def _attendable(x: Tensor) -> Tensor:
    """On a CPU at least float32: it attends slower in bfloat16, and less exactly."""
    return x.to(torch.promote_types(x.dtype, torch.float32)) if x.device.type == "cpu" else x


def attend_jagged(
    query: Float[Tensor, "tokens heads head_dim"],
    key: Float[Tensor, "tokens heads head_dim"],
    value: Float[Tensor, "tokens heads head_dim"],
    packing: Packing,
    rate: float,
) -> Float[Tensor, "tokens heads head_dim"]:
    """All texts at once, by torch's flash attention over jagged rows: for GPUs."""
    shortest, longest = packing.lengths[0], packing.lengths[-1]
    query, key, value = (
        torch.nested.nested_tensor_from_jagged(
            x.contiguous(), packing.offsets, min_seqlen=shortest, max_seqlen=longest
        ).transpose(1, 2)
        for x in (query, key, value)
    )
    attended = F.scaled_dot_product_attention(query, key, value, dropout_p=rate)
    return attended.transpose(1, 2).values()


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
        query, key, value = (_attendable(x) for x in (query, key, value))
        is_token = packing.is_token[:, None, None]
        attended = F.scaled_dot_product_attention(query, key, value, is_token, dropout_p=rate)
    state = layer.attention.output(attended.flatten(1), first)
    return layer.feed_forward_chunk(state)
