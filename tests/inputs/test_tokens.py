"""Cleaning, cutting, padding, and a vocabulary that the captions alone decide."""

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from figclip.config import UsageError
from figclip.inputs.tokens import SPECIALS, Tokenizer, clean_text, open_tokenizer, train_wordpiece
from figclip.store import Store

CAPTIONS = [
    "Axial CT of the chest shows a nodule in the left lung.",
    "Axial CT of the chest shows no nodule in the right lung.",
    "Hematoxylin and eosin stain of the liver, scale bar 50 µm.",
    "Kaplan-Meier curves of overall survival (p < 0.05).",
] * 3
TOKENIZER = train_wordpiece(CAPTIONS, vocab_size=160)

LETTERS = "abcdefghijklmnopqrstuvwxyzéβ0123456789"


def vocabulary_of_ties(shuffle: int) -> str:
    """Trained on thousands of pieces whose counts tie, so that what is left to chance shows."""
    words = random.Random(0)
    captions = [
        " ".join("".join(words.choices(LETTERS, k=5)) for _ in range(20)) for _ in range(90)
    ]
    random.Random(shuffle).shuffle(captions)
    made = train_wordpiece(captions * 2, vocab_size=600)
    return " ".join(made.vocabulary)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  a\t b\n\nc ", "a b c"),
        ("p &amp;lt; 0.05", "p < 0.05"),
        ("5 &#181;m", "5 µm"),
        ("schÃ¶n", "schön"),
        ("non\u00a0breaking\u2003space", "non breaking space"),
        ("", ""),
    ],
)
def test_cleaning_mends_unescapes_and_folds(raw, clean):
    assert clean_text(raw) == clean


def test_a_text_of_a_hundred_thousand_characters_is_cut_and_counted():
    batch = TOKENIZER(["lung " * 20_000], 16)
    assert batch.ids.shape == (1, 16)
    assert batch.num_tokens.item() > 20_000
    assert batch.ids[0, -1] == TOKENIZER.end_id


def test_rows_begin_with_cls_end_with_sep_and_are_padded():
    texts = ["", "lung", "left lung " * 30]
    batch = TOKENIZER(texts, 12)
    assert batch.ids.dtype == torch.int64
    assert (batch.ids[:, 0] == TOKENIZER.begin_id).all()
    for row, mask, count in zip(batch.ids, batch.mask, batch.num_tokens, strict=True):
        kept = min(int(count), 12)
        assert mask.tolist() == [True] * kept + [False] * (12 - kept)
        assert row[kept - 1] == TOKENIZER.end_id
        assert (row[kept:] == TOKENIZER.pad_id).all()


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4), st.integers(2, 20))
def test_any_text_gives_a_row_of_the_context_length(texts, context_length):
    batch = TOKENIZER(texts, context_length)
    assert batch.ids.shape == (len(texts), context_length)
    assert (batch.num_tokens >= 2).all()
    assert batch.ids.max() < TOKENIZER.vocab_size
    trimmed = batch.trimmed()
    assert trimmed.mask.any(dim=0).all()
    assert torch.equal(trimmed.ids[trimmed.mask], batch.ids[batch.mask])


def test_no_texts_give_no_rows():
    batch = TOKENIZER([], 8)
    assert batch.ids.shape == batch.mask.shape == (0, 8)
    assert batch.trimmed().ids.shape == (0, 0)


def test_a_context_without_room_for_the_marks_is_refused():
    with pytest.raises(UsageError, match="no room"):
        TOKENIZER(["lung"], 1)


def test_frequent_words_are_one_token_and_new_words_are_pieces():
    assert TOKENIZER.tokens("Lung") == ["lung"]
    pieces = TOKENIZER.tokens("nodulous")
    assert len(pieces) > 1
    assert "".join(pieces).replace("##", "") == "nodulous"


def test_a_word_of_known_characters_is_never_unknown():
    letters = sorted({c for caption in CAPTIONS for c in caption.lower() if c.isalpha()})
    shuffled = random.Random(0).sample(letters, k=12)
    assert "[UNK]" not in TOKENIZER.tokens("".join(shuffled))
    assert TOKENIZER.tokens("中") == ["[UNK]"]


