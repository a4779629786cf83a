"""Texts to the ids of SigLIP's text tower, by transformers' own tokenizer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from figclip.config import UsageError
from figclip.inputs.tokens import TokenBatch


class SentencePieces:
    """A SentencePiece vocabulary at work: pieces, a mark of the end, and padding."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces
        self.pad_id: int = pieces.pad_token_id

    @property
    def vocab_size(self) -> int:
        """Rows that a token embedding needs."""
        return len(self._pieces)

    def __call__(self, texts: Sequence[str], context_length: int) -> TokenBatch:
        """Tokenize, cut and pad each text to `context_length` tokens."""
        whole = [len(ids) for ids in self._pieces(list(texts))["input_ids"]] if texts else []
        ids = torch.full((len(texts), context_length), self.pad_id, dtype=torch.int64)
        if texts:
            ids = self._pieces(
                list(texts),
                padding="max_length",
                truncation=True,
                max_length=context_length,
                return_tensors="pt",
            )["input_ids"]
        num_tokens = torch.tensor(whole, dtype=torch.int64)
        return TokenBatch(ids, torch.arange(context_length) < num_tokens[:, None], num_tokens)


def open_sentence_pieces(folder: str | Path) -> SentencePieces:
    """The tokenizer of a folder of transformers' files; `UsageError` where there is none."""
    from transformers import AutoTokenizer  # seconds to import, and for this door alone

    try:
        return SentencePieces(AutoTokenizer.from_pretrained(str(folder)))
    except ImportError as error:
        raise UsageError(
            f"{folder}: its vocabulary is read by `pip install sentencepiece`"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} has no tokenizer ({error}): lay tokenizer.json, or spiece.model and "
            f"tokenizer_config.json, into that folder"
        ) from error
