"""Accuracy and token F1: by a table typed by hand, and by plain loops."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from figclip.config import UsageError
from figclip.evaluation.vqa.answers import IN_VOCABULARY, WORDS, open_pieces, scored, token_f1
from figclip.evaluation.vqa.questions import plain_answer

TABLE = [
    # answer, truth, F1 by hand: twice the common words over all words
    ("yes", "yes", 1.0),
    ("yes", "no", 0.0),
    ("right lung", "left lung", 0.5),
    ("lung", "left lung", 2 / 3),
    ("the left lung", "lung left", 4 / 5),
    ("the the lung", "the lung", 4 / 5),
    ("the the", "the lung the", 4 / 5),
    ("", "lung", 0.0),
    ("lung", "", 0.0),
    ("", "", 1.0),
    ("right lower lobe", "right upper lobe of the lung", 4 / 9),
]


@pytest.mark.parametrize(("answer", "truth", "expected"), TABLE)
def test_token_f1_of_the_table_typed_by_hand(answer: str, truth: str, expected: float):
    assert token_f1(answer, truth, str.split) == pytest.approx(expected)
    assert token_f1(truth, answer, str.split) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("published", "expected"),
    [("Yes", "yes"), (" Left\tlung. ", "left lung"), (4, "4"), (2.5, "2.5"), ("T2-W", "t2-w")],
)
def test_answers_are_compared_in_small_letters_without_full_stop_numbers_as_texts(
    published: object, expected: str
):
    assert plain_answer(published) == expected


def gpt2_like(folder: Path) -> Path:
    """A few byte pairs: `lung` at a text's begin is no token, ` lung` after a blank is one."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("l", "u"), ("n", "g"), ("lu", "ng"), ("Ġ", "lung"), ("Ġ", "l")]
    vocab = {piece: n for n, piece in enumerate([*alphabet, *("".join(pair) for pair in merges)])}
    found = tokenizers.Tokenizer(models.BPE(vocab, merges))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]))
    found.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("files", ["tokenizer.json", "vocab.json"])
def test_byte_pairs_read_every_answer_with_one_blank_before_it(files: str, tmp_path: Path):
    folder = gpt2_like(tmp_path / "pairs")
    if files == "vocab.json":
        (folder / "tokenizer.json").unlink()
    pieces = open_pieces(str(folder))
    assert pieces.name == "tokens of pairs"
    assert list(pieces.of("lung")) == list(pieces.of("  lung ")) == ["Ġlung"]
    assert list(pieces.of("lung lung")) == ["Ġlung", "Ġlung"]
    assert token_f1("lung", "left lung", pieces.of) == pytest.approx(2 * 1 / (1 + 5))


def test_without_a_tokenizer_words_are_counted_and_a_wrong_one_is_refused(tmp_path: Path):
    assert open_pieces(None).name == WORDS
    with pytest.raises(UsageError, match=r"tokenizer\.json.*or leave the tokenizer out"):
        open_pieces(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match="no tokenizer of the tokenizers library"):
        open_pieces(str(tmp_path))


def questions(n: int, seed: int) -> dict[str, list]:
    random = np.random.default_rng(seed)
    words = np.array(["yes", "no", "left lung", "right lung", "a rare one"])
    return {
        "answers": list(words[random.integers(0, 4, n)]),
        "truths": list(words[random.integers(0, 5, n)]),
        "closed": list(random.random(n) < 0.5),
        "pictures": list(np.sort(random.integers(0, n // 3, n))),
    }


def by_loops(rows: list[tuple[str, str, bool]]) -> dict[str, float]:
    found = {}
    for kind, wanted in (("open", (False,)), ("closed", (True,)), ("overall", (False, True))):
        right, f1, num = 0, 0.0, 0
        for answer, truth, is_closed in rows:
            if is_closed in wanted:
                num += 1
                right += answer == truth
                common, left = 0, truth.split()
                for word in answer.split():
                    if word in left:
                        left.remove(word)
                        common += 1
                if common:
                    precision, recall = common / len(answer.split()), common / len(truth.split())
                    f1 += 2 * precision * recall / (precision + recall)
        found[f"accuracy, {kind}"] = right / num if num else math.nan
        found[f"token F1, {kind}"] = f1 / num if num else math.nan
    return found


def test_all_measures_are_those_of_plain_loops_and_intervals_draw_whole_pictures():
    told = questions(60, seed=1)
    pictures = np.unique(told["pictures"], return_inverse=True)[1]
    found = scored(
        told["answers"],
        told["truths"],
        is_closed=np.array(told["closed"]),
        picture=pictures,
        vocabulary=["yes", "no", "left lung", "right lung"],
        tokenize=str.split,
        num_resamples=400,
    )
    rows = list(zip(told["answers"], told["truths"], map(bool, told["closed"]), strict=True))
    expected = by_loops(rows)
    assert {name: found.values[name] for name in expected} == pytest.approx(expected)
    assert found.values[IN_VOCABULARY] == pytest.approx(
        sum(truth != "a rare one" for truth in told["truths"]) / 60
    )

    random, num_pictures = np.random.default_rng(0), int(pictures.max()) + 1
    drawn: dict[str, list[float]] = {name: [] for name in expected}
    for _ in range(400):
        chosen = []
        for picture in random.integers(0, num_pictures, num_pictures):
            chosen += [row for row, own in zip(rows, pictures, strict=True) if own == picture]
        for name, value in by_loops(chosen).items():
            drawn[name].append(value)
    for name, values in drawn.items():
        low, high = np.nanquantile(values, [0.025, 0.975])
        assert found.intervals[name].low == pytest.approx(low, abs=1e-9)
        assert found.intervals[name].high == pytest.approx(high, abs=1e-9)


def test_what_no_question_asks_has_no_number():
    found = scored(
        ["yes"],
        ["yes"],
        is_closed=np.array([True]),
        picture=np.array([0]),
        vocabulary=["yes"],
        tokenize=str.split,
        num_resamples=10,
    )
    assert not [name for name in found.values if name.endswith("open")]
    assert found.values["accuracy, closed"] == found.values["accuracy, overall"] == 1
