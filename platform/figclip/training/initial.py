"""What a run starts from: random or pretrained towers, or the weights of another model.

The weights of another model are kept in the run's folder, so that every worker finds them, on any
machine and after any kill, and the source is opened once.
"""

from figclip.config import UsageError
from figclip.inputs.tokens import Tokenizer, told_tokenizer
from figclip.models.adapting import AdaptConfig, adapted
from figclip.models.clip import Clip, ClipConfig
from figclip.models.opening import Opened, open_model
from figclip.models.resampling import refitted
from figclip.models.weights import WEIGHTS_FILE, clip_with, load_clip, save_weights
from figclip.store import Folder

PLACE = "initial"


def find_initial(init: str | None, model: ClipConfig, run: Folder) -> Opened | None:
    """The model to start from, fitted to this config; None where there is none, or `run` has it.

    `UsageError` names the keys in which its architecture differs from the config's.
    """
    if init is None or (run / PLACE).exists(WEIGHTS_FILE):
        return None
    opened = open_model(init)
    state = refitted(opened.clip.state_dict(), model)
    if model.initial_bias is not None and "logit_bias" not in state:
        state["logit_bias"] = opened.clip.logit_scale.new_tensor(model.initial_bias)
    fitted = clip_with(state, model, origin=init)
    return Opened(
        fitted, model, opened.origin, opened.folder, opened.vocabulary, opened.mean, opened.std
    )


def keep_initial(run: Folder, opened: Opened | None) -> None:
    if opened is not None:
        save_weights(run / PLACE, opened.clip, opened.config)


def initial_tokenizer(opened: Opened) -> Tokenizer:
    """The one that the model was trained with; `UsageError` where its source has none."""
    if opened.folder is None and opened.vocabulary is None:
        raise UsageError(f"{opened.origin} has no tokenizer: name one with --tokenizer")
    return told_tokenizer(opened.folder, opened.vocabulary, origin=opened.origin)


def initial_clip(run: Folder, init: str | None, model: ClipConfig, adapt: AdaptConfig) -> Clip:
    """The model at its first step, in training mode; what is not to learn is locked."""
    if init is None:
        return adapted(Clip(model), adapt)
    kept, _ = load_clip(run / PLACE)
    clip = Clip(model.settled())
    clip.load_state_dict(kept.state_dict())
    return adapted(clip, adapt)
