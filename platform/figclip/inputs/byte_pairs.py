"""OpenAI's byte pairs: the vocabulary of CLIP's own text tower, from the file they released."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from figclip.config import UsageError

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
NUM_MERGES = 49_152 - 256 - 2
"""Of the file's lines, those after the first that CLIP's vocabulary of 49,408 is made of."""
END_OF_WORD = "</w>"
MERGES, VOCABULARY = "merges.txt", "vocab.json"
"""The two files of transformers' `CLIPTokenizer`."""
# CLIP's own pattern: contractions, words, single digits, runs of other signs.
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def read_byte_pairs(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of `bpe_simple_vocab_16e6.txt.gz`, which CLIP and open_clip come with."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")
        merges = [_two(line) for line in lines[1 : NUM_MERGES + 1]]
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UsageError(
            f"{path} is not OpenAI's vocabulary of byte pairs, or not all of it ({error}); take "
            f"bpe_simple_vocab_16e6.txt.gz from open_clip's folder"
        ) from error
    characters = _byte_characters()
    words = [*characters, *(f"{c}{END_OF_WORD}" for c in characters)]
    words += ["".join(merge) for merge in merges]
    return _byte_pairs({word: n for n, word in enumerate([*words, BEGIN, END])}, merges)


def read_merges(folder: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a folder with `merges.txt` and `vocab.json`: the same pairs as transformers
    saves them."""
    try:
        lines = (folder / MERGES).read_text(encoding="utf-8").split("\n")
        merges = [_two(line) for line in lines if line and not line.startswith("#version")]
        vocabulary = json.loads((folder / VOCABULARY).read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} has not both {MERGES} and {VOCABULARY}, or not all of them ({error}); fetch "
            f"them again"
        ) from error
    return _byte_pairs(vocabulary, merges)


def _byte_pairs(
    vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]
) -> tokenizers.Tokenizer:
    found = tokenizers.Tokenizer(
        models.BPE(
            vocab=dict(vocabulary),
            merges=list(merges),
            continuing_subword_prefix="",
            end_of_word_suffix=END_OF_WORD,
            fuse_unk=False,
            unk_token=END,
        )
    )
    found.normalizer = normalizers.Lowercase()
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    found.decoder = decoders.ByteLevel()
    found.add_special_tokens([BEGIN, END])
    return found


def _two(line: str) -> tuple[str, str]:
    left, right = line.split()
    return left, right


def _byte_characters() -> list[str]:
    """A printable character for every byte, in CLIP's order: first the bytes that are printable."""
    printable = [*range(ord("!"), 127), *range(ord("¡"), 173), *range(ord("®"), 256)]
    others = (256 + n for n in range(256 - len(printable)))
    return [*map(chr, printable), *map(chr, others)]