def test_the_captions_alone_decide_the_vocabulary():
    made = {vocabulary_of_ties(shuffle) for shuffle in (1, 1, 2, 3)}
    elsewhere = subprocess.run(
        [sys.executable, "-c", "import test_tokens; print(test_tokens.vocabulary_of_ties(4))"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
            "TOKENIZERS_PARALLELISM": "false",
        },
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert made == {elsewhere.stdout.strip()}


def test_a_tokenizer_travels_to_another_process():
    copy = pickle.loads(pickle.dumps(TOKENIZER))
    assert torch.equal(copy(CAPTIONS, 32).ids, TOKENIZER(CAPTIONS, 32).ids)


def test_rare_characters_beyond_the_limit_are_unknown():
    made = train_wordpiece(["aaa bbb aab baa é"] * 3, vocab_size=40, max_characters=2)
    assert made.tokens("abba")[0] != "[UNK]"
    assert made.tokens("e é".upper()) == ["[UNK]", "[UNK]"]


def test_a_vocabulary_without_room_for_its_characters_is_refused():
    with pytest.raises(UsageError, match="vocab_size 20 is too small"):
        train_wordpiece(CAPTIONS, vocab_size=20)


def test_a_saved_tokenizer_reads_as_it_wrote(tmp_path):
    folder = Store(tmp_path).folder("encoder", "one")
    TOKENIZER.save(folder)
    loaded = Tokenizer.load(folder)
    assert torch.equal(loaded(CAPTIONS, 32).ids, TOKENIZER(CAPTIONS, 32).ids)
    assert loaded.vocab_size == TOKENIZER.vocab_size
    with pytest.raises(UsageError, match=r"no tokenizer\.json"):
        Tokenizer.load(folder / "elsewhere")


def test_special_ids_are_read_from_the_vocabulary(tmp_path):
    words = ["lung", "##s", *reversed(SPECIALS)]
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(words) + "\n")
    made = open_tokenizer(path)
    assert (made.pad_id, made.begin_id, made.end_id) == (6, 4, 3)
    assert made(["Lungs"], 6).ids.tolist() == [[4, 0, 1, 3, 6, 6]]
    assert made(["Lungs"], 6).mask.tolist() == [[True] * 4 + [False] * 2]


def test_a_cased_vocabulary_keeps_its_case(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*SPECIALS, "CT", "ct"]))
    assert open_tokenizer(path, lowercase=False).tokens("CT") == ["CT"]
    assert open_tokenizer(path).tokens("CT") == ["ct"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("vocab.txt", "lung\n[UNK]\n", r"lacks \[PAD\], \[CLS\], \[SEP\], \[MASK\]"),
        ("tokenizer.json", "{", "is no tokenizer"),
        ("tokenizer.json", "{}", "is no tokenizer"),
        ("readme.md", "x", "neither tokenizer.json nor vocab.txt nor bpe_simple"),
        ("bpe_simple_vocab_16e6.txt.gz", "x", "is not OpenAI's vocabulary of byte pairs"),
    ],
)
def test_a_vocabulary_that_is_none_is_an_error(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=words):
        open_tokenizer(tmp_path)


def test_a_vocabulary_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no such vocabulary file"):
        open_tokenizer(tmp_path / "vocab.txt")


def test_the_two_files_of_transformers_clip_are_the_same_byte_pairs(tmp_path):
    """As PubMedCLIP's and PLIP's folders have them."""
    pairs = open_tokenizer(Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz")
    told = json.loads(pairs._pieces.to_str())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(told["vocab"]))
    merges = [" ".join(one) if isinstance(one, list) else one for one in told["merges"]]
    lines = ["#version: 0.2", *merges]
    (tmp_path / "merges.txt").write_text("\n".join(lines) + "\n")
    texts = ["Chest X-ray, 12 µm (p<0.05)", "don't ΑΣ É", ""]
    peer = CLIPTokenizer.from_pretrained(tmp_path)
    ours = open_tokenizer(tmp_path)
    assert torch.equal(ours(texts, 20).ids, pairs(texts, 20).ids)
    batch = ours(texts[:1], 40)
    assert batch.ids[batch.mask].tolist() == peer(texts[0])["input_ids"]
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(UsageError, match=r"has not both merges\.txt and vocab\.json"):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize(("told", "expected"), [(None, [2, 5, 3]), (False, [2, 1, 3])])
def test_a_vocabulary_is_cased_where_the_file_beside_it_says_so(tmp_path, told, expected):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nlung\n")
    if told is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": told}))
    assert open_tokenizer(tmp_path)(["Lung"], 3).ids.tolist() == [expected]
