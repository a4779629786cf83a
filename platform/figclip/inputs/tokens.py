"""Captions to token ids: cleaning, and a vocabulary that is given or trained on the captions."""

import html
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ftfy
import numpy as np
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from figclip.config import UsageError
from figclip.inputs.byte_pairs import BEGIN, END, MERGES, read_byte_pairs, read_merges
from figclip.store import Folder

PAD, UNKNOWN, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIALS = (PAD, UNKNOWN, CLS, SEP, MASK)
FILE = "tokenizer.json"
VOCAB_FILES = (FILE, "vocab.txt", "bpe_simple_vocab_16e6.txt.gz", MERGES)
"""What a folder's vocabulary is read from, the first that is there."""


def clean_text(text: str) -> str:
    """Mend broken encodings, resolve HTML entities, fold white space: as open_clip does it.

    Entities are resolved twice, for captions that were escaped twice (`&amp;lt;`).
    """
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


@dataclass(frozen=True)
class TokenBatch:
    """Tokens of n texts, each row a mark of the begin, pieces, a mark of the end, and padding."""

    ids: Tensor
    """int64 [n, length]."""
    mask: Tensor
    """bool [n, length]: true where a token is no padding."""
    num_tokens: Tensor
    """int64 [n]: tokens of the whole text, both marks among them, before it was cut."""

    def trimmed(self) -> "TokenBatch":
        """Without the columns that are padding in every row: the embeddings stay the same."""
        length = int(self.mask.sum(dim=1).max()) if len(self.mask) else 0
        return TokenBatch(self.ids[:, :length], self.mask[:, :length], self.num_tokens)


class Tokenizer:
    """A vocabulary at work: BERT's WordPiece, or CLIP's byte pairs.

    The ids of the special tokens are the vocabulary's own. Byte pairs have no token for padding:
    there it is 0, as in CLIP, and the mask alone tells it from a text's own 0.
    """

    def __init__(self, pieces: tokenizers.Tokenizer) -> None:
        vocab = pieces.get_vocab()
        self.is_byte_pairs = BEGIN in vocab and END in vocab
        missing = [name for name in SPECIALS if name not in vocab and not self.is_byte_pairs]
        if missing:
            raise UsageError(
                f"the vocabulary lacks {', '.join(missing)}: a BERT WordPiece vocabulary, or the "
                f"byte pairs of CLIP, are needed"
            )
        pieces.no_truncation()
        pieces.no_padding()
        self._pieces = pieces
        begin, end = (BEGIN, END) if self.is_byte_pairs else (CLS, SEP)
        self.pad_id = 0 if self.is_byte_pairs else vocab[PAD]
        self.begin_id, self.end_id = vocab[begin], vocab[end]

    @property
    def vocab_size(self) -> int:
        """Rows that a token embedding needs."""
        return max(self._pieces.get_vocab().values()) + 1

    @property
    def vocabulary(self) -> list[str]:
        """The tokens in the order of their ids: the lines of a `vocab.txt`."""
        ids = self._pieces.get_vocab()
        return sorted(ids, key=ids.__getitem__)

    def tokens(self, text: str) -> list[str]:
        """The pieces of a text, cleaned but not cut, without [CLS] and [SEP]."""
        return self._pieces.encode(self._clean(text), add_special_tokens=False).tokens

    def _clean(self, text: str) -> str:
        """CLIP's texts are small letters; the normaliser of the library forgets the last sigma."""
        return clean_text(text).lower() if self.is_byte_pairs else clean_text(text)

    def __call__(self, texts: Sequence[str], context_length: int) -> TokenBatch:
        """Clean, tokenize, cut and pad each text to `context_length` tokens."""
        if context_length < 2:
            raise UsageError(f"a context of {context_length} has no room for the two marks")
        encodings = self._pieces.encode_batch_fast(
            [self._clean(text) for text in texts], add_special_tokens=False
        )
        ids = np.full((len(encodings), context_length), self.pad_id, dtype=np.int64)
        for row, encoding in zip(ids, encodings, strict=True):
            pieces = encoding.ids[: context_length - 2]
            row[: len(pieces) + 2] = [self.begin_id, *pieces, self.end_id]
        num_tokens = torch.tensor([len(found.ids) + 2 for found in encodings], dtype=torch.int64)
        tensor = torch.from_numpy(ids)
        if not self.is_byte_pairs:
            return TokenBatch(tensor, tensor != self.pad_id, num_tokens)
        return TokenBatch(tensor, torch.arange(context_length) < num_tokens[:, None], num_tokens)

    def save(self, folder: Folder) -> None:
        folder.write(FILE, self._pieces.to_str().encode())

    def save_for_transformers(self, folder: Folder) -> None:
        """What `AutoTokenizer` of transformers, and by it open_clip, read the same tokens from."""
        names = (BEGIN, END, END) if self.is_byte_pairs else (CLS, SEP, PAD)
        begin, end, pad = names
        copy = tokenizers.Tokenizer.from_str(self._pieces.to_str())
        copy.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A {end}",
            special_tokens=[(begin, self.begin_id), (end, self.end_id)],
        )
        told = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": pad}
        if self.is_byte_pairs:
            told |= {"bos_token": begin, "eos_token": end, "unk_token": end}
        else:
            told |= {"cls_token": begin, "sep_token": end, "unk_token": UNKNOWN, "mask_token": MASK}
        folder.write(FILE, copy.to_str().encode())
        folder.write("tokenizer_config.json", json.dumps(told, indent=1).encode())

    @classmethod
    def load(cls, folder: Folder) -> "Tokenizer":
        if not folder.exists(FILE):
            raise UsageError(f"{folder.path} has no {FILE}: it is not an encoder's folder")
        return cls(tokenizers.Tokenizer.from_str(folder.read(FILE).decode()))


