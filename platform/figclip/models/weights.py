"""Weights as files: our own folders, and reading any checkpoint's tensors without running it."""

import errno
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor

from figclip.config import UsageError
from figclip.models.clip import Clip, ClipConfig
from figclip.store import Folder

log = logging.getLogger(__name__)

CONFIG_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
NAMED = 10
"""Keys that the message about a checkpoint that does not fit names of each kind."""


def save_weights(folder: Folder, clip: Clip, config: ClipConfig) -> None:
    """Write `model.json` and `model.safetensors`; what they hold is opened without any hub."""
    folder.write(WEIGHTS_FILE, as_safetensors(clip.state_dict()))
    folder.write(CONFIG_FILE, config.settled().to_json().encode())


def as_safetensors(state: Mapping[str, Tensor]) -> bytes:
    """The bytes of a safetensors file, in the form that transformers reads as well."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    return save(plain, metadata={"format": "pt"})


def as_pickle(state: Mapping[str, Tensor]) -> bytes:
    """The bytes of a file of `torch.save`: tensors only, as `weights_only` loads them."""
    stream = io.BytesIO()
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    torch.save(plain, stream)
    return stream.getvalue()


def load_clip(folder: Folder) -> tuple[Clip, ClipConfig]:
    """The model that `save_weights` wrote, on the CPU, in eval mode."""
    absent = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not folder.exists(name)]
    if absent:
        raise UsageError(f"{folder.path} has no {' and no '.join(absent)}: it holds no encoder")
    config = ClipConfig.from_json(folder.read(CONFIG_FILE))
    try:
        state = load(folder.read(WEIGHTS_FILE))
    except SafetensorError as error:
        raise _not_whole(f"{folder.path}/{WEIGHTS_FILE}", error) from error
    return clip_with(state, config, origin=folder.path), config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict of a `.safetensors` file or of one of torch's; nothing else is unpickled.

    A training checkpoint's `state_dict` is taken out of it, and the `module.` of a wrapped model
    off its names.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        raise _not_whole(str(path), error) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # which torch says of an archive that lost its end
            raise
        raise _not_whole(str(path), error) from error
    state = found.get("state_dict", found) if isinstance(found, dict) else {}
    if not state or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UsageError(f"{path} holds no state dict: name the file of a model's weights")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file; `UsageError` where it holds none."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(
            f"{path} is no JSON, or not all of it ({error}); fetch it again"
        ) from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no JSON object; fetch it again")
    return found


def clip_with(state: Mapping[str, Tensor], config: ClipConfig, *, origin: str) -> Clip:
    """A model of this config with exactly these weights, in eval mode.

    `UsageError` names the keys that are missing, unexpected or of another shape.
    """
    settled = config.settled()
    with torch.device("meta"):
        expected = Clip(settled).state_dict()
    state = dict(state)
    for name in ("logit_scale", "logit_bias"):
        if name in state and state[name].numel() == 1:  # some are saved with one axis
            state[name] = state[name].reshape(())
    check_keys(state, expected, origin=origin)
    clip = Clip(settled)
    clip.load_state_dict(state)
    return clip.eval()


def check_keys(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, origin: str) -> None:
    """`UsageError` names the keys that are missing, unexpected or of another shape."""
    faults = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    told = [
        f"{len(names)} {fault}: {', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''}"
        for fault, names in faults.items()
        if names
    ]
    if told:
        raise UsageError(
            f"the weights of {origin} do not fit the model; give the config they were made "
            f"with. {'; '.join(told)}"
        )


def _not_whole(place: str, error: Exception) -> UsageError:
    return UsageError(
        f"{place} holds no plain tensors, or not all of them ({type(error).__name__}); "
        f"fetch it again"
    )
