"""Lengths of captions: in what they are measured, and a measure that needs no vocabulary."""

from collections.abc import Sequence

from tokenizers import normalizers, pre_tokenizers

WORDS = "words"
"""Name of the measure `count_words`."""

NUM_SPECIAL = 2
"""[CLS] and [SEP], which stand around every text."""

MOST_CHARS = 60


def count_words(texts: Sequence[str]) -> list[int]:
    """Of each text the words and punctuation marks as BERT splits them, and the two special tokens.

    A WordPiece vocabulary cuts rare words into pieces and joins none, so it gives as many tokens
    or more: shares of texts that fit into a context are upper bounds.
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    return [
        len(splitter.pre_tokenize_str(normalizer.normalize_str(text))) + NUM_SPECIAL
        for text in texts
    ]


def unit_of(tokenizer: str) -> str:
    """What a caption's length is measured in, for people; `tokenizer` is a name or a path."""
    if tokenizer == WORDS:
        return "words and punctuation marks + 2 (BERT’s tokens: as many or more)"
    name = tokenizer if len(tokenizer) <= MOST_CHARS else f"…{tokenizer[1 - MOST_CHARS :]}"
    return f"tokens of {name} ([CLS], [SEP] counted)"