def train_wordpiece(
    captions: Iterable[str], *, vocab_size: int, max_characters: int = 1_000
) -> Tokenizer:
    """An uncased WordPiece of at most `vocab_size` tokens, trained on the captions.

    The same captions, in any order, give the same vocabulary. The `max_characters` most frequent
    characters are in it, each as the beginning of a word and as its continuation.
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    cleaned = [clean_text(caption) for caption in captions]
    counts: Counter[str] = Counter()
    for caption in cleaned:
        counts.update(normalizer.normalize_str(caption))
    counts.pop(" ", None)
    frequent = sorted(counts, key=lambda character: (-counts[character], character))
    alphabet = sorted(frequent[:max_characters])
    # The trainer numbers the pieces it finds in the random order of a hash table, and breaks ties
    # between merges by those numbers; with every character numbered beforehand it has no choice.
    continuations = [f"##{character}" for character in alphabet if _continues(character)]
    reserved = len(SPECIALS) + len(continuations) + len(alphabet)
    if reserved > vocab_size:
        raise UsageError(
            f"vocab_size {vocab_size} is too small: the special tokens and the "
            f"{len(alphabet)} characters of these captions alone need {reserved}"
        )
    trained = _bert_wordpiece({UNKNOWN: 0})
    trained.train_from_iterator(
        cleaned,
        trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=[*SPECIALS, *continuations],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        ),
    )
    return Tokenizer(_with_specials(trained.get_vocab()))


def open_tokenizer(source: str | Path, *, lowercase: bool = True) -> Tokenizer:
    """A given vocabulary: `vocab.txt`, `tokenizer.json`, OpenAI's `bpe_simple_vocab_16e6.txt.gz`,
    a folder with one of them, or a hub's name.

    `lowercase` is asked only of a `vocab.txt`, which does not say it itself, and where no
    `tokenizer_config.json` beside it says `do_lower_case`.
    """
    path = Path(source)
    if path.is_dir():
        names = [name for name in VOCAB_FILES if (path / name).is_file()]
        if not names:
            raise UsageError(f"{path} has neither {' nor '.join(VOCAB_FILES)}")
        return open_tokenizer(path / names[0], lowercase=lowercase)
    if path.is_file():
        match path.suffix:
            case ".json":
                return _read_json(path)
            case ".gz":
                return Tokenizer(read_byte_pairs(path))
            case _ if path.name == MERGES:
                return Tokenizer(read_merges(path.parent))
            case _:
                return _read_vocab(path, _is_lowercase(path.parent, lowercase))
    if path.suffix in (".txt", ".json", ".gz"):
        raise UsageError(f"{path}: no such vocabulary file")
    return _from_hub(str(source))


def told_tokenizer(folder: Folder | None, vocabulary: str | None, *, origin: str) -> Tokenizer:
    """The tokenizer of an opened model: of one of our own folders, or the vocabulary it names."""
    if folder is not None:
        return Tokenizer.load(folder)
    if vocabulary is None:
        raise UsageError(
            f"{origin} has no vocabulary: lay {' or '.join(VOCAB_FILES)} into that folder"
        )
    return open_tokenizer(vocabulary)


def _read_json(path: Path) -> Tokenizer:
    try:
        json.loads(path.read_bytes())
        return Tokenizer(tokenizers.Tokenizer.from_file(str(path)))
    except UsageError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise UsageError(f"{path} is no tokenizer of the tokenizers library: {error}") from error


def _is_lowercase(folder: Path, default: bool) -> bool:
    """As transformers' own file beside a vocabulary says."""
    path = folder / "tokenizer_config.json"
    try:
        told = json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}); fetch it again") from error
    return bool(told.get("do_lower_case", default))


def _read_vocab(path: Path, lowercase: bool) -> Tokenizer:
    lines = path.read_text(encoding="utf-8").split("\n")
    vocab = {line.rstrip("\r"): number for number, line in enumerate(lines) if line.rstrip("\r")}
    return Tokenizer(_with_specials(vocab, lowercase=lowercase))


def _from_hub(name: str) -> Tokenizer:
    from transformers import AutoTokenizer  # seconds to import, and for this door alone

    try:
        found = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no tokenizer {name!r} ({error}): give a vocab.txt, a tokenizer.json or a local "
            f"folder, or a hub's name while online"
        ) from error
    return Tokenizer(tokenizers.Tokenizer.from_str(found.backend_tokenizer.to_str()))


def _continues(character: str) -> bool:
    """Whether a character can stand inside a word: punctuation stands alone."""
    return len(pre_tokenizers.BertPreTokenizer().pre_tokenize_str(f"a{character}")) == 1


def _bert_wordpiece(vocab: dict[str, int], *, lowercase: bool = True) -> tokenizers.Tokenizer:
    wordpiece = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token=UNKNOWN))
    wordpiece.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    wordpiece.decoder = decoders.WordPiece()
    return wordpiece


def _with_specials(vocab: dict[str, int], *, lowercase: bool = True) -> tokenizers.Tokenizer:
    wordpiece = _bert_wordpiece(vocab, lowercase=lowercase)
    wordpiece.add_special_tokens([name for name in SPECIALS if name in vocab])
    return wordpiece
