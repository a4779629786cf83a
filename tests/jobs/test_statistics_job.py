"""The statistics job's measures of captions, by the names that its config takes."""

import pickle

import pytest
from tiny import publish_tiny_encoder, tiny_pairs

from figclip.config import UsageError
from figclip.inputs.tokens import Tokenizer
from figclip.statistics.words import count_words
from figclip.store import Store
from jobs.statistics import token_counter

CAPTIONS = [pair.caption for pair in tiny_pairs(12)] + [
    "",
    "Immunoprecipitation, ×40.",
    "red " * 40,
]


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    publish_tiny_encoder(store, "e")
    return store


def test_an_encoders_tokens_are_counted_with_the_two_special_ones(store):
    tokenizer = Tokenizer.load(store.open("encoder", "e"))
    expected = [len(tokenizer.tokens(caption)) + 2 for caption in CAPTIONS]
    path = f"{store.folder('encoder', 'e').path}/tokenizer.json"
    for name in ("encoder@e", path):
        counter = pickle.loads(pickle.dumps(token_counter(name, store)))  # as a task gets it
        assert counter(CAPTIONS) == expected
    assert max(expected) > 24  # none is cut at the encoder's context


def test_words_are_a_lower_bound_of_any_wordpiece(store):
    words = token_counter("words", store)(CAPTIONS)
    assert words == count_words(CAPTIONS)
    pieces = token_counter("encoder@e", store)(CAPTIONS)
    assert all(few <= many for few, many in zip(words, pieces, strict=True))
    assert words != pieces


def test_a_tokenizer_that_is_not_there_is_named(store):
    with pytest.raises(UsageError, match="encoder@lost is not published"):
        token_counter("encoder@lost", store)
    with pytest.raises(UsageError, match="no such vocabulary file"):
        token_counter("lost.txt", store)
