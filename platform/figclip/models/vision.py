"""The image tower: a timm trunk, its pooled feature, and a linear head."""

import re
from collections import OrderedDict
from typing import Annotated, Any

import timm
from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from figclip.config import Config, UsageError
from figclip.models.pooled import pooled_state

PROJECTS_AS_IT_POOLS = re.compile(r"resnet\d+(x\d+)?_clip(\..+)?")
"""timm's names of CLIP's ResNets: the attention that pools them ends in the projection."""


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
        if self.pretrained and self.sizes:
            raise ValueError(f"pretrained {self.timm_model} has its own sizes: leave them empty")
        return self

    @property
    def sizes(self) -> dict[str, int]:
        """What is not as the named model has it."""
        names = ("width", "depth", "heads", "patch_size")
        return {name: size for name in names if (size := getattr(self, name)) is not None}

    def settled(self) -> "VisionConfig":
        """The same tower, to be built without a hub: for weights that come from elsewhere."""
        return self.model_copy(update={"pretrained": False})


class VisionTower(nn.Module):
    """Pixels to features that are not yet normalised.

    The pooling is the trunk's own: of a ViT, the class token after the last norm. The names of the
    parameters are those of open_clip's timm towers: `trunk.*` and `head.proj.weight`; CLIP's own
    ResNets have no head besides, as their pooling projects.
    """

    def __init__(self, config: VisionConfig, *, embed_dim: int) -> None:
        super().__init__()
        projects = PROJECTS_AS_IT_POOLS.fullmatch(config.timm_model) is not None
        self.trunk = _trunk(config, num_outputs=embed_dim if projects else 0)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if not projects:
            layers["proj"] = nn.Linear(self.trunk.num_features, embed_dim, bias=False)
        self.head = nn.Sequential(layers)

    def forward(
        self, pixels: Float[Tensor, "batch 3 side side"]
    ) -> Float[Tensor, "batch embed_dim"]:
        features: Tensor = self.head(pooled_state(self.trunk, pixels))
        return features

    def train(self, mode: bool = True) -> "VisionTower":
        """A BatchNorm whose weights are locked keeps its statistics as well."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
                module.eval()
        return self


def _trunk(config: VisionConfig, *, num_outputs: int) -> Any:
    try:
        trunk: Any = timm.create_model(
            config.timm_model,
            pretrained=config.pretrained,
            num_classes=num_outputs,
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
