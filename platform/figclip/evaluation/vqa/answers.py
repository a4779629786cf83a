"""How well questions were answered: accuracy and token F1 of open, closed and all questions.

Questions about one picture are not independent, so intervals draw pictures anew with return, each
with all of its questions.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
from jaxtyping import Bool, Float, Int

from figclip.config import UsageError
from figclip.evaluation.bootstrap import Interval, resampled

Tokenize = Callable[[str], Sequence[str]]

WORDS = "words between blanks"
IN_VOCABULARY = "answers in the vocabulary"
KINDS = {"open": (False,), "closed": (True,), "overall": (False, True)}
"""Kind of question → whether it is closed."""


@dataclass(frozen=True)
class Pieces:
    """What token F1 counts."""

    name: str
    of: Tokenize


@dataclass(frozen=True)
class Scores:
    values: Mapping[str, float]
    """`accuracy, open`, `token F1, closed` and so on → a share; what has no question is left
    out."""
    intervals: Mapping[str, Interval]
    """95 %, of the same names."""


def open_pieces(source: str | None) -> Pieces:
    """GPT-2's byte pairs, or any other vocabulary of the tokenizers library; None for words.

    `source` is a `tokenizer.json`, or a folder with one or with GPT-2's `vocab.json` and
    `merges.txt`. Byte pairs tell a word that follows a blank from one that begins a text: an answer
    is read with one blank before it, whoever gave it. `UsageError` where there is none.
    """
    if source is None:
        return Pieces(WORDS, str.split)
    path = Path(source)
    file = path / "tokenizer.json" if path.is_dir() else path
    pairs = path / "vocab.json", path / "merges.txt"
    try:
        if file.is_file():
            found = tokenizers.Tokenizer.from_file(str(file))
        elif all(one.is_file() for one in pairs):
            found = tokenizers.ByteLevelBPETokenizer.from_file(*map(str, pairs))
        else:
            raise UsageError(
                f"{source} is no tokenizer.json, nor a folder with one or with vocab.json and "
                f"merges.txt: name GPT-2's, or leave the tokenizer out to count words"
            )
    except UsageError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise UsageError(f"{source} is no tokenizer of the tokenizers library: {error}") from error

    def pieces(text: str) -> Sequence[str]:
        tokens: list[str] = found.encode(f" {text.strip()}", add_special_tokens=False).tokens
        return tokens

    return Pieces(f"tokens of {path.name}", pieces)


def token_f1(answer: str, truth: str, tokenize: Tokenize) -> float:
    """Harmonic mean of how much of the answer is right and how much of the truth was said.

    Tokens count as often as they stand in both (Rajpurkar et al. 2016, arXiv 1606.05250, section
    6.1, without its dropping of articles); two empty texts are alike.
    """
    said, true = Counter(tokenize(answer)), Counter(tokenize(truth))
    if not said and not true:
        return 1.0
    common = (said & true).total()
    return 2 * common / (said.total() + true.total())


def scored(
    answers: Sequence[str],
    truths: Sequence[str],
    *,
    is_closed: Bool[np.ndarray, " n"],
    picture: Int[np.ndarray, " n"],
    vocabulary: Sequence[str],
    tokenize: Tokenize,
    num_resamples: int,
    seed: int = 0,
) -> Scores:
    """Of n questions; `picture` numbers the pictures they are asked about from 0.

    An answer is right where it is the true one, letter by letter. A truth outside the vocabulary
    can not be answered and counts as wrong: `answers in the vocabulary` is the accuracy that could
    be reached at most.
    """
    pairs = list(zip(answers, truths, strict=True))
    gains = {
        "accuracy": np.array([float(answer == truth) for answer, truth in pairs]),
        "token F1": np.array([token_f1(answer, truth, tokenize) for answer, truth in pairs]),
    }
    kinds = {kind: np.isin(is_closed, told) for kind, told in KINDS.items()}
    columns = {
        f"{name}, {kind}": (gain, chosen)
        for name, gain in gains.items()
        for kind, chosen in kinds.items()
        if chosen.any()
    }
    known = {*vocabulary}
    inside = np.array([float(truth in known) for truth in truths])
    columns[IN_VOCABULARY] = (inside, kinds["overall"])

    parts = [
        (np.bincount(picture, gain * chosen), np.bincount(picture, chosen.astype(np.float64)))
        for gain, chosen in columns.values()
    ]

    def means(times: Float[np.ndarray, "rows pictures"]) -> Float[np.ndarray, "rows measures"]:
        with np.errstate(invalid="ignore"):  # no question of that kind was drawn
            return np.stack([times @ gains / (times @ counts) for gains, counts in parts], axis=1)

    num_pictures = int(picture.max()) + 1
    once = means(np.ones((1, num_pictures)))[0]
    intervals = resampled(means, num_pictures, num_resamples=num_resamples, seed=seed)
    return Scores(
        values={name: float(value) for name, value in zip(columns, once, strict=True)},
        intervals=dict(zip(columns, intervals, strict=True)),
    )
