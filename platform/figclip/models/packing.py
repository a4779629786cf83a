"""Texts packed one behind the other, and attention that never looks beyond its own text."""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from figclip.models.dropout import dropout


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
    def place_in_text(self) -> Int[Tensor, "tokens"]:
        """How many tokens of its text stand before each token."""
        nth = torch.arange(len(self.text_of_token), device=self.offsets.device)
        return nth - self.first[self.text_of_token]

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
        place = longest * self.text_of_token + self.place_in_text
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
def attend(
    query: Float[Tensor, "tokens heads head_dim"],
    key: Float[Tensor, "tokens heads head_dim"],
    value: Float[Tensor, "tokens heads head_dim"],
    packing: Packing,
    rate: float,
) -> Float[Tensor, "tokens heads head_dim"]:
    """Every token attends to those of its own text; `rate` is the share of attention to drop."""
    by = attend_by_length if query.device.type == "cpu" else attend_jagged
    return by(query, key, value, packing, rate)


@torch.compiler.disable
def attend_causally(
    query: Float[Tensor, "tokens heads head_dim"],
    key: Float[Tensor, "tokens heads head_dim"],
    value: Float[Tensor, "tokens heads head_dim"],
    packing: Packing,
) -> Float[Tensor, "tokens heads head_dim"]:
    """Every token attends to itself and those before it in its own text.

    Texts are padded for it: torch's jagged attention is causal in some of its kernels only. What
    follows a text's end no token of it sees, so that no mask is needed besides.
    """
    with torch.autocast(query.device.type, enabled=False):
        query, key, value = (
            packing.padded(attendable(x)).transpose(1, 2) for x in (query, key, value)
        )
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    return attended.transpose(1, 2)[packing.text_of_token, packing.place_in_text]


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
        parts = zip(*(attendable(x).split(sizes) for x in (query, key, value)), strict=True)
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
        attended = F.scaled_dot_product_attention(query, key, value)
        return attended.transpose(1, 2)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    return (dropout(scores.softmax(dim=-1), rate, training=True) @ value).transpose(1, 2)


def attendable(x: Tensor) -> Tensor:
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
