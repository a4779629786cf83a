"""The image tower: a timm trunk, its pooled feature, and a linear head."""

from collections import OrderedDict
from typing import Annotated, Any

import timm
from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from figclip.config import Config, UsageError
from figclip.models.pooled import pooled_state


class VisionConfig(Config):
    """A timm model by name; what is left empty below is as timm has it."""

    timm_model: str = "vit_base_patch16_224"
    """Name in `timm.list_models()`; any model with one pooled feature vector does."""
    image_size: PositiveInt = 224
    """Side of the square input, in pixels."""
    width: PositiveInt | None = None
    """Features per token, instead of the named model's."""
    depth: PositiveInt | None = None
    """Number of blocks, instead of the named model's."""
    heads: PositiveInt | None = None
    """Attention heads, instead of the named model's; must divide the width."""
    patch_size: PositiveInt | None = None
    """Side of a patch in pixels, instead of the named model's."""
    patch_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of patches left out of every training pass (FLIP, arXiv 2212.00794); never in eval."""
    gradient_checkpointing: bool = False
    """Recompute the blocks in the backward pass: less memory, a third more work."""
    pretrained: bool = False
    """Start from timm's weights of that name, fetched from its hub or cache."""

    @model_validator(mode="after")
    def _check(self) -> "VisionConfig":
        if self.pretrained and (self.width or self.depth or self.heads or self.patch_size):
            raise ValueError(f"pretrained {self.timm_model} has its own sizes: leave them empty")
        return self

    def settled(self) -> "VisionConfig":
        """The same tower, to be built without a hub: for weights that come from elsewhere."""
        return self.model_copy(update={"pretrained": False})


class VisionTower(nn.Module):
    """Pixels to features that are not yet normalised.

    The pooling is the trunk's own: of a ViT, the class token after the last norm. The names of the
    parameters are those of open_clip's timm towers: `trunk.*` and `head.proj.weight`.
    """

    def __init__(self, config: VisionConfig, *, embed_dim: int) -> None:
        super().__init__()
        trunk = _trunk(config)
        self.trunk = trunk
        self.head = nn.Sequential(
            OrderedDict(proj=nn.Linear(trunk.num_features, embed_dim, bias=False))
        )

    def forward(
        self, pixels: Float[Tensor, "batch 3 side side"]
    ) -> Float[Tensor, "batch embed_dim"]:
        features: Tensor = self.head(pooled_state(self.trunk, pixels))
        return features


def _trunk(config: VisionConfig) -> Any:
    try:
        trunk: Any = timm.create_model(
            config.timm_model,
            pretrained=config.pretrained,
            num_classes=0,
            **_timm_options(config),
        )
    except (TypeError, AssertionError) as error:
        raise UsageError(f"timm cannot build {config.timm_model} so: {error}") from error
    except RuntimeError as error:
        if "Unknown model" not in str(error):
            raise
        raise UsageError(
            f"timm has no model {config.timm_model!r}; see timm.list_models()"
        ) from error
    except OSError as error:
        raise UsageError(
            f"the weights of {config.timm_model} are neither in the cache nor to be fetched "
            f"({type(error).__name__}): go online, or set vision.pretrained false"
        ) from error
    trunk.set_grad_checkpointing(config.gradient_checkpointing)
    return trunk


def _timm_options(config: VisionConfig) -> dict[str, Any]:
    chosen = {
        "embed_dim": config.width,
        "depth": config.depth,
        "num_heads": config.heads,
        "patch_size": config.patch_size,
        # timm gathers the kept patches (their number is the same in every row) after the position
        # embedding and before the first block, keeps the class token, and does so in training only.
        "patch_drop_rate": config.patch_dropout or None,
    }
    defaults = timm.get_pretrained_cfg(config.timm_model)
    if defaults is None or defaults.fixed_input_size:  # convolutions take any size, unasked
        chosen["img_size"] = config.image_size
    return {name: value for name, value in chosen.items() if value is not None}
