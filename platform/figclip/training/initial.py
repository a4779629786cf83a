"""What a run starts from: random or pretrained towers, or the weights of another model.

The weights of another model are kept in the run's folder, so that every worker finds them, on any
machine and after any kill, and the source is opened once.
"""

import logging

from timm.layers.patch_dropout import PatchDropout
from torch import nn

from figclip.config import UsageError
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.tokens import Tokenizer, told_tokenizer
from figclip.models.adapting import AdaptConfig, adapted
from figclip.models.clip import Clip, ClipConfig
from figclip.models.opening import Opened, open_model
from figclip.models.resampling import refitted
from figclip.models.weights import CONFIG_FILE, clip_with, load_clip, save_weights
from figclip.store import Folder

log = logging.getLogger(__name__)

PLACE = "initial"
NOT_SEEN = (nn.Dropout, nn.Identity, PatchDropout)
"""Of the modules without weights, those that a run may choose freely."""


def find_initial(init: str | None, model: ClipConfig, run: Folder) -> Opened | None:
    """The model to start from, fitted to this config; None where there is none, or `run` has it.

    `UsageError` names the keys in which its architecture differs from the config's.
    """
    if init is None or (run / PLACE).exists(CONFIG_FILE):  # written last
        return None
    opened = open_model(init)
    state = refitted(opened.clip.state_dict(), model)
    if model.initial_bias is not None and "logit_bias" not in state:
        state["logit_bias"] = opened.clip.logit_scale.new_tensor(model.initial_bias)
    fitted = clip_with(state, model, origin=init)
    _refuse_other_meaning(opened, fitted)
    return Opened(
        fitted, model, opened.origin, opened.folder, opened.vocabulary, opened.mean, opened.std
    )


def _refuse_other_meaning(opened: Opened, fitted: Clip) -> None:
    """Weights may fit a tower of other heads or activations, and mean another thing in it."""
    theirs, ours = _unseen_in_weights(opened.clip), _unseen_in_weights(fitted)
    differing = [name for name, fact in theirs.items() if ours.get(name) != fact]
    if differing:
        first, vision, text = differing[0], opened.config.vision, opened.config.text
        raise UsageError(
            f"{opened.origin} fits by its weights alone: it has {first} {theirs[first]}, this "
            f"config {ours.get(first)} ({len(differing)} differences). Set --model.vision and "
            f"--model.text as its own: {vision.timm_model} with {vision.heads or 'its'} heads for "
            f"pictures, {text.heads} heads and {text.activation} for texts"
        )


def _unseen_in_weights(clip: Clip) -> dict[str, object]:
    """Heads, the epsilons of norms, and activations, by the names of their modules."""
    facts: dict[str, object] = {}
    for name, module in clip.named_modules():
        for attribute in ("num_heads", "num_attention_heads", "eps"):
            if isinstance(value := getattr(module, attribute, None), int | float):
                facts[f"{name}.{attribute}"] = value
        is_leaf = not any(True for _ in module.children())
        if is_leaf and not module.state_dict() and not isinstance(module, NOT_SEEN):
            facts[f"{name} as"] = type(module).__name__
    return facts


def keep_initial(run: Folder, opened: Opened | None) -> None:
    if opened is not None:
        save_weights(run / PLACE, opened.clip, opened.config)


def warn_of_other_colours(opened: Opened, pixels: PixelConfig) -> None:
    told = PixelConfig.load(opened.folder) if opened.folder else None
    mean, std = (told.mean, told.std) if told else (opened.mean, opened.std)
    if (mean, std) != (pixels.mean, pixels.std):
        log.warning(
            "%s was trained on pictures of mean %s and deviation %s, this run shows it %s and %s: "
            "set --pixels.mean and --pixels.std",
            *(opened.origin, mean, std, pixels.mean, pixels.std),
        )


def initial_tokenizer(opened: Opened) -> Tokenizer:
    """The one that the model was trained with; `UsageError` where its source has none."""
    if opened.folder is None and opened.vocabulary is None:
        raise UsageError(f"{opened.origin} has no tokenizer: name one with --tokenizer")
    return told_tokenizer(opened.folder, opened.vocabulary, origin=opened.origin)


def initial_clip(run: Folder, init: str | None, model: ClipConfig, adapt: AdaptConfig) -> Clip:
    """The model at its first step, in training mode; what is not to learn is locked."""
    clip = Clip(model) if init is None else load_clip(run / PLACE)[0].train()
    return adapted(clip, adapt)
