"""Lengths of captions without a vocabulary: the words that BERT's tokenizers cut further."""

from collections.abc import Sequence

from tokenizers import normalizers, pre_tokenizers

NUM_SPECIAL = 2
"""[CLS] and [SEP], which stand around every text."""


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
