"""A ViT whose last block is worked out for the class token only, which is all that CLIP takes.

The features are those of the whole block, at a twelfth of its work: keys and values of all tokens.
"""

from typing import Any

from jaxtyping import Float
from timm.layers.attention import Attention
from timm.layers.patch_dropout import PatchDropout
from timm.models import VisionTransformer, checkpoint_seq
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F


def pooled_state(
    trunk: Any, pixels: Float[Tensor, "batch 3 side side"]
) -> Float[Tensor, "batch width"]:
    """What `trunk(pixels)` gives; `trunk` is a timm model without a classifier."""
    if not _pools_class_token(trunk):
        return trunk(pixels)
    *blocks, last = trunk.blocks
    tokens = trunk.patch_embed(pixels)
    tokens = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(tokens)))
    if trunk.grad_checkpointing:
        tokens = checkpoint_seq(blocks, tokens)
    else:
        for block in blocks:
            tokens = block(tokens)
    return trunk.forward_head(trunk.norm(_class_token_of(last, tokens)))


def _pools_class_token(trunk: Any) -> bool:
    """Whether `trunk` is the plain ViT that `pooled_state` knows."""
    if type(trunk) is not VisionTransformer or trunk.global_pool != "token":
        return False
    last = trunk.blocks[-1]
    attention = getattr(last, "attn", None)
    return (
        type(last) is Block
        and type(attention) is Attention
        and attention.gate is None
        and type(attention.qkv) is nn.Linear  # an adapter around it is more than its matrix
        and attention.qkv.out_features == 3 * attention.attn_dim
    )


def _class_token_of(
    block: Any, tokens: Float[Tensor, "batch tokens width"]
) -> Float[Tensor, "batch 1 width"]:
    attended = block.attn.proj_drop(block.attn.proj(_attended(block.attn, block.norm1(tokens))))
    state = tokens[:, :1] + block.drop_path1(block.ls1(attended))
    return state + block.drop_path2(block.ls2(block.mlp(block.norm2(state))))


def _attended(
    attention: Attention, tokens: Float[Tensor, "batch tokens width"]
) -> Float[Tensor, "batch 1 inner"]:
    """timm keeps the three projections in one matrix: the query's rows come first."""
    weight, bias = attention.qkv.weight, attention.qkv.bias
    inner, heads = attention.attn_dim, (attention.num_heads, attention.head_dim)
    query = F.linear(tokens[:, :1], weight[:inner], None if bias is None else bias[:inner])
    both = F.linear(tokens, weight[inner:], None if bias is None else bias[inner:])
    query = query.unflatten(-1, heads).transpose(1, 2)
    key, value = both.unflatten(-1, (2, *heads)).permute(2, 0, 3, 1, 4)
    attended = F.scaled_dot_product_attention(
        attention.q_norm(query),
        attention.k_norm(key),
        value,
        dropout_p=attention.attn_drop.p if attention.training else 0.0,
    )
    return attention.norm(attended.transpose(1, 2).flatten(2))


def set_patch_dropout(trunk: nn.Module, rate: float) -> None:
    """Leave out so many of the patches in training from now on; `trunk` was built to leave some."""
    for module in trunk.modules():
        if isinstance(module, PatchDropout):
            module.prob = rate
