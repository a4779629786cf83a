"""CheXbert from its published checkpoint: a BERT whose first token feeds a head for each finding.

Smit et al. 2020, arXiv 2004.09167. `chexbert.pth` (https://github.com/stanfordmlgroup/CheXbert)
holds `model_state_dict` with `module.bert.*`, transformers' names of BERT-base, and
`module.linear_heads.N.{weight, bias}`: 13 heads of blank, positive, negative, uncertain and one of
two classes for "No Finding", which is left alone here.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from figclip.config import UsageError
from figclip.evaluation.proxy.findings import FINDINGS, Told
from figclip.inputs.tokens import Tokenizer, open_tokenizer

FILE = "chexbert.pth"
HEAD_SIZE = 64
"""Dimensions of one attention head, in every BERT that was published with CheXbert's names."""
NUM_TOKENS = 512
"""Where the authors cut a report, [CLS] and [SEP] among them."""
WHERE = (
    f"lay {FILE} (from https://github.com/stanfordmlgroup/CheXbert) and bert-base-uncased's "
    f"vocab.txt into that folder"
)


class CheXbert:
    """Reads findings by the published network."""

    name = "CheXbert"

    def __init__(
        self,
        bert: BertModel,
        heads: nn.ModuleList,
        tokenizer: Tokenizer,
        *,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> None:
        self._bert = bert.eval().requires_grad_(False).to(device)
        self._heads = heads.requires_grad_(False).to(device)
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._device = device
        self._length = min(NUM_TOKENS, bert.config.max_position_embeddings)

    @classmethod
    def open(cls, folder: str | Path, *, device: str = "cpu") -> "CheXbert":
        """From a folder with `chexbert.pth` and `vocab.txt`; `UsageError` says what is wrong."""
        path = Path(folder) / FILE
        if not path.is_file() or not (path.parent / "vocab.txt").is_file():
            raise UsageError(f"{folder} is no CheXbert: {WHERE}")
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever it trips over
            raise UsageError(f"{path} cannot be read as weights ({error}); {WHERE}") from error
        if not isinstance(found, Mapping) or "model_state_dict" not in found:
            raise UsageError(f"{path} has no model_state_dict: it is not the published checkpoint")
        weights = {
            name.removeprefix("module."): value for name, value in found["model_state_dict"].items()
        }
        tokenizer = open_tokenizer(path.parent / "vocab.txt")
        return cls(*_loaded(weights, path), tokenizer, device=device)

    @torch.inference_mode()
    def label(self, texts: Sequence[str]) -> Told:
        told = [
            self._batch(texts[start : start + self._batch_size])
            for start in range(0, len(texts), self._batch_size)
        ]
        return np.concatenate([np.empty((0, len(FINDINGS)), np.int64), *told])

    def _batch(self, texts: Sequence[str]) -> Told:
        batch = self._tokenizer(texts, self._length).trimmed()
        ids, mask = batch.ids.to(self._device), batch.mask.to(self._device)
        first = self._bert(ids, attention_mask=mask.long()).last_hidden_state[:, 0]
        told = [head(first).argmax(dim=1) for head in self._heads[: len(FINDINGS)]]
        return torch.stack(told, dim=1).cpu().numpy()


def _loaded(weights: Mapping[str, Tensor], path: Path) -> tuple[BertModel, nn.ModuleList]:
    """Networks of the sizes that the weights have; `UsageError` where these do not fit."""
    try:
        config = _config(weights)
        sizes = [weights[f"linear_heads.{n}.weight"].shape for n in range(len(FINDINGS) + 1)]
        heads = nn.ModuleList([nn.Linear(width, num) for num, width in sizes])
        bert = BertModel(config, add_pooling_layer=False)
        heads.load_state_dict(_below("linear_heads.", weights))
        wanted = bert.state_dict().keys()
        # The pooler and the numbers of the positions come with the checkpoint and are not read.
        found = {name: one for name, one in _below("bert.", weights).items() if name in wanted}
        bert.load_state_dict(found)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UsageError(f"{path} is not the published checkpoint: {error}; {WHERE}") from error
    expected = [4] * len(FINDINGS) + [2]
    if [num for num, _ in sizes] != expected:
        raise UsageError(f"{path}: its heads have {[num for num, _ in sizes]} classes, not 4 and 2")
    return bert, heads


def _config(weights: Mapping[str, Tensor]) -> BertConfig:
    words = weights["bert.embeddings.word_embeddings.weight"]
    layers = {
        int(one[1]) for name in weights if (one := re.match(r"bert\.encoder\.layer\.(\d+)", name))
    }
    return BertConfig(
        vocab_size=words.shape[0],
        hidden_size=words.shape[1],
        num_hidden_layers=len(layers),
        num_attention_heads=words.shape[1] // HEAD_SIZE,
        intermediate_size=weights["bert.encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=weights["bert.embeddings.position_embeddings.weight"].shape[0],
    )


def _below(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): one for n, one in weights.items() if n.startswith(prefix)}
